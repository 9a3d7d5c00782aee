"""Family IDs are kept promises too: also when two IDs are one child; the ledger alone tells nobody who."""

from __future__ import annotations

import datetime as dt
import stat
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.family import families
from linkage.registry import Registry, State
from linkage.store import connect

SECRET = b"not a secret, a test"
DAY = [dt.date(2025, 1, 1) + dt.timedelta(days=i) for i in range(20)]
#: Eight records of children and the mother each names; two name none.
MOTHERS = {"a": "m1", "b": "m1", "c": "m2", "d": "m2", "e": "m3", "f": "m3", "g": None, "h": None}


@dataclass
class Town:
    """The ledgers of a folder, and nights over records that are the same child where their numbers are the same."""

    folder: Path
    ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.people, self.families = Registry(self.folder, "person"), Registry(self.folder, "family")

    def night(
        self, children: dict[str, int], day: dt.date, adopted: str = "", persist: bool = True
    ) -> tuple[dict[str, str], dict[str, int]]:
        """Record -> family ID (before an adoption, the record's child being ``adopted``), and the families' events."""
        con = connect()
        con.execute("create table people (label bigint, member varchar)")
        con.executemany("insert into people values (?, ?)", [[label, record] for record, label in children.items()])
        self.people.update_table(con, "people", day, SECRET, persist)
        self.ids = dict(con.execute("select member, id from registry_members").fetchall())
        mother = {}
        for record in sorted(children, reverse=True):
            mother[self.ids[record]] = MOTHERS[record] or mother.get(self.ids[record])
        con.execute("create table anchored (child varchar, anchor varchar, valid_from date)")
        rows = [[child, f"m:{m}" if m else f"s:{child}", None] for child, m in mother.items()]
        rows += [[self.ids[adopted], "m:new", dt.date(2024, 6, 1)]] if adopted else []
        con.executemany("insert into anchored values (?, ?, ?)", rows)
        families._groups(con, self.people, self.families, day, SECRET)
        events = self.families.update_table(con, "grouped", day, SECRET, persist)
        label = dict(con.execute("select label, id from registry_ids").fetchall())
        anchor = {child: anchor for child, anchor, since in rows if since is None}
        con.close()
        return {record: label[str(anchor[self.ids[record]])] for record in children}, events

    def state(self) -> State:
        return self.families.state()


def test_a_family_known_by_one_of_two_ids_of_one_child_is_merged_not_ended(tmp_path: Path) -> None:
    town = Town(tmp_path)
    first, _ = town.night({"a": 1, "b": 2, "g": 3}, DAY[0])
    assert first["a"] == first["b"] != first["g"]
    # The child without a mother is the first of the two siblings.
    second, events = town.night({"a": 1, "b": 2, "g": 1}, DAY[1])
    assert set(second.values()) == {first["a"]} and events == {"assign": 1, "merge": 1, "unassign": 1}
    assert town.state().resolve(first["g"]) == first["a"]
    # And is not: both families are what they were.
    third, events = town.night({"a": 1, "b": 2, "g": 3}, DAY[2])
    assert third == first and events == {"assign": 1, "reactivate": 1, "split": 1, "unassign": 1}


nights = st.lists(
    st.dictionaries(st.sampled_from(list(MOTHERS)), st.integers(0, 4), min_size=1), min_size=1, max_size=4
)


@settings(max_examples=8, deadline=None)
@given(nights, st.randoms(use_true_random=False))
def test_every_promise_about_families_over_any_run_of_nights(tmp_path_factory, history, random) -> None:  # type: ignore[no-untyped-def]
    town = Town(tmp_path_factory.mktemp("town"))
    published: set[str] = set()
    yesterday: dict[str, set[str]] = {}
    kept: list[dict[str, str]] = []
    for day, children in zip(DAY, history, strict=False):
        here, _ = town.night(children, day)
        kept.append(here)
        state, people = town.state(), town.people.state()
        living = set(here.values())
        assert living == set(state.member_of.values())
        published |= living
        for family in published:
            assert state.resolve(family) is None or state.resolve(family) in living, "every ID ever published resolves"
        for family, ids in yesterday.items():
            lives_on = {people.resolve(i) for i in ids} & set(town.ids.values())
            assert (state.resolve(family) is None) <= (not lives_on), "a family ends without an heir with its children"
        yesterday = defaultdict(set)
        for record, family in here.items():
            yesterday[family].add(town.ids[record])
        shuffled = list(children.items())
        random.shuffle(shuffled)
        again, events = town.night(dict(shuffled), day)
        assert again == here and events == {}, "the same night again, in any order, is no event"
    for day, children, here in zip(DAY, history, kept, strict=False):
        assert town.night(children, day, persist=False)[0] == here, "a published night replayed has its IDs"
    # All children are taken for one, and are not.
    last, after = history[-1], DAY[len(history)]
    town.night(dict.fromkeys(last, 0), after)
    assert town.night(last, after + dt.timedelta(days=1))[0] == kept[-1]


def test_the_ledger_alone_does_not_tell_who_was_adopted_from_where(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.night({"a": 1, "b": 2}, DAY[0], adopted="a")
    (file,) = (tmp_path / "family").iterdir()
    members = {m for m in pq.read_table(file)["member"].to_pylist() if m}
    assert len(members) == 3, "two children, one of them before and after"
    assert not any(person in member for member in members for person in town.ids.values())
    assert {member.removeprefix("keyed ").isalnum() for member in members} == {True}


@pytest.mark.parametrize("kind", ["person", "family"])
def test_only_the_account_of_the_nights_may_read_the_ledgers(tmp_path: Path, kind: str) -> None:
    town = Town(tmp_path)
    town.night({"a": 1}, DAY[0])
    (first,) = (tmp_path / kind).iterdir()
    first.chmod(0o644)
    (tmp_path / kind).chmod(0o755)
    town.night({"a": 1, "c": 2}, DAY[1])
    assert stat.S_IMODE((tmp_path / kind).stat().st_mode) == 0o700
    assert [stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / kind).iterdir()] == [0o600, 0o600]


def test_a_ledger_begun_with_plain_members_is_keyed_and_keeps_its_ids(tmp_path: Path) -> None:
    town = Town(tmp_path)
    first, _ = town.night({"a": 1, "b": 2, "c": 3}, DAY[0], adopted="c")
    plain = [i + which for i in town.ids.values() for which in ("", "/adopted")]
    keys = dict(zip((f"keyed {k}" for k in families.keyed(SECRET, "family member", plain)), plain, strict=True))
    assert town.families.rename_members(keys.get) == 4
    assert set(town.state().member_of) < set(plain)
    second, events = town.night({"a": 1, "b": 2, "c": 3}, DAY[1], adopted="c")
    assert second == first and events == {}
    assert not set(town.state().member_of) & set(plain)


def test_a_family_that_was_ended_for_good_by_mistake_is_found_again(tmp_path: Path) -> None:
    """As ledgers stand in which a merged child's former ID was taken for a child that is gone."""
    town = Town(tmp_path)
    first, _ = town.night({"a": 1, "g": 2}, DAY[0])
    gone = town.ids["g"]
    living = {k: m for m in ("a", "g") for k in families.keyed(SECRET, "family member", [town.ids[m]])}
    only = [f"keyed {k}" for k, m in living.items() if m == "a"]
    town.families.update({"x": only}, DAY[1], SECRET)
    assert town.state().resolve(first["g"]) is None
    town.night({"a": 1, "g": 1}, DAY[2])
    assert town.people.resolve(gone) == town.ids["a"] and town.state().resolve(first["g"]) == first["a"]
