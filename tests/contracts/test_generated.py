"""Generated files follow the contracts, and a sixth source is one folder."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

import linkage
from expectations.compile import cli, dbt
from expectations.compile.gx import check_tables
from expectations.contract import ContractError, load_contract
from expectations.vocabulary import Sensitivity
from pipelines.landing import balance, build_current, land
from pipelines.storage import Home
from tests.contracts.toy import FOLDER, GOOD, toy

REPOSITORY = cli.ROOT


def hashes(root: Path) -> dict[str, str]:
    """Path from ``root`` -> hash of its bytes, of every file."""
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_file()
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What ``generate`` reads and writes, copied from this repository, with the toy source as the sixth."""
    root = tmp_path / "checkout"
    shutil.copytree(REPOSITORY / "expectations" / "sources", root / "expectations" / "sources")
    shutil.copytree(REPOSITORY / dbt.STAGING, root / dbt.STAGING)
    shutil.copytree(REPOSITORY / "docs" / "data_dictionary", root / "docs" / "data_dictionary")
    shutil.copytree(REPOSITORY / "dbt_project" / "macros", root / "dbt_project" / "macros")
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(REPOSITORY / "dbt_project" / name, root / "dbt_project" / name)
    return root


def generate(root: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["generate", "--root", str(root), *options])
    return result.exit_code, result.output


def test_the_generated_files_of_this_repository_are_current() -> None:
    assert cli.stale() == {}


def test_a_sixth_source_changes_no_other_file(checkout: Path) -> None:
    before = hashes(checkout)
    shutil.copytree(FOLDER, checkout / "expectations" / "sources" / "schools")
    assert generate(checkout)[0] == 0
    after = hashes(checkout)
    new = set(after) - set(before)
    assert {path: after[path] for path in before} == before
    folder = f"{dbt.STAGING}/schools"
    assert {path for path in new if not path.startswith("expectations/")} == {
        "docs/data_dictionary/schools.md",
        f"{folder}/_schools__models.yml",
        f"{folder}/_schools__sources.yml",
        f"{folder}/stg_schools__case_links.sql",
        f"{folder}/stg_schools__case_members.sql",
        f"{folder}/stg_schools__days.sql",
        f"{folder}/stg_schools__person_records.sql",
        f"{folder}/stg_schools__person_relationships.sql",
        f"{folder}/stg_schools__pupils.sql",
    }


def test_stale_files_are_listed_and_orphans_removed(checkout: Path) -> None:
    assert generate(checkout, "--check") == (0, "")
    edited = checkout / "docs" / "data_dictionary" / "court.md"
    edited.write_text("by hand", encoding="utf-8")
    shutil.rmtree(checkout / "expectations" / "sources" / "court_team")
    code, output = generate(checkout, "--check")
    assert code == 1
    assert "stale: docs/data_dictionary/court.md" in output
    assert "stale: docs/data_dictionary/court_team.md" in output
    assert generate(checkout)[0] == 0
    assert "by hand" not in edited.read_text(encoding="utf-8")
    assert not (checkout / dbt.STAGING / "court_team").exists()
    assert generate(checkout, "--check") == (0, "")


def test_a_contract_that_does_not_hold_writes_nothing(checkout: Path) -> None:
    (checkout / "expectations" / "sources" / "schools").mkdir()
    (checkout / "expectations" / "sources" / "schools" / "contract.yml").write_text("system: schools", encoding="utf-8")
    before = hashes(checkout)
    code, output = generate(checkout)
    assert code == 1
    assert "schools/contract.yml" in output
    assert hashes(checkout) == before


def test_a_table_cannot_take_the_name_of_a_linkage_input(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(FOLDER, tmp_path / "schools"))
    text = (copy / "contract.yml").read_text(encoding="utf-8")
    (copy / "contract.yml").write_text(text.replace("  days:", "  case_members:"), encoding="utf-8")
    with pytest.raises(ContractError, match=r"schools/contract\.yml: tables\.case_members"):
        dbt.files(load_contract(copy))


def test_no_direct_identifier_has_a_staging_column() -> None:
    for path, text in cli.generated().items():
        if not path.endswith("__models.yml"):
            continue
        inputs = tuple(f"__{name}" for name in dbt.TAKEN_NAMES)
        for model in yaml.safe_load(text)["models"]:
            if not model["name"].endswith(inputs):
                classes = {c["config"]["meta"]["sensitivity"] for c in model["columns"]}
                assert Sensitivity.DIRECT_ID.value not in classes, model["name"]


