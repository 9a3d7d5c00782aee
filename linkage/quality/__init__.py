"""How good the night's linkage is: tables without a person's value, and one page.

:func:`report` is the night's step after families; :func:`write_alternates` the people at two other thresholds;
:func:`write_report` the page of any other linked files; :func:`write_charts` Splink's own charts of a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from linkage.model import ModelCard
from linkage.quality.alternates import write_alternates
from linkage.quality.charts import write_charts
from linkage.quality.measure import measure
from linkage.quality.page import write_page

__all__ = ["measure", "report", "write_alternates", "write_charts", "write_page", "write_report"]


def report(linkage_dir: Path, decisions: Path | None = None, truth_dir: Path | None = None) -> dict[str, Any]:
    """Measure the night in ``linkage_dir`` and write ``quality/*.parquet`` and ``quality/report.html``.

    ``decisions`` is the reviewers' file; ``truth_dir`` (see :func:`linkage.evaluate`) only a simulation has. Returns
    counts and the leading figures.
    """
    summary = measure(linkage_dir, decisions, truth_dir)
    write_page(linkage_dir, linkage_dir / "quality" / "report.html", is_night=True)
    return summary


def write_report(linkage_dir: Path, card: ModelCard, path: Path) -> None:
    """The same page for files linked without a deployment: nothing was reviewed, so the night's parts are left out."""
    measure(linkage_dir)
    write_page(linkage_dir, path, is_night=False)
