"""Does everything add up, and has everything come? Read from the delivery log and the files it speaks of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow.parquet as pq

from expectations.contract import Contract
from pipelines.landing.findings import Finding
from pipelines.storage import Home, read_jsonl


@dataclass(frozen=True)
class BalanceRow:
    """One table of one accepted or refused file: rows received = rows loaded + rows quarantined.

    ``is_balanced`` also asks the Parquet files: they hold as many rows as the log says, less what orders of expunction
    took out since.
    """

    system: str
    table: str | None
    file: str
    delivery_id: str | None
    received_on: dt.date
    status: str
    received: int
    loaded: int
    quarantined: int
    is_balanced: bool


def balance(home: Home) -> list[BalanceRow]:
    """The balance of every file ever landed, oldest first. Duplicates brought no rows and are left out."""
    rows: list[BalanceRow] = []
    expunged = {(x["system"], x["table"], x["delivery_id"]): x for x in read_jsonl(home.expunged_log)}
    for r in read_jsonl(home.delivery_log):
        if r["status"] == "duplicate":
            continue
        holds = r["rows_received"] == r["rows_loaded"] + r["rows_quarantined"]
        if r["status"] == "accepted":
            where = (r["system"], r["table"], r["delivery_id"])
            gone = expunged.get(where, {"loaded": 0, "quarantined": 0})
            holds = (
                holds
                and _rows(home.delivery(*where)) == r["rows_loaded"] - gone["loaded"]
                and (
                    r["rows_quarantined"] == 0
                    or _rows(home.quarantined(*where)) == r["rows_quarantined"] - gone["quarantined"]
                )
            )
        rows.append(
            BalanceRow(
                r["system"],
                r["table"],
                r["file"],
                r["delivery_id"],
                dt.date.fromisoformat(r["received_on"]),
                r["status"],
                r["rows_received"],
                r["rows_loaded"],
                r["rows_quarantined"],
                holds,
            )
        )
    return rows


def _rows(path: object) -> int:
    try:
        return int(pq.ParquetFile(path).metadata.num_rows)
    except (OSError, ValueError):
        return -1


@dataclass(frozen=True)
class LateTable:
    """A table that should be newer than it is. ``stale_since`` is the day its promise ran out; None if never sent."""

    system: str
    table: str
    file: str
    last_delivered_on: dt.date | None
    stale_since: dt.date | None
    finding: Finding


def late_files(home: Home, contracts: Mapping[str, Contract], on: dt.date) -> list[LateTable]:
    """Tables that are late on the day ``on``, by the contracts' ``max_age_days``; optional tables never are.

    ``missing_file``: never delivered, or left out of the source's newest delivery of the same cadence.
    ``stale``: the newest accepted delivery is older than promised. Only deliveries received by ``on`` count.
    """
    newest: dict[tuple[str, str], dt.date] = {}
    for r in read_jsonl(home.delivery_log):
        if r["status"] == "accepted" and r["received_on"] <= on.isoformat():
            key, day = (r["system"], r["table"]), dt.date.fromisoformat(r["delivery_date"])
            newest[key] = max(day, newest.get(key, day))
    late: list[LateTable] = []
    for contract in contracts.values():
        for table in contract.tables.values():
            if table.optional:
                continue
            last = newest.get((contract.system, table.name))
            siblings = [
                newest[contract.system, other.name]
                for other in contract.tables.values()
                if other.delivery.cadence is table.delivery.cadence and (contract.system, other.name) in newest
            ]
            expires = last + dt.timedelta(days=table.delivery.max_age_days) if last else None
            if expires is not None and expires < on:
                finding = Finding("stale", detail=f"Promised: not older than {table.delivery.max_age_days} days.")
            elif last is None or last < max(siblings):
                finding = Finding("missing_file")
            else:
                continue
            late.append(LateTable(contract.system, table.name, table.file, last, expires, finding))
    return late
