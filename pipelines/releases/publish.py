"""Build a release under a temporary name, then make it appear: rename, then flip the pointer.

A kill at any step leaves the last release in place and at most a ``.building-*`` folder, which the next publication
removes. Published files are never written again, so a reader of any release is never disturbed.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import hmac
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from expectations.contract import Contract
from pipelines.releases import accounting, gate, partners
from pipelines.releases.manifest import (
    DATABASE,
    FORMAT,
    MANIFEST,
    ReleaseError,
    content_hash,
    read_manifest,
    release_id,
    sha256_file,
    verify,
)
from pipelines.storage import Home, Workspace, connect, identifier, quoted, sync_folder, write_json

POINTER = "current.json"
#: The name dbt knows the database by: a mart that is a view speaks of its tables under it.
_BUILT = "warehouse"
_DICTIONARY = "data_dictionary"
_DICTIONARY_COLUMNS = ("table_name", "column_name", "data_type", "sensitivity", "treatment", "description")


@dataclass(frozen=True)
class Release:
    """A published release."""

    release_id: str
    folder: Path
    manifest: dict[str, Any]
    is_new: bool = True

    @property
    def table_hashes(self) -> dict[str, str]:
        """Content hash by table."""
        return {t["name"]: t["content_hash"] for t in self.manifest["tables"]}


def publish(
    workspace: Workspace,
    releases_dir: Path,
    *,
    cut: dt.date,
    dbt_manifest: Mapping[str, Any],
    contracts: Mapping[str, Contract],
    secret: bytes,
    provenance: Mapping[str, Any],
    keep: int = 14,
    governance: partners.Governance | None = None,
) -> Release:
    """Publish the marts of ``workspace`` and point ``releases_dir/current.json`` at them.

    With ``governance`` the release carries every partner's own folder; without it, nobody gets anything.
    ``provenance`` (JSON) says what determined the rows: inputs, code, contracts, model, configuration. Publishing
    the same rows with the same provenance again changes nothing and returns the release that is there. Raises
    :class:`GateClosed` when something may not leave, :class:`ReleaseError` when the build does not verify.
    """
    releases_dir.mkdir(parents=True, exist_ok=True)
    _clean(releases_dir)
    if governance is not None:
        governance = replace(governance, shown_before=_shown_before(releases_dir))
    building = releases_dir / f".building-{secrets.token_hex(6)}"
    building.mkdir()
    try:
        manifest = _build(building, workspace, cut, dbt_manifest, contracts, secret, provenance, governance)
        folder = releases_dir / str(manifest["release_id"])
        is_new = not folder.exists()
        if is_new:
            os.rename(building, folder)
            sync_folder(releases_dir)
    finally:
        if building.exists():
            shutil.rmtree(building)
    # Bytes only: the tables were hashed from the database a moment ago. `verify` in full is for whoever receives it.
    problems = verify(folder, contents=False)
    if problems:
        raise ReleaseError(f"release {folder.name} does not verify:\n" + "\n".join(f"  {p}" for p in problems))
    _point(releases_dir, folder)
    if governance is not None and not governance.is_replay:
        accounting.settle(releases_dir, governance)
    _keep(releases_dir, keep, governance)
    return Release(folder.name, folder, read_manifest(folder), is_new)


def _build(
    folder: Path,
    workspace: Workspace,
    cut: dt.date,
    dbt_manifest: Mapping[str, Any],
    contracts: Mapping[str, Contract],
    secret: bytes,
    provenance: Mapping[str, Any],
    governance: partners.Governance | None,
) -> dict[str, Any]:
    key = hmac.new(secret, b"release record keys", hashlib.sha256).hexdigest()
    tables: list[dict[str, Any]] = []
    with connect(folder / DATABASE, spill=workspace.root / "vault" / "spill") as database:
        database.execute(f"attach {quoted(workspace.warehouse)} as {_BUILT} (read_only)")
        plan = gate.plan_release(database, _BUILT, dbt_manifest, contracts)
        gate.prepare_seal(database, workspace.linkage_dir)
        # One transaction: thousands of small ones would each wait for the disc.
        database.execute("begin")
        (folder / "parquet").mkdir()
        for table in plan.tables:
            name = identifier(table.name)
            sql = gate.released_sql(table, _BUILT)
            parameters = {"key": key} if "$key" in sql else {}
            database.execute(f"create table {name} as {sql}", parameters)
        leaks = gate.scan_values(database, plan.tables, contracts, workspace.current_dir)
        if leaks:
            raise gate.GateClosed("the release gate is closed:\n" + "\n".join(f"  {line}" for line in leaks))
        for table in plan.tables:
            tables.append(_describe_and_copy(database, folder, table))
        rows = [
            (t.name, c.name, c.sql_type, c.sensitivity, c.treatment, c.description)
            for t in plan.tables
            for c in t.columns
        ]
        database.execute(f"create table {_DICTIONARY} ({', '.join(c + ' varchar' for c in _DICTIONARY_COLUMNS)})")
        columns = ", ".join(f"unnest(${i})" for i in range(1, len(_DICTIONARY_COLUMNS) + 1))
        database.execute(f"insert into {_DICTIONARY} select {columns}", [list(c) for c in zip(*rows, strict=True)])
        database.execute("commit")
        built = []
        if governance is not None:
            built = partners.build(database, folder, _BUILT, dbt_manifest, plan, governance, key)
        database.execute(f"detach {_BUILT}")
        database.execute("checkpoint")
    with (folder / f"{_DICTIONARY}.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(_DICTIONARY_COLUMNS)
        writer.writerows([partners.safe_cell(v) for v in row] for row in rows)
    manifest: dict[str, Any] = {"format": FORMAT, "cut_off": cut.isoformat(), "tables": tables, **provenance}
    if governance is not None:
        manifest |= partners.summary(built, governance.book)
    manifest["release_id"] = release_id(json.loads(json.dumps(manifest, default=str)))
    if governance is not None:
        partners.finish(built, folder, manifest["release_id"], cut, governance)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    manifest["files"] = {
        p.relative_to(folder).as_posix(): {"sha256": sha256_file(p), "bytes": p.stat().st_size} for p in files
    }
    write_json(folder / MANIFEST, manifest)
    for path in [*files, folder / MANIFEST]:
        path.chmod(0o444)
        with path.open("rb") as written:
            os.fsync(written.fileno())
    sync_folder(folder / "parquet")
    sync_folder(folder)
    return manifest


def _describe_and_copy(database: duckdb.DuckDBPyConnection, folder: Path, table: gate.TablePlan) -> dict[str, Any]:
    name = identifier(table.name)
    database.execute(f"comment on table {name} is {quoted(table.description)}")
    for column in table.columns:
        database.execute(f"comment on column {name}.{identifier(column.name)} is {quoted(column.description)}")
    file = f"parquet/{table.name}.parquet"
    database.execute(f"copy {name} to {quoted(folder / file)} (format parquet, compression zstd)")
    digest, count = content_hash(database, name)
    return {"name": table.name, "file": file, "rows": count, "content_hash": digest, "columns": len(table.columns)}


def _point(releases_dir: Path, folder: Path) -> None:
    write_json(
        releases_dir / POINTER,
        {
            "release_id": folder.name,
            "manifest_sha256": sha256_file(folder / MANIFEST),
            "published_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        },
    )


def _clean(releases_dir: Path) -> None:
    """Remove what a killed publication left. The caller holds the night's lock, so nobody is building here."""
    for pattern in (".building-*", ".removing-*"):
        for leftover in releases_dir.glob(pattern):
            shutil.rmtree(leftover)
    for torn in releases_dir.glob(f".{POINTER}.*.tmp"):
        torn.unlink()


