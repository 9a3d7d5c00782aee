"""Ways to write person records, and to run single steps on them."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from linkage import build_families, link_families
from linkage.person.comparisons import COMPARISONS
from linkage.person.scoring import Scorer
from linkage.records import prepare
from linkage.store import connect, rows

CUT = dt.date(2025, 6, 30)
_SHORT = {
    "first": "first_name", "middle": "middle_name", "last": "last_name", "suffix": "name_suffix", "born": "birth_date",
    "medicaid": "medicaid_id", "role": "record_role", "address": "address_line",
}  # fmt: skip


def write_table(lines: list[dict[str, Any]], path: Path) -> Path:
    """Rows with differing keys as one Parquet file."""
    names = list(dict.fromkeys(k for line in lines for k in line))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({n: pa.array([line.get(n) for line in lines]) for n in names}), path)
    return path


def standard(
    tmp_path: Path, lines: list[dict[str, Any]], kin: list[dict[str, Any]] | None = None
) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, Any]]:
    """Canonical records by key, and the summary, for raw person records."""
    filled = [{"source_system": "a", "source_record_id": str(i), **line} for i, line in enumerate(lines)]
    con = connect()
    path = write_table(filled, tmp_path / "in.parquet")
    related = f"read_parquet('{write_table(kin, tmp_path / 'kin.parquet')}')" if kin else None
    summary = prepare(con, f"read_parquet('{path}')", related, None, None, tmp_path / "linkage")
    found = rows(con, f"select * from read_parquet('{tmp_path / 'linkage' / 'records.parquet'}')")
    con.close()
    return {(r["source_system"], r["source_record_id"]): r for r in found}, summary


def scored(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    records: list[dict[str, Any]],
    common: Iterable[str] = (),
    pairs: list[list[int]] | None = None,
) -> dict[int, int]:
    """Tables ``records`` and ``edges`` on ``con``: these records, and all their ``pairs`` compared and weighing 9.

    Records have the columns of ``_SHORT`` and ``system``; each is of a source of its own where that is missing.
    ``common`` are given names to be borne under four other surnames. Returns the numbers of the records, from 1, by
    ``rid``.
    """
    lines = [
        {"source_system": f"system {i}", "source_record_id": f"{i}", "delivered_on": CUT}
        | {_SHORT.get(k, k): str(v) for k, v in record.items() if k != "system" and v is not None}
        | ({"source_system": record["system"]} if "system" in record else {})
        for i, record in enumerate(records, 1)
    ]
    lines += [
        {"source_system": "elsewhere", "source_record_id": f"{name} {last}", "first_name": name, "last_name": last}
        for name, last in itertools.product(common, ("ABBOT", "BINGHAM", "CROSSLEY", "DUVAL"))
    ]
    path = write_table(lines, folder / "in.parquet")
    prepare(con, f"read_parquet('{path}')", None, None, None, folder / "linkage")
    numbered = con.execute("select try_cast(source_record_id as int), rid from records").fetchall()
    rid = {int(number): int(rid) for number, rid in numbered if number}
    con.execute("create table pairs (rid_l bigint, rid_r bigint)")
    for a, b in pairs or itertools.combinations(rid, 2):
        con.execute("insert into pairs values (least($1, $2), greatest($1, $2))", [rid[a], rid[b]])
    Scorer(con).levels(list(COMPARISONS), "pairs", "compared")
    con.execute(
        "create table edges as select 9::double as weight, 'adult' as model, 'pair' as evidence, * from compared"
    )
    return {r: number for number, r in rid.items()}


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
_MEMBER = pa.schema(
    [("source_system", pa.string()), ("case_key", pa.string()), ("rid", pa.int64()), ("role", pa.string())]
)
_HOME = pa.schema(
    [
        ("household_id", pa.string()), ("person_id", pa.string()),
        ("valid_from", pa.date32()), ("valid_to", pa.date32()),
    ]
)  # fmt: skip


def families_of(
    folder: Path,
    people: dict[str, list[dict[str, Any]]],
    stated: Iterable[Sequence[Any]],
    cases: Iterable[tuple[str, str]] = (),
    homes: Iterable[tuple[Any, ...]] = (),
    apart: tuple[str, str] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """One night's families; returns the tables by name.

    ``people`` are IDs and the records of each (``families.yaml`` says what a record may give), named ``ID:1``, ``ID:2``
    ... unless ``name`` says otherwise. ``stated``: one, relationship, other, and optionally source, first and last day,
    evidence; an ID stands for its first record, None for who adopted and is not known. ``cases``: key and record;
    ``homes``: household, person, first day, day they left; ``apart``: two records a reviewer says are of two people.
    """
    named = [
        (record.get("name", f"{person}:{i}"), person, record)
        for person, records in people.items()
        for i, record in enumerate(records, 1)
    ]
    rid = {name: number for number, (name, _, _) in enumerate(named)}
    rid |= {person: number for number, (_, person, _) in reversed(list(enumerate(named)))}
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
        ends = {"rid_a": one and rid[one], "rid_b": rid[other]}
        rows.append(
            {
                **ends, "relationship": relationship, "evidence": evidence or "stated",
                "source_system": source or "court", "valid_from": since, "valid_to": until,
            }
        )  # fmt: skip
    members = [{"source_system": "court", "case_key": case, "rid": rid[who], "role": "other"} for case, who in cases]
    folder.mkdir(exist_ok=True)
    for table, lines, schema in (
        ("records", records, _RECORD), ("person_crosswalk", records, _RECORD), ("relationships", rows, _STATED),
        ("case_members", members, _MEMBER),
        ("household_member", [dict(zip(_HOME.names, home, strict=True)) for home in homes], _HOME),
    ):  # fmt: skip
        pq.write_table(pa.Table.from_pylist(lines, schema), folder / f"{table}.parquet")
    if apart:
        said = {"rid_a": rid[apart[0]], "rid_b": rid[apart[1]], "kind": "cannot", "reason": "reviewer"}
        write_table([said], folder / "constraints_in_force.parquet")
    build_families(folder, folder / "registry", CUT, b"a test, not a secret")
    link_families(folder)
    return {
        name: pq.read_table(folder / f"{name}.parquet").to_pylist()
        for name in ("parent_child", "family_member", "family_review", "family_link", "case_family")
    }
