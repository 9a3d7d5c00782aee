"""What the night's linkage looked like, as data and as one page."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from linkage.model import ModelCard
from linkage.store import connect, quoted, read_json, rows


def _table(lines: list[dict[str, Any]]) -> str:
    if not lines:
        return "<p>None.</p>"
    head = "".join(f"<th>{html.escape(str(name).replace('_', ' '))}</th>" for name in lines[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape('' if v is None else str(v))}</td>" for v in line.values()) + "</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def write_report(linkage_dir: Path, card: ModelCard, path: Path) -> None:
    """One HTML page, no script, no outside reference, counts and rates only."""
    records, scoring = read_json(linkage_dir / "record_summary.json"), read_json(linkage_dir / "scoring.json")
    people, families = read_json(linkage_dir / "resolve.json"), read_json(linkage_dir / "families.json")
    con = connect()
    try:
        rates = rows(
            con,
            f"select system_a, system_b, population, n_a, n_linked, round(rate, 4) as rate "
            f"from read_parquet({quoted(linkage_dir / 'match_rates.parquet')}) order by population, system_a, system_b",
        )
    finally:
        con.close()
    facts = [
        {"what": "records", "count": records["records"]},
        {"what": "people", "count": people["people"]},
        {"what": "pairs compared", "count": scoring["pairs"]},
        {"what": "pairs re-weighed through relatives", "count": people["relational_pairs"]},
        {"what": "pairs kept apart by a constraint", "count": people["refused_pairs"]},
        {"what": "families", "count": families["families"]},
        {"what": "parent-child statements", "count": families["parent_child"]},
    ]
    page = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Linkage report</title>
<style>body{{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}}
table{{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}}
th,td{{border-bottom:1px solid #ccc;padding:.2rem .7rem;text-align:left}}</style></head><body>
<h1>Linkage report</h1>
<p>Model {html.escape(card.name)}. Records were joined from weight {card.thresholds.join:.2f} (log2 odds).
{html.escape(card.thresholds.how)}</p>
<h2>In short</h2>{_table(facts)}
<h2>How complete the records are</h2>{_table(records["completeness"])}
<h2>Why pairs were compared</h2>{_table(scoring["rules"])}
<h2>To be reviewed</h2>{_table([{"reason": k, "pairs": v} for k, v in people["review"].items()])}
<h2>Match rates</h2>{_table(rates)}
</body></html>
"""
    part = path.with_name(path.name + ".part")
    part.write_text(page, encoding="utf-8")
    part.replace(path)
