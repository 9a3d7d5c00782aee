"""The measures over a folder of tables: no deployment, no linkage, the same dbt models.

The tables are those of the core marts, by their names and columns; a table or column that is not there counts as empty.
They are loaded into a throw-away warehouse where dbt would have built the marts, and dbt builds the measures on them,
from a copy of the project that holds the measures alone: reading all of it takes many times as long.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import yaml

from pipelines.measures import STANDARD_COLUMNS, registry
from pipelines.settings import Jurisdiction, export, get_settings
from pipelines.storage import Workspace, atomic_path, connect, identifier, quoted

#: Other names a table or its columns may come under.
_TABLE_ALIASES = {"brg_family_member": "bridge_family_person", "brg_source_id": "bridge_source_id"}
_COLUMN_ALIASES = {
    ("bridge_family_person", "valid_from"): "from",
    ("bridge_family_person", "valid_to"): "to",
    ("bridge_source_id", "source_record_id"): "source_id",
}
#: The catalogue has a county on removals, court cases and sites alone. Reports and enrollments without one take, in
#: this order, that of the site, of the child's removal nearest in time, of the child's court case.
_COUNTY_OF_SITE = "(select min(s.county_fips) from core.dim_site as s where s.site_id = t.site_id)"
_COUNTY_OF_CHILD = (
    "(select arg_min(r.county, abs(r.removal_date - t.{day})) from core.fct_removal as r"
    " where r.person_id = t.person_id), "
    "(select arg_min(c.county, abs(c.filed_date - t.{day})) from core.fct_court_case as c"
    " where c.person_id = t.person_id)"
)
_COUNTIES = {
    "fct_cps_report": _COUNTY_OF_CHILD.format(day="report_date"),
    "fct_enrollment_sbct": f"{_COUNTY_OF_SITE}, {_COUNTY_OF_CHILD.format(day='enrolled_date')}",
}
_METRICS = Path("models", "marts", "metrics")
_CORE = Path("models", "marts", "core")
_PROJECT = "dbt_project.yml"


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
    unknown_words: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Target:
    """A relation the measures read: where dbt expects it, its columns and their types, the words of some, its key."""

    schema: str
    name: str
    columns: Mapping[str, str]
    is_seed: bool
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    key: Sequence[str] = ()


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
    project = get_settings().dbt_project
    models, wanted_ids = _models(project, measures)
    targets = _targets(project)
    variables: dict[str, Any] = {**(jurisdiction.parameters.dbt_vars() if jurisdiction else {})}
    variables |= {"cutoff": cutoff.isoformat(), "stale_sources": {}}
    if period:
        variables["metric_periods"] = [{"start": period[0].isoformat(), "end": period[1].isoformat()}]
    result = Result(out, 0)
    with tempfile.TemporaryDirectory(prefix="kinweave-measures-") as scratch:
        workspace = Workspace(Path(scratch))
        workspace.warehouse.parent.mkdir()
        _load(workspace, tables, targets, jurisdiction, result)
        given = [t.name for t in targets.values() if t.is_seed and t.name in result.tables_read]
        _build(_copy(project, workspace.root / "project", models), workspace, variables, given)
        result.rows = _write(workspace, models, wanted_ids, out)
    return result


def _sql_files(project: Path) -> dict[str, Path]:
    """Every measure's SQL, by model."""
    return {path.stem: path for path in sorted((project / _METRICS).rglob("*.sql"))}


