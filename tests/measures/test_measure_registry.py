"""One definition beside each measure's SQL, and what is made of it."""

import re
from pathlib import Path

import pytest
import yaml

from pipelines.measures import registry as r
from pipelines.settings import Parameters

DEFINITION = {
    "id": "PRM-01",
    "name": "Permanency within 12 months",
    "why": "A baby waits.",
    "population": "Children removed in the period.",
    "numerator": "Left care to permanency.",
    "window": "12 months",
    "basis": "entry_cohort",
    "direction": "up",
    "unit": "percent",
    "linkage_scope": "all",
    "version": "1.0.0",
    "sources": ["child_welfare"],
    "tier": "core",
}


def write(folder: Path, name: str = "met_prm_01.measure.yml", **changed: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(yaml.safe_dump({**DEFINITION, **changed}))
    return folder


def test_every_measure_has_a_definition_and_the_generated_files_are_current() -> None:
    assert [path.name for path in r.generate(check=True)] == []


def test_the_core_measures_are_built() -> None:
    core = (
        "PRM-01 PRM-02 PRM-04 PRM-10 PRM-12 PRM-20 PRM-30 STB-01 STB-02 SAF-01 SAF-02 PIT-01 PIT-04 KIN-01 CRT-04"
        " CRT-02 CRT-08 CRT-11 FTM-01 FAM-01 DEV-01 DEV-02 DEV-03 HLT-01 PAR-02 PAR-03 PAR-04 COL-10 COL-20"
        " EVL-04"
    )
    known = r.load()
    # Disparity ratios belong to the core's meaning, but they are made from measures of both tiers.
    assert "EQT-01" in known
    assert [i for i in core.split() if i not in known or known[i].tier != "core"] == []


def test_older_youth_programmes_are_said_not_to_be_measured() -> None:
    assert any(n.status == "not measured" and "Older-youth" in n.name for n in r.load_not_built())


def test_every_parameter_a_definition_names_is_read_by_the_project() -> None:
    project = r.METRICS_DIR.parents[2]
    text = "".join(p.read_text() for p in [*project.rglob("macros/*.sql"), *r.METRICS_DIR.rglob("*.sql")])
    text += (project / "dbt_project.yml").read_text()
    assert sorted(p for d in r.load().values() for p in d.parameters if p not in text) == []


def test_a_jurisdiction_can_set_every_parameter_of_the_project_and_no_other() -> None:
    project = yaml.safe_load((r.METRICS_DIR.parents[2] / "dbt_project.yml").read_text())
    set_by_the_night = {"cutoff", "stale_sources"}
    assert set(Parameters.model_fields) == set(project["vars"]) - set_by_the_night
    # The defaults themselves are values a jurisdiction may write.
    Parameters.model_validate({k: v for k, v in project["vars"].items() if k not in set_by_the_night})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"benchmark": 0.35}, "benchmark: this key is not known"),
        ({"basis": "entries"}, "basis: "),
        ({"version": "1"}, "version: "),
        ({"id": "PRM-02"}, "PRM-02 belongs in met_prm_02.measure.yml"),
    ],
)
def test_a_definition_that_does_not_hold_is_told_by_file_and_key(
    tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(r.RegistryError, match=r"^met_prm_01\.measure\.yml: ") as told:
        r.load(write(tmp_path, **changed))
    assert message in str(told.value)


def test_two_bases_are_refused_on_one_axis() -> None:
    with pytest.raises(r.MixedBases, match=r"PRM-10.*PRM-12"):
        r.one_axis(["PRM-10", "PRM-12"])


def test_measures_of_one_basis_share_an_axis_and_a_part_of_a_measure_has_its_basis() -> None:
    assert r.one_axis(["PRM-10", "PRM-11", "PRM-15"]) is r.Basis.ENTRY_COHORT
    assert r.one_axis(["STB-02a", "STB-02b"]) is r.Basis.STOCK


@pytest.mark.parametrize("asked", [[], ["XXX-01"]])
def test_an_axis_of_nothing_known_is_refused(asked: list[str]) -> None:
    with pytest.raises(r.RegistryError):
        r.one_axis(asked)


def test_another_meaning_needs_another_version(tmp_path: Path) -> None:
    before = r.seed_rows(r.load(write(tmp_path)))
    changed = r.load(write(tmp_path, window="18 months"))
    with pytest.raises(r.RegistryError, match=r"PRM-01: .* raise its version above 1\.0\.0"):
        r.seed_rows(changed, before)


def test_both_versions_stand_side_by_side(tmp_path: Path) -> None:
    before = r.seed_rows(r.load(write(tmp_path)))
    after = r.load(write(tmp_path, window="18 months", version="2.0.0"))
    rows = r.seed_rows(after, before)
    assert [(x["version"], x["is_current"], x["time_window"]) for x in rows] == [
        ("1.0.0", "false", "12 months"),
        ("2.0.0", "true", "18 months"),
    ]
    shown = r.page(after["PRM-01"], [], [x for x in rows if x["is_current"] == "false"])
    assert "Version 1.0.0, until replaced" in shown and "Time: 12 months" in shown


def test_better_wording_needs_no_version(tmp_path: Path) -> None:
    before = r.seed_rows(r.load(write(tmp_path)))
    assert r.seed_rows(r.load(write(tmp_path, why="Every baby waits.")), before)[0]["why"] == "Every baby waits."


def test_no_core_measure_is_made_from_one_a_jurisdiction_may_leave_out() -> None:
    registry = r.load()
    optional = {d.model for d in registry.values() if d.tier != "core"}
    made_from = re.compile(r'ref\("(met_\w+)"\)')
    for definition in registry.values():
        if definition.tier != "core":
            continue
        (sql,) = r.METRICS_DIR.rglob(f"{definition.model}.sql")
        text = sql.read_text()
        assert not optional & set(made_from.findall(text)), definition.id
        # A loop over measures reaches optional ones.
        assert "ref(model)" not in text, definition.id
