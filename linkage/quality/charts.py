"""Splink's own charts of a trained model, as one page for the engineer.

The chart libraries are those inside the installed Splink package, written into the page: it loads nothing. No record
is in it: the waterfalls show made-up comparisons, and the charts of name frequencies, which would list names, are left
out.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from linkage import model as models
from linkage.person.comparisons import BY_NAME
from linkage.person.mixture import Mixture, kin_log_odds
from linkage.person.scoring import quiet, splink_settings
from linkage.store import connect, quoted

#: Made-up pairs for the waterfalls: what is shown, and the level (0 strongest, -1 nothing known) of each comparison.
_MADE_UP: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("all agree, no number on one side", {"ssn": -1, "medicaid_id": -1, "phone": -1, "suffix": -1}),
    ("surname changed, the number agrees", {"surname": -2, "ssn": 0, "medicaid_id": -1, "phone": -1, "suffix": -1}),
    (
        "father and son: birth dates a generation apart",
        {"birth_date": 6, "ssn": -1, "medicaid_id": -1, "phone": -1, "suffix": -1, "mother": -1},
    ),
    (
        "newborn without a name: birth date, sex and address",
        {"given_name": -1, "surname": -1, "middle_name": -1, "ssn": -1, "medicaid_id": -1, "phone": -1, "mother": -1,
         "suffix": -1},
    ),
)  # fmt: skip


def write_charts(linkage_dir: Path, model_dir: Path) -> Path:
    """Write ``charts.html`` into the folder of a trained model; returns its path.

    ``linkage_dir`` holds the records the unlinkable ones among which are counted. Raises
    :class:`~linkage.model.ModelError` when ``model_dir`` holds no model.
    """
    # Only training draws charts, and the import is not cheap.
    from splink import DuckDBAPI, Linker
    from splink.internals.charts import CumulativeBlockingRuleComparisonsGeneratedChart

    card = models.load(model_dir)
    drawn: list[tuple[str, str, dict[str, Any]]] = []
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        records = quoted(linkage_dir / "records.parquet")
        con.execute(f"create table chart_records as select * from read_parquet({records}) order by rid")
        table = DuckDBAPI(con).register("chart_records", table_name="kw_chart_records")
        kinds = dict(card.mixtures)
        if len(kinds) > 1 and len({json.dumps(m.as_dict(), sort_keys=True) for m in kinds.values()}) == 1:
            kinds = {"every": next(iter(kinds.values()))}
        for kind, mixture in sorted(kinds.items()):
            settings = {**splink_settings(mixture), "retain_matching_columns": True}
            linker = Linker(table, settings, log_level=None, validate_settings=False)
            quiet()
            charts = linker.visualisations
            whose = f"The {kind} model"
            pairs = [_made_up(mixture, levels) for _, levels in _MADE_UP]
            drawn += [
                (whose, "What each level says (match weights)", charts.match_weights_chart().chart_dict),
                (whose, "How often each level occurs (m and u)", charts.m_u_parameters_chart().chart_dict),
                (
                    whose,
                    "How made-up pairs come to their weight, name frequencies left out. A night also subtracts what "
                    "relatives explain: "
                    + "; ".join(
                        f"{i}, {words} ({explained_by_relatives(mixture, _positions(mixture, levels)):.1f} less)"
                        for i, (words, levels) in enumerate(_MADE_UP)
                    ),
                    charts.waterfall_chart(pairs, remove_sensitive_data=True).chart_dict,
                ),
                (
                    whose,
                    "Records that say too little to be linked with anything, by threshold",
                    linker.evaluation.unlinkables_chart().chart_dict,
                ),
            ]
    finally:
        con.close()
    blocking = CumulativeBlockingRuleComparisonsGeneratedChart(_blocking(card)).chart_dict
    drawn.append(("All models", "Pairs each blocking rule adds", blocking))
    path = model_dir / "charts.html"
    part = path.with_name(path.name + ".part")
    part.write_text(_page(card.name, drawn), encoding="utf-8")
    part.replace(path)
    return path


def _positions(mixture: Mixture, levels: Mapping[str, int]) -> list[int]:
    """The level of each comparison: 0, or the given name written out, where none is given; -2 is "differs"."""
    found = []
    for name in mixture.comparisons:
        # An initial is the strongest level of a given name here only by its place in the list.
        level = levels.get(name, 1 if name == "given_name" else 0)
        found.append(len(BY_NAME[name].all_levels) - 1 if level == -2 else level)
    return found


def explained_by_relatives(mixture: Mixture, positions: list[int]) -> float:
    """How much less a pair of these levels weighs (log2 odds) because relatives or twins may look like that."""
    odds = float(kin_log_odds(mixture, np.array([positions], dtype=np.int64))[0])
    return float(np.logaddexp2(0.0, odds))


def _made_up(mixture: Mixture, levels: Mapping[str, int]) -> dict[str, Any]:
    """A compared pair with these levels (:func:`_positions`), as Splink would have scored it."""
    share = min(max(mixture.match_share, 1e-12), 1 - 1e-12)
    weight = math.log2(share / (1 - share))
    record: dict[str, Any] = {}
    for name, level in zip(mixture.comparisons, _positions(mixture, levels), strict=True):
        size = len(BY_NAME[name].all_levels)
        record[f"gamma_{name}"] = -1 if level < 0 else size - 1 - level
        record[f"mw_tf_adj_{name}"] = 0.0
        if level >= 0:
            weight += math.log2(mixture.m[name][level] / mixture.u[name][level])
    return {**record, "match_weight": weight, "match_probability": 1 / (1 + 2**-weight)}


def _blocking(card: models.ModelCard) -> list[dict[str, Any]]:
    total = int(card.trained_on.get("records", 0))
    running = 0
    out = []
    for number, rule in enumerate(card.blocking):
        added = int(rule.get("new_pairs", rule["pairs"]))
        running += added
        out.append(
            {
                "blocking_rule": f"{number + 1} {rule['name']}",
                "marginal_comparison_count": added,
                "cumulative_comparison_count": running,
                "total_possible_comparison_count": total * (total - 1) // 2,
                "match_key": str(number),
            }
        )
    return out


def _page(name: str, drawn: list[tuple[str, str, dict[str, Any]]]) -> str:
    from splink.internals.html_utils import json_for_html, load_chart_libraries

    scripts = "".join(
        # A closing tag inside a library's own text would end the script.
        f"<script>{library.replace('</script', '<' + chr(92) + '/script')}</script>"
        for key, library in sorted(load_chart_libraries().items(), key=lambda item: _ORDER.index(item[0]))
    )
    figures = "".join(
        f"<h2>{html.escape(kind)}: {html.escape(title)}</h2><div id='chart{i}'></div>"
        for i, (kind, title, _) in enumerate(drawn)
    )
    specs = ",".join(json_for_html(_sized(spec)) for _, _, spec in drawn)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        # Belt and braces: even a library that tried could not load anything.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline' "
        "'unsafe-eval'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>Charts of model {html.escape(name)}</title><style>body{{font:16px/1.45 system-ui,sans-serif;"
        "margin:1.5rem auto;max-width:70rem;padding:0 1rem}h2{font-size:1.05rem;margin:2.2rem 0 .4rem}</style>"
        f"</head><body><h1>Charts of model {html.escape(name)}</h1><p>Drawn by Splink. No record is in this page.</p>"
        f"{figures}{scripts}<script>[{specs}].forEach(function (spec, i) {{ vegaEmbed('#chart' + i, spec, "
        "{actions: false}); });</script></body></html>\n"
    )


_ORDER = ["vega", "vega-lite", "vega-embed"]


def _sized(spec: dict[str, Any]) -> dict[str, Any]:
    view = spec.setdefault("config", {}).setdefault("view", {})
    view.setdefault("continuousWidth", 500)
    view.setdefault("continuousHeight", 300)
    return spec