def _models(project: Path, measures: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ``met_`` models to read, and the ids to keep of their rows (none: all).

    A model may carry several measures: STB-02a, b and c lie in ``met_stb_02``, and STB-02 asks for all three.
    """
    if not measures:
        return [name for name in _sql_files(project) if name.startswith("met_")], []
    models = {i.upper(): d.model for d in registry.load(project / _METRICS).values() for i in d.ids}
    ids = [measure.strip().upper().replace("_", "-") for measure in measures]
    for asked in ids:
        if asked not in models:
            raise MeasuresError(f"there is no measure {asked}: docs/measures lists them")
    return sorted({models[asked] for asked in ids}), ids


def _copy(project: Path, target: Path, models: Sequence[str]) -> Path:
    """The project with ``models`` and what they read of other measures; the core marts as names only."""
    files = _sql_files(project)
    needed, waiting = set(), list(models)
    while waiting:
        model = waiting.pop()
        if model in needed:
            continue
        needed.add(model)
        sql = files[model].read_text(encoding="utf-8")
        waiting += [name for name in re.findall(r"ref\([\"'](\w+)[\"']\)", sql) if name in files]
        if re.search(r"ref\((?![\"'])", sql):
            # Which measures it compares is decided by a macro.
            waiting += files
    core = target / "models" / "marts" / "core"
    core.mkdir(parents=True)
    for name in (_PROJECT, "profiles.yml"):
        shutil.copy(project / name, target / name)
    for folder in ("macros", "seeds"):
        shutil.copytree(project / folder, target / folder)
    for path in (project / _CORE).glob("*.sql"):
        (core / path.name).write_text("select 1 as nothing", encoding="utf-8")
    for model in needed:
        path = target / files[model].relative_to(project)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files[model], path)
    return target


def _build(project: Path, workspace: Workspace, variables: Mapping[str, Any], given: Sequence[str]) -> None:
    """Let dbt build all of ``project`` but the core marts and the reference tables that were ``given``."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    export(KINWEAVE_WORKSPACE=str(workspace.root))
    target = str(workspace.root / "target")
    arguments = ["build", "--vars", json.dumps(dict(variables)), "--exclude", "fqn:kinweave.marts.core", *given]
    arguments += ["--project-dir", str(project), "--profiles-dir", str(project), "--target-path", target]
    arguments += ["--log-path", target, "--log-level", "none", "--log-level-file", "none", "--no-write-json"]
    try:
        result = dbtRunner().invoke([*arguments, "--no-partial-parse", "--no-use-colors"])
    finally:
        # The adapter keeps the file open after a run.
        environment = DuckDBConnectionManager._ENV
        if environment is not None:
            environment.close()
            DuckDBConnectionManager._ENV = None
    if result.exception is not None:
        raise MeasuresError(f"dbt could not start: {type(result.exception).__name__}")
    results: Any = result.result
    failed = [r.node.name for r in results.results if str(r.status) not in ("success", "pass")]
    if failed:
        raise MeasuresError(f"dbt could not build {', '.join(sorted(failed))}")


def _targets(project: Path) -> dict[str, _Target]:
    """Every core mart and reference table, by name, with the types its YAML declares."""
    targets = {}
    for path in sorted((project / _CORE).glob("*.yml")):
        for model in _yaml(path).get("models", []):
            columns = {column["name"]: str(column["data_type"]) for column in model.get("columns", [])}
            words = {
                column["name"]: test["accepted_values"]["arguments"]["values"]
                for column in model.get("columns", [])
                for test in column.get("data_tests", [])
                if "accepted_values" in test
            }
            keys = [test["key"]["arguments"]["columns"] for test in model.get("data_tests", []) if "key" in test]
            targets[model["name"]] = _Target("core", model["name"], columns, False, words, keys[0] if keys else ())
    for name, config in _yaml(project / _PROJECT)["seeds"]["kinweave"].items():
        if isinstance(config, dict) and "+column_types" in config:
            targets[name] = _Target("reference", name, config["+column_types"], is_seed=True)
    return targets


def _yaml(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


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
        for table, counties in _COUNTIES.items():
            if f"{table}.county" in result.missing_columns:
                database.execute(f"update core.{table} as t set county = coalesce({counties})")


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
    if not known:
        raise MeasuresError(f"{path.name}: not one of its columns is known; CSV files have commas between the columns")
    selected, wrong, unknown = [], [], []
    for name, kind in target.columns.items():
        if name not in known:
            result.missing_columns.append(f"{target.name}.{name}")
            selected.append(f"cast(null as {kind}) as {identifier(name)}")
            continue
        value = identifier(known[name])
        if name in target.words:
            # The catalogue's words, however they are written: reun is REUN.
            word = f"upper(trim({value}::varchar))"
            listed = ", ".join(map(quoted, target.words[name]))
            selected.append(
                f"case when {word} in ({listed}) then {word} else {value}::varchar end as {identifier(name)}"
            )
            unknown.append((name, f"count(*) filter (where {word} not in ({listed}))"))
            continue
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
    if unknown:
        counts = database.execute(f"select {', '.join(sql for _, sql in unknown)} from given").fetchone() or ()
        result.unknown_words += [
            f"{target.name}.{name}: {count} none of {', '.join(target.words[name])}"
            for (name, _), count in zip(unknown, counts, strict=True)
            if count
        ]
    database.execute(f"create table {relation} as select {', '.join(selected)} from given")
    database.execute("drop table given")
    _check_key(database, path, target, relation)


def _check_key(database: duckdb.DuckDBPyConnection, path: Path, target: _Target, relation: str) -> None:
    """Every join would multiply the rows of a key that stands there twice. Raises :class:`MeasuresError`.

    A key with a day in it is left alone: the catalogue lets spans of one person overlap.
    """
    names = [re.findall(r"\w+", part) for part in target.key]
    if not target.key or any(target.columns.get(word) in ("date", "timestamp") for part in names for word in part):
        return
    plain = [column for column in target.columns if any(column in part for part in names)]
    parts = ", ".join(target.key)
    given = " and ".join(f"{part} is not null" for part in target.key)
    counted = f"select count(*) from (select 1 from {relation} where {given} group by {parts} having count(*) > 1)"
    twice = (database.execute(counted).fetchone() or (0,))[0]
    if twice:
        columns = f"column {plain[0]}" if len(plain) == 1 else f"columns {', '.join(plain)}"
        raise MeasuresError(f"{path.name}: {columns}: keys that stand there more than once: {twice}")


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
