"""Why the demo's numbers are not the truth's: records nobody delivered rightly, or records given to the wrong person.

The same deliveries are built twice, once as the night linked them and once linked by the truth. What perfect linkage
leaves of a difference is what agencies did not tell, told late or told wrongly; the rest is linkage error.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import dbt
from pipelines.demo.oracle import link_by_truth
from pipelines.demo.truth_measures import Measure, measure
from pipelines.night import Night, NightError
from pipelines.storage import Home, Workspace, atomic_path, connect, quoted

#: Where the comparison is kept, below ``quality/``.
FILE = "measures_vs_truth.parquet"
_COLUMNS = (
    "metric_id varchar, variant varchar, period_start date, period_end date, true_value double,"
    " perfectly_linked_value double, value double, because_of_records double, because_of_linkage double"
)
_Key = tuple[str, str, Any, Any]


@dataclass(frozen=True)
class Difference:
    """One number three times. The two causes add up to the whole difference; None where a value is None."""

    truth: Measure
    perfectly_linked: float | None
    published: float | None

    @property
    def because_of_records(self) -> float | None:
        """How far the deliveries alone move the number."""
        return _less(self.perfectly_linked, self.truth.value)

    @property
    def because_of_linkage(self) -> float | None:
        """How far mistaken identities move it beyond that."""
        return _less(self.published, self.perfectly_linked)


def compare(home: Home) -> list[Difference]:
    """Every number of the core measures that can be computed from the truth of the demo deployment ``home``.

    Builds the warehouse a second time, below ``simulation/perfect``, which takes as long as a night's dbt run. Writes
    ``quality/measures_vs_truth.parquet``. Raises :class:`NightError` when ``home`` is no demo or has had no night.
    """
    truth_root = home.root / "simulation" / "truth"
    if not truth_root.is_dir() or not home.warehouse.exists():
        raise NightError(f"{home.root} is no demo whose nights have run: see `kinweave demo`")
    night = Night(home)
    published = _numbers(home)
    # Quarter days and months are periods of some measures; the truth is asked for the years they lie in.
    years = sorted({(start, end) for metric, _, start, end in published if metric == "PRM-01"})
    truths = measure(truth_root, years, night.cut())
    perfect = _perfectly_linked(night, truth_root, sorted({_model(t.metric_id) for t in truths}))
    found = []
    for truth in truths:
        key = (truth.metric_id, truth.variant, truth.period_start, truth.period_end)
        if truth.mature and key in published:
            found.append(Difference(truth, perfect.get(key), published[key]))
    _write(found, home)
    return found


def by_measure(differences: list[Difference]) -> list[tuple[str, int, float, float, float]]:
    """Per measure: id, numbers compared, and the mean absolute difference: whole, by records, by linkage."""
    groups: dict[str, list[Difference]] = defaultdict(list)
    for difference in differences:
        if None not in (difference.truth.value, difference.because_of_records, difference.because_of_linkage):
            groups[difference.truth.metric_id].append(difference)
    return [
        (
            metric_id,
            len(group),
            _mean(abs(_less(d.published, d.truth.value) or 0.0) for d in group),
            _mean(abs(d.because_of_records or 0.0) for d in group),
            _mean(abs(d.because_of_linkage or 0.0) for d in group),
        )
        for metric_id, group in sorted(groups.items())
    ]


def _perfectly_linked(night: Night, truth_root: Path, models: list[str]) -> dict[_Key, float | None]:
    workspace = Workspace(night.home.root / "simulation" / "perfect")
    shutil.rmtree(workspace.root, ignore_errors=True)
    workspace.current_dir.parent.mkdir(parents=True)
    workspace.current_dir.symlink_to(night.workspace.current_dir, target_is_directory=True)
    shutil.copytree(night.workspace.config_dir, workspace.config_dir)
    link_by_truth(truth_root, workspace.linkage_dir)
    outcome = dbt.run(
        "build",
        workspace,
        night.dbt_vars() | {"metric_strata": ["all"]},
        [f"+{model}" for model in models],
        ["resource_type:test", "resource_type:unit_test", "config.materialized:external"],
    )
    if outcome.failed_models:
        raise NightError(f"dbt could not build {', '.join(outcome.failed_models)} with perfect linkage")
    return _numbers(workspace, models)


def _model(metric_id: str) -> str:
    """STB-02a lies in met_stb_02."""
    return "met_" + metric_id.lower().replace("-", "_").rstrip("abcp")


def _numbers(workspace: Workspace, models: list[str] | None = None) -> dict[_Key, float | None]:
    with connect(workspace.warehouse, read_only=True) as warehouse:
        tables = [f"metrics.{model}" for model in models] if models else ["quality.measure_rows"]
        rows = warehouse.execute(
            " union all ".join(
                f"select metric_id, variant, period_start, period_end, value from {table} where stratum_type = 'all'"
                for table in tables
            )
        ).fetchall()
    return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}


def _write(differences: list[Difference], home: Home) -> None:
    home.quality_dir.mkdir(parents=True, exist_ok=True)
    with connect() as database, atomic_path(home.quality_dir / FILE) as temporary:
        database.execute(f"create table t ({_COLUMNS})")
        rows = [
            [
                *(d.truth.metric_id, d.truth.variant, d.truth.period_start, d.truth.period_end, d.truth.value),
                *(d.perfectly_linked, d.published, d.because_of_records, d.because_of_linkage),
            ]
            for d in differences
        ]
        if rows:
            database.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        database.execute(f"copy (select * from t order by all) to {quoted(temporary)} (format parquet)")


def _less(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _mean(values: Any) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)
