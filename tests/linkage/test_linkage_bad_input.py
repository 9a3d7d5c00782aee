"""What linkage does with input that cannot be right: nothing stops the night, nothing is lost without a count."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from linkage_helpers import CUT, standard

from linkage import build_families
from linkage.person import blocking
from linkage.person.edges import load_records
from linkage.store import connect

MAY, JUNE = dt.date(2025, 5, 1), dt.date(2025, 6, 1)

TWICE: list[dict[str, Any]] = [
    {"source_record_id": "1", "first_name": "Anna", "last_name": "Gray", "delivered_on": MAY, "phone": "555-010-2000"},
    {"source_record_id": "1", "first_name": "Hannah", "last_name": "Moss", "delivered_on": JUNE},
    # Delivered on one day: the first in the alphabet, whichever line came first.
    {"source_record_id": "2", "first_name": "Zoe", "last_name": "Hall", "delivered_on": JUNE},
    {"source_record_id": "2", "first_name": "Amy", "last_name": "Hall", "delivered_on": JUNE},
    # The same number in another system is another record.
    {"source_system": "b", "source_record_id": "1", "first_name": "Otto", "last_name": "Gray"},
]
KIN: list[dict[str, Any]] = [
    {"source_system": "kin", "source_record_id": who, "birth_date": born, "sex": sex}
    for who, born, sex in (
        ("mother", "1990-01-02", "F"), ("child", "2020-05-06", "F"), ("younger", "2005-01-02", "F"),
        ("older", "2001-01-02", "M"), ("alone", "2021-05-06", "M"),
    )
]  # fmt: skip
RELATIONS = [
    {"source_system": "kin", "source_record_id": one, "related_record_id": other, "relationship": relationship}
    for one, relationship, other in (
        ("child", "mother_of", "mother"), ("younger", "mother_of", "older"),
        ("alone", "mother_of", "alone"), ("gone", "mother_of", "alone"), ("alone", "sibling_of", " "),
        # Whoever adopted them: not delivered, not named. The third adopts nobody.
        ("gone", "adoptive_parent_of", "younger"), ("", "adoptive_parent_of", "older"), ("", "adoptive_parent_of", " "),
    )
]  # fmt: skip
#: A million in small: forty, where a test lets ten share a block. The second placeholder is on nobody's list.
PLACEHOLDERS = {"known": ("BABY BOY", "UNKNOWN"), "unheard_of": ("Vorname", "Nachname")}
SAME_NUMBER = {"known": "434-27-1856", "unheard_of": "434-27-2945"}


def _one_name(system: str, birth_date: str) -> list[dict[str, Any]]:
    first, last = PLACEHOLDERS[system]
    same = {"source_system": system, "first_name": first, "last_name": last, "birth_date": birth_date, "sex": "M"}
    lines: list[dict[str, Any]] = [{**same, "source_record_id": str(i)} for i in range(40)]
    # Two of them are one person under a number.
    lines[3]["ssn"] = lines[8]["ssn"] = SAME_NUMBER[system]
    return lines


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """All of it in one night, each record a person of its own."""
    folder = tmp_path_factory.mktemp("bad")
    lines = [*TWICE, *KIN, *_one_name("known", "2024-05-01"), *_one_name("unheard_of", "2001-07-09")]
    found, summary = standard(folder, lines, RELATIONS)
    work = folder / "linkage"
    people = {
        "source_system": [system for system, _ in found],
        "source_record_id": [record for _, record in found],
        "person_id": [f"{system}-{record}" for system, record in found],
        "match_probability": [1.0] * len(found),
    }
    pq.write_table(pa.table(people), work / "person_crosswalk.parquet")
    build_families(work, work / "registry", CUT, b"a test, not a secret")
    tables = {t: pq.read_table(work / f"{t}.parquet").to_pylist() for t in ("parent_child", "family_review")}
    return SimpleNamespace(work=work, found=found, summary=summary, received=len(lines), **tables)


def _says(found: dict[tuple[str, str], dict[str, Any]]) -> None:
    one, two = found["a", "1"], found["a", "2"]
    assert (one["first_std"], one["last_std"], two["first_std"]) == ("HANNAH", "MOSS", "AMY")
    assert one["phone"] is not None, "what only the older row knows is kept"
    assert {"ANNA", "HANNAH"} <= set(one["first_forms"]) and {"GRAY", "MOSS"} <= set(one["last_forms"])
    assert found["b", "1"]["first_std"] == "OTTO"


def test_rows_with_one_key_are_one_record_and_the_newest_speaks(night: SimpleNamespace, tmp_path: Path) -> None:
    _says(night.found)
    assert night.summary["rows_received"] == night.received == night.summary["records"] + 2
    backwards, _ = standard(tmp_path, TWICE[::-1])
    _says(backwards)


def test_a_mother_younger_than_her_child_is_read_the_other_way_or_reviewed_and_never_believed(
    night: SimpleNamespace,
) -> None:
    # Relations to nobody, and to oneself, make no parent either.
    assert {(p["parent_person_id"], p["role"], p["child_person_id"]) for p in night.parent_child} == {
        ("kin-mother", "mother", "kin-child")
    }
    assert [(r["reason"], r["person_id"], r["other_person_id"]) for r in night.family_review] == [
        ("impossible_age", "kin-older", "kin-younger")
    ]
    told = {k: night.summary[f"relationship_{k}"] for k in ("reversed", "to_itself", "to_nobody")}
    assert told == {"reversed": 1, "to_itself": 1, "to_nobody": 4}


def test_an_adoption_is_heard_though_the_parent_is_not_among_the_records(night: SimpleNamespace) -> None:
    name = {row["rid"]: record for (_, record), row in night.found.items()}
    stated = pq.read_table(night.work / "relationships.parquet").to_pylist()
    unnamed = [(r["relationship"], name[r["rid_b"]]) for r in stated if r["rid_a"] is None]
    assert sorted(unnamed) == [("adoptive_parent_of", "older"), ("adoptive_parent_of", "younger")]


@pytest.mark.parametrize("is_night", [False, True], ids=["in training", "at night, under the model's limits"])
def test_one_name_on_every_record_of_a_source_does_not_explode(
    night: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, is_night: bool
) -> None:
    monkeypatch.setattr(blocking, "MAX_BLOCK", 10)
    assert all((r["first_std"] is None) == (s == "known") for (s, _), r in night.found.items() if s in PLACEHOLDERS)
    con = connect()
    load_records(con, str(night.work / "records.parquet"))
    con.execute(f"delete from records where source_system not in {tuple(PLACEHOLDERS)}")
    limits = {rule.name: 10 for rule in blocking.RULES} if is_night else None
    report = {rule["name"]: rule for rule in blocking.block(con, limits=limits)}
    # Of 2 * 40 * 39 / 2 pairs, those with a reason of their own.
    twos = [tuple(sorted(night.found[s, i]["rid"] for i in ("3", "8"))) for s in PLACEHOLDERS]
    assert con.execute("select rid_l, rid_r from pairs order by all").fetchall() == sorted(twos)
    # What was left out is said.
    assert (report["birth_date"]["blocks_dropped"], report["birth_date"]["largest_block"]) == (2, 40)
    assert report["full_name"]["blocks_dropped"] == 1, "a known placeholder is no name"
    con.close()
