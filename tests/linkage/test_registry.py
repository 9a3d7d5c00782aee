"""IDs are kept promises."""

from __future__ import annotations

import datetime as dt
import hmac
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.registry import LedgerError, Registry, State, assign, mint, replay
from linkage.store import connect

SECRET = b"not a secret, a test"
DAY = [dt.date(2025, 1, 1) + dt.timedelta(days=i) for i in range(40)]


def groups_of(labels: dict[str, int]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for member, label in labels.items():
        out.setdefault(str(label), []).append(member)
    return out


def night(state: State, labels: dict[str, int], day: dt.date) -> tuple[dict[str, str], State, list]:  # type: ignore[type-arg]
    ids, events = assign(groups_of(labels), state, day, SECRET, "person", "new_evidence")
    after = replay(events, state)
    return {m: ids[str(g)] for m, g in labels.items()}, after, events


@pytest.mark.parametrize("secret", [SECRET, b"s" * 64, b"t" * 65, b""])
def test_an_id_is_26_letters_and_the_same_on_every_machine(secret: bytes) -> None:
    one = mint(secret, "person", 0)[0]
    assert len(one) == 26 and set(one) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    # Twenty bytes as a number in base 32, written out by hand: HMAC-SHA256 of "person:12".
    number = int.from_bytes(hmac.digest(secret, b"person:12", "sha256")[:20], "big")
    by_hand = "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> 5 * (31 - at) & 31] for at in range(26))
    assert mint(secret, "person", 10, 5)[2] == by_hand
    assert len({i for kind in ("person", "family") for i in mint(secret, kind, 0, 500)}) == 1000


def test_the_same_night_twice_causes_no_event() -> None:
    _, state, _ = night(State(), {"a": 1, "b": 1, "c": 2}, DAY[0])
    _, _, events = night(state, {"a": 9, "b": 9, "c": 4}, DAY[1])
    assert events == []


def test_a_merge_keeps_the_id_of_the_larger_part_and_tells_the_other() -> None:
    before, state, _ = night(State(), {"a": 1, "b": 1, "c": 2}, DAY[0])
    after, state, events = night(state, {"a": 1, "b": 1, "c": 1}, DAY[1])
    assert set(after.values()) == {before["a"]}
    assert state.resolve(before["c"]) == before["a"]
    assert [e.event for e in events] == ["unassign", "assign", "merge"]


def test_a_split_keeps_the_id_where_most_records_are() -> None:
    before, state, _ = night(State(), {"a": 1, "b": 1, "c": 1}, DAY[0])
    after, state, events = night(state, {"a": 1, "b": 1, "c": 2}, DAY[1])
    assert after["a"] == after["b"] == before["a"] != after["c"]
    assert "split" in [e.event for e in events]


def test_a_person_who_leaves_and_returns_has_the_old_id() -> None:
    before, state, _ = night(State(), {"a": 1, "b": 2}, DAY[0])
    _, state, events = night(state, {"b": 2}, DAY[1])
    assert [e.event for e in events] == ["unassign", "retire"]
    assert state.resolve(before["a"]) is None
    after, state, events = night(state, {"a": 1, "b": 2}, DAY[2])
    assert after == before
    assert [e.event for e in events] == ["reactivate", "assign"]


def test_of_two_ids_with_as_many_records_the_older_one_lives_on() -> None:
    first, state, _ = night(State(), {"p": 1}, DAY[0])
    second, state, _ = night(state, {"p": 1, "q": 2}, DAY[1])
    # The one record left under the older ID came to it later than q to its own.
    _, state, _ = night(state, {"p": 1, "q": 2, "r": 1}, DAY[2])
    _, state, _ = night(state, {"q": 2, "r": 1}, DAY[3])
    last, state, _ = night(state, {"q": 1, "r": 1}, DAY[4])
    assert set(last.values()) == {first["p"]} and state.resolve(second["q"]) == first["p"]


def test_of_two_parts_as_large_the_one_whose_id_it_was_keeps_it() -> None:
    first, state, _ = night(State(), {"z": 1}, DAY[0])
    second, state, _ = night(state, {"z": 1, "a": 2}, DAY[0])
    # All on one day: who has borne the ID longer says nothing.
    _, state, _ = night(state, {"z": 1, "a": 1}, DAY[0])
    last, _, _ = night(state, {"z": 1, "a": 2}, DAY[0])
    assert last == second and last["z"] == first["z"]


def test_who_come_back_together_have_the_id_most_of_them_had() -> None:
    before, state, _ = night(State(), {"a": 1, "b": 2, "c": 2, "x": 3}, DAY[0])
    _, state, _ = night(state, {"x": 3}, DAY[1])
    after, state, _ = night(state, {"a": 1, "b": 1, "c": 1, "x": 3}, DAY[2])
    assert after["a"] == after["b"] == after["c"] == before["b"]
    assert state.resolve(before["a"]) == before["b"], "the other one stands for them, too"


@pytest.mark.parametrize("few", ["x", "y"])
def test_an_id_whose_records_are_torn_apart_stands_for_those_with_most_of_them(few: str) -> None:
    many = {"x": "y", "y": "x"}[few]
    start = {"a": 1, "b": 1, "c": 1} | {f"x{i}": 2 for i in range(4)} | {f"y{i}": 3 for i in range(4)}
    before, state, _ = night(State(), start, DAY[0])
    label = {"x": 2, "y": 3}
    after, state, _ = night(state, start | {"a": label[few], "b": label[many], "c": label[many]}, DAY[1])
    assert state.resolve(before["a"]) == after["b"] == before[f"{many}0"]


def test_who_left_an_id_before_it_was_merged_does_not_take_it_along() -> None:
    before, state, _ = night(State(), {"a": 1, "b": 1, "c": 1, "d": 2, "e": 2, "f": 2, "g": 3}, DAY[0])
    _, state, _ = night(state, {"b": 1, "c": 1, "d": 2, "e": 2, "f": 2, "g": 3}, DAY[1])
    _, state, _ = night(state, {"b": 2, "c": 2, "d": 2, "e": 2, "f": 2, "g": 3}, DAY[2])
    last, state, events = night(state, {"a": 3, "b": 2, "c": 2, "d": 2, "e": 2, "f": 2, "g": 3}, DAY[3])
    assert last["a"] == before["g"] and [e.event for e in events] == ["assign"]
    assert state.resolve(before["a"]) == before["d"]


def test_what_was_this_id_on_that_day(tmp_path: Path) -> None:
    registry = Registry(tmp_path, "person")
    first, _, _ = registry.update({"x": ["a"], "y": ["b", "c"]}, DAY[0], SECRET)
    registry.update({"x": ["a", "b", "c"]}, DAY[5], SECRET)
    gone = first["x"]
    assert registry.resolve(gone, on=DAY[3]) == gone
    assert registry.resolve(gone) == first["y"]
    assert [e.event for e in registry.history(gone)][-1] == "merge"
    with pytest.raises(LedgerError):
        registry.resolve("0" * 26)


def test_an_id_that_ended_twice_over_stands_for_the_one_that_lives(tmp_path: Path) -> None:
    registry, con = Registry(tmp_path, "person"), connect()
    first, _, _ = registry.update({"x": ["a"], "y": ["b", "c"], "z": list("defg")}, DAY[0], SECRET)
    registry.update({"y": ["a", "b", "c"], "z": list("defg")}, DAY[1], SECRET)
    registry.update({"z": list("abcdefg")}, DAY[2], SECRET)
    heirs = []
    for day in DAY[:3]:
        registry.heirs(con, day)
        heirs.append(set(con.execute("select id, heir from registry_heirs").fetchall()))
    assert heirs == [set(), {(first["x"], first["y"])}, {(first["x"], first["z"]), (first["y"], first["z"])}]


def test_replaying_an_earlier_night_writes_nothing_and_gives_the_same_ids(tmp_path: Path) -> None:
    registry = Registry(tmp_path, "person")
    first, _, _ = registry.update({"x": ["a"], "y": ["b"]}, DAY[0], SECRET)
    registry.update({"x": ["a"], "y": ["b"], "z": ["c"]}, DAY[5], SECRET)
    files = sorted((tmp_path / "person").iterdir())
    again, events, _ = registry.update({"x": ["a"], "y": ["b"]}, DAY[0], SECRET, persist=False)
    assert again == first and events == []
    assert sorted((tmp_path / "person").iterdir()) == files
    with pytest.raises(LedgerError):
        registry.update({"x": ["a", "b"]}, DAY[1], SECRET)


@pytest.mark.parametrize("way", ["one by one", "as a table"])
def test_a_replay_gives_nobody_an_id_that_is_or_will_be_somebody_elses(tmp_path: Path, way: str) -> None:
    registry, con = Registry(tmp_path, "person"), connect()

    def again(members: dict[str, int], day: dt.date, persist: bool = False) -> dict[str, str]:
        if way == "one by one":
            ids, _, _ = registry.update(groups_of(members), day, SECRET, persist)
            return {m: ids[str(g)] for m, g in members.items()}
        con.execute("create or replace table grouped (label bigint, member varchar)")
        con.executemany("insert into grouped values (?, ?)", [[label, member] for member, label in members.items()])
        registry.update_table(con, "grouped", day, SECRET, persist)
        return dict(con.execute("select member, id from registry_members").fetchall())

    first = again({"a": 1, "b": 1}, DAY[5], persist=True)
    second = again({"a": 1, "b": 1, "d": 2}, DAY[9], persist=True)
    # Before the first night, after it with people whom no night knew, and twice each.
    before, between = again({"b": 1, "c": 2}, DAY[0]), again({"a": 1, "b": 2, "c": 3}, DAY[5])
    assert (again({"b": 1, "c": 2}, DAY[0]), again({"a": 1, "b": 2, "c": 3}, DAY[5])) == (before, between)
    assert between["a"] == first["a"], "what was published that day keeps its ID"
    third = again({"a": 1, "b": 1, "d": 2, "e": 3, "f": 4, "g": 5}, DAY[10], persist=True)
    published = {*first.values(), *second.values(), *third.values()}
    with pytest.raises(LedgerError, match="later nights are already recorded"):
        again({"a": 1, "b": 2}, DAY[7], persist=True)
    unpublished = {*before.values(), between["b"], between["c"]}
    assert len(published) == 5 and not published & unpublished
    assert before["c"] == between["c"] and between["b"] == before["b"], "one of its own in every replay"


@pytest.mark.parametrize("moved", ["a", "k"])
def test_an_id_made_by_reviewers_and_by_evidence_is_said_to_be_the_reviewers(moved: str) -> None:
    people = {"a": 1, "b": 1, "c": 1, "k": 2, "l": 2, "m": 2}
    _, state, _ = night(State(), people, DAY[0])
    said = [("cannot", moved, {"a": "b", "k": "l"}[moved])]
    ids, events = assign(
        groups_of(people | {"a": 3, "k": 3}), state, DAY[1], SECRET, "person", "new_evidence", said=said
    )
    causes = {(e.event, e.member or e.id): e.cause for e in events}
    assert causes[("mint", ids["3"])] == "override"
    stays = {"a": "k", "k": "a"}[moved]
    assert (causes[("unassign", moved)], causes[("unassign", stays)]) == ("override", "new_evidence")


def test_who_goes_to_a_record_that_is_new_because_reviewers_said_so_went_by_their_word() -> None:
    before, state, _ = night(State(), {"a": 1, "c": 2, "d": 2}, DAY[0])
    after = {"a": 2, "c": 2, "d": 2, "n": 2}
    _, events = assign(groups_of(after), state, DAY[1], SECRET, "person", "model_change", said=[("must", "a", "n")])
    causes = {(e.event, e.member or e.id): e.cause for e in events}
    assert causes == {
        ("unassign", "a"): "override", ("assign", "a"): "override", ("merge", before["a"]): "override",
        ("assign", "n"): "new_evidence",
    }  # fmt: skip


def test_an_event_says_whether_reviewers_or_another_model_made_it() -> None:
    before, state, _ = night(State(), {"a": 1, "b": 2, "c": 3, "d": 3, "e": 4, "f": 5, "g": 6}, DAY[0])
    # Said: a and b are one, and c and d two; that e and f are one had been said of people who are not there, and was.
    said = [("must", "a", "b"), ("cannot", "c", "d"), ("must", "x", "f"), ("cannot", "a", "e")]
    after = {"a": 1, "b": 1, "c": 3, "d": 4, "e": 5, "f": 5, "h": 6}
    ids, events = assign(groups_of(after), state, DAY[1], SECRET, "person", "model_change", said=said)
    causes = {(e.event, e.member or e.id): e.cause for e in events}
    assert causes == {
        ("unassign", "b"): "override", ("assign", "b"): "override", ("merge", before["b"]): "override",
        ("unassign", "d"): "override", ("assign", "d"): "override", ("mint", ids["4"]): "override",
        ("split", before["c"]): "override",
        ("unassign", "f"): "model_change", ("assign", "f"): "model_change", ("merge", before["f"]): "model_change",
        # A record that came and one that went are no model's doing.
        ("mint", ids["6"]): "new_evidence", ("assign", "h"): "new_evidence",
        ("unassign", "g"): "new_evidence", ("retire", before["g"]): "new_evidence",
    }  # fmt: skip
    # Obeyed, a decision causes nothing more: g joins the two by itself.
    state = replay(events, state)
    _, events = assign(groups_of({**after, "g": 1}), state, DAY[2], SECRET, "person", "new_evidence", said=said)
    assert {e.cause for e in events} == {"new_evidence"}
    assert {e.cause for e in assign(groups_of(after), State(), DAY[0], SECRET, "family")[1]} == {None}


nights = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=7
)


