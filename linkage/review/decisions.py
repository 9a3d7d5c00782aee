"""What reviewers decided: an append-only file, read as votes on pairs of source records.

Decisions are keyed on source records, so they hold on the next night, after retraining, and while a record is away.
A line is never changed: who thinks again adds a line. What follows from the lines:

* each reviewer has one vote per pair, the latest line; ``unsure`` is no vote;
* votes that agree settle the pair; votes that differ leave it open (``disputed``) until a third reviewer makes a
  majority, or a supervisor decides: a supervisor's vote outweighs all others;
* decisions that cannot all hold (A is B, B is C, A is not C), with each other or with what sources state, are all set
  aside and named by number, never by value; a reviewer's that would is refused, a supervisor's is recorded;
* a decision about a record that is not there is kept and does nothing (``idle``) until the record is back.
"""

from __future__ import annotations

import csv
import datetime as dt
import fcntl
import io
import os
import re
import stat
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from linkage.person.clustering import _components

FIELDS = (
    "decision_id",
    "decided_at",
    "reviewer",
    "role",
    "level",
    "source_system_a",
    "source_record_id_a",
    "source_system_b",
    "source_record_id_b",
    "reason",
)
#: What every line needs; the rest may be missing, as in a file written by hand.
NEEDED = ("decision_id", "level", "source_system_a", "source_record_id_a", "source_system_b", "source_record_id_b")
LEVELS = ("must_link", "cannot_link", "unsure")
ROLES = ("reviewer", "supervisor")
MAX_REASON = 200

#: A source record: system and record ID.
Key = tuple[str, str]
#: Two source records, the smaller key first.
Pair = tuple[Key, Key]


class ReviewError(Exception):
    """A decision or a file of decisions that cannot be taken. Names lines, numbers and fields, never values."""


@dataclass(frozen=True)
class Decision:
    """One line of the file. ``line`` counts from 1, the header being line 1."""

    decision_id: str
    level: str
    pair: Pair
    reviewer: str = ""
    role: str = "reviewer"
    decided_at: str = ""
    reason: str = ""
    line: int = 0


@dataclass(frozen=True)
class Verdict:
    """What the votes on one pair come to: ``state`` settled, disputed or unsure; ``level`` when settled."""

    state: str
    level: str | None
    decision_ids: tuple[str, ...]
    reviewers: tuple[str, ...]


@dataclass
class Decisions:
    """All lines of a file, and the lines that say nothing usable: (line number, what is wrong)."""

    lines: list[Decision] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Statements:
    """What sources state of pairs of records: that they are one person (``must``), or two (``cannot``)."""

    must: frozenset[Pair] = frozenset()
    cannot: frozenset[Pair] = frozenset()


NOTHING_STATED = Statements()


def pair_of(a: Key, b: Key) -> Pair:
    """The two keys in order."""
    return (a, b) if a <= b else (b, a)


def read(path: Path | None) -> Decisions:
    """The decisions in the CSV file ``path``; none when there is no file.

    Each line stands for itself: one that is no decision is reported by number, does nothing, and takes no other with
    it. Raises :class:`ReviewError` when the first line cannot be read or lacks a needed column: then no line can be
    trusted.
    """
    found = Decisions()
    if path is None or not path.exists():
        return found
    if not (whole := path.read_bytes()).strip():
        return found
    first, *rest = whole.split(b"\n")
    header = _header(path, first)
    for line, raw in enumerate(rest, start=2):
        if not raw.strip():
            continue
        if isinstance(fields := _fields(raw), str):
            found.unreadable.append((line, fields))
            continue
        row = dict(zip(header, fields, strict=False))
        value = {name: row.get(name, "").strip() for name in FIELDS}
        a = (value["source_system_a"], value["source_record_id_a"])
        b = (value["source_system_b"], value["source_record_id_b"])
        if value["level"] not in LEVELS:
            found.unreadable.append((line, f"level is none of {', '.join(LEVELS)}"))
        elif not all((*a, *b, value["decision_id"])):
            found.unreadable.append((line, "a key or the number is missing"))
        elif a == b:
            found.unreadable.append((line, "a record is compared with itself"))
        elif (value["role"] or "reviewer") not in ROLES:
            found.unreadable.append((line, f"role is none of {', '.join(ROLES)}"))
        else:
            found.lines.append(
                Decision(
                    value["decision_id"],
                    value["level"],
                    pair_of(a, b),
                    value["reviewer"],
                    value["role"] or "reviewer",
                    value["decided_at"],
                    value["reason"],
                    line,
                )
            )
    return found


