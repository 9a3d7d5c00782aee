"""The rules a row must keep, as SQL: the same at the door, in an agency's own check and in the tests.

Nothing is judged here: landing asks for the rules, evaluates them over its rows and decides what becomes of each.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import duckdb

from expectations.compile.sql import duckdb_schema, identifier, literal, literals, text_of, value_of
from expectations.contract import Column, Contract, ContractError, Table
from expectations.vocabulary import ColumnType, Mode

EARLIEST = dt.date(1900, 1, 1)
#: A planned date (a review, the end of a plan) further ahead than this is a typing error or an undeclared sentinel.
FURTHEST_AHEAD_YEARS = 30

Action = Literal["quarantine", "warn"]


@dataclass(frozen=True)
class Rule:
    """One promise about a row.

    ``bad`` is a SQL predicate, true for a row that breaks it. It reads the rows of :func:`read_sql`: the typed value
    of each column under the column's name and its text under ``_text_<name>``. A rule ``across_rows`` compares rows
    of one file (it holds a window function) and is judged only among the rows that no other rule quarantines.
    """

    rule: str
    fields: tuple[str, ...]
    action: Action
    bad: str
    description: str
    across_rows: bool = False


def _text(name: str) -> str:
    return identifier(f"_text_{name}")


def _date(day: dt.date) -> str:
    return f"date {literal(day.isoformat())}"


def _column_rules(contract: Contract, table: Table, column: Column, delivered_on: dt.date | None) -> list[Rule]:
    value, text, fields = identifier(column.name), _text(column.name), (column.name,)
    rules: list[Rule] = []

    def add(rule: str, bad: str, description: str, action: Action = "quarantine") -> None:
        rules.append(Rule(rule, fields, action, bad, description))

    if column.required:
        missing = f"{text} is null"
        if table.delete_column and column.name not in (*table.key, table.delete_column):
            # A deletion names the row that goes; agencies leave the rest of it empty.
            deletes = f"{_text(table.delete_column)} in {literals(table.delete_values)}"
            missing = f"{missing} and ({deletes}) is not true"
        add("required", missing, "must not be empty")
    if column.type is not ColumnType.TEXT:
        opens = [k.strip() for k, v in column.sentinels.items() if v == "open"]
        known = f"{text} not in {literals(opens)}" if opens else f"{text} is not null"
        add("type", f"{known} and {value} is null", f"must be a {column.type.value}")
    if column.type in (ColumnType.DATE, ColumnType.TIMESTAMP):
        first = column.not_before or EARLIEST
        last = _date(delivered_on) if delivered_on else "_delivered_on"
        if column.may_be_future:
            last = f"{last} + interval {FURTHEST_AHEAD_YEARS} year"
        day = f"{value}::date" if column.type is ColumnType.TIMESTAMP else value
        add(
            "impossible_date",
            f"{day} not between {_date(first)} and {last}",
            f"must not be before {first.isoformat()}"
            + ("" if column.may_be_future else " or after the day of delivery"),
        )
    if column.codes:
        known_codes = [c.code for c in contract.code_lists[column.codes]]
        sentinels = [k.strip() for k in column.sentinels]
        add(
            "unknown_code",
            f"{text} not in {literals([*known_codes, *sentinels])}",
            f"must be in the code list {column.codes}",
            "warn" if column.on_unknown_code == "keep" else "quarantine",
        )
    if column.max_length is not None:
        add("too_long", f"length({text}) > {column.max_length}", f"must have at most {column.max_length} characters")
    return rules


def _across_rows(table: Table) -> list[Rule]:
    # Change deliveries may carry several versions of one key; order_by tells them apart.
    versions = table.order_by if table.delivery.mode is Mode.CHANGE else []
    fields = tuple(dict.fromkeys([*table.key, *versions]))
    key = ", ".join(identifier(f) for f in fields)
    whole = ", ".join(_text(c.name) for c in table.columns)
    repeat = f"row_number() over (partition by {key}, hash({whole}) order by _line) > 1"
    return [
        Rule("duplicate_row", fields, "quarantine", repeat, "must not repeat an earlier row", True),
        Rule(
            "duplicate_key",
            fields,
            "quarantine",
            f"row_number() over (partition by {key} order by _line) > 1 and not ({repeat})",
            "must not have the key of an earlier row",
            True,
        ),
    ]


def row_rules(contract: Contract, table: Table, delivered_on: dt.date | None) -> list[Rule]:
    """Every rule for one row of ``table`` delivered on ``delivered_on``, in column order, table checks after them.

    Without ``delivered_on`` the rules read it from each row's ``_delivered_on``, as rows already loaded have it.
    The rules that compare rows come last; of rows with one key the first line is the good one.
    """
    rules = [r for c in table.columns for r in _column_rules(contract, table, c, delivered_on)]
    rules += [
        # A check that comes out NULL has nothing to compare: that is `required`'s business, not its own.
        Rule(c.rule, tuple(c.fields), c.action, f"not ({c.sql})", c.description)
        for c in table.checks
    ]
    return rules + _across_rows(table)


def read_sql(contract: Contract, table: Table, relation: str) -> str:
    """SELECT over the received ``relation``: ``_line``, typed columns, and each one's text as ``_text_<name>``."""
    texts = ",\n    ".join(f"{text_of(contract, c)} as {_text(c.name)}" for c in table.columns)
    values = ",\n    ".join(f"{value_of(contract, c, _text(c.name))} as {identifier(c.name)}" for c in table.columns)
    return (
        f"select\n    _line,\n    {values},\n    columns('^_text_')\n"
        f"from (\n    select _line,\n    {texts}\n    from {relation}\n)"
    )


def verify_sql(contract: Contract) -> None:
    """Let DuckDB read every piece of SQL in the contract, against its own empty tables.

    Raises :class:`ContractError` naming the table and the rule or clause.
    """
    with duckdb.connect() as connection:
        for table in contract.tables.values():
            columns = ", ".join(f"{identifier(n)} {t}" for n, t in duckdb_schema(table, provenance=True).items())
            connection.execute(f"create or replace temp table promised ({columns})")
            clauses = [(f"checks.{c.rule}", c.sql) for c in table.checks]
            for kind in ("persons", "relationships", "memberships", "case_links"):
                clauses += [(f"{kind}.{i}.where", r.where) for i, r in enumerate(getattr(table, kind)) if r.where]
            for place, clause in clauses:
                try:
                    connection.execute(f"select cast(({clause}) as boolean) from promised")
                except duckdb.Error as error:
                    reason = str(error).splitlines()[0]
                    raise ContractError(
                        f"{contract.system}/contract.yml: tables.{table.name}.{place}: {reason}"
                    ) from error
