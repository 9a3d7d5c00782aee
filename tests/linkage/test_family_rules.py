"""Who is whose family, by cases worked out by hand (``families.yaml``), and where a family is too large to believe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from linkage_helpers import CUT

from linkage import build_families

CASES = yaml.safe_load((Path(__file__).parent / "families.yaml").read_text(encoding="utf-8"))
_RECORD = pa.schema(
    [
        ("rid", pa.int64()), ("source_system", pa.string()), ("source_record_id", pa.string()),
        ("birth_date", pa.date32()), ("is_birth_date_estimated", pa.bool_()), ("sex", pa.string()),
        ("is_child", pa.bool_()), ("record_role", pa.string()), ("is_sealed", pa.bool_()),
        ("first_std", pa.string()), ("first_forms", pa.list_(pa.string())), ("last_std", pa.string()),
        ("dob", pa.string()), ("person_id", pa.string()), ("match_probability", pa.float64()),
    ]
)  # fmt: skip
_STATED = pa.schema(
    [
        ("rid_a", pa.int64()), ("rid_b", pa.int64()), ("relationship", pa.string()), ("evidence", pa.string()),
        ("source_system", pa.string()), ("valid_from", pa.date32()), ("valid_to", pa.date32()),
    ]
)  # fmt: skip
_MEMBER = pa.schema([("source_system", pa.string()), ("case_key", pa.string()), ("rid", pa.int64())])


def _night(folder: Path, people: dict[str, list[dict[str, Any]]], stated: list[list[Any]]) -> dict[str, list[Any]]:
    """The tables ``build_families`` leaves for ``people`` and what is ``stated`` of them."""
    named = [
        (f"{person}:{i}", person, record) for person, records in people.items() for i, record in enumerate(records, 1)
    ]
    rid = {name: number for number, (name, _, _) in enumerate(named)}
    records = []
    for name, person, r in named:
        says: dict[str, Any] = {
            "born": None,
            "estimated": False,
            "sex": None,
            "child": False,
            "role": None,
            "sealed": False,
        }
        says = {**says, "given": None, "last": "LEE", "dob": None, "sure": 1.0, **r}
        records.append(
            {
                "rid": rid[name], "source_system": "court", "source_record_id": name, "birth_date": says["born"],
                "is_birth_date_estimated": says["estimated"], "sex": says["sex"], "is_child": says["child"],
                "record_role": says["role"], "is_sealed": says["sealed"], "first_std": says["given"],
                "first_forms": says["given"] and [says["given"]], "last_std": says["last"],
                "dob": says["dob"] and str(says["dob"]), "person_id": person, "match_probability": says["sure"],
            }
        )  # fmt: skip
    rows = []
    for row in stated:
        one, relationship, other, source, since, until, evidence = [*row, *[None] * 4][:7]
        ends = {side: rid[who if ":" in who else f"{who}:1"] for side, who in (("rid_a", one), ("rid_b", other))}
        rows.append(
            {
                **ends, "relationship": relationship, "evidence": evidence or "stated",
                "source_system": source or "court", "valid_from": since, "valid_to": until,
            }
        )  # fmt: skip
    folder.mkdir(exist_ok=True)
    for name, lines, schema in (
        ("records", records, _RECORD), ("person_crosswalk", records, _RECORD), ("relationships", rows, _STATED),
        ("case_members", [], _MEMBER),
    ):  # fmt: skip
        pq.write_table(pa.Table.from_pylist(lines, schema), folder / f"{name}.parquet")
    build_families(folder, folder / "registry", CUT, b"a test, not a secret")
    return {
        name: pq.read_table(folder / f"{name}.parquet").to_pylist()
        for name in ("parent_child", "family_member", "family_review")
    }


def _by_family(rows: list[dict[str, Any]], *columns: str) -> list[list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["family_id"], []).append([row[c] for c in columns])
    return sorted((sorted(members, key=str) for members in found.values()), key=str)


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_who_is_whose_family(case: dict[str, Any], tmp_path: Path) -> None:
    tables = _night(tmp_path / "night", case["people"], case["stated"])
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
    tables = _night(tmp_path / "night", people, [["MEL", relationship, name] for name in names])
    families = _by_family([r for r in tables["family_member"] if r["role"] == "child"], "person_id")
    assert len(families) == (1 if is_believed else children)
    asked = [(r["reason"], r["person_id"]) for r in tables["family_review"]]
    assert asked == ([] if is_believed else [("many_children", "MEL")])
