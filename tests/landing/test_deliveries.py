"""Deliveries over time: twice, late, out of order, corrected, deleted; and any past day can be replayed."""

from __future__ import annotations

import datetime as dt
import hashlib
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations.contract import Contract
from pipelines.landing import build_current, deliveries, land, latest_cut, previous_deliveries
from pipelines.storage import Workspace
from tests.landing.conftest import DAY, PEOPLE, Agency

EVENTS = "event_id|reported_on|action|amount\n"


def _events(agency: Agency, date: str, rows: str, received_on: dt.date = DAY) -> None:
    assert agency.send(f"toy_events_{date}.txt", EVENTS + rows, received_on).status == "accepted"


def test_the_same_file_twice_is_one_delivery(agency: Agency) -> None:
    first = agency.people("1,a,,,\n")
    second = agency.people("1,a,,,\n")
    assert (first.status, second.status) == ("accepted", "duplicate")
    assert len(agency.current("people")) == 1
    assert [r["status"] for r in agency.log()] == ["accepted", "duplicate"]
    assert len(list(agency.home.files_dir.iterdir())) == 1


def test_the_same_bytes_under_a_later_date_are_a_new_delivery(agency: Agency) -> None:
    agency.people("1,a,,,\n", "20260101")
    agency.people("2,b,,,\n", "20260201")
    agency.people("1,a,,,\n", "20260301")
    assert agency.current("people", columns="person_id, _delivered_on") == [("1", dt.date(2026, 3, 1))]


def test_original_bytes_are_kept_read_only_and_leave_the_inbox(agency: Agency) -> None:
    outcome = agency.people("1,a,,,\n")
    assert outcome.sha256 is not None
    kept = agency.home.files_dir / outcome.sha256
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == outcome.sha256
    assert kept.stat().st_mode & 0o777 == 0o444
    assert list(agency.home.inbox("toy").iterdir()) == []


def test_a_late_older_file_never_replaces_a_newer_one(agency: Agency) -> None:
    agency.people("1,new,,,\n", "20260301", dt.date(2026, 3, 2))
    agency.people("1,old,,,\n", "20260201", dt.date(2026, 3, 20))
    assert agency.current("people", columns="last_name") == [("new",)]


def test_a_correction_of_the_same_date_replaces_the_file_before(agency: Agency) -> None:
    agency.people("1,wrong,,,\n", "20260301", dt.date(2026, 3, 2))
    agency.people("1,right,,,\n", "20260301", dt.date(2026, 3, 3))
    assert agency.current("people", columns="last_name") == [("right",)]
    assert agency.current("people", dt.date(2026, 3, 2), "last_name") == [("wrong",)]


def test_what_a_full_delivery_no_longer_has_is_gone_and_can_be_replayed(agency: Agency) -> None:
    agency.people("1,a,,,\n2,b,,,\n", "20260201", dt.date(2026, 2, 2))
    agency.people("2,b,,,\n", "20260301", dt.date(2026, 3, 2))
    assert agency.current("people", columns="person_id") == [("2",)]
    past = Workspace(agency.home.root / "replay" / "2026-02-28")
    build_current(agency.home, past, agency.contracts, dt.date(2026, 2, 28))
    rows = duckdb.sql(f"select person_id from read_parquet('{past.current('toy', 'people')}')").fetchall()
    assert rows == [("1",), ("2",)]
    assert agency.current("people", columns="person_id") == [("2",)], "tonight's state is untouched by the replay"


def test_changes_add_replace_and_delete_by_key(agency: Agency) -> None:
    _events(agency, "20260201", "1|20260101|A|10\n2|20260101|A|20\n3|20260101|A|30\n")
    _events(agency, "20260301", "2|20260215|C|25\n3|20260216|D|\n")
    assert agency.current("events", columns="event_id, amount::int") == [("1", 10), ("2", 25)]


def test_a_deletion_that_arrives_before_the_addition_still_wins(agency: Agency) -> None:
    _events(agency, "20260201", "1|20260120|D|\n2|20260121|C|22\n")
    _events(agency, "20260301", "1|20260110|A|10\n2|20260110|A|20\n")
    assert agency.current("events", columns="event_id, amount::int") == [("2", 22)]


def test_repeated_transactions_count_once(agency: Agency) -> None:
    _events(agency, "20260201", "1|20260110|A|10\n2|20260110|A|20\n")
    outcome = agency.send("toy_events_20260301.txt", EVENTS + "1|20260110|A|10\n1|20260110|A|10\n2|20260111|C|21\n")
    assert agency.quarantined(outcome) == [(3, "duplicate_row", "event_id, reported_on")]
    assert agency.current("events", columns="event_id, amount::int") == [("1", 10), ("2", 21)]


