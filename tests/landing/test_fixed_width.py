"""Fixed-width files: places are characters, not bytes, and a line of another length is no row."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.landing.conftest import Agency, rules

NAME = "toy_archive_20260301.dat"


def test_columns_are_cut_at_their_places(agency: Agency) -> None:
    outcome = agency.send(NAME, "0001Smith 20200102\n0002Lee   20200103\n")
    assert agency.loaded(outcome, "person_id, last_name, birth_date, _line") == [
        ("0001", "Smith", dt.date(2020, 1, 2), 1),
        ("0002", "Lee", dt.date(2020, 1, 3), 2),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_an_accented_letter_takes_one_place(agency: Agency, encoding: str) -> None:
    outcome = agency.send(NAME, "0001Muñoz 20200102\r\n".encode(encoding))
    assert agency.loaded(outcome, "last_name, birth_date") == [("Muñoz", dt.date(2020, 1, 2))]


def test_short_and_long_lines_are_ragged_trailing_blanks_are_not(agency: Agency) -> None:
    outcome = agency.send(
        NAME, "0001Smith 20200102   \n0002Lee   2020\n0003Lee   202001031\n\n0004Lee   20200103\n0005Wu    20200103\n"
    )
    assert agency.quarantined(outcome) == [(2, "ragged_row", None), (3, "ragged_row", None)]
    assert agency.loaded(outcome, "person_id, _line") == [("0001", 1), ("0004", 5), ("0005", 6)]


def test_a_file_cut_off_in_its_last_line_is_refused(agency: Agency) -> None:
    assert rules(agency.send(NAME, "0001Smith 20200102\n0002Lee")) == [("truncated_file", None)]
