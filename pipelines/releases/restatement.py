"""Published numbers that moved: what a new release says otherwise than the one before, and which rows made it so.

The report lies beside the releases, not in them: a release is a function of its inputs, whatever was published before.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from expectations.compile.sql import duckdb_schema
from expectations.contract import Contract, Table
from expectations.vocabulary import ColumnType, Sensitivity
from pipelines.landing.current import state_sql
from pipelines.releases.manifest import read_manifest
from pipelines.storage import Home, atomic_path, connect, identifier, quoted, read_jsonl

TABLE = "measure_rows"
REPORT_COLUMNS = (
    "release_before", "release_now", "metric_id", "version_before", "version_now", "variant", "period_start",
    "period_end", "stratum_type", "stratum_value", "numerator_before", "numerator_now", "denominator_before",
    "denominator_now", "value_before", "value_now", "suppress_flag", "cause",
)  # fmt: skip
_ROW_KEY = ("metric_id", "variant", "period_start", "period_end", "stratum_type", "stratum_value")
_FIGURES = ("numerator", "denominator", "value")
#: Columns an extract fills anew each time; a change in them alone is no change of the record.
_BOOKKEEPING = (
    "extract_run_id",
    "extract_ts",
    "record_updated_ts",
    "updated_ts",
    "_delivery_id",
    "_line",
    "_delivered_on",
)
_KINDS = ("late", "new", "deleted", "voided", "corrected", "completed")


@dataclass(frozen=True)
class Change:
    """What deliveries between two releases did to one table: rows by kind, and the files that did it.

    Kinds: ``late`` (a new record, every day in it before the delivery before), ``new`` (any other new record),
    ``deleted`` (gone), ``voided`` (marked as not valid), ``corrected`` (something it said is otherwise), ``completed``
    (something it left open is filled in).
    """

    system: str
    table: str
    files: tuple[str, ...]
    rows: Mapping[str, int]

    def told(self) -> str:
        """The change in one line, without a value."""
        counts = ", ".join(f"{count} {kind}" for kind, count in self.rows.items() if count)
        return f"{self.system}.{self.table}: {counts or 'no row'} ({', '.join(self.files)})"


def changes(home: Home, contracts: Mapping[str, Contract], before: Path, now: Path) -> list[Change]:
    """Tables whose current state differs between the inputs of two releases (folders), with what differs."""
    inputs = [_inputs(folder) for folder in (before, now)]
    log = [line for line in read_jsonl(home.delivery_log) if line["status"] == "accepted"]
    for place, line in enumerate(log):
        line["place"] = place
    found = []
    with connect(spill=home.scratch_dir / "restatement") as database:
        for contract in contracts.values():
            for table in contract.tables.values():
                known = [x for x in log if (x["system"], x["table"]) == (contract.system, table.name)]
                was, is_ = ([x for x in known if _identity(x) in ids] for ids in inputs)
                fresh = [x for x in is_ if _identity(x) not in inputs[0]]
                if fresh or len(was) != len(is_):
                    rows = _compare(database, home, contract.system, table, was, is_)
                    files = tuple(sorted({str(x["file"]) for x in fresh}))
                    found.append(Change(contract.system, table.name, files, rows))
    return [change for change in found if any(change.rows.values())]


def _identity(line: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(line["system"]), str(line["table"]), str(line["delivery_id"])


def _inputs(folder: Path) -> set[tuple[str, str, str]]:
    return {_identity(line) for line in read_manifest(folder).get("inputs", [])}


def _compare(
    database: duckdb.DuckDBPyConnection,
    home: Home,
    system: str,
    table: Table,
    was: list[dict[str, Any]],
    is_: list[dict[str, Any]],
) -> dict[str, int]:
    kinds = {c.name: c.type for c in table.columns}
    contents = [c for c in duckdb_schema(table) if c not in _BOOKKEEPING and c not in table.key]
    void = [f"coalesce(n.{identifier(c)}, false) and not coalesce(b.{identifier(c)}, false)"
            for c in ("voided_ind",) if c in kinds]  # fmt: skip
    void += [f"b.{identifier(c)} = 'A' and n.{identifier(c)} <> 'A'" for c in ("record_status",) if c in kinds]
    moved = [
        f"b.{identifier(c)} is not null and b.{identifier(c)} is distinct from n.{identifier(c)}" for c in contents
    ]
    filled = [f"b.{identifier(c)} is null and n.{identifier(c)} is not null" for c in contents]
    private = (Sensitivity.DIRECT_ID, Sensitivity.QUASI_ID)
    days = [
        f"n.{identifier(c.name)}" for c in table.columns if c.type is ColumnType.DATE and c.sensitivity not in private
    ]
    before_that = max((str(x["delivery_date"]) for x in was), default=None)
    late = "false"
    if days and before_that:
        late = f"coalesce(greatest({', '.join(days)}) <= date {quoted(before_that)}, false)"
    same = " and ".join(f"b.{identifier(c)} is not distinct from n.{identifier(c)}" for c in table.key)
    sql = f"""
        with b as (select *, true as _is from ({state_sql(home, system, table, was)})),
        n as (select *, true as _is from ({state_sql(home, system, table, is_)})),
        judged as (
            select case
                when b._is is null and {late} then 'late'
                when b._is is null then 'new'
                when n._is is null then 'deleted'
                when {_any(void)} then 'voided'
                when {_any(moved)} then 'corrected'
                when {_any(filled)} then 'completed'
            end as kind
            from b full join n on {same}
        )
        select kind, count(*) from judged where kind is not null group by kind"""
    counted = {str(kind): int(count) for kind, count in database.execute(sql).fetchall()}
    return {kind: counted.get(kind, 0) for kind in _KINDS}


def _any(conditions: Sequence[str]) -> str:
    return " or ".join(f"coalesce({c}, false)" for c in conditions) or "false"


def compare(home: Home, contracts: Mapping[str, Contract], before: Path, now: Path) -> list[dict[str, Any]]:
    """Rows of the report (:data:`REPORT_COLUMNS`) for two release folders, the older one first.

    A number is restated when the older release showed it and the newer one shows another, or none. Numbers that were
    not mature before are not restated when they appear. The cause names the deliveries between the two that touched
    a source the measure needs, by table and kind of row; else what other than data differs.
    """
    files = [folder / "parquet" / f"{TABLE}.parquet" for folder in (before, now)]
    if not all(path.exists() for path in files):
        return []
    key = ", ".join(_ROW_KEY)
    # A number as it is printed: nobody was told the sixteenth digit.
    differs = " or ".join(f"round(b.{f}, 9) is distinct from round(n.{f}, 9)" for f in _FIGURES)
    figures = ", ".join(f"b.{f} as {f}_before, n.{f} as {f}_now" for f in _FIGURES)
    with connect() as database:
        cursor = database.execute(
            f"""select {key}, b.metric_version as version_before, n.metric_version as version_now, {figures},
                coalesce(b.suppress_flag, false) or coalesce(n.suppress_flag, false) as suppress_flag
            from read_parquet({quoted(files[0])}) as b
            left join read_parquet({quoted(files[1])}) as n using ({key})
            where b.value is not null and ({differs})
            order by {key}"""
        )
        names = [str(d[0]) for d in cursor.description or ()]
        moved = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        needs = _needs(database, now)
    if not moved:
        return []
    touched = changes(home, contracts, before, now)
    other = _other_causes(before, now)
    cut = _moved_cut(before, now)
    for row in moved:
        row["release_before"], row["release_now"] = before.name, now.name
        causes = [c.told() for c in touched if c.system in needs.get(str(row["metric_id"]), {c.system})]
        if row["version_now"] is not None and row["version_before"] != row["version_now"]:
            causes.insert(0, f"definition {row['version_before']} replaced by {row['version_now']}")
        row["cause"] = (
            "; ".join([*causes, *other])
            or cut
            or "no cause found: its sources, decisions, configuration and code are the same"
        )
    return [{column: row[column] for column in REPORT_COLUMNS} for row in moved]


def _needs(database: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, set[str]]:
    """Systems each measure needs, where the release carries the registry."""
    path = folder / "parquet" / "dim_measure.parquet"
    if not path.exists():
        return {}
    rows = database.execute(f"select measure_id, sources from read_parquet({quoted(path)}) where is_current").fetchall()
    return {str(measure): set(str(sources).split()) for measure, sources in rows}


_OTHER = {
    "code_version": "another version of the code",
    "configuration_hash": "jurisdiction.yml was changed",
    "decisions_hash": "reviewers decided on links",
    "linkage_model": "another linkage model",
}


def _other_causes(before: Path, now: Path) -> list[str]:
    old, new = read_manifest(before), read_manifest(now)
    return [words for key, words in _OTHER.items() if old.get(key) != new.get(key)]


def _moved_cut(before: Path, now: Path) -> str:
    """In words, when only time went on: what was not yet observable may be by now."""
    days = [str(read_manifest(folder).get("cut_off")) for folder in (before, now)]
    return "" if days[0] == days[1] else f"the data cut-off moved from {days[0]} to {days[1]}"


def report_path(home: Home, release_id: str) -> Path:
    """Where the report of a release lies."""
    return home.quality_dir / "restatements" / f"{release_id}.csv"


def write_report(home: Home, contracts: Mapping[str, Contract], before: Path, now: Path) -> list[dict[str, Any]]:
    """Compare, write the report of ``now`` (with a header even when nothing moved) and return its rows."""
    rows = compare(home, contracts, before, now)
    with (
        atomic_path(report_path(home, now.name)) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as handle,
    ):
        writer = csv.DictWriter(handle, REPORT_COLUMNS)
        writer.writeheader()
        writer.writerows({k: v.isoformat() if isinstance(v, dt.date) else v for k, v in row.items()} for row in rows)
    return rows


def read_report(home: Home, release_id: str) -> list[dict[str, str]] | None:
    """The report of a release as text, or None when none was made (the first release has nothing before it)."""
    path = report_path(home, release_id)
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))
