"""Expunction: an order to forget a record is carried out in what was delivered, and holds whatever is delivered again.

The ledger of the forgotten holds keyed hashes, so it names nobody. Where a hash is met, in a delivery of today or of
years ago, the row goes: from the typed deliveries, from quarantine, from the current state. The original file it came
in is destroyed, because bytes cannot be edited without becoming another file; its other rows stay as typed rows, and a
signed certificate says which files went. Linkage's ledger and the reviewers' decisions keep a hash in the record's
place. What was published before is destroyed by keep-N or by hand.

A row goes when a column that names a person holds the number; when it belongs, by its table's key, to a row that goes
(the lines of a claim); or when it carries the same number under the standard's own name (AFCARS E4). Rows of a case
that others share stay: they name the case, not the person.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import hmac
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from expectations.contract import Contract, Table
from expectations.vocabulary import Sensitivity
from linkage.forget import forget_members
from pipelines.releases.accounting import audit, log_of
from pipelines.releases.manifest import canonical_json
from pipelines.releases.people import ledger_dir
from pipelines.releases.signing import signing_key
from pipelines.settings import load_jurisdiction
from pipelines.storage import (
    Home,
    Workspace,
    append_jsonl,
    atomic_path,
    connect,
    identifier,
    quoted,
    read_jsonl,
    write_atomic,
    write_json,
)

#: Anything between the marks that files are written with: a value of a row that could not be read as one.
_WORD = re.compile(r"[^\s\"',:;|~{}\[\]<>]+")


@dataclass(frozen=True)
class Found:
    """What carrying out the orders did: rows taken out of what was delivered, and original files destroyed."""

    rows: int
    files: int


def _orders(home: Home) -> Path:
    return ledger_dir(home) / "expunctions.jsonl"


def order(home: Home, secret: bytes, system: str, record_id: Sequence[str], *, order_date: dt.date) -> None:
    """Record an order to forget a person's record in ``system``. ``record_id`` has the source's own key parts."""
    mark = _tombstone(secret, system, record_id)
    append_jsonl(_orders(home), [{"system": system, "mark": mark, "order_date": order_date}])


def _literal(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def _tombstone(secret: bytes, system: str, values: Sequence[str | None], what: str = "") -> str:
    # Part of a table's key may be empty (a claim that was never adjusted).
    text = "\x1f".join([system, *([what] if what else []), *("\x00" if v is None else v for v in values)])
    return hmac.new(secret, b"expunged\x1f" + text.encode("utf-8"), hashlib.sha256).hexdigest()


def _marks(home: Home, system: str) -> set[str]:
    return {str(x["mark"]) for x in read_jsonl(_orders(home)) if x["system"] == system}


def ordered_systems(home: Home) -> set[str]:
    """Systems of which a record was ordered to be forgotten."""
    return {str(x["system"]) for x in read_jsonl(_orders(home))}


# --- which rows ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Name:
    """One way in which a row of a table may name somebody: these columns, marked as ``what``."""

    columns: tuple[str, ...]
    what: str = ""


def _person_keys(contract: Contract) -> set[tuple[str, ...]]:
    """Every way in which a column, or several, of this source name a person."""
    keys: set[tuple[str, ...]] = set()
    for table in contract.tables.values():
        keys |= {tuple(p.record_id) for p in table.persons}
        keys |= {tuple(k) for r in table.relationships for k in (r.person, r.related) if k}
        keys |= {tuple(m.person) for m in table.memberships}
    # Some keys hold more than the number (a birth date beside it): the number alone is the person's too.
    return keys | {(k[0],) for k in keys if len(k) > 1 and (k[0],) in keys}


def _of_persons(table: Table, keys: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    found = {k for k in keys if set(k) <= set(table.by_name)}
    # victim_person_id is a person_id too, though no contract says that its rows are about people.
    found |= {
        (c.name,)
        for c in table.columns
        for k in keys
        if len(k) == 1 and c.sensitivity is Sensitivity.SOURCE_KEY and c.name.endswith(f"_{k[0]}")
    }
    return found


def _aliases(contract: Contract) -> dict[str, tuple[str, str]]:
    """Element -> (table, column) of numbers that a register of persons has besides its key."""
    return {
        str(column.element): (table.name, column.name)
        for table in contract.tables.values()
        if any(tuple(p.record_id) == tuple(table.key) for p in table.persons)
        for column in table.columns
        if column.element and column.sensitivity is Sensitivity.SOURCE_KEY and column.name not in table.key
    }


def _owners(contract: Contract, table: Table, keys: set[tuple[str, ...]]) -> list[Table]:
    """Tables to whose rows those of ``table`` belong by their key, where ``table`` names nobody itself."""
    if _of_persons(table, keys):
        return []
    return [
        other
        for other in contract.tables.values()
        if other is not table and _of_persons(other, keys) and set(other.key) <= set(table.by_name)
    ]


def _names(contract: Contract, table: Table) -> list[_Name]:
    keys = _person_keys(contract)
    found = [_Name(k) for k in sorted(_of_persons(table, keys))]
    aliases = _aliases(contract)
    found += [_Name((c.name,), f"element {c.element}") for c in table.columns if c.element in aliases]
    return found + [_Name(tuple(o.key), f"row {o.name}") for o in _owners(contract, table, keys)]


def _where(
    database: duckdb.DuckDBPyConnection, source: str, names: list[_Name], marks: set[str], system: str, secret: bytes
) -> str:
    """SQL for the rows of ``source`` that must go; empty when none does."""
    conditions = []
    for name in names:
        columns = ", ".join(f"{identifier(c)}::varchar" for c in name.columns)
        for values in database.execute(f"select distinct {columns} from {source}").fetchall():
            if _tombstone(secret, system, values, name.what) in marks:
                conditions.append(
                    "(" + " and ".join(f"{identifier(c)}::varchar is not distinct from {_literal(v)}" for c, v in
                                       zip(name.columns, values, strict=True)) + ")"
                )  # fmt: skip
    return " or ".join(conditions)


def _count(database: duckdb.DuckDBPyConnection, path: Path) -> int:
    return int(database.execute(f"select count(*) from read_parquet({quoted(path)})").fetchall()[0][0])


def _drop(database: duckdb.DuckDBPyConnection, path: Path, where: str) -> int:
    source = f"read_parquet({quoted(path)})"
    count = database.execute(f"select count(*) from {source} where {where}").fetchall()[0][0]
    with atomic_path(path) as temporary:
        database.execute(
            f"copy (select * from {source} where not ({where})) to {quoted(temporary)}"
            " (format parquet, compression zstd)"
        )
    return int(count)


def drop_expunged(home: Home, workspace: Workspace, contracts: Mapping[str, Contract], secret: bytes) -> int:
    """Take expunged people out of the current state of every table, and return the number of rows taken out.

    Everything downstream is made from the current state, so nothing made later holds them. Called each night after
    landing, whatever was delivered: an old file cannot bring anyone back.
    """
    dropped = 0
    for system in sorted(ordered_systems(home) & set(contracts)):
        marks = _marks(home, system)
        for table in contracts[system].tables.values():
            path = workspace.current(system, table.name)
            if path.exists():
                with connect() as database:
                    source = f"read_parquet({quoted(path)})"
                    names = _names(contracts[system], table)
                    if where := _where(database, source, names, marks, system, secret):
                        dropped += _drop(database, path, where)
    return dropped


# --- what was delivered ----------------------------------------------------------------------------------------


def forget(home: Home, contracts: Mapping[str, Contract], secret: bytes) -> Found:
    """Carry out every order in all that was delivered by ``contracts``, as far as that was not done yet.

    Each delivery is gone through once for each order, and says so in ``log/expunged.jsonl``, so a night costs what its
    new files cost. Safe to repeat after a kill.
    """
    rows = files = 0
    for system in sorted(ordered_systems(home) & set(contracts)):
        sweep = _Sweep(home, contracts[system], secret)
        rows += sweep.run()
        files += sweep.destroy_files()
    return Found(rows, files)


class _Sweep:
    """One source's deliveries, against all its orders."""

    def __init__(self, home: Home, contract: Contract, secret: bytes) -> None:
        self.home, self.contract, self.secret, self.system = home, contract, secret, contract.system
        self.marks = _marks(home, self.system)
        self.since = max(str(x["order_date"]) for x in read_jsonl(_orders(home)) if x["system"] == self.system)

    def run(self) -> int:
        given = sum(x["system"] == self.system and "of" not in x for x in read_jsonl(_orders(self.home)))
        done = {
            (x["table"], x["delivery_id"]): x["orders"]
            for x in read_jsonl(self.home.expunged_log)
            if x["system"] == self.system
        }
        waiting = [
            line
            for line in {
                (r["table"], r["delivery_id"]): r
                for r in read_jsonl(self.home.delivery_log)
                if r["system"] == self.system and r["table"] in self.contract.tables and r["delivery_id"]
                and r["status"] != "duplicate"
            }.values()
            if done.get((line["table"], line["delivery_id"])) != given
        ]  # fmt: skip
        keys = _person_keys(self.contract)
        # Rows that belong to others come last: what they belong to must be known from every delivery.
        waiting.sort(key=lambda x: not _of_persons(self.contract.tables[x["table"]], keys))
        return sum(self._delivery(line, given) for line in waiting)

    def _delivery(self, line: Mapping[str, Any], given: int) -> int:
        table = self.contract.tables[str(line["table"])]
        where = (self.system, table.name, str(line["delivery_id"]))
        with connect() as database:
            loaded, quarantined = self.home.delivery(*where), self.home.quarantined(*where)
            now = self._rows(database, table, loaded) if loaded.exists() else 0
            now += self._unread(database, quarantined) if quarantined.exists() else 0
            left = [
                _count(database, path) if path.exists() else line[count]
                for path, count in ((loaded, "rows_loaded"), (quarantined, "rows_quarantined"))
            ]
        gone = [line["rows_loaded"] - left[0], line["rows_quarantined"] - left[1]]
        append_jsonl(
            self.home.expunged_log,
            [{"system": self.system, "table": table.name, "delivery_id": where[2], "sha256": line["sha256"],
              "orders": given, "loaded": gone[0], "quarantined": gone[1]}],
        )  # fmt: skip
        return now

    def _rows(self, database: duckdb.DuckDBPyConnection, table: Table, path: Path) -> int:
        source = f"read_parquet({quoted(path)})"
        present = {r[0] for r in database.execute(f"describe select * from {source}").fetchall()}
        # A contract may have gained a column since an old delivery was landed.
        names = [n for n in _names(self.contract, table) if set(n.columns) <= present]
        where = _where(database, source, names, self.marks, self.system, self.secret)
        if not where:
            return 0
        self._derive(database, f"{source} where {where}", table)
        return _drop(database, path, where)

    def _derive(self, database: duckdb.DuckDBPyConnection, doomed: str, table: Table) -> None:
        """Remember by what else the rows that go are named, before they do."""
        keys = _person_keys(self.contract)
        wanted = [(t.key, f"row {table.name}") for t in (table,) if any(
            table in _owners(self.contract, other, keys) for other in self.contract.tables.values())]  # fmt: skip
        aliases = _aliases(self.contract).items()
        wanted += [([column], f"element {element}") for element, (name, column) in aliases if name == table.name]
        for columns, what in wanted:
            chosen = ", ".join(f"{identifier(c)}::varchar" for c in columns)
            for values in database.execute(f"select distinct {chosen} from {doomed}").fetchall():
                mark = _tombstone(self.secret, self.system, values, what)
                if any(values) and mark not in self.marks:
                    self.marks.add(mark)
                    line = {"system": self.system, "mark": mark, "order_date": self.since, "of": what}
                    append_jsonl(_orders(self.home), [line])

    def _unread(self, database: duckdb.DuckDBPyConnection, path: Path) -> int:
        """Rows that broke a rule: as they came, so every word of them is looked at."""
        source = f"read_parquet({quoted(path)})"
        doomed = [line for line, raw in database.execute(f"select distinct line, raw_row from {source}").fetchall()
                  if self._tells(str(raw or ""))]  # fmt: skip
        return _drop(database, path, f"line in ({', '.join(str(int(n)) for n in doomed)})") if doomed else 0

    def _tells(self, raw: str) -> bool:
        words = list(dict.fromkeys(_WORD.findall(raw)))
        longest = max(len(k) for k in _person_keys(self.contract))
        chains: Iterable[Sequence[str]] = ([w] for w in words)
        if longest > 1:
            chains = [*chains, *([a, b] for n, a in enumerate(words) for b in words[n + 1 :])]
        return any(_tombstone(self.secret, self.system, chain) in self.marks for chain in chains)

    def destroy_files(self) -> int:
        """Original files that held a forgotten row, also where one was delivered again. Returns how many went."""
        held: dict[str, str] = {}
        for line in read_jsonl(self.home.expunged_log):
            if line["system"] == self.system and (line["loaded"] or line["quarantined"]):
                held[str(line["sha256"])] = str(line["delivery_id"])
        there = {sha: held[sha] for sha in sorted(held) if (self.home.files_dir / sha).exists()}
        if there:
            _certify(self.home, self.system, there)
            for sha in there:
                (self.home.files_dir / sha).unlink()
        return len(there)


