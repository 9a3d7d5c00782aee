"""Files in, deliveries out: each file is read once, accounted for row by row, and kept for good.

The order of steps makes a kill harmless at any point: bytes first, then Parquet, then the log line, then the file
leaves the inbox. What the log does not say has not happened and is done again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import secrets
import shutil
import stat
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import duckdb

from expectations.contract import Contract, Table
from pipelines.landing.findings import Finding, Refused, letter, refuse
from pipelines.landing.names import Match, is_safe, match, owner, owner_of_header, safe_name
from pipelines.landing.readers import Received, read
from pipelines.landing.rows import Sorted, publish, sort_rows
from pipelines.storage import Home, append_jsonl, connect, locked, read_jsonl, sync_folder, write_atomic

Status = Literal["accepted", "refused", "duplicate"]
_ARRIVING = (".part", ".tmp", ".filepart", ".crdownload")
#: Files read at the same time. Most of reading a small file is one core's work; a large one uses all cores anyway.
_READERS = 2


@dataclass(frozen=True)
class Outcome:
    """What became of one table of one file (or of a whole file, then ``table`` is None).

    ``rows_received == rows_loaded + rows_quarantined``. Rows of a refused file count as quarantined; a file refused
    before its rows could be told apart has 0. ``findings`` hold every broken rule, counted; never a value.
    """

    system: str
    table: str | None
    file: str
    status: Status
    received_on: dt.date
    delivery_date: dt.date | None = None
    delivery_id: str | None = None
    sha256: str | None = None
    rows_received: int = 0
    rows_loaded: int = 0
    rows_quarantined: int = 0
    encoding: str | None = None
    findings: tuple[Finding, ...] = ()
    reasons: tuple[Finding, ...] = field(default=(), repr=False)

    def as_record(self, landed_at: dt.datetime) -> dict[str, Any]:
        """The line of the delivery log."""
        return {
            "delivery_id": self.delivery_id,
            "system": self.system,
            "table": self.table,
            "file": self.file,
            "sha256": self.sha256,
            "received_on": self.received_on.isoformat(),
            "delivery_date": self.delivery_date.isoformat() if self.delivery_date else None,
            "landed_at": landed_at.isoformat(timespec="seconds"),
            "status": self.status,
            "rows_received": self.rows_received,
            "rows_loaded": self.rows_loaded,
            "rows_quarantined": self.rows_quarantined,
            "encoding": self.encoding,
            "reasons": [f.as_record() for f in (*(f for f in self.findings if f.action == "refuse"), *self.reasons)],
            "warnings": [f.as_record() for f in self.findings if f.action == "warn"],
        }


def land(
    home: Home,
    contracts: Mapping[str, Contract],
    received_on: dt.date,
    only: Collection[str] | None = None,
    memory_limit: str | None = None,
) -> list[Outcome]:
    """Take in every file waiting in the inboxes of ``contracts`` (of the systems in ``only``, if given).

    ``received_on`` is the day the files count as received: the axis along which a night can be replayed. Files that
    cannot be used go to ``inbox/<system>/refused/`` with a letter; one bad file never stops another. Running again,
    also after a kill, continues. Names beginning with a dot or ending in ``.part`` or ``.tmp`` are still arriving
    and left alone.
    """
    outcomes: list[Outcome] = []
    with locked(home.log_dir / "landing.lock"), _scratch(home) as scratch:
        connection = connect(spill=scratch / "spill", memory_limit=memory_limit)
        done = {
            (r["system"], r["delivery_id"], r["table"])
            for r in read_jsonl(home.delivery_log)
            if r["status"] == "accepted"
        }

        def settle(reading: Future[_Arrival | None]) -> None:
            landed = _settle_file(home, reading.result(), received_on, done)
            done.update((o.system, o.delivery_id or "", o.table or "") for o in landed if o.status == "accepted")
            outcomes.extend(landed)

        waiting: deque[Future[_Arrival | None]] = deque()
        with ThreadPoolExecutor(_READERS) as pool:
            for system in sorted(only if only is not None else contracts):
                inbox = home.inbox(system)
                for path in sorted(inbox.iterdir()) if inbox.is_dir() else []:
                    if path.name == "refused" or path.name.startswith(".") or path.name.endswith(_ARRIVING):
                        continue
                    work = scratch / secrets.token_hex(6)
                    waiting.append(
                        pool.submit(_read_file, home, connection, contracts, system, path, received_on, done, work)
                    )
                    # Settled in the order of names, so that the log does not depend on which was read faster.
                    if len(waiting) > _READERS:
                        settle(waiting.popleft())
            while waiting:
                settle(waiting.popleft())
        connection.close()
    return outcomes


@contextmanager
def _scratch(home: Home) -> Iterator[Path]:
    """A work folder on the same disc as the results. Left-overs of killed runs are cleared first."""
    home.scratch_dir.mkdir(parents=True, exist_ok=True)
    for old in home.scratch_dir.glob("landing-*"):
        shutil.rmtree(old, ignore_errors=True)
    folder = home.scratch_dir / f"landing-{secrets.token_hex(6)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Arrival:
    """One file, read and judged but not yet accounted for; ``refusal`` when it could not even be told what it is."""

    system: str
    path: Path
    before: os.stat_result
    work: Path
    found: Match | None = None
    digest: str = ""
    delivery_id: str = ""
    results: tuple[tuple[Table, Result], ...] = ()
    refusal: tuple[Finding, ...] = ()


def _read_file(
    home: Home,
    connection: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    system: str,
    path: Path,
    received_on: dt.date,
    done: Collection[tuple[str, str, str]],
    work: Path,
) -> _Arrival | None:
    """Keep the bytes of one file and judge its rows. Publishes nothing but the bytes; None when there is no file yet.

    Runs beside other files: it writes to ``work`` alone, and its cursor has temporary tables of its own. A table that
    ``done`` has is not judged again; one that gets there meanwhile is found out when it is settled.
    """
    try:
        before = path.lstat()
        arrival = _Arrival(system, path, before, work)
        found = _identify(contracts, system, path, before, received_on)
        work.mkdir()
        digest = _keep(home, path, work)
    except FileNotFoundError:
        return None  # taken back by the sender
    except Refused as refusal:
        return replace(arrival, refusal=tuple(refusal.findings))
    if _changed(path, before):
        return None  # still being written: the next run sees all of it
    day = found.delivery_date or received_on
    delivery_id = f"{day:%Y%m%d}-{digest[:16]}"
    fresh = [t for t in found.tables if (system, delivery_id, t.name) not in done]
    with connection.cursor() as cursor:
        results = tuple(
            judge_file(cursor, contracts, found.contract, fresh, home.files_dir / digest, day, delivery_id, work)
        )
    return replace(arrival, found=found, digest=digest, delivery_id=delivery_id, results=results)


def _settle_file(
    home: Home, arrival: _Arrival | None, received_on: dt.date, done: Collection[tuple[str, str, str]]
) -> list[Outcome]:
    """Publish what was judged, log it, and take the file out of the inbox."""
    if arrival is None:
        return []
    system, path = arrival.system, arrival.path
    name = safe_name(path.name)
    if arrival.found is None:
        outcomes = [Outcome(system, None, name, "refused", received_on, findings=arrival.refusal)]
    else:
        day = arrival.found.delivery_date or received_on
        base = Outcome(system, None, name, "duplicate", received_on, day, arrival.delivery_id, arrival.digest)
        known = {t.name for t in arrival.found.tables if (system, arrival.delivery_id, t.name) in done}
        outcomes = [replace(base, table=t.name) for t in arrival.found.tables if t.name in known]
        outcomes += [
            _settle(home, base, table, result, arrival.work)
            for table, result in arrival.results
            if table.name not in known
        ]
    _log(home, outcomes)
    if any(o.status == "refused" for o in outcomes):
        _set_aside(home, system, path, name, outcomes)
    elif not _changed(path, arrival.before):
        path.unlink(missing_ok=True)
    shutil.rmtree(arrival.work, ignore_errors=True)
    return outcomes


def _identify(
    contracts: Mapping[str, Contract], system: str, path: Path, status: os.stat_result, received_on: dt.date
) -> Match:
    """What the file is, by its name. Raises Refused."""
    if not is_safe(path.name) or not stat.S_ISREG(status.st_mode):
        raise refuse("unsafe_name")
    found = match(contracts[system], path.name)
    if found is None:
        other = owner({s: c for s, c in contracts.items() if s != system}, path.name)
        if other is not None:
            raise refuse("wrong_system", detail=f"Its name is one of {other.contract.system}.")
        raise refuse("unknown_file")
    if found.delivery_date is not None and found.delivery_date > received_on:
        raise refuse("future_delivery")
    return found


def _keep(home: Home, path: Path, scratch: Path) -> str:
    """Copy the bytes to their place by content; returns their SHA-256. Follows no link."""
    digest = hashlib.sha256()
    copy = scratch / "bytes"
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as source, copy.open("wb") as target:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
            target.write(chunk)
    kept = home.files_dir / digest.hexdigest()
    if not kept.exists():
        publish(copy, kept)
    return digest.hexdigest()


def _changed(path: Path, before: os.stat_result) -> bool:
    try:
        now = path.lstat()
    except FileNotFoundError:
        return True
    return (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns)


#: Faults of the machine. The file is innocent and stays in the inbox for the next run.
_OUR_FAULT = (
    OSError,
    MemoryError,
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.FatalException,
    duckdb.InternalException,
)


@contextmanager
def _contained() -> Iterator[None]:
    """A file that breaks the reader in a way nobody thought of is refused like any other, so that it cannot stop the
    files behind it night after night. The error's text is dropped, because it may quote a row."""
    try:
        yield
    except (Refused, *_OUR_FAULT):
        raise
    except Exception as error:
        raise refuse("cannot_be_read", detail=f"({type(error).__name__})") from error


