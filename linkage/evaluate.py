"""Linkage against a known truth. Only the demo and the tests have one; nothing here is read by any other step."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from linkage.store import connect, quoted, rows


@dataclass
class Evaluation:
    """Pairs: two records said to be one person. Exact: people whose whole set of records is right.

    ``parent_*`` are over pairs of true people (child, parent): a found edge counts for the true people who hold most
    records of its two clusters. ``by_pair`` has one line per pair of systems.
    """

    records: int
    people_true: int
    people_found: int
    precision: float
    recall: float
    f1: float
    exact: float
    parent_precision: float | None = None
    parent_recall: float | None = None
    by_pair: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def _ratio(a: float, b: float) -> float:
    return a / b if b else 1.0


def evaluate(linkage_dir: Path, truth_dir: Path) -> Evaluation:
    """Compare ``person_crosswalk.parquet`` (and ``parent_child.parquet``) of ``linkage_dir`` with the truth.

    ``truth_dir`` holds ``person_records.parquet (source_system, source_record_id, true_person_id)`` and, for families,
    ``parent_child.parquet (true_child_id, true_parent_id)``.
    """
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        return _evaluate(con, linkage_dir, truth_dir)
    finally:
        con.close()


def _evaluate(con: duckdb.DuckDBPyConnection, linkage_dir: Path, truth_dir: Path) -> Evaluation:
    con.execute(f"""
    create table placed as
    select source_system, source_record_id, person_id as found, true_person_id::varchar as truth
    from read_parquet({quoted(linkage_dir / "person_crosswalk.parquet")}) as f
    join read_parquet({quoted(truth_dir / "person_records.parquet")}) as t using (source_system, source_record_id)
    """)

    def pairs(columns: str) -> int:
        found = con.execute(
            f"select coalesce(sum(n * (n - 1) // 2), 0) from (select count(*) as n from placed group by {columns})"
        )
        return int(found.fetchall()[0][0])

    together, found, true = pairs("found, truth"), pairs("found"), pairs("truth")
    precision, recall = _ratio(together, found), _ratio(together, true)
    people_true = con.execute("select count(distinct truth) from placed").fetchall()[0][0]
    # By windows, not by joining three counts: the planner joined equal counts first, all with all.
    exact = con.execute("""
    with sized as (
        select truth, count(*) over (partition by truth) as n_truth, count(*) over (partition by found) as n_found,
            count(*) over (partition by truth, found) as n_both
        from placed
    )
    select count(distinct truth) from sized where n_both = n_truth and n_both = n_found
    """).fetchall()[0][0]
    result = Evaluation(
        records=con.execute("select count(*) from placed").fetchall()[0][0],
        people_true=people_true,
        people_found=con.execute("select count(distinct found) from placed").fetchall()[0][0],
        precision=precision,
        recall=recall,
        f1=_ratio(2 * precision * recall, precision + recall),
        exact=_ratio(exact, people_true),
    )
    result.by_pair = rows(
        con,
        """
        with p as (
            select least(a.source_system, b.source_system) as system_a,
                greatest(a.source_system, b.source_system) as system_b,
                a.found = b.found as is_found, a.truth = b.truth as is_true
            from placed a join placed b on a.truth = b.truth
                and (a.source_system, a.source_record_id) < (b.source_system, b.source_record_id)
            union all
            select least(a.source_system, b.source_system), greatest(a.source_system, b.source_system), true, false
            from placed a join placed b on a.found = b.found and a.truth <> b.truth
                and (a.source_system, a.source_record_id) < (b.source_system, b.source_record_id)
        )
        select system_a, system_b, count(*) filter (is_true) as true_pairs,
            count(*) filter (is_found) as found_pairs,
            round(count(*) filter (is_found and is_true) / nullif(count(*) filter (is_found), 0), 5) as precision,
            round(count(*) filter (is_found and is_true) / nullif(count(*) filter (is_true), 0), 5) as recall
        from p group by all order by system_a, system_b
        """,
    )
    truth_file, found_file = truth_dir / "parent_child.parquet", linkage_dir / "parent_child.parquet"
    if truth_file.exists() and found_file.exists():
        # Where two halves are of one size the one with the first record counts: IDs are random and decide nothing.
        for table, one, other in (("holder", "found", "truth"), ("home", "truth", "found")):
            con.execute(f"""
            create table {table} as
            select {one}, {other} from (
                select {one}, {other}, row_number() over (
                    partition by {one}
                    order by count(*) desc, min(source_system || chr(31) || source_record_id)) as nth
                from placed group by {one}, {other}) where nth = 1
            """)
        edges, right = con.execute(f"""
        with f as (select distinct child_person_id, parent_person_id from read_parquet({quoted(found_file)})
                   where role in ('mother', 'father', 'parent', 'putative_father')),
        t as (select distinct true_child_id::varchar as c, true_parent_id::varchar as p
              from read_parquet({quoted(truth_file)}))
        select count(*), count(*) filter (t.c is not null and hc.found = f.child_person_id
                                          and hp.found = f.parent_person_id)
        from f join holder c on c.found = f.child_person_id join holder p on p.found = f.parent_person_id
        left join home hc on hc.truth = c.truth left join home hp on hp.truth = p.truth
        left join t on t.c = c.truth and t.p = p.truth
        """).fetchall()[0]
        known = con.execute(f"""
        select count(*) from (select distinct true_child_id::varchar as c, true_parent_id::varchar as p
            from read_parquet({quoted(truth_file)})) t
        where c in (select truth from placed) and p in (select truth from placed)
        """).fetchall()[0][0]
        result.parent_precision, result.parent_recall = _ratio(right, edges), _ratio(right, known)
    return result
