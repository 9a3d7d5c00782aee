"""Training, outside the night: two Splink models learned from the records themselves, without labels."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from linkage import drift
from linkage.model import ModelCard, Thresholds, versions
from linkage.person import edges as edge_work
from linkage.person import nightly, people
from linkage.person.blocking import block
from linkage.person.comparisons import COMPARISONS, choose
from linkage.person.mixture import Floats, Mixture, fit
from linkage.person.relational import train_pools
from linkage.person.scoring import Scorer, splink_model
from linkage.records import fingerprint, read_summary
from linkage.store import connect, quoted, sha256, write_json

#: Blocked pairs looked at in training, of those that one rule found and of the others; more changes only the time.
MAX_TRAINING_PAIRS = 75_000
#: Pairs of strangers drawn at random.
SAMPLED_PAIRS = 120_000
#: With fewer young children than this there is one model.
MIN_CHILDREN = 400


#: Whose records a model speaks of, and which pairs are its own.
_RECORDS = {"adult": "not is_child", "child": "is_child", "every": "true"}
_PAIRS = {"adult": "not is_child_pair", "child": "is_child_pair", "every": "true"}


def _draw(con: duckdb.DuckDBPyConnection, kind: str) -> dict[bool, int]:
    """Tables ``kw_train_<kind>`` and ``kw_sample_<kind>``: blocked pairs, and strangers.

    Returns how many pairs of that kind one rule alone found (true), and how many several found (false). Most pairs of
    one person are among the few of several rules: drawn from all pairs alike, hardly any would be looked at.
    """
    asked = f"select by_one_rule, count(*) from pairs where {_PAIRS[kind]} group by by_one_rule"
    blocked = {False: 0, True: 0} | dict(con.execute(asked).fetchall())
    keep = {by_one: max(1, -(-n // MAX_TRAINING_PAIRS)) for by_one, n in blocked.items()}
    con.execute(
        f"create or replace table kw_train_{kind} as select rid_l, rid_r, by_one_rule from pairs where {_PAIRS[kind]} "
        f"and hash(rid_l, rid_r) % case when by_one_rule then {keep[True]} else {keep[False]} end = 0"
    )
    # Everybody in a drawn order beside everybody in the same order, moved on: each pair is drawn by itself. The child
    # model also meets pairs of a child and an adult, so its strangers are children against anybody.
    con.execute(f"""
    create or replace table kw_sample_{kind} as
    with one as (select rid, row_number() over (order by hash(rid), rid) as i from records where {_RECORDS[kind]}
                 qualify i <= {SAMPLED_PAIRS}),
    other as (select rid, row_number() over (order by hash(rid, 1), rid) - 1 as i
              from records where {"true" if kind == "child" else _RECORDS[kind]}),
    size as (select max(i) as n from one),
    moves as (select unnest(range(1, 1 + greatest(1, {SAMPLED_PAIRS} // (select n from size)))) as move),
    drawn as (select rid, (i * 7919 + move * 104729) % (select count(*) from other) as j from one cross join moves)
    select distinct least(a.rid, b.rid) as rid_l, greatest(a.rid, b.rid) as rid_r
    from drawn a join other b on b.i = a.j where a.rid <> b.rid
    """)
    return blocked


def _fit_models(
    con: duckdb.DuckDBPyConnection, scorer: Scorer, kinds: tuple[str, ...], duplicate_free: tuple[str, ...]
) -> dict[str, Mixture]:
    drawn = {kind: _draw(con, kind) for kind in kinds}
    chosen = {kind: choose(con, _RECORDS[kind]) for kind in kinds}
    # All in one go: bringing two sides together costs the most.
    tables = [f"kw_{name}_{kind}" for kind in kinds for name in ("train", "sample")]
    looked = " union ".join(f"select rid_l, rid_r from {table}" for table in tables)
    con.execute(f"create or replace table kw_looked as {looked}")
    scorer.levels([c for c in COMPARISONS if any(c in own for own in chosen.values())], "kw_looked", "kw_levels")
    everybody = con.execute("select count(*) from records").fetchall()[0][0]
    mixtures = {}
    for kind, comparisons in chosen.items():
        names = [c.name for c in comparisons]
        parts = []
        for by_one, blocked in drawn[kind].items():
            own = f"(from kw_train_{kind} where by_one_rule = {by_one})"
            found, counts = scorer.patterns(f"(from kw_levels semi join {own} using (rid_l, rid_r))", names)
            parts.append((found, counts * (blocked / max(float(counts.sum()), 1.0))))
        seen = (np.concatenate([found for found, _ in parts]), np.concatenate([counts for _, counts in parts]))
        strangers = scorer.patterns(f"(from kw_levels semi join kw_sample_{kind} using (rid_l, rid_r))", names)
        n = con.execute(f"select count(*) from records where {_RECORDS[kind]}").fetchall()[0][0]
        total = n * (n - 1) / 2 + (n * (everybody - n) if kind == "child" else 0)
        for system in duplicate_free:
            own = f"select count(*) from records where {_RECORDS[kind]} and source_system = {quoted(system)}"
            k = con.execute(own).fetchall()[0][0]
            total -= k * (k - 1) / 2
        mixtures[kind] = fit(comparisons, seen, strangers, max(total, float(seen[1].sum()) + 1))
    return mixtures


def choose_threshold(weights: Floats) -> tuple[float, str]:
    """The weight at which expected F1 is highest, from the models' own probabilities.

    With calibrated probabilities, linking every pair above ``t`` has expected precision mean(p above t) and expected
    recall sum(p above t) / sum(p). Bounded to odds between 1:2 and 2:1, where a wrong model can do least harm.
    """
    if len(weights) == 0:
        return 0.0, "No pairs; the threshold is even odds."
    ordered = np.sort(weights)[::-1]
    p = 1 / (1 + np.exp2(-np.clip(ordered, -60, 60)))
    gained = np.cumsum(p)
    f1 = 2 * gained / (np.arange(1, len(p) + 1) + p.sum())
    best = int(np.argmax(f1))
    # Half way to the next pair: between the two nothing is decided either way.
    below = ordered[best + 1] if best + 1 < len(ordered) else ordered[best]
    value = float(np.clip((ordered[best] + below) / 2, -1.0, 1.0))
    return value, (
        f"Highest expected F1 ({f1[best]:.4f}) by the model's own probabilities over {len(p):,} compared pairs; "
        "no truth was used."
    )


def train(
    linkage_dir: Path, models_dir: Path, name: str | None = None, duplicate_free: tuple[str, ...] = ()
) -> ModelCard:
    """Train on the records of ``linkage_dir`` and save a model folder under ``models_dir``.

    ``duplicate_free`` names systems that vouch for having each person once. The default name is the newest delivery
    date (or "undated") with the fingerprint of the data. Deterministic: the same records give the same files.
    """
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        edge_work.load_all(con, linkage_dir)
        card, completed, _ = train_on(con, linkage_dir, models_dir, name, duplicate_free)
        # These are the edges a night with this model would find: the first one need not find them again.
        nightly.keep(linkage_dir, card, fingerprint(con), card.blocking, completed)
        return card
    finally:
        con.close()


def train_on(
    con: duckdb.DuckDBPyConnection,
    linkage_dir: Path,
    models_dir: Path,
    name: str | None = None,
    duplicate_free: tuple[str, ...] = (),
) -> tuple[ModelCard, int, tuple[people.Ground, dict[str, Any]]]:
    """:func:`train` on a connection that holds what :func:`linkage.person.edges.load_all` loads.

    Also returns how many pairs completion looked at, and what :func:`linkage.person.people.link` returned: its
    people and weighed ``edges`` are left on ``con``.
    """
    summary = read_summary(linkage_dir)
    records = summary.get("fingerprint") or fingerprint(con)
    data = hashlib.sha256(
        (records + sha256(linkage_dir / "relationships.parquet") + ",".join(sorted(duplicate_free))).encode()
    ).hexdigest()[:16]
    name = name or f"{summary['newest_delivery'] or 'undated'}-{data[:8]}"
    path = models_dir / name
    scorer = Scorer(con)
    scorer.save_frequencies(path / "frequencies")
    report = block(con, duplicate_free)
    n_children = con.execute("select count(*) from records where is_child").fetchall()[0][0]
    n = con.execute("select count(*) from records").fetchall()[0][0]
    if n_children >= MIN_CHILDREN and n - n_children >= MIN_CHILDREN:
        mixtures = _fit_models(con, scorer, ("adult", "child"), duplicate_free)
    else:
        one = _fit_models(con, scorer, ("every",), duplicate_free)["every"]
        mixtures = {"adult": one, "child": one}
    edge_work.score_pairs(con, scorer, mixtures, "pairs", "edges", "pair")
    weights = np.asarray(con.execute("select weight from edges").fetchnumpy()["weight"], dtype=np.float64)
    join, how = choose_threshold(weights)
    thresholds = Thresholds(join=join, keep=join - 1.5, review_low=join - 3.0, review_high=join + 2.5, how=how)
    completed = edge_work.complete(con, scorer, mixtures, "edges", join)
    nightly.write_edges(con, linkage_dir)
    reference = drift.profile(con)
    first_look = people.link(con, scorer, mixtures, "edges", join, tuple(sorted(duplicate_free)))
    pools = train_pools(con, scorer, mixtures, "edges")
    card = ModelCard(
        name=name,
        path=path,
        mixtures=mixtures,
        thresholds=thresholds,
        pools=pools,
        duplicate_free=tuple(sorted(duplicate_free)),
        versions=versions(),
        fingerprint=data,
        trained_on={
            "records": n,
            "children": n_children,
            "newest_delivery": summary["newest_delivery"],
            "expected_matches": round(sum(m.expected_matches for m in mixtures.values()), 1),
        },
        blocking=report,
        reference=reference,
    )
    for kind, mixture in mixtures.items():
        write_json(splink_model(con, mixture), path / f"{kind}.json")
    card.save()
    return card, completed, first_look
