"""Workbooks (XLSX): one sheet per table, headers in the row the contract says, dates however Excel kept them."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from expectations.contract import Column, Contract, Table
from expectations.vocabulary import ColumnType
from pipelines.landing.findings import Finding, Refused, refuse
from pipelines.landing.readers.received import Received, rejects, text_rows
from pipelines.storage import identifier, quoted

#: A workbook that unpacks to more than this is no coordinator's workbook.
_MAX_UNPACKED = 1 << 30
_EPOCHS = {False: dt.datetime(1899, 12, 30), True: dt.datetime(1904, 1, 1)}
#: Serial numbers of 1900 to 2199; other numbers in a date column are left as they are and fail the type rule.
_SERIALS = (1, 109_574)


def read_workbook(
    path: Path, contract: Contract, tables: Sequence[Table], scratch: Path, connection: object
) -> dict[str, Received | Refused]:
    """Read every table of a workbook; a table whose sheet is missing or misnamed is refused alone. Raises Refused."""
    epoch = _EPOCHS[_uses_1904(path)]
    try:
        # From the open file, because a path without an ending would make the library guess another format.
        book = CalamineWorkbook.from_filelike(BytesIO(path.read_bytes()))
    except (CalamineError, OSError) as error:
        raise refuse("malformed_workbook") from error
    sheets = {name.strip().casefold(): name for name in book.sheet_names}
    wanted = {(t.sheet or "").strip().casefold() for t in tables}
    notes = tuple(
        Finding("extra_sheet", f"sheet {number}", action="warn")
        for number, name in enumerate(book.sheet_names, 1)
        if name.strip().casefold() not in wanted
    )
    results: dict[str, Received | Refused] = {}
    for table in tables:
        name = sheets.get((table.sheet or "").strip().casefold())
        if name is None:
            if not table.optional:
                results[table.name] = refuse("missing_sheet", table.sheet)
            continue
        try:
            results[table.name] = _read_sheet(book.get_sheet_by_name(name), contract, table, scratch, epoch, notes)
        except CalamineError:
            results[table.name] = refuse("malformed_workbook", table.sheet)
        except Refused as refusal:
            results[table.name] = refusal
    if all(isinstance(r, Received) and r.rows + r.rejected == 0 for r in results.values()):
        raise refuse("empty_file")
    return results


def _uses_1904(path: Path) -> bool:
    """Whether day 0 is in 1904 (old Mac workbooks). Refuses what is no workbook, or one that unpacks without end."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(i.file_size for i in archive.infolist()) > _MAX_UNPACKED:
                raise refuse("malformed_workbook", detail="It unpacks to more than a gigabyte.")
            about = archive.read("xl/workbook.xml")
    except (zipfile.BadZipFile, KeyError, OSError, RuntimeError) as error:
        raise refuse("malformed_workbook") from error
    return re.search(rb"date1904\s*=\s*[\"'](1|true)[\"']", about) is not None


def _read_sheet(
    sheet: CalamineSheet,
    contract: Contract,
    table: Table,
    scratch: Path,
    epoch: dt.datetime,
    notes: tuple[Finding, ...],
) -> Received:
    cells = sheet.to_python(skip_empty_area=False)
    if len(cells) < table.header_row:
        raise Refused([Finding("missing_header", table.sheet, lines=(table.header_row,))])
    merged = {row + 1 for (first, _), (last, _) in sheet.merged_cell_ranges or [] for row in range(first, last + 1)}
    if table.header_row in merged:
        raise Refused([Finding("merged_cells", table.sheet, lines=(table.header_row,))])
    places = _places(table, [str(c).strip() for c in cells[table.header_row - 1]])
    out = text_rows(scratch / f"{table.name}.parquet", [c.name for c in table.columns])
    bad = rejects(scratch / f"{table.name}.rejects.parquet")
    for number, row in enumerate(cells[table.header_row :], table.header_row + 1):
        texts = [
            _text(row[place], column, contract, epoch) for column, place in zip(table.columns, places, strict=True)
        ]
        if number in merged:
            # The value stands in the first cell of a merge only: what the other rows mean is anybody's guess.
            bad.add(number, "merged_cells", None, "\t".join(t or "" for t in texts))
        elif any(t is not None for t in texts):
            out.add(number, *texts)
    names = ", ".join(identifier(c.name) for c in table.columns)
    relation = f"(select _line, {names} from read_parquet({quoted(out.close())}))"
    return Received(relation, out.count, bad.close(), bad.count, notes=notes)


def _places(table: Table, header: list[str]) -> list[int]:
    """Position of every contract column. Raises Refused naming each missing, extra or doubled column."""
    names = [h.casefold() for h in header]
    raws = {c.raw.strip().casefold(): c.name for c in table.columns}
    line = (table.header_row,)
    findings = [Finding("duplicate_header", raws.get(n), lines=line) for n in raws if names.count(n) > 1]
    findings += [Finding("missing_column", name, lines=line) for raw, name in raws.items() if raw not in names]
    findings += [
        Finding("extra_column", f"column {i}", lines=line) for i, n in enumerate(names, 1) if n and n not in raws
    ]
    if findings:
        raise Refused(findings, tuple(header))
    return [names.index(raw) for raw in raws]


def _text(cell: Any, column: Column, contract: Contract, epoch: dt.datetime) -> str | None:
    """A cell as the text the contract's rules expect; None for an empty one."""
    is_moment = column.type in (ColumnType.DATE, ColumnType.TIMESTAMP)
    is_number = isinstance(cell, int | float) and not isinstance(cell, bool)
    if is_moment and is_number and _SERIALS[0] <= cell <= _SERIALS[1]:
        # Seconds, because serial numbers are days in floating point.
        cell = epoch + dt.timedelta(seconds=round(cell * 86_400))
    if isinstance(cell, bool) and column.type is ColumnType.BOOLEAN:
        return (contract.true_tokens if cell else contract.false_tokens)[0]
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, dt.datetime | dt.date):
        return _moment(cell, column, contract)
    if isinstance(cell, dt.time):
        return cell.isoformat()
    text = str(cell).strip()
    return text or None


def _moment(cell: dt.date | dt.datetime, column: Column, contract: Contract) -> str:
    if column.type is ColumnType.TIMESTAMP:
        moment = cell if isinstance(cell, dt.datetime) else dt.datetime.combine(cell, dt.time())
        return moment.strftime(contract.formats(column)[0])
    if column.type is ColumnType.DATE and (not isinstance(cell, dt.datetime) or cell.time() == dt.time()):
        return cell.strftime(contract.formats(column)[0])
    return cell.isoformat()
