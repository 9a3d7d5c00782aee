"""The scored pairs of a night: blocked, compared, weighed, and completed inside what they tie together."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np

from linkage.person.bound import keep_possible
from linkage.person.clustering import _components
from linkage.person.comparisons import COMPARISONS
from linkage.person.mixture import Mixture
from linkage.person.scoring import FLOOR, Scorer
from linkage.person.weights import weight_sql
from linkage.store import quoted

#: Components larger than this are not completed: their missing pairs would cost more than they tell.
MAX_COMPLETED = 60
#: From here on it pays to look at single values first.
MANY_PAIRS = 200_000


def load_records(con: duckdb.DuckDBPyConnection, path: str) -> None:
    """Table ``records`` from the linkage folder."""
    con.execute(f"create or replace table records as select * from read_parquet('{path}')")


def load_all(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    """Tables ``records``, ``stated``, ``constraints``, ``members`` and ``links`` from the linkage folder."""
    load_records(con, str(linkage_dir / "records.parquet"))
    for table, file in (
        ("stated", "relationships"),
        ("constraints", "constraints"),
        ("members", "case_members"),
        ("links", "case_links"),
    ):
        source = quoted(linkage_dir / f"{file}.parquet")
        con.execute(f"create or replace table {table} as select * from read_parquet({source})")


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
    used = [c for c in COMPARISONS if any(c.name in m.comparisons for m in mixtures.values())]

    def level(name: str) -> str:
        kinds = [kind for kind, m in mixtures.items() if name in m.comparisons]
        if len(kinds) == 2:
            return f"g_{name}"
        if not kinds:
            return f"null::tinyint as g_{name}"
        return f"case when {'' if kinds[0] == 'child' else 'not '}is_child_pair then g_{name} end as g_{name}"

    if floor > -100 and con.execute(f"select count(*) from {pairs}").fetchall()[0][0] > MANY_PAIRS:
        keep_possible(con, mixtures, pairs, floor)
        pairs = "kw_possible"
    weight = f"case when is_child_pair then {weight_sql(mixtures['child'])} else {weight_sql(mixtures['adult'])} end"
    scorer.levels(
        used,
        pairs,
        out,
        f"rid_l, rid_r, ({weight})::double as weight, case when is_child_pair then 'child' else 'adult' end as model, "
        f"'{evidence}' as evidence, {', '.join(level(c.name) for c in COMPARISONS)}",
        f"where weight >= {floor}",
    )


def complete(
    con: duckdb.DuckDBPyConnection,
    scorer: Scorer,
    mixtures: dict[str, Mixture],
    edges: str,
    join: float,
    before: str | None = None,
) -> int:
    """Score the pairs no rule proposed inside what the edges of weight ``join`` tie together.

    A chain A-B-C proposes that A is C: whether that is likely is the best evidence against a wrong chain.
    Table ``before`` holds such pairs scored earlier whose records have not changed: they are not scored again.
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
    if before:
        con.execute(f"insert into {edges} by name select b.* from {before} b semi join kw_missing using (rid_l, rid_r)")
        con.execute(
            f"create or replace table kw_missing as select * from kw_missing anti join {before} using (rid_l, rid_r)"
        )
    if con.execute("select count(*) from kw_missing").fetchall()[0][0]:
        # Also what says nothing but no is evidence here.
        score_pairs(con, scorer, mixtures, "kw_missing", "kw_completed", "completion", floor=-1e9)
        con.execute(f"insert into {edges} by name select * from kw_completed")
        con.execute("drop table kw_completed")
    con.execute("drop table kw_missing")
    return missing
