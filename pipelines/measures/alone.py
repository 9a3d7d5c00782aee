"""The measures over a folder of tables: no deployment, no linkage, the same dbt models.

The tables are those of the core marts, by their names and columns; a table or column that is not there counts as empty.
They are loaded into a throw-away warehouse where dbt would have built the marts, and dbt builds the measures on them.
"""

from __future__ import annotations

import csv
import datetime as dt
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from pipelines import dbt
from pipelines.measures import STANDARD_COLUMNS
from pipelines.settings import Jurisdiction
from pipelines.storage import Workspace, atomic_path, connect, identifier, quoted

#: Other names a table or its columns may come under.
_TABLE_ALIASES = {"brg_family_member": "bridge_family_person", "brg_source_id": "bridge_source_id"}
_COLUMN_ALIASES = {
    ("bridge_family_person", "valid_from"): "from",
    ("bridge_family_person", "valid_to"): "to",
    ("bridge_source_id", "source_record_id"): "source_id",
}
_METRICS = "fqn:kinweave.marts.metrics"
_NO_TESTS = ["resource_type:test", "resource_type:unit_test"]


class MeasuresError(Exception):
    """Tables or a request that do not fit. The message names file, column and rule; never a value."""


@dataclass
class Result:
    """What was written, and what of the folder was not used or not there."""

    out: Path
    rows: int
    tables_read: list[str] = field(default_factory=list)
    missing_tables: list[str] = field(default_factory=list)
    missing_columns: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Target:
    """A relation the measures read: where dbt expects it, and its columns with their SQL types."""

    schema: str
    name: str
    columns: Mapping[str, str]
    is_seed: bool


def compute(
    tables: Path,
    out: Path,
    *,
    cutoff: dt.date,
    period: tuple[dt.date, dt.date] | None = None,
    jurisdiction: Jurisdiction | None = None,
    measures: Sequence[str] = (),
) -> Result:
    """Compute ``measures`` (catalogue ids such as ``PRM-01``; all when none is named) over the folder ``tables``.

    ``tables`` holds ``<table>.parquet`` or ``<table>.csv`` (UTF-8, comma, header, ISO dates, an empty field is null).
    ``period`` is closed on both ends; without one the jurisdiction's periods or the last full federal fiscal years are
    used. Writes the standard rows (catalogue 1.7) to ``out`` (``.csv`` or ``.parquet``). Raises
    :class:`MeasuresError` for an unreadable file, a value of the wrong type, an unknown measure or ending.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise MeasuresError(f"{out.name}: the result is written as .csv or .parquet")
    if period and period[1] < period[0]:
        raise MeasuresError("the period ends before it starts")
    if not tables.is_dir():
        raise MeasuresError(f"{tables} is not a folder")
    workspace = _workspace()
    workspace.warehouse.unlink(missing_ok=True)
    workspace.warehouse.parent.mkdir(parents=True, exist_ok=True)
    manifest = _manifest(workspace)
    models, wanted_ids = _models(manifest, measures)
    targets = _targets(manifest)
    result = Result(out, 0)
    _load(workspace, tables, targets, jurisdiction, result)
    variables: dict[str, Any] = {**(jurisdiction.parameters.dbt_vars() if jurisdiction else {})}
    variables |= {"cutoff": cutoff.isoformat(), "stale_sources": {}}
    if period:
        variables["metric_periods"] = [{"start": period[0].isoformat(), "end": period[1].isoformat()}]
    # Upstream measures and reference tables are built as well; the core marts lie there already.
    select = [f"+{model},{kind}" for model in models for kind in (_METRICS, "resource_type:seed")]
    if not measures:
        select = [_METRICS, "resource_type:seed"]
    given = [t.name for t in targets.values() if t.is_seed and t.name in result.tables_read]
    outcome = dbt.run("build", workspace, variables, select, [*_NO_TESTS, *given])
    if outcome.failed_models:
        raise MeasuresError(f"dbt could not build {', '.join(sorted(outcome.failed_models))}")
    result.rows = _write(workspace, models, wanted_ids, out)
    return result


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="kinweave-measures-")


def _workspace() -> Workspace:
    """One throw-away workspace per process: dbt's reading of the project is kept in it and takes longest."""
    return Workspace(Path(_folder().name))


