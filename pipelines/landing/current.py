"""The current state of every table as of a cut, from deliveries that are never changed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from expectations.compile.sql import duckdb_schema
from expectations.contract import Contract, Table
from expectations.vocabulary import Mode
from pipelines.storage import Home, Workspace, atomic_path, connect, identifier, quoted, read_jsonl


@dataclass(frozen=True)
class CurrentTable:
    """One table of the current state. ``is_new``: it was written now; otherwise its inputs had not changed."""

    system: str
    table: str
    rows: int
    deliveries: int
    delivered_on: dt.date | None
    received_on: dt.date | None
    is_new: bool


def latest_cut(home: Home) -> dt.date | None:
    """The latest day on which an accepted delivery was received; None before the first."""
    days = [r["received_on"] for r in read_jsonl(home.delivery_log) if r["status"] == "accepted"]
    return dt.date.fromisoformat(max(days)) if days else None


def build_current(
    home: Home,
    workspace: Workspace,
    contracts: Mapping[str, Contract],
    cut: dt.date,
    memory_limit: str | None = None,
) -> list[CurrentTable]:
    """Write ``raw/current/<system>/<table>.parquet`` of ``workspace`` for every table of every contract.

    Only deliveries received on or before ``cut`` count. Full mode: the last accepted delivery by delivery date, then
    by day received, then by arrival; a late older file never replaces a newer one. Change mode: per key the row that
    is last by the contract's ``order_by``, then by delivery date, day received, arrival and line. In both a row whose
    last version is a deletion is left out. Rows are in key order (change) or file order (full). A table never
    delivered has no rows. The same inputs give the same file; a table whose inputs have not changed is not rewritten.
    """
    accepted: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for place, record in enumerate(read_jsonl(home.delivery_log)):
        if record["status"] == "accepted" and record["received_on"] <= cut.isoformat():
            record["place"] = place
            accepted.setdefault((record["system"], record["table"]), []).append(record)
    tables: list[CurrentTable] = []
    with connect(spill=home.scratch_dir / "current", memory_limit=memory_limit) as connection:
        for contract in contracts.values():
            for table in contract.tables.values():
                deliveries = _effective(accepted.get((contract.system, table.name), []), table)
                tables.append(_build(connection, home, workspace, contract.system, table, deliveries))
    return tables


def previous_deliveries(home: Home, contract: Contract, cut: dt.date) -> dict[str, Path]:
    """Per table delivered in full, the Parquet of the delivery before the current one; nothing where there is none."""
    accepted: dict[str, list[dict[str, Any]]] = {}
    for place, record in enumerate(read_jsonl(home.delivery_log)):
        is_ours = record["system"] == contract.system and record["table"] in contract.tables
        if is_ours and record["status"] == "accepted" and record["received_on"] <= cut.isoformat():
            accepted.setdefault(record["table"], []).append({**record, "place": place})
    before: dict[str, Path] = {}
    for name, records in accepted.items():
        ordered = _in_order(records)
        if contract.tables[name].delivery.mode is Mode.FULL and len(ordered) > 1:
            before[name] = home.delivery(contract.system, name, ordered[-2]["delivery_id"])
    return before


def state_sql(home: Home, system: str, table: Table, records: list[dict[str, Any]]) -> str:
    """A query for one table after ``records``: accepted lines of the delivery log, each with its ``place`` in it."""
    return _select(home, system, table, _effective(records, table))


def _effective(records: list[dict[str, Any]], table: Table) -> list[dict[str, Any]]:
    """The deliveries that count, oldest first, each once; the last one only in full mode."""
    unique = _in_order(records)
    return unique if table.delivery.mode is Mode.CHANGE else unique[-1:]


def _in_order(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ordered = sorted(records, key=lambda r: (r["delivery_date"], r["received_on"], r["place"]))
    return list({r["delivery_id"]: r for r in ordered}.values())


def _build(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    workspace: Workspace,
    system: str,
    table: Table,
    deliveries: list[dict[str, Any]],
) -> CurrentTable:
    target = workspace.current(system, table.name)
    query = _select(home, system, table, deliveries)
    fingerprint = hashlib.sha256(
        json.dumps([query.replace(str(home.root), ""), duckdb.__version__]).encode()
    ).hexdigest()
    rows = _rows_if_same(connection, workspace, system, table, fingerprint)
    is_new = rows is None
    if rows is None:
        with atomic_path(target) as temporary:
            copied = connection.execute(
                f"copy ({query}) to {quoted(temporary)}"
                f" (format parquet, compression zstd, kv_metadata {{inputs: {quoted(fingerprint)}}})"
            ).fetchone()
        rows = int(copied[0]) if copied else 0
    last = deliveries[-1] if deliveries else None
    return CurrentTable(
        system,
        table.name,
        rows,
        len(deliveries),
        dt.date.fromisoformat(last["delivery_date"]) if last else None,
        dt.date.fromisoformat(max(d["received_on"] for d in deliveries)) if deliveries else None,
        is_new,
    )


def _rows_if_same(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, system: str, table: Table, fingerprint: str
) -> int | None:
    path = workspace.current(system, table.name)
    if not path.exists():
        return None
    try:
        found = connection.execute(
            f"select value::varchar from parquet_kv_metadata({quoted(path)}) where key::varchar = 'inputs'"
        ).fetchone()
        if found is None or found[0] != fingerprint:
            return None
        counted = connection.execute(f"select count(*) from read_parquet({quoted(path)})").fetchone()
    except duckdb.Error:
        return None  # not a whole Parquet file: written anew
    return int(counted[0]) if counted else None


def _select(home: Home, system: str, table: Table, deliveries: list[dict[str, Any]]) -> str:
    columns = duckdb_schema(table, provenance=True)
    empty = "select " + ", ".join(f"null::{t} as {identifier(n)}" for n, t in columns.items())
    if not deliveries:
        return f"{empty} where false"
    names = ", ".join(identifier(n) for n in columns)
    # By name, because a contract may have gained or lost a column since an old delivery was landed.
    parts = [f"{empty}, 0 as _place where false"]
    parts += [
        f"select *, {place} as _place from read_parquet({quoted(home.delivery(system, table.name, d['delivery_id']))})"
        for place, d in enumerate(deliveries)
    ]
    typed = ", ".join(f"try_cast({identifier(n)} as {t}) as {identifier(n)}" for n, t in columns.items())
    rows = f"select {typed}, _place from ({' union all by name '.join(parts)})"
    order = ""
    if table.delivery.mode is Mode.CHANGE:
        key = ", ".join(identifier(c) for c in table.key)
        later = ", ".join([*(f"{identifier(c)} desc nulls last" for c in table.order_by), "_place desc", "_line desc"])
        rows = f"select * from ({rows}) qualify row_number() over (partition by {key} order by {later}) = 1"
        order = f" order by {key}"
    gone = ""
    if table.delete_column:
        values = ", ".join(quoted(v) for v in table.delete_values)
        gone = f" where ({identifier(table.delete_column)} in ({values})) is not true"
    return f"select {names} from ({rows}){gone}{order}"
