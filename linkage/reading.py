"""Files of any maker as tables: comma, semicolon, tab or bar; with a byte order mark or not; UTF-8, UTF-16 or Latin 1.

A file that cannot be read for sure is refused with what is wrong with it; a line that cannot is set aside and counted.
No message holds a value of a row.
"""

from __future__ import annotations

import codecs
import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import duckdb

from linkage.store import quoted

_DELIMITERS = ",;\t|"


class LinkageError(ValueError):
    """Given files that cannot be linked. The message names the file and what it lacks, never a value."""


def read_tables(con: duckdb.DuckDBPyConnection, paths: Sequence[Path], name: str, needed: Sequence[str]) -> int:
    """Make table (or view) ``name`` of all rows of Parquet or CSV files; returns how many lines could not be read.

    Columns are matched by name, in lower case and without blanks around them; all values are text. A line with too few
    values ends in empty ones.

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
        names = [r[0] for r in con.execute(f"describe {part}").fetchall()]
        plain = [c.strip().lower() for c in names]
        _each_once(path, plain)
        if missing := sorted(set(needed) - set(plain)):
            raise LinkageError(f"{path.name} lacks the columns {', '.join(missing)}")
        casts = ", ".join(f"{_name(c)}::varchar as {_name(p)}" for c, p in zip(names, plain, strict=True))
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
    exact = f"header = true, auto_detect = false, delim = {quoted(delimiter)}, quote = '\"', escape = '\"'"
    lenient = f"{exact}, strict_mode = false, null_padding = true, parallel = false, store_rejects = true"

    def read(how: str, encoding: str) -> bool:
        try:
            con.execute(
                f"create table {table} as select * from read_csv({quoted(path)}, columns = {{{columns}}}, {how}, "
                f"encoding = '{encoding}')"
            )
        except duckdb.Error:
            return False
        return True

    encoding = "utf-16" if is_wide else "utf-8"
    if read(exact, encoding):
        return 0
    if not is_wide and not _is_utf8(path):
        encoding = "latin-1"
        if read(exact, encoding):
            return 0
    if not read(lenient, encoding):
        raise LinkageError(f"{path.name} cannot be read as CSV")
    aside = con.execute("select count(distinct line) from reject_errors").fetchall()[0][0]
    con.execute("drop table reject_errors")
    con.execute("drop table reject_scans")
    return int(aside)


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as handle:
        try:
            while block := handle.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True