@cache
def _manifest_of(root: Path, fingerprint: str) -> dict[str, Any]:
    return dbt.read_manifest(Workspace(root))


def _manifest(workspace: Workspace) -> dict[str, Any]:
    return _manifest_of(workspace.root, dbt.project_fingerprint(dbt.get_settings().dbt_project))


def _models(manifest: Mapping[str, Any], measures: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ``met_`` models to read, and the ids to keep of their rows (none: all).

    A model may carry several measures: STB-02a, b and c lie in ``met_stb_02``, so a trailing letter may be left out.
    """
    existing = sorted(n["name"] for n in manifest["nodes"].values() if n["name"].startswith("met_"))
    if not measures:
        return existing, []
    models, ids = [], []
    for measure in measures:
        asked = measure.strip().upper().replace("_", "-")
        name = "met_" + asked.lower().replace("-", "_")
        whole = name if name in existing else name[:-1]
        if whole not in existing:
            raise MeasuresError(f"there is no measure {asked}: docs/measures lists them")
        models.append(whole)
        ids.append(asked)
    return sorted(set(models)), ids


def _targets(manifest: Mapping[str, Any]) -> dict[str, _Target]:
    """Every core mart and reference table, by name, with the types its YAML declares."""
    targets = {}
    for node in manifest["nodes"].values():
        name = node["name"]
        if node["resource_type"] == "model" and node["fqn"][1:3] == ["marts", "core"]:
            columns = {column: str(doc["data_type"]) for column, doc in node["columns"].items()}
            targets[name] = _Target(node["schema"], name, columns, is_seed=False)
        elif node["resource_type"] == "seed" and node["config"].get("column_types"):
            targets[name] = _Target(node["schema"], name, dict(node["config"]["column_types"]), is_seed=True)
    return targets


def _load(
    workspace: Workspace,
    folder: Path,
    targets: Mapping[str, _Target],
    jurisdiction: Jurisdiction | None,
    result: Result,
) -> None:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.suffix.lower() not in (".csv", ".parquet"):
            continue
        name = _TABLE_ALIASES.get(path.stem.lower(), path.stem.lower())
        if name not in targets:
            result.ignored.append(path.name)
        elif name in files:
            raise MeasuresError(f"{files[name].name} and {path.name} are the same table: keep one")
        else:
            files[name] = path
    if not files:
        raise MeasuresError(f"{folder} holds no table: name files like fct_removal.csv or fct_removal.parquet")
    with connect(workspace.warehouse) as database:
        for target in targets.values():
            relation = f"{identifier(target.schema)}.{identifier(target.name)}"
            database.execute(f"create schema if not exists {identifier(target.schema)}")
            if target.name in files:
                _load_file(database, files[target.name], target, relation, result)
                result.tables_read.append(target.name)
            elif not target.is_seed:
                columns = ", ".join(f"{identifier(c)} {kind}" for c, kind in target.columns.items())
                database.execute(f"create table {relation} ({columns})")
                result.missing_tables.append(target.name)
        if jurisdiction and "dim_site" in result.missing_tables and jurisdiction.sites:
            sites = [(s.site_id, s.site_name, s.county_fips, s.launched_date) for s in jurisdiction.sites]
            database.executemany("insert into core.dim_site values (?, ?, ?, ?)", sites)


def _load_file(database: duckdb.DuckDBPyConnection, path: Path, target: _Target, relation: str, result: Result) -> None:
    try:
        given, source = _csv(path) if path.suffix.lower() == ".csv" else _parquet(database, path)
        database.execute(f"create or replace temp table given as select * from {source}")
    except (duckdb.Error, UnicodeDecodeError, csv.Error) as error:
        # DuckDB quotes the line it stumbles over.
        kind = "a comma-separated table in UTF-8 with one header line" if path.suffix.lower() == ".csv" else "Parquet"
        raise MeasuresError(f"{path.name}: cannot be read as {kind}") from error
    known: dict[str, str] = {}
    for column in given:
        plain = column.strip().lower()
        name = _COLUMN_ALIASES.get((target.name, plain), plain)
        if name not in target.columns:
            result.ignored.append(f"{path.name}: column {column}")
        elif name in known:
            raise MeasuresError(f"{path.name}: column {name} stands there twice")
        else:
            known[name] = column
    selected, wrong = [], []
    for name, kind in target.columns.items():
        if name not in known:
            result.missing_columns.append(f"{target.name}.{name}")
            selected.append(f"cast(null as {kind}) as {identifier(name)}")
            continue
        value = identifier(known[name])
        selected.append(f"try_cast({value} as {kind}) as {identifier(name)}")
        wrong.append(
            (name, kind, f"count(*) filter (where {value} is not null and try_cast({value} as {kind}) is null)")
        )
    if wrong:
        counts = database.execute(f"select {', '.join(sql for _, _, sql in wrong)} from given").fetchone() or ()
        bad = [
            f"{path.name}: column {name}: values that are no {kind}{_HINTS.get(kind, '')}: {count}"
            for (name, kind, _), count in zip(wrong, counts, strict=True)
            if count
        ]
        if bad:
            raise MeasuresError("\n".join(bad))
    database.execute(f"create table {relation} as select {', '.join(selected)} from given")
    database.execute("drop table given")


_HINTS = {
    "date": " (write YYYY-MM-DD)",
    "timestamp": " (write YYYY-MM-DD HH:MM:SS)",
    "boolean": " (write true or false)",
}


def _csv(path: Path) -> tuple[list[str], str]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        header = next(csv.reader(handle), [])
    if not header:
        raise MeasuresError(f"{path.name}: is empty, not even a header line")
    if len({column.strip().lower() for column in header}) < len(header):
        raise MeasuresError(f"{path.name}: two columns of its header have one name")
    columns = ", ".join(f"{quoted(column)}: 'varchar'" for column in header)
    # Read as text and cast afterwards: guessed types would turn codes into numbers.
    return header, (
        f"read_csv({quoted(path)}, columns = {{{columns}}}, auto_detect = false, header = true, delim = ',',"
        " quote = '\"', escape = '\"', nullstr = '')"
    )


def _parquet(database: duckdb.DuckDBPyConnection, path: Path) -> tuple[list[str], str]:
    source = f"read_parquet({quoted(path)})"
    names = [str(row[0]) for row in database.execute(f"describe select * from {source}").fetchall()]
    return names, source


def _write(workspace: Workspace, models: Sequence[str], ids: Sequence[str], out: Path) -> int:
    with connect(workspace.warehouse, read_only=True) as database:
        union = " union all by name ".join(f"select * from metrics.{identifier(model)}" for model in models)
        columns = [str(row[0]) for row in database.execute(f"describe {union}").fetchall()]
        ordered = [*STANDARD_COLUMNS, *sorted(set(columns) - set(STANDARD_COLUMNS))]
        # STB-02 asks for STB-02a, b and c; STB-02a for itself alone.
        keep = " or ".join(f"regexp_matches(metric_id, {quoted(f'(?i)^{i}[a-z]?$')})" for i in ids) or "true"
        rows = f"select {', '.join(map(identifier, ordered))} from ({union}) where {keep}"
        order = "metric_id, variant, period_start, stratum_type, stratum_value"
        options = "format parquet" if out.suffix == ".parquet" else "format csv, header"
        with atomic_path(out) as temporary:
            database.execute(f"copy ({rows} order by {order}) to {quoted(temporary)} ({options})")
        return int((database.execute(f"select count(*) from ({rows})").fetchone() or (0,))[0])
