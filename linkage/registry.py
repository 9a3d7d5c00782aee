"""Stable IDs: a promise kept by an append-only ledger.

An ID is opaque: HMAC-SHA256 of a counter under the deployment's secret, written as 26 characters of Crockford's
base32. It says nothing about its members and is the same when everything is rebuilt from the raw deliveries.

The ledger is a folder of immutable Parquet files, one per night that changed something. Its events:

``mint``        a new ID (``id``)
``assign``      a member joins ``id``: it was in none, or (``from_id``) in another: then ``unassign`` goes before it
``unassign``    a member leaves ``id``
``merge``       ``id`` ended; ``into_id`` has its members
``split``       ``into_id`` holds members that were in ``id`` until now; ``id`` goes on
``retire``      ``id`` ended without an heir
``reactivate``  an ended ID lives again, because its members stand together and alone again

An event of people also has its ``cause``. ``override``: reviewers said so of two of its records, and the event does
it. ``model_change``: a record that was there changes its ID on the first night of another model; what the sources
corrected that night is not told apart from it. ``new_evidence``: all else. Families follow from people, whose causes
are theirs. Ledgers of earlier versions say ``new_evidence`` of everything, which tells nothing.

Replaying the events gives the crosswalk of any day, and what became of any ID ever given out. A member is a source
record (people) or stands for a person (families); the registry does not care. Who sees members must not see more than
the nights' account does: folders are its own (0700), and so are files (0600).
"""

from __future__ import annotations

import datetime as dt
import hmac
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from linkage.store import quoted

_CROCKFORD = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", dtype=np.uint8)
_SCHEMA = pa.schema(
    [
        ("sequence", pa.int64()),
        ("cut", pa.date32()),
        ("event", pa.string()),
        ("id", pa.string()),
        ("into_id", pa.string()),
        ("member", pa.string()),
        ("cause", pa.string()),
    ]
)


#: What reviewers settled: ``must`` (be one) or ``cannot``, and two members.
Said = tuple[str, str, str]


class LedgerError(Exception):
    """The ledger cannot take or tell this."""


def mint(secret: bytes, kind: str, counter: int, count: int = 1) -> list[str]:
    """The IDs number ``counter`` (from 0) and the ``count - 1`` after it, of ``kind`` (``person`` or ``family``): 26
    characters of base32 each."""
    return keyed(secret, kind, map(str, range(counter, counter + count)))


def provisional(secret: bytes, kind: str, first_members: Iterable[str]) -> list[str]:
    """IDs for groups that had none when the night was, and get none now: never one that is or will be published, and
    the same in every replay. Made from the first member of each, so that none means two groups."""
    return keyed(secret, f"{kind} not published", first_members)


def keyed(secret: bytes, purpose: str, texts: Iterable[str]) -> list[str]:
    """26 characters of base32 for each text: HMAC-SHA256 under ``secret``, of no use for another ``purpose``."""
    begun = hmac.new(secret, f"{purpose}:".encode(), "sha256")
    digests = []
    for text in texts:
        one = begun.copy()
        one.update(text.encode())
        digests.append(one.digest()[:20])
    # Twenty-six characters are 130 bits: all digests are written at once.
    count = len(digests)
    bits = np.unpackbits(np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(count, 20), axis=1)[:, :130]
    fives = bits.reshape(count, 26, 5) @ np.array([16, 8, 4, 2, 1], dtype=np.uint8)
    letters = _CROCKFORD[fives].tobytes().decode()
    return [letters[at : at + 26] for at in range(0, len(letters), 26)]


@contextmanager
def private(path: Path) -> Iterator[Path]:
    """A path to write to; what is written appears under ``path``, whole, readable for this account alone, as is the
    folder."""
    path.parent.chmod(0o700)
    part = path.with_name(path.name + ".part")
    yield part
    part.chmod(0o600)
    os.replace(part, path)


