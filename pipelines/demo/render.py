"""Writes typed rows as the files an agency would send, knowing nothing but the contract.

Typed values are written in the contract's first date format, its first tokens for yes and no, its delimiter and
headers. A column that already holds text is written as it stands: that is how errors get into files. What does not
belong here: what the rows say.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
import zipfile
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import duckdb
import pyarrow as pa
from lxml import etree
from openpyxl import Workbook
from openpyxl.utils import get_column_letter

from expectations.contract import Column, Contract, Table
from expectations.vocabulary import ColumnType, FileFormat

#: Contracts write the root of an XML file as ``/*``; this is the root AFCARS files have.
_ROOT = "{http://www.acf.hhs.gov}data"


def render(contract: Contract, tables: Mapping[str, pa.Table], folder: Path, delivery_date: dt.date) -> list[Path]:
    """Write ``tables`` (by contract name, columns by contract name) as one delivery's files into ``folder``.

    A column the table lacks is written empty; columns whose name starts with an underscore are not written. Returns
    the files, by name. Raises :class:`KeyError` for a table the contract does not know.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_file: dict[str, list[Table]] = {}
    for name in tables:
        table = contract.tables[name]
        by_file.setdefault(table.file.replace("{date}", f"{delivery_date:%Y%m%d}"), []).append(table)
    order = list(contract.tables)
    written: list[Path] = []
    with duckdb.connect() as con:
        for file, members in sorted(by_file.items()):
            members.sort(key=lambda t: order.index(t.name))
            path = folder / file
            kind = members[0].delivery.format
            if kind is FileFormat.XLSX:
                _xlsx(contract, members, tables, path)
            elif kind is FileFormat.XML:
                _xml(con, contract, members, tables, path)
            else:
                _text(con, contract, members[0], tables[members[0].name], path)
            written.append(path)
    return written


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _as_text(contract: Contract, column: Column, kind: pa.DataType) -> str:
    """SQL that writes one column as the contract wants it; text passes unchanged."""
    name = _quoted(column.name)
    if pa.types.is_boolean(kind):
        yes, no = _literal(contract.true_tokens[0]), _literal(contract.false_tokens[0])
        return f"case {name} when true then {yes} when false then {no} end"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return f"strftime({name}, {_literal(contract.formats(column)[0])})"
    if pa.types.is_decimal(kind):
        return f"rtrim(rtrim({name}::varchar, '0'), '.')"
    return f"nullif({name}::varchar, '')"


def as_text(con: duckdb.DuckDBPyConnection, contract: Contract, table: Table, rows: pa.Table) -> pa.Table:
    """All columns of ``table`` as the texts its file holds (null where empty), named by their headers, in order."""
    kinds = {field.name: field.type for field in rows.schema}
    parts = [
        f"{_as_text(contract, c, kinds[c.name]) if c.name in kinds else 'null::varchar'} as {_quoted(f'{i}')}"
        for i, c in enumerate(table.columns)
    ]
    con.register("rows", rows)
    texts = con.execute(f"select {', '.join(parts)} from rows").to_arrow_table()
    con.unregister("rows")
    return texts.rename_columns([c.raw for c in table.columns])


def _text(con: duckdb.DuckDBPyConnection, contract: Contract, table: Table, rows: pa.Table, path: Path) -> None:
    if table.delivery.format is FileFormat.FIXED_WIDTH:
        path.write_text(
            "".join(_fixed(table, as_text(con, contract, table, rows))), encoding=table.delivery.encodings[0]
        )
        return
    kinds = {field.name: field.type for field in rows.schema}
    parts = [
        f"{_as_text(contract, c, kinds[c.name]) if c.name in kinds else 'null::varchar'} as {_quoted(c.raw)}"
        for c in table.columns
    ]
    con.register("rows", rows)
    con.execute(
        f"copy (select {', '.join(parts)} from rows) to {_literal(str(path))} "
        f"(format csv, header true, delimiter {_literal(table.delivery.delimiter)}, nullstr '')"
    )
    con.unregister("rows")
    if table.delivery.encodings[0] != "utf-8":
        path.write_text(path.read_text(encoding="utf-8"), encoding=table.delivery.encodings[0])


