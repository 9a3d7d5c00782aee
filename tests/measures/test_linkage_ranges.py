"""People at another threshold take their families with them."""

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from pipelines.measures import alone, ranges
from pipelines.measures.ranges import people_at
from pipelines.measures.registry import RANGED
from pipelines.storage import Workspace

TABLES = {
    "person_crosswalk": "select * from (values ('court', '1', 'A'), ('court', '2', 'A'), ('court', '3', 'B'))"
    " t(source_system, source_record_id, person_id)",
    "person_facts": "select * from"
    " (values ('court', '1', 'A', 'F'), ('court', '2', 'A', 'F'), ('court', '3', 'B', 'M'))"
    " t(source_system, source_record_id, person_id, sex)",
    "family_member": "select 'F1' as family_id, 'A' as person_id, 'child' as role",
    "parent_child": "select 'A' as child_person_id, 'B' as parent_person_id",
    "match_rates": "select 'court' as system_a where false",
    # Low joins everybody; high takes the second record away from A.
    "person_crosswalk_alternates": "select * from (values"
    " ('low', 'court', '1', 'A'), ('low', 'court', '2', 'A'), ('low', 'court', '3', 'A'),"
    " ('high', 'court', '1', 'A'), ('high', 'court', '2', 'A-2'), ('high', 'court', '3', 'B'))"
    " t(threshold, source_system, source_record_id, person_id)",
}


@pytest.mark.parametrize(
    ("threshold", "people", "family", "parents"),
    [
        ("low", ["A", "A", "A"], [("F1", "A")], [("A", "A")]),
        ("high", ["A", "A-2", "B"], [("F1", "A"), ("F1", "A-2")], [("A", "B"), ("A-2", "B")]),
    ],
)
def test_who_is_split_keeps_family_and_parents(
    tmp_path: Path, threshold: str, people: list[str], family: list[tuple[str, str]], parents: list[tuple[str, str]]
) -> None:
    linkage, target = tmp_path / "linkage", tmp_path / "target"
    linkage.mkdir()
    with duckdb.connect() as database:
        for name, query in TABLES.items():
            database.execute(f"copy ({query}) to '{linkage / name}.parquet' (format parquet)")
        people_at(linkage, threshold, target)

        def rows(name: str, columns: str) -> list[tuple[str, ...]]:
            return database.execute(f"select {columns} from '{target / name}.parquet' order by all").fetchall()

        for table in ("person_crosswalk", "person_facts"):
            assert [person for _, person in rows(table, "source_record_id, person_id")] == people
        assert rows("family_member", "family_id, person_id") == family
        assert rows("parent_child", "child_person_id, parent_person_id") == parents


#: Rows of a table of measures; north is small tonight, south at the lower threshold.
TONIGHT = (
    "('PAR-02', 'all', 0.4, false), ('PAR-02', 'north', 0.125, true), ('PAR-02', 'south', 0.58, false),"
    " ('PRM-01', 'all', 0.5, false)"
)
AT = {
    "low": "('PAR-02', 'all', 0.3876543, false), ('PAR-02', 'north', 0.3, false), ('PAR-02', 'south', 0.15, true)",
    "high": "('PAR-02', 'all', 0.395, false), ('PAR-02', 'north', 0.3, false), ('PAR-02', 'south', 0.59, false)",
}


def rows_of(values: str) -> str:
    return (
        "select *, 'warehouse' as variant, date '2024-10-01' as period_start, date '2025-09-30' as period_end,"
        f" 'site' as stratum_type from (values {values}) t(metric_id, stratum_value, value, suppress_flag)"
    )


