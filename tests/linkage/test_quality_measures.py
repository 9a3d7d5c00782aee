"""The arithmetic of the quality tables, on files small enough to do by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from linkage_helpers import scored

from linkage.drift import ENOUGH, compared, profile
from linkage.person.comparisons import BY_NAME
from linkage.person.mixture import Kind, Mixture
from linkage.person.weights import weight_sql
from linkage.quality.alternates import _name_clusters
from linkage.quality.charts import explained_by_relatives
from linkage.quality.measure import (
    _agreement,
    _audit,
    _expected,
    _groups,
    _match_rates,
    _numbers,
    _population,
    _race_words,
    _ratios,
    chained,
)  # fmt: skip
from linkage.review import decisions as reviewed
from linkage.review.queue import draw_audit
from linkage.store import connect
from linkage.train import choose_threshold

PEOPLE: list[dict[str, Any]] = [
    # One woman in two systems, twice in one of them; a boy in both; a baby without a name in one.
    {"first": "ANN", "last": "RANEY", "born": "1990-02-03", "sex": "F", "ssn": "320-95-8912", "system": "court"},
    {"first": "ANN", "last": "RANEY", "born": "1990-02-03", "sex": "F", "ssn": "320-95-8912", "system": "medicaid"},
    {"first": "ANNE", "last": "RANEY", "born": "1990-02-03", "system": "medicaid"},
    {"first": "BEN", "last": "TIBBS", "born": "2023-05-06", "sex": "M", "ssn": "415-20-7711", "system": "court"},
    {"first": "BENNO", "last": "TIBS", "born": "2023-05-06", "sex": "M", "ssn": "415-20-7711", "system": "medicaid"},
    {
        "first": "BABY GIRL",
        "last": "SOSA",
        "born": "2025-02-03",
        "sex": "F",
        "ssn": "550-10-2233",
        "system": "medicaid",
    },
    {"last": "SOSA", "born": "2025-02-03", "ssn": "550-10-2233", "system": "court"},
]
PERSON = {1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 6, 7: 6}


@pytest.fixture
def night(tmp_path: Path) -> tuple[duckdb.DuckDBPyConnection, Path, dict[int, int]]:
    """A connection as ``measure`` has it: tables of PEOPLE, all pairs within each person compared."""
    con = connect()
    number = scored(con, tmp_path, PEOPLE, pairs=[[1, 2], [1, 3], [2, 3], [4, 5], [6, 7]])
    rid = {n: r for r, n in number.items()}
    for table in ("people", "alone"):
        con.execute(f"create table {table} (rid bigint, person bigint)")
        con.executemany(f"insert into {table} values (?, ?)", [[rid[n], rid[p]] for n, p in PERSON.items()])
    con.execute("create or replace table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)")
    con.execute("create table hidden (rid bigint)")
    _groups(con, tmp_path / "linkage")
    return con, tmp_path / "linkage", rid


def test_population_and_match_rates(night: tuple[duckdb.DuckDBPyConnection, Path, dict[int, int]]) -> None:
    con, folder, rid = night
    con.execute("update people set person = ? where rid = ?", [rid[7], rid[7]])
    con.execute("update wide set person = ? where rid = ?", [rid[7], rid[7]])
    _population(con, folder)
    _match_rates(con, folder)
    population = pq.read_table(folder / "quality" / "population.parquet").to_pylist()
    assert [(r["source_system"], r["records"], r["people"], r["records_under_seven"],
             r["records_of_people_in_no_other_system"]) for r in population] == [
        ("court", 3, 3, 2, 1), ("medicaid", 4, 3, 2, 1),
    ]  # fmt: skip
    rates = pq.read_table(folder / "quality" / "match_rates.parquet").to_pylist()
    found = {(r["system_a"], r["breakdown"], r["value"]): (r["linked"], r["n"]) for r in rates}
    assert found[("court", "everybody", "everybody")] == (2, 3)
    assert found[("medicaid", "everybody", "everybody")] == (2, 3)
    # Groups are of the first system's own records: of one woman's two in medicaid one says nothing of her sex.
    assert found[("medicaid", "sex", "female")] == (1, 2)
    assert found[("medicaid", "sex", "not recorded")] == (1, 1)
    assert found[("medicaid", "SSN", "SSN present")] == (2, 3)


def test_what_names_alone_would_have_found(night: tuple[duckdb.DuckDBPyConnection, Path, dict[int, int]]) -> None:
    con, _, rid = night
    # An agreeing number is 8 times as likely of one person: 3 of the weight. The threshold is 0.
    sizes = {name: len(BY_NAME[name].all_levels) for name in ("given_name", "surname", "ssn")}
    m = {name: [1 / size] * size for name, size in sizes.items()}
    u = {**m, "ssn": [m["ssn"][0] / 8, *m["ssn"][1:]]}
    card: Any = SimpleNamespace(
        mixtures={"adult": Mixture(list(sizes), 0.1, m, u)}, pools={}, thresholds=SimpleNamespace(join=0.0)
    )
    for pair, weight in (((1, 2), 3.5), ((4, 5), 2.5), ((6, 7), 9.0), ((1, 3), 1.0), ((2, 3), 1.0)):
        ends = sorted(rid[n] for n in pair)
        con.execute("update edges set weight = ? where rid_l = ? and rid_r = ?", [weight, *ends])
    draw_audit(con, 0.0)
    figures: list[dict[str, Any]] = []
    _numbers(con, card, figures, (0, 0.0, 0.0))
    # Ann by her names, too (3.5 - 3); Ben by the number alone; the baby has no name to be found by.
    whole = next(f for f in figures if f["breakdown"] is None)
    assert (whole["hits"], whole["n"]) == (1, 2)
    by_sex = {f["value"]: (f["hits"], f["n"]) for f in figures if f["breakdown"] == "sex"}
    assert by_sex == {"female": (1, 1), "male": (0, 1)}
    assert not [f for f in figures if f["breakdown"] == "SSN"], "who has a number is found by it"
    # What a source states of its own numbers is no achievement.
    con.execute("insert into constraints values (?, ?, 'must', 'merged_into')", [rid[2], rid[1]])
    con.execute("drop table ways")
    figures.clear()
    _numbers(con, card, figures, (0, 0.0, 0.0))
    assert (figures[0]["hits"], figures[0]["n"]) == (0, 1)


def test_a_pair_is_as_sure_as_the_weakest_link_of_the_strongest_chain() -> None:
    # 0-1 at odds of 8 to 1, 1-2 at 2 to 1; 0-2, 1 to 32 by itself, hangs on the latter. 3-4 at even odds; 5 alone.
    left, right = np.array([0, 1, 0, 3]), np.array([1, 2, 2, 4])
    assert chained(left, right, np.array([3.0, 1.0, -5.0, 0.0])) == (4, pytest.approx(8 / 9 + 2 / 3 + 2 / 3 + 1 / 2))
    assert chained(left, right, np.array([3.0, 1.0, 2.0, -60.0]))[1] == pytest.approx(8 / 9 + 4 / 5 + 4 / 5)
    # Equal weights, the highest of all among them, are edges too.
    assert chained(left[:2], right[:2], np.array([70.0, 70.0])) == (3, pytest.approx(3.0))
    assert chained(left[:0], right[:0], np.zeros(0)) == (0, 0.0)


def test_the_charts_say_what_a_night_subtracts_for_relatives() -> None:
    sizes = {name: len(BY_NAME[name].all_levels) for name in ("given_name", "surname")}
    even = {name: [1 / size] * size for name, size in sizes.items()}
    # Strangers are 1 - 1/8 - 1/8 of all; relatives 1/8, and share the surname four times as often.
    kin = {"relatives": Kind(1 / 8, {**even, "surname": [4 / sizes["surname"]] * sizes["surname"]})}
    mixture = Mixture(list(sizes), 1 / 8, even, even, kin)
    less = explained_by_relatives(mixture, [1, 0])
    assert less == pytest.approx(np.log2(1 + (1 / 8) / (6 / 8) * 4))
    with connect() as con:
        pair = "(select 1 as g_given_name, 0 as g_surname, null::double as tf_given_name, null::double as tf_surname)"
        whole, without = (
            con.execute(f"select {weight_sql(Mixture(list(sizes), 1 / 8, even, even, k))} from {pair}").fetchall()[0][0]
            for k in (kin, {})
        )
    assert without - whole == pytest.approx(less), "as a night does"


def test_what_the_model_expects(night: tuple[duckdb.DuckDBPyConnection, Path, dict[int, int]]) -> None:
    con, _, rid = night
    con.execute("create table framed (rid_l bigint, rid_r bigint, weight double, is_linked boolean)")
    for pair, weight, is_linked in (
        ((1, 2), 3.0, True), ((1, 3), -5.0, True), ((2, 3), 1.0, True), ((4, 5), -1.0, False), ((6, 7), -2.0, False)
    ):  # fmt: skip
        con.execute("insert into framed values (?, ?, ?, ?)", [*sorted(rid[n] for n in pair), weight, is_linked])
    pairs, right, overlooked = _expected(con)
    assert (pairs, right, overlooked) == (3, pytest.approx(8 / 9 + 4 / 3), pytest.approx(1 / 3 + 1 / 5))
    # Whom a rule takes for two people the model has no say about.
    con.execute("update edges set evidence = 'mothers' where rid_l = ? and rid_r = ?", sorted((rid[4], rid[5])))
    assert _expected(con) == (3, right, pytest.approx(1 / 5))


def test_of_the_audit_sample_what_was_decided_in_the_order_of_the_draw_counts(
    night: tuple[duckdb.DuckDBPyConnection, Path, dict[int, int]], tmp_path: Path
) -> None:
    con, _, _ = night
    card: Any = SimpleNamespace(thresholds=SimpleNamespace(join=0.0))
    draw_audit(con, 0.0)
    drawn = con.execute("""
    select l.source_system, l.source_record_id, r.source_system, r.source_record_id from audit
    join records l on l.rid = rid_l join records r on r.rid = rid_r order by nth""").fetchall()
    assert len(drawn) == 5, "one stratum: all pairs weigh as much"
    path = tmp_path / "decisions.csv"

    def decide(nth: int, level: str) -> None:
        a, b, c, d = drawn[nth]
        reviewed.append(path, [(((a, b), (c, d)), level, "looked up")], "Ann")

    decide(0, "must_link")
    decide(3, "cannot_link")
    con.execute("drop table framed; drop table audit; drop table strata")
    figures: list[dict[str, Any]] = []
    told = _audit(con, card, path, figures)
    # The fourth was decided for another reason than having been drawn: two before it are open.
    assert (told["audit_decided"], figures[0]["n"], figures[0]["estimate"]) == (2, 1, 1.0)
    decide(1, "unsure")
    decide(2, "must_link")
    con.execute("drop table framed; drop table audit; drop table strata")
    figures.clear()
    told = _audit(con, card, path, figures)
    assert (told["audit_decided"], told["audit_unsure"]) == (3, 1)
    # Three decided in their order, who cannot tell tells nothing: two of three are right.
    assert figures[0]["n"] == 3 and figures[0]["estimate"] == pytest.approx(2 / 3)


def test_a_group_is_marked_where_its_ratio_is_low_and_no_chance() -> None:
    def line(value: str, hits: int, n: int) -> dict[str, Any]:
        return {"measure": "recall", "basis": "truth", "breakdown": "sex", "value": value, "hits": hits, "n": n}

    ratios = _ratios([line("few", 2, 4), line("less", 700, 1000), line("most", 1800, 2000), line("none", 0, 9)])
    found = {r["value"]: (r["ratio"], r["is_low"]) for r in ratios}
    assert found == {"few": (pytest.approx(5 / 9), False), "less": (pytest.approx(7 / 9), True), "none": (None, False)}
    assert {r["against"] for r in ratios} == {"most"}


def test_several_races_are_more_than_one_and_not_the_first() -> None:
    said = [("x", "Black; White"), ("x", "White"), ("x", " white ;WHITE"), ("x", "unknown"), ("x", "White;declined")]
    words = _race_words(said)
    assert words == ["more than one", "white", "white", "not recorded", "white"]


def test_reviewers_agree_by_their_first_words(tmp_path: Path) -> None:
    path, pair = tmp_path / "decisions.csv", (("a", "1"), ("b", "2"))
    for who, level in (("Ann", "must_link"), ("Bob", "cannot_link"), ("Bob", "must_link")):
        reviewed.append(path, [(pair, level, "looked up")], who)
    assert _agreement(reviewed.read(path).lines) == (0, 1, 0, 0)


def test_nothing_is_judged_by_a_reference_of_few() -> None:
    def side(n: int, gone: int) -> dict[str, Any]:
        return {"levels": {}, "weights": {}, "records": {"a": n}, "missing": {"a": {"ssn": gone}}}

    def outcome(then: dict[str, Any], now: dict[str, Any]) -> str:
        return next(r["outcome"] for r in compared(then, now) if r["subject"] == "missing ssn")

    few, enough = side(ENOUGH - 1, 0), side(ENOUGH, 0)
    changed = side(10 * ENOUGH, 5 * ENOUGH)
    assert (outcome(few, changed), outcome(changed, few), outcome(enough, changed)) == ("too_few", "too_few", "drifted")


def test_the_threshold_lies_half_way_to_the_next_pair_and_between_odds_of_two() -> None:
    # Ten sure pairs; one of odds 1.4:1 raises the expected F1 (.955 to .965), one of 1:1.9 lowers it (.954).
    assert choose_threshold(np.array([20.0] * 10 + [0.5, -0.9]))[0] == pytest.approx(-0.2)
    assert choose_threshold(np.array([20.0] * 10 + [-8.0]))[0] == 1.0, "half way would be 6: odds of 64:1"
    assert choose_threshold(np.array([-3.0, -4.0]))[0] == -1.0


def test_at_another_threshold_people_bear_the_id_of_most_of_their_records() -> None:
    with connect() as con:
        con.execute("create table alternate (threshold varchar, rid bigint, person_id varchar)")
        # Published: A is 1 to 3, B 4 to 6, C 7. Now 1 and 4 to 6 are one, 2 alone, 3 alone, 7 as before.
        con.execute("create table published as select * from (values (1, 'A'), (2, 'A'), (3, 'A'), (4, 'B'), (5, 'B'), "
                    "(6, 'B'), (7, 'C')) as t(rid, person)")  # fmt: skip
        con.execute("create table people as select * from (values (1, 1), (2, 2), (3, 3), (4, 1), (5, 1), (6, 1), "
                    "(7, 7)) as t(rid, person)")  # fmt: skip
        _name_clusters(con, "low")
        found = dict(con.execute("select rid, person_id from alternate order by rid").fetchall())
    assert {found[n] for n in (1, 4, 5, 6)} == {"B"} and found[7] == "C"
    assert {found[2], found[3]} == {"A", "A-1"}, "what was one person is two: one bears the ID, the other a part of it"


def test_drift_is_measured_on_pairs_that_were_compared_for_themselves(
    night: tuple[duckdb.DuckDBPyConnection, Path, dict[int, int]],
) -> None:
    con, _, rid = night
    before = profile(con)
    con.execute(
        "update edges set evidence = 'completion' where rid_l in ($1, $2) and rid_r in ($1, $2)", [rid[4], rid[5]]
    )
    after = profile(con)
    assert (sum(before["weights"]["adult"].values()), sum(after["weights"]["adult"].values())) == (5, 4)
    assert [sum(p["levels"]["adult"]["given_name"].values()) for p in (before, after)] == [5, 4]