def _fixed(table: Table, texts: pa.Table) -> Iterable[str]:
    length = max((c.start or 1) + (c.width or 0) - 1 for c in table.columns)
    for row in zip(*(texts.column(i).to_pylist() for i in range(texts.num_columns)), strict=True):
        line = [" "] * length
        for column, value in zip(table.columns, row, strict=True):
            start, width = column.start or 1, column.width or 0
            line[start - 1 : start - 1 + width] = (value or "")[:width].ljust(width)
        yield "".join(line) + "\n"


# -- workbooks --------------------------------------------------------------------------------------------------

#: A workbook counts days from here, and gives dates and times a style: the second and third that openpyxl makes.
_EXCEL_EPOCH = dt.datetime(1899, 12, 30)
_SHEET_DATA = re.compile(rb"<sheetData\s*/>|<sheetData>.*</sheetData>", re.DOTALL)


def _xlsx(contract: Contract, members: list[Table], tables: Mapping[str, pa.Table], path: Path) -> None:
    """openpyxl makes the workbook and its styles; the rows are put in as text, which takes a tenth of the time.

    The clock is taken out of the file: one seed must give one workbook, byte for byte.
    """
    book = Workbook(write_only=True)
    for table in members:
        sheet = book.create_sheet(table.sheet)
        sheet.append([_EXCEL_EPOCH.date(), _EXCEL_EPOCH])
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            number = re.fullmatch(r"xl/worksheets/sheet(\d+)\.xml", name)
            if number:
                table = members[int(number[1]) - 1]
                rows = _sheet_rows(contract, table, tables[table.name]).encode()
                place = _SHEET_DATA.search(content)
                assert place is not None, "openpyxl writes sheetData in every sheet"
                content = content[: place.start()] + b"<sheetData>" + rows + b"</sheetData>" + content[place.end() :]
            elif name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"2026-01-01T00:00:00Z", content)
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def _sheet_rows(contract: Contract, table: Table, rows: pa.Table) -> str:
    letters = [get_column_letter(i + 1) for i in range(len(table.columns))]
    header = "".join(
        f'<c r="{x}{table.header_row}"{_text_cell(c.raw)}' for x, c in zip(letters, table.columns, strict=True)
    )
    lines = [f'<row r="{table.header_row}">{header}</row>']
    columns = [
        [_cell(contract, c, v) for v in rows.column(c.name).to_pylist()]
        if c.name in rows.column_names
        else itertools.repeat(None, rows.num_rows)
        for c in table.columns
    ]
    for n, row in enumerate(zip(*columns, strict=True), table.header_row + 1):
        cells = "".join(f'<c r="{x}{n}"{cell}' for x, cell in zip(letters, row, strict=True) if cell is not None)
        lines.append(f'<row r="{n}">{cells}</row>')
    return "".join(lines)


