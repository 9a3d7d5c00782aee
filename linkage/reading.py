"""Files of any maker as tables: comma, semicolon, tab or bar; with a byte order mark or not; UTF-8, UTF-16 or Latin 1.

A file that cannot be read for sure is refused with what is wrong with it; a line that cannot is set aside and counted.
No message holds a value of a row.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TextIO

import duckdb
import pyarrow as pa

from linkage.store import quoted

#: UTF-8 with Latin 1 in it, as files have it that were put together from several.
MIXED = "kinweave-mixed"
_DELIMITERS = ",;\t|"
#: Rows that go into a table at a time, where lines must be read one by one.
_BATCH = 20_000


class LinkageError(ValueError):
    """Given files that cannot be linked. The message names the file and what it lacks, never a value."""


def read_tables(con: duckdb.DuckDBPyConnection, paths: Sequence[Path], name: str, needed: Sequence[str]) -> int:
    """Make table (or view) ``name`` of all rows of Parquet or CSV files; returns how many lines could not be read.

    Columns are matched by name, in lower case, blanks and hyphens within a name being underscores; all values are text.
    Whole numbers written as fractions (1234.0, as programs write a column of numbers with gaps in it) lose the .0: in a
    column of fractions, and in a column of text of one file where all values end so. A line with too few values ends in
    empty ones. Every line that is not blank is the heading, a row, a further line of a quoted value, or counted as
    unreadable.

    Raises :class:`FileNotFoundError` for a missing file, :class:`LinkageError` for a file that is empty, is neither CSV
    nor Parquet, names a column twice, or lacks one of the ``needed`` ones.
    """
    parts: list[str] = []
    kinds: dict[str, str] = {}
    aside = 0
    for number, path in enumerate(paths):
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        part = f"{name}_{number}"
        if _opening(path).startswith(b"PAR1"):
            kinds[part] = "view"
            _parquet(con, path, part)
        else:
            kinds[part] = "table"
            aside += _text(con, path, part)
        columns = {r[0]: r[1] for r in con.execute(f"describe {part}").fetchall()}
        plain = [_plain(c) for c in columns]
        _each_once(path, plain)
        if missing := sorted(set(needed) - set(plain)):
            raise LinkageError(f"{path.name} lacks the columns {', '.join(missing)}")
        casts = ", ".join(f"{v} as {_name(p)}" for v, p in zip(_values(con, part, columns), plain, strict=True))
        parts.append(f"select {casts} from {part}")
    rows = " union all by name ".join(parts)
    if "table" not in kinds.values():
        # A Parquet file can be read again as often as it is asked for.
        con.execute(f"create view {name} as {rows}")
        return aside
    con.execute(f"create table {name} as {rows}")
    for part, kind in kinds.items():
        con.execute(f"drop {kind} {part}")
    return aside


def is_view(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Is ``name`` a view, and not a table?"""
    found = con.execute("select table_type from information_schema.tables where table_name = ?", [name]).fetchall()
    return bool(found) and found[0][0] == "VIEW"


def _each_once(path: Path, names: list[str]) -> None:
    # By their places: in a file without a heading the names are somebody's values.
    if places := [str(i) for i, n in enumerate(names, start=1) if names.count(n) > 1]:
        raise LinkageError(f"{path.name} names a column twice: columns {', '.join(places)}")


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _plain(column: str) -> str:
    """FIRST NAME, First-Name and first_name are one column."""
    return re.sub(r"[\s-]+", "_", column.strip().lower())


