"""How far the linked measures hang on the linkage threshold (catalogue C14).

The warehouse is built twice more, with the people of a lower and of a higher threshold, and the values of the linked
measures are kept. The night does it before it builds the warehouse, whose measures' rows carry the range; where
jurisdiction.yml says ``linkage_ranges: false`` it does not, for two more builds take their time.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pipelines import dbt
from pipelines.measures import RANGE_KEY, registry
from pipelines.night import Night, NightError
from pipelines.storage import Workspace, atomic_path, connect, quoted

#: Where the ranges are kept, below ``quality/``.
FILE = "linkage_ranges.parquet"
ALTERNATES = "person_crosswalk_alternates.parquet"
THRESHOLDS = ("low", "high")
_KEY = ", ".join(RANGE_KEY)
_COLUMNS = (
    "metric_id varchar, variant varchar, period_start date, period_end date, stratum_type varchar,"
    " stratum_value varchar, value_low double, value_high double"
)


def write_ranges(night: Night, *, empty: bool = False) -> int:
    """Write ``quality/linkage_ranges.parquet`` of the night's workspace: a row for each number of a linked measure.

    Columns: the standard row's key, ``value_low`` and ``value_high``, the smaller and the larger value at the two other
    thresholds. A number that has no value at one of them, or a small cell, has no row. ``empty``: no rows at all.
    Returns the number of rows. Raises :class:`NightError` when linkage left no people at other thresholds or dbt could
    not build with them.
    """
    workspace = night.workspace
    workspaces: dict[str, Workspace] = {}
    linked: list[str] = []
    if not empty:
        if not (workspace.linkage_dir / ALTERNATES).exists():
            raise NightError(f"{workspace.linkage_dir / ALTERNATES} is missing: run a night first")
        tiers = night.jurisdiction.parameters.measure_tiers
        definitions = registry.load().values()
        linked = [d.model for d in definitions if d.linkage_scope == "linked" and (tiers is None or d.tier in tiers)]
        workspaces = {threshold: _built(night, threshold, linked) for threshold in THRESHOLDS}
    workspace.quality_dir.mkdir(parents=True, exist_ok=True)
    with connect() as database:
        database.execute(f"create table ranges ({_COLUMNS})")
        for threshold, built in workspaces.items():
            database.execute(f"attach {quoted(built.warehouse)} as {threshold} (read_only)")
        if linked:
            values = " union all ".join(
                f"select {_KEY}, value, suppress_flag from {threshold}.metrics.{model}"
                for threshold in workspaces
                for model in linked
            )
            # What may not be shown at a threshold is not in the range: the range would tell it.
            database.execute(
                f"insert into ranges select {_KEY}, round(min(value), 9), round(max(value), 9) from ({values})"
                " group by all having count(value) = 2 and not bool_or(suppress_flag)"
            )
        with atomic_path(workspace.quality_dir / FILE) as temporary:
            database.execute(f"copy (select * from ranges order by all) to {quoted(temporary)} (format parquet)")
        count = int((database.execute("select count(*) from ranges").fetchone() or (0,))[0])
    for built in workspaces.values():
        shutil.rmtree(built.root)
    return count


def _built(night: Night, threshold: str, models: list[str]) -> Workspace:
    workspace = Workspace(night.home.scratch_dir / f"threshold-{threshold}")
    shutil.rmtree(workspace.root, ignore_errors=True)
    workspace.current_dir.parent.mkdir(parents=True)
    workspace.current_dir.symlink_to(night.workspace.current_dir, target_is_directory=True)
    shutil.copytree(night.workspace.config_dir, workspace.config_dir)
    people_at(night.workspace.linkage_dir, threshold, workspace.linkage_dir)
    dbt.lend_manifest(night.workspace, workspace)
    outcome = dbt.run(
        "build",
        workspace,
        night.dbt_vars(),
        [f"+{model}" for model in models],
        ["resource_type:test", "resource_type:unit_test", "config.materialized:external"],
    )
    if outcome.failed_models:
        raise NightError(f"dbt could not build {', '.join(outcome.failed_models)} at the {threshold} threshold")
    return workspace


def people_at(linkage_dir: Path, threshold: str, target: Path) -> None:
    """Write the linkage tables dbt reads to ``target``, with the people of ``threshold`` (``low`` or ``high``).

    Whoever is split keeps the family and the parents of the person the records were published under; whoever is joined
    has those of both.
    """
    target.mkdir(parents=True, exist_ok=True)
    with connect() as database:
        for name in ("person_crosswalk", "person_facts", "parent_child", "family_member", "match_rates"):
            database.execute(f"create view {name} as from read_parquet({quoted(linkage_dir / f'{name}.parquet')})")
        database.execute(
            "create table other as select source_system, source_record_id, person_id from"
            f" read_parquet({quoted(linkage_dir / ALTERNATES)}) where threshold = ?",
            [threshold],
        )
        database.execute(
            "create table named as"
            " select distinct c.person_id as published, coalesce(o.person_id, c.person_id) as person"
            " from person_crosswalk as c left join other as o using (source_system, source_record_id)"
        )
        of_records = (
            "select t.* replace (coalesce(o.person_id, t.person_id) as person_id) from {table} as t"
            " left join other as o using (source_system, source_record_id)"
        )
        queries = {
            "person_crosswalk": of_records.format(table="person_crosswalk"),
            "person_facts": of_records.format(table="person_facts"),
            "family_member": "select distinct t.* replace (coalesce(n.person, t.person_id) as person_id)"
            " from family_member as t left join named as n on t.person_id = n.published",
            "parent_child": "select distinct t.* replace (coalesce(c.person, t.child_person_id) as child_person_id,"
            " coalesce(p.person, t.parent_person_id) as parent_person_id) from parent_child as t"
            " left join named as c on t.child_person_id = c.published"
            " left join named as p on t.parent_person_id = p.published",
            "match_rates": "from match_rates",
        }
        for name, query in queries.items():
            path = target / f"{name}.parquet"
            database.execute(f"copy (select * from ({query}) order by all) to {quoted(path)} (format parquet)")