def decided_by(path: Path, day: dt.date, zone: dt.tzinfo) -> bytes | None:
    """The decisions file ``path`` without the lines decided after ``day``, by the calendar of ``zone``; None when no
    decision is left.

    The lines that stay are as they were, and where they were: in place of the others are empty ones, so that a line has
    one number whichever day is looked at. A line without a readable time stays: nothing says that it was later.
    """
    first, *lines = io.BytesIO(path.read_bytes()).readlines() or [b""]
    if not first.strip():
        return None
    header = _header(path, first)

    def is_later(raw: bytes) -> bool:
        fields = _fields(raw)
        row = {} if isinstance(fields, str) else dict(zip(header, fields, strict=False))
        try:
            when = dt.datetime.fromisoformat(row.get("decided_at", "").strip())
        except ValueError:
            return False
        return (when.astimezone(zone) if when.tzinfo else when).date() > day

    kept = [b"\n" if is_later(raw) else raw for raw in lines]
    # What was added at the end since was not there: not even as an empty line.
    while kept and is_later(lines[len(kept) - 1]):
        kept.pop()
    return b"".join([first, *kept]) if kept else None


def _header(path: Path, first: bytes) -> list[str]:
    header = _fields(first.removeprefix(b"\xef\xbb\xbf"))
    if isinstance(header, str):
        raise ReviewError(f"the first line of the decisions file {path.name} cannot be read: {header}")
    if missing := [name for name in NEEDED if name not in header]:
        raise ReviewError(f"the decisions file {path.name} lacks the columns {', '.join(missing)}")
    return header


def _fields(raw: bytes) -> list[str] | str:
    """The fields of one line, or what is wrong with it."""
    try:
        return next(csv.reader([raw.decode("utf-8").rstrip("\r\n")], strict=True), [])
    except UnicodeDecodeError:
        return "it is not written in UTF-8"
    except csv.Error:
        return "a quotation mark or a line end stands where none can"


def verdicts(lines: Iterable[Decision]) -> dict[Pair, Verdict]:
    """What the votes on each pair come to."""
    votes: dict[Pair, dict[str, Decision]] = defaultdict(dict)
    for decision in lines:
        votes[decision.pair][decision.reviewer.casefold()] = decision
    return {pair: _count(list(by.values())) for pair, by in sorted(votes.items())}


def _count(votes: list[Decision]) -> Verdict:
    people = tuple(sorted(v.reviewer for v in votes))
    said = [v for v in votes if v.level != "unsure"]
    said = [v for v in said if v.role == "supervisor"] or said
    ids = tuple(v.decision_id for v in said or votes)
    tally = {level: sum(v.level == level for v in said) for level in LEVELS[:2]}
    if not said:
        return Verdict("unsure", None, ids, people)
    if tally["must_link"] == tally["cannot_link"]:
        return Verdict("disputed", None, ids, people)
    level = max(tally, key=lambda name: tally[name])
    return Verdict("settled", level, tuple(v.decision_id for v in said if v.level == level), people)


def contradictions(found: dict[Pair, Verdict], stated: Statements = NOTHING_STATED) -> list[list[Pair]]:
    """Sets of settled pairs that cannot all hold: a chain of must-links and the cannot-link it runs into.

    That cannot-link is a reviewer's, or a source's (which then is no member of the set). What a source states of a pair
    that reviewers have settled does not count; records a source states to be one person are one link of the chain.
    Deterministic; every set is taken out before the next is looked for, so no pair is in two sets.
    """
    said = {p: v.level for p, v in found.items() if v.level is not None}
    must, cannot = ({p for p, level in said.items() if level == kind} for kind in LEVELS[:2])
    sets = [[*chain, pair] for chain, pair in _clashes(must, cannot, {})]
    aside = {p for clash in sets for p in clash}
    kept_apart = stated.cannot - said.keys()
    one = _one(stated.must - said.keys(), kept_apart | (cannot - aside))
    return sets + [chain for chain, _ in _clashes(must - aside, kept_apart, one)]