@dataclass(frozen=True)
class Event:
    """One line of the ledger."""

    sequence: int
    cut: dt.date
    event: str
    id: str
    into_id: str | None = None
    member: str | None = None
    cause: str | None = None


@dataclass
class State:
    """What the ledger says at one moment."""

    member_of: dict[str, str] = field(default_factory=dict)
    since: dict[str, dt.date] = field(default_factory=dict)
    last_of: dict[str, str] = field(default_factory=dict)  # the ended ID a member was in most recently
    order: dict[str, int] = field(default_factory=dict)  # ID -> counter it was minted with
    minted: int = 0
    ended: dict[str, str | None] = field(default_factory=dict)  # ended ID -> heir, if any
    sequence: int = 0
    cut: dt.date | None = None

    def resolve(self, identifier: str) -> str | None:
        """The living ID that ``identifier`` stands for today; None when it ended without an heir.

        Raises :class:`LedgerError` for an ID never given out.
        """
        if identifier not in self.order:
            raise LedgerError("this ID was never given out here")
        seen: set[str] = set()
        current: str | None = identifier
        while current is not None and current in self.ended:
            if current in seen:
                raise LedgerError("the ledger is circular")
            seen.add(current)
            current = self.ended[current]
        return current


class Registry:
    """The ledger of one kind of ID under ``folder``; ``kind`` is ``person`` or ``family``."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.folder = folder / kind
        self._until = dt.date.max

    def events(self, until: dt.date | None = None) -> list[Event]:
        """All events up to and including the cut ``until``, in order."""
        found: list[Event] = []
        for path in sorted(self.folder.glob("*.parquet")):
            for row in pq.read_table(path).to_pylist():
                if until is None or row["cut"] <= until:
                    found.append(Event(**row))
        found.sort(key=lambda e: e.sequence)
        return found

    def state(self, until: dt.date | None = None) -> State:
        """The ledger replayed up to ``until``."""
        return replay(self.events(until))

    def resolve(self, identifier: str, on: dt.date | None = None) -> str | None:
        """The living ID behind ``identifier`` as known on day ``on`` (default: now)."""
        return self.state(on).resolve(identifier)

    def history(self, identifier: str) -> list[Event]:
        """Everything that ever happened to ``identifier``."""
        return [e for e in self.events() if identifier in (e.id, e.into_id)]

    def update(
        self,
        groups: Mapping[str, Iterable[str]],
        cut: dt.date,
        secret: bytes,
        persist: bool = True,
        cause: str | None = None,
        said: Iterable[Said] = (),
    ) -> tuple[dict[str, str], list[Event], State]:
        """Give every group (any label -> its members) an ID that keeps yesterday's promises.

        Returns (label -> ID, the events this caused, the state after them). With ``persist`` the events are appended
        as one new file; without, nothing is written and no ID is given out: an earlier night can be replayed, and who
        had no ID then gets a :func:`provisional` one.

        Raises :class:`LedgerError` when events were already recorded for a later cut and this night would change
        something: history is not rewritten.
        """
        state = self.state(cut)
        ids, events = assign(groups, state, cut, secret, self.kind, cause, persist, said)
        if events and persist:
            newest = self.state()
            if newest.cut is not None and newest.cut > cut:
                raise LedgerError("later nights are already recorded; replay this one without persisting")
            columns = {n: [getattr(e, n) for e in events] for n in _SCHEMA.names}
            with self._appended(events[0].sequence) as part:
                pq.write_table(pa.table(columns, schema=_SCHEMA), part, compression="zstd")
        return ids, events, replay(events, state)

    def update_table(
        self,
        con: duckdb.DuckDBPyConnection,
        groups: str,
        cut: dt.date,
        secret: bytes,
        persist: bool = True,
        cause: str | None = None,
        said: Iterable[Said] = (),
    ) -> dict[str, int]:
        """:meth:`update` for a table ``groups(label, member)`` of any size; returns the number of events of each kind.

        Makes the tables ``registry_ids(label, id)`` and ``registry_members(member, id, since)``. Groups that stand
        exactly as they did are settled in SQL, and so are groups of members never seen; only the others need
        :func:`assign`. Groups never seen get their IDs after the others, in the order of their first members; without
        ``persist``, :func:`provisional` ones.
        """
        self.load(con, cut)
        con.execute(f"""
        create or replace temp table kw_grouped as
        select g.label, g.member, s.id, s.since, l.id as last_id
        from {groups} g left join registry_state s using (member) left join registry_last l using (member)
        """)
        con.execute("""
        create or replace temp table kw_kind as
        select g.*, coalesce(g.known = g.n and g.one and i.n = g.n, false) as is_settled,
            g.known = 0 and g.former = 0 as is_new
        from (select label, count(*) as n, count(id) as known, count(last_id) as former, min(id) = max(id) as one,
                     min(id) as id, min(member) as first from kw_grouped group by label) g
        left join (select id, count(*) as n from registry_state group by id) i using (id)
        """)
        con.execute("""
        create or replace temp table kw_restless as
        select g.* from kw_grouped g semi join (select label from kw_kind where not is_settled and not is_new)
        using (label)
        """)
        con.execute("""
        create or replace temp table kw_left as
        select s.member, s.id, s.since from registry_state s
        anti join (select id from kw_kind where is_settled) using (id)
        """)
        state = self._part_of_state(con)
        members: dict[str, list[str]] = defaultdict(list)
        labels: dict[str, object] = {}
        for label, member in con.execute("select label, member from kw_restless").fetchall():
            members[str(label)].append(member)
            labels[str(label)] = label
        ids, events = assign(members, state, cut, secret, self.kind, cause, persist, said)
        sequence, counter = state.sequence + len(events), state.minted + sum(e.event == "mint" for e in events)
        new = con.execute("select label, first from kw_kind where is_new order by first").fetchnumpy()
        fresh = new["label"]
        if persist:
            minted = mint(secret, self.kind, counter, len(fresh))
        else:
            minted = provisional(secret, self.kind, new["first"].tolist())
        con.register("kw_minted", pa.table({"label": fresh, "id": minted}))
        con.execute("create or replace temp table kw_fresh as select * from kw_minted")
        con.unregister("kw_minted")
        schema = pa.table({n: pa.array([getattr(e, n) for e in events], _SCHEMA.field(n).type) for n in _SCHEMA.names})
        con.register("kw_events_in", schema)
        con.execute("create or replace temp table kw_events as select * from kw_events_in")
        con.unregister("kw_events_in")
        tally = Counter(e.event for e in events)
        tally += Counter(
            mint=len(fresh),
            assign=con.execute("select coalesce(sum(n), 0)::bigint from kw_kind where is_new").fetchall()[0][0],
        )
        # What is not kept need not be written out.
        if len(fresh) and persist:
            con.execute(
                "insert into kw_events by name select ? + row_number() over (order by k.first) - 1 as sequence, "
                "?::date as cut, 'mint' as event, h.id, ? as cause from kw_fresh h join kw_kind k using (label)",
                [sequence, cut, cause and "new_evidence"],
            )
            con.execute(
                "insert into kw_events by name "
                "select ? + row_number() over (order by k.first, g.member) - 1 as sequence, "
                "?::date as cut, 'assign' as event, h.id, g.member, ? as cause "
                "from kw_grouped g join kw_fresh h using (label) join kw_kind k using (label)",
                [sequence + len(fresh), cut, cause and "new_evidence"],
            )
        if tally and persist:
            newest = con.execute("select max(cut) from registry_ledger").fetchall()[0][0]
            if newest is not None and newest > cut:
                raise LedgerError("later nights are already recorded; replay this one without persisting")
            first = con.execute("select min(sequence) from kw_events").fetchall()[0][0]
            with self._appended(first) as part:
                con.execute(
                    f"copy (select {', '.join(_SCHEMA.names)} from kw_events order by sequence) to {quoted(part)} "
                    "(format parquet, compression zstd)"
                )
        con.register(
            "kw_ids_in", pa.table({"label": pa.array([str(k) for k in ids], pa.string()), "id": list(ids.values())})
        )
        con.execute("""
        create or replace table registry_ids as
        select label, id from kw_kind where is_settled union all select label, id from kw_fresh
        union all select k.label, i.id from kw_ids_in i join kw_kind k on k.label::varchar = i.label
        """)
        con.unregister("kw_ids_in")
        con.execute(
            "create or replace table registry_members as select g.member, i.id, "
            "case when g.id = i.id then g.since else ?::date end as since "
            "from kw_grouped g join registry_ids i using (label)",
            [cut],
        )
        return dict(sorted(tally.items()))

    @contextmanager
    def _appended(self, sequence: int) -> Iterator[Path]:
        """A path to write the next file to, the first event of which is number ``sequence``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("*.parquet"):
            old.chmod(0o600)
        with private(self.folder / f"{sequence:012d}.parquet") as part:
            yield part

    def rename_members(self, new_name: Callable[[str], str | None]) -> int:
        """Put ``new_name(member)`` in the place of every member for whom it is not None; returns how many lines.

        Events, IDs and their order stay, so every ID stays what it was. Safe to repeat after a kill.
        """
        changed = 0
        for path in sorted(self.folder.glob("*.parquet")):
            table = pq.read_table(path)
            members = table.column("member").to_pylist()
            names = [new_name(m) if m else None for m in members]
            if count := sum(name is not None for name in names):
                changed += count
                now = [name or member for name, member in zip(names, members, strict=True)]
                place = table.schema.get_field_index("member")
                with private(path) as part:
                    pq.write_table(table.set_column(place, "member", pa.array(now, pa.string())), part)
        return changed

    def heirs(self, con: duckdb.DuckDBPyConnection, until: dt.date) -> None:
        """Table ``registry_heirs(id, heir)``: every ID that ended by ``until``, and the living one with its members."""
        self.open(con, until)
        con.execute("""
        create or replace temp table registry_heirs as
        with recursive way as (
            select id, into_id as heir from registry_ended where into_id <> ''
            union select w.id, e.into_id from way w join registry_ended e on e.id = w.heir where e.into_id <> ''
        ) select w.id, w.heir from way w anti join registry_ended e on e.id = w.heir
        """)

    def open(self, con: duckdb.DuckDBPyConnection, until: dt.date) -> None:
        """``registry_ledger``, all of it, and ``registry_ended(id, into_id)``, the IDs ended by ``until``."""
        files = sorted(self.folder.glob("*.parquet"))
        if files:
            source = f"select * from read_parquet([{', '.join(quoted(f) for f in files)}])"
        else:
            source = (
                "select 0::bigint as sequence, null::date as cut, '' as event, '' as id, '' as into_id, '' as member, "
                "'' as cause where false"
            )
        con.execute(f"create or replace temp view registry_ledger as {source}")
        con.execute(f"""
        create or replace temp table registry_ended as
        select id, into_id from (
            select id, arg_max(event, sequence) as event, arg_max(coalesce(into_id, ''), sequence) as into_id
            from registry_ledger where event in ('merge', 'retire', 'reactivate')
              and cut <= date {quoted(until.isoformat())} group by id)
        where event <> 'reactivate'
        """)

    def load(self, con: duckdb.DuckDBPyConnection, until: dt.date) -> None:
        """The ledger as tables: ``registry_ledger`` (all of it), ``registry_state(member, id, since)`` on day
        ``until``, and ``registry_last(member, id)``, the ID a member most recently left."""
        self.open(con, until)
        con.execute(f"""
        create or replace temp table kw_moves as
        select member, arg_max(event, sequence) as event, arg_max(id, sequence) as id, arg_max(cut, sequence) as since,
            arg_max(id, sequence) filter (event = 'unassign') as last_id
        from registry_ledger where event in ('assign', 'unassign') and cut <= date {quoted(until.isoformat())}
        group by member
        """)
        con.execute(
            "create or replace temp table registry_state as select member, id, since from kw_moves "
            "where event = 'assign'"
        )
        con.execute(
            "create or replace temp table registry_last as select member, last_id as id from kw_moves "
            "where last_id is not null"
        )
        con.execute(f"""
        create or replace temp table registry_issued as
        select id, row_number() over (order by sequence) - 1 as number from registry_ledger
        where event = 'mint' and cut <= date {quoted(until.isoformat())}
        """)
        self._until = until

    def _part_of_state(self, con: duckdb.DuckDBPyConnection) -> State:
        """What :func:`assign` must know of the loaded ledger to place ``kw_restless``."""
        state = State()
        for member, identifier, since in con.execute("select member, id, since from kw_left").fetchall():
            state.member_of[member], state.since[member] = identifier, since
        state.last_of = dict(
            con.execute("select member, last_id from kw_restless where last_id is not null").fetchall()
        )
        needed = set(state.member_of.values()) | set(state.last_of.values())
        con.register("kw_needed", pa.table({"id": pa.array(sorted(needed), pa.string())}))
        state.order = dict(
            con.execute("select id, number from registry_issued semi join kw_needed using (id)").fetchall()
        )
        state.ended = {
            identifier: heir or None
            for identifier, heir in con.execute(
                "select id, into_id from registry_ended semi join kw_needed using (id)"
            ).fetchall()
        }
        con.unregister("kw_needed")
        state.minted = con.execute("select count(*) from registry_issued").fetchall()[0][0]
        state.sequence = con.execute(
            "select coalesce(max(sequence) + 1, 0) from registry_ledger "
            f"where cut <= date {quoted(self._until.isoformat())}"
        ).fetchall()[0][0]
        return state


