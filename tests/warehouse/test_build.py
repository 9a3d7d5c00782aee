"""The warehouse stands on no data at all, every worked answer holds, and each layer reads what it may.

One file, because all of it looks at one build, which takes minutes.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from expectations.contract import load_contracts
from expectations.vocabulary import Sensitivity
from pipelines.measures import registry
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


# --- layers --------------------------------------------------------------------------------------------------------

AGENCIES = ("child_welfare", "court", "medicaid", "behavioral_health", "court_team")


def models(built: Built, *layer: str) -> dict[str, dict[str, Any]]:
    """The models below the folders ``layer``, by name."""
    return {
        node["name"]: node
        for node in built.manifest["nodes"].values()
        if node["resource_type"] == "model" and tuple(node["fqn"][1 : 1 + len(layer)]) == layer
    }


def parents(built: Built, node: dict[str, Any]) -> list[tuple[str, str]]:
    """(layer, name) of everything a model reads; a source's layer is ``source:<source name>``."""
    read = []
    for unique_id in node["depends_on"]["nodes"]:
        if unique_id.startswith("source."):
            _, _, source, table = unique_id.split(".")
            read.append((f"source:{source}", table))
        else:
            parent = built.manifest["nodes"][unique_id]
            read.append((parent["fqn"][1] if parent["resource_type"] == "model" else "seeds", parent["name"]))
    return read


def test_only_staging_reads_what_agencies_deliver(built: Built) -> None:
    agencies = {f"source:{agency}" for agency in AGENCIES}
    for layer in ("intermediate", "marts"):
        for name, node in models(built, layer).items():
            assert not [read for read in parents(built, node) if read[0] in agencies], name


def test_staging_reads_nothing_else(built: Built) -> None:
    for name, node in models(built, "staging").items():
        system = f"source:{node['fqn'][2]}"
        assert {layer for layer, _ in parents(built, node)} <= {system, "staging"}, name


def test_intermediate_models_do_not_read_marts(built: Built) -> None:
    for name, node in models(built, "intermediate").items():
        assert "marts" not in {layer for layer, _ in parents(built, node)}, name


def test_measures_read_only_the_tables_of_the_catalogue(built: Built) -> None:
    """So that anyone who has these tables, from this warehouse or another, can compute them."""
    measures = models(built, "marts", "metrics")
    assert measures
    for name, node in measures.items():
        read = {table for _, table in parents(built, node)}
        assert read <= set(CATALOGUE) | set(measures), name


def test_names_say_the_layer(built: Built) -> None:
    patterns = {
        "staging": r"stg_[a-z_]+__[a-z_]+",
        "intermediate": r"int_[a-z_]+__[a-z_]+",
        "marts": r"(dim|fct|brg|bridge|met|evl|dq|rel|eqt)_[a-z0-9_]+|measure_[a-z_]+",
    }
    for layer, pattern in patterns.items():
        for name in models(built, layer):
            assert re.fullmatch(pattern, name), name


def test_marts_promise_their_columns_and_say_grain_key_and_rules(built: Built) -> None:
    for name, node in models(built, "marts").items():
        assert node["config"]["contract"]["enforced"], name
        text = " ".join(node["description"].split())
        assert "Grain:" in text and "Key:" in text and "Rules:" in text, name
        for column in node["columns"].values():
            assert column["meta"].get("sensitivity") in {s.value for s in Sensitivity}, f"{name}.{column['name']}"
            assert column["description"], f"{name}.{column['name']}"


def test_every_mart_checks_its_key(built: Built) -> None:
    checked = {
        node["attached_node"].split(".")[-1]
        for node in built.manifest["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") == "key"
    }
    # The rows of all measures lie together in measure_rows, whose key is theirs.
    measures = {name for name in models(built, "marts", "metrics") if name.startswith("met_")}
    assert set(models(built, "marts")) - measures <= checked
    read = parents(built, models(built, "marts")["measure_rows"])
    assert {name for layer, name in read if layer == "marts"} == measures


def test_measures_are_tagged_with_their_tier(built: Built) -> None:
    """A night leaves out the tiers it does not compute by these tags."""
    tagged = {name: node["tags"] for name, node in models(built, "marts", "metrics").items()}
    for definition in registry.load().values():
        assert tagged[definition.model] == [definition.tier]


def test_code_words_in_the_sql_are_words_of_some_contract(built: Built) -> None:
    """A word that a code list no longer maps to would silently match nothing."""
    words: dict[str, set[str]] = {}
    for contract in load_contracts().values():
        for table in contract.tables.values():
            for column in table.columns:
                for code in contract.code_lists.get(column.codes or "", []):
                    words.setdefault(f"{column.name}_meaning", set()).add(code.maps_to or "")
    unknown = []
    for layer in ("intermediate", "marts"):
        for name, node in models(built, layer).items():
            compared = re.findall(
                r"(\w+_meaning)\s*(?:=|<>|in|not in)\s*(\([^)]*\)|'[^']*')"
                r"|case\s+(?:\w+\.)?(\w+_meaning)((?:\s+when\s+'[^']*'\s+then\s+\S+)+)",
                node["raw_code"],
            )
            for column, literals, case_column, branches in compared:
                used = re.findall(r"'([^']*)'", literals) or re.findall(r"when\s+'([^']*)'", branches)
                known = words.get(column or case_column, set())
                unknown += [f"{name}: {column or case_column} is never {word}" for word in used if word not in known]
    assert unknown == []