def _one(must: Iterable[Pair], cannot: Iterable[Pair]) -> dict[Key, Key]:
    """For each record of ``must`` one record of its group; a pair that runs into a cannot-link ties nothing."""
    group: dict[Key, set[Key]] = {}
    apart: dict[Key, set[Key]] = defaultdict(set)
    for a, b in cannot:
        apart[a].add(b)
        apart[b].add(a)
    for a, b in sorted(must):
        mine, other = group.setdefault(a, {a}), group.setdefault(b, {b})
        if mine is not other and not any(apart[key] & other for key in mine):
            mine |= other
            group.update(dict.fromkeys(other, mine))
    return {key: min(keys) for key, keys in group.items()}


def _clashes(must: set[Pair], cannot: Iterable[Pair], one: dict[Key, Key]) -> Iterator[tuple[list[Pair], Pair]]:
    """Chains of ``must`` from one end of a pair of ``cannot`` to the other; ``one`` says which records are one."""
    near: dict[Key, dict[Key, list[Pair]]] = defaultdict(dict)
    for pair in sorted(must):
        a, b = (one.get(key, key) for key in pair)
        if a != b:
            near[b].setdefault(a, []).append(pair)
            near[a].setdefault(b, []).append(pair)
    group: dict[Key, Key] = {}
    for start in sorted(near):
        waiting = [start] if start not in group else []
        while waiting:
            here = waiting.pop()
            if here not in group:
                group[here] = start
                waiting += near[here]
    for pair in sorted(cannot):
        a, b = (one.get(key, key) for key in pair)
        # Most pairs are in no chain at all: only ends of one chain are worth the search.
        if a not in group or group[a] != group.get(b):
            continue
        clash: list[Pair] = []
        while path := _path(a, b, near):
            for here, there in path:
                clash += near[here].pop(there)
                near[there].pop(here)
        if clash:
            yield clash, pair


def _path(start: Key, end: Key, near: dict[Key, dict[Key, list[Pair]]]) -> list[tuple[Key, Key]]:
    """The steps of the shortest way from ``start`` to ``end``; none when there is no way."""
    came: dict[Key, Key | None] = {start: None}
    waiting = deque([start])
    while waiting and end not in came:
        here = waiting.popleft()
        for other in sorted(near.get(here, ())):
            if other not in came:
                came[other] = here
                waiting.append(other)
    path: list[tuple[Key, Key]] = []
    step: Key | None = end if end in came else None
    while step is not None and (before := came[step]) is not None:
        path.append((before, step))
        step = before
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time: the page, the terminal and an import may be open together."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def clean_reason(text: str) -> str:
    """One line of at most :data:`MAX_REASON` characters that a spreadsheet does not take for a formula.

    Raises :class:`ReviewError` for text with something in it that is no letter of any script: half of a character, or
    bytes of a terminal that does not write UTF-8.
    """
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ReviewError("a name or reason holds something that is no letter: the terminal has to write UTF-8")
    return " ".join(text.split()).lstrip("=+-@ ")[:MAX_REASON].strip()


def append(
    path: Path,
    votes: Iterable[tuple[Pair, str, str]],
    reviewer: str,
    role: str = "reviewer",
    now: dt.datetime | None = None,
) -> list[str]:
    """Add a decision for each (pair, level, reason); all or none. Returns the numbers they got.

    Raises :class:`ReviewError`, and writes nothing, when the reviewer has no name, a level or role is unknown, or a
    reviewer's decision cannot hold beside those already settled.
    """
    votes = [(pair_of(*pair), level, clean_reason(reason)) for pair, level, reason in votes]
    reviewer = clean_reason(reviewer)
    if not reviewer:
        raise ReviewError("a decision needs the reviewer's name")
    if role not in ROLES or any(level not in LEVELS for _, level, _ in votes):
        raise ReviewError(f"a decision is one of {', '.join(LEVELS)}, by a {' or '.join(ROLES)}")
    if any(a == b for (a, b), _, _ in votes):
        raise ReviewError("a record cannot be compared with itself")
    stamp = (now or dt.datetime.now(dt.UTC)).isoformat(timespec="seconds")
    with _locked(path):
        before = read(path)
        # Whatever else stands in a file written by hand is a name, not a number. No number is given out a second time,
        # nor that of a line that cannot be read.
        numbers = [d.decision_id for d in before.lines if re.fullmatch("[0-9]{1,18}", d.decision_id)]
        if before.unreadable:
            numbers += [n.decode() for n in re.findall(rb'(?m)^"?([0-9]{1,18})[",]', path.read_bytes())]
        number = max(map(int, numbers), default=0)
        new = [
            Decision(str(number + i), level, pair, reviewer, role, stamp, reason)
            for i, (pair, level, reason) in enumerate(votes, start=1)
        ]
        known = {frozenset(s) for s in contradictions(verdicts(before.lines))}
        after = verdicts([*before.lines, *new])
        mine = {d.pair for d in new}
        # A supervisor may have to rule on several pairs before all can hold again: until then none of them is followed.
        for clash in contradictions(after) if role != "supervisor" else ():
            if mine & set(clash) and frozenset(clash) not in known:
                others = sorted({i for p in clash for i in after[p].decision_ids} - {d.decision_id for d in new})
                named = "decisions " + ", ".join(others) if others else "another of these decisions"
                raise ReviewError(f"this cannot hold beside {named}: nothing was recorded; ask a supervisor")
        _write(path, new)
    return [d.decision_id for d in new]


