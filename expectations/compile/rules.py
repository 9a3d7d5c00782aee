"""The rules a row must keep, as SQL: the same at the door, in an agency's own check and in the tests.

:func:`judged_sql` is all that landing needs: typed rows, each with the list of rules it broke.
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


def _column_rules(contract: Contract, table: Table, column: Column, delivered_on: dt.date) -> list[Rule]:
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
        last = delivered_on
        if column.may_be_future:
            last = dt.date(delivered_on.year + FURTHEST_AHEAD_YEARS, 12, 31)
        day = f"{value}::date" if column.type is ColumnType.TIMESTAMP else value
        add(
            "impossible_date",
            f"{day} not between date {literal(first.isoformat())} and date {literal(last.isoformat())}",
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


def row_rules(contract: Contract, table: Table, delivered_on: dt.date) -> list[Rule]:
    """Every rule for one row of ``table`` delivered on ``delivered_on``, in column order, table checks after them.

    Quarantined in this order of precedence: none, every broken rule of a row is reported, except that duplicates are
    looked for only among rows that are otherwise good (the first line of a key stays).
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


def judged_sql(contract: Contract, table: Table, delivered_on: dt.date, relation: str) -> str:
    """SELECT giving every received row once, typed and judged.

    Columns: ``_line bigint``, the table's columns with their SQL types (NULL where the text is no such value), and
    ``_broken``: a list of ``struct(rule varchar, field varchar, action varchar)``, empty for a clean row. ``field``
    joins several columns with ``, ``. A row with a ``quarantine`` among ``_broken`` is not loaded.

    ``relation`` is SQL the caller vouches for: a quoted table name or a parenthesised query.
    """
    rules = row_rules(contract, table, delivered_on)
    single = [r for r in rules if not r.across_rows]
    across = [r for r in rules if r.across_rows]
    key = [identifier(f) for f in across[0].fields]
    names = ", ".join(identifier(c.name) for c in table.columns)
    same_key = " and ".join(f"t.{k} is not distinct from r.{k}" for k in key)

    def broken(kept: list[Rule]) -> str:
        # Almost every row is clean, so the list is only put together where one of the predicates holds.
        cases = ",\n        ".join(
            f"case when {r.bad} then {{'rule': {literal(r.rule)}, 'field': {literal(', '.join(r.fields))},"
            f" 'action': {literal(r.action)}}} end"
            for r in kept
        )
        return f"list_filter([\n        {cases}\n    ], lambda b: b is not null)"

    none = "[]::struct(rule varchar, field varchar, action varchar)[]"
    alone = none
    if single:
        alone = f"case when {' or '.join(f'({r.bad})' for r in single)} then {broken(single)} else {none} end"
    quarantining = " or ".join(f"({r.bad})" for r in single if r.action == "quarantine") or "false"
    return f"""with read as (
{read_sql(contract, table, relation)}
),
judged as (
    select *, {alone} as _alone, ({quarantining}) is not true as _good
    from read
),
repeated as (
    select {", ".join(key)} from judged where _good group by all having count(*) > 1
),
repeats as (
    select _line, {broken(across)} as _across
    from judged as t
    where _good and exists (select 1 from repeated as r where {same_key})
)
select _line, {names}, case when _across is null then _alone else list_concat(_alone, _across) end as _broken
from judged left join repeats using (_line)"""


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
