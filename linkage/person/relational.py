"""The second look: two records whose relatives have turned out to be one person, or that stand in linked cases.

Children are compared through their linked parents, parents through their linked children (associative matching, as
in the linkage of the 2021 census of England and Wales). Such a pair is not compared with strangers but with siblings,
or with the other parent: the pool's own model (see :func:`linkage.person.mixture.fit_pool`) says what those look
like. A shared relative alone never joins anybody.
"""

from __future__ import annotations

import duckdb

from linkage.model import Pool
from linkage.person.edges import score_pairs
from linkage.person.mixture import Mixture, fit_pool, pool_weight
from linkage.person.scoring import Scorer
from linkage.records import PARENTAL
from linkage.store import in_list

#: The pools whose pairs share a linked relative: name -> (which side of a statement is compared, which is linked).
KIN_POOLS = {"children_of_linked_parents": ("rid_b", "rid_a"), "parents_of_linked_children": ("rid_a", "rid_b")}
#: The pool of pairs whose records stand in two cases that their sources say are one.
CASE_POOL = "members_of_linked_cases"
POOLS = (*KIN_POOLS, CASE_POOL)
#: A relative with more stated relations than this says little, and would cost a lot.
MAX_RELATIVES = 40
_ROLE = (
    "case relationship when 'mother_of' then 'mother' when 'father_of' then 'father' "
    "when 'putative_father_of' then 'father' else 'parent' end"
)
#: What the two records must say themselves: a name, a birth date or a number in common.
_OWN_EVIDENCE = (
    "(t.g_given_name between 0 and 5 or t.g_birth_date between 0 and 4 or t.g_ssn between 0 and 2 "
    "or t.g_medicaid_id between 0 and 1)"
)


def _find_kin(con: duckdb.DuckDBPyConnection, pool: str, compared: str, linked: str) -> None:
    same_role = "and (a.role = b.role or a.role = 'parent' or b.role = 'parent')" if compared == "rid_a" else ""
    # Only what a record itself says of its relatives: were it to hold for the other records of its person too, a wrong
    # join would prove itself.
    con.execute(f"""
    create or replace table kw_kin as
    select distinct s.{compared} as rid, p.person, {_ROLE} as role, r.source_system,
        s.evidence = 'number_lent' as is_lent, r.dob
    from stated s join people p on p.rid = s.{linked} join records r on r.rid = s.{compared}
    where s.relationship in {in_list(PARENTAL)}
    """)
    # What lies under a mother's number may be of either of her twins, or of both.
    con.execute("""
    delete from kw_kin k using (
        select distinct a.person, a.dob from kw_kin a
        join kw_kin b on a.person = b.person and a.dob = b.dob and a.rid < b.rid
        join records l on l.rid = a.rid join records r on r.rid = b.rid
        where length(l.first_std) > 1 and length(r.first_std) > 1 and not list_has_any(l.first_forms, r.first_forms)
            and jaro_winkler_similarity(l.first_std, r.first_std) < 0.8
    ) t where k.is_lent and k.person = t.person and k.dob = t.dob
    """)
    con.execute(f"""
    create table {pool} as
    with fine as (select person from kw_kin group by person having count(distinct rid) between 2 and {MAX_RELATIVES})
    select distinct least(a.rid, b.rid) as rid_l, greatest(a.rid, b.rid) as rid_r
    from kw_kin a join kw_kin b on a.person = b.person and a.rid < b.rid {same_role}
        -- Inside one source a shared parent mostly means siblings, and the source knows its own people.
        and a.source_system <> b.source_system
    semi join fine f on f.person = a.person
    """)
    con.execute("drop table kw_kin")


def _find_in_cases(con: duckdb.DuckDBPyConnection, pool: str) -> None:
    con.execute(f"""
    create table {pool} as
    with member as (
        select distinct source_system, case_key, rid, case role when 'child' then 'child' when 'mother' then 'mother'
            when 'father' then 'father' when 'putative_father' then 'father' end as role
        from members
        semi join (select source_system, case_key from members group by all
                   having count(distinct rid) <= {MAX_RELATIVES}) using (source_system, case_key)
    )
    select distinct least(a.rid, b.rid) as rid_l, greatest(a.rid, b.rid) as rid_r
    from links l join member a on a.source_system = l.system_a and a.case_key = l.case_a
    join member b on b.source_system = l.system_b and b.case_key = l.case_b
    where l.system_a <> l.system_b and coalesce(a.role = b.role, true)
    """)


def find_pool(con: duckdb.DuckDBPyConnection, name: str) -> int:
    """Table ``pool_<name>(rid_l, rid_r)``: the pairs of a pool, as ``people`` are now. Returns their number."""
    if not con.execute("select 1 from duckdb_tables() where table_name = ?", [f"pool_{name}"]).fetchall():
        if name == CASE_POOL:
            _find_in_cases(con, f"pool_{name}")
        else:
            _find_kin(con, f"pool_{name}", *KIN_POOLS[name])
    return int(con.execute(f"select count(*) from pool_{name}").fetchall()[0][0])