def _values(con: duckdb.DuckDBPyConnection, part: str, columns: dict[str, str]) -> list[str]:
    """SQL for the text of each column of ``part``, given with its type; whole numbers without a fraction."""

    def fractions(relation: str, names: list[str]) -> list[str]:
        """Which of the columns have a value, and none that does not end in .0."""
        tests = [f"bool_and(ends_with({c}, '.0')) filter ({c} <> '')" for c in map(_name, names)]
        found = con.execute(f"select {', '.join(tests)} from {relation}").fetchall()[0] if names else ()
        return [n for n, is_one in zip(names, found, strict=True) if is_one is not False]

    # Most columns are seen to be something else in their first rows.
    texts = [c for c, kind in columns.items() if kind == "VARCHAR"]
    texts = fractions(part, fractions(f"(from {part} limit 1000)", texts))
    values = []
    for column, kind in columns.items():
        c = _name(column)
        if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
            number = f"{c}::double"
            values.append(f"""case when not isfinite({number}) then null
                when {number} = trunc({number}) and abs({number}) < 1e15 then {number}::bigint::varchar
                else {c}::varchar end""")
        elif column in texts:
            values.append(f"regexp_replace({c}, '^\\s*([0-9]+)\\.0\\s*$', '\\1')")
        else:
            values.append(f"{c}::varchar")
    return values


def _opening(path: Path) -> bytes:
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as handle:
        try:
            return bytes(handle.read(1 << 16))
        except OSError as error:
            raise LinkageError(f"{path.name} is not what its name says: it cannot be unpacked") from error


