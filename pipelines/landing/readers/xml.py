"""XML, cut into the contract's tables by its XPaths, one record at a time.

Nothing outside the file is ever fetched and no entity is expanded: a document type is refused before parsing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lxml import etree

from expectations.contract import Contract, Table
from pipelines.landing.findings import Finding, Refused, refuse
from pipelines.landing.readers.received import Received, Rows, rejects, text_rows
from pipelines.storage import identifier, quoted

_CHUNK = 1 << 20
_FORBIDDEN = [m.encode(e) for m in ("<!DOCTYPE", "<!ENTITY") for e in ("utf-8", "utf-16-le", "utf-16-be")]
_NAME = re.compile(r"[A-Za-z_][\w.-]*+(?!\(|::)")  # a tag in an XPath, not a function or an axis
_BAD_ENCODING = (etree.ErrorTypes.ERR_INVALID_ENCODING, etree.ErrorTypes.ERR_INVALID_CHAR)


@dataclass
class _Shredder:
    """One table: where its rows are below a record, and where each column is below a row."""

    rows: etree.XPath
    columns: list[etree.XPath]
    out: Rows


def read_xml(
    path: Path, contract: Contract, tables: Sequence[Table], scratch: Path, connection: object
) -> dict[str, Received | Refused]:
    """Read all ``tables`` of one XML file in a single pass.

    A record is the longest path the tables' row paths share; memory holds one record. ``_line`` is the line of the
    row's element, or the row's number where several rows stand on one line. Raises Refused.
    """
    _forbid_entities(path)
    encodings: list[str | None] = [None, *(e for e in tables[0].delivery.encodings if e != "utf-8")]
    failed: Refused | None = None
    for encoding in encodings:
        try:
            return _shred(path, encoding, tables, scratch)
        except Refused as refusal:
            if refusal.findings[0].rule != "encoding":
                raise
            failed = failed or refusal
    assert failed is not None
    raise failed


def _forbid_entities(path: Path) -> None:
    line = 1
    with path.open("rb") as handle:
        tail = b""
        while chunk := handle.read(_CHUNK):
            text = tail + chunk
            found = [i for m in _FORBIDDEN if (i := text.find(m)) >= 0]
            if found:
                raise refuse("forbidden_entity", line=line + text[: min(found)].count(b"\n"))
            line += text[:-32].count(b"\n")
            tail = text[-32:]


def _split(rows: str) -> list[list[str]]:
    return [part.strip().lstrip("/").split("/") for part in rows.split("|")]


def _record_path(tables: Sequence[Table]) -> list[str]:
    """Steps of the longest path common to all row paths."""
    paths = [steps for t in tables for steps in _split(t.rows or "")]
    shared: list[str] = []
    for steps in zip(*paths, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return shared


def _shred(path: Path, encoding: str | None, tables: Sequence[Table], scratch: Path) -> dict[str, Received | Refused]:
    record = _record_path(tables)
    shredders: dict[str, _Shredder] = {}
    for table in tables:
        relative = " | ".join("/".join([".", *steps[len(record) :]]) for steps in _split(table.rows or ""))
        out = text_rows(scratch / f"{table.name}.parquet", ["_number", *(c.name for c in table.columns)])
        shredders[table.name] = _Shredder(
            etree.XPath(relative), [etree.XPath(c.raw, smart_strings=False) for c in table.columns], out
        )
    known = {n for t in tables for p in (t.rows or "", *(c.raw for c in t.columns)) for n in _NAME.findall(p)}
    strangers: dict[str, tuple[int, int]] = {}  # tag -> (times seen, first line)
    for element in _records(path, encoding, record, known, strangers):
        for shredder in shredders.values():
            for row in cast("list[Any]", shredder.rows(element)):
                values = (_text(c(row)) for c in shredder.columns)
                shredder.out.add(row.sourceline, str(shredder.out.count + 1), *values)
    if strangers:
        raise Refused([Finding("extra_column", tag, n, (line,)) for tag, (n, line) in strangers.items()])
    nothing = rejects(scratch / "rejects.parquet").close()
    if all(s.out.count == 0 for s in shredders.values()):
        raise refuse("empty_file")
    return {name: _received(s.out, table, nothing) for (name, s), table in zip(shredders.items(), tables, strict=True)}


def _received(out: Rows, table: Table, nothing: Path) -> Received:
    source = f"read_parquet({quoted(out.close())})"
    names = ", ".join(identifier(c.name) for c in table.columns)
    relation = (
        f"(select case when (select count(distinct _line) = count(*) from {source}) then _line"
        f" else _number::bigint end as _line, {names} from {source})"
    )
    return Received(relation, out.count, nothing)


def _records(
    path: Path, encoding: str | None, record: list[str], known: set[str], strangers: dict[str, tuple[int, int]]
) -> Iterator[Any]:
    """Every element at the path ``record``, complete; what is not in ``known`` and holds text is noted."""
    open_tags: list[str] = []
    try:
        with path.open("rb") as handle:
            parser = etree.iterparse(
                handle,
                events=("start", "end"),
                resolve_entities=False,
                no_network=True,
                load_dtd=False,
                huge_tree=False,
                remove_comments=True,
                remove_pis=True,
                encoding=encoding,
            )
            for event, element in parser:
                tag = etree.QName(element).localname
                if event == "start":
                    if not open_tags and element.getroottree().docinfo.doctype:
                        raise refuse("forbidden_entity", line=1)  # in an encoding the search for it cannot see
                    open_tags.append(tag)
                    continue
                depth = len(open_tags)
                if tag not in known and len(element) == 0 and (element.text or "").strip():
                    times, line = strangers.get(tag, (0, int(element.sourceline or 0)))
                    strangers[tag] = (times + 1, line)
                if depth == len(record) and all(r in ("*", t) for r, t in zip(record, open_tags, strict=True)):
                    yield element
                    element.clear(keep_tail=False)
                    parent = element.getparent()
                    while (
                        parent is not None
                        and (before := element.getprevious()) is not None
                        and before.tag == element.tag
                    ):
                        parent.remove(before)
                open_tags.pop()
    except etree.XMLSyntaxError as error:
        rule = "encoding" if getattr(error, "code", None) in _BAD_ENCODING else "malformed_xml"
        raise refuse(rule, line=error.lineno or 1) from None


def _text(found: Any) -> str | None:
    """The result of an XPath as text: several elements joined with ``;``, a whole number without decimals."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return str(int(found)) if found.is_integer() else str(found)
    if isinstance(found, str):
        return found or None
    texts = [t for node in found if (t := (node if isinstance(node, str) else "".join(node.itertext())).strip())]
    return ";".join(texts) or None
