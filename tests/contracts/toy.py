"""The toy source of the tests: its contract, and received rows as a reader would hand them over."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import duckdb

from expectations.compile.sql import identifier
from expectations.contract import Contract, Table, load_contract

FOLDER = Path(__file__).parents[1] / "fixtures" / "schools"

GOOD = {
    "pupils": {
        "pupil_id": "A1",
        "last_name": "Reyes",
        "first_name": "Ana",
        "birth_date": "2023-05-06",
        "sex": "F",
        "programme_cd": "EHS",
        "siblings_n": "1",
        "fee": "10",
        "subsidy_ind": "N",
        "start_date": "2025-01-15",
        "end_date": "",
        "review_date": "20260601",
        "seen_ts": "2026-03-01 08:00:00",
        "carer_id": "C9",
        "carer_cd": "M",
        "court_no": "JD-7",
    },
    "days": {"pupil_id": "A1", "day": "2026-03-02", "version": "1", "action": "A", "present_ind": "Y"},
}


@cache
def toy() -> Contract:
    """The contract of the toy source."""
    return load_contract(FOLDER)


def received(connection: duckdb.DuckDBPyConnection, table: Table, rows: list[dict[str, str]]) -> str:
    """Make a received relation of ``rows``, each laid over the good row, lines from 1; returns its name."""
    columns = ", ".join(f"{identifier(c.name)} varchar" for c in table.columns)
    connection.execute(f"create or replace temp table received (_line bigint, {columns})")
    for line, cells in enumerate(rows, 1):
        row = {**GOOD[table.name], **cells}
        marks = ", ".join("?" for _ in row)
        names = ", ".join(identifier(n) for n in row)
        connection.execute(f"insert into received (_line, {names}) values ({line}, {marks})", list(row.values()))
    return "received"
