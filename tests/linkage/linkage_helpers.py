"""A way to write person records and to run the first step on them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from linkage.records import prepare
from linkage.store import connect, rows

CUT = dt.date(2025, 6, 30)


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
