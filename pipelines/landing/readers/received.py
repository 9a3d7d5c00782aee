"""What every reader hands over, and the files it collects rows in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.landing.findings import Finding

_BATCH = 20_000
_REJECTS = pa.schema([("line", pa.int64()), ("rule", pa.string()), ("field", pa.string()), ("raw_row", pa.string())])


class Rows:
    """Rows written to a Parquet file as they come, in batches, so that memory stays small."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.count = 0
        self._schema = schema
        self._rows: list[Sequence[object]] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, *row: object) -> None:
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, self._schema)
        columns = list(zip(*self._rows, strict=True)) if self._rows else [()] * len(self._schema)
        arrays = [pa.array(c, type=f.type) for c, f in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []

    def close(self) -> Path:
        if self._rows or self._writer is None:
            self._flush()
        assert self._writer is not None
        self._writer.close()
        return self.path


def rejects(path: Path) -> Rows:
    """Lines that are no rows: line, rule, field, raw_row. They go to quarantine as they stand."""
    return Rows(path, _REJECTS)


def text_rows(path: Path, names: Sequence[str]) -> Rows:
    """Received rows: ``_line`` and each column as text."""
    return Rows(path, pa.schema([("_line", pa.int64()), *((n, pa.string()) for n in names)]))


@dataclass(frozen=True)
class Received:
    """The rows of one table as delivered.

    ``relation`` is a parenthesised DuckDB query: ``_line bigint`` (unique, ascending) and every contract column as
    text. It may be evaluated more than once. ``rows`` is how many it yields. ``rejects`` is a Parquet file of
    ``rejected`` further lines that are no rows of the table.
    """

    relation: str
    rows: int
    rejects: Path
    rejected: int = 0
    encoding: str = "utf-8"
    notes: tuple[Finding, ...] = field(default=())
