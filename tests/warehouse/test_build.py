"""The warehouse stands on no data at all, and every worked answer holds."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import yaml

from tests.warehouse.conftest import Built

CASES = Path(__file__).parent / "cases"
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
            "select period_start, period_end, denominator, value, maturity_flag from metrics.met_prm_01"
            " where variant = 'warehouse' order by period_start"
        ).fetchall()
    # The last five full federal fiscal years before 30 September 2026; the last one needs twelve months more.
    assert [str(row[0]) for row in rows] == ["2021-10-01", "2022-10-01", "2023-10-01", "2024-10-01", "2025-10-01"]
    assert [str(row[1]) for row in rows] == ["2022-09-30", "2023-09-30", "2024-09-30", "2025-09-30", "2026-09-30"]
    assert {(row[2], row[3]) for row in rows} == {(0, None)}
    assert [row[4] for row in rows] == ["mature"] * 4 + ["not mature"]
