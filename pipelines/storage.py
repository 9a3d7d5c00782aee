"""Where everything lies on disc, and the only ways to write it: whole or not at all.

Paths, the DuckDB connection factory, atomic files, append-only logs and a lock. What the files mean belongs to the
rooms that write them.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb


@dataclass(frozen=True)
class Workspace:
    """The folders of one night's work. Tonight's is the home itself; a replayed night has its own."""

    root: Path

    @property
    def current_dir(self) -> Path:
        """Current state of every contract table: ``<system>/<table>.parquet``."""
        return self.root / "raw" / "current"

    def current(self, system: str, table: str) -> Path:
        return self.current_dir / system / f"{table}.parquet"

    @property
    def staged_dir(self) -> Path:
        """Person records and relationships, written by dbt staging, read by linkage."""
        return self.root / "vault" / "staged"

    @property
    def linkage_dir(self) -> Path:
        return self.root / "vault" / "linkage"

    @property
    def warehouse(self) -> Path:
        """The warehouse database; dbt is its one writer."""
        return self.root / "warehouse" / "warehouse.duckdb"

    @property
    def quality_dir(self) -> Path:
        return self.root / "quality"

    @property
    def config_dir(self) -> Path:
        """The jurisdiction's own lists (sites) as Parquet, for dbt."""
        return self.root / "config"


@dataclass(frozen=True)
class Home(Workspace):
    """A deployment folder (``KINWEAVE_HOME``), which is also the workspace of tonight's run."""

    @property
    def jurisdiction(self) -> Path:
        return self.root / "jurisdiction.yml"

    @property
    def agreements_dir(self) -> Path:
        return self.root / "agreements"

    @property
    def projects_dir(self) -> Path:
        return self.root / "projects"

    @property
    def reviews_dir(self) -> Path:
        return self.root / "reviews"

    def inbox(self, system: str) -> Path:
        """Where an agency drops files; files that were refused wait in its ``refused/``."""
        return self.root / "inbox" / system

    @property
    def files_dir(self) -> Path:
        """Original bytes, named by their SHA-256: never changed, and destroyed only by an order of expunction."""
        return self.root / "raw" / "files"

    def delivery(self, system: str, table: str, delivery_id: str) -> Path:
        """Typed accepted rows of one delivery of one table."""
        return self.root / "raw" / "deliveries" / system / table / f"{delivery_id}.parquet"

    def quarantined(self, system: str, table: str, delivery_id: str) -> Path:
        """Rows of one delivery that broke a rule: line, rule, field, raw_row."""
        return self.root / "quarantine" / system / table / f"{delivery_id}.parquet"

    @property
    def log_dir(self) -> Path:
        return self.root / "log"

    @property
    def delivery_log(self) -> Path:
        return self.log_dir / "deliveries.jsonl"

    @property
    def expunged_log(self) -> Path:
        """How many rows orders of expunction took out of which delivery."""
        return self.log_dir / "expunged.jsonl"

    @property
    def registry_dir(self) -> Path:
        """Append-only ledgers of person and family IDs."""
        return self.root / "vault" / "registry"

    @property
    def models_dir(self) -> Path:
        return self.root / "vault" / "models"

    @property
    def releases_dir(self) -> Path:
        return self.root / "releases"

    @property
    def dagster_dir(self) -> Path:
        return self.root / "dagster"

    @property
    def scratch_dir(self) -> Path:
        """Half-done work and DuckDB's spill. Anything in it may be deleted between runs."""
        return self.root / "scratch"

    def workspace(self, as_of: date | None = None) -> Workspace:
        """Tonight's workspace, or the one in which the night of ``as_of`` is replayed."""
        return self if as_of is None else Workspace(self.root / "replay" / as_of.isoformat())


def connect(
    database: Path | str = ":memory:",
    *,
    read_only: bool = False,
    spill: Path | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open DuckDB so that it never asks the network: no extension is installed or loaded by itself.

    ``spill`` is a folder for data larger than ``memory_limit`` (``"4GB"``; DuckDB's own default is 80% of memory).
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if spill is not None:
        spill.mkdir(parents=True, exist_ok=True)
        config["temp_directory"] = str(spill)
    if memory_limit is not None:
        config["memory_limit"] = memory_limit
    if threads is not None:
        config["threads"] = threads
    connection = duckdb.connect(str(database), read_only=read_only, config=config)
    connection.execute("set enable_progress_bar = false")
    return connection


def quoted(text: Path | str) -> str:
    """``text`` as a SQL string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """``name`` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_path(target: Path, mode: int | None = None) -> Iterator[Path]:
    """Give a temporary path beside ``target`` to write to; on leaving without error it becomes ``target``.

    Readers see the old file or the whole new one. After a kill only a ``.<name>.<random>.tmp`` stays behind.
    ``mode`` sets the permissions of the finished file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(6)}.tmp"
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(target: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a small file whole or not at all."""
    with atomic_path(target, mode) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def write_json(target: Path, value: Any, mode: int | None = None) -> None:
    """Write ``value`` as readable JSON, whole or not at all; dates become ISO text."""
    write_atomic(target, json.dumps(value, indent=2, sort_keys=True, default=str, ensure_ascii=False) + "\n", mode)


def append_jsonl(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Append ``records`` to an append-only log and wait until the disc has them.

    A torn last line (a kill or a power cut inside an earlier append) is cut off first: its event counts as not
    having happened, and whoever wrote it will do so again.
    """
    text = "".join(json.dumps(r, default=str, ensure_ascii=False) + "\n" for r in records)
    if not text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("ab+") as handle:
        _cut_torn_tail(handle.fileno())
        handle.write(text.encode("utf-8"))
        handle.flush()
        os.fsync(handle.fileno())
    if is_new:
        sync_folder(path.parent)


def _cut_torn_tail(descriptor: int) -> None:
    end = os.fstat(descriptor).st_size
    keep = end
    while keep > 0:
        start = max(0, keep - 65536)
        found = os.pread(descriptor, keep - start, start).rfind(b"\n")
        if found >= 0:
            keep = start + found + 1
            break
        keep = start
    if keep < end:
        os.ftruncate(descriptor, keep)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """All whole lines of an append-only log; an absent log is empty, a torn last line is not read."""
    if not path.exists():
        return []
    content = path.read_bytes()
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines() if line.strip()]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``: one process at a time, others wait. The system frees it when a process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
