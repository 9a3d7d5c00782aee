"""The night's answer: who is who, under which ID, and what each record says of the person."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb

from linkage import model as models
from linkage.person import edges as edge_work
from linkage.person import nightly, people
from linkage.person.comparisons import COMPARISONS
from linkage.person.scoring import Scorer
from linkage.records import fingerprint
from linkage.registry import Registry
from linkage.review import decisions as reviewed
from linkage.store import connect, quoted, read_json, write_json, write_parquet


def score(linkage_dir: Path, model_dir: Path, full: bool = False) -> dict[str, Any]:
    """Block and score the records of ``linkage_dir`` with a trained model; writes ``edges.parquet``.

    Only what changed since the edges were last written with this model is scored again; the result is the same.
    ``full`` scores everything again.

    The file has ``rid_l, rid_r, weight`` (log2 odds), ``model``, ``evidence`` and the comparison levels ``g_*``
    (0 strongest, NULL not compared, -1 not known). ``scoring.json`` names the model and counts pairs per rule.
    """
    card = models.load(model_dir)
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        done = None if full else nightly.as_before(con, linkage_dir, card)
        is_full, is_same = False, done is not None
        if done is None:
            edge_work.load_records(con, str(linkage_dir / "records.parquet"))
            done = None if full else nightly.score_changes(con, linkage_dir, card)
        if done is None:
            is_full, done = True, nightly.score_all(con, card)
        report = done.pop("rules")
        if not is_same:
            nightly.write_edges(con, linkage_dir)
        summary = tell_scoring(con, linkage_dir, card, report, is_full=is_full, **done)
        if not is_same:
            nightly.keep(linkage_dir, card, fingerprint(con), report, summary["completed_pairs"])
        return summary
    finally:
        con.close()


def tell_scoring(
    con: duckdb.DuckDBPyConnection,
    linkage_dir: Path,
    card: models.ModelCard,
    report: list[dict[str, Any]],
    completed: int,
    is_full: bool,
    **counts: int,
) -> dict[str, Any]:
    """Write ``scoring.json`` about the ``edges.parquet`` of the folder, and return what it says."""
    low, high = card.thresholds.review_low, card.thresholds.review_high
    edges, in_band = con.execute(
        f"select count(*), count(*) filter (weight between {low} and {high}) "
        f"from read_parquet({quoted(linkage_dir / 'edges.parquet')})"
    ).fetchall()[0]
    usual = {rule["name"]: rule for rule in card.blocking}
    summary = {
        "model": card.name,
        "model_dir": str(card.path),
        "is_full": is_full,
        "pairs": edges,
        "completed_pairs": completed,
        "edges": edges,
        **counts,
        "in_review_band": in_band,
        "rules": [rule | {"pairs_in_training": usual.get(rule["name"], {}).get("pairs")} for rule in report],
    }
    write_json(summary, linkage_dir / "scoring.json")
    return summary


def _take_back(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    """Table ``taken_back``: what a source or reviewer said of two records last night and nobody says now, as its
    opposite, with the columns of ``constraints``.

    Whom such a statement joined leaves table ``published``: only what the evidence joined is kept a little longer.
    """
    con.execute("create or replace temp table taken_back as from constraints limit 0")
    path = linkage_dir / "constraints_in_force.parquet"
    if not path.exists():
        return
    con.execute(f"""
    insert into taken_back
    with said as (select least(rid_a, rid_b) as one, greatest(rid_a, rid_b) as other, kind from constraints)
    select rid_a, rid_b, case w.kind when 'must' then 'cannot' else 'must' end, reason
    from read_parquet({quoted(path)}) w anti join said
        on one = least(rid_a, rid_b) and other = greatest(rid_a, rid_b) and said.kind = w.kind
    where w.kind in ('must', 'cannot')
    """)
    con.execute("""
    delete from published where person_id in (
        select p.person_id from taken_back t join published p on p.rid in (t.rid_a, t.rid_b) where t.kind = 'cannot')
    """)


def _two_numbers(con: duckdb.DuckDBPyConnection) -> None:
    """Table ``kw_two_numbers(rid_l, rid_r)``: of one person, records with two numbers of one kind.

    One pair for two numbers. Not where any two such records have a home or another number in common, one number is a
    slip of the pen of the other, or somebody has said that they are one.
    """
    con.execute("""
    create or replace temp table kw_two_numbers as
    with held as (
        select person, rid, 'ssn' as kind, ssn as number from records join people using (rid) where length(ssn) = 9
        union all
        select person, rid, 'medicaid_id', medicaid_id from records join people using (rid)
        where medicaid_id is not null
    ), several as (select person, kind from held group by all having count(distinct number) > 1),
    met as (
        select a.person, a.kind, a.number as one, b.number as other, least(a.rid, b.rid) as rid_l,
            greatest(a.rid, b.rid) as rid_r
        from held a semi join several using (person, kind)
        join held b on a.person = b.person and a.kind = b.kind and a.number < b.number
        where damerau_levenshtein(a.number, b.number) > 2
    ), one_person as (select least(rid_a, rid_b) as rid_l, greatest(rid_a, rid_b) as rid_r, true as is_said
                      from constraints where kind = 'must' group by all),
    apart as (
        select min({'l': rid_l, 'r': rid_r}) as pair
        from met join records l on l.rid = rid_l join records r on r.rid = rid_r
        left join one_person using (rid_l, rid_r)
        group by person, kind, one, other
        having bool_and(is_said is null and coalesce(l.ssn <> r.ssn, true)
            and coalesce(l.medicaid_id <> r.medicaid_id, true)
            and not coalesce(list_has_any(l.addr_keys, r.addr_keys), false)))
    select distinct pair.l as rid_l, pair.r as rid_r from apart
    """)


def _review(con: duckdb.DuckDBPyConnection, card: models.ModelCard, contradictions: list[tuple[int, int]]) -> None:
    """Table ``review``: pairs a person should look at, each with one reason; the strongest reason wins."""
    con.execute("create or replace table kw_bad (rid_l bigint, rid_r bigint)")
    if contradictions:
        con.executemany("insert into kw_bad values (?, ?)", [[min(p), max(p)] for p in contradictions])
    # A child and an adult whom a source states as each other's relatives are no question.
    con.execute("""
    create or replace temp table kw_parents as
    select distinct least(rid_a, rid_b) as rid_l, greatest(rid_a, rid_b) as rid_r from stated
    join records a on a.rid = rid_a join records b on b.rid = rid_b
    where a.is_child <> b.is_child and relationship not in ('other', 'relative_of')
    """)
    _two_numbers(con)
    low, high = card.thresholds.review_low, card.thresholds.review_high
    # Two records with no more to compare than a birth date and a sex are a question nobody can answer.
    compared = {r[0] for r in con.execute("describe edges").fetchall()}
    more = [f"g_{c.name}" for c in COMPARISONS if c.name not in ("birth_date", "sex") and f"g_{c.name}" in compared]
    says_who = f"coalesce(greatest({', '.join(more)}), -1) >= 0" if more else "true"
    con.execute(f"""
    create or replace table review as
    with found as (
        select 1 as rank, 'contradiction' as reason, rid_l, rid_r, null::double as weight from kw_bad
        union all
        select 2, 'id_conflict', e.rid_l, e.rid_r, e.weight from edges e
        join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
        where (l.ssn = r.ssn or l.medicaid_id = r.medicaid_id)
          and l.dob <> r.dob and l.first_std <> r.first_std
          and coalesce(e.g_given_name, 9) >= 5 and coalesce(e.g_birth_date, 9) >= 5
        union all
        select 2, 'two_numbers', n.rid_l, n.rid_r, e.weight from kw_two_numbers n left join edges e using (rid_l, rid_r)
        union all
        -- What weighed less before the rule spoke was no question.
        select 3, 'twin', rid_l, rid_r, weight from edges where evidence = 'twin' and weight >= {people.TWIN_WEIGHT}
        union all
        select 4, 'refused_by_constraint', rid_l, rid_r, weight from refused
        anti join kw_parents using (rid_l, rid_r)
        union all
        select 5, 'uncertain', rid_l, rid_r, weight from edges anti join kw_parents using (rid_l, rid_r)
        where weight between {low} and {high} and {says_who}
    ), one as (
        select *, row_number() over (partition by rid_l, rid_r order by rank) as nth from found
    )
    select o.rank, o.reason, o.weight,
        l.source_system as source_system_a, l.source_record_id as source_record_id_a,
        r.source_system as source_system_b, r.source_record_id as source_record_id_b,
        a.person = b.person as is_linked
    from one o join records l on l.rid = o.rid_l join records r on r.rid = o.rid_r
    join people a on a.rid = o.rid_l join people b on b.rid = o.rid_r
    where o.nth = 1
    """)


def resolve(
    linkage_dir: Path,
    registry_dir: Path,
    cut: dt.date,
    secret: bytes,
    decisions: Path | None = None,
    persist: bool = True,
) -> dict[str, Any]:
    """Form people from the scored pairs, keep their IDs, and write the crosswalk.

    Reads what :func:`build_records` and :func:`score` left. Writes ``person_crosswalk.parquet``,
    ``person_facts.parquet`` and ``match_rates.parquet``; for review and the quality report
    ``review_candidates.parquet``, ``weighed_pairs.parquet``, ``constraints_in_force.parquet`` and
    ``published_before.parquet``, the IDs that were in the ledger before this night.
    ``cut`` is the night's data cut-off, the date the ledger records. Returns counts.
    """
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        edge_work.load_all(con, linkage_dir)
        con.execute(f"create table edges as select * from read_parquet({quoted(linkage_dir / 'edges.parquet')})")
        summary = resolve_on(con, linkage_dir, registry_dir, cut, secret, decisions, persist)
        _write_facts(con, linkage_dir)
        return summary
    finally:
        con.close()


def resolve_on(
    con: duckdb.DuckDBPyConnection,
    linkage_dir: Path,
    registry_dir: Path,
    cut: dt.date,
    secret: bytes,
    decisions: Path | None = None,
    persist: bool = True,
    first_look: tuple[people.Ground, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """:func:`resolve` on a connection that holds what :func:`linkage.person.edges.load_all` loads, and ``edges``, less
    what only the warehouse reads.

    ``first_look`` is what training on this connection has just returned, where there is nothing a night knows besides:
    no decisions, nobody published.
    """
    scoring = read_json(linkage_dir / "scoring.json")
    card = models.load(Path(scoring["model_dir"]))
    join, duplicate_free = card.thresholds.join, card.duplicate_free
    scorer = Scorer(con, Path(scoring["model_dir"]) / "frequencies")
    heard = None if decisions is None else people.hear_sources(con, scorer, duplicate_free)
    counts = reviewed.apply(con, decisions)
    registry = Registry(registry_dir, "person")
    registry.load(con, cut)
    published = con.execute("select count(*) from registry_state").fetchall()[0][0]
    bonus = join - card.thresholds.keep if published else 0.0
    con.execute(
        "create or replace table published as select r.rid, s.id as person_id from registry_state s "
        "join records r on s.member = r.source_system || chr(31) || r.source_record_id"
    )
    write_parquet(
        con,
        "select distinct person_id from published order by person_id",
        linkage_dir / "published_before.parquet",
    )
    if first_look is None:
        first_look = people.link(con, scorer, card.mixtures, "edges", join, duplicate_free, heard)
    _take_back(con, linkage_dir)
    summary = people.link_through_relatives(con, scorer, card.mixtures, card.pools, "edges", join, first_look, bonus)
    con.execute(
        "create or replace table grouped as select p.person as label, "
        "r.source_system || chr(31) || r.source_record_id as member from people p join records r using (rid)"
    )
    said = con.execute("""
    select c.kind, a.source_system || chr(31) || a.source_record_id, b.source_system || chr(31) || b.source_record_id
    from (from constraints union all from taken_back) c
    join records a on a.rid = c.rid_a join records b on b.rid = c.rid_b where c.reason = 'reviewer'
    """).fetchall()
    last = linkage_dir / "resolve.json"
    is_new_model = last.exists() and read_json(last)["model"] != card.name
    cause = "model_change" if is_new_model else "new_evidence"
    tally = registry.update_table(con, "grouped", cut, secret, persist, cause, said)
    con.execute(
        "create or replace table crosswalk as select r.rid, r.source_system, r.source_record_id, "
        "m.id as person_id, m.since as valid_from from records r "
        "join registry_members m on m.member = r.source_system || chr(31) || r.source_record_id"
    )
    _write_crosswalk(con, linkage_dir)
    _review(con, card, summary.pop("contradictions"))
    write_parquet(
        con,
        "select * from review order by rank, weight desc nulls first, source_system_a, source_record_id_a, "
        "source_system_b, source_record_id_b",
        linkage_dir / "review_candidates.parquet",
    )
    # What the people were formed from, relatives heard: review and quality look at the same pairs.
    write_parquet(con, "select * from edges order by rid_l, rid_r", linkage_dir / "weighed_pairs.parquet")
    write_parquet(
        con,
        "select distinct rid_a, rid_b, kind, reason from constraints order by all",
        linkage_dir / "constraints_in_force.parquet",
    )
    summary |= counts | {
        "records": con.execute("select count(*) from records").fetchall()[0][0],
        "events": tally,
        "review": dict(con.execute("select reason, count(*) from review group by 1 order by 1").fetchall()),
        "model": card.name,
        "join_weight": card.thresholds.join,
    }
    write_json(summary, linkage_dir / "resolve.json")
    return summary


def _write_crosswalk(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    # How sure a record's place is: the best pair that holds it there. A record alone is certain of itself.
    con.execute("""
    create or replace table kw_sure as
    with inside as (
        select e.rid_l, e.rid_r, e.weight from edges e
        join people a on a.rid = e.rid_l join people b on b.rid = e.rid_r and b.person = a.person)
    select rid, max(weight) as weight from (
        select rid_l as rid, weight from inside union all select rid_r, weight from inside) group by rid
    """)
    write_parquet(
        con,
        "select c.source_system, c.source_record_id, c.person_id, "
        "round(coalesce(1 / (1 + pow(2, -least(s.weight, 50))), 1.0), 6)::double as match_probability, "
        "c.valid_from, cast(null as date) as valid_to "
        "from crosswalk c left join kw_sure s using (rid) order by c.source_system, c.source_record_id",
        linkage_dir / "person_crosswalk.parquet",
    )


def _write_facts(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    """What the warehouse reads beside the crosswalk: ``person_facts.parquet`` and ``match_rates.parquet``."""
    write_parquet(
        con,
        "select r.source_system, r.source_record_id, c.person_id, r.record_role, r.birth_date, "
        "r.is_birth_date_estimated, r.death_date, r.sex, r.county, "
        "case when regexp_matches(r.zip, '^[0-9]{5}') then left(r.zip, 3) end as zip3, "
        "coalesce(r.is_sealed, false) as is_sealed, r.ssn is not null as has_ssn, r.has_placeholder_name, "
        "r.race_ethnicity "
        "from crosswalk c join records r using (rid) order by r.source_system, r.source_record_id",
        linkage_dir / "person_facts.parquet",
    )
    populations = {
        "all": "true",
        "children": "is_child",
        "adults": "not is_child",
        "named": "not has_placeholder_name",
        "placeholder_name": "has_placeholder_name",
        "ssn_present": "ssn is not null",
        "ssn_absent": "ssn is null",
        "female": "sex = 'F'",
        "male": "sex = 'M'",
    }
    flags = ", ".join(f"bool_or(coalesce({where}, false)) as p_{name}" for name, where in populations.items())
    con.execute(
        f"create or replace table kw_members as select c.person_id, r.source_system, {flags} "
        "from crosswalk c join records r using (rid, source_system, source_record_id) group by all"
    )
    sums = ", ".join(f"count(*) filter (p_{name}) as p_{name}" for name in populations)
    listed = ", ".join(f"p_{name}" for name in populations)
    write_parquet(
        con,
        f"""
        with known as (select source_system as system_a, {sums} from kw_members group by 1),
        linked as (
            select a.source_system as system_a, b.source_system as system_b,
                {sums.replace("(p_", "(a.p_")}
            from kw_members a join kw_members b on a.person_id = b.person_id and a.source_system <> b.source_system
            group by 1, 2),
        n_known as (unpivot known on {listed} into name population value n_a),
        n_linked as (unpivot linked on {listed} into name population value n_linked)
        select k.system_a, s.system_b, substr(k.population, 3) as population, k.n_a,
            coalesce(l.n_linked, 0) as n_linked, round(coalesce(l.n_linked, 0) / k.n_a, 6) as rate
        from n_known k
        join (select system_a as system_b from known) s on s.system_b <> k.system_a
        left join n_linked l on l.system_a = k.system_a and l.system_b = s.system_b and l.population = k.population
        where k.n_a > 0 order by system_a, system_b, population
        """,
        linkage_dir / "match_rates.parquet",
    )
