"""What landing says about a file: which rule, which field, which lines, how many, what to do. Never a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

#: What whoever sends the file can do about it.
HINTS = {
    "missing_file": "Send the file, or say in the contract that it is optional.",
    "stale": "The newest file is older than promised: send a new one.",
    "empty_file": "The file holds no rows. Check the export; a table that may be empty is optional in the contract.",
    "unknown_file": "No table of this source has files of this name. Compare the name with the contract's pattern.",
    "unsafe_name": "Use letters, digits, dot, dash and underscore in file names, and send a plain file, not a link.",
    "wrong_system": "This file belongs to another source. Move it to that source's inbox.",
    "future_delivery": "The date in the file name lies after the day the file was received.",
    "wrong_delimiter": "Columns are separated by another character than the contract says.",
    "missing_header": "The first line is not the header. Export with column names in the first line.",
    "duplicate_header": "Two columns have the same name: rename or drop one.",
    "missing_column": "A promised column is not in the file. It may have been renamed.",
    "extra_column": "The file has a column the contract does not know. Drop it, or have it added to the contract.",
    "encoding": "The text is in none of the encodings the contract allows. Export as UTF-8.",
    "ragged_row": "The row has more or fewer fields than the header. A separator inside a value must be quoted.",
    "bad_quoting": "A quotation mark is opened and not closed. Double the quotation marks inside a value.",
    "control_character": "The row holds a control character (such as NUL). Remove it before export.",
    "line_too_long": "A line is longer than a million characters: the line ends are probably missing.",
    "truncated_file": "The file stops in the middle of a row: the transfer was cut off. Send it again.",
    "malformed_xml": "The XML stops or breaks at this line. Send the whole file again.",
    "forbidden_entity": "XML with a document type or entities is not read. Export without a DOCTYPE.",
    "malformed_workbook": "The workbook cannot be opened. Save it again as .xlsx, without a password.",
    "missing_sheet": "The workbook has no sheet of this name. It may have been renamed.",
    "extra_sheet": "This sheet is not in the contract and was not read.",
    "merged_cells": "Cells are merged here, so it is unclear which row the value belongs to. Unmerge them.",
    "cannot_be_read": "Not every row could be accounted for: none was loaded. The fault may be ours: tell us.",
    "too_many_bad_rows": "More rows are bad than the contract allows in one file, so none was loaded.",
    "required": "Fill in the field; it may not be empty.",
    "type": "Write the value in the type and format the contract states.",
    "unknown_code": "Use a code of the contract's list, or have the new code added to it.",
    "impossible_date": "The date is too early, or later than the day of delivery. Check day, month and year.",
    "too_long": "Shorten the value to the length in the contract.",
    "duplicate_key": "Another row has the same key. The first one was kept.",
    "duplicate_row": "The same row occurs more than once. The first one was kept.",
}


@dataclass(frozen=True)
class Finding:
    """One broken rule in one file, counted.

    ``lines`` are the first few line numbers (sheet rows in a workbook; row numbers in XML without line breaks);
    empty when the whole file is meant. ``count`` is a number of rows, 1 for a whole file.
    """

    rule: str
    field: str | None = None
    count: int = 1
    lines: tuple[int, ...] = ()
    action: Literal["refuse", "quarantine", "warn"] = "refuse"
    detail: str = ""

    @property
    def line(self) -> int | None:
        """The first line it was found in."""
        return self.lines[0] if self.lines else None

    @property
    def hint(self) -> str:
        """What to do about it, in plain words."""
        known = HINTS.get(self.rule, "See the check of this name in the contract.")
        return f"{self.detail} {known}".strip()

    def as_record(self) -> dict[str, Any]:
        """For the delivery log."""
        return {"rule": self.rule, "field": self.field, "rows": self.count, "line": self.line, "action": self.action}


@dataclass
class Refused(Exception):
    """A file, or one table of it, cannot be read at all. ``header`` is what its first line claims to be."""

    findings: list[Finding]
    header: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join(sentence(f) for f in self.findings)


def refuse(rule: str, field: str | None = None, line: int | None = None, detail: str = "") -> Refused:
    """One reason to refuse a file."""
    return Refused([Finding(rule, field, 1, () if line is None else (line,), "refuse", detail)])


def sentence(finding: Finding, file: str | None = None) -> str:
    """A finding on one line: file, line, field, rule, count, hint."""
    parts = [] if file is None else [file]
    if finding.line is not None:
        parts.append(f"line {finding.line}")
    if finding.field:
        parts.append(f"field {finding.field}")
    parts.append(finding.rule)
    if finding.count > 1:
        parts.append(f"{finding.count} rows")
    return ", ".join(parts) + f". {finding.hint}"


def letter(file: str, findings: Iterable[Finding]) -> str:
    """The text beside a refused file that tells its sender why."""
    lines = [f"{file} was not loaded (or not all of it), for these reasons:", ""]
    return "\n".join([*lines, *(f"- {sentence(f, file)}" for f in findings), ""])
