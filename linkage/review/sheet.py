"""The queue as a workbook and back: for a reviewer who works through a list, or without this machine.

The workbook holds names: it belongs where the vault belongs. Everything but the two answer columns is protected, and
every row carries a check over what it shows, so that a row sorted apart or typed over is noticed on the way back.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Alignment, Font, PatternFill, Protection
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from linkage.review import decisions as reviewed
from linkage.review.desk import Desk, family_questions
from linkage.review.words import GROUNDS

_HEAD = ("pair", "why shown", "what they have in common", "what would change", "record A", "record B", "check")
_ANSWERS = ("decision", "reason")
_ODD = ("what is odd", "records of the one", "records of the other")
#: The words of a decision: those that are offered, and what is understood besides.
_WORDS = {"same person": "must_link", "different people": "cannot_link", "cannot tell": "unsure"}
_SHORT = {"same": "must_link", "different": "cannot_link", "unsure": "unsure"}
_WIDTH = (15, 26, 44, 36, 46, 46, 12, 13, 34)
#: What a workbook on the way back may weigh at most: ours has a few hundred kilobytes.
MAX_BYTES, MAX_ROWS = 20_000_000, 20_000
#: A cell holds 32,767 characters; nobody reads this many.
MAX_CELL = 8_000


def _check(values: list[str]) -> str:
    return hashlib.sha256("\x1f".join(values).encode()).hexdigest()[:10]


def _told(record: dict[str, str]) -> str:
    return "\n".join(f"{label}: {value}" for label, value in record.items())


def _plain(text: str) -> str:
    """``text`` as a cell can hold it and give it back: no control characters, no blanks around it, not too long."""
    return "".join(c for c in text if c == "\n" or c >= " ")[:MAX_CELL].strip()


def _write(sheet: Any, values: list[str]) -> None:
    """Put ``values`` into the last row of ``sheet``, as text whatever they look like."""
    for column, value in enumerate(values, start=1):
        cell = sheet.cell(sheet.max_row, column)
        cell.value = value
        # Set after the value, or a text beginning with "=" would have become a formula.
        cell.data_type = "s"
        cell.quotePrefix = True
        cell.alignment = Alignment(wrap_text=True, vertical="top")


def export(desk: Desk, path: Path, limit: int = 200) -> int:
    """Write the first ``limit`` open questions of ``desk`` to the workbook ``path``. Returns how many there are in it.

    A second sheet lists what is odd about families, by record number: nothing there is taken in again. Text that a
    spreadsheet would take for a formula stays text. No score is in the file.

    Raises :class:`~linkage.review.decisions.ReviewError` for a file that is there: it may hold somebody's decisions.
    """
    if path.exists():
        raise reviewed.ReviewError(
            f"{path.name} is there already, perhaps with decisions: import it, then name another file"
        )
    if path.suffix.lower() != ".xlsx":
        raise reviewed.ReviewError(f"{path.name} would be a workbook: give it a name that ends in .xlsx")
    questions = desk.open()[:limit]
    records = desk.records(questions)
    book = Workbook()
    sheet = book.active
    sheet.title = "review"
    sheet.append([*_HEAD, *_ANSWERS])
    for question in questions:
        a, b = (_told(records[key]) for key in question.pair)
        why = "\n".join([question.why, *desk.said(question)])
        shown = [_plain(v) for v in (question.item, why, question.words, question.consequence, a, b)]
        sheet.append([None] * len(_HEAD))
        _write(sheet, [*shown, _check(shown)])
        for column in range(len(_HEAD) + 1, len(_HEAD) + len(_ANSWERS) + 1):
            cell = sheet.cell(sheet.max_row, column)
            cell.protection = Protection(locked=False)
            cell.fill = PatternFill("solid", fgColor="FFF7D6")
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            cell.number_format = "@"
    for column, width in enumerate(_WIDTH, start=1):
        sheet.cell(1, column).font = Font(bold=True)
        sheet.column_dimensions[get_column_letter(column)].width = width
    last = max(sheet.max_row, 2)
    for letter, choices, strict in (("H", list(_WORDS), True), ("I", list(GROUNDS), False)):
        listed = ",".join(c.replace(",", ";") for c in choices)
        choice = DataValidation(
            "list", formula1=f'"{listed}"', allow_blank=True, showErrorMessage=strict, errorStyle="warning"
        )
        sheet.add_data_validation(choice)
        choice.add(f"{letter}2:{letter}{last}")
    sheet.freeze_panes = "B2"
    sheet.protection.sheet = True
    sheet.protection.formatColumns = sheet.protection.formatRows = False
    odd = book.create_sheet("families")
    odd.append(list(_ODD))
    for line in family_questions(desk.linkage_dir):
        odd.append([None] * len(_ODD))
        _write(odd, [_plain(v) for v in line])
    for column, width in enumerate((44, 40, 40), start=1):
        odd.cell(1, column).font = Font(bold=True)
        odd.column_dimensions[get_column_letter(column)].width = width
    odd.protection.sheet = True
    part = path.with_name(path.name + ".part")
    part.touch(mode=0o600)
    book.save(part)
    part.replace(path)
    return len(questions)


def take_in(desk: Desk, path: Path) -> dict[str, int]:
    """Take the decisions of a filled-in workbook; all of them or none.

    Rows without a decision are left open; a decision this reviewer has already taken in this role is not repeated, nor
    one thought over since, so a workbook may be taken in twice; what a night since has taken off the queue needs no
    decision any more. Returns counts.

    Raises :class:`~linkage.review.decisions.ReviewError` naming rows and columns,
    never values, when the file is no workbook of ours or any row is not as it was given out.
    """
    if not path.exists():
        raise reviewed.ReviewError(f"there is no file {path.name}")
    if path.stat().st_size > MAX_BYTES:
        raise reviewed.ReviewError("the workbook is far larger than any that was given out")
    try:
        # Formulas are read as text and fail the check; their results are never used.
        book = load_workbook(path, read_only=True, data_only=False, keep_links=False)
        table = list(book.worksheets[0].iter_rows(max_row=MAX_ROWS, max_col=20, values_only=True))
        book.close()
    except Exception as error:
        raise reviewed.ReviewError("this is no workbook (.xlsx) that can be read") from error
    head = [str(v).strip() if v is not None else "" for v in (table[0] if table else ())]
    if missing := [name for name in (*_HEAD, *_ANSWERS) if name not in head]:
        raise reviewed.ReviewError(f"the workbook lacks the columns {', '.join(missing)}")
    at = {name: head.index(name) for name in (*_HEAD, *_ANSWERS)}
    problems: list[str] = []
    wanted: list[tuple[int, Any, str, str]] = []
    seen: dict[str, int] = {}
    blank = gone = 0
    for number, row in enumerate(table[1:], start=2):
        value = {name: _text(row[i]) if i < len(row) else "" for name, i in at.items()}
        if not any(value.values()):
            continue
        shown = [value[name] for name in _HEAD[:-1]]
        if _check(shown) != value["check"]:
            problems.append(f"row {number}: a protected cell was changed or the row was sorted apart")
            continue
        if not value["decision"]:
            blank += 1
            continue
        said = " ".join(value["decision"].casefold().split())
        level = _WORDS.get(said) or _SHORT.get(said)
        if level is None:
            problems.append(f"row {number}, decision: none of {', '.join(_WORDS)} (or {', '.join(_SHORT)})")
        elif value["pair"] in seen:
            problems.append(f"row {number}: the same pair as row {seen[value['pair']]}")
        elif not value["reason"]:
            problems.append(f"row {number}, reason: a decision needs one")
        else:
            seen[value["pair"]] = number
            try:
                wanted.append((number, desk.question(value["pair"]), level, value["reason"]))
            except reviewed.ReviewError:
                gone += 1
    records = desk.records([q for _, q, _, _ in wanted])
    me = desk.reviewer.casefold()
    mine: dict[reviewed.Pair, list[tuple[str, str]]] = {}
    for d in reviewed.read(desk.decisions).lines:
        if d.reviewer.casefold() == me:
            mine.setdefault(d.pair, []).append((d.level, d.role))
    votes: list[tuple[reviewed.Pair, str, str]] = []
    for number, question, level, reason in wanted:
        try:
            desk.check_reason(question, reason, records)
        except reviewed.ReviewError as error:
            problems.append(f"row {number}, reason: {error}")
        # Nor what this reviewer has thought over since: the workbook is older. A supervisor's word is another.
        if (level, desk.role) not in mine.get(reviewed.pair_of(*question.pair), []):
            votes.append((question.pair, level, reason))
    if problems:
        more = f"\nand {len(problems) - 20} more" if len(problems) > 20 else ""
        raise reviewed.ReviewError("nothing was taken in:\n" + "\n".join(problems[:20]) + more)
    if votes:
        reviewed.append(desk.decisions, votes, desk.reviewer, desk.role)
    return {
        "decisions": len(votes),
        "already known": len(wanted) - len(votes),
        "no longer asked": gone,
        "left open": blank,
    }


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip().replace("\r\n", "\n").replace("_x000D_", "")
