"""Whether tonight's records and pairs still look like those the model was trained on.

A model is loaded at night, never trained, so its probabilities hold only while the files stay as they were. Four
things are held against the counts in the model's card: how often each level of each comparison occurs among scored
pairs, how the match weights are spread, which fields are missing in each system, and each system's share of records.

Each is one number, the population stability index ``sum((now - then) * ln(now / then))`` over the shares of its
classes, with the usual bounds: below 0.1 steady, from 0.25 drifted, between them to be watched (Siddiqi, *Credit Risk
Scorecards*, 2006, chapter 9). By chance alone the index is about a chi-square of ``classes - 1`` times
``1/n + 1/m`` (Yurdakul and Naranjo, *Statistical properties of the population stability index*, 2020): with nine
classes and 600 on either side it stays below 0.1 in 999 of 1,000 nights, so fewer than that are not judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from linkage import model as models
from linkage.person.comparisons import COMPARISONS
from linkage.store import connect, quoted, write_parquet

#: Bounds of the index.
WATCH, DRIFTED = 0.1, 0.25
#: Records or pairs, then and now, below which nothing is judged.
ENOUGH = 600
#: A class nobody is in counts as this share: the index knows no zero.
LEAST_SHARE = 1e-4
#: Match weights are counted in steps this wide (log2 odds), those beyond 12 together.
WEIGHT_STEP, MOST_WEIGHT = 4, 12
#: Columns of ``records`` whose absence is watched, under the names of the person record.
FIELDS = {
    "first_name": "first_std",
    "middle_name": "middle_std",
    "last_name": "last_std",
    "birth_date": "dob",
    "sex": "sex",
    "ssn": "ssn",
    "medicaid_id": "medicaid_id",
    "address": "addr_keys",
    "zip": "zip",
    "phone": "phone",
    "mother": "mother_first",
    "record_role": "record_role",
}

Counts = dict[str, int]
_COLUMNS = {
    "subject": pa.string(),
    "detail": pa.string(),
    "n_in_training": pa.int64(),
    "n": pa.int64(),
    "psi": pa.float64(),
    "outcome": pa.string(),
}


def profile(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Counts of tables ``records`` and ``edges``: what the card keeps and a night is held against.

    ``levels``: by model and comparison, pairs per level (-1 not known). ``weights``: by model, pairs per step.
    ``records``: by system. ``missing``: by system and field, records without it.
    """
    levels: dict[str, dict[str, Counts]] = {}
    for comparison in COMPARISONS:
        found = con.execute(
            f"select model, g_{comparison.name}, count(*) from edges where evidence = 'pair' "
            f"and g_{comparison.name} is not null group by all order by all"
        ).fetchall()
        for kind, level, n in found:
            levels.setdefault(kind, {}).setdefault(comparison.name, {})[str(level)] = n
    weights: dict[str, Counts] = {}
    steps = con.execute(
        f"select model, least(floor(weight / {WEIGHT_STEP}) * {WEIGHT_STEP}, {MOST_WEIGHT})::int as step, count(*) "
        "from edges where evidence = 'pair' group by all order by all"
    ).fetchall()
    for kind, step, n in steps:
        weights.setdefault(kind, {})[str(step)] = n
    gaps = ", ".join(f"count(*) - count({column})" for column in FIELDS.values())
    systems = con.execute(
        f"select source_system, count(*), {gaps} from records group by source_system order by source_system"
    ).fetchall()
    return {
        "levels": levels,
        "weights": weights,
        "records": {system: n for system, n, *_ in systems},
        "missing": {system: dict(zip(FIELDS, without, strict=True)) for system, _, *without in systems},
    }


def stability_index(then: Mapping[str, int], now: Mapping[str, int]) -> float:
    """The population stability index of two counts over the same classes; 0 where either is empty."""
    before, after = sum(then.values()), sum(now.values())
    if not before or not after:
        return 0.0
    total = 0.0
    for name in sorted({*then, *now}):
        expected = max(then.get(name, 0) / before, LEAST_SHARE)
        actual = max(now.get(name, 0) / after, LEAST_SHARE)
        total += (actual - expected) * math.log(actual / expected)
    return total


def compared(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line per thing watched, from two results of :func:`profile`.

    ``subject, detail, n_in_training, n, psi, outcome``; ``outcome`` is ``steady``, ``watch``, ``drifted`` or
    ``too_few``.
    """
    out: list[dict[str, Any]] = []

    def hold(subject: str, detail: str, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        n_then, n_now = sum(before.values()), sum(after.values())
        psi = stability_index(before, after)
        if min(n_then, n_now) < ENOUGH:
            outcome = "too_few"
        else:
            outcome = "drifted" if psi >= DRIFTED else "watch" if psi >= WATCH else "steady"
        out.append(
            {
                "subject": subject,
                "detail": detail,
                "n_in_training": n_then,
                "n": n_now,
                "psi": round(psi, 4),
                "outcome": outcome,
            }
        )

    hold("records per system", "all", then["records"], now["records"])
    for kind in sorted({*then["weights"], *now["weights"]}):
        hold("match weights", kind, then["weights"].get(kind, {}), now["weights"].get(kind, {}))
    for kind in sorted({*then["levels"], *now["levels"]}):
        before, after = then["levels"].get(kind, {}), now["levels"].get(kind, {})
        for name in sorted({*before, *after}):
            hold(f"levels of {name}", kind, before.get(name, {}), after.get(name, {}))
    # A system only one side knows shows in the shares above; there is nothing to hold its fields against.
    for system in sorted({*then["records"]} & {*now["records"]}):
        for name in FIELDS:
            sides = []
            for side in (then, now):
                gone = side["missing"][system].get(name, 0)
                sides.append({"missing": gone, "present": side["records"][system] - gone})
            hold(f"missing {name}", system, *sides)
    return out


def check_drift(linkage_dir: Path, model_dir: Path) -> dict[str, Any]:
    """Hold tonight's ``records`` and ``edges`` against the card of the model that scored them.

    Writes ``quality/drift.parquet``, the lines of :func:`compared`. Returns their number, how many are to be watched
    and have drifted, the names of those that drifted, the largest index, and which libraries, or our own comparisons,
    are not those of the training. ``has_reference`` is False for a model trained before cards kept one: then there is
    nothing to compare.
    """
    card = models.load(model_dir)
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        for name in ("records", "edges"):
            file = quoted(linkage_dir / f"{name}.parquet")
            con.execute(f"create view {name} as select * from read_parquet({file})")
        lines = compared(card.reference, profile(con)) if card.reference else []
        columns = {c: pa.array([line[c] for line in lines], kind) for c, kind in _COLUMNS.items()}
        con.register("kw_drift", pa.table(columns))
        write_parquet(con, "select * from kw_drift", linkage_dir / "quality" / "drift.parquet")
    finally:
        con.close()
    judged = [line for line in lines if line["outcome"] != "too_few"]
    here = models.versions()
    return {
        "has_reference": bool(card.reference),
        "compared": len(judged),
        "too_few": len(lines) - len(judged),
        "watch": sum(line["outcome"] == "watch" for line in judged),
        "drifted": sum(line["outcome"] == "drifted" for line in judged),
        "largest_index": max((line["psi"] for line in judged), default=0.0),
        "drifted_names": [f"{r['subject']} ({r['detail']})" for r in judged if r["outcome"] == "drifted"],
        "other_libraries": sorted(name for name, v in here.items() if card.versions.get(name) != v),
    }
