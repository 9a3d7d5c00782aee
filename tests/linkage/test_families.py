"""Who is anchored to whom does not hang on the random IDs people happen to have."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from linkage_helpers import families_of


def _people(ids: dict[str, str], given: dict[str, str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Records by the IDs of their people; whose name begins with "parent" is grown up."""
    people: dict[str, list[dict[str, Any]]] = {}
    for name in sorted(ids):
        grown = name.startswith("parent")
        record = {"name": name, "child": not grown, "born": dt.date(1990 if grown else 2024, 1, 1)}
        people.setdefault(ids[name], []).append(record | {"given": (given or {}).get(name)})
    return people


def _family_of(tables: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """The family of each child, by ID."""
    return {r["person_id"]: r["family_id"] for r in tables["family_member"] if r["role"] == "child"}


def _links(tables: dict[str, list[dict[str, Any]]]) -> set[tuple[frozenset[str], str]]:
    return {(frozenset({r["family_id_a"], r["family_id_b"]}), r["reason"]) for r in tables["family_link"]}


def test_between_two_equal_fathers_the_first_record_decides_and_not_the_id(tmp_path: Path) -> None:
    parents = [("parent-1", "father_of", "ava"), ("parent-2", "father_of", "ava"), ("parent-1", "father_of", "liam")]
    names = ["ava", "liam", "parent-1", "parent-2"]
    for night, ids in enumerate((["K", "L", "M", "N"], ["K", "L", "N", "M"])):
        tables = families_of(tmp_path / str(night), _people(dict(zip(names, ids, strict=True))), parents)
        assert len(set(_family_of(tables).values())) == 1, "both are children of the first father"


def test_a_second_mother_known_from_one_record_is_the_first_where_her_own_name_says_so(tmp_path: Path) -> None:
    # Two records of one mother, and two records the linkage joined to nobody, all stated as the mother of one child.
    ids = {"ava": "A", "parent-1": "M", "parent-2": "M", "parent-3": "N", "parent-4": "O"}
    given = {"ava": "AVA", "parent-1": "ROSA", "parent-2": "ROSA", "parent-3": "ROZA", "parent-4": "DENISE"}
    stated = [(p, "mother_of", "ava") for p in ("parent-1", "parent-3", "parent-4")]
    tables = families_of(tmp_path, _people(ids, given), stated)
    assert sorted(e["parent_person_id"] for e in tables["parent_child"]) == ["M", "O"], "another name, another mother"
    asked = [(r["reason"], r["person_id"], r["other_person_id"]) for r in tables["family_review"]]
    assert asked == [("perhaps_one_parent", "N", "M")]


def test_two_mothers_a_reviewer_keeps_apart_are_two_mothers(tmp_path: Path) -> None:
    ids = {"ava": "A", "parent-1": "M", "parent-2": "M", "parent-3": "N"}
    given = {"ava": "AVA", "parent-1": "ROSA", "parent-2": "ROSA", "parent-3": "ROZA"}
    stated = [(p, "mother_of", "ava") for p in ("parent-1", "parent-3")]
    tables = families_of(tmp_path, _people(ids, given), stated, apart=("parent-3", "parent-2"))
    assert sorted(e["parent_person_id"] for e in tables["parent_child"]) == ["M", "N"]
    assert tables["family_review"] == []


def test_families_are_told_to_share_a_father_or_a_case_and_stay_two(tmp_path: Path) -> None:
    # Two mothers with one father; a third mother's child in the same docket; and one docket of seven families.
    children = {f"child-{n}": f"C{n}" for n in range(1, 11)}
    mothers = {f"parent-{n:02}": f"M{n:02}" for n in range(1, 11)}
    stated = [(f"parent-{n:02}", "mother_of", f"child-{n}") for n in range(1, 11)]
    stated += [("parent-90", "father_of", "child-1"), ("parent-90", "father_of", "child-2")]
    cases = [("J1", "child-1"), ("J1", "child-3")] + [("J2", f"child-{n}") for n in range(4, 11)]
    tables = families_of(tmp_path, _people({**children, **mothers, "parent-90": "F"}), stated, cases)
    family_of = _family_of(tables)
    assert len(set(family_of.values())) == 10
    assert _links(tables) == {
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
    tables = families_of(tmp_path, _people({**children, **mothers}), stated, homes=homes)
    family_of = _family_of(tables)
    assert len(set(family_of.values())) == 11
    assert _links(tables) == {
        (frozenset({family_of["C1"], family_of["C2"]}), "shared_household"),
        (frozenset({family_of["C2"], family_of["C3"]}), "shared_household"),
    }


def test_a_home_is_of_the_family_the_child_is_in_on_that_day(tmp_path: Path) -> None:
    # Ava was adopted in June; Bea came into her home in July: she never lived with the family Ava was born into.
    people: dict[str, list[dict[str, Any]]] = {
        "AVA": [{"born": dt.date(2020, 1, 1)}], "SIS": [{"born": dt.date(2021, 1, 1)}],
        "BEA": [{"born": dt.date(2022, 1, 1)}], "MEL": [{"sex": "F"}], "ANN": [{"sex": "F"}], "NAN": [{"sex": "F"}],
    }  # fmt: skip
    decree = dt.date(2024, 6, 1)
    stated: list[tuple[Any, ...]] = [
        ("MEL", "mother_of", "AVA"), ("MEL", "mother_of", "SIS"), ("NAN", "mother_of", "BEA"),
        ("ANN", "adoptive_parent_of", "AVA", "court", decree),
    ]  # fmt: skip
    homes = [("H1", "AVA", dt.date(2023, 1, 1), None), ("H1", "BEA", dt.date(2024, 7, 1), None)]
    tables = families_of(tmp_path, people, stated, homes=homes)
    members = {(r["person_id"], r["role"]): r["family_id"] for r in tables["family_member"]}
    assert _links(tables) == {
        (frozenset({members[("ANN", "adoptive_parent")], members[("BEA", "child")]}), "shared_household")
    }
