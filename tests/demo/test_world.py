"""The simulated world: reproducible, of the size asked for, and possible."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.demo import World, simulate
from pipelines.demo.truth_measures import Measure, measure


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(people=3_000, seed=3)


@pytest.fixture(scope="module")
def full() -> World:
    return simulate()


def test_one_seed_gives_one_world() -> None:
    first, second = simulate(people=260, seed=4), simulate(people=260, seed=4)
    assert first.tables == second.tables


def test_another_seed_gives_another_world() -> None:
    assert simulate(people=260, seed=4).tables["people"] != simulate(people=260, seed=5).tables["people"]


def test_the_world_holds_as_many_people_as_asked(world: World) -> None:
    asked = simulate(people=260, seed=4).tables["people"].num_rows
    assert 260 <= asked < 320
    assert world.tables["people"].num_rows >= 3_000


def test_the_default_demo_is_large_enough_to_be_real(full: World) -> None:
    assert full.tables["people"].num_rows >= 25_000
    assert len(set(full.tables["removals"]["person_id"].to_pylist())) >= 2_000


def test_names_follow_the_census_and_not_a_short_list(full: World) -> None:
    surnames = Counter(full.tables["people"]["last_name"].to_pylist())
    assert len(surnames) > 5_000
    assert surnames["Smith"] > surnames["Baker"] > 0
    assert any(" " in name for name in surnames) and any("-" in name for name in surnames)
    assert any(not name.isascii() for name in surnames)


def test_every_child_has_one_mother_old_enough_and_alive_at_the_birth(world: World) -> None:
    people = {p["person_id"]: p for p in world.tables["people"].to_pylist()}
    children = [p for p in people.values() if p["role"] == "child"]
    for child in children:
        mother = people[child["mother_id"]]
        assert mother["sex"] == "F"
        assert 13 < (child["birth_on"] - mother["birth_on"]).days / 365.25 < 56
        assert mother["death_on"] is None or mother["death_on"] > child["birth_on"]


def test_siblings_are_twins_or_more_than_nine_months_apart(world: World) -> None:
    births: dict[int, list[dt.date]] = defaultdict(list)
    for p in world.tables["people"].to_pylist():
        if p["role"] == "child":
            births[p["mother_id"]].append(p["birth_on"])
    gaps = [(b - a).days for days in births.values() for a, b in pairwise(sorted(days))]
    assert 0 in gaps
    assert all(gap == 0 or gap > 270 for gap in gaps)


def test_some_siblings_share_only_the_mother(world: World) -> None:
    fathers: dict[int, set[int]] = defaultdict(set)
    for p in world.tables["people"].to_pylist():
        if p["role"] == "child" and p["father_id"] is not None:
            fathers[p["mother_id"]].add(p["father_id"])
    assert any(len(f) > 1 for f in fathers.values())


def test_removals_of_a_child_follow_one_another(world: World) -> None:
    births = {p["person_id"]: p["birth_on"] for p in world.tables["people"].to_pylist()}
    episodes: dict[int, list[dict[str, dt.date]]] = defaultdict(list)
    for r in world.tables["removals"].to_pylist():
        assert r["removal_on"] >= births[r["person_id"]]
        assert r["exit_on"] is None or r["exit_on"] >= r["removal_on"]
        episodes[r["person_id"]].append(r)
    assert any(len(e) > 1 for e in episodes.values()), "nobody came back into care"
    for rows in episodes.values():
        rows.sort(key=lambda r: r["removal_on"])
        for before, after in pairwise(rows):
            assert before["exit_on"] is not None and before["exit_on"] < after["removal_on"]


def test_placements_fill_the_removal_without_gap_or_overlap(world: World) -> None:
    episodes = {r["removal_id"]: r for r in world.tables["removals"].to_pylist()}
    rows: dict[int, list[dict[str, dt.date]]] = defaultdict(list)
    for p in world.tables["placements"].to_pylist():
        rows[p["removal_id"]].append(p)
    for removal, spans in rows.items():
        assert spans[0]["start_on"] == episodes[removal]["removal_on"]
        assert spans[-1]["end_on"] == episodes[removal]["exit_on"]
        assert all(a["end_on"] == b["start_on"] for a, b in pairwise(spans))


def test_nothing_is_entered_before_it_happens(world: World) -> None:
    for table, event in (("removals", "removal_on"), ("placements", "start_on"), ("plans", "plan_on"),
                         ("enrollments", "enrolled_on"), ("treatments", "admitted_on")):  # fmt: skip
        rows = world.tables[table].to_pylist()
        assert rows and all(r["entered_on"] >= r[event] for r in rows), table


def test_only_two_of_three_counties_have_a_court_team(world: World) -> None:
    assert set(world.tables["enrollments"]["site"].to_pylist()) == {"alder", "birch"}
    assert set(world.tables["removals"]["county"].to_pylist()) == {0, 1, 2}


def test_rates_are_near_the_benchmarks(full: World, tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    for name, table in full.tables.items():
        pq.write_table(table, tmp_path / "events" / f"{name}.parquet")
    # Claims come about with the Medicaid agency's files, which are not made here.
    days = {"service_on": pa.date32(), "entered_on": pa.date32(), "voided_on": pa.date32()}
    none = pa.schema({"claim_id": pa.int64(), "person_id": pa.int64(), "code": pa.string(), **days})
    pq.write_table(none.empty_table(), tmp_path / "events" / "claims.parquet")
    year = (dt.date(2023, 10, 1), dt.date(2024, 9, 30))
    measured = measure(tmp_path, [year], dt.date(2026, 9, 30))
    found: dict[str, Measure] = {m.metric_id: m for m in measured if m.variant == "warehouse"}

    def value(name: str) -> float:
        got = found[name].value
        assert got is not None
        return got

    assert 0.26 < value("PRM-01") < 0.44, "permanency in 12 months"
    assert 0.03 < value("SAF-02") < 0.10, "recurrence"
    assert 0.78 < value("STB-02a") < 0.97, "two placements or fewer"
    assert 0.75 < value("FTM-01") < 0.97, "monthly meetings"
    assert 0.65 < value("PAR-02") <= 1.0, "appointment in 30 days"
    assert 300 < value("PIT-01") < 900, "children in care"