def take_back(path: Path, which: str, reviewer: str, role: str = "reviewer") -> str:
    """Add the line by which ``reviewer`` has no vote any more on the pair of decision ``which``, or of their ``last``.

    Returns the number of the decision. Raises :class:`ReviewError` where it is not theirs, or taken back already.
    """
    me = clean_reason(reviewer).casefold()
    latest = {d.pair: d for d in read(path).lines if d.reviewer.casefold() == me}
    mine = {d.decision_id: d for d in latest.values() if d.level != "unsure"}
    if which == "last" and mine:
        which = max(mine, key=lambda number: (len(number), number))
    if which not in mine:
        raise ReviewError("there is no decision of yours of this number that stands")
    append(path, [(mine[which].pair, "unsure", "taken back")], reviewer, role)
    return which


def _write(path: Path, new: list[Decision]) -> None:
    """The old bytes and the new lines as a new file: whole or not at all."""
    old = path.read_bytes() if path.exists() else b""
    if not old.strip():
        old = ",".join(FIELDS).encode() + b"\n"
    first, end, rest = old.partition(b"\n")
    header = _header(path, first)
    if missing := [name for name in FIELDS if name not in header]:
        # A file begun by hand gets the columns it lacks, or who decided when would be lost.
        first = first.rstrip(b"\r") + ("," + ",".join(missing)).encode()
    old = first + end + rest
    if not old.endswith(b"\n"):
        old += b"\n"
    text = io.StringIO()
    writer = csv.DictWriter(text, [*header, *missing], extrasaction="ignore", lineterminator="\n")
    for d in new:
        (system_a, record_a), (system_b, record_b) = d.pair
        line = {
            **{name: getattr(d, name) for name in ("decision_id", "decided_at", "reviewer", "role", "level", "reason")},
            "source_system_a": system_a,
            "source_record_id_a": record_a,
            "source_system_b": system_b,
            "source_record_id_b": record_b,
        }
        writer.writerow(line)
    part = path.with_name(f".{path.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        if path.exists():
            # Who may read and write it stays as somebody set it: reviewers may have accounts of their own.
            was = path.stat()
            with suppress(PermissionError):
                os.fchown(handle, -1, was.st_gid)
            os.fchmod(handle, stat.S_IMODE(was.st_mode))
        out.write(old + text.getvalue().encode("utf-8"))
        out.flush()
        os.fsync(out.fileno())
    os.replace(part, path)


def statements(con: duckdb.DuckDBPyConnection, pairs: Iterable[Pair]) -> Statements:
    """What tables ``records`` and ``constraints`` hold of sources' statements that a chain through ``pairs`` can meet.

    Statements a reviewer's word has taken out of force count: the reviewer may think again.
    """
    if not (listed := list(pairs)):
        return NOTHING_STATED
    _keys(con, "kw_pairs", listed)
    con.execute("""
    create or replace table kw_stated as
    select distinct replace(kind, 'overruled_', '') as kind, least(rid_a, rid_b) as a, greatest(rid_a, rid_b) as b
    from constraints where reason <> 'reviewer'
    """)
    asked = f"select distinct a.rid, b.rid from kw_pairs {_ENDS}"
    ties = con.execute(f"{asked} union select a, b from kw_stated where kind = 'must' order by 1, 2").fetchall()
    met = {rid for pair in con.execute(asked).fetchall() for rid in pair}
    said: dict[str, set[Pair]] = {"must": set(), "cannot": set()}
    if met:
        ends = np.asarray(ties, dtype=np.int64)
        rids, place = np.unique(ends, return_inverse=True)
        place = place.reshape(ends.shape)
        group = _components(len(rids), place[:, 0], place[:, 1])
        is_met = np.isin(group, group[np.isin(rids, list(met))])
        con.register("kw_groups", pa.table({"rid": rids[is_met], "part": group[is_met]}))
        for kind, *keys in con.execute("""
        select s.kind, a.source_system, a.source_record_id, b.source_system, b.source_record_id from kw_stated s
        join kw_groups one on one.rid = s.a join kw_groups other on other.rid = s.b and other.part = one.part
        join records a on a.rid = s.a join records b on b.rid = s.b
        """).fetchall():
            said[kind].add(pair_of((keys[0], keys[1]), (keys[2], keys[3])))
        con.unregister("kw_groups")
    con.execute("drop table kw_stated")
    con.execute("drop table kw_pairs")
    return Statements(frozenset(said["must"]), frozenset(said["cannot"]))


_ENDS = (
    "join records a on a.source_system = system_a and a.source_record_id = record_a "
    "join records b on b.source_system = system_b and b.source_record_id = record_b"
)


def _keys(con: duckdb.DuckDBPyConnection, table: str, pairs: Iterable[Pair], **more: Iterable[str]) -> None:
    """Table ``table(system_a, record_a, system_b, record_b)`` of ``pairs``, with the columns ``more``."""
    listed = list(pairs)
    columns = {
        f"{part}_{side}": [pair[i][j] for pair in listed]
        for i, side in enumerate("ab")
        for j, part in enumerate(("system", "record"))
    } | {name: list(values) for name, values in more.items()}
    con.register("kw_listed", pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}))
    con.execute(f"create or replace table {table} as select * from kw_listed")
    con.unregister("kw_listed")


