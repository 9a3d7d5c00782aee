"""Which layer may read which, and what every mart must say about itself."""

from __future__ import annotations

import re
from typing import Any

from expectations.contract import load_contracts
from expectations.vocabulary import Sensitivity
from pipelines.measures import registry
from tests.warehouse.conftest import Built
from tests.warehouse.test_build import CATALOGUE

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
    assert {name for _, name in parents(built, models(built, "marts")["measure_rows"])} == measures


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
