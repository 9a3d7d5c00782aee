"""Who is family.

``family_id`` stands for a maternal sibling group: all children of one mother, the mother being the anchor; without a
known mother the father is; without either the child stands alone. So a family can never grow beyond one person's
children: an address, a foster home or a docket joins nobody. A child has one family at a time; an adoption closes the
one and opens the other on the day of the decree. Families that share a father, a case or a home are told so by a link
row, not merged.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from linkage.records import MIN_GAP
from linkage.registry import Registry, keyed
from linkage.store import connect, in_list, quoted, write_json, write_parquet

#: More children of one anchor than this is a false merge or a foster home, and is looked at before it is believed.
MAX_CHILDREN = 12
MAX_MOTHERS = 3
#: Families of one case, or of one home, beyond this are not linked to each other by it.
MAX_FAMILIES = 6
#: The most years there may be between the births of mother (or any parent) and child.
MAX_MOTHER_GAP, MAX_PARENT_GAP = 55, 75
#: Roles of which two people may turn out to be one parent.
_ONE_PARENT = ("mother", "father", "putative_father", "parent")


def _load(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    def table(name: str, file: str) -> None:
        con.execute(f"create table {name} as select * from read_parquet({quoted(linkage_dir / file)})")

    table("stated", "relationships.parquet")
    # That a newborn was covered under her number helps to find out who the newborn is. Where it does not, nobody is
    # told of a nameless child that may be one she is known to have.
    con.execute("delete from stated where evidence = 'number_lent'")
    table("members", "case_members.parquet")
    con.execute(f"""
    create table known as
    select r.rid, r.source_system, r.source_record_id, r.birth_date, r.is_birth_date_estimated, r.sex, r.is_child,
        r.record_role, r.first_std, r.first_forms, r.last_std, r.dob,
        r.is_sealed, c.person_id, c.match_probability
    from read_parquet({quoted(linkage_dir / "records.parquet")}) r
    join read_parquet({quoted(linkage_dir / "person_crosswalk.parquet")}) c using (source_system, source_record_id)
    """)
    # One birth date and sex per person: what most of its records say, the earlier where they tie. Between two parents
    # for whom as much speaks the first record decides: IDs are random, and two houses must find the same families.
    con.execute("""
    create table person as
    select p.*, b.born
    from (
        select person_id, min(source_system || chr(31) || source_record_id) as first_record, count(*) as records,
            bool_or(is_child or record_role = 'child') as is_child, bool_or(coalesce(is_sealed, false)) as is_sealed,
            case when count(*) filter (sex = 'M') > count(*) filter (sex = 'F') then 'M'
                 when count(*) filter (sex = 'F') > 0 then 'F' end as sex
        from known group by person_id) p
    left join (
        select person_id, arg_max(birth_date, n * 10000000 - date_diff('day', date '1800-01-01', birth_date)) as born
        from (select person_id, birth_date, count(*) as n from known
              where birth_date is not null and not is_birth_date_estimated group by all) group by person_id) b
      using (person_id)
    """)


def _kept_apart(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    """``kept_apart``: people a reviewer says are two, both ways round."""
    path = linkage_dir / "constraints_in_force.parquet"
    con.execute("create table kept_apart (one varchar, other varchar)")
    if path.exists():
        con.execute(f"""
        insert into kept_apart
        with said as (
            select distinct a.person_id as one, b.person_id as other from read_parquet({quoted(path)}) c
            join known a on a.rid = c.rid_a join known b on b.rid = c.rid_b
            where c.kind = 'cannot' and c.reason = 'reviewer'
        ) select one, other from said union select other, one from said
        """)


def _edges(con: duckdb.DuckDBPyConnection) -> None:
    """``edge``: stated parents lifted to people.

    And ``sealed``: children whose adoption is sealed; ``family_review``: what cannot be true.
    """
    con.execute(f"""
    create table lifted as
    select k.person_id as child, p.person_id as parent,
        case s.relationship
            when 'mother_of' then 'mother' when 'father_of' then 'father'
            when 'putative_father_of' then 'putative_father' when 'adoptive_parent_of' then 'adoptive_parent'
            when 'guardian_of' then 'guardian' when 'foster_parent_of' then 'foster_parent'
            when 'grandparent_of' then 'grandparent'
            when 'parent_of' then case pp.sex when 'F' then 'mother' when 'M' then 'father' else 'parent' end
            end as role,
        s.evidence, s.source_system, s.valid_from, s.valid_to,
        least(k.match_probability, p.match_probability) as confidence,
        case when p.person_id = k.person_id then 'parent_of_itself'
             when s.relationship in ('mother_of', 'father_of', 'putative_father_of', 'parent_of')
                  and (date_diff('day', pp.born, kk.born) < {MIN_GAP} * 365.25
                       or date_diff('day', pp.born, kk.born) >
                          365.25 * case when s.relationship = 'mother_of' then {MAX_MOTHER_GAP}
                                        else {MAX_PARENT_GAP} end)
             then 'impossible_age' end as problem
    from stated s
    join known p on p.rid = s.rid_a join known k on k.rid = s.rid_b
    join person pp on pp.person_id = p.person_id join person kk on kk.person_id = k.person_id
    where s.relationship in ('mother_of', 'father_of', 'putative_father_of', 'parent_of', 'adoptive_parent_of',
        'guardian_of', 'foster_parent_of', 'grandparent_of')
    """)
    # Whoever adopted the child, known to us or not.
    con.execute("""
    create table sealed as
    select person_id as child, max(s.valid_from) as decree
    from stated s join known k on k.rid = s.rid_b join person p using (person_id)
    where p.is_sealed and s.relationship = 'adoptive_parent_of' group by person_id
    """)
    # Whom the seal hides nobody is asked about: such a row would name the child and who was its parent before.
    con.execute("""
    create table family_review as
    select distinct problem as reason, child as person_id, parent as other_person_id, source_system
    from lifted anti join sealed using (child) where problem is not null
    """)
    con.execute("create table edge as select * exclude (problem) from lifted where problem is null")
    # Whom one source calls the foster mother, and another the mother beside somebody else who is: whoever comes to the
    # doctor with the child is written down as that.
    con.execute(f"""
    create table foster as
    with called as (
        select e.*, f.child is not null as is_foster from edge e
        left join (select distinct child, parent from edge where role = 'foster_parent') f using (child, parent)
        where e.role in {in_list(_ONE_PARENT)})
    select distinct e.child, e.parent from called e
    semi join called o on o.child = e.child and not o.is_foster
        and (replace(o.role, 'putative_', '') = replace(e.role, 'putative_', '') or 'parent' in (o.role, e.role))
    where e.is_foster
    """)
    con.execute("insert into family_review select 'foster_parent_as_parent', child, parent, null from foster "
                "anti join sealed using (child)")  # fmt: skip
    con.execute(
        f"delete from edge e using foster f where f.child = e.child and f.parent = e.parent "
        f"and e.role in {in_list(_ONE_PARENT)}"
    )
    # A second mother (or father) with one record alone, who could be the first by her own given name or birth
    # date: one parent the linkage dared not join. The better known is published until a reviewer has said that they
    # are two.
    con.execute(f"""
    create table same_parent as
    with beside as (
        select distinct a.child, a.parent, b.parent as better from edge a join edge b using (child)
        join person pa on pa.person_id = a.parent join person pb on pb.person_id = b.parent
        where pa.records = 1 and pb.records > 1
          and a.role in {in_list(_ONE_PARENT)} and b.role in {in_list(_ONE_PARENT)}
          and (replace(a.role, 'putative_', '') = replace(b.role, 'putative_', '') or 'parent' in (a.role, b.role))
    )
    select distinct n.child, n.parent, n.better from beside n
    anti join kept_apart k on k.one = n.parent and k.other = n.better
    join known a on a.person_id = n.parent join known b on b.person_id = n.better
    where list_has_any(a.first_forms, b.first_forms) or jaro_winkler_similarity(a.first_std, b.first_std) >= 0.8
       or damerau_levenshtein(a.dob, b.dob) <= 1
       or ((a.first_std is null or length(a.first_std) = 1) and a.last_std = b.last_std)
    """)
    con.execute("insert into family_review select 'perhaps_one_parent', parent, better, null from same_parent")
    con.execute("delete from edge e using same_parent s where s.child = e.child and s.parent = e.parent")
    # A case that names a child and one mother is a statement too, but a weaker one: heard only where nobody says more.
    con.execute("""
    delete from edge e where e.evidence = 'case_role' and exists (
        select 1 from edge s where s.child = e.child and s.evidence = 'stated'
        and (s.role = e.role or (s.role in ('father', 'putative_father') and e.role in ('father', 'putative_father'))))
    """)
    con.execute(f"""
    insert into family_review
    select 'many_mothers', child, null, null from edge where role = 'mother'
    group by child having count(distinct parent) > {MAX_MOTHERS}
    """)
    con.execute(f"""
    insert into family_review
    select 'many_children', parent, null, null from edge where role in ('mother', 'adoptive_parent')
    group by parent having count(distinct child) > {MAX_CHILDREN}
    """)


def _anchors(con: duckdb.DuckDBPyConnection) -> None:
    """``anchored``: child, anchor, from and to; one anchor at a time."""
    con.execute("""
    create table support as
    select child, parent, role, count(*) as rows_, count(distinct source_system) as sources,
        min(valid_from) as valid_from
    from edge where role in ('mother', 'father', 'putative_father', 'parent', 'adoptive_parent') group by all
    """)
    con.execute("""
    create table birth_anchor as
    select child, parent as anchor, role from (
        select *, row_number() over (partition by child order by
            case role when 'mother' then 0 when 'parent' then 1 when 'father' then 2 else 3 end,
            sources desc, rows_ desc, p.first_record) as nth
        from support s join person p on p.person_id = s.parent where role <> 'adoptive_parent') where nth = 1
    """)
    con.execute("""
    create table adoptive_anchor as
    select child, parent as anchor, valid_from as decree from (
        select s.*, row_number() over (partition by child order by
            case when p.sex = 'F' then 0 else 1 end, sources desc, rows_ desc, p.first_record) as nth
        from support s join person p on p.person_id = s.parent where role = 'adoptive_parent') where nth = 1
    """)
    con.execute(f"""
    create table believed as
    select anchor from (select anchor, child from birth_anchor union select anchor, child from adoptive_anchor)
    group by anchor having count(distinct child) <= {MAX_CHILDREN}
    """)
    con.execute("""
    create table children as
    select person_id as child from person where is_child
    union select child from birth_anchor union select child from adoptive_anchor
    """)
    con.execute("""
    create table anchored as
    with found as (
        -- A sealed child whose adoptive parent is not known, or not believed, is in no family of before either: it is
        -- alone since the decree.
        select c.child, b.anchor, a.anchor as adopter, a.child is not null or s.child is not null as is_adopted,
            coalesce(a.decree, s.decree) as decree
        from children c
        left join (select * from adoptive_anchor semi join believed using (anchor)) a using (child)
        left join (select * from birth_anchor semi join believed using (anchor)) b using (child)
        left join sealed s using (child)
    )
    select child, coalesce('m:' || anchor, 's:' || child) as anchor, anchor as anchor_person,
        cast(null as date) as valid_from, decree as valid_to, false as is_adoptive
    from found where not is_adopted or decree is not null
    union all
    select child, coalesce('m:' || adopter, 's:' || child), adopter, decree, null, adopter is not null
    from found where is_adopted
    """)


def build_families(
    linkage_dir: Path, registry_dir: Path, cut: dt.date, secret: bytes, persist: bool = True
) -> dict[str, Any]:
    """Families of the people of the night, with stable IDs.

    Writes ``parent_child.parquet``, ``family_member.parquet``, ``case_family.parquet`` (the agencies' own cases beside
    them), ``family_review.parquet`` and, for adoptions that touch a sealed record,
    ``restricted/adoption_bridge.parquet`` instead of an open trace. Returns counts.
    """
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        _load(con, linkage_dir)
        _kept_apart(con, linkage_dir)
        _edges(con)
        _anchors(con)
        registry = Registry(registry_dir, "family")
        _groups(con, Registry(registry_dir, "person"), registry, cut, secret)
        tally = registry.update_table(con, "grouped", cut, secret, persist)
        con.execute(
            "create table family as select a.*, i.id as family_id from anchored a "
            "join registry_ids i on i.label = a.anchor"
        )
        return _write(con, linkage_dir, tally)
    finally:
        con.close()


def _groups(con: duckdb.DuckDBPyConnection, people: Registry, families: Registry, cut: dt.date, secret: bytes) -> None:
    """``grouped``: anchor and member, as the ledger of families follows them.

    A birth family and an adoptive family of one child are two groups. A child's former IDs stay with it, so that a
    family known by one of them is not lost when two IDs turn out to be one child, and has it back when they do not.
    Members are keyed: the ledger is to tell nobody that a child of one family is the child of another.
    """
    mark = "keyed "

    def key(texts: list[str]) -> list[str]:
        return [mark + letters for letters in keyed(secret, "family member", texts)]

    families.open(con, cut)
    plain = f"select count(*) from registry_ledger where not starts_with(member, {quoted(mark)})"
    if con.execute(plain).fetchall()[0][0]:
        # A ledger begun before members were keyed. IDs stay what they are, so a replay may do it too.
        families.rename_members(lambda member: None if member.startswith(mark) else key([member])[0])
    people.heirs(con, cut)
    con.execute("""
    create table named as
    with child as (
        select distinct anchor as label, child, case when valid_from is not null then '/adopted' else '' end as which
        from anchored
    )
    select label, child || which as name from child
    union select label, h.id || which from child join registry_heirs h on h.heir = child
    """)
    names = con.execute("select distinct name from named").fetchnumpy()["name"].tolist()
    con.register("keys", pa.table({"name": pa.array(names, pa.string()), "member": pa.array(key(names), pa.string())}))
    con.execute("create table grouped as select n.label, k.member from named n join keys k using (name)")
    con.unregister("keys")


def _write(con: duckdb.DuckDBPyConnection, linkage_dir: Path, tally: dict[str, int]) -> dict[str, Any]:
    # Without a day of the decree, or with an adoptive parent who is not believed, no family of before is known.
    con.execute("""
    create table sealed_bridge as
    select s.child as child_person_id, f.family_id as family_id_before, t.family_id as family_id_after,
        t.valid_from as decree_date
    from sealed s join family t on t.child = s.child and t.valid_to is null
    left join family f on f.child = s.child and f.valid_to is not null
    """)
    # A sealed adoption shows the adoptive family only: nobody who was the child's before the decree, and no case, which
    # could be the birth family's.
    con.execute("""
    delete from edge e using sealed_bridge b
    where b.child_person_id = e.child and e.role <> 'adoptive_parent'
      and not coalesce(e.role in ('guardian', 'foster_parent', 'grandparent') and e.valid_from >= b.decree_date, false)
    """)
    con.execute("""
    create table shown as
    select f.* from family f
    left join sealed s on s.child = f.child and f.valid_to is not null
    where s.child is null
    """)
    con.execute("""
    create table parent_child as
    select child as child_person_id, parent as parent_person_id, role, evidence, source_system,
        min(valid_from) as valid_from,
        case when count(*) = count(valid_to) then max(valid_to) end as valid_to,
        max(confidence) as confidence
    from edge
    where role not in ('foster_parent', 'grandparent')
    group by child, parent, role, evidence, source_system
    """)
    con.execute("""
    create table family_member as
    select family_id, child as person_id, 'child' as role, valid_from, valid_to,
        case when anchor_person is null then 'no_known_parent' else 'stated' end as evidence,
        cast(null as varchar) as source_system, 1.0 as confidence
    from shown
    union all
    select f.family_id, e.parent, e.role,
        min(coalesce(e.valid_from, f.valid_from)),
        case when count(*) = count(coalesce(e.valid_to, f.valid_to)) then max(coalesce(e.valid_to, f.valid_to)) end,
        min(e.evidence order by e.evidence desc), min(e.source_system), max(e.confidence)
    from shown f join edge e on e.child = f.child
    where (e.role = 'adoptive_parent') = f.is_adoptive or e.role in ('guardian', 'foster_parent')
    group by f.family_id, e.parent, e.role
    """)
    con.execute("""
    create table case_family as
    select distinct m.source_system, m.case_key, f.family_id
    from members m join known k on k.rid = m.rid join shown f on f.child = k.person_id
    anti join sealed s on s.child = f.child
    """)
    outputs = {
        "parent_child": "child_person_id, parent_person_id, role, source_system, evidence",
        "family_member": "family_id, person_id, role, valid_from",
        "case_family": "source_system, case_key, family_id",
        "family_review": "reason, person_id, other_person_id, source_system",
    }
    counts = {
        name: write_parquet(con, f"select * from {name} order by {order}", linkage_dir / f"{name}.parquet")
        for name, order in outputs.items()
    }
    # Whoever may read the vault's other tables need not read this one.
    restricted = linkage_dir / "restricted"
    restricted.mkdir(mode=0o700, exist_ok=True)
    restricted.chmod(0o700)
    write_parquet(con, "select * from sealed_bridge order by all", restricted / "adoption_bridge.parquet")
    (restricted / "adoption_bridge.parquet").chmod(0o600)
    summary = {
        **counts,
        "families": con.execute("select count(distinct family_id) from shown").fetchall()[0][0],
        "largest_family": con.execute(
            "select coalesce(max(n), 0) from (select count(distinct person_id) as n from family_member "
            "where role <> 'foster_parent' group by family_id)"
        ).fetchall()[0][0],
        "events": tally,
    }
    write_json(summary, linkage_dir / "families.json")
    return summary


def link_families(linkage_dir: Path) -> dict[str, int]:
    """Tell which families share a parent or a case, or had children in one household at one time; none is merged.

    Reads what :func:`build_families` and :func:`linkage.build_households` left; writes ``family_link.parquet
    (family_id_a, family_id_b, reason)``. Returns the number of links of each reason.
    """
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        for name in ("family_member", "case_family", "household_member"):
            con.execute(f"create view {name} as select * from read_parquet({quoted(linkage_dir / f'{name}.parquet')})")
        # For the days a child was of this family: an adoption changes the one and not the home.
        con.execute("""
        create table child_at_home as
        select h.household_id, f.family_id, greatest(h.valid_from, coalesce(f.valid_from, h.valid_from)) as valid_from,
            least(coalesce(h.valid_to, date '9999-12-31'), coalesce(f.valid_to, date '9999-12-31')) as valid_to
        from household_member h join family_member f using (person_id) where f.role = 'child'
        """)
        con.execute(f"""
        create table family_link as
        select distinct a.family_id as family_id_a, b.family_id as family_id_b,
            'shared_' || case when a.role = b.role then a.role else 'parent' end as reason
        from family_member a join family_member b on a.person_id = b.person_id and a.family_id < b.family_id
        where a.role in ('mother', 'father', 'putative_father', 'parent')
          and b.role in ('mother', 'father', 'putative_father', 'parent')
        union
        select a.family_id, b.family_id, 'shared_case'
        from case_family a join case_family b using (source_system, case_key)
        -- A docket of half a town says nothing of its families, nor does a house of half a street.
        semi join (select source_system, case_key from case_family group by all having count(*) <= {MAX_FAMILIES})
          using (source_system, case_key)
        where a.family_id < b.family_id
        union
        select a.family_id, b.family_id, 'shared_household'
        from child_at_home a join child_at_home b using (household_id)
        semi join (select household_id from child_at_home group by all
                   having count(distinct family_id) <= {MAX_FAMILIES}) using (household_id)
        where a.family_id < b.family_id and a.valid_from < b.valid_to and b.valid_from < a.valid_to
        """)
        write_parquet(
            con,
            "select * from family_link order by family_id_a, family_id_b, reason",
            linkage_dir / "family_link.parquet",
        )
        return dict(con.execute("select reason, count(*) from family_link group by reason order by reason").fetchall())
    finally:
        con.close()
