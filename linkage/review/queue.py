"""What a reviewer should look at, most consequential first, and the random sample that says how good the linkage is.

``review_queue.parquet`` holds source record keys, words and counts, no name. Two lists in one file (column ``list``):

``review``  pairs in question, one per pair of people (or of parts of one person) that stand or fall together. First
            those on which decisions disagree with each other or with what sources state; then by ``priority`` =
            points of consequence x doubt (:data:`linkage.review.words.CONSEQUENCES`, plus one per record moved, up to
            three). Doubt is 4p(1-p), highest at even odds, and 1 where evidence and a constraint contradict each
            other.
``audit``   a random sample of all weighed pairs within strata of score, for estimating precision and recall
            (``audit_strata.parquet`` has the sizes). Pairs are taken in the order of a seeded hash of their keys
            (permanent random numbers, Ohlsson 1995), so the sample stays the same while the strata do, whatever else
            is delivered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from linkage import model as models
from linkage.person.clustering import _components
from linkage.person.people import TWO_PEOPLE, form, survey
from linkage.review import decisions as reviewed
from linkage.review.words import CONSEQUENCES, compared_words, consequence_words
from linkage.store import connect, in_list, quoted, read_json, rows, write_parquet

#: Open questions beyond this many are counted, not listed: nobody works through them before the next night.
MAX_ITEMS = 5_000
#: The audit sample has this many pairs of every stratum, and these more shared out by the strata's sizes.
AUDIT_PER_STRATUM, AUDIT_BY_SIZE = 15, 200
#: Bounds of the strata, in log2 odds from the threshold at which records are joined.
AUDIT_BOUNDS = (-6.0, -3.0, -1.5, 0.0, 1.5, 3.0, 6.0, 12.0)
#: Changing it draws another sample; decisions on the old one stay decisions.
AUDIT_SEED = "kinweave audit 1"
#: Evidence of rules that leave a pair to a reviewer or keep it apart, and how much doubt there is of them.
RULES = (*TWO_PEOPLE, "perhaps_generation")
RULED = 0.1
#: Systems whose very records are protected by 42 CFR Part 2.
PART2_SYSTEMS = ("behavioral_health",)

_KEYS = "source_system_a, source_record_id_a, source_system_b, source_record_id_b"


def item_of(pair: reviewed.Pair) -> str:
    """The short name of a pair, the same every night."""
    (system_a, record_a), (system_b, record_b) = reviewed.pair_of(*pair)
    text = "\x1f".join((system_a, record_a, system_b, record_b))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stated(linkage_dir: Path, pairs: Iterable[reviewed.Pair]) -> reviewed.Statements:
    """What sources stated, on the night in ``linkage_dir``, that decisions on ``pairs`` could run into."""
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        for table, file in (("records", "records"), ("constraints", "constraints_in_force")):
            con.execute(f"create view {table} as select * from read_parquet({quoted(linkage_dir / f'{file}.parquet')})")
        return reviewed.statements(con, pairs)
    finally:
        con.close()


def load(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    """``records``, ``edges``, ``constraints`` and ``people`` of a night that :func:`resolve` has finished."""
    # Views where nothing is changed: each step then reads only the columns it needs.
    for kind, table, file in (
        ("view", "records", "records"),
        ("view", "edges", "weighed_pairs"),
        ("table", "constraints", "constraints_in_force"),
    ):
        con.execute(f"create {kind} {table} as select * from read_parquet({quoted(linkage_dir / (file + '.parquet'))})")
    con.execute(f"""
    create table people as
    select r.rid, c.person_id as person from records r
    join read_parquet({quoted(linkage_dir / "person_crosswalk.parquet")}) c using (source_system, source_record_id)
    """)
    hide_sealed(con, linkage_dir)


def hide_sealed(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    """Table ``hidden(rid)``: all records of children with a sealed record whom a source says somebody adopted.

    Nobody is asked about them or shown them as somebody's child: two records side by side are what a seal keeps apart.
    """
    con.execute(f"""
    create or replace temp table hidden as
    with held as (
        select r.rid, r.is_sealed, c.person_id
        from read_parquet({quoted(linkage_dir / "records.parquet")}) r
        join read_parquet({quoted(linkage_dir / "person_crosswalk.parquet")}) c using (source_system, source_record_id))
    select rid from held semi join (
        select person_id from held
        left join (select distinct rid_b as rid, true as is_adopted
                   from read_parquet({quoted(linkage_dir / "relationships.parquet")})
                   where relationship = 'adoptive_parent_of') using (rid)
        group by person_id having bool_or(coalesce(is_sealed, false)) and bool_or(coalesce(is_adopted, false))
    ) using (person_id)
    """)


def without_reviewers(con: duckdb.DuckDBPyConnection, card: models.ModelCard) -> None:
    """Table ``alone(rid, person)``: the people as the model alone would form them.

    Precision is asked of this: what reviewers have mended must not count in the model's favour. What sources state
    counts, also where a reviewer says otherwise.
    """
    if con.execute("select count(*) from constraints where reason = 'reviewer'").fetchall()[0][0]:
        con.execute("create table kw_people as select * from people")
        con.execute("create table kw_all as select * from constraints")
        con.execute("delete from constraints where reason = 'reviewer'")
        con.execute("update constraints set kind = replace(kind, 'overruled_', '')")
        form(con, "edges", card.thresholds.join, survey(con, card.duplicate_free))
        con.execute("create table alone as select * from people")
        con.execute("create or replace table people as select * from kw_people")
        con.execute("create or replace table constraints as select * from kw_all")
        con.execute("drop table kw_people")
        con.execute("drop table kw_all")
    else:
        con.execute("create table alone as select rid, person from people")


def build_queue(
    linkage_dir: Path, decisions: Path | None = None, part2_systems: tuple[str, ...] = PART2_SYSTEMS
) -> dict[str, Any]:
    """Write ``review_queue.parquet`` and ``audit_strata.parquet`` for the night in ``linkage_dir``.

    Reads what ``resolve`` and ``build_families`` wrote there. Whom a sealed adoption hides is in neither
    (:func:`hide_sealed`). Pairs that are settled by decisions are no questions any
    more; pairs on which reviewers disagree, or whose decisions contradict each other or what sources state, come first.
    Returns counts.
    """
    card = models.load(Path(read_json(linkage_dir / "scoring.json")["model_dir"]))
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        load(con, linkage_dir)
        _candidates(con, linkage_dir, card, reviewed.read(decisions))
        _consequences(con, linkage_dir, part2_systems)
        without_reviewers(con, card)
        strata = draw_audit(con, card.thresholds.join)
        summary = _write(con, linkage_dir, card)
        write_parquet(con, "select * from strata order by stratum", linkage_dir / "audit_strata.parquet")
        return {**summary, "audit_strata": strata}
    finally:
        con.close()


def _candidates(
    con: duckdb.DuckDBPyConnection, linkage_dir: Path, card: models.ModelCard, read: reviewed.Decisions
) -> None:
    """Table ``question``: one pair for each thing that would change, with ``reason`` and ``doubt``."""
    found = reviewed.verdicts(read.lines)
    stated = reviewed.statements(con, reviewed.must_links(found))
    clashing = {p for clash in reviewed.contradictions(found, stated) for p in clash}
    states = [
        (p, "decisions_contradict" if p in clashing else "disputed" if v.state == "disputed" else "settled")
        for p, v in found.items()
        if v.state != "unsure" or p in clashing
    ]
    con.register(
        "kw_states",
        pa.table(
            {
                "system_a": pa.array([p[0][0] for p, _ in states], pa.string()),
                "record_a": pa.array([p[0][1] for p, _ in states], pa.string()),
                "system_b": pa.array([p[1][0] for p, _ in states], pa.string()),
                "record_b": pa.array([p[1][1] for p, _ in states], pa.string()),
                "state": pa.array([s for _, s in states], pa.string()),
            }
        ),
    )
    con.execute("""
    create table said as
    select least(a.rid, b.rid) as rid_l, greatest(a.rid, b.rid) as rid_r, k.state from kw_states k
    join records a on a.source_system = system_a and a.source_record_id = record_a
    join records b on b.source_system = system_b and b.source_record_id = record_b
    """)
    con.unregister("kw_states")
    # What strong pairs hold together anyway is no question, and all pairs between two such parts are one question.
    strong = con.execute(f"""
    select e.rid_l, e.rid_r from edges e join people a on a.rid = e.rid_l join people b on b.rid = e.rid_r
    where a.person = b.person and e.weight > {card.thresholds.review_high}
    union select least(rid_a, rid_b), greatest(rid_a, rid_b) from constraints where kind = 'must'
    order by 1, 2
    """).fetchnumpy()
    rids = np.asarray(con.execute("select rid from records order by rid").fetchnumpy()["rid"], dtype=np.int64)
    ends = [np.searchsorted(rids, np.asarray(strong[c], dtype=np.int64)) for c in ("rid_l", "rid_r")]
    con.register("kw_parts", pa.table({"rid": rids, "part": rids[_first(_components(len(rids), *ends))]}))
    con.execute("create table part as select rid, part from kw_parts")
    con.unregister("kw_parts")
    con.execute(f"""
    create table question as
    with shown as (
        select c.reason, c.rank, c.weight, least(l.rid, r.rid) as rid_l, greatest(l.rid, r.rid) as rid_r
        from read_parquet({quoted(linkage_dir / "review_candidates.parquet")}) c
        join records l on l.source_system = c.source_system_a and l.source_record_id = c.source_record_id_a
        join records r on r.source_system = c.source_system_b and r.source_record_id = c.source_record_id_b
        union all
        select s.state, 0, e.weight, s.rid_l, s.rid_r
        from said s left join edges e on e.rid_l = s.rid_l and e.rid_r = s.rid_r
        where s.state <> 'settled'{_one_parent(linkage_dir)}
    ), placed as (
        select s.*, pl.person as person_l, pr.person as person_r, pl.person = pr.person as is_linked,
            fl.part as part_l, fr.part as part_r
        from (select * from shown anti join hidden h on h.rid = rid_l anti join hidden h on h.rid = rid_r) s
        join people pl on pl.rid = s.rid_l join people pr on pr.rid = s.rid_r
        join part fl on fl.rid = s.rid_l join part fr on fr.rid = s.rid_r
        anti join (select * from said where state = 'settled') d on d.rid_l = s.rid_l and d.rid_r = s.rid_r
    ), answered as (
        -- A reviewer has kept two records of these people apart: the people are two, whatever other pairs say.
        select distinct least(a.person, b.person) as one, greatest(a.person, b.person) as other
        from constraints c join people a on a.rid = c.rid_a join people b on b.rid = c.rid_b
        where c.kind = 'cannot' and c.reason = 'reviewer'
    )
    select * exclude (nth) from (
        select p.*, row_number() over (
            partition by case when is_linked then least(part_l, part_r)::varchar else least(person_l, person_r) end,
                case when is_linked then greatest(part_l, part_r)::varchar else greatest(person_l, person_r) end
            order by rank, weight desc nulls last, rid_l, rid_r) as nth
        from placed p
        left join answered w on w.one = least(person_l, person_r) and w.other = greatest(person_l, person_r)
        where (not is_linked or part_l <> part_r or rank = 0 or p.reason = 'two_numbers')
            -- What sources state is asked about all the same: who is whom is not said by keeping two of them apart.
            and (w.one is null or p.reason = 'contradiction' or rank = 0)
    ) where nth = 1
    """)


def _one_parent(linkage_dir: Path) -> str:
    """SQL: for two parents of one child who could be one person, the two of their records that are most alike."""
    path = linkage_dir / "family_review.parquet"
    if not path.exists():
        return ""
    return f"""
        union all
        select 'perhaps_one_parent', 6, weight, least(rid_a, rid_b), greatest(rid_a, rid_b) from (
            select e.weight, a.rid as rid_a, b.rid as rid_b, row_number() over (
                partition by f.person_id, f.other_person_id order by e.weight desc nulls last, a.rid, b.rid) as nth
            from read_parquet({quoted(path)}) f
            join people a on a.person = f.person_id join people b on b.person = f.other_person_id
            left join edges e on e.rid_l = least(a.rid, b.rid) and e.rid_r = greatest(a.rid, b.rid)
            where f.reason = 'perhaps_one_parent') where nth = 1"""


def _first(label: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each node the smallest node of its component."""
    smallest = np.full(int(label.max()) + 1 if len(label) else 0, len(label), dtype=np.int64)
    np.minimum.at(smallest, label, np.arange(len(label), dtype=np.int64))
    return smallest[label]


