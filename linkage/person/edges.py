"""The scored pairs of a night: blocked, compared, weighed, and completed inside what they tie together."""

from __future__ import annotations

import duckdb
import numpy as np

from linkage.person.clustering import _components
from linkage.person.mixture import Mixture
from linkage.person.scoring import FLOOR, Scorer, splink_settings

#: Components larger than this are not completed: their missing pairs would cost more than they tell.
MAX_COMPLETED = 60

#: A pair is the child model's when either record is a young child's.
MODEL_OF = "case when l.is_child or r.is_child then 'child' else 'adult' end"


def load_records(con: duckdb.DuckDBPyConnection, path: str) -> None:
    """Table ``records`` from the linkage folder."""
    con.execute(f"create or replace table records as select * from read_parquet('{path}') order by rid")


def score_pairs(
    con: duckdb.DuckDBPyConnection,
    scorer: Scorer,
    mixtures: dict[str, Mixture],
    pairs: str,
    out: str,
    evidence: str,
    floor: float = FLOOR,
) -> None:
    """Table ``out``: ``rid_l, rid_r, weight, model, evidence, g_*`` for the pairs in table ``pairs``."""
    from linkage.person.comparisons import COMPARISONS

    every = ", ".join(f"g_{c.name} tinyint" for c in COMPARISONS)
    con.execute(
        f"create or replace table {out} (rid_l bigint, rid_r bigint, weight double, model varchar, "
        f"evidence varchar, {every})"
    )
    con.execute(
        f"create or replace table kw_split as select p.rid_l, p.rid_r, {MODEL_OF} as model from {pairs} p "
        "join records l on l.rid = p.rid_l join records r on r.rid = p.rid_r"
    )
    for kind, mixture in mixtures.items():
        con.execute(f"create or replace table kw_part as select rid_l, rid_r from kw_split where model = '{kind}'")
        if not con.execute("select count(*) from kw_part").fetchall()[0][0]:
            continue
        scorer.compare(splink_settings(mixture), "kw_part", "kw_compared")
        scorer.weigh("kw_compared", mixture, "kw_weighed")
        names = [f"g_{n}" for n in mixture.comparisons]
        con.execute(
            f"insert into {out} (rid_l, rid_r, weight, model, evidence, {', '.join(names)}) "
            f"select rid_l, rid_r, weight, '{kind}', '{evidence}', {', '.join(names)} "
            f"from kw_weighed where weight >= {floor}"
        )
        con.execute("drop table kw_weighed")
        con.execute("drop table kw_compared")
    con.execute("drop table kw_split")


def complete(
    con: duckdb.DuckDBPyConnection, scorer: Scorer, mixtures: dict[str, Mixture], edges: str, join: float
) -> int:
    """Score the pairs no rule proposed inside what the edges of weight ``join`` tie together.

    A chain A-B-C proposes that A is C: whether that is likely is the best evidence against a wrong chain.
    Returns the number of pairs added to table ``edges``.
    """
    data = con.execute(f"select rid_l, rid_r from {edges} where weight >= {join}").fetchnumpy()
    if len(data["rid_l"]) == 0:
        return 0
    both = np.concatenate([data["rid_l"], data["rid_r"]])
    rids, index = np.unique(both, return_inverse=True)
    half = len(data["rid_l"])
    labels = _components(len(rids), index[:half], index[half:])
    import pyarrow as pa

    con.register("kw_labels", pa.table({"rid": rids, "label": labels}))
    con.execute(
        f"""create or replace table kw_missing as
        with sized as (select label from kw_labels group by label having count(*) between 3 and {MAX_COMPLETED}),
        members as (select l.* from kw_labels l semi join sized using (label))
        select a.rid as rid_l, b.rid as rid_r from members a join members b on a.label = b.label and a.rid < b.rid
        anti join {edges} e on e.rid_l = a.rid and e.rid_r = b.rid
        order by 1, 2"""
    )
    con.unregister("kw_labels")
    missing = int(con.execute("select count(*) from kw_missing").fetchall()[0][0])
    if missing:
        score_pairs(con, scorer, mixtures, "kw_missing", "kw_completed", "completion")
        # Also a pair below the floor is evidence here: it keeps its place at the floor.
        con.execute(f"insert into {edges} by name select * from kw_completed")
        con.execute(
            f"insert into {edges} (rid_l, rid_r, weight, model, evidence) "
            f"select rid_l, rid_r, {FLOOR}, 'adult', 'completion' from kw_missing anti join kw_completed "
            "using (rid_l, rid_r)"
        )
        con.execute("drop table kw_completed")
    con.execute("drop table kw_missing")
    return missing
