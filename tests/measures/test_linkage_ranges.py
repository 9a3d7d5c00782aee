"""People at another threshold take their families with them."""

from pathlib import Path

import duckdb
import pytest

from pipelines.measures.ranges import people_at

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
