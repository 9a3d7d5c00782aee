"""From a file's bytes to text: every reader hands over rows of contract columns and the lines it could not read.

A reader judges the form of a file, never the meaning of a cell: that is the contract's rules, applied afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from expectations.contract import Contract, Table
from expectations.vocabulary import FileFormat
from pipelines.landing.findings import Refused, refuse
from pipelines.landing.readers.delimited import read_delimited
from pipelines.landing.readers.fixed_width import read_fixed_width
from pipelines.landing.readers.received import Received
from pipelines.landing.readers.workbook import read_workbook
from pipelines.landing.readers.xml import read_xml

__all__ = ["Received", "read"]

Reader = Callable[[Path, Contract, Sequence[Table], Path, duckdb.DuckDBPyConnection], dict[str, "Received | Refused"]]

_READERS: dict[FileFormat, Reader] = {
    FileFormat.DELIMITED: read_delimited,
    FileFormat.FIXED_WIDTH: read_fixed_width,
    FileFormat.XML: read_xml,
    FileFormat.XLSX: read_workbook,
}


def read(
    path: Path, contract: Contract, tables: Sequence[Table], scratch: Path, connection: duckdb.DuckDBPyConnection
) -> dict[str, Received | Refused]:
    """Read ``tables`` out of one file; by table name what was received, or why that table cannot be.

    Work files go to the empty folder ``scratch`` and must outlive the result. Raises :class:`Refused` when the file
    as a whole is unreadable.
    """
    if path.stat().st_size == 0:
        raise refuse("empty_file")
    return _READERS[tables[0].delivery.format](path, contract, tables, scratch, connection)
