"""Numbers that moved between two releases, with the rows that moved them."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations.compile.sql import duckdb_schema
from expectations.contract import Contract
from pipelines.releases.restatement import compare, read_report, write_report
from pipelines.storage import Home, append_jsonl

CONTRACT = Contract.model_validate(
    {
        "system": "child_welfare",
        "title": "Agency",
        "description": "An agency with one table.",
        "version": "1",
        "steward": {"office": "Data office"},
        "delivery": {},
        "tables": {
            "removals": {
                "name": "removals",
                "description": "Removals.",
                "grain": "one row per removal",
                "file": "removals_{date}.csv",
                "key": ["removal_id"],
                "delivery": {},
                "columns": [
                    {"name": "removal_id", "description": "Removal.", "sensitivity": "source_key"},
                    {"name": "removal_date", "type": "date", "description": "Day.", "sensitivity": "cw_case"},
                    {"name": "exit_date", "type": "date", "description": "Day.", "sensitivity": "cw_case"},
                    {"name": "record_status", "description": "A or V.", "sensitivity": "none"},
                    {"name": "extract_run_id", "description": "Run.", "sensitivity": "none"},
                ],
            }
        },
    }
)
JUNE = [
    ("stays", "2026-01-01", None, "A", "1"),
    ("is corrected", "2026-01-02", "2026-02-01", "A", "1"),
    ("is completed", "2026-01-03", None, "A", "1"),
    ("is voided", "2026-01-04", None, "A", "1"),
    ("is deleted", "2026-01-05", None, "A", "1"),
]
JULY = [
    ("stays", "2026-01-01", None, "A", "2"),
    ("is corrected", "2026-01-02", "2026-03-01", "A", "2"),
    ("is completed", "2026-01-03", "2026-07-01", "A", "2"),
    ("is voided", "2026-01-04", None, "V", "2"),
    ("is late", "2026-02-06", None, "A", "2"),
    ("is new", "2026-07-06", None, "A", "2"),
]


def deliver(home: Home, delivery_id: str, day: str, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    """One accepted delivery of the table, as landing leaves it."""
    table = CONTRACT.tables["removals"]
    path = home.delivery("child_welfare", "removals", delivery_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as database:
        columns = ", ".join(f"{name} {kind}" for name, kind in duckdb_schema(table, provenance=True).items())
        database.execute(f"create table t ({columns})")
        lines = [(*row, delivery_id, number, day) for number, row in enumerate(rows, 2)]
        database.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?, ?)", lines)
        database.execute(f"copy t to '{path}' (format parquet)")
    line = {"system": "child_welfare", "table": "removals", "delivery_id": delivery_id}
    file = {"file": f"removals_{day}.csv", "delivery_date": day, "received_on": day, "status": "accepted"}
    append_jsonl(home.delivery_log, [{**line, **file}])
    return line


def release(folder: Path, inputs: list[dict[str, Any]], rows: list[str], **manifest: Any) -> Path:
    """A release of nothing but measures: rows of metric, version, period, stratum, numerator, denominator."""
    (folder / "parquet").mkdir(parents=True)
    with duckdb.connect() as database:
        values = ", ".join(rows)
        database.execute(
            "copy (select metric_id, version as metric_version, 'warehouse' as variant,"
            " cast(start as date) as period_start, cast(start as date) + 364 as period_end,"
            " 'all' as stratum_type, stratum as stratum_value, x as numerator,"
            " n as denominator, cast(x as double) / n as value, x between 1 and 10 as suppress_flag"
            f" from (values {values}) as t(metric_id, version, start, stratum, x, n))"
            f" to '{folder}/parquet/measure_rows.parquet' (format parquet)"
        )
        database.execute(
            "copy (select * from (values ('PRM-01', 'child_welfare', true), ('CRT-02', 'court', true))"
            " as t(measure_id, sources, is_current))"
            f" to '{folder}/parquet/dim_measure.parquet' (format parquet)"
        )
    document = {"format": 1, "release_id": folder.name, "inputs": inputs, "code_version": "1", **manifest}
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def two(tmp_path: Path) -> tuple[Home, Path, Path]:
    """Two releases: PRM-01 moved with a delivery of July, CRT-02 stayed, one number was not mature before."""
    home = Home(tmp_path)
    june = deliver(home, "aaaa", "2026-06-30", JUNE)
    july = deliver(home, "bbbb", "2026-07-31", JULY)
    before = release(
        home.releases_dir / "june",
        [june],
        [
            "('PRM-01', '1.0.0', '2024-01-01', 'all', 30, 90)",
            "('PRM-01', '1.0.0', '2025-01-01', 'all', null, 80)",
            "('CRT-02', '1.0.0', '2024-01-01', 'all', 40, 50)",
        ],
    )
    now = release(
        home.releases_dir / "july",
        [june, july],
        [
            "('PRM-01', '1.0.0', '2024-01-01', 'all', 31, 89)",
            "('PRM-01', '1.0.0', '2025-01-01', 'all', 20, 80)",
            "('CRT-02', '1.0.0', '2024-01-01', 'all', 40, 50)",
        ],
    )
    return home, before, now


def test_a_moved_number_is_told_with_old_new_and_cause(two: tuple[Home, Path, Path]) -> None:
    home, before, now = two
    (row,) = compare(home, {"child_welfare": CONTRACT}, before, now)
    assert (row["metric_id"], row["numerator_before"], row["denominator_before"]) == ("PRM-01", 30, 90)
    assert (row["numerator_now"], row["denominator_now"]) == (31, 89)
    assert row["cause"] == (
        "child_welfare.removals: 1 late, 1 new, 1 deleted, 1 voided, 1 corrected, 1 completed (removals_2026-07-31.csv)"
    )


def test_a_number_that_was_not_mature_is_not_restated_when_it_appears(two: tuple[Home, Path, Path]) -> None:
    home, before, now = two
    moved = compare(home, {"child_welfare": CONTRACT}, before, now)
    assert {row["period_start"].year for row in moved} == {2024}


def test_a_number_that_disappears_is_restated(two: tuple[Home, Path, Path], tmp_path: Path) -> None:
    home, before, _ = two
    gone = release(tmp_path / "releases" / "empty", [], ["('PRM-01', '1.0.0', '2024-01-01', 'all', 30, 90)"])
    (row,) = compare(home, {"child_welfare": CONTRACT}, before, gone)
    assert (row["metric_id"], row["value_before"], row["value_now"]) == ("CRT-02", 0.8, None)


def test_when_only_time_went_on_the_moved_cut_off_is_the_cause(two: tuple[Home, Path, Path], tmp_path: Path) -> None:
    home, before, _ = two
    manifest = json.loads((before / "manifest.json").read_text())
    rows = ["('CRT-02', '1.0.0', '2024-01-01', 'all', 45, 50)"]
    later = release(tmp_path / "releases" / "later", manifest["inputs"], rows, cut_off="2099-01-31")
    moved = {r["metric_id"]: r["cause"] for r in compare(home, {"child_welfare": CONTRACT}, before, later)}
    assert moved["CRT-02"].endswith("to 2099-01-31") and moved["CRT-02"].startswith("the data cut-off moved from")
    same = release(tmp_path / "releases" / "same", manifest["inputs"], rows, cut_off=manifest.get("cut_off"))
    causes = {r["metric_id"]: r["cause"] for r in compare(home, {"child_welfare": CONTRACT}, before, same)}
    assert causes["CRT-02"].startswith("no cause found")


def test_another_definition_or_configuration_is_named_as_the_cause(
    two: tuple[Home, Path, Path], tmp_path: Path
) -> None:
    home, before, _ = two
    rows = [
        "('PRM-01', '2.0.0', '2024-01-01', 'all', 29, 90)",
        "('CRT-02', '1.0.0', '2024-01-01', 'all', 40, 50)",
    ]
    inputs = json.loads((before / "manifest.json").read_text())["inputs"]
    changed = release(tmp_path / "releases" / "changed", inputs, rows, configuration_hash="x")
    (row,) = compare(home, {"child_welfare": CONTRACT}, before, changed)
    assert row["cause"] == "definition 1.0.0 replaced by 2.0.0; jurisdiction.yml was changed"


def test_small_numbers_stay_marked_in_the_report(two: tuple[Home, Path, Path], tmp_path: Path) -> None:
    home, before, _ = two
    small = release(tmp_path / "releases" / "small", [], ["('PRM-01', '1.0.0', '2024-01-01', 'all', 3, 90)"])
    assert [r["suppress_flag"] for r in compare(home, {}, before, small)] == [False, True]


def test_the_report_is_kept_and_no_cell_of_a_delivery_stands_in_it(two: tuple[Home, Path, Path]) -> None:
    home, before, now = two
    write_report(home, {"child_welfare": CONTRACT}, before, now)
    kept = read_report(home, now.name)
    assert kept is not None and [row["metric_id"] for row in kept] == ["PRM-01"]
    assert "is late" not in str(kept)
    assert read_report(home, before.name) is None
