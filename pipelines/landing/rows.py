"""Received rows split in two by the contract's rules: typed Parquet, and quarantine. Every row ends in one of them."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from expectations.compile.rules import Rule, read_sql, row_rules
from expectations.contract import Contract, Table
from pipelines.landing.findings import Finding
from pipelines.landing.readers import Received
from pipelines.storage import atomic_path, identifier, quoted

_SHOWN_LINES = 5


class UnbalancedError(Exception):
    """Rows received are not rows loaded plus rows quarantined. This is a fault of ours, never of the file."""


@dataclass(frozen=True)
class Sorted:
    """One table of one file after the rules. ``received == loaded + quarantined`` always holds.

    ``findings`` count every broken rule of every row, so they may add up to more than ``quarantined``;
    ``reasons`` give each quarantined row once, under the first rule it broke.
    """

    received: int
    loaded: int
    quarantined: int
    findings: tuple[Finding, ...]
    reasons: tuple[Finding, ...]

    @property
    def share(self) -> float:
        """Quarantined share of the received rows, 0 for an empty table."""
        return self.quarantined / self.received if self.received else 0.0


def sort_rows(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    table: Table,
    delivered_on: dt.date,
    delivery_id: str,
    received: Received,
    scratch: Path,
) -> Sorted:
    """Judge all rows of ``received``; write ``loaded.parquet`` and ``quarantined.parquet`` to the folder ``scratch``.

    Data may be larger than memory. Of rows with one key the first line stays. Raises :class:`UnbalancedError`.
    """
    rules = row_rules(contract, table, delivered_on)
    quarantining = [r for r in rules if not r.across_rows and r.action == "quarantine"]
    warning = [r for r in rules if not r.across_rows and r.action == "warn"]
    across = [r for r in rules if r.across_rows]
    typed = read_sql(contract, table, received.relation)
    loaded_path = scratch / "loaded.parquet"
    names = ", ".join(identifier(c.name) for c in table.columns)
    loaded = _copy(
        connection,
        f"select {names}, {quoted(delivery_id)} as _delivery_id, _line,"
        f" date {quoted(delivered_on.isoformat())} as _delivered_on from ({typed}) where not {_any(quarantining)}",
        loaded_path,
    )
    connection.execute(
        "create or replace temp table broken (_line bigint, place integer, rule varchar, field varchar, action varchar)"
    )
    # What a row broke is only asked of rows that were not loaded, and of all rows only what merely warns.
    if loaded < received.rows:
        left = f"(select * from {received.relation} anti join read_parquet({quoted(loaded_path)}) using (_line))"
        _note(connection, quarantining, f"({read_sql(contract, table, left)}) where {_any(quarantining)}")
    if warning:
        _note(connection, warning, f"({typed}) where {_any(warning)}")
    loaded -= _drop_repeats(connection, contract, table, received, across, loaded_path, loaded)
    bad = _count(connection, "select count(distinct _line) from broken where action = 'quarantine'")
    if loaded + bad != received.rows:
        raise UnbalancedError(
            f"{contract.system}.{table.name}: {received.rows} rows read, {loaded} loaded, {bad} quarantined"
        )
    findings: tuple[Finding, ...] = ()
    reasons: tuple[Finding, ...] = ()
    if received.rejected or _count(connection, "select count(*) from broken"):
        findings = _tally(connection, received, "select * from broken")
    if bad or received.rejected:
        _write_quarantine(connection, table, received, scratch / "quarantined.parquet")
        first = "select distinct on (_line) * from broken where action = 'quarantine' order by _line, place"
        reasons = _tally(connection, received, first)
    connection.execute("drop table broken")
    return Sorted(
        received.rows + received.rejected, loaded, bad + received.rejected, (*findings, *received.notes), reasons
    )


def publish(source: Path, target: Path) -> None:
    """Move a finished work file to its place, read-only, whole or not at all. Both are on one disc."""
    with atomic_path(target, 0o444) as temporary:
        os.replace(source, temporary)


def _any(rules: Iterable[Rule]) -> str:
    parts = [f"coalesce({r.bad}, false)" for r in rules]
    return f"({' or '.join(parts) or 'false'})"


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _copy(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> int:
    return _count(connection, f"copy ({query}) to {quoted(target)} (format parquet, compression zstd)")


def _note(connection: duckdb.DuckDBPyConnection, rules: list[Rule], source: str) -> None:
    """Write down every rule of ``rules`` that rows of ``source`` break."""
    cases = ", ".join(
        f"case when {r.bad} then {{'place': {place}, 'rule': {quoted(r.rule)}, 'field': {quoted(', '.join(r.fields))},"
        f" 'action': {quoted(r.action)}}} end"
        for place, r in enumerate(rules)
    )
    connection.execute(
        f"insert into broken select _line, b.place, b.rule, b.field, b.action from"
        f" (select _line, unnest(list_filter([{cases}], lambda b: b is not null)) as b from (select * from {source}))"
    )


def _drop_repeats(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    table: Table,
    received: Received,
    across: list[Rule],
    path: Path,
    loaded: int,
) -> int:
    """Take rows whose key an earlier line has out of the loaded rows; returns how many. Usually there are none, so
    the expensive comparison is only made among rows whose keys look alike."""
    key = ", ".join(identifier(f) for f in across[0].fields)
    hashed = f"select hash({key}) as h from read_parquet({quoted(path)})"
    if _count(connection, f"select count(distinct h) from ({hashed})") == loaded:
        return 0
    connection.execute(
        f"create or replace temp table alike as select _line from read_parquet({quoted(path)})"
        f" where hash({key}) in (select h from ({hashed}) group by h having count(*) > 1)"
    )
    same = f"(select * from {received.relation} where _line in (select _line from alike))"
    before = _count(connection, "select count(*) from broken")
    # Window functions are evaluated before the filter, so their verdicts are columns first.
    names = [f"_across_{i}" for i in range(len(across))]
    flags = ", ".join(f"{r.bad} as {n}" for r, n in zip(across, names, strict=True))
    flagged = [Rule(r.rule, r.fields, r.action, n, r.description, False) for r, n in zip(across, names, strict=True)]
    _note(
        connection,
        flagged,
        f"(select *, {flags} from ({read_sql(contract, table, same)})) where {' or '.join(names)}",
    )
    repeats = _count(connection, "select count(*) from broken") - before
    if repeats:
        kept = path.with_suffix(".kept")
        dropped = ", ".join(quoted(r.rule) for r in across)
        _copy(
            connection,
            f"select * from read_parquet({quoted(path)})"
            f" where _line not in (select _line from broken where rule in ({dropped}))",
            kept,
        )
        os.replace(kept, path)
    connection.execute("drop table alike")
    return repeats


def _write_quarantine(connection: duckdb.DuckDBPyConnection, table: Table, received: Received, target: Path) -> None:
    """One row per quarantined row: line, rule and field it broke first, raw_row, and the other rules in ``also``.

    ``raw_row`` is the line as delivered where it could not be read, otherwise the cells by column name as JSON.
    """
    cells = ", ".join(f"{quoted(c.name)}: {identifier(c.name)}" for c in table.columns)
    connection.execute(
        f"copy (select line, rule, field, raw_row, null::varchar as also from read_parquet({quoted(received.rejects)})"
        f" union all select _line, rule, field, to_json({{{cells}}})::varchar, also"
        f" from {received.relation} join (select _line, arg_min(rule, place) as rule, arg_min(field, place) as field,"
        f" string_agg(rule || ' ' || field, '; ' order by place) filter (where place > first) as also from"
        f" (select *, min(place) over (partition by _line) as first from broken where action = 'quarantine')"
        f" group by _line) using (_line) order by line) to {quoted(target)} (format parquet, compression zstd)"
    )


def _tally(connection: duckdb.DuckDBPyConnection, received: Received, broken: str) -> tuple[Finding, ...]:
    found = connection.execute(
        f"select rule, field, action, count(*), list_sort(min(line, {_SHOWN_LINES})) from ("
        f" select rule, field, 'quarantine' as action, line from read_parquet({quoted(received.rejects)})"
        f" union all select rule, field, action, _line from ({broken})"
        f") group by all order by min(line), rule, field"
    ).fetchall()
    return tuple(Finding(rule, field, count, tuple(lines), action) for rule, field, action, count, lines in found)
