"""Partners' folders of a release, written by hand from the agreements: a few rows, each of which says whose it is.

Reads the YAML itself, with none of the code that grants.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import yaml

from pipelines.releases.manifest import FORMAT, MANIFEST, sha256_file
from pipelines.releases.signing import public_key, sign, signing_key
from pipelines.storage import identifier, quoted, write_json

DEMO = Path(__file__).parents[2] / "pipelines" / "demo" / "deployment" / "agreements"
#: A time zone in which it is about noon, so that no midnight falls into the tests; and the date there.
_AHEAD = 12 - dt.datetime.now(dt.UTC).hour
ZONE = f"Etc/GMT{-_AHEAD:+d}" if _AHEAD else "Etc/GMT"
TODAY = dt.datetime.now(ZoneInfo(ZONE)).date()
DICTIONARY = ("table_name", "column_name", "data_type", "classes", "description")


def read_agreements(folder: Path) -> dict[str, dict[str, Any]]:
    """Agreement by ID, as plain YAML."""
    documents = [yaml.safe_load(p.read_text()) for p in sorted(folder.glob("*.yml")) if p.name != "parties.yml"]
    return {d["agreement"]: d for d in documents}


def copy_agreements(folder: Path, only: Iterable[str] = (), **changed: Mapping[str, Any]) -> Path:
    """The demo's agreements, begun a while ago and holding for a while; ``changed`` by recipient."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.yml"):
        old.unlink()
    (folder / "parties.yml").write_text((DEMO / "parties.yml").read_text())
    for agreement in read_agreements(DEMO).values():
        recipient = agreement["parties"]["recipient"]
        if only and recipient not in only:
            continue
        agreement |= {"effective": TODAY - dt.timedelta(100), "expires": TODAY + dt.timedelta(100)}
        for approval in agreement.get("tribal_approvals", []):
            approval |= {"date": TODAY - dt.timedelta(100), "until": TODAY + dt.timedelta(100)}
        agreement |= dict(changed.get(recipient, {}))
        (folder / f"{recipient}.yml").write_text(yaml.safe_dump(agreement, sort_keys=False, allow_unicode=True))
    return folder


def sql_type(column: str) -> str:
    if column.endswith(("_date", "_start", "_end", "cutoff")) or column in ("dob", "start", "end"):
        return "date"
    if column.endswith(("_count", "_no")) or column in ("numerator", "denominator", "seq", "prior_removals"):
        return "integer"
    if column in ("value", "ci_low", "ci_high"):
        return "double"
    return "boolean" if column.startswith("is_") or column in ("attended", "invited", "attended_flag") else "varchar"


def value(column: str, mark: str, number: int) -> str:
    """SQL for row ``number``; every text holds ``mark``."""
    return {
        "date": f"date '2026-01-01' + ({number})::int",
        "integer": f"({number})::integer",
        "double": f"({number}) / 7.0::double",
        "boolean": f"nullif({number} % 3, 2) = 1",
        "varchar": f"case when {number} % 5 <> 4 then {quoted(mark)} || ' ' || ({number}) end",
    }[sql_type(column)] + f" as {identifier(column)}"


def write_release(
    root: Path,
    agreements: Path,
    release_id: str = "2026-09-30-aaaaaaaaaa",
    rows: Mapping[str, int] | None = None,
    mark: str = "canary",
) -> Path:
    """``<root>/<release_id>/partners``: a folder for the recipient of every agreement; texts begin with ``mark``.

    Three rows a table, or as many as ``rows`` says by recipient. The vault with the signing key is ``root``.
    """
    partners = root / release_id / "partners"
    for agreement in read_agreements(agreements).values():
        recipient = agreement["parties"]["recipient"]
        folder = partners / recipient
        folder.mkdir(parents=True)
        tables = []
        count = (rows or {}).get(recipient, 3)
        with duckdb.connect(str(folder / "kinweave.duckdb")) as database:
            database.execute("begin")
            database.execute(f"create table data_dictionary ({', '.join(f'{c} varchar' for c in DICTIONARY)})")
            for table, dataset in agreement["datasets"].items():
                columns = ", ".join(value(c, f"{mark} {recipient}", "i") for c in dataset["columns"])
                database.execute(f"create table {identifier(table)} as select {columns} from range({count}) t(i)")
                database.execute(f"comment on table {identifier(table)} is 'It''s a table; \"quoted\"'")
                for column in dataset["columns"]:
                    database.execute("insert into data_dictionary values (?, ?, ?, 'none', 'A column.')",
                                     [table, column, sql_type(column)])  # fmt: skip
                tables.append({"name": table, "file": f"parquet/{table}.parquet", "rows": count,
                               "agreement": agreement["agreement"]})  # fmt: skip
            database.execute("commit")
        write_manifest(folder, root, release_id, recipient, tables)
    return partners


def write_manifest(folder: Path, vault: Path, release_id: str, partner: str, tables: list[dict[str, Any]]) -> None:
    """Write and sign the folder's manifest."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(MANIFEST)]
    write_json(
        folder / MANIFEST,
        {
            "format": FORMAT,
            "release_id": release_id,
            "partner": partner,
            "cut_off": "2026-09-30",
            "tables": tables,
            "files": {
                p.relative_to(folder).as_posix(): {"sha256": sha256_file(p), "bytes": p.stat().st_size} for p in files
            },
        },
    )
    sign(folder, signing_key(vault))


__all__ = ["public_key"]