def _consequences(con: duckdb.DuckDBPyConnection, linkage_dir: Path, part2_systems: tuple[str, ...]) -> None:
    """Table ``weighed``: ``question`` with one boolean per consequence and ``records_moved``."""
    con.execute(f"""
    create table fostered as
    select distinct rid_b as rid from read_parquet({quoted(linkage_dir / "relationships.parquet")})
    where relationship = 'foster_parent_of' and valid_to is null
    """)
    part2 = f"r.source_system in {in_list(part2_systems)}"
    con.execute(f"""
    create table whole as
    select p.person, bool_or({part2}) as has_part2, bool_or(not {part2}) as has_other,
        bool_or(coalesce(r.is_sealed, false)) as is_sealed,
        bool_or((r.is_child or r.record_role = 'child') and (r.has_placement or f.rid is not null)) as in_care,
        bool_or(i.person_id is not null) as is_published, count(*) as records
    from people p join records r using (rid) left join fostered f using (rid)
    left join read_parquet({quoted(linkage_dir / "published_before.parquet")}) i on i.person_id = p.person
    group by p.person
    """)
    families = linkage_dir / "family_member.parquet"
    con.execute(
        f"create table related as select distinct person_id as person from read_parquet({quoted(families)}) "
        "where role not in ('foster_parent', 'guardian')"
        if families.exists()
        else "create table related (person varchar)"
    )
    con.execute("create table part_size as select part, count(*) as records from part group by part")
    con.execute(f"""
    create table weighed as
    select q.*,
        coalesce(a.in_care, false) or coalesce(b.in_care, false) as child_in_care,
        case when q.is_linked then a.has_part2 and a.has_other
             else (a.has_part2 and b.has_other) or (b.has_part2 and a.has_other) end as part2,
        a.is_sealed or b.is_sealed as sealed,
        (fa.person is not null and fb.person is not null) as family,
        case when q.is_linked then a.is_published else a.is_published and b.is_published end as published_id,
        case when q.is_linked then least(sl.records, sr.records) else least(a.records, b.records) end as records_moved,
        case when q.reason = 'twin' or (q.reason = 'uncertain' and e.evidence in {in_list(RULES)}) then {RULED}
             when q.reason <> 'uncertain' then 1.0
             else 4 / ((1 + pow(2, -q.weight)) * (1 + pow(2, q.weight))) end as doubt
    from question q join whole a on a.person = q.person_l join whole b on b.person = q.person_r
    left join related fa on fa.person = q.person_l left join related fb on fb.person = q.person_r
    join part_size sl on sl.part = q.part_l join part_size sr on sr.part = q.part_r
    left join edges e on e.rid_l = q.rid_l and e.rid_r = q.rid_r
    """)