def test_a_range_reaches_over_the_three_values_and_never_beside_a_small_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outwards to three decimals. A measure that is not linked has no range."""

    def built(night: object, threshold: str, models: list[str]) -> Workspace:
        workspace = Workspace(tmp_path / threshold)
        workspace.warehouse.parent.mkdir(parents=True)
        with duckdb.connect(workspace.warehouse) as database:
            database.execute("create schema metrics")
            for model in models:
                some = "true" if model == "met_par_02" else "false"
                database.execute(f"create table metrics.{model} as from ({rows_of(AT[threshold])}) where {some}")
        return workspace

    monkeypatch.setattr(ranges, "_built", built)
    night: Any = SimpleNamespace(
        workspace=Workspace(tmp_path), jurisdiction=SimpleNamespace(parameters=SimpleNamespace(measure_tiers=["core"]))
    )
    night.workspace.linkage_dir.mkdir(parents=True)
    (night.workspace.linkage_dir / ranges.ALTERNATES).touch()
    assert ranges.write_ranges(night) == 2
    source = '{{ source("quality", "linkage_ranges") }}'
    assert source in RANGED
    ranged = RANGED.replace(source, f"'{tmp_path}/quality/{ranges.FILE}'")
    with duckdb.connect() as database:
        found = database.execute(
            f"with rows_of_all as ({rows_of(TONIGHT)}) select metric_id, stratum_value, range_low, range_high"
            f" from ({ranged}) order by all"
        ).fetchall()
    assert found == [
        ("PAR-02", "all", 0.387, 0.4),
        ("PAR-02", "north", None, None),
        ("PAR-02", "south", None, None),
        ("PRM-01", "all", None, None),
    ]
    assert ranges.write_ranges(night, empty=True) == 0


YEAR = (dt.date(2024, 1, 1), dt.date(2024, 12, 31))
#: Sixty parents (T1 to T60 in the court team's workbook), every one with a substance-use need on 1 January, and sixty
#: record numbers of behavioral health. B1 to B30 and B55 to B60 began treatment on 11 January, day 10.
PARENTS = 60
#: Which of the latter are a parent's, by how sure linkage must be. Tonight six are people of their own; joined at the
#: lower threshold; at the higher one six others are parted.
LINKED = {"tonight": range(1, 55), "low": range(1, 61), "high": range(7, 55)}


def crosswalk(linked: range) -> str:
    """Records and people: every parent is P and its number, a number that is nobody's is a person of its own."""
    return (
        "select 'court_team' as source_system, 'T' || i as source_record_id, 'P' || i as person_id"
        f" from range(1, {PARENTS + 1}) as t(i) union all"
        " select 'behavioral_health', 'B' || i,"
        f" case when i between {linked[0]} and {linked[-1]} then 'P' || i else 'X' || i end"
        f" from range(1, {PARENTS + 1}) as t(i)"
    )


def test_a_measure_of_other_people_has_another_value_and_the_range_holds_all_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PAR-02 by its own SQL over three sets of people. Who has no number of behavioral health is not observable.

    Tonight 30 of the 54 linked began within 30 days; joined 36 of 60; parted 24 of 48, and 48 of 60 is just no match
    rate under the floor.
    """
    linkage = tmp_path / "night" / "vault" / "linkage"
    linkage.mkdir(parents=True)
    alternates = " union all ".join(
        f"select '{t}' as threshold, * from ({crosswalk(LINKED[t])})" for t in ("low", "high")
    )
    with duckdb.connect() as database:
        for name, query in (TABLES | {"person_crosswalk": crosswalk(LINKED["tonight"])}).items():
            wanted = alternates if name == ranges.ALTERNATES.removesuffix(".parquet") else query
            database.execute(f"copy ({wanted}) to '{linkage / name}.parquet' (format parquet)")

    def built(night: Any, threshold: str, models: list[str]) -> Workspace:
        """What dbt would build: the marts of the people at the threshold, and the measure on them."""
        workspace = Workspace(tmp_path / threshold)
        if threshold == "tonight":
            people = night.workspace.linkage_dir
        else:
            people = workspace.linkage_dir
            people_at(night.workspace.linkage_dir, threshold, people)
        tables = workspace.root / "tables"
        tables.mkdir(parents=True)
        with duckdb.connect() as database:
            database.execute(f"create view records as from read_parquet('{people}/person_crosswalk.parquet')")
            for table, query in {
                "bridge_source_id": "select person_id, source_system, source_record_id as source_id from records",
                "fct_need": "select 'n' || source_record_id as need_id, person_id, 'SUD' as need_domain,"
                " date '2024-01-01' as identified_date from records where source_system = 'court_team'",
                "fct_bh_episode": "select person_id, date '2024-01-11' as admit_date, 'F1120' as primary_dx"
                " from records where source_system = 'behavioral_health' and (substr(source_record_id, 2)::int <= 30"
                " or substr(source_record_id, 2)::int > 54)",
            }.items():
                database.execute(f"copy ({query}) to '{tables / table}.parquet' (format parquet)")
        rows = workspace.root / "rows.parquet"
        alone.compute(tables, rows, cutoff=dt.date(2026, 9, 30), period=YEAR, measures=["PAR-02"])
        workspace.warehouse.parent.mkdir()
        with duckdb.connect(workspace.warehouse) as database:
            database.execute("create schema metrics")
            for model in models:
                database.execute(f"create table metrics.{model} as from '{rows}' where {model == 'met_par_02'}")
        return workspace

    monkeypatch.setattr(ranges, "_built", built)
    night: Any = SimpleNamespace(
        workspace=Workspace(tmp_path / "night"),
        jurisdiction=SimpleNamespace(parameters=SimpleNamespace(measure_tiers=["core"])),
    )
    assert ranges.write_ranges(night) > 0
    tonight = built(night, "tonight", [])
    ranged = RANGED.replace(
        '{{ source("quality", "linkage_ranges") }}', f"'{night.workspace.quality_dir}/{ranges.FILE}'"
    )
    with duckdb.connect() as database:
        found = database.execute(
            f"with rows_of_all as (from '{tonight.root}/rows.parquet')"
            " select numerator, denominator, n_not_observable, round(value, 4), range_low, range_high"
            f" from ({ranged}) where variant = 'warehouse' and stratum_type = 'all'"
        ).fetchall()
    assert found == [(30, 54, 6, 0.5556, 0.5, 0.6)]
