"""One dbt build over empty deliveries, shared by the tests of this room.

The empty Parquet files come from the contracts, so a new source or column needs no change here.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations.contract import load_contracts
from expectations.vocabulary import SQL_TYPES

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
CUTOFF = dt.date(2026, 9, 30)

#: Ways in which a measure waits for its follow-up, and the last day a period may end to be judged at the cut-off.
LAST_MATURE = {
    "at once": dt.date(2026, 9, 30),
    "60 days": dt.date(2026, 8, 1),
    "90 days": dt.date(2026, 7, 2),
    "6 months": dt.date(2026, 3, 31),
    "12 months": dt.date(2025, 9, 30),
    "18 months": dt.date(2025, 3, 31),
    "24 months": dt.date(2024, 9, 30),
    "36 months": dt.date(2023, 9, 30),
    "183 days and 6 months": dt.date(2025, 9, 29),
    "183 days and 12 months": dt.date(2025, 3, 31),
}


def periods() -> list[dict[str, str]]:
    """For each way of waiting a period that just ripened and one that ends a day later; no two begin on one day."""
    ends = sorted({end + dt.timedelta(days=late) for end in LAST_MATURE.values() for late in (0, 1)})
    found = [(end.replace(day=1) - dt.timedelta(days=i), end) for i, end in enumerate(ends, start=1)]
    # Two measures wait from the first day of the period.
    found += [(day, day + dt.timedelta(days=30)) for day in (dt.date(2025, 9, 30), dt.date(2025, 10, 1))]
    return [{"start": str(start), "end": str(end)} for start, end in found]


#: What linkage and the jurisdiction hand to the warehouse.
HANDED_OVER = {
    "vault/linkage/person_crosswalk": {
        "source_system": "varchar",
        "source_record_id": "varchar",
        "person_id": "varchar",
        "match_probability": "double",
        "valid_from": "date",
        "valid_to": "date",
    },
    "vault/linkage/person_facts": {
        "source_system": "varchar",
        "source_record_id": "varchar",
        "person_id": "varchar",
        "record_role": "varchar",
        "birth_date": "date",
        "is_birth_date_estimated": "boolean",
        "death_date": "date",
        "sex": "varchar",
        "county": "varchar",
        "zip3": "varchar",
        "is_sealed": "boolean",
        "has_ssn": "boolean",
        "has_placeholder_name": "boolean",
    },
    "vault/linkage/parent_child": {
        "child_person_id": "varchar",
        "parent_person_id": "varchar",
        "role": "varchar",
        "evidence": "varchar",
        "source_system": "varchar",
        "valid_from": "date",
        "valid_to": "date",
    },
    "vault/linkage/family_member": {
        "family_id": "varchar",
        "person_id": "varchar",
        "role": "varchar",
        "valid_from": "date",
        "valid_to": "date",
        "evidence": "varchar",
        "source_system": "varchar",
        "confidence": "double",
    },
    "quality/linkage_ranges": {
        "metric_id": "varchar",
        "variant": "varchar",
        "period_start": "date",
        "period_end": "date",
        "stratum_type": "varchar",
        "stratum_value": "varchar",
        "value_low": "double",
        "value_high": "double",
    },
    "config/sites": {
        "site_id": "varchar",
        "site_name": "varchar",
        "county_fips": "varchar",
        "launched_date": "date",
    },
}


@dataclass(frozen=True)
class Built:
    """A finished build: its folder, dbt's manifest and the status and message of every node."""

    workspace: Path
    manifest: dict[str, Any]
    results: dict[str, tuple[str, str]]

    def failures(self, kind: str) -> list[str]:
        """Names and messages of the nodes of ``kind`` that did not succeed."""
        return [
            f"{unique_id.split('.')[2]}: {message}"
            for unique_id, (status, message) in sorted(self.results.items())
            if unique_id.startswith(f"{kind}.") and status not in ("success", "pass", "warn")
        ]


def write_empty(connection: duckdb.DuckDBPyConnection, path: Path, columns: dict[str, str]) -> None:
    """A Parquet file with these columns and no row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    selected = ", ".join(f'cast(null as {kind}) as "{name}"' for name, kind in columns.items())
    connection.execute(f"copy (select {selected} where false) to '{path}' (format parquet)")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The project built over empty deliveries, unit tests and data tests included."""
    return build(tmp_path_factory.mktemp("workspace"))


def build(workspace: Path) -> Built:
    """Build the project over empty deliveries in the empty folder ``workspace``, unit tests and data tests included."""
    with duckdb.connect() as connection:
        for system, contract in load_contracts().items():
            for table in contract.tables.values():
                columns = {column.name: SQL_TYPES[column.type] for column in table.columns}
                columns |= {"_delivery_id": "varchar", "_line": "bigint", "_delivered_on": "date"}
                write_empty(connection, workspace / "raw" / "current" / system / f"{table.name}.parquet", columns)
        for name, columns in HANDED_OVER.items():
            write_empty(connection, workspace / f"{name}.parquet", columns)
    (workspace / "warehouse").mkdir()
    target = workspace / "target"
    environment = {**os.environ, "KINWEAVE_WORKSPACE": str(workspace), "DO_NOT_TRACK": "1"}
    finished = subprocess.run(
        [
            *(sys.executable, str(Path(__file__).with_name("dbt_flat.py")), "build"),
            # What staging writes for linkage lies outside the warehouse.
            *("--exclude", "config.materialized:external"),
            *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
            *("--target-path", str(target), "--log-path", str(target)),
            *("--vars", json.dumps({"cutoff": str(CUTOFF), "metric_periods": periods()}), "--no-use-colors", "--quiet"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if not (target / "run_results.json").exists():
        pytest.fail(f"dbt did not run:\n{finished.stdout[-4000:]}\n{finished.stderr[-2000:]}")
    outcome = json.loads((target / "run_results.json").read_text(encoding="utf-8"))
    return Built(
        workspace=workspace,
        manifest=json.loads((target / "manifest.json").read_text(encoding="utf-8")),
        results={r["unique_id"]: (r["status"], r["message"] or "") for r in outcome["results"]},
    )