def test_several_versions_of_a_key_in_one_change_file_all_load(agency: Agency) -> None:
    outcome = agency.send("toy_events_20260201.txt", EVENTS + "1|20260110|A|10\n1|20260112|C|12\n1|20260111|C|11\n")
    assert outcome.rows_loaded == 3
    assert agency.current("events", columns="amount::int") == [(12,)]


def test_a_table_never_delivered_is_there_and_empty_with_its_types(agency: Agency) -> None:
    assert agency.current("archive") == []
    path = agency.home.current("toy", "archive")
    types = duckdb.sql(f"select column_name, column_type from (describe from read_parquet('{path}'))").fetchall()
    assert types == [
        ("person_id", "VARCHAR"),
        ("last_name", "VARCHAR"),
        ("birth_date", "DATE"),
        ("_delivery_id", "VARCHAR"),
        ("_line", "BIGINT"),
        ("_delivered_on", "DATE"),
    ]
    tables = {(t.system, t.table) for t in build_current(agency.home, agency.home, agency.contracts, DAY)}
    assert tables == {(s, t) for s, c in agency.contracts.items() for t in c.tables}


def test_a_column_added_to_the_contract_later_is_empty_in_old_deliveries(agency: Agency) -> None:
    agency.people("1,a,2020-01-02,F,3\n")
    toy = agency.contracts["toy"]
    people = toy.tables["people"]
    extra = people.columns[1].model_copy(update={"name": "nickname", "raw": "nickname"})
    grown = people.model_copy(update={"columns": [*people.columns, extra]})
    agency.contracts = {"toy": toy.model_copy(update={"tables": {**toy.tables, "people": grown}})}
    assert agency.current("people", columns="person_id, visits, nickname, _line") == [("1", 3, None, 2)]


def test_running_again_gives_the_same_bytes_and_rewrites_nothing(agency: Agency) -> None:
    _events(agency, "20260201", "2|20260101|A|20\n1|20260101|A|10\n")
    build_current(agency.home, agency.home, agency.contracts, DAY)
    path = agency.home.current("toy", "events")
    before, inode = path.read_bytes(), path.stat().st_ino
    again = build_current(agency.home, agency.home, agency.contracts, DAY)
    assert not any(t.is_new for t in again)
    assert path.stat().st_ino == inode
    path.unlink()
    build_current(agency.home, agency.home, agency.contracts, DAY)
    assert path.read_bytes() == before


def test_a_damaged_current_file_is_written_anew(agency: Agency) -> None:
    agency.people("1,a,,,\n")
    agency.current("people")
    agency.home.current("toy", "people").write_bytes(b"PAR1 half")
    assert agency.current("people", columns="person_id") == [("1",)]


def test_the_cut_is_the_last_day_something_was_accepted(agency: Agency) -> None:
    assert latest_cut(agency.home) is None
    agency.people("1,a,,,\n", "20260201", dt.date(2026, 2, 3))
    agency.people("1,a,,X,\n", "20260301", dt.date(2026, 3, 3))
    assert latest_cut(agency.home) == dt.date(2026, 2, 3)


def test_only_the_named_systems_are_landed(agency: Agency) -> None:
    agency.drop("toy_people_20260301.csv", PEOPLE + "1,a,,,\n")
    agency.drop("cars_20260301.csv", "plate,colour\nA1,red\n", "neighbour")
    assert [o.system for o in land(agency.home, agency.contracts, DAY, only=["neighbour"])] == ["neighbour"]
    assert [o.system for o in agency.land()] == ["toy"]