def replay(events: Iterable[Event], state: State | None = None) -> State:
    """Apply events in order."""
    s = state or State()
    for e in events:
        if e.event == "mint":
            s.order[e.id] = s.minted
            s.minted += 1
        elif e.event == "unassign":
            if s.member_of.pop(e.member or "", None) is not None:
                s.last_of[e.member or ""] = e.id
                s.since.pop(e.member or "", None)
        elif e.event == "assign":
            s.member_of[e.member or ""] = e.id
            s.since[e.member or ""] = e.cut
        elif e.event == "merge":
            s.ended[e.id] = e.into_id
        elif e.event == "retire":
            s.ended[e.id] = None
        elif e.event == "reactivate":
            s.ended.pop(e.id, None)
        s.sequence = e.sequence + 1
        s.cut = e.cut
    return s


def assign(
    groups: Mapping[str, Iterable[str]],
    state: State,
    cut: dt.date,
    secret: bytes,
    kind: str,
    cause: str | None = None,
    persist: bool = True,
    said: Iterable[Said] = (),
) -> tuple[dict[str, str], list[Event]]:
    """The IDs of ``groups`` given ``state``, and the events that lead there. Independent of any order.

    What will not persist takes no number of the counter: :func:`provisional`. ``cause`` (``new_evidence`` or
    ``model_change``) is that of members changing their ID where what reviewers ``said`` is not; without it events have
    none.
    """
    named = sorted(
        (min(members), label, members) for label, members in ((k, sorted(v)) for k, v in groups.items()) if members
    )
    shared: dict[tuple[int, str], list[str]] = defaultdict(list)
    for number, (_, _, members) in enumerate(named):
        for member in members:
            identifier = state.member_of.get(member)
            if identifier is not None:
                shared[(number, identifier)].append(member)

    def rank(number: int, identifier: str) -> tuple[int, int, dt.date, int, int]:
        # Of two halves as large the ID's own: who bore it longest, and had no other before.
        of = shared[(number, identifier)]
        own = sum(state.last_of.get(m, identifier) == identifier for m in of)
        return -len(of), state.order[identifier], min(state.since[m] for m in of), -own, number

    given: dict[int, str] = {}
    used: set[str] = set()
    for number, identifier in sorted(shared, key=lambda key: rank(*key)):
        if number not in given and identifier not in used:
            given[number] = identifier
            used.add(identifier)
    events: list[Event] = []

    def emit(event: str, identifier: str, into: str | None = None, member: str | None = None) -> None:
        events.append(Event(state.sequence + len(events), cut, event, identifier, into, member))

    # A group left without an ID takes back the ended one most of its members last had, if nobody else wants it.
    wishes: list[tuple[int, int, int, str]] = []
    for number, (_, _, members) in enumerate(named):
        if number in given:
            continue
        former: dict[str, int] = defaultdict(int)
        for member in members:
            last = state.last_of.get(member)
            if last is not None and last in state.ended:
                former[last] += 1
        wishes += [(-count, state.order[identifier], number, identifier) for identifier, count in former.items()]
    reborn: dict[int, str] = {}
    for _, _, number, identifier in sorted(wishes):
        if number not in given and identifier not in used:
            given[number] = reborn[number] = identifier
            used.add(identifier)
    counter = state.minted
    for number, (first, _, _members) in enumerate(named):
        if number in reborn:
            emit("reactivate", reborn[number])
        elif number not in given:
            given[number] = (mint(secret, kind, counter) if persist else provisional(secret, kind, [first]))[0]
            counter += 1
            emit("mint", given[number])
    heirs: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    present: set[str] = set()
    splits: set[tuple[str, str]] = set()
    found_again: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for number, (_, _, members) in enumerate(named):
        new = given[number]
        for member in members:
            present.add(member)
            old = state.member_of.get(member)
            if old == new:
                continue
            if old is not None:
                emit("unassign", old, member=member)
                heirs[old][new] += 1
                if old in used:
                    splits.add((old, new))
            elif (last := state.last_of.get(member)) in state.ended and last not in used and not state.ended[last]:
                # It ended because its members were gone; here one is back, with others.
                found_again[last][new] += 1
            emit("assign", new, member=member)
    for member in sorted(set(state.member_of) - present):
        emit("unassign", state.member_of[member], member=member)
    for old, new in sorted(splits):
        emit("split", old, into=new)
    for old in sorted(set(state.member_of.values()) - used):
        heir = heirs.get(old)
        if heir:
            emit("merge", old, into=min(heir, key=lambda i: (-heir[i], i)))
        else:
            emit("retire", old)
    for old, into in sorted(found_again.items()):
        emit("merge", old, into=min(into, key=lambda i: (-into[i], i)))
    if cause:
        now = {member: given[number] for number, (_, _, members) in enumerate(named) for member in members}
        events = _with_causes(events, state, now, cause, said)
    return {label: given[number] for number, (_, label, _) in enumerate(named)}, events


def _with_causes(
    events: list[Event], state: State, now: Mapping[str, str], cause: str, said: Iterable[Said]
) -> list[Event]:
    why = {(old, now[m]): cause for m, old in state.member_of.items() if now.get(m, old) != old}
    for kind, a, b in said:
        before, after = (state.member_of.get(a), state.member_of.get(b)), (now.get(a), now.get(b))
        joins, parts = before[0] != before[1] and after[0] == after[1], before[0] == before[1] and after[0] != after[1]
        if joins if kind == "must" else parts:
            why |= {(o, n): "override" for o, n in zip(before, after, strict=True) if o and n and o != n}
    reached: dict[str, str] = {}
    for (_, new), reason in sorted(why.items()):
        reached[new] = "override" if "override" in (reason, reached.get(new)) else reason

    def of(e: Event) -> str:
        if e.event in ("merge", "split"):
            told = why.get((e.id, e.into_id or ""))
        elif e.event in ("assign", "unassign"):
            told = why.get((state.member_of.get(e.member or "", ""), now.get(e.member or "", "")))
        else:
            told = reached.get(e.id) if e.event != "retire" else None
        return told or "new_evidence"

    return [replace(e, cause=of(e)) for e in events]
