"""Delimited text: any one-character separator, a header line, quotation marks as in RFC 4180."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np

from expectations.contract import Contract, Table
from pipelines.landing.findings import Finding, Refused, refuse
from pipelines.landing.readers.lines import (
    MAX_RECORD,
    PLACEHOLDER,
    Block,
    Judge,
    Lines,
    Positions,
    Verdict,
    parse,
    screen,
)
from pipelines.landing.readers.received import Received, rejects
from pipelines.storage import quoted

_DELIMITERS = {",": "commas", "|": "bars", "\t": "tabs", ";": "semicolons", "~": "tildes", "^": "carets"}
_QUOTE = ord('"')

csv.field_size_limit(MAX_RECORD)


def read_delimited(
    path: Path, contract: Contract, tables: Sequence[Table], scratch: Path, connection: duckdb.DuckDBPyConnection
) -> dict[str, Received | Refused]:
    """Read one table from a delimited file. Raises Refused for a file that is not what the contract promises."""
    (table,) = tables
    delimiter = table.delivery.delimiter
    order: list[str] = []

    def start(encoding: str, source: Iterator[Block]) -> tuple[Judge, int, Block]:
        block = next(source)
        header, lines = _header(block.text, delimiter)
        order[:] = _columns(table, header, delimiter)
        return _judge(delimiter, len(order)), lines, block

    placeholder = PLACEHOLDER + delimiter.encode() * (len(table.columns) - 1)
    found_path = scratch / "rejects.parquet"
    screened, found = screen(
        path, table.delivery.encodings, scratch / "lines.txt", lambda: rejects(found_path), placeholder, start
    )
    if screened.rows + found.count == 0 and not table.optional:
        raise refuse("empty_file")
    options = f"delim = {quoted(delimiter)}, quote = '\"', escape = '\"'"
    relation = parse(connection, screened, options, order, scratch / "text.parquet")
    return {table.name: Received(relation, screened.rows, found.close(), found.count, screened.encoding)}


def _header(text: bytes, delimiter: str) -> tuple[list[str], int]:
    """The column names and how many lines they and blank lines before them take."""
    lines = [line + "\n" for line in text[: 2 * MAX_RECORD].decode("utf-8", "replace").split("\n")]
    blank = next((i for i, line in enumerate(lines) if line.strip()), None)
    if blank is None:
        raise refuse("empty_file")
    reader = csv.reader(lines[blank:], delimiter=delimiter)
    try:
        header = next(reader)
    except csv.Error as error:
        raise refuse("missing_header", line=blank + 1) from error
    return [name.strip() for name in header], blank + reader.line_num


def _columns(table: Table, header: list[str], delimiter: str) -> list[str]:
    """Contract names in the file's order. Raises Refused naming every column that is missing, extra or doubled."""
    by_raw = {c.raw.strip().casefold(): c.name for c in table.columns}
    names = [h.casefold() for h in header]
    known = [n for n in names if n in by_raw]
    if len(known) * 2 < len(by_raw):
        for other, called in _DELIMITERS.items():
            if other != delimiter and len(header) * 2 <= len(by_raw):
                parts = [p.strip().strip('"').casefold() for p in delimiter.join(header).split(other)]
                if 2 * len(by_raw.keys() & set(parts)) >= len(by_raw):
                    raise refuse("wrong_delimiter", line=1, detail=f"The columns are separated by {called}.")
    doubled = sorted({n for n in names if n and names.count(n) > 1})
    if not known:
        raise Refused([Finding("missing_header", lines=(1,))], tuple(header))
    findings = [Finding("duplicate_header", by_raw.get(n), lines=(1,)) for n in doubled]
    findings += [Finding("missing_column", by_raw[n], lines=(1,)) for n in by_raw if n not in names]
    for position, name in enumerate(header, 1):
        if name.casefold() not in by_raw:
            # By its place alone: what nobody declared could be a value.
            findings.append(Finding("extra_column", f"column {position}", lines=(1,)))
    if findings:
        raise Refused(findings, tuple(header))
    return [by_raw[n] for n in names]