Result = tuple[Sorted | None, Received | None, tuple[Finding, ...]]


def judge_file(
    connection: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    contract: Contract,
    tables: Collection[Table],
    path: Path,
    delivered_on: dt.date,
    delivery_id: str,
    scratch: Path,
) -> Iterator[tuple[Table, Result]]:
    """Read and judge ``tables`` of one file, one after the other.

    Per table: the sorted rows (None when it could not be read), what the reader said, and the reasons to refuse it
    (empty when it is good). The Parquet files of :func:`sort_rows` stand in ``scratch/<table>/`` until the next step.
    """
    if not tables:
        return
    work = scratch / "file"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        with _contained():
            results = read(path, contract, list(tables), work, connection)
    except Refused as refusal:
        findings = tuple(refusal.findings)
        other = owner_of_header(contracts, refusal.header) if refusal.header else None
        if other is not None and other[0] != contract.system:
            findings = tuple(refuse("wrong_system", detail=f"Its header is that of {other[0]}.").findings)
        for table in tables:
            yield table, (None, None, findings)
        return
    for table in tables:
        received = results.get(table.name)
        if received is None:
            continue  # an optional sheet that is not there
        if isinstance(received, Refused):
            yield table, (None, None, tuple(received.findings))
            continue
        folder = work / table.name
        folder.mkdir()
        try:
            with _contained():
                rows = sort_rows(connection, contract, table, delivered_on, delivery_id, received, folder)
        except Refused as refusal:
            yield table, (None, None, tuple(refusal.findings))
            continue
        limit = table.delivery.max_quarantine_share
        too_many: tuple[Finding, ...] = ()
        if rows.share > limit:
            detail = f"{rows.quarantined} of {rows.received} rows are bad; the contract allows {limit:.0%}."
            too_many = (Finding("too_many_bad_rows", count=rows.quarantined, detail=detail),)
        yield table, (rows, received, too_many)


