"""What is declared for dbt's semantic layer agrees with the materialised values, by the declared arithmetic."""

import re
from typing import Any

import duckdb
import pytest
import yaml

from pipelines.measures import registry as r

DECLARED = yaml.safe_load((r.UNION.parent / "semantic_layer.yml").read_text())
(ROWS,) = DECLARED["semantic_models"]
METRICS = {m["name"]: m for m in DECLARED["metrics"]}
RATIOS = [m for m in METRICS.values() if m["type"] == "ratio"]


@pytest.fixture
def measures() -> duckdb.DuckDBPyConnection:
    """Per declared measure a row to read (30 of 40) and rows that must not be mixed in."""
    database = duckdb.connect()
    database.execute(
        "create table measures (metric_id varchar, variant varchar, period_start date, stratum_type varchar,"
        " numerator bigint, denominator bigint, value double, maturity_flag varchar, suppress_flag boolean)"
    )
    for metric in RATIOS:
        measure_id = metric["name"].upper().replace("_", "-")
        for variant, stratum, x, maturity, suppress in (
            ("warehouse", "all", 30, "mature", False),
            ("federal_comparable", "all", 20, "mature", False),
            ("warehouse", "site", 10, "mature", False),
            ("warehouse", "all", 5, "not mature", False),
            ("warehouse", "all", 5, "mature", True),
        ):
            database.execute(
                "insert into measures values (?, ?, date '2024-10-01', ?, ?, 40, ? / 40, ?, ?)",
                [measure_id, variant, stratum, x, x, maturity, suppress],
            )
    return database


def part(name: str) -> str:
    """SQL of one part of a ratio, as declared."""
    wanted = METRICS[name]["type_params"]["measure"]
    measure: dict[str, Any] = next(m for m in ROWS["measures"] if m["name"] == wanted)
    return f"{measure['agg']}({measure['expr']})"


@pytest.mark.parametrize("metric", RATIOS, ids=lambda m: str(m["name"]))
def test_the_declared_ratio_is_the_materialised_value(
    metric: dict[str, Any], measures: duckdb.DuckDBPyConnection
) -> None:
    assert {"name": "period_start", "type": "time", "type_params": {"time_granularity": "day"}} in ROWS["dimensions"]
    condition = re.sub(r"\{\{ Dimension\('measure_row__(\w+)'\) \}\}", r"\1", metric["filter"])
    ratio = f"{part(metric['type_params']['numerator'])} / {part(metric['type_params']['denominator'])}"
    found = measures.execute(f"select {ratio}, any_value(value) from measures where {condition}").fetchone()
    assert found == (0.75, 0.75)


def test_only_additive_measures_are_declared_under_their_own_name() -> None:
    known = r.load()
    for metric in RATIOS:
        definition = known[metric["name"].upper().replace("_", "-")]
        assert definition.unit == "percent" and definition.basis is not r.Basis.COMPARISON
        assert metric["label"] == f"{definition.id}: {definition.name}"
