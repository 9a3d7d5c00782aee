"""Fixed-width text: every line one row, every column at its place, counted in characters from 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np

from expectations.contract import Contract, Table
from pipelines.landing.findings import Refused, refuse
from pipelines.landing.readers.lines import PLACEHOLDER, Block, Judge, Lines, Verdict, parse, screen
from pipelines.landing.readers.received import Received, rejects
from pipelines.storage import identifier, quoted

_UNUSED = "\x1f"  # the separator that never occurs: a line that holds it is refused


def read_fixed_width(
    path: Path, contract: Contract, tables: Sequence[Table], scratch: Path, connection: duckdb.DuckDBPyConnection
) -> dict[str, Received | Refused]:
    """Read one table from a fixed-width file. A line shorter than the record, or longer by more than blanks, is
    ragged: a value may have been cut or shifted."""
    (table,) = tables
    width = max((c.start or 0) + (c.width or 0) - 1 for c in table.columns)

    def start(encoding: str, source: Iterator[Block]) -> tuple[Judge, int, Block]:
        return _judge(width), 0, next(source)

    found_path = scratch / "rejects.parquet"
    screened, found = screen(
        path, table.delivery.encodings, scratch / "lines.txt", lambda: rejects(found_path), PLACEHOLDER, start
    )
    if screened.rows + found.count == 0 and not table.optional:
        raise refuse("empty_file")
    options = f"delim = {quoted(_UNUSED)}, quote = '', escape = ''"
    lines = parse(connection, screened, options, ["raw"], scratch / "text.parquet")
    cells = ", ".join(f"substring(raw, {c.start}, {c.width}) as {identifier(c.name)}" for c in table.columns)
    relation = f"(select _line, {cells} from {lines})"
    return {table.name: Received(relation, screened.rows, found.close(), found.count, screened.encoding)}


def _judge(width: int) -> Judge:
    def judge(lines: Lines, is_last: bool) -> tuple[list[Verdict], int]:
        if len(lines.ends) == 0:
            return [], 0
        continuation = np.flatnonzero((lines.array & 0xC0) == 0x80)  # second and later bytes of a character
        inside = np.searchsorted(continuation, lines.ends) - np.searchsorted(continuation, lines.starts)
        length = lines.ends - lines.starts - inside
        dirty = set(np.concatenate([lines.holding(b) for b in (0, 13, ord(_UNUSED))]).tolist())
        candidates = np.flatnonzero(length != width)
        verdicts: list[Verdict] = []
        for index in sorted({*candidates.tolist(), *dirty}):
            if index in dirty:
                verdicts.append(Verdict(index, rule="control_character"))
            elif length[index] == 0 or not (line := lines.line(index).decode("utf-8")).strip(" \x1a"):
                verdicts.append(Verdict(index))  # blank, or the end-of-file mark of older systems
            elif len(line) < width or line[width:].strip():
                verdicts.append(Verdict(index, rule="ragged_row", is_short=len(line) < width))
        return verdicts, len(lines.ends)

    return judge
