"""What reviewers decided: an append-only file, read as votes on pairs of source records.

Decisions are keyed on source records, so they hold on the next night, after retraining, and while a record is away.
A line is never changed: who thinks again adds a line. What follows from the lines:

* each reviewer has one vote per pair, the latest line; ``unsure`` is no vote;
* votes that agree settle the pair; votes that differ leave it open (``disputed``) until a third reviewer makes a
  majority, or a supervisor decides: a supervisor's vote outweighs all others;
* decisions that cannot all hold (A is B, B is C, A is not C) are all set aside and named by number, never by value;
* a decision about a record that is not there is kept and does nothing (``idle``) until the record is back.
"""

from __future__ import annotations

import csv
import datetime as dt
import fcntl
import io
import os
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

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


def pair_of(a: Key, b: Key) -> Pair:
    """The two keys in order."""
    return (a, b) if a <= b else (b, a)


def read(path: Path | None) -> Decisions:
    """The decisions in the CSV file ``path``; none when there is no file.

    A line that is no decision is reported by number and does nothing. Raises :class:`ReviewError` when the header lacks
    a needed column: then no line can be trusted.
    """
    found = Decisions()
    if path is None or not path.exists():
        return found
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle)
        if missing := [name for name in NEEDED if name not in (reader.fieldnames or [])]:
            raise ReviewError(f"the decisions file {path.name} lacks the columns {', '.join(missing)}")
        for row in reader:
            line = reader.line_num
            value = {name: (row.get(name) or "").strip() for name in FIELDS}
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


def decided_by(path: Path, day: dt.date, zone: dt.tzinfo) -> str | None:
    """The text of the decisions file ``path`` without the lines decided after ``day``, by the calendar of ``zone``;
    None when no decision is left.

    The lines that stay are as they were. A line without a readable time stays: nothing says that it was later.
    """
    with path.open(encoding="utf-8-sig", newline="") as handle:
        text = list(handle)
    reader = csv.DictReader(iter(text))
    start = reader.line_num if reader.fieldnames else 0
    header, kept = text[:start], list[str]()
    for row in reader:
        try:
            when = dt.datetime.fromisoformat((row.get("decided_at") or "").strip())
            is_later = (when.astimezone(zone) if when.tzinfo else when).date() > day
        except ValueError:
            is_later = False
        kept += [] if is_later else text[start : reader.line_num]
        start = reader.line_num
    return "".join(header + kept) if kept else None


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


def contradictions(found: dict[Pair, Verdict]) -> list[list[Pair]]:
    """Sets of settled pairs that cannot all hold, each a chain of must-links and the cannot-link it runs into.

    Deterministic; every set is taken out before the next is looked for, so no pair is in two sets.
    """
    near: dict[Key, set[Key]] = defaultdict(set)
    for (a, b), verdict in found.items():
        if verdict.level == "must_link":
            near[a].add(b)
            near[b].add(a)
    group: dict[Key, Key] = {}
    for start in sorted(near):
        waiting = [start] if start not in group else []
        while waiting:
            here = waiting.pop()
            if here not in group:
                group[here] = start
                waiting += near[here]
    sets: list[list[Pair]] = []
    for pair in sorted(p for p, v in found.items() if v.level == "cannot_link"):
        # Most pairs are in no chain at all: only ends of one chain are worth the search.
        if group.get(pair[0], pair[0]) != group.get(pair[1], pair[1]):
            continue
        clash: list[Pair] = []
        while path := _path(pair, near):
            clash += path
            for a, b in path:
                near[a].discard(b)
                near[b].discard(a)
        if clash:
            sets.append([*clash, pair])
    return sets


def _path(pair: Pair, near: dict[Key, set[Key]]) -> list[Pair]:
    """The shortest chain of must-links from one end of ``pair`` to the other."""
    start, end = pair
    came: dict[Key, Key | None] = {start: None}
    waiting = deque([start])
    while waiting and end not in came:
        here = waiting.popleft()
        for other in sorted(near.get(here, ())):
            if other not in came:
                came[other] = here
                waiting.append(other)
    path: list[Pair] = []
    step: Key | None = end if end in came else None
    while step is not None and (before := came[step]) is not None:
        path.append(pair_of(before, step))
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
    """One line of at most :data:`MAX_REASON` characters that a spreadsheet does not take for a formula."""
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
    decision cannot hold beside those already settled.
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
        number = max((int(d.decision_id) for d in before.lines if d.decision_id.isdigit()), default=0)
        new = [
            Decision(str(number + i), level, pair, reviewer, role, stamp, reason)
            for i, (pair, level, reason) in enumerate(votes, start=1)
        ]
        known = {frozenset(s) for s in contradictions(verdicts(before.lines))}
        after = verdicts([*before.lines, *new])
        mine = {d.pair for d in new}
        for clash in contradictions(after):
            if mine & set(clash) and frozenset(clash) not in known:
                others = sorted({i for p in clash for i in after[p].decision_ids} - {d.decision_id for d in new})
                named = "decisions " + ", ".join(others) if others else "another of these decisions"
                raise ReviewError(f"this cannot hold beside {named}: nothing was recorded; ask a supervisor")
        _write(path, new)
    return [d.decision_id for d in new]


