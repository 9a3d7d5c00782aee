"""The warehouse stands on no data at all, and every worked answer holds."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import pytest
import yaml

from tests.warehouse.conftest import LAST_MATURE, Built, periods

CASES = Path(__file__).parent / "cases"
#: By way of waiting: the measures (or measure:variant) that wait so.
MATURITY: dict[str, list[str]] = yaml.safe_load((CASES / "maturity.yml").read_text(encoding="utf-8"))
WORKED_ANSWERS: dict[str, list[str]] = yaml.safe_load((CASES / "worked_answers.yml").read_text(encoding="utf-8"))
CATALOGUE: dict[str, list[str]] = yaml.safe_load((CASES / "catalogue_tables.yml").read_text(encoding="utf-8"))


def test_every_model_builds_on_empty_deliveries(built: Built) -> None:
    assert built.failures("model") == []
    assert built.failures("seed") == []


def test_every_worked_answer_holds(built: Built) -> None:
    ran = [unique_id for unique_id in built.results if unique_id.startswith("unit_test.")]
    assert len(ran) >= 37, "unit tests went missing"
    assert built.failures("unit_test") == []


def test_every_data_test_holds_on_empty_deliveries(built: Built) -> None:
    assert built.failures("test") == []


@pytest.mark.parametrize("table", CATALOGUE)
def test_catalogue_table_has_its_columns(built: Built, table: str) -> None:
    with duckdb.connect(str(built.workspace / "warehouse" / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute(
            "select column_name from duckdb_columns() where table_name = ? and schema_name in ('core', 'reference')",
            [table],
        ).fetchall()
    assert set(CATALOGUE[table]) <= {name for (name,) in found}


def test_a_period_without_children_has_a_row_and_no_value(built: Built) -> None:
    with duckdb.connect(str(built.workspace / "warehouse" / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "select denominator, value, maturity_flag from metrics.met_prm_01 where variant = 'warehouse'"
        ).fetchall()
    assert len(rows) == len(periods())
    assert {(row[0], row[1]) for row in rows} == {(0, None)}
    assert {row[2] for row in rows} == {"mature", "not mature"}


@pytest.mark.parametrize("way", [*LAST_MATURE, "each unit for itself"])
def test_measures_wait_for_their_follow_up_to_the_day(built: Built, way: str) -> None:
    """A period that ends on the last possible day is judged, one that ends a day later is not."""
    with duckdb.connect(str(built.workspace / "warehouse" / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "select metric_id, variant, max(period_end) filter (where maturity_flag = 'mature'), max(period_end)"
            " from quality.measure_rows group by all"
        ).fetchall()
    waiting = {
        name
        for metric_id, variant, ripe, last in rows
        for name in (metric_id, f"{metric_id}:{variant}")
        # Quarter days and months are no periods of their own, and the two that wait from the first day come below.
        if metric_id not in ("PIT-01", "PIT-04", "PRM-30", "PRM-02", "PRM-03", "COL-21", "EQT-03")
        and ripe == (last if way == "each unit for itself" else LAST_MATURE[way])
    }
    assert set(MATURITY[way]) <= waiting


def test_some_measures_wait_from_the_first_day_of_the_period(built: Built) -> None:
    with duckdb.connect(str(built.workspace / "warehouse" / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "select metric_id, max(period_start) filter (where maturity_flag = 'mature')"
            " from quality.measure_rows where metric_id in ('PRM-02', 'PRM-03') group by all order by all"
        ).fetchall()
    assert rows == [("PRM-02", dt.date(2025, 9, 30)), ("PRM-03", dt.date(2025, 9, 30))]


def test_every_measure_says_how_it_waits(built: Built) -> None:
    """A new measure has to be put into the table of ways."""
    with duckdb.connect(str(built.workspace / "warehouse" / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute("select distinct metric_id from quality.measure_rows").fetchall()
    told = {name.split(":")[0] for names in MATURITY.values() for name in names}
    measured = {metric_id for (metric_id,) in rows}
    assert measured - told == {"PIT-01", "PIT-04", "PRM-30", "PRM-02", "PRM-03", "COL-21", "EQT-03"} & measured


@pytest.mark.parametrize("answer", WORKED_ANSWERS)
def test_every_worked_answer_has_its_tests(built: Built, answer: str) -> None:
    names = {unique_id.split(".")[-1] for unique_id in built.results if unique_id.startswith("unit_test.")}
    names |= {unique_id.split(".")[2] for unique_id in built.results if unique_id.startswith("test.")}
    for name in WORKED_ANSWERS[answer]:
        file, _, function = name.partition("::")
        text = (Path(__file__).parents[2] / file).read_text(encoding="utf-8") if function else ""
        assert name in names or f"def {function}(" in text, name
