"""Which pairs are proposed: by hand, with two rules of our own."""

from __future__ import annotations

import duckdb
import pytest

from linkage.person.blocking import Rule, block, crossings
from linkage.store import connect

RULES = (
    Rule("name", "the same name and year", (("first", "born"),)),
    Rule("place", "one place in common, or the same number", (("x", "sex"), ("number",)), "places"),
)
#: rid, source, is_child, first, born, sex, number, places
PEOPLE = [
    (101, "court", False, "ANA", 1990, "F", "7", ["A"]),
    (55, "medicaid", False, "ANA", 1990, "F", None, ["B", "A"]),
    (77, "medicaid", True, "ANA", 1990, "F", "7", []),
    (9, "court", False, "BEN", 1980, "M", None, ["A"]),
    (300, "court", False, "BEN", 1980, None, "8", ["B"]),
    (2, "school", False, None, 1980, "M", "8", ["C"]),
    (3, "school", False, None, 1980, "M", "8", ["C"]),
]


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = connect()
    con.execute(
        "create table records (rid bigint, source_system varchar, is_child boolean, first varchar, born int, "
        "sex varchar, number varchar, places varchar[])"
    )
    con.executemany("insert into records values (?, ?, ?, ?, ?, ?, ?, ?)", [list(p) for p in PEOPLE])
    return con


def found(con: duckdb.DuckDBPyConnection) -> set[tuple[int, int, bool]]:
    rows = con.execute("select rid_l, rid_r, is_child_pair from pairs").fetchall()
    assert len(rows) == len(set(rows))
    return set(rows)


def test_pairs_share_a_key_and_are_found_once(con: duckdb.DuckDBPyConnection) -> None:
    report = block(con, rules=RULES)
    # Two of one name and year; ANA and ANA also by place A and sex; the number 8 three times, of whom two also by
    # place C. Nobody without a place is found by number: the rule is for the places of a record.
    by_name = {(55, 101, False), (77, 101, True), (55, 77, True), (9, 300, False)}
    by_place = {(55, 101, False), (2, 3, False), (2, 300, False), (3, 300, False)}
    assert found(con) == by_name | by_place
    assert [(line["pairs"], line["new_pairs"]) for line in report] == [(4, 4), (4, 3)]
    assert [line["largest_block"] for line in report] == [3, 3]
    assert con.execute("select rid_l, rid_r from pairs where not by_one_rule").fetchall() == [(55, 101)]


def test_a_source_that_vouches_is_not_compared_with_itself(con: duckdb.DuckDBPyConnection) -> None:
    block(con, ("court", "medicaid"), rules=RULES)
    assert found(con) == {(55, 101, False), (77, 101, True), (2, 3, False), (2, 300, False), (3, 300, False)}


def test_larger_blocks_than_the_limit_are_dropped_and_counted(con: duckdb.DuckDBPyConnection) -> None:
    report = block(con, limits={"name": 2, "place": 2}, rules=RULES)
    assert found(con) == {(9, 300, False), (55, 101, False), (2, 3, False)}
    assert [line["blocks_dropped"] for line in report] == [1, 1]


def test_only_pairs_with_a_touched_record(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("create table touched as select 77::bigint as rid union all select 3")
    block(con, touched="touched", rules=RULES)
    assert found(con) == {(77, 101, True), (55, 77, True), (2, 3, False), (3, 300, False)}


def test_blocks_nobody_touched_are_counted_all_the_same(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("create table touched as select 9::bigint as rid")
    report = block(con, limits={"name": 2, "place": 2}, touched="touched", rules=RULES)
    # The three of one name, and the three of one number: the next night asks what the largest block was.
    assert [(line["largest_block"], line["blocks_dropped"]) for line in report] == [(3, 1), (3, 1)]


def test_who_stands_in_a_block_that_crossed_its_limit(con: duckdb.DuckDBPyConnection) -> None:
    # Yesterday 77 was no ANA, and a fourth record had number 8.
    con.execute("create table was as from records")
    con.execute("update was set first = 'EVA' where rid = 77")
    con.execute("insert into was values (400, 'court', false, 'ZOE', 1970, 'F', '8', ['Q'])")
    con.execute("create table changed as select 77::bigint as rid")
    con.execute("create table gone as select 77::bigint as rid union all select 400")
    largest = {"name": 2, "place": 4}
    crossings(con, {"name": 2, "place": 3}, "was", "changed", "gone", largest, rules=RULES)
    # ANA 1990 grew from two to three; number 8 came back from four to three.
    assert {r[0] for r in con.execute("select rid from crossed").fetchall()} == {101, 55, 77, 300, 2, 3}
    crossings(con, {"name": 3, "place": 5}, "was", "changed", "gone", largest, rules=RULES)
    assert not con.execute("select rid from crossed").fetchall()


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_to_compare(con: duckdb.DuckDBPyConnection, n: int) -> None:
    con.execute(f"create or replace table records as from records limit {n}")
    report = block(con, rules=RULES)
    assert found(con) == set() and [line["pairs"] for line in report] == [0, 0]