def _certify(home: Home, system: str, files: Mapping[str, str]) -> None:
    """Sign, before they go, which original files are destroyed because of an order. Names nobody."""
    folder = ledger_dir(home) / "certificates"
    number = len(list(folder.glob("expunction-*.json"))) + 1
    statement = {
        "destroyed_on": load_jurisdiction(home.root).today().isoformat(),
        "because": "an order of expunction",
        "where": f"original files of {system}, as received; their other rows are kept",
        "files": dict(files),
    }
    signature = signing_key(home.root / "vault").sign(canonical_json(statement).encode("utf-8")).hex()
    write_json(folder / f"expunction-{number}.json", {**statement, "signature": signature})
    audit(log_of(home), "original files destroyed", system=system, files=len(files))


# --- what was made of it ---------------------------------------------------------------------------------------


def forget_by_name(home: Home, secret: bytes) -> None:
    """Put a hash in the place of forgotten records in linkage's ledger, and take decisions about them away.

    Also removes what can be made again and holds copies: replayed nights, spilled rows, and the warehouse, in whose
    free blocks deleted rows would stay.
    """
    marks = {str(x["mark"]): str(x["system"]) for x in read_jsonl(_orders(home))}

    def tombstone(system: str, record: str) -> str | None:
        parts = record.split("~")
        for values in (parts, parts[:1]):
            mark = _tombstone(secret, system, values)
            if marks.get(mark) == system:
                return mark
        return None

    forget_members(home.registry_dir, tombstone)
    _forget_decisions(home.reviews_dir / "decisions.csv", tombstone)
    for folder in (home.root / "replay", home.root / "vault" / "spill", *home.scratch_dir.glob("*/")):
        shutil.rmtree(folder, ignore_errors=True)
    home.warehouse.unlink(missing_ok=True)