def _deliver(home: Home) -> None:
    """One file of each toy table; of six pupils one has no surname."""
    pupils, days = toy().tables["pupils"], toy().tables["days"]
    rows: list[dict[str, str]] = [
        {"pupil_id": "C9", "first_name": "Rosa", "programme_cd": "STAFF", "carer_id": "", "birth_date": ""},
        {"pupil_id": "A1"},
        {"pupil_id": "A2", "first_name": "Luz", "carer_cd": "N", "court_no": "", "sex": "X"},
        {"pupil_id": "A3", "last_name": ""},
        {"pupil_id": "A4", "first_name": "Eva", "carer_cd": "G", "court_no": ""},
        {"pupil_id": "A5", "first_name": "Ida", "carer_cd": "A", "carer_id": "", "court_no": ""},
    ]
    for table, cells, name in ((pupils, rows, "sch_pupil_20260331.csv"), (days, [{}], "sch_days_20260331.csv")):
        lines = [",".join(c.raw for c in table.columns)]
        for row in cells:
            full = {**GOOD[table.name], **row}
            lines.append(",".join(full[c.name] for c in table.columns))
        home.inbox("schools").mkdir(parents=True, exist_ok=True)
        (home.inbox("schools") / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_sixth_source_lands_is_checked_staged_and_offered_to_linkage(checkout: Path, tmp_path: Path) -> None:
    shutil.rmtree(checkout / dbt.STAGING)
    shutil.copytree(FOLDER, checkout / "expectations" / "sources" / "schools")
    assert generate(checkout)[0] == 0
    for other in (checkout / dbt.STAGING).iterdir():
        if other.name != "schools":
            shutil.rmtree(other)
    contracts = {"schools": load_contract(checkout / "expectations" / "sources" / "schools")}

    home = Home(tmp_path / "a home (with 'quotes')")
    _deliver(home)
    land(home, contracts, dt.date(2026, 4, 1))
    build_current(home, home, contracts, dt.date(2026, 4, 1))
    assert [(r.table, r.received, r.loaded, r.quarantined) for r in balance(home)] == [
        ("days", 1, 1, 0),
        ("pupils", 6, 5, 1),
    ]
    assert [(r.table, r.rows, r.passed) for r in check_tables(contracts["schools"], home.current_dir / "schools")] == [
        ("pupils", 5, True),
        ("days", 1, True),
    ]

    home.staged_dir.mkdir(parents=True, exist_ok=True)
    home.warehouse.parent.mkdir(parents=True, exist_ok=True)
    run = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "run", "--profiles-dir", ".", "--no-partial-parse"],
        cwd=checkout / "dbt_project",
        env={**os.environ, "KINWEAVE_WORKSPACE": str(home.root), "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:]

    def staged(name: str, columns: str) -> list[tuple[object, ...]]:
        path = str(home.staged_dir / f"schools__{name}.parquet").replace("'", "''")
        return duckdb.sql(f"select {columns} from read_parquet('{path}') order by all").fetchall()

    born = dt.date(2023, 5, 6)
    assert staged("person_records", "source_record_id, row_kind, record_role, first_name, sex, birth_date") == [
        ("A1", "primary", "child", "Ana", "F", born),
        ("A2", "primary", "child", "Luz", None, born),
        ("A4", "primary", "child", "Eva", "F", born),
        ("A5", "primary", "child", "Ida", "F", born),
        ("C9", "primary", None, "Rosa", "F", None),
    ]
    start = dt.date(2025, 1, 15)
    assert staged("relationships", "source_record_id, related_record_id, relationship, valid_from, valid_to") == [
        ("C9", "A1", "mother_of", start, None),
        ("C9", "A4", "guardian_of", start, None),
        (None, "A5", "adoptive_parent_of", start, None),
    ]
    assert staged("case_members", "case_key, source_record_id, role") == [
        ("JD-7", "A1", "child"),
        ("JD-7", "C9", "child"),
    ]
    assert staged("case_links", "case_key, other_system, other_case_key") == [
        ("A1", "court", "JD-7"),
        ("C9", "court", "JD-7"),
    ]
    with duckdb.connect(str(home.warehouse), read_only=True) as warehouse:
        seen = warehouse.execute(
            "select pupil_id, sex_meaning, programme_cd_meaning, delivered_on"
            " from staging.stg_schools__pupils order by pupil_id"
        )
        day = dt.date(2026, 3, 31)
        assert seen.fetchall() == [
            ("A1", "F", "early_head_start", day),
            ("A2", None, "early_head_start", day),
            ("A4", "F", "early_head_start", day),
            ("A5", "F", "early_head_start", day),
            ("C9", "F", None, day),
        ]

    linkage.build_records(home.staged_dir, home.linkage_dir)
    path = str(home.linkage_dir / "records.parquet").replace("'", "''")
    records = duckdb.sql(f"select source_record_id from read_parquet('{path}') order by all").fetchall()
    assert records == [("A1",), ("A2",), ("A4",), ("A5",), ("C9",)]
