"""A warehouse of two marts, small enough to count by hand, and what publishing it needs."""

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb

from expectations.contract import Contract
from pipelines.releases import Release, publish
from pipelines.storage import Home

CUT = dt.date(2026, 10, 31)
SECRET = b"a secret of the tests"


def contract() -> Contract:
    """A court that delivers one table: a docket number, a name, a birth date, a plea."""
    return Contract.model_validate(
        {
            "system": "court",
            "title": "Court",
            "description": "A small court.",
            "version": "1",
            "steward": {"office": "Clerk"},
            "delivery": {},
            "tables": {
                "cases": {
                    "name": "cases",
                    "description": "Cases.",
                    "grain": "one row per case",
                    "file": "cases_{date}.csv",
                    "key": ["docket_no"],
                    "delivery": {},
                    "columns": [
                        {"name": "docket_no", "description": "Docket.", "sensitivity": "source_key"},
                        {"name": "party_name", "description": "Name.", "sensitivity": "direct_id"},
                        {"name": "street", "description": "Street.", "sensitivity": "direct_id"},
                        {"name": "plea", "description": "Plea.", "sensitivity": "court"},
                    ],
                }
            },
        }
    )


def column(sensitivity: str | None = "none", description: str = "A column.") -> dict[str, Any]:
    return {"description": description, "meta": {"sensitivity": sensitivity} if sensitivity else {}}


def manifest(**changed: dict[str, Any]) -> dict[str, Any]:
    """dbt's manifest of the two marts; ``changed`` replaces the documented columns of one."""
    marts: dict[str, dict[str, Any]] = {
        "dim_child": {"person_id": column(), "dob": column("quasi_id"), "sex": column("quasi_id")},
        "fct_case": {"person_id": column(), "case_id": column("source_key"), "days": column(), "plea": column("court")},
        **changed,
    }
    return {
        "nodes": {
            f"model.kinweave.{name}": {
                "name": name,
                "alias": name,
                "resource_type": "model",
                "schema": "core",
                "fqn": ["kinweave", "marts", "core", name],
                "config": {"materialized": "table"},
                "description": f"Grain of {name}.",
                "columns": columns,
            }
            for name, columns in marts.items()
        }
    }


def build(root: Path, cases: int = 20) -> Home:
    """Fill ``root`` with a warehouse of ``cases`` cases and the raw table they came from."""
    home = Home(root)
    home.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(home.warehouse)) as database:
        database.execute("create schema if not exists core")
        database.execute(
            "create or replace table core.dim_child as"
            " select 'P' || i as person_id, date '2024-01-17' + i::int as dob, ['F', 'M'][1 + i % 2] as sex"
            f" from range({cases}) t(i)"
        )
        database.execute(
            "create or replace table core.fct_case as"
            " select 'P' || i as person_id, 'JD-2024-' || (1000 + i) as case_id, i / 7.0 as days, 'ADMIT' as plea"
            f" from range({cases}) t(i)"
        )
        raw = home.current("court", "cases")
        raw.parent.mkdir(parents=True, exist_ok=True)
        database.execute(
            "copy (select 'JD-2024-' || (1000 + i) as docket_no, 'CANARY, CORA' as party_name,"
            f" '77 Canary Row' as street, 'ADMIT' as plea from range({cases}) t(i)) to '{raw}' (format parquet)"
        )
    return home


def publish_it(home: Home, **changed: Any) -> Release:
    settings: dict[str, Any] = {
        "cut": CUT,
        "dbt_manifest": manifest(),
        "contracts": {"court": contract()},
        "secret": SECRET,
        "provenance": {"inputs": [], "code_version": "test"},
        **changed,
    }
    return publish(home, home.releases_dir, **settings)