@settings(max_examples=200, deadline=None)
@given(nights, st.randoms(use_true_random=False))
def test_every_promise_over_any_run_of_nights(history: list[dict[str, int]], random) -> None:  # type: ignore[no-untyped-def]
    state, log, published = State(), [], set()
    for day, labels in zip(DAY, history, strict=False):
        shuffled = list(labels.items())
        random.shuffle(shuffled)
        ids, events = assign(groups_of(dict(shuffled)), state, day, SECRET, "person", "new_evidence")
        same, _ = assign(groups_of(labels), state, day, SECRET, "person", "new_evidence")
        assert ids == same  # order is irrelevant
        state = replay(events, state)
        log += events
        here = {m: ids[str(g)] for m, g in labels.items()}
        assert state.member_of == here  # the ledger replays to the crosswalk
        assert len({ids[g] for g in ids}) == len(ids)
        published |= set(here.values())
        for identifier in published:  # every ID ever published resolves, to a living ID or to its end
            living = state.resolve(identifier)
            assert living is None or living in here.values()
        assert assign(groups_of(labels), state, day, SECRET, "person", "new_evidence")[1] == []
    assert replay(log).member_of == state.member_of


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3), min_size=1),
    st.sampled_from("xyz"),
    st.integers(0, 4),
)
def test_a_record_added_and_taken_away_leaves_no_trace(labels: dict[str, int], new: str, into: int) -> None:
    before, state, _ = night(State(), labels, DAY[0])
    _, state, _ = night(state, {**labels, new: into}, DAY[1])
    after, _, _ = night(state, labels, DAY[2])
    assert after == before


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3), min_size=2))
def test_a_bridge_added_and_taken_away_restores_both_ids(labels: dict[str, int]) -> None:
    before, state, _ = night(State(), labels, DAY[0])
    joined = dict.fromkeys([*labels, "bridge"], 0)
    _, state, _ = night(state, joined, DAY[1])
    after, _, _ = night(state, labels, DAY[2])
    assert after == before


