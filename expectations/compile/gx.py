"""A contract as a Great Expectations suite, run over loaded Parquet.

Landing has taken out the rows that break a rule; the suite proves it, and counts what is let through with a warning.
Everything is pushed down to DuckDB as queries whose result is a column name and a count, so no cell value can reach
a result, a log or an error. ``great_expectations`` takes seconds to import, so it is imported at the first run.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from expectations.compile.rules import Rule, row_rules
from expectations.compile.sql import identifier, literal
from expectations.contract import Contract, Table
from expectations.suites import Promise, Severity, as_template
from expectations.suites.delivery import delivery_promises
from expectations.vocabulary import ColumnType


@dataclass(frozen=True)
class Verdict:
    """How one rule was kept. ``broken`` counts rows by field; ``error`` is the kind of error of a failed run."""

    rule: str
    severity: Severity
    broken: dict[str, int]
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Nothing broken, and it could be looked at."""
        return not self.broken and self.error is None


@dataclass(frozen=True)
class SuiteResult:
    """One table's verdicts. ``rows`` is the number of rows looked at."""

    system: str
    table: str
    rows: int
    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """No critical rule is broken."""
        return all(v.passed for v in self.verdicts if v.severity == "critical")

    @property
    def counts(self) -> dict[str, int | str]:
        """``rows``, ``rules``, and per broken rule its rows as ``rule: field``. Flat, for a metadata table."""
        out: dict[str, int | str] = {"rows": self.rows, "rules": len(self.verdicts)}
        for verdict in self.verdicts:
            out |= {f"{verdict.rule}: {field}": count for field, count in verdict.broken.items()}
            if verdict.error:
                out[f"{verdict.rule}: error"] = verdict.error
        return out


def promises(contract: Contract, table: Table) -> list[Promise]:
    """What the rows of ``table``, once loaded, must still show: the contract's rules, by severity."""
    by_severity: dict[Severity, list[Rule]] = {"critical": [], "warning": []}
    for rule in row_rules(contract, table, None):
        if not rule.across_rows and _still_visible(table, rule):
            by_severity["critical" if rule.action == "quarantine" else "warning"].append(rule)
    # The current state holds one row per key, whatever the deliveries held.
    key = ", ".join(identifier(k) for k in table.key)
    repeats = (
        f"select 'duplicate_key' as rule, {literal(', '.join(table.key))} as field, count(*) as broken"
        f" from (select 1 from § group by {key} having count(*) > 1)"
    )
    out = []
    for severity, rules in by_severity.items():
        tallies = [repeats] if severity == "critical" else []
        names = ["duplicate_key"] if severity == "critical" else []
        if rules:
            tallies.append(_tally(table, rules))
        if tallies:
            query = f"select * from ({' union all '.join(tallies)}) where broken > 0"
            out.append(Promise(tuple(dict.fromkeys([*(r.rule for r in rules), *names])), severity, as_template(query)))
    return out


def _still_visible(table: Table, rule: Rule) -> bool:
    """Whether a loaded row can show the rule: a date that was open and one that was missing are both NULL by then."""
    columns = [table.by_name[f] for f in rule.fields]
    match rule.rule:
        case "type":
            return False
        case "required":
            return "open" not in columns[0].sentinels.values()
        case "unknown_code" | "too_long":
            return columns[0].type is ColumnType.TEXT
        case _:
            return True


def _tally(table: Table, rules: list[Rule]) -> str:
    """Rows broken by rule and field. Loaded rows have no ``_text_`` columns: the values stand in for them."""
    texts = ", ".join(
        f"cast({identifier(c.name)} as varchar) as {identifier('_text_' + c.name)}" for c in table.columns
    )
    counts = ", ".join(f"count(*) filter (where {rule.bad})" for rule in rules)
    names = ", ".join(f"{{'rule': {literal(r.rule)}, 'field': {literal(', '.join(r.fields))}}}" for r in rules)
    return (
        f"select unnest([{names}], recursive := true), unnest(counts) as broken"
        f" from (select [{counts}] as counts from (select *, {texts} from §))"
    )


# --- running ------------------------------------------------------------------------------------------------------


# "Complete" returns what a query returns, and every query here returns names and counts.
_COUNTS_ONLY = {"result_format": "COMPLETE", "include_unexpected_rows": False, "partial_unexpected_count": 0}


