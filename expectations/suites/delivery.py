"""What a delivery looks like beside the one before it. All of it warns: a court can close, a county can leave."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from expectations.compile.sql import identifier, literal
from expectations.contract import Table
from expectations.suites import Promise, as_template
from expectations.vocabulary import Mode

#: A full delivery that lost more than this share of its rows was probably cut short.
MAX_ROW_DROP = 0.2
#: A full delivery that lost more than this share of its keys was probably renumbered, or is another county's.
MAX_KEY_CHURN = 0.3


def delivery_promises(table: Table, previous: Path | None, cut: dt.date) -> list[Promise]:
    """Promises about the rows of one table, as of ``cut``.

    ``freshness`` counts the days past the contract's ``max_age_days``. Given the ``previous`` delivery's Parquet, and
    only where a delivery is full, ``row_count_drop`` counts the rows fewer and ``key_churn`` the keys gone, each once
    it is past its share (:data:`MAX_ROW_DROP`, :data:`MAX_KEY_CHURN`).
    """
    overdue = f"date_diff('day', max(_delivered_on), date {literal(cut.isoformat())}) - {table.delivery.max_age_days}"
    tallies = [f"select 'freshness' as rule, '_delivered_on' as field, {overdue} as broken from §"]
    if previous is not None and table.delivery.mode is Mode.FULL:
        before = f"read_parquet({literal(str(previous))})"
        key = ", ".join(identifier(k) for k in table.key)
        field = literal(", ".join(table.key))
        tallies += [
            f"select 'row_count_drop', {field}, case when now < was * {1 - MAX_ROW_DROP} then was - now end"
            f" from (select count(*) as now from §), (select count(*) as was from {before})",
            f"select 'key_churn', {field}, case when gone > was * {MAX_KEY_CHURN} then gone end"
            f" from (select count(*) as gone from (select {key} from {before} except select {key} from §)),"
            f" (select count(distinct ({key})) as was from {before})",
        ]
    rules = ("freshness", "row_count_drop", "key_churn")[: len(tallies)]
    query = f"select * from ({' union all '.join(tallies)}) where broken > 0"
    return [Promise(rules, "warning", as_template(query))]
