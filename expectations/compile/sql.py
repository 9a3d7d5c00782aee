"""DuckDB SQL that reads delivered text as the columns a contract promises.

A reader hands over a *received* relation: every contract column under our name, all of it varchar, plus
``_line bigint``. The expressions here turn that text into values; they never raise, a text that is no value of its
type becomes NULL and :mod:`expectations.compile.rules` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pyarrow as pa

from expectations.contract import Column, Contract, Table
from expectations.vocabulary import SQL_TYPES, ColumnType

_ARROW: dict[ColumnType, pa.DataType] = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.DECIMAL: pa.decimal128(18, 4),
    ColumnType.DATE: pa.date32(),
    ColumnType.TIMESTAMP: pa.timestamp("us"),
    ColumnType.BOOLEAN: pa.bool_(),
}

#: Columns every table of the current state carries behind its own: where the row came from.
PROVENANCE: dict[str, str] = {"_delivery_id": "varchar", "_line": "bigint", "_delivered_on": "date"}

_COMPACT_WIDTH = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2}


def literal(text: str) -> str:
    """``text`` as a SQL string literal. The only place where outside text enters a statement."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literals(texts: Iterable[str]) -> str:
    """A parenthesised list of literals, each once, in the given order."""
    return "(" + ", ".join(literal(t) for t in dict.fromkeys(texts)) + ")"


def text_of(contract: Contract, column: Column) -> str:
    """The cell as trimmed text; NULL where the contract says the text means "no value"."""
    # Fixed-length database columns arrive padded with blanks.
    text = f"trim({identifier(column.name)})"
    # Comparisons one by one are twice as fast as an IN list; nested nullif() would double the statement every time.
    tokens = dict.fromkeys(["", *(t.strip() for t in contract.nulls(column))])
    return f"case when {' and '.join(f'{text} <> {literal(t)}' for t in tokens)} then {text} end"


def _compact_width(fmt: str) -> int | None:
    """Characters of a format without separators (``%Y%m%d`` is 8), else None."""
    parts = re.findall(r"%.", fmt)
    if "".join(parts) != fmt or any(p not in _COMPACT_WIDTH for p in parts):
        return None
    return sum(_COMPACT_WIDTH[p] for p in parts)


def _moment(text: str, formats: list[str]) -> str:
    tries = []
    for fmt in formats:
        width = _compact_width(fmt)
        # Without separators '2024115' would be read as 5 November, so a compact format must be filled exactly.
        tries.append(
            f"case when length({text}) = {width} then try_strptime({text}, {literal(fmt)}) end"
            if width
            else f"try_strptime({text}, {literal(fmt)})"
        )
    return tries[0] if len(tries) == 1 else f"coalesce({', '.join(tries)})"


def value_of(contract: Contract, column: Column, text: str) -> str:
    """The typed value of ``text``, a SQL expression that is NULL where there is no value (see :func:`text_of`).

    NULL also where the text is no value of the type, and where a sentinel says the end has not come (``open``).
    """
    opens = [k.strip() for k, v in column.sentinels.items() if v == "open"]
    match column.type:
        case ColumnType.TEXT:
            value = text
        case ColumnType.INTEGER:
            # A plain cast rounds '3.7' to 4; '3.0', as spreadsheets write whole numbers, is still 3.
            value = (
                f"case when regexp_full_match({text}, '[+-]?[0-9]{{1,18}}(\\.0*)?') then try_cast({text} as bigint) end"
            )
        case ColumnType.DECIMAL:
            value = (
                f"case when regexp_full_match({text}, '[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)')"
                f" then try_cast({text} as {SQL_TYPES[column.type]}) end"
            )
        case ColumnType.DATE:
            value = f"try_cast({_moment(text, contract.formats(column))} as date)"
        case ColumnType.TIMESTAMP:
            value = _moment(text, contract.formats(column))
        case ColumnType.BOOLEAN:
            yes, no = ([t.strip().upper() for t in ts] for ts in (contract.true_tokens, contract.false_tokens))
            upper = f"upper({text})"
            value = f"case when {upper} in {literals(yes)} then true when {upper} in {literals(no)} then false end"
    return f"case when {text} not in {literals(opens)} then {value} end" if opens else value


def typed_select(contract: Contract, table: Table) -> dict[str, str]:
    """Column name -> SQL expression over the received relation, of type ``SQL_TYPES[column.type]``."""
    return {c.name: value_of(contract, c, f"({text_of(contract, c)})") for c in table.columns}


def duckdb_schema(table: Table, provenance: bool = False) -> dict[str, str]:
    """Column name -> DuckDB type of the table's typed rows, in file order; with :data:`PROVENANCE` if asked."""
    return {c.name: SQL_TYPES[c.type] for c in table.columns} | (PROVENANCE if provenance else {})


def arrow_schema(table: Table, provenance: bool = False) -> pa.Schema:
    """The same schema for Arrow; equal to what DuckDB's Parquet writer produces for :func:`duckdb_schema`."""
    fields = [pa.field(c.name, _ARROW[c.type]) for c in table.columns]
    if provenance:
        fields += [
            pa.field("_delivery_id", pa.string()),
            pa.field("_line", pa.int64()),
            pa.field("_delivered_on", pa.date32()),
        ]
    return pa.schema(fields)
