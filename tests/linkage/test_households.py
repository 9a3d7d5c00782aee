"""Households: cases by hand, and what the table must never hold or do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from linkage_helpers import write_table

from linkage import build_households
from linkage.family.households import _islands
from linkage.store import connect

CASES = yaml.safe_load((Path(__file__).parent / "households.yaml").read_text(encoding="utf-8"))
SECRET = b"a test, not a secret"


def _night(folder: Path, case: dict[str, Any], secret: bytes = SECRET) -> list[dict[str, Any]]:
    """Rows of ``household_member`` for one case; a person's ID is the name, its record the name in lower case."""
    people = sorted({row[0] for row in case["rows"]})
    lines = [
        {
            "source_system": "child_welfare", "source_record_id": who, "row_kind": "address", "address_role": role,
            "address_line": line and line.partition(" / ")[0],
            "address_line_2": (line or "").partition(" / ")[2] or None,
            "zip": "98701", "valid_from": first, "valid_to": left,
        }
        for who, role, line, first, left in case["rows"]
    ]  # fmt: skip
    write_table(lines, folder / "staged" / "child_welfare__person_records.parquet")
    surnames = case.get("surnames", {})
    record = [
        {
            "source_system": "child_welfare", "source_record_id": p, "last_std": surnames.get(p, "LEE"),
            "is_sealed": p in case.get("sealed", []),
        }
        for p in people
    ]  # fmt: skip
    write_table(record, folder / "linkage" / "records.parquet")
    crosswalk = pa.table(
        {
            "source_system": ["child_welfare"] * len(people),
            "source_record_id": people,
            "person_id": [p.upper() for p in people],
            "valid_to": pa.array([None] * len(people), pa.date32()),
        }
    )
    pq.write_table(crosswalk, folder / "linkage" / "person_crosswalk.parquet")
    build_households(folder / "staged", folder / "linkage", secret)
    return pq.read_table(folder / "linkage" / "household_member.parquet").to_pylist()


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_who_lives_with_whom(case: dict[str, Any], tmp_path: Path) -> None:
    households: dict[str, list[tuple[Any, ...]]] = {}
    for row in _night(tmp_path, case):
        households.setdefault(row["household_id"], []).append((row["person_id"], row["valid_from"], row["valid_to"]))
    expected = [[(who.upper(), first, left) for who, first, left in h] for h in case["households"]]
    assert sorted(str(sorted(h, key=str)) for h in households.values()) == sorted(
        str(sorted(h, key=str)) for h in expected
    )


def test_the_table_holds_no_address_and_its_key_tells_none(tmp_path: Path) -> None:
    rows = _night(tmp_path / "here", CASES[0])
    assert set(rows[0]) == {"household_id", "person_id", "valid_from", "valid_to", "evidence", "source_system"}
    assert {(r["evidence"], r["source_system"]) for r in rows} == {("home_address", "child_welfare")}
    written = (tmp_path / "here" / "linkage" / "household_member.parquet").read_bytes().upper()
    assert b"OAK" not in written and b"98701" not in written
    elsewhere = _night(tmp_path / "there", CASES[0], b"another secret")
    assert {r["household_id"] for r in rows}.isdisjoint(r["household_id"] for r in elsewhere)


def test_the_same_rows_in_another_order_give_the_same_file(tmp_path: Path) -> None:
    for name, rows in (("forwards", CASES[5]["rows"]), ("backwards", CASES[5]["rows"][::-1])):
        _night(tmp_path / name, {**CASES[5], "rows": rows})
    files = [(tmp_path / n / "linkage" / "household_member.parquet").read_bytes() for n in ("forwards", "backwards")]
    assert files[0] == files[1]


def test_sources_that_date_no_address_make_an_empty_table(tmp_path: Path) -> None:
    write_table([{"source_system": "court", "source_record_id": "1", "address_line": "12 Oak St"}],
                tmp_path / "staged" / "court__person_records.parquet")  # fmt: skip
    record = {"source_system": "court", "source_record_id": "1", "last_std": "LEE", "is_sealed": False}
    write_table([record], tmp_path / "linkage" / "records.parquet")
    write_table([{**record, "person_id": "P", "valid_to": None}], tmp_path / "linkage" / "person_crosswalk.parquet")
    counts = build_households(tmp_path / "staged", tmp_path / "linkage", SECRET)
    assert (counts["households"], counts["household_member"]) == (0, 0)
    assert pq.read_table(tmp_path / "linkage" / "household_member.parquet").num_rows == 0


def test_stays_alike_in_both_days_are_one_in_whatever_order_they_are_read() -> None:
    # Rows that are alike have no order of their own: of so many, some are read in another one the second time.
    with connect() as con:
        con.execute("create table spans as select i % 200000 as k, date '2024-01-01' as valid_from, "
                    "date '2024-02-01' as valid_to, i as source from range(600000) t(i)")  # fmt: skip
        found = con.execute(f"select count(*), count(distinct k) from ({_islands('k', 'from spans')})").fetchall()
    assert found == [(200000, 200000)]