def _judge(delimiter: str, width: int) -> Judge:
    separator = ord(delimiter)

    def judge(lines: Lines, is_last: bool) -> tuple[list[Verdict], int]:
        count = len(lines.ends)
        if count == 0:
            return [], 0
        at = np.flatnonzero(lines.array == separator)
        unusual = np.zeros(count, bool)
        if b'"' in lines.text:
            at, unusual = _outside_quotes(lines, at, separator)
        fields = np.diff(np.searchsorted(at, lines.ends), prepend=0) + 1
        dirty = np.union1d(lines.holding(0), lines.holding(13))
        unusual[dirty] = True
        blank = lines.ends == lines.starts
        verdicts: list[Verdict] = []
        free = 0  # first line not yet part of a record
        is_dirty = set(dirty.tolist())
        for index in np.flatnonzero(unusual | blank | (fields != width)).tolist():
            if index < free:
                continue
            if index in is_dirty:
                verdict: Verdict | None = Verdict(index, rule="control_character")
            elif blank[index]:
                verdict = Verdict(index)
            elif not unusual[index]:
                verdict = Verdict(index, rule="ragged_row", is_short=bool(fields[index] < width))
            else:
                verdict = _record(lines, index, delimiter, width, is_last)
            if verdict is None:  # goes on in the next block
                return verdicts, index
            verdicts.append(verdict)
            free = index + verdict.span
        return verdicts, count

    return judge


def _outside_quotes(
    lines: Lines, at: Positions, separator: int
) -> tuple[Positions, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Separators outside quotation marks, and which lines are not one plain record each."""
    marks = np.flatnonzero(lines.array == _QUOTE)
    line_of = np.searchsorted(lines.ends, marks)
    before = np.searchsorted(marks, lines.starts)  # marks before each line
    opens = (np.arange(len(marks)) - before[line_of]) % 2 == 0
    previous = np.where(marks > 0, lines.array[marks - 1], 10)
    following = lines.array[marks + 1]  # there is always a line feed behind the last mark
    good_open = (previous == separator) | (previous == 10) | ((previous == _QUOTE) & (marks > lines.starts[line_of]))
    good_close = (following == separator) | (following == 10) | (following == _QUOTE)
    improper = np.where(opens, ~good_open, ~good_close)
    unusual = np.zeros(len(lines.ends), bool)
    unusual[line_of[improper]] = True
    per_line = np.bincount(line_of, minlength=len(lines.ends))
    unusual |= per_line % 2 == 1
    inside = (np.searchsorted(marks, at) - before[np.searchsorted(lines.ends, at)]) % 2 == 1
    return at[~inside], unusual


def _record(lines: Lines, index: int, delimiter: str, width: int, is_last: bool) -> Verdict | None:
    """Judge a line whose quotation marks are unusual: a value over several lines, or a stray mark.

    A record that is whole is written anew with every value quoted, so that no parser can read it otherwise. None
    when the block ends inside the record.
    """
    first = int(lines.starts[index])
    taken: list[bytes] = []

    def following() -> Iterator[str]:
        for i in range(index, len(lines.ends)):
            if int(lines.ends[i]) - first > MAX_RECORD:
                return
            taken.append(lines.line(i))
            yield taken[-1].decode("utf-8") + "\n"

    try:
        values = next(csv.reader(following(), delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        reached_end = index + len(taken) == len(lines.ends)
        fits = int(lines.ends[-1]) - first <= MAX_RECORD
        if reached_end and fits and not is_last:
            return None
        return Verdict(index, rule="bad_quoting", is_short=reached_end and len(taken) == 1)
    has_control = any(b"\x00" in t or b"\r" in t for t in taken)
    # Two stray marks, each in its own line, look like one value that holds all lines between: but those are rows.
    rows = sum(t.count(delimiter.encode()) >= width - 1 for t in taken) if len(taken) > 1 else 0
    if len(values) != width or has_control or 2 * rows > len(taken):
        # One stray mark can swallow good lines up to the next: only its own line is given up.
        rule = "bad_quoting" if len(taken) > 1 else "ragged_row"
        return Verdict(index, rule="control_character" if has_control else rule, is_short=len(values) < width)
    text = delimiter.join('"' + v.replace('"', '""') + '"' if v else "" for v in values)
    return Verdict(index, len(taken), rewritten=text.encode("utf-8"))