def _shown_before(releases_dir: Path) -> Path:
    """What readers know from the release before; what that one knew is in it already.

    A damaged pointer makes nobody forget: then it is the newest release that is there.
    """
    try:
        before = current_release(releases_dir).folder
    except ReleaseError:
        before = max(releases(releases_dir), key=lambda p: p.stat().st_mtime_ns, default=releases_dir)
    return before / partners.GOVERNANCE / partners.SHOWN


def _keep(releases_dir: Path, keep: int, governance: partners.Governance | None) -> None:
    """Remove all but the ``keep`` newest releases; the current one always stays."""
    current = current_release(releases_dir).release_id
    newest_first = sorted(releases(releases_dir), key=lambda p: (p.name == current, p.stat().st_mtime_ns), reverse=True)
    for folder in newest_first[keep:]:
        if governance is not None and not governance.is_replay:
            accounting.certify_destruction(Home(governance.vault.parent), folder, governance.day)
        _remove(folder)


def _remove(folder: Path) -> None:
    leaving = folder.with_name(f".removing-{folder.name}")
    # One rename takes it away whole; a reader that has it open keeps reading.
    os.rename(folder, leaving)
    shutil.rmtree(leaving)


def destroy(home: Home, names: Sequence[str], day: dt.date) -> None:
    """Destroy earlier releases of ``home``, certified for ``day``. The caller holds the night's lock.

    Raises :class:`ReleaseError`, with nothing destroyed, when one of ``names`` is the current release or none at all.
    """
    there = {p.name: p for p in releases(home.releases_dir)}
    current = current_release(home.releases_dir).release_id
    for name in names:
        if name == current:
            raise ReleaseError(f"{name} is the current release: publish another one first")
        if name not in there:
            raise ReleaseError(f"there is no release {name}")
    for name in names:
        accounting.certify_destruction(home, there[name], day)
        _remove(there[name])


def releases(releases_dir: Path) -> list[Path]:
    """Folders of all published releases, by name (cut-off first)."""
    if not releases_dir.is_dir():
        return []
    return sorted(p for p in releases_dir.iterdir() if p.is_dir() and not p.name.startswith("."))


def current_release(releases_dir: Path) -> Release:
    """The release the pointer names. Raises :class:`ReleaseError` when none was published."""
    pointer = releases_dir / POINTER
    try:
        name = str(json.loads(pointer.read_text(encoding="utf-8"))["release_id"])
    except FileNotFoundError as error:
        raise ReleaseError("nothing has been published yet: run `kinweave run`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{POINTER} is damaged: run `kinweave run` to publish again") from error
    if Path(name).name != name:
        raise ReleaseError(f"{POINTER} points outside the releases folder")
    folder = releases_dir / name
    return Release(name, folder, read_manifest(folder), is_new=False)
