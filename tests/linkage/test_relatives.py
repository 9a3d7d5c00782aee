"""Who is looked at again because of a relative or a case, and that it finds people nothing else finds."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from linkage_helpers import CUT, scored, write_table

import linkage
from linkage.model import Pool
from linkage.person.comparisons import BY_NAME
from linkage.person.mixture import Mixture
from linkage.person.people import link, link_through_relatives
from linkage.person.relational import apply_pools, find_pool
from linkage.person.scoring import Scorer
from linkage.store import connect

#: rid, source, person so far. 1 and 2 are a mother's records, found to be one; 11 and 12 her child's, not yet found;
#: 13 a child of hers in the same source as 12; 3 and 4 two records of fathers; 21 a child alone.
_RECORDS = [
    (1, "court", 1), (2, "welfare", 1), (3, "court", 3), (4, "welfare", 4), (11, "court", 11), (12, "welfare", 12),
    (13, "welfare", 13), (21, "court", 21),
]  # fmt: skip
_STATED = [(1, 11, "mother_of"), (2, 12, "mother_of"), (2, 13, "mother_of"), (3, 11, "father_of"), (4, 12, "father_of")]
_CASES = [
    ("court", "J1", 1, "mother"), ("court", "J1", 11, "child"), ("court", "J1", 3, "father"),
    ("welfare", "W1", 2, "mother"), ("welfare", "W1", 12, "child"), ("welfare", "W1", 13, "child"),
    ("welfare", "W1", 4, "putative_father"), ("court", "J2", 21, "child"),
]  # fmt: skip


@pytest.fixture
def house() -> duckdb.DuckDBPyConnection:
    con = connect()
    con.execute("create table records (rid bigint, source_system varchar, dob varchar, first_std varchar, "
                "first_forms varchar[])")  # fmt: skip
    con.execute("create table people (rid bigint, person bigint)")
    con.execute("create table stated (rid_a bigint, rid_b bigint, relationship varchar, evidence varchar)")
    con.execute("create table members (source_system varchar, case_key varchar, rid bigint, role varchar)")
    con.execute("create table links (system_a varchar, case_a varchar, system_b varchar, case_b varchar)")
    con.executemany("insert into records (rid, source_system) values (?, ?)", [(r, s) for r, s, _ in _RECORDS])
    con.executemany("insert into people values (?, ?)", [(r, p) for r, _, p in _RECORDS])
    con.executemany("insert into stated values (?, ?, ?, 'stated')", _STATED)
    con.executemany("insert into members values (?, ?, ?, ?)", _CASES)
    con.execute("insert into links values ('court', 'J1', 'welfare', 'W1')")
    return con


def pairs(con: duckdb.DuckDBPyConnection, name: str) -> list[tuple[int, int]]:
    n = find_pool(con, name)
    found = con.execute(f"select rid_l, rid_r from pool_{name} order by 1, 2").fetchall()
    assert n == len(found)
    return found


def test_children_are_looked_at_through_their_linked_mother(house: duckdb.DuckDBPyConnection) -> None:
    # Not 12 with 13: their own source knows that they are two.
    assert pairs(house, "children_of_linked_parents") == [(11, 12), (11, 13)]


@pytest.mark.parametrize(
    ("why", "sister", "born", "is_looked_at"),
    [
        ("one child of that day", "ZOE", "2024-05-02", True),
        ("twins: it may be either's", "ZOE", "2024-05-01", False),
        ("one child under two forms of a name", "AVIE", "2024-05-01", True),
        ("nearly one name", "AVAH", "2024-05-01", True),
        ("an initial is no name", "Z", "2024-05-01", True),
    ],
)
def test_what_lies_under_a_mothers_number_is_her_childs_of_that_day(
    house: duckdb.DuckDBPyConnection, why: str, sister: str, born: str, is_looked_at: bool
) -> None:
    house.execute("insert into records values (31, 'medicaid', '2024-05-01', null, [])")
    house.execute("insert into people values (31, 31)")
    house.execute("insert into stated values (1, 31, 'mother_of', 'number_lent')")
    for rid, name, day in ((11, "AVA", "2024-05-01"), (13, sister, born)):
        house.execute(
            "update records set dob = ?, first_std = ?, first_forms = ['AVA', 'AVIE'] where rid = ?", [day, name, rid]
        )
    house.execute("update records set first_forms = [first_std] where first_std not in ('AVA', 'AVIE')")
    found = pairs(house, "children_of_linked_parents")
    assert ((11, 31) in found) == is_looked_at, why
    assert (11, 12) in found, "what a source states of others is heard all the same"


def test_parents_are_looked_at_through_their_linked_child(house: duckdb.DuckDBPyConnection) -> None:
    assert pairs(house, "parents_of_linked_children") == []
    house.execute("drop table pool_parents_of_linked_children")
    house.execute("update people set person = 11 where rid = 12")
    # Mothers with mothers, fathers with fathers.
    assert pairs(house, "parents_of_linked_children") == [(1, 2), (3, 4)]


def test_the_members_of_linked_cases_are_looked_at_role_by_role(house: duckdb.DuckDBPyConnection) -> None:
    assert pairs(house, "members_of_linked_cases") == [(1, 2), (3, 4), (11, 12), (11, 13)]


def test_a_case_with_half_a_town_in_it_proposes_nobody(house: duckdb.DuckDBPyConnection) -> None:
    house.execute("insert into members select 'welfare', 'W1', 100 + i, 'other' from range(40) t(i)")
    assert pairs(house, "members_of_linked_cases") == []


def test_a_mother_of_more_children_than_anybody_has_proposes_none(house: duckdb.DuckDBPyConnection) -> None:
    for other in range(100, 137):
        house.execute(f"insert into records (rid, source_system) values ({other}, 'court')")
        house.execute(f"insert into stated values (1, {other}, 'mother_of', 'stated')")
    assert (11, 12) in pairs(house, "children_of_linked_parents"), "forty in all"
    house.execute("drop table pool_children_of_linked_parents")
    house.execute("insert into records (rid, source_system) values (137, 'court')")
    house.execute("insert into stated values (1, 137, 'mother_of', 'stated')")
    assert pairs(house, "children_of_linked_parents") == []


def test_a_shared_mother_raises_whom_something_of_their_own_agrees_with_and_lowers_nobody(tmp_path: Path) -> None:
    with connect() as con:
        number = scored(
            con,
            tmp_path,
            [
                {"first": "AVA", "last": "RANEY", "system": "court"}, {"first": "AVA", "last": "RANEY"},
                {"last": "TIBBS", "system": "court"}, {"last": "TIBBS"},
                {"first": "MIA", "last": "SOSA", "system": "court"}, {"first": "MIA", "last": "SOSA"},
            ],
            pairs=[[1, 2], [3, 4], [5, 6]],
        )  # fmt: skip
        rid = {n: r for r, n in number.items()}
        con.execute("update edges set weight = -3")
        con.execute("update edges set weight = 9 where rid_l in ($1, $2)", [rid[5], rid[6]])
        con.execute("create table pool_children_of_linked_parents as select rid_l, rid_r from edges")
        sizes = {name: len(BY_NAME[name].all_levels) for name in ("given_name", "surname")}
        even = {name: [1 / size] * size for name, size in sizes.items()}
        # One person has one given name eight times as often as two siblings; a surname tells them not apart.
        others = {**even, "given_name": [1 / 56] * sizes["given_name"]}
        mixture = Mixture(list(sizes), 0.01, even, even)
        pools = {"children_of_linked_parents/adult": Pool(0.5, others)}
        changed = apply_pools(con, Scorer(con), {"adult": mixture, "child": mixture}, pools, "edges")
        found = {
            (number[a], number[b]): (round(weight, 9), evidence)
            for a, b, weight, evidence in con.execute("select rid_l, rid_r, weight, evidence from edges").fetchall()
        }
    ordered = {tuple(sorted(pair)): told for pair, told in found.items()}
    assert changed == 1 and ordered == {
        (1, 2): (3.0, "children_of_linked_parents"), (3, 4): (-3.0, "pair"), (5, 6): (9.0, "pair"),
    }  # fmt: skip


def test_cases_the_agencies_link_find_people_their_records_hide(trained: Path, tmp_path: Path) -> None:
    persons = [
        row
        for path in sorted((trained / "staged").glob("*__person_records.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    for row in persons:
        # A court that names everybody by initial and surname, and says neither birth date nor address.
        if row["source_system"] == "court":
            row |= {"first_name": (row["first_name"] or "")[:1] or None}
            row |= dict.fromkeys(("birth_date", "middle_name", "address_line", "city", "zip", "ssn", "phone"))
    roles = {(row["source_system"], row["source_record_id"]): row["record_role"] for row in persons}
    truth = pq.read_table(trained / "truth" / "person_records.parquet").to_pylist()
    kin = pq.read_table(trained / "truth" / "parent_child.parquet").to_pylist()
    family = {k["true_child_id"]: min(x["true_parent_id"] for x in kin if x["true_child_id"] == k["true_child_id"])
              for k in kin}  # fmt: skip
    family |= {parent: parent for parent in family.values()}
    members = [
        {"source_system": t["source_system"], "case_key": f"{family[t['true_person_id']]}",
         "source_record_id": t["source_record_id"],
         "role": "child" if roles[(t["source_system"], t["source_record_id"])] == "child" else "other"}
        for t in truth if t["true_person_id"] in family and t["source_system"] in ("court", "child_welfare")
    ]  # fmt: skip
    links = [
        {"source_system": "court", "case_key": key, "other_system": "child_welfare", "other_case_key": key}
        for key in {m["case_key"] for m in members}
    ]
    found = {}
    for kind in ("without", "with"):
        home = tmp_path / kind
        write_table(persons, home / "staged" / "all__person_records.parquet")
        if kind == "with":
            write_table(members, home / "staged" / "all__case_members.parquet")
            write_table(links, home / "staged" / "all__case_links.parquet")
        linkage.build_records(home / "staged", home / "linkage")
        linkage.train(home / "linkage", home / "models", "one")
        linkage.score(home / "linkage", home / "models" / "one")
        linkage.resolve(home / "linkage", home / "registry", CUT, b"x", persist=False)
        measured = linkage.evaluate(home / "linkage", trained / "truth")
        found[kind] = next(p for p in measured.by_pair if (p["system_a"], p["system_b"]) == ("child_welfare", "court"))
    assert found["with"]["recall"] > found["without"]["recall"]
    assert found["with"]["precision"] > found["without"]["precision"] - 0.005
    evidence = pq.read_table(tmp_path / "with" / "linkage" / "weighed_pairs.parquet", columns=["evidence"])
    assert "members_of_linked_cases" in evidence["evidence"].to_pylist()


def test_whom_a_child_brings_together_is_held_against_everybody_else_of_that_person(tmp_path: Path) -> None:
    # The court's Betty, whose child shows that she is the Betty Day of Medicaid, has the surname of another Betty
    # there. Those two were never compared: now they are, and are two.
    with connect() as con:
        number = scored(
            con,
            tmp_path,
            [
                {"first": "BETTY", "last": "EMERSON", "system": "court"},
                {"first": "BETTY", "last": "DAY", "born": "1988-11-27", "system": "medicaid"},
                {"first": "BETTY", "last": "EMERSON", "born": "1997-06-12", "system": "medicaid"},
                {"first": "AVA", "last": "DAY", "born": "2022-01-02", "system": "court"},
                {"first": "AVA", "last": "DAY", "born": "2022-01-02", "system": "medicaid"},
            ],
            pairs=[[1, 2], [1, 3], [4, 5]],
        )  # fmt: skip
        rid = {n: r for r, n in number.items()}
        con.execute("update edges set weight = -3 where rid_l in ($1, $2) and rid_r in ($1, $2)", [rid[1], rid[2]])
        con.execute("update edges set weight = 4 where rid_l in ($1, $2) and rid_r in ($1, $2)", [rid[1], rid[3]])
        for mother, child in ((1, 4), (2, 5)):
            con.execute(
                "insert into stated by name select $1 as rid_a, $2 as rid_b, 'mother_of' as relationship, "
                "false as is_reversed, 'stated' as evidence",
                [rid[mother], rid[child]],
            )
        con.execute(
            "create or replace table members as "
            "select '' as source_system, '' as case_key, 0 as rid, '' as role limit 0"
        )
        con.execute(
            "create or replace table links as select '' as system_a, '' as case_a, '' as system_b, '' as case_b limit 0"
        )
        sizes = {name: len(BY_NAME[name].all_levels) for name in ("given_name", "surname", "birth_date")}
        even = {name: [1 / size] * size for name, size in sizes.items()}
        # One person has one given name 64 times as often as two parents of a child; birth dates differ in 1 of 1,024.
        others = {**even, "given_name": [1 / 64 / sizes["given_name"]] * sizes["given_name"]}
        m = {**even, "birth_date": [1 / 1024 / sizes["birth_date"]] * sizes["birth_date"]}
        mixture = Mixture(list(sizes), 0.5, m, even)
        pools = {"parents_of_linked_children/adult": Pool(0.5, others)}
        mixtures, scorer = {"adult": mixture, "child": mixture}, Scorer(con)
        first_look = link(con, scorer, mixtures, "edges", 0.0, ())
        link_through_relatives(con, scorer, mixtures, pools, "edges", 0.0, first_look)
        found: dict[int, set[int]] = {}
        for record, person in con.execute("select rid, person from people").fetchall():
            found.setdefault(person, set()).add(number[record])
    assert sorted(found.values(), key=min) == [{1, 2}, {3}, {4, 5}]
