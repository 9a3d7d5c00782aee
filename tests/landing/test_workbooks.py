"""Workbooks as people make them: title rows, merged cells, dates of every kind, blank rows, renamed sheets."""

from __future__ import annotations

import datetime as dt
import zipfile
from io import BytesIO
from typing import Any

import openpyxl
import pytest

from tests.landing.conftest import Agency, rules

NAME = "toy_book_20260301.xlsx"
HEADER = ["Meeting ID", "Held on", "Started", "People", "Agreed"]


def book(
    rows: list[list[Any]],
    header: list[str] | None = None,
    merged: str | None = None,
    sheets: tuple[str, ...] = ("Meetings", "Attendees"),
    mac: bool = False,
) -> bytes:
    """A workbook with a title row above the meetings, and one attendee."""
    workbook = openpyxl.Workbook()
    if mac:
        workbook.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904  # type: ignore[attr-defined]
    meetings = workbook.active
    assert meetings is not None
    meetings.title = sheets[0]
    for row in [["Meetings of our court team"], header or HEADER, *rows]:
        meetings.append(row)
    meetings.merge_cells("A1:E1")
    if merged:
        meetings.merge_cells(merged)
    for name in sheets[1:]:
        sheet = workbook.create_sheet(name)
        sheet.append(["Meeting ID", "Role"])
        sheet.append(["m1", "judge"])
    out = BytesIO()
    workbook.save(out)
    return out.getvalue()


def test_excel_dates_of_every_kind_mean_the_same_day(agency: Agency) -> None:
    agency.drop(
        NAME,
        book(
            [
                ["m1", dt.date(2026, 1, 5), dt.datetime(2026, 1, 5, 9, 30), 3, True],
                ["m2", 46027, 46027.395833333, "3", "Y"],
                ["m3", "01/05/2026", "2026-01-05 09:30:00", 3.0, "Y"],
            ]
        ),
    )
    meetings, attendees = agency.land()
    day, moment = dt.date(2026, 1, 5), dt.datetime(2026, 1, 5, 9, 30)
    assert agency.loaded(meetings, "held_on, started_at, people, agreed, _line") == [
        (day, moment, 3, True, line) for line in (3, 4, 5)
    ]
    assert attendees.rows_loaded == 1


def test_serial_dates_of_an_old_mac_workbook_count_from_1904(agency: Agency) -> None:
    agency.drop(NAME, book([["m1", 46027 - 1462]], mac=True))
    meetings, _ = agency.land()
    assert agency.loaded(meetings, "held_on") == [(dt.date(2026, 1, 5),)]


def test_a_time_of_day_in_a_date_column_is_not_cut_off_silently(agency: Agency) -> None:
    agency.drop(NAME, book([["m1", dt.datetime(2026, 1, 5, 9, 30)], ["m2", None], ["m3", None]]))
    meetings, _ = agency.land()
    assert agency.quarantined(meetings) == [(3, "type", "held_on")]


def test_blank_rows_are_no_rows(agency: Agency) -> None:
    agency.drop(NAME, book([["m1"], [], [None, "  "], ["m2"]]))
    meetings, _ = agency.land()
    assert meetings.rows_received == 2
    assert agency.loaded(meetings, "meeting_id, _line") == [("m1", 3), ("m2", 6)]


def test_rows_under_merged_cells_are_quarantined_and_the_rest_loads(agency: Agency) -> None:
    agency.drop(NAME, book([["m1", 46027], ["m2", None], ["m3"], ["m4"]], merged="B3:B4"))
    meetings, _ = agency.land()
    assert agency.quarantined(meetings) == [(3, "merged_cells", None), (4, "merged_cells", None)]
    assert agency.loaded(meetings, "meeting_id") == [("m3",), ("m4",)]


def test_a_merged_header_is_refused(agency: Agency) -> None:
    agency.drop(NAME, book([["m1"]], merged="A2:B2"))
    meetings, attendees = agency.land()
    assert (meetings.status, rules(meetings)) == ("refused", [("merged_cells", "Meetings")])
    assert attendees.status == "accepted", "one bad sheet does not take the others with it"
    assert "Meetings" in agency.letter(NAME)


def test_a_renamed_column_is_refused_by_our_name_and_its_position(agency: Agency) -> None:
    agency.drop(NAME, book([["m1"]], header=["Meeting ID", "Day", "Started", "People", "Agreed"]))
    meetings, _ = agency.land()
    assert rules(meetings) == [("missing_column", "held_on"), ("extra_column", "column 2")]


def test_an_extra_sheet_is_mentioned_and_not_read(agency: Agency) -> None:
    agency.drop(NAME, book([["m1"]], sheets=("Meetings", "Attendees", "Private notes")))
    meetings, _ = agency.land()
    assert (meetings.status, rules(meetings)) == ("accepted", [("extra_sheet", "sheet 3")])


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut off", b"<html>not a workbook</html>", b"\xd0\xcf\x11\xe0old"])
def test_what_is_no_workbook_is_refused(agency: Agency, content: bytes) -> None:
    agency.drop(NAME, content)
    assert {r for o in agency.land() for r in rules(o)} == {("malformed_workbook", None)}


def test_a_workbook_that_unpacks_without_end_is_refused(agency: Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.landing.readers.workbook._MAX_UNPACKED", 1_000_000)
    out = BytesIO(book([["m1"]]))
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/bomb", b"0" * 2_000_000)
    agency.drop(NAME, out.getvalue())
    assert {r for o in agency.land() for r in rules(o)} == {("malformed_workbook", None)}