def _write(path: Path, new: list[Decision]) -> None:
    """The old bytes and the new lines as a new file: whole or not at all."""
    old = path.read_bytes() if path.exists() else b""
    header = next(csv.reader(io.StringIO(old.decode("utf-8-sig"))), None) or list(FIELDS)
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n")
    if not old:
        writer.writeheader()
    elif missing := [name for name in FIELDS if name not in header]:
        # A file begun by hand gets the columns it lacks, or who decided when would be lost.
        rows = list(csv.DictReader(io.StringIO(old.decode("utf-8-sig"))))
        header, old = [*header, *missing], b""
        writer = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif not old.endswith(b"\n"):
        text.write("\n")
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
        out.write(old + text.getvalue().encode("utf-8"))
        out.flush()
        os.fsync(out.fileno())
    os.replace(part, path)


def apply(con: duckdb.DuckDBPyConnection, path: Path | None) -> dict[str, object]:
    """Settled decisions become rows of table ``constraints``, with reason ``reviewer``. Table ``records`` must exist.

    A reviewer's word on a pair stands above a source's on the same pair. Returns what was read: counts, and the numbers
    of decisions that contradict each other and of lines that are no decisions.
    """
    read_ = read(path)
    found = verdicts(read_.lines)
    clashes = contradictions(found)
    aside = {pair for clash in clashes for pair in clash}
    settled = [(p, v) for p, v in found.items() if v.level is not None and p not in aside]
    con.register(
        "kw_said",
        pa.table(
            {
                "system_a": pa.array([d.pair[0][0] for d in read_.lines], pa.string()),
                "record_a": pa.array([d.pair[0][1] for d in read_.lines], pa.string()),
                "system_b": pa.array([d.pair[1][0] for d in read_.lines], pa.string()),
                "record_b": pa.array([d.pair[1][1] for d in read_.lines], pa.string()),
            }
        ),
    )
    con.register(
        "kw_settled",
        pa.table(
            {
                "system_a": pa.array([p[0][0] for p, _ in settled], pa.string()),
                "record_a": pa.array([p[0][1] for p, _ in settled], pa.string()),
                "system_b": pa.array([p[1][0] for p, _ in settled], pa.string()),
                "record_b": pa.array([p[1][1] for p, _ in settled], pa.string()),
                "kind": pa.array(["must" if v.level == "must_link" else "cannot" for _, v in settled], pa.string()),
            }
        ),
    )
    ends = (
        "join records a on a.source_system = system_a and a.source_record_id = record_a "
        "join records b on b.source_system = system_b and b.source_record_id = record_b"
    )
    alive = con.execute(f"select count(*) from kw_said {ends}").fetchall()[0][0]
    con.execute(
        f"create or replace table kw_reviewed as select least(a.rid, b.rid) as rid_a, greatest(a.rid, b.rid) as rid_b, "
        f"kind from kw_settled {ends} order by all"
    )
    con.unregister("kw_said")
    con.unregister("kw_settled")
    con.execute("""
    delete from constraints c using kw_reviewed r
    where least(c.rid_a, c.rid_b) = r.rid_a and greatest(c.rid_a, c.rid_b) = r.rid_b
    """)
    con.execute("insert into constraints select rid_a, rid_b, kind, 'reviewer' from kw_reviewed")
    con.execute("drop table kw_reviewed")
    return {
        "decisions": len(read_.lines),
        "decisions_on_unknown_records": len(read_.lines) - alive,
        "decisions_disputed": sum(v.state == "disputed" for v in found.values()),
        "decisions_set_aside": sum(len(found[p].decision_ids) for p in aside),
        "contradicting_decisions": [sorted({i for p in clash for i in found[p].decision_ids}) for clash in clashes],
        "unreadable_decision_lines": [line for line, _ in read_.unreadable],
    }