def draw_audit(con: duckdb.DuckDBPyConnection, join: float) -> int:
    """Table ``audit`` (the sample) and ``strata``; returns how many strata there are."""
    bounds = [join + b for b in AUDIT_BOUNDS]
    below = " ".join(f"when e.weight < {b!r} then {i}" for i, b in enumerate(bounds))
    con.execute(f"""
    create table framed as
    select e.rid_l, e.rid_r, e.weight, case {below} else {len(bounds)} end as band, a.person = b.person as is_linked,
        (case when a.person = b.person then 'linked ' else 'not linked ' end) || band as stratum,
        md5({quoted(AUDIT_SEED)} || chr(31) || e.rid_l || chr(31) || e.rid_r) as draw
    from edges e join alone a on a.rid = e.rid_l join alone b on b.rid = e.rid_r
    anti join hidden h on h.rid = e.rid_l anti join hidden h on h.rid = e.rid_r
    """)
    con.execute(f"""
    create table audit as
    select * from (select *, row_number() over (partition by stratum order by draw) as nth,
        count(*) over (partition by stratum) / count(*) over () as share from framed)
    where nth <= {AUDIT_PER_STRATUM} + {AUDIT_BY_SIZE} * share
    """)
    named = ", ".join(
        f"({i}, {lo}, {hi})"
        for i, (lo, hi) in enumerate(zip(["null", *map(repr, bounds)], [*map(repr, bounds), "null"], strict=True))
    )
    con.execute(f"""
    create table strata as
    select stratum, is_linked, b.low::double as weight_from, b.high::double as weight_to, count(*) as pairs,
        sum(1 / (1 + pow(2, -least(greatest(weight, -60), 60)))) as expected_matches
    from framed join (values {named}) b(band, low, high) using (band) group by all
    """)
    return int(con.execute("select count(*) from strata").fetchall()[0][0])


