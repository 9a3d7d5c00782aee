"""A way to write person records and to run the first step on them."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

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