def must_links(found: dict[Pair, Verdict]) -> list[Pair]:
    """The pairs reviewers have settled as one person."""
    return [p for p, v in found.items() if v.level == "must_link"]


def apply(con: duckdb.DuckDBPyConnection, path: Path | None) -> dict[str, object]:
    """Settled decisions become rows of table ``constraints``, with reason ``reviewer``.

    Tables ``records`` and ``constraints`` must exist, with all that sources state
    (:func:`linkage.person.people.hear_sources`). A reviewer's word on a pair stands above a source's
    on the same pair: the source's row stays, as ``overruled_must`` or ``overruled_cannot``, so that one can tell what
    would have become of the pair without the reviewer. Returns what was read: counts, and the numbers of decisions that
    contradict each other or what sources state, and of lines that are no decisions.
    """
    read_ = read(path)
    found = verdicts(read_.lines)
    clashes = contradictions(found, statements(con, must_links(found)))
    aside = {pair for clash in clashes for pair in clash}
    settled = [(p, v) for p, v in found.items() if v.level is not None and p not in aside]
    _keys(con, "kw_said", (d.pair for d in read_.lines))
    kinds = ("must" if v.level == "must_link" else "cannot" for _, v in settled)
    _keys(con, "kw_settled", (p for p, _ in settled), kind=kinds)
    alive = con.execute(f"select count(*) from kw_said {_ENDS}").fetchall()[0][0]
    con.execute(
        f"create or replace table kw_reviewed as select least(a.rid, b.rid) as rid_a, greatest(a.rid, b.rid) as rid_b, "
        f"kind from kw_settled {_ENDS} order by all"
    )
    con.execute("""
    update constraints c set kind = 'overruled_' || c.kind from kw_reviewed r
    where least(c.rid_a, c.rid_b) = r.rid_a and greatest(c.rid_a, c.rid_b) = r.rid_b and c.kind <> r.kind
    """)
    con.execute("insert into constraints select rid_a, rid_b, kind, 'reviewer' from kw_reviewed")
    for table in ("kw_said", "kw_settled", "kw_reviewed"):
        con.execute(f"drop table {table}")
    return {
        "decisions": len(read_.lines),
        "decisions_on_unknown_records": len(read_.lines) - alive,
        "decisions_disputed": sum(v.state == "disputed" for v in found.values()),
        "decisions_set_aside": sum(len(found[p].decision_ids) for p in aside),
        "contradicting_decisions": [sorted({i for p in clash for i in found[p].decision_ids}) for clash in clashes],
        "unreadable_decision_lines": [line for line, _ in read_.unreadable],
    }