def _write(con: duckdb.DuckDBPyConnection, linkage_dir: Path, card: models.ModelCard) -> dict[str, Any]:
    points = " + ".join(f"{c.points} * coalesce({c.name}, false)::int" for c in CONSEQUENCES)
    every = ", ".join(c.name for c in CONSEQUENCES)
    none = ", ".join(f"cast(null as boolean) as {c.name}" for c in CONSEQUENCES)
    con.execute(f"""
    create table listed as
    select 'review' as list, row_number() over (order by rank > 0, priority desc, rid_l, rid_r) as position,
        * exclude (rank) from (
        select rank, reason, ({points} + least(records_moved, 3)) * doubt as priority, weight, is_linked,
            cast(null as varchar) as stratum, rid_l, rid_r, records_moved, {every}
        from weighed)
    union all
    -- Round by round over the strata: however far somebody gets, every stratum has been looked at.
    select 'audit', row_number() over (order by nth, draw), 'audit', null, weight, is_linked, stratum, rid_l, rid_r,
        null, {none}
    from audit
    """)
    total = con.execute("select count(*) from listed where list = 'review'").fetchall()[0][0]
    names = [c for c in (r[0] for r in con.execute("describe edges").fetchall()) if c.startswith("g_")]
    found = rows(
        con,
        f"""
        select i.*, e.evidence, {", ".join(f"e.{n}" for n in names)},
            l.source_system as system_l, l.source_record_id as record_l,
            r.source_system as system_r, r.source_record_id as record_r,
            damerau_levenshtein(l.first_std, r.first_std) as letters_given,
            damerau_levenshtein(l.last_std, r.last_std) as letters_surname,
            abs(date_diff('day', l.birth_date, r.birth_date)) as days_apart,
            l.has_placeholder_name or r.has_placeholder_name as is_unnamed
        from listed i left join edges e on e.rid_l = i.rid_l and e.rid_r = i.rid_r
        join records l on l.rid = i.rid_l join records r on r.rid = i.rid_r
        where i.position <= {MAX_ITEMS} order by list desc, position
        """,
    )
    out: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
    for row in found:
        a, b = reviewed.pair_of((row["system_l"], row["record_l"]), (row["system_r"], row["record_r"]))
        values = {
            **row,
            "item": item_of((a, b)),
            "words": compared_words(row),
            "consequence": consequence_words(row),
            "source_system_a": a[0],
            "source_record_id_a": a[1],
            "source_system_b": b[0],
            "source_record_id_b": b[1],
        }
        for name in out:
            out[name].append(values[name])
    con.register("kw_queue", pa.table(out, schema=_SCHEMA))
    write_parquet(con, "select * from kw_queue order by list desc, position", linkage_dir / "review_queue.parquet")
    con.unregister("kw_queue")
    return {
        "questions": total,
        "listed": min(total, MAX_ITEMS),
        "audit_pairs": con.execute("select count(*) from audit").fetchall()[0][0],
        "by_reason": dict(
            con.execute("select reason, count(*) from weighed group by reason order by reason").fetchall()
        ),
    }


_SCHEMA = pa.schema(
    [
        ("item", pa.string()),
        ("list", pa.string()),
        ("position", pa.int64()),
        ("reason", pa.string()),
        ("words", pa.string()),
        ("consequence", pa.string()),
        ("priority", pa.float64()),
        ("stratum", pa.string()),
        ("source_system_a", pa.string()),
        ("source_record_id_a", pa.string()),
        ("source_system_b", pa.string()),
        ("source_record_id_b", pa.string()),
        ("is_linked", pa.bool_()),
        ("weight", pa.float64()),
    ]
)