def _settle(home: Home, base: Outcome, table: Table, result: Result, scratch: Path) -> Outcome:
    """Publish what was judged and say what became of it."""
    rows, received, refusals = result
    if rows is None or received is None:
        return replace(base, table=table.name, status="refused", findings=refusals)
    assert base.delivery_id is not None
    folder = scratch / "file" / table.name
    if rows.quarantined:
        publish(folder / "quarantined.parquet", home.quarantined(base.system, table.name, base.delivery_id))
    settled = replace(
        base,
        table=table.name,
        rows_received=rows.received,
        encoding=received.encoding,
        findings=(*refusals, *rows.findings),
        reasons=rows.reasons,
    )
    if refusals:
        return replace(settled, status="refused", rows_quarantined=rows.received)
    publish(folder / "loaded.parquet", home.delivery(base.system, table.name, base.delivery_id))
    return replace(settled, status="accepted", rows_loaded=rows.loaded, rows_quarantined=rows.quarantined)


def _log(home: Home, outcomes: list[Outcome]) -> None:
    now = dt.datetime.now(dt.UTC)
    append_jsonl(home.delivery_log, [o.as_record(now) for o in outcomes])


def _set_aside(home: Home, system: str, path: Path, name: str, outcomes: list[Outcome]) -> None:
    """Move a refused file (a link itself, never what it points to) out of the way and say why beside it."""
    folder = home.inbox(system) / "refused"
    folder.mkdir(exist_ok=True)
    target = folder / name
    number = 1
    while target.is_symlink() or target.exists():
        number += 1
        target = folder / f"{number}-{name}"
    findings = [f for o in outcomes if o.status == "refused" for f in o.findings if f.action != "warn"]
    write_atomic(target.with_name(f"{target.name}.why.txt"), letter(name, dict.fromkeys(findings)))
    os.rename(path, target)
    sync_folder(folder)
