"""What an agency sees when it checks its own files: the rules of the load, offline, with nothing but the contract."""

from __future__ import annotations

import datetime as dt
import socket
from pathlib import Path

import pytest

from expectations.contract import Contract
from pipelines.landing import sentence, validate_files
from tests.landing.conftest import DAY, PEOPLE, Agency
from tests.landing.test_workbooks import book

BAD = PEOPLE + "1,Canary,soon,F,3\n2,Lee,2020-01-01,X,3\n3,Lee\n2,Wu,,F,500\n4,a,,,\n5,a,,,\n6,a,,,\n2,Lee,,,\n"


def test_validation_and_load_find_the_same(agency: Agency, tmp_path: Path) -> None:
    path = tmp_path / "toy_people_20260301.csv"
    path.write_text(BAD)
    (report,) = validate_files([path], agency.contracts, DAY)
    outcome = agency.send(path.name, BAD)
    assert report.findings == outcome.findings
    assert (report.received, report.quarantined) == (outcome.rows_received, outcome.rows_quarantined) == (8, 4)
    assert report.would_load and outcome.status == "accepted"
    assert [sentence(f, report.file) for f in report.findings][:2] == [
        "toy_people_20260301.csv, line 2, field birth_date, type."
        " Write the value in the type and format the contract states.",
        "toy_people_20260301.csv, line 3, field sex, unknown_code."
        " Use a code of the contract's list, or have the new code added to it.",
    ]
    assert "Canary" not in repr(report)


def test_one_contract_is_enough_and_no_network_is_asked(
    tmp_path: Path, source_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    path = tmp_path / "toy_book_20260301.xlsx"
    path.write_bytes(book([["m1", 46027]]))
    for contract in (source_root / "toy", source_root / "toy" / "contract.yml"):
        reports = validate_files([path], contract, DAY)
        assert [(r.table, r.would_load, r.findings) for r in reports] == [
            ("meetings", True, ()),
            ("attendees", True, ()),
        ]
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "nothing is left behind"


def test_a_file_that_is_not_there_or_not_known_is_said_so(tmp_path: Path, contracts: dict[str, Contract]) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("x")
    reports = validate_files([tmp_path / "toy_people_20260301.csv", other], contracts, DAY)
    assert [(r.system, r.would_load, r.findings[0].rule) for r in reports] == [
        (None, False, "missing_file"),
        (None, False, "unknown_file"),
    ]


def test_dates_are_judged_by_the_delivery_date_in_the_name(tmp_path: Path, contracts: dict[str, Contract]) -> None:
    path = tmp_path / "toy_people_20260301.csv"
    path.write_text(PEOPLE + "1,a,2026-03-02,,\n2,a,,,\n3,a,,,\n")
    (report,) = validate_files([path], contracts, dt.date(2026, 12, 31))
    assert [(f.rule, f.line) for f in report.findings] == [("impossible_date", 2)]