def _forget_decisions(path: Path, tombstone: Any) -> None:
    if not path.exists():
        return
    first, *lines = path.read_bytes().splitlines(keepends=True) or [b""]
    header = next(csv.reader([first.decode("utf-8-sig", "replace")]), [])

    def is_named(line: bytes) -> bool:
        # A line with a quotation mark too many is no decision, and may name the record all the same.
        text = line.decode("utf-8", "replace")
        split = (next(csv.reader([text]), []), text.replace('"', "").split(","))
        rows = [dict(zip(header, map(str.strip, fields), strict=False)) for fields in split]
        return any(_forgotten(row, side, tombstone) for row in rows for side in "ab")

    kept = [line for line in lines if not is_named(line)]
    if len(kept) < len(lines):
        write_atomic(path, b"".join([first, *kept]))


def _forgotten(row: Mapping[str, str], side: str, tombstone: Any) -> bool:
    return tombstone(row.get(f"source_system_{side}", ""), row.get(f"source_record_id_{side}", "")) is not None


def unread_files(home: Home, system: str, record_id: Sequence[str]) -> list[Path]:
    """Files that were not read row by row (waiting, or refused) and hold the record's number, as far as plain bytes
    tell: a workbook is compressed and is not looked into."""
    parts = [p.encode("utf-8") for p in record_id]
    return [path for path in _unread_places(home, system) if all(p in path.read_bytes() for p in parts)]


def _unread_places(home: Home, system: str) -> Iterator[Path]:
    yield from (p for p in sorted(home.inbox(system).rglob("*")) if p.is_file() and not p.is_symlink())
    status: dict[str, set[str]] = defaultdict(set)
    for line in read_jsonl(home.delivery_log):
        if line["system"] == system and line["sha256"]:
            status[line["sha256"]].add(line["status"])
    yield from (p for sha in sorted(status) if status[sha] == {"refused"} and (p := home.files_dir / sha).exists())