def people_changed(con: duckdb.DuckDBPyConnection) -> None:
    """Shared relatives have to be looked for again."""
    for name in KIN_POOLS:
        con.execute(f"drop table if exists pool_{name}")


def score_pool(
    con: duckdb.DuckDBPyConnection, scorer: Scorer, mixtures: dict[str, Mixture], edges: str, name: str
) -> None:
    """Table ``pool_scored``: the pairs of a pool, compared; all of them, or the pool's model would not see what
    the others look like.

    What ``edges`` or an earlier round (table ``pool_known``) has compared is not compared again.
    """
    con.execute(f"create table if not exists pool_known as select * from {edges} limit 0")
    con.execute(
        f"create or replace temp table kw_todo as select rid_l, rid_r from pool_{name} "
        f"anti join {edges} e using (rid_l, rid_r) anti join pool_known k using (rid_l, rid_r)"
    )
    score_pairs(con, scorer, mixtures, "kw_todo", "kw_pool_new", "relational", floor=-1e9)
    con.execute("insert into pool_known by name select * from kw_pool_new")
    con.execute(
        "create or replace table pool_scored as "
        f"select e.* from {edges} e semi join pool_{name} using (rid_l, rid_r) "
        f"union all by name select k.* from pool_known k semi join pool_{name} using (rid_l, rid_r) "
        f"anti join {edges} e using (rid_l, rid_r)"
    )


def forget_pools(con: duckdb.DuckDBPyConnection) -> None:
    """Before other records or models are looked at."""
    for table in ("pool_known", *(f"pool_{name}" for name in POOLS)):
        con.execute(f"drop table if exists {table}")


def train_pools(
    con: duckdb.DuckDBPyConnection, scorer: Scorer, mixtures: dict[str, Mixture], edges: str
) -> dict[str, Pool]:
    """Fit each pool for each model, on ``people`` as clustered without it. Small pools are left out."""
    pools: dict[str, Pool] = {}
    for name in POOLS:
        if find_pool(con, name) < 30:
            continue
        score_pool(con, scorer, mixtures, edges, name)
        for kind, mixture in mixtures.items():
            con.execute(f"create or replace temp view kw_of_kind as select * from pool_scored where model = '{kind}'")
            if con.execute("select count(*) from kw_of_kind").fetchall()[0][0] < 30:
                continue
            positions, counts = scorer.patterns("kw_of_kind", mixture.comparisons)
            share, others = fit_pool(mixture, positions, counts)
            pools[f"{name}/{kind}"] = Pool(share, others)
    return pools


def apply_pools(
    con: duckdb.DuckDBPyConnection, scorer: Scorer, mixtures: dict[str, Mixture], pools: dict[str, Pool], edges: str
) -> int:
    """Raise or lower the weights of pairs that share a linked relative or case. Returns how many pairs were re-weighed.

    A pair found by both passes takes the pool's weight: it knows more about this pair. Its ``evidence`` says so.
    """
    changed = 0
    for name in POOLS:
        if not any(key.startswith(name) for key in pools) or not find_pool(con, name):
            continue
        score_pool(con, scorer, mixtures, edges, name)
        for kind, mixture in mixtures.items():
            pool = pools.get(f"{name}/{kind}")
            if pool is None:
                continue
            con.execute(f"create or replace temp view kw_of_kind as select * from pool_scored where model = '{kind}'")
            if not con.execute("select count(*) from kw_of_kind").fetchall()[0][0]:
                continue
            names = mixture.comparisons
            positions, _ = scorer.patterns("kw_of_kind", names)
            scorer._register_patterns(names, positions, pool_weight(mixture, pool.share, pool.others, positions))
            same = " and ".join(f"t.g_{n} = p.g_{n}" for n in names)
            con.execute(
                f"create or replace table kw_raised as select t.* replace (p.value as weight, '{name}' as evidence) "
                f"from kw_of_kind t join kw_patterns p on {same} where {_OWN_EVIDENCE}"
            )
            # A low weight in the pool does not undo what the names and numbers said: only siblings look like this,
            # and the model of relatives has already taken them into account.
            con.execute(
                f"""create or replace table kw_new as
                select r.* from kw_raised r left join {edges} e on e.rid_l = r.rid_l and e.rid_r = r.rid_r
                where r.weight > -6 and (e.rid_l is null or r.weight > e.weight)"""
            )
            con.execute(f"delete from {edges} e using kw_new n where e.rid_l = n.rid_l and e.rid_r = n.rid_r")
            con.execute(f"insert into {edges} by name select * from kw_new")
            changed += int(con.execute("select count(*) from kw_new").fetchall()[0][0])
    return changed
