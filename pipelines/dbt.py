"""Running dbt inside this process, and turning what it reports into Dagster events.

A dbt start costs seconds and a parse as many again; a night needs two invocations and a demo six, so the manifest is
parsed once per process and handed to dbt's own runner. Each deployment has its own target folder: two never mix.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.settings import export, get_settings
from pipelines.storage import Workspace

#: Given to dbt when only the graph is wanted: parsing asks for the value, nothing is run with it.
_PARSE_CUTOFF = "2000-01-01"
_STAMP = "project.sha256"
_one_at_a_time = threading.Lock()


class DbtError(Exception):
    """dbt could not do it. The message names models or tests; never a value."""

    def __init__(self, message: str, *, is_locked: bool = False) -> None:
        super().__init__(message)
        self.is_locked = is_locked


@dataclass
class Outcome:
    """What one invocation did: raw events for Dagster, and the names of what failed."""

    events: list[dict[str, Any]] = field(default_factory=list)
    failed_models: list[str] = field(default_factory=list)
    failed_tests: list[str] = field(default_factory=list)


def target_dir(workspace: Workspace) -> Path:
    """dbt's own artefacts: manifest, compiled SQL, run results."""
    return workspace.root / "warehouse" / "dbt"


@cache
def project_fingerprint(project: Path) -> str:
    """SHA-256 over the project's files, read once per process."""
    digest = hashlib.sha256()
    for path in sorted(project.rglob("*")):
        if path.suffix in (".sql", ".yml", ".csv", ".md") and "target" not in path.relative_to(project).parts:
            digest.update(path.relative_to(project).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


_manifests: dict[str, Any] = {}


def _invoke(workspace: Workspace, arguments: list[str], manifest: Any = None, callbacks: Any = None) -> Any:
    """One dbt command in this process. The manifest, when given, spares the parse."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    export(KINWEAVE_WORKSPACE=str(workspace.root))
    workspace.warehouse.parent.mkdir(parents=True, exist_ok=True)
    project, target = get_settings().dbt_project, target_dir(workspace)
    common = [
        *("--project-dir", str(project), "--profiles-dir", str(project)),
        *("--target-path", str(target), "--log-path", str(target)),
        # Events go to Dagster; dbt's own log would be a second copy to guard.
        *("--log-level-file", "none", "--log-level", "none", "--no-use-colors"),
    ]
    with _one_at_a_time:
        try:
            return dbtRunner(manifest=manifest, callbacks=callbacks or []).invoke([*arguments, *common])
        finally:
            # The adapter keeps the file open after a run, and readers would be locked out.
            environment = DuckDBConnectionManager._ENV
            if environment is not None:
                environment.close()
                DuckDBConnectionManager._ENV = None


def _load(workspace: Workspace) -> Any:
    """dbt's manifest object for ``workspace``, parsed at most once per process."""
    fingerprint = project_fingerprint(get_settings().dbt_project)
    key = f"{workspace.root}:{fingerprint}"
    if key not in _manifests:
        # Always the same variables: other ones would make dbt throw its saved parse away. Runs bring their own.
        result = _invoke(workspace, ["parse", "--vars", json.dumps({"cutoff": _PARSE_CUTOFF})])
        if not result.success:
            raise DbtError(f"dbt cannot parse {get_settings().dbt_project}: {_first_line(result.exception)}")
        _manifests[key] = result.result
        (target_dir(workspace) / _STAMP).write_text(fingerprint)
    return _manifests[key]


def lend_manifest(workspace: Workspace, other: Workspace) -> None:
    """Let runs in ``other`` use what was parsed for ``workspace``: the sources' paths are all that differs.

    Spares a second parse. For workspaces that are thrown away: ``other`` gets no ``manifest.json``.
    """
    manifest = _load(workspace).deepcopy()
    for source in manifest.sources.values():
        for meta in (source.meta, source.config.meta, source.source_meta):
            if "external_location" in meta:
                meta["external_location"] = meta["external_location"].replace(
                    _in_sql(workspace.root), _in_sql(other.root)
                )
    _manifests[f"{other.root}:{project_fingerprint(get_settings().dbt_project)}"] = manifest


def _in_sql(path: Path) -> str:
    return str(path).replace("'", "''")


def manifest_path(workspace: Workspace) -> Path:
    """Path of an up-to-date ``manifest.json`` for ``workspace``; parses the project when it is missing or old."""
    path, stamp = target_dir(workspace) / "manifest.json", target_dir(workspace) / _STAMP
    is_current = stamp.exists() and stamp.read_text() == project_fingerprint(get_settings().dbt_project)
    if not (path.exists() and is_current):
        _load(workspace)
    return path


def read_manifest(workspace: Workspace) -> dict[str, Any]:
    """The manifest as plain data: nodes, columns, their documentation and classes."""
    data: dict[str, Any] = json.loads(manifest_path(workspace).read_text(encoding="utf-8"))
    return data


def run(
    command: str,
    workspace: Workspace,
    variables: Mapping[str, Any],
    select: list[str],
    exclude: list[str] | None = None,
) -> Outcome:
    """Invoke ``dbt <command>`` on the workspace's warehouse and wait for it.

    Failed tests of severity ``error`` and failed models are listed in the outcome, not raised. Raises
    :class:`DbtError` when dbt could not start (``is_locked`` when another process holds the warehouse).
    """
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

    outcome = Outcome()

    def on_event(message: Any) -> None:
        if message.info.name in ("LogModelResult", "LogSeedResult", "LogTestResult"):
            outcome.events.append(MessageToDict(message, preserving_proto_field_name=True))

    # The manifest was written by the parse, and writing it again takes as long as ten models.
    arguments = [command, "--no-write-json", "--vars", json.dumps(dict(variables)), "--select", *select]
    if exclude:
        arguments += ["--exclude", *exclude]
    result = _invoke(workspace, arguments, manifest=_load(workspace), callbacks=[on_event])
    if result.exception is not None:
        reason = _first_line(result.exception)
        raise DbtError(f"dbt {command} did not run: {reason}", is_locked="set lock" in str(result.exception))
    for item in result.result.results:
        if str(item.status) in ("error", "runtime error"):
            # Only the kind of error: its text may quote a row.
            kind = re.search(r"\w+ Error", str(item.message))
            outcome.failed_models.append(f"{item.node.name} ({kind.group()})" if kind else item.node.name)
            if "Could not set lock" in str(item.message):
                raise DbtError("another process holds the warehouse", is_locked=True)
        elif str(item.status) == "fail":
            outcome.failed_tests.append(item.node.name)
    return outcome


def _first_line(error: BaseException | None) -> str:
    """The start of dbt's own words about the project's text. Never used for errors about rows."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) or type(error).__name__