def _text_cell(text: str) -> str:
    return f' t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def _cell(contract: Contract, column: Column, value: Any) -> str | None:
    """What follows a cell's address in the sheet; None for an empty cell."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return _text_cell(contract.true_tokens[0] if value else contract.false_tokens[0])
    if isinstance(value, dt.datetime):
        return f' s="2"><v>{(value - _EXCEL_EPOCH) / dt.timedelta(days=1)!r}</v></c>'
    if isinstance(value, dt.date):
        return f' s="1"><v>{(value - _EXCEL_EPOCH.date()).days}</v></c>'
    if isinstance(value, Decimal):
        return f"><v>{float(value)!r}</v></c>"
    # A day written as digits is Excel's own number for it, without a date's style.
    if isinstance(value, int) or (column.type is ColumnType.DATE and value.isdigit()):
        return f"><v>{value}</v></c>"
    return _text_cell(value)


# -- nested XML -------------------------------------------------------------------------------------------------


def _xml(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    members: list[Table],
    tables: Mapping[str, pa.Table],
    path: Path,
) -> None:
    """Nest shredded tables: a row hangs under the row of the table whose XPath leads to it."""
    root = etree.Element(_ROOT, nsmap={"acf": "http://www.acf.hhs.gov"})
    paths = {t.name: [_steps(p) for p in (t.rows or "").split("|")] for t in members}
    made: dict[str, dict[tuple[str | None, ...], etree._Element]] = {}
    for table in sorted(members, key=lambda t: (len(paths[t.name][0]), members.index(t))):
        texts = as_text(con, contract, table, tables[table.name])
        values = {c.name: texts.column(i).to_pylist() for i, c in enumerate(table.columns)}
        rows = tables[table.name]
        tags = rows.column("_tag").to_pylist() if "_tag" in rows.column_names else None
        link = [c.name for c in table.columns if c.raw.startswith("ancestor::")]
        parent = _parent(table, paths, members)
        above = len(parent[1]) if parent else 1
        known: dict[tuple[str | None, ...], etree._Element] = {}
        if parent:
            keys = tables[parent[0].name]
            parent_texts = as_text(con, contract, parent[0], keys)
            names = [c.name for c in parent[0].columns]
            listed = [parent_texts.column(names.index(name)).to_pylist() for name in link]
            known = dict(zip(zip(*listed, strict=True), made[parent[0].name].values(), strict=True))
        elements: dict[tuple[str | None, ...], etree._Element] = {}
        own = [c for c in table.columns if _is_own(c)]
        once = [c for c in table.columns if c.raw.startswith("/*/")]
        for i in range(rows.num_rows):
            if not parent and not elements:
                for column in once:
                    etree.SubElement(root, column.raw.removeprefix("/*/")).text = values[column.name][i]
            steps = _alternative(table, paths[table.name], values, i)
            holder = known[tuple(values[name][i] for name in link)] if parent else root
            for step in steps[above:-1]:
                found = holder.find(step)
                holder = found if found is not None else etree.SubElement(holder, step)
            row = etree.SubElement(holder, tags[i] if tags else steps[-1])
            elements[(str(i),)] = row
            for column in own:
                value = values[column.name][i]
                if column.raw == ".":
                    row.text = value
                elif value is not None:
                    _put(row, column.raw, value)
        made[table.name] = elements
    path.write_bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _steps(xpath: str) -> list[str]:
    return xpath.strip().lstrip("/").split("/")


def _parent(table: Table, paths: dict[str, list[list[str]]], members: list[Table]) -> tuple[Table, list[str]] | None:
    best: tuple[Table, list[str]] | None = None
    mine = paths[table.name][0]
    for other in members:
        for steps in paths[other.name]:
            nearer = best is None or len(steps) > len(best[1])
            if other is not table and len(steps) < len(mine) and mine[: len(steps)] == steps and nearer:
                best = (other, steps)
    return best


def _alternative(table: Table, paths: list[list[str]], values: dict[str, list[Any]], i: int) -> list[str]:
    """Of several XPaths, the one whose last step is the row's own tag."""
    for column in table.columns:
        if column.raw == "name()":
            return next(p for p in paths if p[-1] == values[column.name][i])
    return paths[0]


def _is_own(column: Column) -> bool:
    """Whether the column is an element (or the text) of the row itself, not derived or inherited."""
    return column.raw == "." or not (column.raw.startswith("/") or "::" in column.raw or "(" in column.raw)


def _put(row: etree._Element, raw: str, value: str) -> None:
    holder = row
    *nest, last = raw.split("/")
    for step in nest:
        found = holder.find(step)
        holder = found if found is not None else etree.SubElement(holder, step)
    etree.SubElement(holder, last).text = value
