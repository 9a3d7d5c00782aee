"""Text files line by line, in blocks: encoding, line ends, over-long lines and control characters.

A claims extract has a hundred million lines, so a block is looked at with array operations and only the few unusual
lines one by one. DuckDB then parses a file that is known to be well formed: the original itself when nothing was
wrong, otherwise a copy in which every line that is no row has become a placeholder. So the number of a row in that
file is always its line in the original.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import duckdb
import numpy as np
import numpy.typing as npt

from pipelines.landing.findings import Refused, refuse
from pipelines.landing.readers.received import Rows
from pipelines.storage import identifier, quoted

#: Longest record, in bytes. A file without line ends is recognised after this much, not after reading it all.
MAX_RECORD = 1 << 20
BLOCK = 8 << 20
#: Stands for a line that is no row. A real NUL never gets this far.
PLACEHOLDER = b"\x00"

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Whole lines of a file as UTF-8 with line feeds. ``altered``: no longer the bytes that were delivered."""

    text: bytes
    altered: bool
    last: bool
    cut_off: bool = False  # the last line has no line end


def blocks(path: Path, encoding: str) -> Iterator[Block]:
    """Read ``path`` in blocks of whole lines.

    Raises UnicodeError when the text is not in ``encoding``, and Refused for a line longer than ``MAX_RECORD``.
    """
    codec = codecs.lookup(encoding).name
    number = 1
    with path.open("rb") as handle:
        start = handle.read(3)
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise refuse("encoding", line=1, detail="The file is UTF-16.")
        has_mark = start == codecs.BOM_UTF8
        rest = b"" if has_mark else start
        while True:
            chunk = handle.read(BLOCK)
            cut_off = False
            raw = rest + chunk
            if chunk:
                end = raw.rfind(b"\n") + 1
                rest = raw[end:]
                raw = raw[:end]
                if len(rest) > MAX_RECORD:
                    raise refuse("line_too_long", line=number + raw.count(b"\n"))
            else:
                rest = b""
                cut_off = bool(raw) and not raw.endswith(b"\n")
                if cut_off:
                    raw += b"\n"
            if raw or not chunk:
                text = _utf8(raw, codec)
                altered = text is not raw or has_mark
                if b"\r\n" in text:
                    text, altered = text.replace(b"\r\n", b"\n"), True
                yield Block(text, altered, not chunk, cut_off)
                number += text.count(b"\n")
                has_mark = False
            if not chunk:
                return


def _utf8(raw: bytes, codec: str) -> bytes:
    if raw.isascii():
        return raw
    text = raw.decode(codec)  # strict: raises
    return raw if codec == "utf-8" else text.encode("utf-8")


@dataclass(frozen=True)
class Lines:
    """Where the lines of a block are: ``ends`` are the positions of the line feeds."""

    text: bytes
    array: Bytes
    starts: Positions
    ends: Positions

    @classmethod
    def of(cls, text: bytes) -> Lines:
        array = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(array == 10)
        starts = np.empty_like(ends)
        if len(ends):
            starts[0] = 0
            starts[1:] = ends[:-1] + 1
        return cls(text, array, starts, ends)

    def line(self, index: int) -> bytes:
        return self.text[self.starts[index] : self.ends[index]]

    def holding(self, byte: int) -> Positions:
        """Indexes of lines that hold ``byte``, ascending."""
        if bytes([byte]) not in self.text:
            return np.empty(0, np.int64)
        return np.unique(np.searchsorted(self.ends, np.flatnonzero(self.array == byte)))


@dataclass
class Verdict:
    """What is to be done with one line (or with ``span`` lines that are one record)."""

    index: int
    span: int = 1
    rule: str | None = None  # None: no row and nothing wrong (a blank line), or a record to be written anew
    rewritten: bytes | None = None  # the record as the parser shall see it, without line feed
    is_short: bool = False  # ends too early, as the last row of a transfer that was cut off does


#: Judges the lines of a block. Returns the verdicts on all lines that are not plain rows, ascending, and how many
#: lines were judged (fewer than all when the last record goes on in the next block).
Judge = Callable[[Lines, bool], tuple[list[Verdict], int]]


@dataclass(frozen=True)
class Screened:
    """A file DuckDB can parse line by line: row ``n`` of it is line ``n + skipped`` of the delivered file.

    Of its ``lines`` after the header, ``rows`` are rows; the others are placeholders.
    """

    path: Path
    skipped: int
    lines: int
    rows: int
    encoding: str
    has_line_ends_in_values: bool


def parse(
    connection: duckdb.DuckDBPyConnection, screened: Screened, options: str, names: Sequence[str], target: Path
) -> str:
    """Parse a screened file into text columns ``names``, kept as Parquet in ``target``; returns a query over it.

    ``options`` describe the separator and quotation marks to DuckDB. Parquet in between costs one write and pays for
    it: the rules are judged by all cores, more than once, and a row's number is there for the asking. Raises
    RuntimeError when the parser sees other rows than the screening did.
    """
    types = ", ".join(f"{quoted(name)}: 'varchar'" for name in names)
    row = connection.execute(
        f"copy (select * from read_csv({quoted(screened.path)}, auto_detect = false, header = false,"
        f" skip = {screened.skipped}, {options}, new_line = '\\n', max_line_size = {2 * MAX_RECORD},"
        # Cores that start in the middle of the file cannot know whether a line end there ends a row.
        f" parallel = {not screened.has_line_ends_in_values}, columns = {{{types}}}))"
        f" to {quoted(target)} (format parquet, compression zstd)"
    ).fetchone()
    if row is None or row[0] != screened.lines:
        raise RuntimeError(f"the parser found {row and row[0]} rows where the screening saw {screened.lines}")
    return (
        f"(select file_row_number + {screened.skipped + 1} as _line, * exclude (file_row_number)"
        f" from read_parquet({quoted(target)}, file_row_number = true)"
        f" where {identifier(names[0])} is distinct from chr(0))"
    )


