"""The night's people at a lower and a higher threshold, so that a measure can show how much hangs on the choice.

The same weighed pairs and the same constraints are clustered twice more: at the lower and at the upper edge of the band
within which a person should look (``review_low``, ``review_high`` of the model). The IDs are for one night's
arithmetic: a cluster has the published ID of most of its records, what is split off has that ID with a number behind
it, and nothing of it is written to the ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from linkage import model as models
from linkage.person.people import form, survey
from linkage.review.queue import load
from linkage.store import connect, read_json, rows, write_parquet


def write_alternates(linkage_dir: Path) -> dict[str, Any]:
    """Write ``person_crosswalk_alternates.parquet (threshold, source_system, source_record_id, person_id)``.

    ``threshold`` is ``low`` (more is joined) or ``high`` (less is). Reads what ``resolve`` wrote. Also writes
    ``quality/thresholds.parquet``, one line per threshold, the published one included. Returns counts.
    """
    card = models.load(Path(read_json(linkage_dir / "scoring.json")["model_dir"]))
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        load(con, linkage_dir)
        con.execute("create table published as select rid, person from people")
        con.execute("create table alternate (threshold varchar, rid bigint, person_id varchar)")
        weights = {"low": card.thresholds.review_low, "high": card.thresholds.review_high}
        ground = survey(con, card.duplicate_free)
        for name, weight in weights.items():
            form(con, "edges", weight, ground)
            _name_clusters(con, name)
        con.execute("insert into alternate select 'published', rid, person from published")
        write_parquet(
            con,
            "select a.threshold, r.source_system, r.source_record_id, a.person_id from alternate a "
            "join records r using (rid) where a.threshold <> 'published' "
            "order by a.threshold, r.source_system, r.source_record_id",
            linkage_dir / "person_crosswalk_alternates.parquet",
        )
        lines = ", ".join(
            f"({n}, '{name}', {weight!r})"
            for n, (name, weight) in enumerate(
                (("low", weights["low"]), ("published", card.thresholds.join), ("high", weights["high"]))
            )
        )
        write_parquet(
            con,
            f"""
            with size as (select threshold, person_id, count(*) as n from alternate group by all),
            moved as (select a.threshold, count(*) filter (a.person_id <> p.person) as n
                      from alternate a join published p using (rid) group by all)
            select threshold, weight, count(*) as people, max(s.n) as largest, sum(s.n * (s.n - 1) // 2)::bigint
                as joined_pairs, any_value(m.n) as records_under_another_id
            from size s join moved m using (threshold) join (values {lines}) v(place, threshold, weight)
            using (threshold) group by threshold, weight, place order by place
            """,
            linkage_dir / "quality" / "thresholds.parquet",
        )
        return {
            line["threshold"]: line["people"]
            for line in rows(
                con, "select threshold, count(distinct person_id) as people from alternate group by 1 order by 1"
            )
        }
    finally:
        con.close()


def _name_clusters(con: duckdb.DuckDBPyConnection, threshold: str) -> None:
    """Give the clusters in ``people`` IDs after the published people they overlap most."""
    con.execute(f"""
    insert into alternate
    with shared as (
        select n.person as cluster, p.person as id, count(*) as records
        from people n join published p using (rid) group by all
    ), ranked as (
        select *, row_number() over (partition by cluster order by records desc, id) as of_cluster from shared
    ), named as (
        select cluster, id, row_number() over (partition by id order by records desc, cluster) - 1 as nth
        from ranked where of_cluster = 1
    )
    select '{threshold}', p.rid, case when n.nth = 0 then n.id else n.id || '-' || n.nth end
    from people p join named n on n.cluster = p.person
    """)
