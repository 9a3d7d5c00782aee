"""A sealed adoption, four records by hand: what lies on which side of the seal, and who may read what joins them."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from linkage_helpers import CUT, write_table

from linkage import build_families, link_families
from linkage.review.desk import family_questions

DECREE = dt.date(2024, 6, 1)
#: Record (and its ID): first day of life, sealed?
PEOPLE = {
    "birth mother": (dt.date(1995, 1, 1), False),
    "child": (dt.date(2023, 4, 1), True),
    "sister": (dt.date(2021, 2, 1), False),
    "adoptive mother": (dt.date(1985, 1, 1), False),
}
STATED = [
    ("birth mother", "mother_of", "child", None),
    ("birth mother", "mother_of", "sister", None),
    ("adoptive mother", "foster_parent_of", "child", dt.date(2023, 5, 1)),
    ("adoptive mother", "adoptive_parent_of", "child", DECREE),
]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live(tmp_path_factory.mktemp("sealed"), PEOPLE, STATED)


def live(
    folder: Path,
    people: dict[str, tuple[dt.date, bool]],
    stated_by: list[tuple[str, str, str, dt.date | None]],
) -> Path:
    """One night of these people and statements; the first three of them are in one case."""
    names = list(people)
    records = pa.table(
        {
            "rid": range(len(names)),
            "source_system": ["child_welfare"] * len(names),
            "source_record_id": names,
            "birth_date": [born for born, _ in people.values()],
            "is_birth_date_estimated": [False] * len(names),
            "sex": ["F"] * len(names),
            "is_child": ["mother" not in n for n in names],
            "record_role": pa.array([None] * len(names), pa.string()),
            "is_sealed": [sealed for _, sealed in people.values()],
            "first_std": [n.upper() for n in names],
            "first_forms": [[n.upper()] for n in names],
            "last_std": ["LEE"] * len(names),
            "dob": [str(born) for born, _ in people.values()],
        }
    )
    pq.write_table(records, folder / "records.parquet")
    write_table(
        [{"source_system": "child_welfare", "source_record_id": n, "person_id": n.upper(), "match_probability": 1.0}
         for n in names],
        folder / "person_crosswalk.parquet",
    )  # fmt: skip
    stated = [
        {
            "rid_a": names.index(a), "rid_b": names.index(b), "relationship": r, "evidence": "stated",
            "source_system": "child_welfare", "valid_from": since, "valid_to": None,
        }
        for a, r, b, since in stated_by
    ]  # fmt: skip
    table = pa.Table.from_pylist(stated).cast(
        pa.schema(
            [
                ("rid_a", pa.int64()), ("rid_b", pa.int64()), ("relationship", pa.string()), ("evidence", pa.string()),
                ("source_system", pa.string()), ("valid_from", pa.date32()), ("valid_to", pa.date32()),
            ]
        )
    )  # fmt: skip
    pq.write_table(table, folder / "relationships.parquet")
    # The case of the removal: the birth mother and both children.
    case = [{"source_system": "child_welfare", "case_key": "C7", "rid": i, "role": "other"} for i in range(3)]
    write_table(case, folder / "case_members.parquet")
    build_families(folder, folder / "registry", CUT, b"a test, not a secret")
    # Households leave people with a sealed record out.
    stay = {"household_id": "H", "person_id": "SISTER", "valid_from": dt.date(2020, 1, 1), "valid_to": None}
    kinds = [("household_id", pa.string()), ("person_id", pa.string())]
    kinds += [("valid_from", pa.date32()), ("valid_to", pa.date32())]
    pq.write_table(pa.Table.from_pylist([stay], pa.schema(kinds)), folder / "household_member.parquet")
    link_families(folder)
    return folder


def rows(night: Path, name: str) -> list[dict[str, Any]]:
    return pq.read_table(night / f"{name}.parquet").to_pylist()


def families(night: Path) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for row in rows(night, "family_member"):
        found.setdefault(row["family_id"], set()).add((row["person_id"], row["role"]))
    return found


def test_the_child_is_in_the_adoptive_family_alone(night: Path) -> None:
    assert {frozenset(members) for members in families(night).values()} == {
        frozenset({("SISTER", "child"), ("BIRTH MOTHER", "mother")}),
        frozenset({("CHILD", "child"), ("ADOPTIVE MOTHER", "adoptive_parent")}),
    }
    assert [
        (r["parent_person_id"], r["role"]) for r in rows(night, "parent_child") if r["child_person_id"] == "CHILD"
    ] == [("ADOPTIVE MOTHER", "adoptive_parent")]


def test_the_bridge_says_which_families_and_since_when(night: Path) -> None:
    (bridge,) = rows(night, "restricted/adoption_bridge")
    members = families(night)
    assert (bridge["child_person_id"], bridge["decree_date"]) == ("CHILD", DECREE)
    assert ("BIRTH MOTHER", "mother") in members[bridge["family_id_before"]]
    assert ("CHILD", "child") in members[bridge["family_id_after"]]


def test_only_the_account_of_the_nights_may_read_it(night: Path) -> None:
    folder = night / "restricted"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "adoption_bridge.parquet").stat().st_mode) == 0o600


def test_nothing_else_that_families_write_joins_the_two_sides(night: Path) -> None:
    (bridge,) = rows(night, "restricted/adoption_bridge")
    birth = {bridge["family_id_before"], "BIRTH MOTHER", "SISTER"}
    adoptive = {bridge["family_id_after"], "ADOPTIVE MOTHER", "CHILD"}
    for name in ("family_member", "parent_child", "family_link", "case_family", "family_review"):
        for row in rows(night, name):
            assert not (birth & set(row.values()) and adoptive & set(row.values())), name
    assert {r["family_id"] for r in rows(night, "case_family")} == {bridge["family_id_before"]}, (
        "the case is the birth's"
    )
    assert family_questions(night) == []


def parents(night: Path, child: str) -> list[tuple[str, str]]:
    return [(r["parent_person_id"], r["role"]) for r in rows(night, "parent_child") if r["child_person_id"] == child]


def test_nobody_is_asked_about_a_birth_mother_of_impossible_age(tmp_path: Path) -> None:
    people = {**PEOPLE, "birth mother": (dt.date(2015, 1, 1), False)}
    night = live(tmp_path, people, STATED)
    asked = [(r["reason"], r["person_id"], r["other_person_id"]) for r in rows(night, "family_review")]
    assert asked == [("impossible_age", "SISTER", "BIRTH MOTHER")], "the sister is not sealed"
    assert len(family_questions(night)) == 1


def test_a_sealed_adoption_without_a_day_hides_who_was_before_all_the_same(tmp_path: Path) -> None:
    stated = [(a, r, b, None) for a, r, b, _ in STATED]
    stated.append(("birth mother", "guardian_of", "child", dt.date(2023, 5, 1)))
    night = live(tmp_path, PEOPLE, stated)
    test_the_child_is_in_the_adoptive_family_alone(night)
    (bridge,) = rows(night, "restricted/adoption_bridge")
    assert (bridge["child_person_id"], bridge["family_id_before"], bridge["decree_date"]) == ("CHILD", None, None)
    assert {r["family_id"] for r in rows(night, "case_family")} != {bridge["family_id_after"]}


def test_nor_does_an_adoptive_parent_of_too_many_open_the_birth_family(tmp_path: Path) -> None:
    others = {f"other {n}": (dt.date(2015, 1, n), False) for n in range(1, 14)}
    stated = [*STATED, *[("adoptive mother", "adoptive_parent_of", name, DECREE) for name in others]]
    night = live(tmp_path, {**PEOPLE, **others}, stated)
    assert {frozenset(members) for members in families(night).values() if ("CHILD", "child") in members} == {
        frozenset({("CHILD", "child")})
    }
    assert parents(night, "CHILD") == [("ADOPTIVE MOTHER", "adoptive_parent")], "as stated"


def test_an_open_adoption_without_a_day_is_the_adoptive_parent_s_family(tmp_path: Path) -> None:
    people = {name: (born, False) for name, (born, _) in PEOPLE.items()}
    night = live(tmp_path, people, [(a, r, b, None) for a, r, b, _ in STATED if r != "foster_parent_of"])
    assert frozenset({("CHILD", "child"), ("ADOPTIVE MOTHER", "adoptive_parent")}) in {
        frozenset(members) for members in families(night).values()
    }
    assert parents(night, "CHILD") == [("ADOPTIVE MOTHER", "adoptive_parent"), ("BIRTH MOTHER", "mother")]


def test_the_home_of_a_sister_is_hers_to_have_been_in(tmp_path: Path) -> None:
    # Who adopted the child fosters the sister too: true of her, and said of her family. Of the child nothing is.
    stated = [*STATED, ("adoptive mother", "foster_parent_of", "sister", dt.date(2024, 1, 1))]
    night = live(tmp_path, PEOPLE, stated)
    (bridge,) = rows(night, "restricted/adoption_bridge")
    assert families(night) == {
        bridge["family_id_before"]: {
            ("SISTER", "child"), ("BIRTH MOTHER", "mother"), ("ADOPTIVE MOTHER", "foster_parent"),
        },
        bridge["family_id_after"]: {("CHILD", "child"), ("ADOPTIVE MOTHER", "adoptive_parent")},
    }  # fmt: skip
    (fosters,) = [r for r in rows(night, "family_member") if r["role"] == "foster_parent"]
    assert fosters["valid_from"] == dt.date(2024, 1, 1), "since she came, not since the child did"