class _Door:
    """One context, one data source and one in-memory DuckDB for the whole process: building them costs a second."""

    def __init__(self) -> None:
        import great_expectations as gx
        import sqlalchemy as sa
        from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

        @sa.event.listens_for(sa.Engine, "after_cursor_execute")
        def _buffer(_conn: Any, cursor: Any, _sql: Any, _args: Any, context: Any, _many: Any) -> None:
            # duckdb-engine gives the connection back before the rows are fetched; without this every metric fails.
            if context.dialect.name == "duckdb" and cursor.description:
                context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                    cursor, initial_buffer=cursor.fetchall()
                )

        self._gx = gx
        self._lock = threading.Lock()
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        source = context.data_sources.add_sql(
            "door", connection_string="duckdb:///:memory:door", create_temp_table=False
        )
        self._connection = source.get_engine().connect()
        for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
            self._execute(f"set {setting} = false")
        # One asset for all tables, its view replaced each time: every new asset would rewrite the context's settings.
        self._execute("create view looked_at as select 1 as nothing")
        asset = source.add_table_asset("looked_at", table_name="looked_at")
        self._batches = asset.add_batch_definition_whole_table("looked_at")

    def _execute(self, statement: str) -> None:
        self._connection.exec_driver_sql(statement)
        self._connection.commit()

    def run(self, contract: Contract, table: Table, parquet: Path, kept: Iterable[Promise]) -> SuiteResult:
        with self._lock:
            return self._run(contract, table, parquet, list(kept))

    def _run(self, contract: Contract, table: Table, parquet: Path, listed: list[Promise]) -> SuiteResult:
        gxe = self._gx.expectations
        self._execute(f"create or replace view looked_at as select * from read_parquet({literal(str(parquet))})")
        suite = self._gx.ExpectationSuite(
            name=f"{contract.system}.{table.name}",
            expectations=[
                gxe.ExpectTableRowCountToBeBetween(
                    min_value=0 if table.optional else 1, severity="warning", meta={"promise": -1}
                ),
                *(
                    gxe.UnexpectedRowsExpectation(
                        unexpected_rows_query=p.query, severity=p.severity, meta={"promise": i}
                    )
                    for i, p in enumerate(listed)
                ),
            ],
        )
        validated = self._batches.get_batch().validate(suite, result_format=_COUNTS_ONLY).results
        results = {r.expectation_config.meta["promise"]: r for r in validated}
        count = results[-1]
        verdicts = [Verdict("rows", "warning", {} if count.success else {"rows": 0}, _error(count))]
        for i, promise in enumerate(listed):
            details = results[i].result.get("details", {}).get("unexpected_rows", [])
            error = _error(results[i])
            for rule in promise.rules:
                broken = {str(d["field"]): int(d["broken"]) for d in details if d["rule"] == rule}
                verdicts.append(Verdict(rule, promise.severity, broken, error))
        return SuiteResult(contract.system, table.name, int(count.result.get("observed_value") or 0), tuple(verdicts))


def _error(result: Any) -> str | None:
    """The kind of error an expectation ended with. Its text may quote a row, so it goes no further."""
    info = result.exception_info or {}
    if "raised_exception" in info:
        info = {"": info}
    raised = [i for i in info.values() if i.get("raised_exception")]
    if not raised:
        return None
    kind = re.search(r"^[\w.]*?(\w+(?:Error|Exception)):", str(raised[0].get("exception_traceback")), re.MULTILINE)
    return kind.group(1) if kind else "Error"


@lru_cache(maxsize=1)
def open_door() -> _Door:
    """Import Great Expectations and set it up, which takes seconds, once per process; the first suite does it too."""
    # Great Expectations logs the queries and the errors it meets; both go into the verdicts, as counts.
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    return _Door()


def run_suite(contract: Contract, table: Table, parquet: Path, more: Iterable[Promise] = ()) -> SuiteResult:
    """Run the contract's suite, and ``more`` promises, over loaded rows of one table.

    ``parquet`` has the table's columns and the provenance columns; rows are never fetched, only counts are. Raises
    DuckDB's error where there is no such file.
    """
    return open_door().run(contract, table, parquet, [*promises(contract, table), *more])


def check_tables(
    contract: Contract,
    folder: Path,
    cut: dt.date | None = None,
    previous: Mapping[str, Path] | None = None,
) -> list[SuiteResult]:
    """Run the suites of every table of one system over ``folder/<table>.parquet``, in the contract's order.

    With ``cut`` the age of the rows is checked too, and with ``previous`` (table -> Parquet of the delivery before)
    what changed since.
    """
    results = []
    for table in contract.tables.values():
        more = delivery_promises(table, (previous or {}).get(table.name), cut) if cut else []
        results.append(run_suite(contract, table, folder / f"{table.name}.parquet", more))
    return results