class _Copy:
    """The corrected copy, begun only when the first correction is needed."""

    def __init__(self, original: Path, target: Path) -> None:
        self._original = original
        self._target = target
        self._handle: BinaryIO | None = None

    @property
    def begun(self) -> bool:
        return self._handle is not None

    def begin(self, upto: int) -> None:
        """Start with the first ``upto`` bytes of the original."""
        self._handle = self._target.open("wb")
        with self._original.open("rb") as source:
            while upto > 0:
                part = source.read(min(BLOCK, upto))
                self._handle.write(part)
                upto -= len(part)

    def write(self, text: bytes) -> None:
        assert self._handle is not None
        self._handle.write(text)

    def close(self) -> Path:
        if self._handle is None:
            return self._original
        self._handle.close()
        return self._target


def screen(
    path: Path,
    encodings: Sequence[str],
    copy: Path,
    new_rejects: Callable[[], Rows],
    placeholder: bytes,
    start: Callable[[str, Iterator[Block]], tuple[Judge, int, Block]],
) -> tuple[Screened, Rows]:
    """Look at every line of ``path`` once, in the first of ``encodings`` that fits.

    ``start`` reads the header from the first block and returns the judge, the number of header lines and the block
    itself. Raises Refused.
    """
    failed: Refused | None = None
    for encoding in encodings:
        found = new_rejects()
        counter = _Counter()
        try:
            return _screen(path, encoding, copy, found, placeholder, start, counter), found
        except UnicodeError as error:
            failed = refuse("encoding", line=counter.line(error))
            found.close()
    assert failed is not None
    raise failed


class _Counter:
    def __init__(self) -> None:
        self.lines = 0

    def line(self, error: UnicodeError) -> int:
        if isinstance(error, UnicodeDecodeError):
            return self.lines + error.object[: error.start].count(b"\n") + 1
        return self.lines + 1


def _screen(
    path: Path,
    encoding: str,
    copy_path: Path,
    found: Rows,
    placeholder: bytes,
    start: Callable[[str, Iterator[Block]], tuple[Judge, int, Block]],
    counter: _Counter,
) -> Screened:
    source = blocks(path, encoding)
    judge, header_lines, block = start(encoding, source)
    copy = _Copy(path, copy_path)
    position = 0  # of `pending` in the original, as long as no copy has begun
    pending = b""
    done = 0  # lines before `pending`
    rows = 0
    spans = False
    skip_lines = header_lines
    while True:
        text = pending + block.text
        if block.altered and not copy.begun:
            copy.begin(position)
        lines = Lines.of(text)
        if len(lines.ends) and int((lines.ends - lines.starts).max()) > MAX_RECORD:
            long = int(np.flatnonzero(lines.ends - lines.starts > MAX_RECORD)[0])
            raise refuse("line_too_long", line=done + long + 1)
        if skip_lines:  # header lines are kept so that row numbers stay line numbers
            head = int(lines.ends[skip_lines - 1]) + 1
            body = Lines.of(text[head:])
        else:
            head, body = 0, lines
        verdicts, judged = judge(body, block.last)
        end = head + (int(body.ends[judged - 1]) + 1 if judged else 0)
        if verdicts and not copy.begun:
            copy.begin(position)
        rows += judged
        parts: list[bytes] = [text[:head]]
        at = 0
        for verdict in verdicts:
            spans = spans or verdict.span > 1
            first, after = int(body.starts[verdict.index]), int(body.ends[verdict.index + verdict.span - 1]) + 1
            parts.append(body.text[at:first])
            if verdict.rule is not None:
                raw = body.text[first : after - 1].decode("utf-8", "replace").replace("\x00", "\\x00")
                found.add(done + skip_lines + verdict.index + 1, verdict.rule, None, raw)
            if verdict.rewritten is None:
                parts.append((placeholder + b"\n") * verdict.span)
                rows -= verdict.span
            else:
                parts.append(verdict.rewritten + b"\n" + (placeholder + b"\n") * (verdict.span - 1))
                rows -= verdict.span - 1
            at = after
        if copy.begun:
            parts.append(body.text[at : end - head])
            copy.write(b"".join(parts))
        if block.last and block.cut_off and verdicts:
            final = verdicts[-1]
            if final.is_short and final.index + final.span == judged:
                raise refuse("truncated_file", line=done + skip_lines + final.index + 1)
        position += end
        done += skip_lines + judged
        pending = text[end:]
        counter.lines = done + pending.count(b"\n")
        skip_lines = 0
        if block.last:
            break
        block = next(source)
    return Screened(copy.close(), header_lines, done - header_lines, rows, encoding, spans)
