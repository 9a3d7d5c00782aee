"""Names, dates, numbers and addresses: the tables in ``cases/`` say what comes in and what is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from linkage_helpers import CUT, standard

CASES = [
    pytest.param(case, id=case["case"])
    for path in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    lines = [{"source_record_id": p.values[0]["case"], **p.values[0]["given"]} for p in CASES]
    found, _ = standard(tmp_path_factory.mktemp("cases"), lines)
    return {key[1]: record for key, record in found.items()}


@pytest.mark.parametrize("case", CASES)
def test_each_case_of_the_table(case: dict[str, Any], answers: dict[str, dict[str, Any]]) -> None:
    record = answers[case["case"]]
    for name, expected in case["expect"].items():
        if name.endswith("_has"):
            assert expected in record[name.removesuffix("_has")]
        elif isinstance(expected, list):
            assert sorted(record[name]) == expected
        else:
            assert record[name] == expected, name


def test_alias_and_address_rows_become_arrays_on_one_record(tmp_path: Path) -> None:
    lines = [
        {"source_record_id": "1", "row_kind": "primary", "first_name": "Ana", "last_name": "Reyes"},
        {"source_record_id": "1", "row_kind": "alias", "first_name": "Annie", "last_name": "Moore"},
        {"source_record_id": "1", "row_kind": "address", "address_line": "1 Oak St", "zip": "12345"},
        {"source_record_id": "1", "row_kind": "address", "address_line": "9 Elm St", "zip": "54321"},
    ]
    found, summary = standard(tmp_path, lines)
    record = found[("a", "1")]
    assert summary["records"] == 1
    assert (record["first_std"], record["last_std"]) == ("ANA", "REYES")
    assert {"REYES", "MOORE"} <= set(record["last_forms"])
    assert {"ANA", "ANNIE"} <= set(record["first_forms"])
    assert sorted(record["zips"]) == ["12345", "54321"]


def test_a_baby_on_its_mothers_number_does_not_carry_it(tmp_path: Path) -> None:
    lines = [
        {
            "first_name": "Dana",
            "last_name": "Bell",
            "birth_date": "1995-03-01",
            "medicaid_id": "M1",
            "delivered_on": CUT,
        },
        {
            "first_name": "BABY BOY",
            "last_name": "Bell",
            "birth_date": "2025-02-01",
            "medicaid_id": "M1",
            "delivered_on": CUT,
        },
    ]
    found, summary = standard(tmp_path, lines)
    assert found[("a", "0")]["medicaid_id"] == "M1"
    assert found[("a", "1")]["medicaid_id"] is None
    assert found[("a", "1")]["mother_medicaid_id"] == "M1"
    assert summary["mothers_medicaid_id_on_child"] == 1


def test_a_number_shared_by_unrelated_people_is_nobodys(tmp_path: Path) -> None:
    names = [("ANA", "BELL"), ("CARL", "DIAZ"), ("EVE", "FOX"), ("GUS", "HILL"), ("IDA", "JONES")]
    lines = [{"first_name": f, "last_name": n, "ssn": "321545678"} for f, n in names]
    found, summary = standard(tmp_path, lines)
    assert summary["shared_ssn"] == 5
    assert all(r["ssn"] is None for r in found.values())


def test_another_kind_of_number_in_one_source_costs_the_others_nothing(tmp_path: Path) -> None:
    lines = [{"source_system": "registry", "ssn": f"{4000000 + i}"} for i in range(50)]
    lines += [{"source_system": "court", "ssn": f"3215456{i}"} for i in range(20, 40)]
    lines += [{"source_system": "clinic", "ssn": "3215456"}]
    found, _ = standard(tmp_path, lines)
    # Fifty numbers of seven digits are a number of that source's own; one alone is a mistake.
    ssn = [found[key]["ssn"] for key in (("registry", "7"), ("court", "50"), ("clinic", "70"))]
    assert ssn == ["4000007", "321545620", None]


def test_birth_dates_that_are_not_understood_are_counted_by_source(tmp_path: Path) -> None:
    # Read as months, 19 and 20 are none; a date that stands for "not known" is understood.
    us = ["2000-10-19", "20001019", "10/19/2000", "2000", "9999-12-31", "2000-10-19T00:00:00", None]
    other = ["19/10/2000", "20/10/2000", "10/11/2000", "Oct 19, 2000", "10/19/00"]
    lines = [{"source_system": "a", "birth_date": d} for d in us] + [
        {"source_system": "b", "birth_date": d} for d in other
    ]
    assert standard(tmp_path, lines)[1]["birth_dates"] == [
        {"source_system": "a", "given": 6, "not_understood": 0, "no_such_day": 0},
        {"source_system": "b", "given": 5, "not_understood": 2, "no_such_day": 2},
    ]


def test_an_office_address_is_no_home(tmp_path: Path) -> None:
    surnames = ["ABEL", "BELL", "CRUZ", "DIAZ", "EVANS", "FOX", "GREEN", "HILL"]
    lines = [{"last_name": s, "address_line": "100 State Office Dr", "zip": "12345"} for s in surnames]
    found, summary = standard(tmp_path, lines)
    assert summary["crowded_addresses"] == 1
    for name in ("addr_keys", "bldg_keys", "street_keys", "house", "street", "street_words"):
        assert {r[name] for r in found.values()} == {None}, name


def test_one_address_of_a_record_speaks_and_no_office(tmp_path: Path) -> None:
    def row(key: str, line: str, zip_code: str, role: str | None = None) -> dict[str, Any]:
        given = {"source_record_id": key, "row_kind": "address", "address_line": line, "zip": zip_code}
        return given | {"address_role": role}

    lines = [
        {"source_record_id": "1", "row_kind": "primary", "first_name": "Ana", "last_name": "Reyes"},
        row("1", "12 Oak St", "20002"),
        row("1", "90 Ash St", "30003"),
        {"source_record_id": "2", "row_kind": "primary", "first_name": "Bea", "last_name": "Cruz"},
        row("2", "5 State Office Dr", "10001", "office"),
        row("2", "70 Elm St", "40004", "home"),
        row("3", "5 State Office Dr", "10001", "office"),
    ]
    found, _ = standard(tmp_path, lines)
    told = {key[1]: (r["house"], r["street"], r["zip"]) for key, r in found.items()}
    assert told["1"] in {("12", "OAKST", "20002"), ("90", "ASHST", "30003")}
    assert told["2"] == ("70", "ELMST", "40004")
    assert told["3"] == (None, None, None)
    assert {key[1]: r["has_home"] for key, r in found.items()} == {"1": True, "2": True, "3": False}


def test_an_expected_date_of_an_unborn_child_is_no_birth_date(tmp_path: Path) -> None:
    found, _ = standard(
        tmp_path, [{"first_name": "UNBORN", "last_name": "BELL", "birth_date": "2025-12-01", "delivered_on": CUT}]
    )
    assert found[("a", "0")]["dob"] is None


def test_invented_first_of_january_dates_keep_only_the_year(tmp_path: Path) -> None:
    lines = [{"first_name": "A", "birth_date": f"{1950 + i}-01-01"} for i in range(30)]
    lines += [{"first_name": "A", "birth_date": f"{1950 + i}-05-17"} for i in range(60)]
    found, summary = standard(tmp_path, lines)
    assert summary["year_only_birth_dates"] == 30
    assert found[("a", "3")]["dob"] == "1953" and found[("a", "3")]["birth_date"] is None


def test_rows_without_system_or_id_and_relations_to_nobody_are_counted(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"source_record_id": "1", "birth_date": "1990-01-02"},
        {"source_record_id": "2", "birth_date": "2020-05-06"},
        {"source_record_id": None},
        {"source_system": " ", "source_record_id": "9"},
    ]
    kin = [
        {"source_system": "a", "source_record_id": "1", "related_record_id": "1", "relationship": "mother_of"},
        {"source_system": "a", "source_record_id": "1", "related_record_id": "77", "relationship": "mother_of"},
        {"source_system": "a", "source_record_id": "2", "related_record_id": "1", "relationship": "mother_of"},
    ]
    found, summary = standard(tmp_path, lines, kin)
    assert len(found) == 2
    assert summary["rows_without_system_or_id"] == 2
    assert summary["relationship_to_itself"] == 1
    assert summary["relationship_to_nobody"] == 1
    assert summary["relationship_reversed"] == 1  # a child cannot be its mother's mother: read the other way round


def test_claims_under_a_number_and_a_birth_date(tmp_path: Path) -> None:
    from linkage.store import connect, rows

    lines = [
        {"source_record_id": "M1", "birth_date": "1995-03-01"},
        {"source_record_id": "M1~1995-03-01", "birth_date": "1995-03-01"},
        {"source_record_id": "M1~2025-02-01", "birth_date": "2025-02-01"},
        # Another source's number with a role behind it: a mother whose birth date was typed as the child's.
        {"source_record_id": "M1~Mother", "birth_date": "1995-03-01"},
    ]
    found, _ = standard(tmp_path, lines)
    said = {
        (r["rid_a"], r["kind"])
        for r in rows(
            connect(), f"select rid_a, kind from read_parquet('{tmp_path / 'linkage' / 'constraints.parquet'}')"
        )
    }
    assert said == {
        (found[("a", "M1~1995-03-01")]["rid"], "must"),
        (found[("a", "M1~2025-02-01")]["rid"], "cannot"),
    }
