"""Who is surely two people, and what a source that vouches for itself has written twice: cases worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from linkage_helpers import scored

from linkage.person.comparisons import COMPARISONS
from linkage.person.people import (
    TWO_PEOPLE,
    relatives_are_two,
    separate_generations,
    separate_mothers,
    separate_named,
    separate_numbers,
    separate_twins,
    weigh_parents,
)
from linkage.person.resolve import _review, _two_numbers
from linkage.store import connect

CASES = yaml.safe_load((Path(__file__).parent / "two_people.yaml").read_text(encoding="utf-8"))
#: Of true pairs in these files, how many differ: what a model says of birth dates a generation apart, and of numbers.
_TRUSTED = {"birth_date": 0.0009, "ssn": 0.03, "medicaid_id": 0.05}


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_who_is_surely_two_people(case: dict[str, Any], tmp_path: Path) -> None:
    shares = _TRUSTED | case.get("trusted", {})
    sizes = {c.name: len(c.all_levels) for c in COMPARISONS}
    told = {name: [0.0] * (sizes[name] - 1) + [share] for name, share in shares.items()}
    told["birth_date"] = [shares["birth_date"]] * sizes["birth_date"]
    mixtures: Any = {"adult": SimpleNamespace(m=told, u={"birth_date": [1.0] * sizes["birth_date"]})}
    with connect() as con:
        number = scored(con, tmp_path, case["records"], case.get("common", ()), case.get("pairs"))
        rid = {n: r for r, n in number.items()}
        for a, relationship, b in case.get("stated", ()):
            con.execute(
                "insert into stated by name select $1 as rid_a, $2 as relationship, $3 as rid_b, false as is_reversed",
                [rid[a], relationship, rid[b]],
            )
        for a, b in case.get("weak", ()):
            con.execute("update edges set weight = -2 where rid_l in ($1, $2) and rid_r in ($1, $2)", [rid[a], rid[b]])
        twins = separate_twins(con, "edges", 0.0)
        separate_generations(con, "edges", mixtures, 0.0)
        separate_numbers(con, "edges", mixtures, 0.0)
        twins += separate_named(con, "edges", 0.0)
        found: dict[str, list[list[int]]] = {}
        most = {name: -1.0 for name in (*TWO_PEOPLE, "perhaps_generation")} | {"twin": -5.0, "pair": 9.0}
        for a, b, weight, evidence in con.execute("select rid_l, rid_r, weight, evidence from edges").fetchall():
            assert weight in (9, -2) if evidence == "pair" else weight <= most[evidence]
            if evidence != "pair":
                found.setdefault(evidence, []).append(sorted([number[a], number[b]]))
    apart = {evidence: sorted(pairs) for evidence, pairs in case["apart"].items()}
    assert {evidence: sorted(pairs) for evidence, pairs in found.items()} == apart
    assert twins == len(apart.get("twin", []))


_NOAH = {"first": "NOAH", "last": "GARRETT", "born": "2023-08-30"}


@pytest.mark.parametrize(
    ("why", "mothers", "twice", "other", "is_apart"),
    [
        ("each has a mother two records know", ("ANA", "RUTH"), (1, 1), {}, True),
        ("one mother is known from one record: perhaps the other, badly written", ("ANA", "RUTH"), (1, 0), {}, False),
        ("one name, two people by now: perhaps one mother", ("ANA", "ANA"), (1, 1), {}, False),
        ("a nickname", ("KATHERINE", "KATE"), (1, 1), {}, False),
        ("nearly one name", ("MARISOL", "MARISSOL"), (1, 1), {}, False),
        ("a mother without a given name", ("ANA", None), (1, 1), {}, False),
        ("one home", ("ANA", "RUTH"), (1, 1), {"address": "12 OAK ST", "zip": "71001"}, False),
        ("one number", ("ANA", "RUTH"), (1, 1), {"medicaid": "M10000001"}, False),
        (
            "one number, of which the model has too few to compare",
            ("ANA", "RUTH"),
            (1, 1),
            {"ssn": "320-95-8912"},
            False,
        ),
        ("a slip of the pen in the other number", ("ANA", "RUTH"), (1, 1), {"ssn": "320-95-8913"}, False),
        ("two numbers", ("ANA", "RUTH"), (1, 1), {"medicaid": "M20000502", "ssn": "718-20-4433"}, True),
    ],
)
def test_children_of_two_mothers_who_are_surely_two(
    why: str, mothers: tuple[str, str | None], twice: tuple[int, int], other: dict[str, str], is_apart: bool,
    tmp_path: Path,
) -> None:  # fmt: skip
    one = {**_NOAH, "medicaid": "M10000001", "ssn": "320-95-8912", "address": "12 OAK ST", "zip": "71001"}
    of_mothers = [{"first": name, "last": f"MOTHER{i}"} for i, name in enumerate(mothers)]
    with connect() as con:
        number = scored(con, tmp_path, [one, {**_NOAH, **other}, *of_mothers, *of_mothers], pairs=[[1, 2]])
        rid = {n: r for r, n in number.items()}
        # Records 3 and 5 are the one mother, 4 and 6 the other, where two records know her.
        person = {1: 1, 2: 1, 3: 3, 4: 4, 5: 3 if twice[0] else 5, 6: 4 if twice[1] else 6}
        con.execute("create table people (rid bigint, person bigint)")
        con.executemany("insert into people values (?, ?)", [[rid[n], p] for n, p in person.items()])
        con.execute("create or replace table stated (rid_a bigint, rid_b bigint, relationship varchar)")
        con.executemany("insert into stated values (?, ?, 'mother_of')", [[rid[3], rid[1]], [rid[4], rid[2]]])
        if "too few" in why:
            con.execute("update edges set g_ssn = null")
        assert separate_mothers(con, "edges", 0.0) == is_apart, why
        expected = (-1.0, "mothers") if is_apart else (9.0, "pair")
        assert con.execute("select weight, evidence from edges").fetchall() == [expected]
        con.execute("update edges set weight = 9, evidence = 'pair'")
        con.execute("insert into stated values (?, ?, 'mother_of')", [rid[3], rid[2]])
        assert separate_mothers(con, "edges", 0.0) == 0, "a source names one mother for both"


@pytest.mark.parametrize(("weight", "expected"), [(9.0, set()), (-1.0, {(1, 4), (2, 3), (2, 4)})])
def test_one_record_of_each_mothers_child_under_one_number_is_one_child(
    weight: float, expected: set[tuple[int, int]], tmp_path: Path
) -> None:
    # Ana had the child, Ruth adopted it; two of four records say a number. Or the number was lent: that pair is not
    # joined, and says nothing.
    numbered, mothers = {**_NOAH, "medicaid": "M10000001"}, [{"first": "ANA"}, {"first": "RUTH"}]
    with connect() as con:
        number = scored(con, tmp_path, [numbered, _NOAH, numbered, _NOAH, *mothers, *mothers])
        rid = {n: r for r, n in number.items()}
        con.execute("create table people (rid bigint, person bigint)")
        con.executemany("insert into people values (?, ?)", [[rid[n], n - 2 if n > 6 else n] for n in rid])
        con.execute("create or replace table stated (rid_a bigint, rid_b bigint, relationship varchar)")
        told = [(5, 1), (5, 2), (6, 3), (6, 4)]
        con.executemany("insert into stated values (?, ?, 'mother_of')", [[rid[a], rid[b]] for a, b in told])
        con.execute(
            "update edges set weight = $1 where rid_l in ($2, $3) and rid_r in ($2, $3)", [weight, rid[1], rid[3]]
        )
        separate_mothers(con, "edges", 0.0)
        found = con.execute("select rid_l, rid_r from edges where evidence = 'mothers'").fetchall()
    assert {tuple(sorted(number[r] for r in pair)) for pair in found} == expected


#: A pair of adults above the threshold with nothing in common but names; 1 and 2 of each case are the two.
@pytest.mark.parametrize(
    ("why", "children", "levels", "weight", "is_less"),
    [
        ("each source names another child", {1: ("AVA", "2019-01-02"), 2: ("MIA", "2021-03-04")}, {}, 4.0, True),
        ("of one an unnamed child of another day", {1: (None, "2019-01-02"), 2: ("MIA", "2021-03-04")}, {}, 4.0, True),
        ("perhaps one child", {1: ("AVA", "2021-03-04"), 2: ("MIA", "2021-03-04")}, {}, 4.0, False),
        ("perhaps one child, nobody knows when born", {1: ("AVA", None), 2: ("MIA", "2021-03-04")}, {}, 4.0, False),
        ("one name", {1: ("AVA", "2019-01-02"), 2: ("AVA", "2021-03-04")}, {}, 4.0, False),
        ("a child of one of them is not known", {1: ("AVA", "2019-01-02")}, {}, 4.0, False),
        ("a number in common", {1: ("AVA", "2019-01-02"), 2: ("MIA", "2021-03-04")}, {"medicaid_id": 0}, 4.0, False),
        ("one home", {1: ("AVA", "2019-01-02"), 2: ("MIA", "2021-03-04")}, {"address": 0}, 4.0, False),
        ("birth dates tell", {1: ("AVA", "2019-01-02"), 2: ("MIA", "2021-03-04")}, {"birth_date": 0}, 4.0, False),
        ("not joined anyway", {1: ("AVA", "2019-01-02"), 2: ("MIA", "2021-03-04")}, {}, -1.0, False),
        # 3 is 2 by her own evidence: also where the pair is with 3.
        ("of the same woman's other record", {1: ("AVA", "2019-01-02"), 3: ("MIA", "2021-03-04")}, {}, 4.0, True),
    ],
)
def test_parents_whose_sources_name_other_children_weigh_less(
    why: str, children: dict[int, tuple[str | None, str | None]], levels: dict[str, int], weight: float, is_less: bool
) -> None:
    names = ("birth_date", "address", "phone", "ssn", "medicaid_id")
    with connect() as con:
        con.execute("create table records (rid bigint, dob varchar, first_std varchar)")
        con.execute("create table stated (rid_a bigint, rid_b bigint, relationship varchar, is_reversed boolean)")
        columns = ", ".join(f"g_{name} tinyint" for name in names)
        con.execute(f"create table edges (rid_l bigint, rid_r bigint, weight double, evidence varchar, {columns})")
        # What one person looks like: of 30 mothers known to two sources two have no child in common there.
        for i in range(30):
            mother, child = 1000 + 10 * i, 1002 + 10 * i
            other = child if i > 1 else child + 1
            for rid, dob in {mother: None, mother + 1: None, other: "2021-01-02", child: "2020-01-01"}.items():
                con.execute("insert into records values (?, ?, null)", [rid, dob])
            con.execute("insert into edges values (?, ?, 12, 'pair', 0, -1, -1, -1, -1)", [mother, mother + 1])
            for one, born in ((mother, child), (mother + 1, other)):
                con.execute("insert into stated values (?, ?, 'mother_of', false)", [one, born])
        for rid in (1, 2, 3):
            con.execute("insert into records values (?, null, 'MARIA')", [rid])
        for mother, (first, born) in children.items():
            con.execute("insert into records values (?, ?, ?)", [mother + 100, born, first])
            con.execute("insert into stated values (?, ?, 'mother_of', false)", [mother, mother + 100])
        values = [levels.get(name, -1) for name in names]
        con.execute("insert into edges values (1, 2, ?, 'pair', ?, ?, ?, ?, ?)", [weight, *values])
        con.execute("insert into edges values (2, 3, 8, 'pair', 0, -1, -1, -1, -1)")
        con.execute("create table people as select rid, rid as person from records")
        assert weigh_parents(con, "edges", 0.0) == is_less
        found = con.execute("select weight, evidence from edges where rid_l = 1").fetchall()
    expected = (weight + math.log2((2 + 1) / (30 + 2)), "other_children") if is_less else (weight, "pair")
    assert found == [(pytest.approx(expected[0]), expected[1])], why


def test_who_is_only_somehow_related_may_be_one_person() -> None:
    with connect() as con:
        con.execute("create table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)")
        con.execute("insert into constraints values (4, 3, 'must', 'reviewer')")
        con.execute("""
        create table stated as select * from (values (1, 2, 'mother_of'), (2, 1, 'sibling_of'), (3, 4, 'spouse_of'),
            (5, 6, 'other'), (7, 8, 'relative_of'), (null, 9, 'adoptive_parent_of')) as t(rid_a, rid_b, relationship)
        """)
        relatives_are_two(con)
        found = con.execute("select * from constraints order by all").fetchall()
    # Of a pair on which something is said already nothing is added.
    assert found == [(1, 2, "cannot", "relatives_of_each_other"), (4, 3, "must", "reviewer")]


def test_one_number_under_two_names_and_birth_dates_is_a_question() -> None:
    with connect() as con:
        con.execute("""
        create table records as
        select i as rid, 'a' as source_system, i::varchar as source_record_id, i % 2 = 1 and i < 6 as is_child,
            '1' || i // 2 as ssn, null::varchar as medicaid_id, 'born ' || i as dob, 'name ' || i as first_std,
            null::varchar[] as addr_keys
        from range(10) t(i)
        """)
        con.execute("create table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)")
        # One person with two numbers, whom no pair has compared.
        con.execute("insert into records select rid, 'b', rid::varchar, false, ssn, null, null, null, null "
                    "from (values (10, '320958912'), (11, '718204433')) t(rid, ssn)")  # fmt: skip
        con.execute("create table people as select rid, least(rid, 10) as person from records")
        con.execute("""
        create table stated as select * from (values (2, 3, 'mother_of'), (4, 5, 'relative_of'), (6, 7, 'sibling_of'))
            as t(rid_a, rid_b, relationship)
        """)
        con.execute("create table refused as select * from (values (2, 3, 4.0), (4, 5, 4.0), (6, 7, 4.0)) "
                    "as t(rid_l, rid_r, weight)")  # fmt: skip
        # Unlike in name and birth date; like in the one, unlike in the other.
        con.execute("""
        create table edges as select *, 'pair' as evidence from (values (0, 1, 9.0, 6, 7), (8, 9, 9.0, 4, 7))
            as t(rid_l, rid_r, weight, g_given_name, g_birth_date)
        """)
        card: Any = SimpleNamespace(thresholds=SimpleNamespace(review_low=-3.0, review_high=2.5))
        _review(con, card, [])
        asked = con.execute("select reason, source_record_id_a from review order by all").fetchall()
    # Not whether a child is its mother; whether somebody is their sibling a reviewer may know.
    assert asked == [
        ("id_conflict", "0"), ("refused_by_constraint", "4"), ("refused_by_constraint", "6"), ("two_numbers", "10"),
    ]  # fmt: skip


_JEN = {"first": "JENNA", "last": "NORTON", "born": "2019-02-09"}
_ONE, _TWO = {"medicaid": "M10000001"}, {"medicaid": "M20000502"}


@pytest.mark.parametrize(
    ("why", "records", "asked"),
    [
        ("two numbers, two homes", [{**_ONE, "address": "12 OAK ST"}, {**_TWO, "address": "9 PINE CT"}], [(1, 2)]),
        ("two social security numbers", [{"ssn": "320-95-8912"}, {"ssn": "718-20-4433"}], [(1, 2)]),
        ("asked once, of the first", [_ONE, _TWO, _ONE, _TWO], [(1, 2)]),
        ("a slip of the pen", [_ONE, {"medicaid": "M10000101"}], []),
        ("the other number is one", [{**_ONE, "ssn": "320-95-8912"}, {**_TWO, "ssn": "320-95-8912"}], []),
        ("one home", [{**_ONE, "address": "12 OAK ST"}, {**_TWO, "address": "12 OAK ST"}], []),
        (
            "one home by another record with the number",
            [_ONE, _TWO, {**_ONE, "address": "12 OAK ST"}, {**_TWO, "address": "12 OAK ST"}],
            [],
        ),
        ("no numbers", [{}, {}], []),
        ("a reviewer has said that they are one", [_ONE, _TWO, {"first": "must"}], []),
        ("two people", [_ONE, _TWO, {"first": "apart"}], []),
    ],
)
def test_two_numbers_of_one_person_are_a_question(
    why: str, records: list[dict[str, str]], asked: list[tuple[int, int]], tmp_path: Path
) -> None:
    said = {r["first"] for r in records if "first" in r}
    people = [{**_JEN, "zip": "71001", **r} for r in records if "first" not in r]
    with connect() as con:
        number = scored(con, tmp_path, people)
        rid = {n: r for r, n in number.items()}
        con.execute(f"create table people as select rid, {'rid' if 'apart' in said else '1'} as person from records")
        con.execute("create or replace table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)")
        if "must" in said:
            con.execute("insert into constraints values (?, ?, 'must', 'reviewer')", [rid[2], rid[1]])
        _two_numbers(con)
        found = con.execute("select rid_l, rid_r from kw_two_numbers").fetchall()
        first = sorted(rid.values())
    if "first" in why:
        # Which of them comes first is for their keys to say.
        assert len(found) == 1 and first[0] in found[0]
        assert {number[r] % 2 for r in found[0]} == {0, 1}, "one under each number"
    else:
        assert [tuple(sorted(number[r] for r in pair)) for pair in found] == asked, why
