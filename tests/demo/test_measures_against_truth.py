"""Clean deliveries and perfect linkage: the warehouse's measures are the truth's, to the last child.

The deliveries go through landing, staging, the core marts and the measures; the truth goes through plain Python that
shares no code with them. What is left of a difference on the demo is linkage error or what agencies did not tell.
"""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import duckdb
import pytest

from pipelines import dbt, demo
from pipelines.demo.deliveries import DATES
from pipelines.demo.oracle import link_by_truth
from pipelines.demo.truth_measures import Measure, measure
from pipelines.deployment import create
from pipelines.landing import build_current, land
from pipelines.night import Night, all_contracts

CUT = DATES[-1]
MODELS = (
    *("prm_01", "prm_02", "prm_04", "prm_10", "prm_12", "prm_20", "prm_30", "stb_01", "stb_02", "saf_01", "saf_02"),
    *("pit_01", "pit_04", "kin_01", "crt_02", "crt_04", "crt_11", "ftm_01", "par_02", "par_03", "par_04"),
    *("crt_08", "fam_01", "dev_01", "dev_02", "dev_03", "hlt_01", "col_10", "col_20"),
)

#: (metric, variant, period) to (numerator, denominator, value, not observable)
Numbers = dict[tuple[str, str, dt.date, dt.date], tuple[int | None, int | None, float | None, int]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Numbers, list[Measure]]:
    """What the warehouse says of about two hundred families, and what truly happened to them."""
    root = tmp_path_factory.mktemp("oracle")
    home = create(root / "home", Path(demo.__file__).parent / "deployment")
    world = demo.simulate(people=900, dirt=False)
    ((_, sent),) = demo.write_deliveries(world, root / "agencies", root / "truth", dates=[CUT])
    for system in sent.iterdir():
        shutil.copytree(system, home.inbox(system.name), dirs_exist_ok=True)
    landed = land(home, all_contracts(), CUT)
    assert {outcome.status for outcome in landed} == {"accepted"}
    assert sum(outcome.rows_quarantined for outcome in landed) == 0
    night = Night(home, received=CUT)
    build_current(home, night.workspace, all_contracts(), CUT)
    night.write_config()
    link_by_truth(root / "truth", night.workspace.linkage_dir)
    built = dbt.run(
        "build",
        night.workspace,
        night.dbt_vars() | {"metric_strata": ["all"]},
        [f"+met_{model}" for model in MODELS],
        ["resource_type:test", "resource_type:unit_test", "config.materialized:external"],
    )
    assert built.failed_models == []
    with duckdb.connect(str(night.workspace.warehouse), read_only=True) as warehouse:
        rows = warehouse.execute(
            " union all by name ".join(
                "select metric_id, variant, period_start, period_end, numerator, denominator, value, n_not_observable"
                f" from metrics.met_{model} where stratum_type = 'all'"
                for model in MODELS
            )
        ).fetchall()
    numbers = {(row[0], row[1], row[2], row[3]): (row[4], row[5], row[6], row[7]) for row in rows}
    periods = sorted({(start, end) for metric, _, start, end in numbers if metric == "SAF-02"})
    return numbers, measure(root / "truth", periods, CUT)


@pytest.mark.parametrize(
    "metric_id",
    [
        *(
            "PRM-01",
            "PRM-02",
            "PRM-04",
            "PRM-10",
            "PRM-12",
            "PRM-20",
            "PRM-30",
            "STB-01",
            "STB-02a",
            "STB-02b",
            "STB-02c",
        ),
        *("SAF-01", "SAF-02", "SAF-02p", "PIT-01", "PIT-04", "KIN-01", "CRT-02", "CRT-04", "CRT-11", "FTM-01"),
        *(
            "PAR-02",
            "PAR-03",
            "PAR-04",
            "CRT-08",
            "FAM-01",
            "DEV-01",
            "DEV-02",
            "DEV-02b",
            "DEV-03",
            "HLT-01",
            "COL-10",
        ),
        "COL-20",
    ],
)
def test_the_warehouse_says_what_truly_happened(both: tuple[Numbers, list[Measure]], metric_id: str) -> None:
    numbers, truths = both
    told = [truth for truth in truths if truth.metric_id == metric_id]
    assert len(told) >= 5, "fewer periods than the warehouse has"
    assert sum(truth.denominator or truth.numerator for truth in told) > 0, "nobody to compare: take a larger world"
    for truth in told:
        numerator, denominator, value, _ = numbers[
            (truth.metric_id, truth.variant, truth.period_start, truth.period_end)
        ]
        # Before its time a measure shows who is in it and nothing else; PRM-20 shows what it has, and that it is early.
        is_shown = truth.mature or metric_id == "PRM-20"
        expected = (truth.numerator if is_shown else None, truth.denominator, truth.value)
        assert (numerator, denominator, value) == pytest.approx(expected, abs=2e-6), truth


def test_a_parent_without_consent_is_not_observable_and_no_miss(both: tuple[Numbers, list[Measure]]) -> None:
    numbers, truths = both
    hidden = {t.period_start: t.not_observable for t in truths if t.metric_id == "PAR-02"}
    assert sum(hidden.values()) > 0, "every parent consented: choose a larger world"
    for (metric, variant, start, _), numbers_of in numbers.items():
        if (metric, variant) == ("PAR-02", "warehouse"):
            assert numbers_of[3] == hidden[start]