@settings(max_examples=200, deadline=None)
@given(nights)
def test_a_bridge_added_and_taken_away_restores_all_ids_whatever_went_before(history: list[dict[str, int]]) -> None:
    state, before = State(), {}
    for day, labels in zip(DAY, history, strict=False):
        before, state, _ = night(state, labels, day)
    _, state, _ = night(state, dict.fromkeys([*history[-1], "bridge"], 0), DAY[len(history)])
    after, _, _ = night(state, history[-1], DAY[len(history) + 1])
    assert after == before


def test_an_id_whose_records_are_back_with_others_stands_for_those(tmp_path: Path) -> None:
    before, state, _ = night(State(), {"a": 1, "b": 2}, DAY[0])
    _, state, _ = night(state, {"b": 2}, DAY[1])
    assert state.resolve(before["a"]) is None
    _, state, events = night(state, {"a": 2, "b": 2}, DAY[2])
    assert [e.event for e in events] == ["assign", "merge"] and state.resolve(before["a"]) == before["b"]
    after, _, _ = night(state, {"a": 1, "b": 2}, DAY[3])
    assert after == before


@settings(max_examples=25, deadline=None)
@given(nights)
def test_the_table_way_keeps_the_same_ledger_promises(tmp_path_factory, history: list[dict[str, int]]) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("ledger")
    registry, con, published = Registry(folder, "person"), connect(), set()
    for day, labels in zip(DAY, history, strict=False):
        con.execute("create or replace table grouped (label bigint, member varchar)")
        con.executemany("insert into grouped values (?, ?)", [[label, member] for member, label in labels.items()])
        before = registry.state()
        registry.update_table(con, "grouped", day, SECRET)
        here = dict(con.execute("select member, id from registry_members").fetchall())
        state = registry.state()
        assert state.member_of == here
        assert state.since == dict(con.execute("select member, since from registry_members").fetchall())
        by_label = dict(con.execute("select label, id from registry_ids").fetchall())
        assert here == {m: by_label[g] for m, g in labels.items()}
        assert len(set(by_label.values())) == len(by_label)
        # The same groups keep the same old IDs as when every group is placed one by one.
        ids, _ = assign(groups_of(labels), before, day, SECRET, "person", "new_evidence")
        old = set(before.order)
        assert {m: i for m, i in here.items() if i in old} == {
            m: ids[str(g)] for m, g in labels.items() if ids[str(g)] in old
        }
        published |= set(here.values())
        assert all(state.resolve(i) is None or state.resolve(i) in here.values() for i in published)
        assert registry.update_table(con, "grouped", day, SECRET) == {}
    con.close()