def test_a_file_replaced_while_it_is_read_waits_for_the_next_run(
    agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = agency.drop("toy_people_20260301.csv", PEOPLE + "1,half,,,\n")
    keep = deliveries._keep

    def slow(*args: object) -> str:
        digest = keep(*args)  # type: ignore[arg-type]
        path.write_text(PEOPLE + "1,half,,,\n2,whole,,,\n")
        return digest

    monkeypatch.setattr(deliveries, "_keep", slow)
    assert agency.land() == []
    monkeypatch.setattr(deliveries, "_keep", keep)
    assert [o.rows_loaded for o in agency.land()] == [2]


CHANGES = st.lists(
    st.lists(
        st.tuples(st.sampled_from("123"), st.integers(10, 28), st.sampled_from("ACD"), st.integers(0, 9)),
        min_size=1,
        max_size=4,
        unique_by=lambda row: row[:2],
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, order=st.randoms(use_true_random=False))
def test_any_order_of_arrival_and_any_repetition_give_the_same_state(
    changes: list[list[tuple[str, int, str, int]]],
    order: object,
    tmp_path_factory: pytest.TempPathFactory,
    contracts: dict[str, Contract],
) -> None:
    """The state is what applying all transactions by report day, then delivery date, would leave."""
    files = [
        (f"toy_events_202602{10 + i}.txt", EVENTS + "".join(f"{k}|202601{d}|{a}|{n}\n" for k, d, a, n in rows))
        for i, rows in enumerate(changes)
    ]
    latest: dict[str, tuple[tuple[int, int], str, int]] = {}
    for i, rows in enumerate(changes):
        for key, day, action, amount in rows:
            if key not in latest or (day, i) >= latest[key][0]:
                latest[key] = ((day, i), action, amount)
    expected = sorted((k, n) for k, (_, a, n) in latest.items() if a != "D")

    shuffled = [*files, *files[:2]]
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    agency = Agency(tmp_path_factory.mktemp("home"), contracts)
    for name, content in shuffled:
        agency.send(name, content)
    assert agency.current("events", columns="event_id, amount::int") == expected


def test_log_lines_say_everything_a_reader_needs_and_no_more(agency: Agency) -> None:
    agency.people("1,a,,F,3\n2,b,,X,3\n3,c,,,500\n")
    (line,) = agency.log()
    assert line["reasons"] == [{"rule": "unknown_code", "field": "sex", "rows": 1, "line": 3, "action": "quarantine"}]
    assert line["warnings"] == [{"rule": "many_visits", "field": "visits", "rows": 1, "line": 4, "action": "warn"}]
    assert line["delivery_id"] == f"20260301-{line['sha256'][:16]}"
    assert (line["rows_received"], line["rows_loaded"], line["rows_quarantined"]) == (3, 2, 1)
    assert (line["received_on"], line["delivery_date"]) == ("2026-03-31", "2026-03-01")


def test_deliveries_are_never_rewritten(agency: Agency) -> None:
    seen: list[dict[str, str]] = []
    for day in ("20260201", "20260215", "20260301"):
        agency.people(f"1,{day},,,\n", day)
        agency.current("people")
        folder = agency.home.root / "raw" / "deliveries"
        seen.append({str(p): hashlib.sha256(Path(p).read_bytes()).hexdigest() for p in folder.rglob("*.parquet")})
    for earlier, later in pairwise(seen):
        assert earlier.items() <= later.items()


def test_a_delivery_is_compared_with_the_one_before_it_whatever_the_order_of_arrival(agency: Agency) -> None:
    days = [dt.date(2026, 2, 2), dt.date(2026, 3, 2), dt.date(2026, 3, 3)]
    first = agency.people("1,a,,,\n2,b,,,\n", "20260201", days[0])
    assert previous_deliveries(agency.home, agency.contracts["toy"], days[0]) == {}
    agency.people("1,a,,,\n", "20260301", days[1])
    late = agency.people("1,a,,,\n3,c,,,\n", "20260215", days[2])
    _events(agency, "20260201", "1|20260101|A|10\n", days[2])
    _events(agency, "20260301", "2|20260215|C|25\n", days[2])
    for day, before in ((days[1], first), (days[2], late)):
        assert before.delivery_id is not None
        assert previous_deliveries(agency.home, agency.contracts["toy"], day) == {
            "people": agency.home.delivery("toy", "people", before.delivery_id)
        }, "changes are added to what was there: there is nothing to compare"


def test_the_same_file_under_two_names_in_one_drop_is_one_delivery(agency: Agency) -> None:
    for name in ("toy_people_20260301.csv", "TOY_people_20260301.csv"):
        agency.drop(name, PEOPLE + "1,a,,,\n")
    outcomes = agency.land()
    assert [o.status for o in outcomes] == ["accepted", "duplicate"]
    assert [r["status"] for r in agency.log()].count("accepted") == 1


def test_the_log_is_in_the_order_of_names_however_fast_each_file_is_read(agency: Agency) -> None:
    names = [f"toy_people_202601{day:02}.csv" for day in range(1, 10)]
    for place, name in enumerate(names):
        agency.drop(name, PEOPLE + "".join(f"{n},a,,,\n" for n in range(3000 // (place + 1))))
    assert [o.file for o in agency.land()] == names
    assert [r["file"] for r in agency.log()] == names