def _parquet(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> None:
    try:
        con.execute(f"create view {table} as select * from read_parquet({quoted(path)})")
    except duckdb.Error as error:
        raise LinkageError(f"{path.name} is a damaged Parquet file") from error


def _text(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> int:
    start = _opening(path)
    if not start.strip():
        raise LinkageError(f"{path.name} is empty")
    is_wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if start.startswith(b"PK") or (b"\0" in start and not is_wide):
        raise LinkageError(f"{path.name} is neither CSV nor Parquet: save it as one of them")
    head = start.decode("utf-16" if is_wide else "utf-8-sig", errors="replace").splitlines()[0]
    unquoted = "".join(head.split('"')[::2])
    delimiter = max(_DELIMITERS, key=unquoted.count)
    names = [c.strip() or f"column {i}" for i, c in enumerate(next(csv.reader([head], delimiter=delimiter)), start=1)]
    _each_once(path, [n.lower() for n in names])
    columns = ", ".join(f"{quoted(c)}: 'varchar'" for c in names)
    encoding = "utf-16" if is_wide else _encoding(path)
    end = "\n" if b"\n" in start else "\r"
    if encoding == MIXED:
        return _line_by_line(con, path, table, names, delimiter, encoding, end)
    try:
        con.execute(
            f"create table {table} as select * from read_csv({quoted(path)}, columns = {{{columns}}}, header = true, "
            f"auto_detect = false, delim = {quoted(delimiter)}, quote = '\"', escape = '\"', encoding = '{encoding}')"
        )
        # A quotation mark that is never closed takes all lines after it into one value, and that is no error.
        with _lines(path, encoding, end) as lines:
            if _size(con, table) == sum(not line.isspace() for line in lines) - 1:
                return 0
        con.execute(f"drop table {table}")
    except duckdb.Error:
        pass
    return _line_by_line(con, path, table, names, delimiter, encoding, end)


def _size(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(con.execute(f"select count(*) from {table}").fetchall()[0][0])


def _lines(path: Path, encoding: str, end: str) -> TextIO:
    errors = MIXED if encoding == MIXED else "strict"
    encoding = "utf-8-sig" if encoding in ("utf-8", MIXED) else encoding
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding=encoding, errors=errors, newline=end)
    return path.open(encoding=encoding, errors=errors, newline=end)


def _line_by_line(
    con: duckdb.DuckDBPyConnection, path: Path, table: str, names: list[str], delimiter: str, encoding: str, end: str
) -> int:
    """Make ``table`` of a file with short lines or stray quotation marks; returns how many lines it leaves out.

    Raises :class:`LinkageError` where no line can be read.
    """
    con.execute(f"create table {table} ({', '.join(f'{_name(n)} varchar' for n in names)})")
    aside = 0

    def read(lines: Iterator[str]) -> Iterator[list[str | None]]:
        nonlocal aside
        for values in _rows(lines, delimiter, len(names)):
            if values is None:
                aside += 1
            else:
                yield [v or None for v in values] + [None] * (len(names) - len(values))

    try:
        with _lines(path, encoding, end) as lines:
            next(lines)
            found = read(lines)
            while rows := list(islice(found, _BATCH)):
                con.register(
                    "kw_rows",
                    pa.table([pa.array(c, pa.string()) for c in zip(*rows, strict=True)], names=names),
                )
                con.execute(f"insert into {table} select * from kw_rows")
                con.unregister("kw_rows")
    except UnicodeError as error:
        raise LinkageError(f"{path.name} cannot be read as CSV") from error
    if aside and not _size(con, table):
        raise LinkageError(f"{path.name} cannot be read as CSV: none of its lines is like its heading")
    return aside


def _rows(lines: Iterator[str], delimiter: str, width: int) -> Iterator[list[str] | None]:
    """The values of each row, at most ``width`` of them; None for each line that cannot be read."""
    ahead: deque[str] = deque()
    usual, is_torn = width, False
    while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
        if line.isspace():
            continue
        is_plain = '"' not in line
        values = line.rstrip("\r\n").split(delimiter) if is_plain else _quoted(line, lines, ahead, delimiter, width)
        if values is None or any(map(str.strip, values[width:])):
            is_torn = True
            yield None
        elif is_torn and len(values) < usual:
            # What is left of a value of several lines whose first could not be read is no row.
            yield None
        else:
            usual, is_torn = len(values), False
            yield values[:width]


def _quoted(line: str, lines: Iterator[str], ahead: deque[str], delimiter: str, width: int) -> list[str] | None:
    """The values of a row that begins with ``line`` and has quotation marks; None where they do not fit together.

    Takes the further lines of a quoted value from ``ahead`` and ``lines``; those it does not need lie in ``ahead``.
    """
    taken = [line]

    def following() -> Iterator[str]:
        yield line
        while (more := ahead.popleft() if ahead else next(lines, None)) is not None:
            taken.append(more)
            yield more

    try:
        values = next(csv.reader(following(), delimiter=delimiter, strict=True))
        # Two stray marks, each in its own line, look like a value that holds all lines between: but those are rows.
        swallowed = sum(t.count(delimiter) >= width - 1 for t in taken)
        if len(taken) == 1 or (len(values) == width and 2 * swallowed <= len(taken)):
            return values
    except (csv.Error, StopIteration):
        pass
    ahead.extendleft(reversed(taken[1:]))
    if line.count('"') % 2 == 0:
        try:
            values = next(csv.reader([line], delimiter=delimiter))
        except csv.Error:
            return None
        return values if len(values) == width else None
    return None


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    """Of a file put together from several: what is no UTF-8 is read as Latin 1."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(MIXED, _as_latin_1)


def _encoding(path: Path) -> str:
    """``utf-8``, ``latin-1``, or :data:`MIXED`: the lines of both in one file."""
    strict, lenient = (codecs.getincrementaldecoder("utf-8")(errors) for errors in ("strict", MIXED))
    is_utf8, letters, high = True, 0, 0
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as handle:
        is_last = False
        while not is_last:
            block = handle.read(1 << 20)
            is_last = not block
            if is_utf8:
                try:
                    strict.decode(block, is_last)
                except UnicodeDecodeError:
                    is_utf8 = False
            text = lenient.decode(block, is_last)
            letters += len(text) - len(text.encode("ascii", "ignore"))
            high += len(block.translate(None, bytes(range(128))))
    # A letter beyond ASCII has one byte in Latin 1, and two or more in UTF-8.
    return "utf-8" if is_utf8 else "latin-1" if letters == high else MIXED
