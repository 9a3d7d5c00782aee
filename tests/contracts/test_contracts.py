"""Every contract holds, and a mistake in one is told in words that name the file and the field."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from expectations.compile.rules import verify_sql
from expectations.contract import SOURCES_DIR, ContractError, load_contract, load_contracts
from tests.contracts.toy import FOLDER

MISTAKES = yaml.safe_load((Path(__file__).parent / "cases" / "mistakes.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the toy source to make mistakes in."""
    return Path(shutil.copytree(FOLDER, tmp_path / "schools"))


def test_the_five_systems_have_contracts() -> None:
    assert set(load_contracts()) >= {"behavioral_health", "child_welfare", "court", "court_team", "medicaid"}


@pytest.mark.parametrize("system", sorted(p.parent.name for p in SOURCES_DIR.glob("*/contract.yml")))
def test_a_contracts_own_sql_can_be_read(system: str) -> None:
    verify_sql(load_contract(SOURCES_DIR / system))


@pytest.mark.parametrize("case", [pytest.param(c, id=c["case"]) for c in MISTAKES])
def test_a_mistake_is_told_by_file_and_field(case: dict[str, Any], copy: Path) -> None:
    path = copy / "contract.yml"
    text = path.read_text(encoding="utf-8")
    assert case["find"] in text
    path.write_text(text.replace(case["find"], case["put"], 1), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        verify_sql(load_contract(copy))
    assert "schools/contract.yml" in str(caught.value)
    assert case["says"] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "code,label,maps_to\nF,Girl,F\n",
            "codes/sex.csv: the header is code,label,maps_to,version,valid_from,valid_to",
        ),
        ("code,label,maps_to,version,valid_from,valid_to\nF,Girl\n", "codes/sex.csv, line 2: wrong number of cells"),
        (
            "code,label,maps_to,version,valid_from,valid_to\nF,Girl,F,1,,\nF,Frau,woman,2,,\n",
            "codes/sex.csv: code 'F' has two meanings",
        ),
        ("code,label,maps_to,version,valid_from,valid_to\nF,Girl,F,1,soon,\n", "code_lists.sex.Girl.valid_from"),
    ],
)
def test_a_code_list_that_cannot_be_used_is_named(text: str, says: str, copy: Path) -> None:
    (copy / "codes" / "sex.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match="schools") as caught:
        load_contract(copy)
    assert says in str(caught.value)


def test_a_folder_without_a_contract_is_named(tmp_path: Path) -> None:
    (tmp_path / "schools").mkdir()
    with pytest.raises(ContractError, match=r"schools: there is no contract\.yml"):
        load_contract(tmp_path / "schools")


def test_the_example_in_the_documentation_holds(copy: Path) -> None:
    page = (SOURCES_DIR.parents[1] / "docs" / "how-to-add-a-source.md").read_text(encoding="utf-8")
    (copy / "contract.yml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    contract = load_contract(copy)
    verify_sql(contract)
    assert list(contract.tables["pupils"].by_name) == [
        "pupil_id",
        "last_name",
        "birth_date",
        "programme_cd",
        "end_date",
    ]


def test_a_case_link_to_a_system_nobody_has_is_an_error(copy: Path) -> None:
    with pytest.raises(ContractError, match=r"tables\.pupils\.case_links: there is no system 'court'"):
        load_contracts(copy.parent)
