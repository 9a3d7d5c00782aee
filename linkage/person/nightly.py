"""What one night scored, kept for the next: only what changed is blocked and compared again.

A pair's weight follows from its two records, the frozen model and the frozen name frequencies; whether it is compared
at all, from its blocks and the frozen block limits. So the pairs of records that did not change, in blocks that did
not cross their limit, are yesterday's pairs; the others are found again. The result is that of a full night, which is
tested. Anything else that decides (model, rules, libraries) is part of the state's fingerprint: when it differs, the
night is full.

Kept in ``scored/`` beside the edges: ``records.parquet`` as they were scored, and ``state.json``.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import duckdb

from linkage.model import ModelCard, versions
from linkage.person import blocking, bound, comparisons, scoring, weights
from linkage.person import edges as edge_work
from linkage.person.scoring import FLOOR, Scorer
from linkage.records import read_summary, row_hash
from linkage.store import quoted, read_json, sha256, write_json, write_parquet

#: Above this share of changed records a full night is cheaper.
MAX_SHARE = 0.2


def fingerprint(card: ModelCard) -> str:
    """Of everything but the records that decides which pairs are scored, and how."""
    parts = [
        card.fingerprint,
        sha256(card.path / "card.json"),
        blocking.fingerprint(),
        repr((FLOOR, sorted(versions().items()))),
        # Another condition of a level gives other weights under the same model.
        *(sha256(Path(str(module.__file__))) for module in (edge_work, bound, comparisons, scoring, weights)),
    ]
    parts += [sha256(p) for p in sorted((card.path / "frequencies").glob("*.parquet"))]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def limits_of(card: ModelCard) -> dict[str, int]:
    """The largest block compared per rule, frozen with the model."""
    return {rule["name"]: int(rule["block_limit"]) for rule in card.blocking}


def keep(linkage_dir: Path, card: ModelCard, records: str, report: list[dict[str, Any]], completed: int) -> None:
    """Remember what ``edges.parquet`` was made from; ``records`` is the fingerprint of the records that were scored.

    Written last: a night that died before it counts as none.
    """
    folder = linkage_dir / "scored"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "records.parquet.part"
    shutil.copyfile(linkage_dir / "records.parquet", part)
    part.replace(folder / "records.parquet")
    write_json(
        {
            "fingerprint": fingerprint(card),
            "edges": sha256(linkage_dir / "edges.parquet"),
            "scored": sha256(folder / "records.parquet"),
            "records": records,
            "rules": report,
            "completed": completed,
        },
        folder / "state.json",
    )


def _state(linkage_dir: Path, card: ModelCard) -> dict[str, Any] | None:
    folder = linkage_dir / "scored"
    scored, edges = folder / "records.parquet", linkage_dir / "edges.parquet"
    try:
        state: dict[str, Any] = read_json(folder / "state.json")
        is_whole = (state["scored"], state["edges"]) == (sha256(scored), sha256(edges))
        return state if is_whole and state["fingerprint"] == fingerprint(card) else None
    except (OSError, ValueError, KeyError):
        return None


def as_before(con: duckdb.DuckDBPyConnection, linkage_dir: Path, card: ModelCard) -> dict[str, Any] | None:
    """View ``edges`` on yesterday's file where the records say the same; None where they do not."""
    state = _state(linkage_dir, card)
    if state is None or state["records"] != read_summary(linkage_dir).get("fingerprint"):
        return None
    con.execute(f"create or replace view edges as select * from read_parquet({quoted(linkage_dir / 'edges.parquet')})")
    return {
        "records_changed": 0,
        "records_gone": 0,
        "records_in_crossed_blocks": 0,
        "rules": state["rules"],
        "completed": state["completed"],
    }


def score_changes(con: duckdb.DuckDBPyConnection, linkage_dir: Path, card: ModelCard) -> dict[str, Any] | None:
    """Table ``edges`` for tonight's ``records`` from yesterday's; None where a full night is needed.

    Returns counts: records new or changed, deleted, and looked at again because a block crossed its limit.
    """
    state = _state(linkage_dir, card)
    if state is None:
        return None
    before = quoted(linkage_dir / "scored" / "records.parquet")
    con.execute(f"create or replace view was as select * from read_parquet({before})")
    columns = [r[0] for r in con.execute("describe records").fetchall()]
    if columns != [r[0] for r in con.execute("describe was").fetchall()]:
        return None
    mark = row_hash(con)
    con.execute(
        "create or replace temp table kw_marks as "
        "select coalesce(a.rid, b.rid) as rid, a.mark as now, b.mark as was "
        f"from (select rid, {mark} as mark from records) a "
        f"full join (select rid, {mark} as mark from was) b on a.rid = b.rid "
        "where a.mark is distinct from b.mark"
    )
    con.execute("create or replace table changed as select rid from kw_marks where now is not null")
    con.execute("create or replace table gone as select rid from kw_marks where was is not null")
    count = {t: con.execute(f"select count(*) from {t}").fetchall()[0][0] for t in ("changed", "gone", "records")}
    if count["changed"] + count["gone"] > MAX_SHARE * count["records"]:
        return None
    con.execute(f"create or replace table edges as select * from read_parquet({quoted(linkage_dir / 'edges.parquet')})")
    report, crossed, completed = state["rules"], 0, state["completed"]
    if count["changed"] or count["gone"]:
        limits = limits_of(card)
        largest = {rule["name"]: int(rule["largest_block"]) for rule in state["rules"]}
        blocking.crossings(con, limits, "was", "changed", "gone", largest)
        con.execute("create or replace table touched as select rid from changed union select rid from crossed")
        crossed = con.execute("select count(*) from touched").fetchall()[0][0] - count["changed"]
        scorer = Scorer(con, card.path / "frequencies")
        report = blocking.block(con, card.duplicate_free, limits, "touched")
        con.execute("create or replace table stale as select rid from touched union select rid from gone")
        con.execute("""
        create or replace table known as select * from edges
        anti join stale on rid = rid_l anti join stale s on s.rid = rid_r
        """)
        edge_work.score_pairs(con, scorer, card.mixtures, "pairs", "edges", "pair")
        con.execute("insert into edges by name select * from known where evidence = 'pair'")
        con.execute("create or replace table completed_before as select * from known where evidence = 'completion'")
        completed = edge_work.complete(con, scorer, card.mixtures, "edges", card.thresholds.join, "completed_before")
    return {
        "records_changed": count["changed"],
        "records_gone": con.execute("select count(*) from gone anti join records using (rid)").fetchall()[0][0],
        "records_in_crossed_blocks": crossed,
        "rules": report,
        "completed": completed,
    }


def score_all(con: duckdb.DuckDBPyConnection, card: ModelCard) -> dict[str, Any]:
    """Table ``edges`` for all of ``records``, from nothing."""
    scorer = Scorer(con, card.path / "frequencies")
    report = blocking.block(con, card.duplicate_free, limits_of(card))
    pairs = con.execute("select count(*) from pairs").fetchall()[0][0]
    edge_work.score_pairs(con, scorer, card.mixtures, "pairs", "edges", "pair")
    completed = edge_work.complete(con, scorer, card.mixtures, "edges", card.thresholds.join)
    return {"rules": report, "pairs": pairs, "completed": completed}


def write_edges(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    """``edges.parquet`` in the order of the pairs."""
    write_parquet(con, "select * from edges order by rid_l, rid_r", linkage_dir / "edges.parquet")
