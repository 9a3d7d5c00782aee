"""Who is whose family, by cases worked out by hand (``families.yaml``), and where a family is too large to believe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from linkage_helpers import families_of

CASES = yaml.safe_load((Path(__file__).parent / "families.yaml").read_text(encoding="utf-8"))


def _by_family(rows: list[dict[str, Any]], *columns: str) -> list[list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["family_id"], []).append([row[c] for c in columns])
    return sorted((sorted(members, key=str) for members in found.values()), key=str)


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_who_is_whose_family(case: dict[str, Any], tmp_path: Path) -> None:
    tables = families_of(tmp_path / "night", case["people"], case["stated"])
    edges, members, review = tables["parent_child"], tables["family_member"], tables["family_review"]

    def rows_of(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> list[Any]:
        return sorted(([r[c] for c in columns] for r in rows), key=str)

    ends = ("child_person_id", "parent_person_id")
    expected = {name: sorted(value, key=str) for name, value in case.items() if isinstance(value, list)}
    if "parents" in case:
        assert rows_of((*ends, "role"), edges) == expected["parents"]
    if "sure" in case:
        assert rows_of((*ends, "confidence"), edges) == expected["sure"]
    if "days" in case:
        assert rows_of((*ends, "valid_from", "valid_to"), edges) == expected["days"]
    if "asked" in case:
        assert rows_of(("reason", "person_id", "other_person_id"), review) == expected["asked"]
    if "families" in case:
        children = [r for r in members if r["role"] == "child"]
        found = _by_family(children, "person_id")
        assert found == sorted(([[c] for c in sorted(family)] for family in case["families"]), key=str)
    if "members" in case:
        found = _by_family(members, "person_id", "role", "valid_from", "valid_to")
        assert found == sorted((sorted(family, key=str) for family in case["members"]), key=str)


@pytest.mark.parametrize("relationship", ["mother_of", "adoptive_parent_of"])
@pytest.mark.parametrize(("children", "is_believed"), [(12, True), (13, False)])
def test_twelve_children_of_one_parent_are_believed_and_thirteen_asked_about(
    relationship: str, children: int, is_believed: bool, tmp_path: Path
) -> None:
    names = [f"CHILD{n:02}" for n in range(children)]
    people = {name: [{"child": True}] for name in names} | {"MEL": [{"sex": "F"}]}
    tables = families_of(tmp_path / "night", people, [["MEL", relationship, name] for name in names])
    families = _by_family([r for r in tables["family_member"] if r["role"] == "child"], "person_id")
    assert len(families) == (1 if is_believed else children)
    asked = [(r["reason"], r["person_id"]) for r in tables["family_review"]]
    assert asked == ([] if is_believed else [("many_children", "MEL")])
