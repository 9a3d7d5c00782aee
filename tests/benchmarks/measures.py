"""All measures over a simulated state: how many times as long as reading their inputs once.

Run as ``python tests/benchmarks/measures.py [--people 1000000] [--removals 100000] [--measure PRM-01 …]``. The core
tables are made up in SQL, so the numbers mean nothing; their sizes and joins do. dbt renders the SQL; what is measured
is DuckDB making each measure's table of it, on one thread, planning included. Printed are all measures against one scan
of all tables and against the sum, over the measures, of one scan of the tables each reads; and the dearest each against
its own tables. A scan reads and hashes every value. At a million people 94 models took 37 scans of all tables,
1.9 times the sum of one scan of each model's own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

sys.path.insert(0, str(Path(__file__).parents[2]))
from pipelines.measures import alone
from pipelines.settings import export, get_settings
from pipelines.storage import Workspace

CUTOFF = dt.date(2026, 9, 30)
PERIOD = (dt.date(2023, 10, 1), dt.date(2024, 9, 30))

#: Table to SQL; {people} and {removals} are counts. A tenth of the people are children, a family has five members.
TABLES = {
    "dim_person": """
        select 'P' || i as person_id,
            date '2026-01-01' - (case when i % 5 = 0 then hash(i) % 2900 else 9000 end)::int as dob,
            case i % 2 when 0 then 'F' else 'M' end as sex, ['WHITE', 'BLACK', 'HISPANIC',
            'AIAN'][1 + i % 4] as race_eth,
            'DOES_NOT_APPLY' as icwa_status
        from range({people}) t(i)""",
    "bridge_family_person": """
        select 'F' || i // 5 as family_id, 'P' || i as person_id,
            ['child', 'mother', 'father', 'child', 'sibling'][1 + i % 5] as role
        from range({people}) t(i)""",
    "bridge_source_id": """
        select 'P' || i as person_id, ['child_welfare', 'court', 'medicaid',
            'behavioral_health'][1 + s] as source_system,
            'S' || i as source_id
        from range({people}) t(i), range(4) u(s) where (i + s) % 3 > 0""",
    "fct_removal": """
        select 'R' || i as removal_id, 'P' || (5 * (i % ({people} // 5))) as person_id,
            date '2020-01-01' + (hash(i) % 2400)::int as removal_date,
            case when i % 5 > 0 then date '2020-01-01' + (hash(i) % 2400)::int + (hash(i + 1) % 900)::int end
                as discharge_date,
            case when i % 5 > 0 then ['REUN', 'REL', 'GUARD', 'ADOPT', 'REUN'][1 + i % 5] end as discharge_reason,
            '0100' || i % 9 as county, i % 2 as prior_removals
        from range({removals}) t(i)""",
    "fct_placement": """
        select r.removal_id, s as seq, r.removal_date + (60 * s)::int as start_date,
            case when s < 2 then r.removal_date + (60 * (s + 1))::int else r.discharge_date end as end_date,
            ['FFH', 'KIN', 'THV'][1 + s] as setting_type,
            'H' || (hash(r.removal_id) + s) % 5000 as provider_id, s = 1 as is_kin
        from fct_removal as r,
            range(3) t(s) where r.discharge_date is null or r.removal_date + (60 * s)::int < r.discharge_date""",
    "fct_cps_report": """
        select 'P' || (5 * (i % ({people} // 5))) as person_id, 'C' || i as report_id,
            date '2020-01-01' + (hash(i) % 2400)::int as report_date,
            case i % 3 when 0 then 'SUBST' else 'UNSUBST' end as disposition, true as is_victim, true as screened_in
        from range({people} // 2) t(i)""",
    "fct_court_case": """
        select 'K' || removal_id as case_id, person_id, 'DEP' as case_type, removal_date + 3 as filed_date,
            discharge_date as closed_date, county
        from fct_removal""",
    "fct_hearing": """
        select case_id, ['SHELTER', 'ADJ', 'DISP', 'REVIEW', 'PERM', 'REVIEW'][1 + s] as hearing_type,
            filed_date + (40 * s)::int as scheduled_date, filed_date + (40 * s)::int as held_date,
            case hash(case_id) % 7 when 0 then 'CONTINUED' else 'HELD' end as outcome,
            'J' || hash(case_id) % 90 as judge_id
        from fct_court_case, range(6) t(s)""",
    "fct_petition": """
        select 'T' || case_id as petition_id, case_id, person_id, 'DEP' as petition_type,
            filed_date from fct_court_case""",
    "fct_enrollment_sbct": """
        select person_id, 'F' || (substr(person_id, 2)::bigint // 5) as family_id,
            'S' || hash(person_id) % 40 as site_id,
            removal_date + 20 as enrolled_date, discharge_date as closed_date, county
        from fct_removal where hash(removal_id) % 5 = 0""",
    "fct_ftm": """
        select 'M' || person_id || s as ftm_id, family_id, enrolled_date + (30 * s)::int as held_date, 'HELD' as status
        from fct_enrollment_sbct, range(8) t(s)""",
    "fct_need": """
        select 'N' || i as need_id, 'P' || (5 * i + 1) % {people} as person_id, ['SUD', 'MH',
            'HOUSING'][1 + i % 3] as need_domain,
            date '2020-01-01' + (hash(i) % 2400)::int as identified_date
        from range({removals}) t(i)""",
    "fct_bh_episode": """
        select person_id, identified_date + (hash(need_id) % 60)::int as admit_date,
            'F1120' as primary_dx from fct_need""",
    "fct_elig_span": """
        select 'P' || i as person_id, date '2019-01-01' as start,
            null::date as "end" from range({people}) t(i) where i % 3 > 0""",
    "fct_claim_line": """
        select 'P' || i % {people} as person_id, 'L' || i as claim_id,
            date '2020-01-01' + (hash(i) % 2400)::int as dos_from,
            ['99391', '99213', '96110', 'H0015', '90834'][1 + i % 5] as cpt_hcpcs, '208000000X' as provider_taxonomy,
            ['Z00129', 'F1120', 'J069'][1 + i % 3] as dx1
        from range({people} * 10) t(i)""",
    "fct_family_time": """
        select person_id, 'P' || (substr(person_id, 2)::bigint + 1) as parent_id,
            (removal_date + (7 * s)::int)::timestamp as scheduled_start,
            'OCCURRED' as status, 60 as minutes, 'office' as setting
        from fct_removal, range(10) t(s)""",
}


def write(folder: Path, people: int, removals: int) -> dict[str, float]:
    """Write the tables; CPU seconds that a full scan of each takes."""
    with duckdb.connect() as database:
        for name, query in TABLES.items():
            database.execute(f"create table {name} as {query.format(people=people, removals=removals)}")
            database.execute(f"copy {name} to '{folder / name}.parquet' (format parquet)")
    scans = {}
    with duckdb.connect(config={"threads": 1}) as database:
        for name in TABLES:
            scans[name] = seconds(database, f"select bit_xor(hash(t)) from '{folder / name}.parquet' as t")
    return scans


def seconds(database: duckdb.DuckDBPyConnection, query: str) -> float:
    """CPU seconds of this process for ``query``."""
    began = time.process_time()
    database.execute(query).fetchall()
    return time.process_time() - began


def render(workspace: Workspace, measures: list[str]) -> dict[str, str]:
    """The SQL of every model the measures need, by name; the reference tables are loaded on the way."""
    source = get_settings().dbt_project
    project = alone._copy(source, workspace.root / "project", alone._models(source, measures)[0])
    target = workspace.root / "target"
    export(KINWEAVE_WORKSPACE=str(workspace.root))
    period = {"start": PERIOD[0].isoformat(), "end": PERIOD[1].isoformat()}
    variables = json.dumps({"cutoff": CUTOFF.isoformat(), "metric_periods": [period], "stale_sources": {}})
    options = ["--vars", variables, "--project-dir", str(project), "--profiles-dir", str(project)]
    options += ["--target-path", str(target), "--log-path", str(target), "--log-level", "none"]
    for command in (["seed"], ["compile", "--exclude", "fqn:kinweave.marts.core"]):
        if not dbtRunner().invoke([*command, *options]).success:
            sys.exit(f"dbt {command[0]} failed: see {target}")
    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
        DuckDBConnectionManager._ENV = None
    return {path.stem: path.read_text() for path in (target / "compiled").rglob("metrics/**/*.sql")}


def after_what_they_read(models: dict[str, str]) -> list[str]:
    """The models' names, those that others compare first."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name not in ordered:
            for other in sorted(models.keys() & set(re.findall(r'"metrics"\."(\w+)"', models[name]))):
                visit(other)
            ordered.append(name)

    for name in sorted(models):
        visit(name)
    return ordered


def main() -> None:
    """Print CPU seconds for one scan and for all measures, the ratio, and the dearest measures."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--people", type=int, default=1_000_000)
    options.add_argument("--removals", type=int, default=100_000)
    options.add_argument("--measure", action="append", default=[])
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch))
        folder = workspace.root / "tables"
        folder.mkdir()
        workspace.warehouse.parent.mkdir()
        scans = write(folder, asked.people, asked.removals)
        began = time.process_time()
        alone._load(workspace, folder, alone._targets(get_settings().dbt_project), None, alone.Result(folder, 0))
        loaded = time.process_time() - began
        models = render(workspace, asked.measure)
        spent = {}
        with duckdb.connect(str(workspace.warehouse), config={"threads": 1}) as database:
            database.execute("set TimeZone = 'UTC'; create schema if not exists metrics")
            for name in after_what_they_read(models):
                spent[name] = seconds(database, f"create table metrics.{name} as ({models[name]}\n)")
    scan, work = sum(scans.values()), sum(spent.values())
    own = {
        name: sum(scans.get(table, 0) for table in set(re.findall(r'"core"\."(\w+)"', sql)))
        for name, sql in models.items()
    }
    print(f"CPU seconds: one scan of the tables {scan:.1f}, loading them into a warehouse {loaded:.1f},")
    print(f"{len(spent)} models {work:.1f}: {work / scan:.1f} scans, {work / scan / len(spent):.2f} each.")
    reads = sum(own.values())
    print(f"One scan of each model's own tables comes to {reads:.1f}: {work / reads:.1f} times that.")
    print("The dearest:")
    for name, cost in sorted(spent.items(), key=lambda item: -item[1])[:10]:
        print(
            f"  {name} {cost:.2f}: {cost / own[name]:.1f} scans of its own tables"
            if own[name]
            else f"  {name} {cost:.2f}"
        )


if __name__ == "__main__":
    main()
