"""Great Expectations over loaded Parquet: what it counts, and that it shows no value."""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations.compile import gx
from expectations.compile.sql import typed_select
from tests.contracts.toy import received, toy

CANARY = "Zyxwv-Canary"
LOADED_ON = dt.date(2026, 3, 31)


def loaded(path: Path, rows: list[dict[str, str]], table: str = "pupils", on: dt.date = LOADED_ON) -> Path:
    """Rows as landing would have loaded them, had it let everything through."""
    contract = toy()
    promised = contract.tables[table]
    with duckdb.connect() as connection:
        relation = received(connection, promised, rows)
        values = ", ".join(f'{e} as "{n}"' for n, e in typed_select(contract, promised).items())
        connection.execute(
            f"copy (select {values}, 'd1' as _delivery_id, _line, date '{on}' as _delivered_on from {relation})"
            f" to '{path}' (format parquet)"
        )
    return path


def run(path: Path, table: str = "pupils", **more: Any) -> dict[str, dict[str, int]]:
    """Rule -> broken rows by field, of the rules that are broken."""
    contract = toy()
    promised = contract.tables[table]
    extra = gx.delivery_promises(promised, **more) if more else []
    result = gx.run_suite(contract, promised, path, extra)
    assert [v.error for v in result.verdicts if v.error] == []
    broken: dict[str, dict[str, int]] = {}
    for verdict in result.verdicts:
        if verdict.broken:
            broken.setdefault(verdict.rule, {}).update(verdict.broken)
    return broken


def test_rows_that_keep_every_promise_pass(tmp_path: Path) -> None:
    path = loaded(tmp_path / "p.parquet", [{"pupil_id": "A1"}, {"pupil_id": "A2", "end_date": "2026-01-31"}])
    result = gx.run_suite(toy(), toy().tables["pupils"], path)
    assert result.passed
    assert result.rows == 2
    assert {v.rule for v in result.verdicts} == {
        "rows",
        "required",
        "impossible_date",
        "unknown_code",
        "too_long",
        "ends_before_start",
        "duplicate_key",
        "unpaid",
    }
    assert result.counts == {"rows": 2, "rules": 9}


def test_rows_that_slipped_through_are_counted_by_rule_and_field(tmp_path: Path) -> None:
    rows = [
        {"pupil_id": "A1", "last_name": ""},
        {"pupil_id": "A1", "sex": "Q"},
        {"pupil_id": "A2", "birth_date": "2026-04-01", "last_name": ""},
        {"pupil_id": "123456789", "programme_cd": "NEW", "fee": "0"},
    ]
    assert run(loaded(tmp_path / "p.parquet", rows)) == {
        "required": {"last_name": 2},
        "duplicate_key": {"pupil_id": 1},
        "impossible_date": {"birth_date": 1},
        "unknown_code": {"sex": 1, "programme_cd": 1},
        "too_long": {"pupil_id": 1},
        "unpaid": {"fee": 1},
    }


def test_a_warning_does_not_fail_a_table(tmp_path: Path) -> None:
    path = loaded(tmp_path / "p.parquet", [{"fee": "0"}])
    result = gx.run_suite(toy(), toy().tables["pupils"], path)
    assert result.passed
    assert result.counts["unpaid: fee"] == 1


def test_an_empty_table_warns(tmp_path: Path) -> None:
    path = loaded(tmp_path / "p.parquet", [])
    assert run(path) == {"rows": {"rows": 0}}


def test_one_table_does_not_see_the_rows_of_the_one_before(tmp_path: Path) -> None:
    run(loaded(tmp_path / "p.parquet", [{"pupil_id": "A1"}, {"pupil_id": "A1"}]))
    assert run(loaded(tmp_path / "q.parquet", [{"pupil_id": "A1"}])) == {}


def test_no_value_reaches_a_result_or_a_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rows = [
        {"pupil_id": CANARY, "last_name": CANARY, "first_name": CANARY, "sex": CANARY, "programme_cd": CANARY},
        {"pupil_id": CANARY, "last_name": "", "court_no": CANARY},
    ]
    path = loaded(tmp_path / "p.parquet", rows)
    result = gx.run_suite(toy(), toy().tables["pupils"], path)
    assert not result.passed
    assert result.counts["duplicate_key: pupil_id"] == 1
    assert CANARY not in repr(result)
    assert CANARY not in caplog.text


def test_a_suite_that_cannot_be_run_tells_only_the_kind_of_error(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    duckdb.sql(f"copy (select '{CANARY}' as pupil_id, 1 as _line) to '{path}' (format parquet)")
    result = gx.run_suite(toy(), toy().tables["pupils"], path)
    assert not result.passed
    assert {v.error for v in result.verdicts if v.rule == "required"} == {"BinderException"}
    assert CANARY not in repr(result)


def test_a_delivery_past_its_age_counts_the_days(tmp_path: Path) -> None:
    path = loaded(tmp_path / "p.parquet", [{}])
    within = LOADED_ON + dt.timedelta(days=45)
    assert run(path, previous=None, cut=within) == {}
    late = {"freshness": {"_delivered_on": 2}}
    assert run(path, previous=None, cut=within + dt.timedelta(days=2)) == late


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        # Of ten pupils eight are left: 20 % fewer is still believed, and so are 20 % of the keys.
        (range(10), range(8), {}),
        (range(10), range(7), {"row_count_drop": {"pupil_id": 3}}),
        (range(10), range(6), {"row_count_drop": {"pupil_id": 4}, "key_churn": {"pupil_id": 4}}),
        # As many rows as before, but four of the ten numbers are new.
        (range(10), range(4, 14), {"key_churn": {"pupil_id": 4}}),
        (range(4), range(10), {}),
    ],
)
def test_a_full_delivery_is_compared_with_the_one_before(
    before: range, now: range, expected: dict[str, dict[str, int]], tmp_path: Path
) -> None:
    old = loaded(tmp_path / "old.parquet", [{"pupil_id": f"A{i}"} for i in before])
    new = loaded(tmp_path / "new.parquet", [{"pupil_id": f"A{i}"} for i in now])
    assert run(new, previous=old, cut=LOADED_ON) == expected


def test_changes_are_not_compared_with_the_changes_before(tmp_path: Path) -> None:
    old = loaded(tmp_path / "old.parquet", [{"pupil_id": f"A{i}"} for i in range(9)], "days")
    new = loaded(tmp_path / "new.parquet", [{"pupil_id": "B1"}], "days")
    assert run(new, "days", previous=old, cut=LOADED_ON) == {}
