"""Delivered text becomes the promised value, and each rule finds the rows that break it, in real DuckDB."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

from expectations.compile.rules import read_sql, row_rules
from expectations.compile.sql import arrow_schema, duckdb_schema, identifier, typed_select
from tests.contracts.toy import received, toy

CASES = Path(__file__).parent / "cases"
DELIVERED_ON = dt.date(2026, 3, 31)


def _cases(name: str) -> list[Any]:
    return [pytest.param(c, id=c["case"]) for c in yaml.safe_load((CASES / name).read_text(encoding="utf-8"))]


@pytest.mark.parametrize("case", _cases("rules.yaml"))
def test_a_row_is_read_and_judged(case: dict[str, Any]) -> None:
    contract = toy()
    table = contract.tables[case.get("table", "pupils")]
    rules = [r for r in row_rules(contract, table, DELIVERED_ON) if not r.across_rows]
    with duckdb.connect() as connection:
        relation = received(connection, table, [case["cells"]])
        flags = ", ".join(f"coalesce({r.bad}, false)" for r in rules)
        hits = connection.execute(f"select {flags} from ({read_sql(contract, table, relation)})").fetchall()[0]
        broken = [r for r, hit in zip(rules, hits, strict=True) if hit]
        assert sorted([r.rule, ", ".join(r.fields)] for r in broken) == sorted(case["broken"])
        if "action" in case:
            assert {r.action for r in broken} == {case["action"]}
        if "value" in case:
            (changed,) = case["cells"]
            expression = typed_select(contract, table)[changed]
            value = connection.execute(f"select {expression} from {relation}").fetchall()[0][0]
            assert (value if value is None or isinstance(value, (bool, int)) else str(value)) == case["value"]


@pytest.mark.parametrize("case", _cases("repeats.yaml"))
def test_of_rows_with_one_key_the_first_stays(case: dict[str, Any]) -> None:
    contract = toy()
    table = contract.tables[case["table"]]
    rules = [r for r in row_rules(contract, table, DELIVERED_ON) if r.across_rows]
    with duckdb.connect() as connection:
        relation = received(connection, table, case["rows"])
        read = read_sql(contract, table, relation)
        found = {}
        for rule in rules:
            lines = connection.execute(f"select _line from (select _line, {rule.bad} as bad from ({read})) where bad")
            found |= {line: rule.rule for (line,) in lines.fetchall()}
    assert found == case["broken"]


def test_a_source_with_many_ways_to_say_nothing() -> None:
    contract = toy().model_copy(update={"null_tokens": [f"NULL{i}" for i in range(40)]})
    table = contract.tables["pupils"]
    with duckdb.connect() as connection:
        relation = received(connection, table, [{"first_name": "NULL39"}, {"first_name": "NULL40"}])
        rows = connection.execute(f"select first_name from ({read_sql(contract, table, relation)}) order by _line")
        assert rows.fetchall() == [(None,), ("NULL40",)]


def test_a_deliverys_parquet_has_the_schema_of_its_contract(tmp_path: Path) -> None:
    contract = toy()
    for table in contract.tables.values():
        columns = ", ".join(
            f"cast(null as {sql_type}) as {identifier(name)}"
            for name, sql_type in duckdb_schema(table, provenance=True).items()
        )
        path = tmp_path / f"{table.name}.parquet"
        duckdb.sql(f"copy (select {columns}) to '{path}' (format parquet)")
        assert pq.read_schema(path).equals(arrow_schema(table, provenance=True))
