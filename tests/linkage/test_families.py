"""Who is anchored to whom does not hang on the random IDs people happen to have."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from linkage_helpers import CUT

from linkage import build_families, link_families


def _night(
    folder: Path,
    ids: dict[str, str],
    parents: list[tuple[str, str, str]],
    given: dict[str, str] | None = None,
    apart: tuple[str, str] | None = None,
    cases: list[tuple[str, str]] | None = None,
    homes: list[tuple[str, str, dt.date, dt.date | None]] | None = None,
) -> set[frozenset[str]]:
    """Families as sets of children, for records, the IDs of their people and ``parents`` (parent, role, child).

    ``apart`` are two records a reviewer says are of different people; ``cases`` are (case, record in it),
    ``homes`` (household, person's ID, first day, day they left).
    """
    folder.mkdir()
    people = sorted(ids)
    if apart:
        said = {
            "rid_a": people.index(apart[0]),
            "rid_b": people.index(apart[1]),
            "kind": "cannot",
            "reason": "reviewer",
        }
        pq.write_table(pa.Table.from_pylist([said]), folder / "constraints_in_force.parquet")
    born = {p: dt.date(1990, 1, 1) if p.startswith("parent") else dt.date(2024, 1, 1) for p in people}
    records: dict[str, Any] = {
        "rid": list(range(len(people))),
        "source_system": ["court"] * len(people),
        "source_record_id": people,
        "birth_date": [born[p] for p in people],
        "is_birth_date_estimated": [False] * len(people),
        "sex": pa.array(["M" if p.startswith("parent") else None for p in people], pa.string()),
        "is_child": [not p.startswith("parent") for p in people],
        "record_role": pa.array([None] * len(people), pa.string()),
        "is_sealed": [False] * len(people),
        "first_std": pa.array([(given or {}).get(p) for p in people], pa.string()),
        "first_forms": pa.array([[given[p]] if given and p in given else None for p in people], pa.list_(pa.string())),
        "last_std": pa.array(["LEE"] * len(people), pa.string()),
        "dob": pa.array([None] * len(people), pa.string()),
    }
    pq.write_table(pa.table(records), folder / "records.parquet")
    crosswalk = {
        "source_system": ["court"] * len(people),
        "source_record_id": people,
        "person_id": [ids[p] for p in people],
        "match_probability": [1.0] * len(people),
    }
    pq.write_table(pa.table(crosswalk), folder / "person_crosswalk.parquet")
    count = len(parents)
    stated = {
        "rid_a": [people.index(p) for p, _, _ in parents],
        "rid_b": [people.index(c) for _, _, c in parents],
        "relationship": [r for _, r, _ in parents],
        "evidence": ["stated"] * count,
        "source_system": ["court"] * count,
        "valid_from": pa.array([None] * count, pa.date32()),
        "valid_to": pa.array([None] * count, pa.date32()),
    }
    pq.write_table(pa.table(stated), folder / "relationships.parquet")
    members = {
        "source_system": pa.array(["court"] * len(cases or []), pa.string()),
        "case_key": pa.array([case for case, _ in cases or []], pa.string()),
        "rid": pa.array([people.index(p) for _, p in cases or []], pa.int64()),
    }
    pq.write_table(pa.table(members), folder / "case_members.parquet")
    stays = [
        {"household_id": home, "person_id": person, "valid_from": since, "valid_to": until}
        for home, person, since, until in homes or []
    ]
    kinds = [("household_id", pa.string()), ("person_id", pa.string())]
    kinds += [("valid_from", pa.date32()), ("valid_to", pa.date32())]
    pq.write_table(pa.Table.from_pylist(stays, pa.schema(kinds)), folder / "household_member.parquet")
    build_families(folder, folder / "registry", CUT, b"a test, not a secret")
    link_families(folder)
    named = {i: p for p, i in ids.items()}
    found: dict[str, set[str]] = {}
    for row in pq.read_table(folder / "family_member.parquet").to_pylist():
        if row["role"] == "child":
            found.setdefault(row["family_id"], set()).add(named[row["person_id"]])
    return {frozenset(children) for children in found.values()}


def test_between_two_equal_fathers_the_first_record_decides_and_not_the_id(tmp_path: Path) -> None:
    parents = [("parent-1", "father_of", "ava"), ("parent-2", "father_of", "ava"), ("parent-1", "father_of", "liam")]
    names = ["ava", "liam", "parent-1", "parent-2"]
    for night, ids in enumerate((["K", "L", "M", "N"], ["K", "L", "N", "M"])):
        families = _night(tmp_path / str(night), dict(zip(names, ids, strict=True)), parents)
        assert families == {frozenset({"ava", "liam"})}, "both are children of the first father"


def test_a_second_mother_known_from_one_record_is_the_first_where_her_own_name_says_so(tmp_path: Path) -> None:
    # Two records of one mother, and two records the linkage joined to nobody, all stated as the mother of one child.
    ids = {"ava": "A", "parent-1": "M", "parent-2": "M", "parent-3": "N", "parent-4": "O"}
    given = {"ava": "AVA", "parent-1": "ROSA", "parent-2": "ROSA", "parent-3": "ROZA", "parent-4": "DENISE"}
    stated = [(p, "mother_of", "ava") for p in ("parent-1", "parent-3", "parent-4")]
    _night(tmp_path / "night", ids, stated, given)
    edges = pq.read_table(tmp_path / "night" / "parent_child.parquet").to_pylist()
    assert sorted(e["parent_person_id"] for e in edges) == ["M", "O"], "another name may be another mother"
    review = pq.read_table(tmp_path / "night" / "family_review.parquet").to_pylist()
    assert [(r["reason"], r["person_id"], r["other_person_id"]) for r in review] == [("perhaps_one_parent", "N", "M")]


def test_two_mothers_a_reviewer_keeps_apart_are_two_mothers(tmp_path: Path) -> None:
    ids = {"ava": "A", "parent-1": "M", "parent-2": "M", "parent-3": "N"}
    given = {"ava": "AVA", "parent-1": "ROSA", "parent-2": "ROSA", "parent-3": "ROZA"}
    stated = [(p, "mother_of", "ava") for p in ("parent-1", "parent-3")]
    _night(tmp_path / "night", ids, stated, given, apart=("parent-3", "parent-2"))
    edges = pq.read_table(tmp_path / "night" / "parent_child.parquet").to_pylist()
    assert sorted(e["parent_person_id"] for e in edges) == ["M", "N"]
    assert pq.read_table(tmp_path / "night" / "family_review.parquet").num_rows == 0


def test_families_are_told_to_share_a_father_or_a_case_and_stay_two(tmp_path: Path) -> None:
    # Two mothers with one father; a third mother's child in the same docket; and one docket of seven families.
    children = {f"child-{n}": f"C{n}" for n in range(1, 11)}
    mothers = {f"parent-{n:02}": f"M{n:02}" for n in range(1, 11)}
    stated = [(f"parent-{n:02}", "mother_of", f"child-{n}") for n in range(1, 11)]
    stated += [("parent-90", "father_of", "child-1"), ("parent-90", "father_of", "child-2")]
    cases = [("J1", "child-1"), ("J1", "child-3")] + [("J2", f"child-{n}") for n in range(4, 11)]
    families = _night(tmp_path / "night", {**children, **mothers, "parent-90": "F"}, stated, cases=cases)
    assert len(families) == 10
    members = pq.read_table(tmp_path / "night" / "family_member.parquet").to_pylist()
    family_of = {m["person_id"]: m["family_id"] for m in members if m["role"] == "child"}
    links = pq.read_table(tmp_path / "night" / "family_link.parquet").to_pylist()
    told = {(frozenset({link["family_id_a"], link["family_id_b"]}), link["reason"]) for link in links}
    assert told == {
        (frozenset({family_of["C1"], family_of["C2"]}), "shared_father"),
        (frozenset({family_of["C1"], family_of["C3"]}), "shared_case"),
    }


def test_children_of_two_mothers_in_one_home_at_one_time_link_their_families(tmp_path: Path) -> None:
    children = {f"child-{n}": f"C{n}" for n in range(1, 12)}
    mothers = {f"parent-{n:02}": f"M{n:02}" for n in range(1, 12)}
    stated = [(f"parent-{n:02}", "mother_of", f"child-{n}") for n in range(1, 12)]
    spring, summer, autumn = dt.date(2025, 3, 1), dt.date(2025, 6, 1), dt.date(2025, 9, 1)
    homes: list[tuple[str, str, dt.date, dt.date | None]] = [
        ("H1", "C1", spring, autumn),
        ("H1", "C2", summer, None),
        # Moved in on the day the first child left: they never lived together.
        ("H1", "C3", autumn, None),
        # A mother in the home of other children says nothing of hers.
        ("H1", "M04", spring, None),
        # Seven families in one home: a shelter nobody called one.
        *(("H2", f"C{n}", spring, None) for n in range(5, 12)),
    ]
    families = _night(tmp_path / "night", {**children, **mothers}, stated, homes=homes)
    assert len(families) == 11
    members = pq.read_table(tmp_path / "night" / "family_member.parquet").to_pylist()
    family_of = {m["person_id"]: m["family_id"] for m in members if m["role"] == "child"}
    links = pq.read_table(tmp_path / "night" / "family_link.parquet").to_pylist()
    told = {(frozenset({link["family_id_a"], link["family_id_b"]}), link["reason"]) for link in links}
    assert told == {
        (frozenset({family_of["C1"], family_of["C2"]}), "shared_household"),
        (frozenset({family_of["C2"], family_of["C3"]}), "shared_household"),
    }
