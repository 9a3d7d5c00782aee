"""People at another threshold take their families with them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from pipelines.measures import ranges
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
