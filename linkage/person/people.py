"""From edges to people for one night: constraints gathered, twins kept apart, relatives heard, clusters formed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from linkage.model import Pool
from linkage.person.clustering import Ints, _components, cluster
from linkage.person.comparisons import BY_NAME
from linkage.person.edges import complete
from linkage.person.mixture import Mixture
from linkage.person.relational import POOLS, apply_pools, forget_pools, people_changed
from linkage.person.scoring import Scorer
from linkage.records import PARENTAL
from linkage.store import in_list, quoted

TWIN_WEIGHT = -5.0
#: Evidence that says who the other one is: such a pair is never tied together by a third record.
TWO_PEOPLE = ("twin", "generation", "birth_dates", "numbers", "mothers")
#: A given name borne under as many surnames as this is a name, and not another one misspelt.
COMMON_NAME = 4
#: Of edge ``e`` of records ``l`` and ``r``: no number is shared, also where the model has too few to compare them, and
#: no social security number is a slip of the pen apart.
_NO_NUMBER_IN_COMMON = (
    "coalesce(l.ssn <> r.ssn, true) and coalesce(l.medicaid_id <> r.medicaid_id, true) and coalesce(e.g_ssn, -1) <> 1"
)
#: The level at which two numbers have nothing in common.
UNLIKE = {name: len(BY_NAME[name].all_levels) - 1 for name in ("ssn", "medicaid_id")}


def _some(again: bool) -> str:
    """SQL that leaves only the pairs relatives have raised or brought up, where the others were looked at before."""
    return f"and e.evidence in {in_list((*POOLS, 'completion'))}" if again else ""


def separate_twins(con: duckdb.DuckDBPyConnection, edges: str, join: float, again: bool = False) -> int:
    """The twin rule: born within a day of each other under one surname, two real given names, no number shared.

    The names are unlike; or they are merely not the same (MIA and MYA, EMMA and EMILY), each common in these records
    and so no slip of the pen, and the two have different numbers, or one source holds both. Or the names are the same
    and one source has two unlike middle names (MARIA ELENA, MARIA LUISA). Not where one number is held under both.
    Nor are children of one source one child who have two names, birth dates and numbers there, however alike.
    Also two unnamed newborns with different birth orders. Such a pair gets weight -5 and evidence ``twin`` whatever
    else agrees, and a third record does not tie it together. ``again``: only pairs raised by their relatives since.
    Returns the number of pairs.
    """
    levels = BY_NAME["given_name"].all_levels
    other_form = next(i for i, level in enumerate(levels) if "nickname" in level.words)
    same = next(i for i, level in enumerate(levels) if level.frequency_of)
    close = next(i for i, level in enumerate(levels) if "nearly" in level.words)
    unlike = len(levels) - 1
    other_middle = len(BY_NAME["middle_name"].all_levels) - 1
    # Numbers of twins may follow each other.
    two_ssns = (
        f"(coalesce(e.g_ssn = {UNLIKE['ssn']}, false) or coalesce("
        "e.g_ssn = 1 and abs(try_cast(l.ssn as bigint) - try_cast(r.ssn as bigint)) < 10, false))"
    )
    if not again:
        con.execute(f"""
        create or replace table kw_common as
        select first_std as name from records where first_std is not null
        group by first_std having count(distinct last_std) >= {COMMON_NAME}
        """)
    con.execute(f"""
    create or replace table kw_twins as
    -- Most pairs have one given name: they need not be looked at closer.
    with asked as (
        select * from {edges} e where (g_given_name >= {other_form} or g_middle_name = {other_middle}
            or rid_l in (select rid from records where birth_order is not null)) {_some(again)})
    select e.rid_l, e.rid_r, jaro_winkler_similarity(l.first_std, r.first_std) < 0.8 as is_unlike from asked e
    join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
    where (l.birth_order <> r.birth_order or (
        length(l.first_std) > 1 and length(r.first_std) > 1
        and l.first_std is distinct from r.middle_std and l.middle_std is distinct from r.first_std
        and list_has_any(l.last_forms, r.last_forms)
        and (l.is_child or r.is_child or l.record_role = 'child' or r.record_role = 'child')
        and coalesce(l.medicaid_id <> r.medicaid_id, true)
        and ((abs(date_diff('day', l.birth_date, r.birth_date)) <= 1 and (
            (e.g_given_name >= {unlike - 1} and is_unlike)
            or (l.source_system = r.source_system and length(l.middle_std) > 1 and length(r.middle_std) > 1
                and e.g_middle_name = {other_middle} and jaro_winkler_similarity(l.middle_std, r.middle_std) < 0.8)
            or (e.g_given_name >= {other_form}
                and (e.g_given_name = {other_form}
                    or (l.first_std in (select name from kw_common) and r.first_std in (select name from kw_common)))
                and ({two_ssns}
                    or (l.source_system = r.source_system and (
                        coalesce(e.g_medicaid_id = {UNLIKE["medicaid_id"]}, false)
                        or (not list_contains(l.first_forms, r.first_std)
                            and not list_contains(r.first_forms, l.first_std))))))))
            -- A sister or brother: one source has two names, two birth dates and two numbers.
            or (l.source_system = r.source_system and e.g_given_name >= {other_form} and l.birth_date <> r.birth_date
                and ({two_ssns} or coalesce(e.g_medicaid_id = {UNLIKE["medicaid_id"]}, false))))))
      and coalesce(l.ssn <> r.ssn, true)
    """)
    # One number under both names: one child, one of whose names is wrong. So are two names that are unlike each other
    # where a record with the number of the one bears a name that is nearly both: JAMIE, JAMES, HAMES.
    con.execute(f"""
    create or replace table kw_one_child as
    with sure as (select rid_l, rid_r from {edges} where weight >= {join} and g_given_name = {same}),
    named as (select rid_l as rid, rid_r as also from sure union all select rid_r, rid_l from sure),
    numbered as (
        select rid_l, rid_r from {edges} where g_ssn = 0 or g_medicaid_id = 0
        union select e.rid_l, e.rid_r from {edges} e
        join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
        -- A slip of the pen, too; but the numbers of twins may follow each other.
        where e.g_ssn = 1 and abs(try_cast(l.ssn as bigint) - try_cast(r.ssn as bigint)) >= 10),
    one as (
        select rid_l, rid_r, rid_l as rid from kw_twins
        union select t.rid_l, t.rid_r, n.also from kw_twins t join named n on n.rid = t.rid_l),
    other as (
        select rid_l, rid_r, rid_r as rid from kw_twins
        union select t.rid_l, t.rid_r, n.also from kw_twins t join named n on n.rid = t.rid_r)
    select distinct a.rid_l, a.rid_r from one a join other b using (rid_l, rid_r)
    join numbered n on n.rid_l = least(a.rid, b.rid) and n.rid_r = greatest(a.rid, b.rid)
    """)
    nearly = f"weight >= {join} and g_given_name between {same} and {close}"
    con.execute(f"""
    insert into kw_one_child
    with near as (
        select rid_l as rid, rid_r as also, coalesce(g_ssn = 0 or g_medicaid_id = 0, false) as has_number
        from {edges} where {nearly} union all
        select rid_r, rid_l, coalesce(g_ssn = 0 or g_medicaid_id = 0, false) from {edges} where {nearly})
    select distinct t.rid_l, t.rid_r from kw_twins t
    join near a on a.rid = t.rid_l join near b on b.rid = t.rid_r and b.also = a.also
    where t.is_unlike and (a.has_number or b.has_number)
    """)
    # Under one given name the other twin's records are of that name, too: a number of theirs says nothing of one child.
    con.execute(f"""
    delete from kw_twins t using (
        from kw_one_child c semi join {edges} e
          on e.rid_l = c.rid_l and e.rid_r = c.rid_r and coalesce(e.g_given_name, -1) <> {same}) c
    where c.rid_l = t.rid_l and c.rid_r = t.rid_r
    """)
    con.execute(f"""
    update {edges} e set weight = least(weight, {TWIN_WEIGHT}), evidence = 'twin'
    from kw_twins t where e.rid_l = t.rid_l and e.rid_r = t.rid_r
    """)
    return int(con.execute("select count(*) from kw_twins").fetchall()[0][0])


#: Years beyond a small child's from which on nobody is listed as a child, also where a case is some years old.
GROWN = 25
#: Years before a small child's (three or four years old) from which on nobody is an adult, and up to which a stated
#: child's birth year is believed; years after it from which on a year is a slip of the pen.
YOUNG, OLDEST, AHEAD = 9, 18, 7
#: Nearly nobody is a parent before this age; who is, is looked at by a reviewer. Of births less than one in a thousand
#: are to mothers under 15 (National Vital Statistics Reports, Births: Final Data).
PARENT_YEARS = 14
#: Whoever is this of somebody is an adult.
OF_ADULTS = (*PARENTAL, "guardian_of", "spouse_of", "foster_parent_of")
#: Years between the births of two people of one name, written SR and JR.
GENERATION = 12
#: Where the model finds fewer true pairs than this a generation apart, birth dates can be trusted that far.
TRUSTED_DATES = 0.015
#: Levels at which two records have more in common than names: comparison -> the last of them.
_MORE_THAN_A_NAME = {"ssn": 2, "medicaid_id": 1, "address": 4, "phone": 0}
DOUBTFUL_WEIGHT = -1.0
#: Where the model finds fewer true pairs than this with unlike numbers of both kinds, numbers can be trusted that far.
TRUSTED_NUMBERS = 0.01
#: The same of an unlike birth date beside an unlike number.
TRUSTED_BOTH = 0.001


def _generation_apart() -> int:
    return next(i for i, v in enumerate(BY_NAME["birth_date"].all_levels) if "generation" in v.words)


def relatives_are_two(con: duckdb.DuckDBPyConnection) -> None:
    """Fill ``constraints`` with what a stated relationship between two records implies: they are two people."""
    con.execute("""
    insert into constraints
    select distinct least(rid_a, rid_b), greatest(rid_a, rid_b), 'cannot', 'relatives_of_each_other' from stated
    where relationship not in ('other', 'relative_of') and rid_a is not null
      and not exists (select 1 from constraints c where least(c.rid_a, c.rid_b) = least(stated.rid_a, stated.rid_b)
        and greatest(c.rid_a, c.rid_b) = greatest(stated.rid_a, stated.rid_b))
    """)


def separate_generations(
    con: duckdb.DuckDBPyConnection, edges: str, mixtures: dict[str, Mixture], join: float, again: bool = False
) -> int:
    """A record whose role is adult is not a child under seven, whatever the names say: SAM and his father SAM. A listed
    child nobody knows the age of, beside somebody grown for years or an adult of unknown age, is left to a reviewer; so
    is an adult of unknown age (by role, or as a stated parent, guardian or spouse) beside somebody too young to be an
    adult, or to be the parent of that adult's children.

    Nor is ROBERT SR the ROBERT JR born a generation later, unless they have a number in common. Two EARLs of one
    address born a generation apart, with no number in common, are left to a reviewer, unless the birth dates of these
    files are too poor to tell. Where other records repeat both birth dates, they are two, and no third record ties them
    together. So are two whose repeated birth dates have nothing in common, unless birth dates are poor, or the two have
    surname and home in common, or a number (:func:`_forgive_copies`). Where numbers are unlike, so are two whose dates
    are merely no slip of the pen apart, and at one home those with unlike numbers of both kinds. And two of dates with
    nothing in common, repeated or not, whom only a record without a birth date ties together, by no more than the name
    of one of them.

    ``again``: only pairs raised by their relatives since. Returns the number of pairs set apart.
    """
    small = con.execute("select quantile_disc(birth_year, 0.5) from records where is_child").fetchall()[0][0] or 0
    # The middle one: a year far ahead is a slip of the pen, and says nothing of anybody's age.
    child = "{0}.is_child and {0}.birth_date is not null and {0}.birth_year <= " + str(small + AHEAD)
    con.execute(f"""
    create or replace table kw_apart as
    select e.rid_l, e.rid_r from {edges} e
    join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
    -- Whose birth date is the child's is no adult: the role is wrong.
    where (({child.format("l")} and r.record_role = 'adult' and coalesce(l.dob <> r.dob, true))
        or ({child.format("r")} and l.record_role = 'adult' and coalesce(l.dob <> r.dob, true))
        or (l.suffix <> r.suffix and abs(l.birth_year - r.birth_year) >= {GENERATION}
            and coalesce(l.ssn <> r.ssn, true) and coalesce(l.medicaid_id <> r.medicaid_id, true)))
      {_some(again)}
    """)
    con.execute(f"""
    update {edges} e set weight = least(weight, {TWIN_WEIGHT}), evidence = 'generation'
    from kw_apart t where e.rid_l = t.rid_l and e.rid_r = t.rid_r
    """)
    _doubt_ages(con, edges, small, again)
    dates, apart = mixtures["adult"].m.get("birth_date"), _generation_apart()
    if dates is None:
        return int(con.execute("select count(*) from kw_apart").fetchall()[0][0])
    # A birth date that a second record of the person repeats is no slip of the pen: there the model is not asked. It
    # would take many fathers and sons of one name for people whose birth dates are poorly written.
    con.execute(f"""
    create or replace table kw_dated as
    select rid_l as rid from {edges} where weight >= {join} and g_birth_date = 0
    union select rid_r from {edges} where weight >= {join} and g_birth_date = 0
    """)
    # Nor are two whose own pair does not join them made one by a record that says less: without a birth date, and of
    # one of them no more than the name.
    more = " or ".join(f"coalesce(g_{name} between 0 and {last}, false)" for name, last in _MORE_THAN_A_NAME.items())
    con.execute(f"""
    create or replace table kw_bridged as
    with odd as (select rid_l, rid_r from {edges} where g_birth_date > {apart} and weight < {join}),
    sure as (
        select rid_l as rid, rid_r as also, {more} as has_more from {edges} where weight >= {join}
        union all select rid_r, rid_l, {more} from {edges} where weight >= {join}),
    near as (select s.* from sure s semi join (select rid_l as rid from odd union select rid_r from odd) using (rid))
    select rid_l, rid_r from odd
    join near a on a.rid = rid_l join near b on b.rid = rid_r and b.also = a.also join records c on c.rid = a.also
    group by rid_l, rid_r having bool_and(c.dob is null and not (a.has_more and b.has_more))
    """)
    surely = (
        "((rid_l in (select rid from kw_dated) and rid_r in (select rid from kw_dated)) "
        "or (rid_l, rid_r) in (from kw_bridged))"
    )
    slip = next(i for i, level in enumerate(BY_NAME["birth_date"].all_levels) if "one digit" in level.words)
    unlike = [f"coalesce(e.g_{name} = {level}, false)" for name, level in UNLIKE.items()]
    is_trusted, is_trusted_elsewhere = (share < TRUSTED_DATES for share in dates[apart:])
    con.execute(f"""
    create or replace table kw_unlike as
    select e.rid_l, e.rid_r, e.g_birth_date, {surely} as is_sure from {edges} e
    join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
    where e.evidence not in {in_list(TWO_PEOPLE)} {_some(again)}
      and {_NO_NUMBER_IN_COMMON} and e.g_birth_date > {slip}
      and ((e.g_birth_date = {apart} and ({is_trusted} or {surely}))
        -- More alike than that, but no slip of the pen; and numbers are unlike.
        or (e.g_birth_date <> {apart} and {is_trusted_elsewhere} and {surely} and ({" and ".join(unlike)}))
        or (e.g_birth_date < {apart} and {is_trusted_elsewhere} and {surely} and ({" or ".join(unlike)})
            and (coalesce(e.g_address, 9) not in (0, 1) or coalesce(e.g_surname, 9) > 1))
        or (e.g_birth_date > {apart} and {is_trusted_elsewhere} and {surely}
            -- Of one surname at one home: one of the dates may have gone from system to system.
            and (coalesce(e.g_address, 9) not in (0, 1) or coalesce(e.g_surname, 9) > 1)))
    """)
    _forgive_copies(con, edges, join, "kw_unlike", slip)
    con.execute(f"""
    update {edges} e set weight = least(weight, {DOUBTFUL_WEIGHT}),
        evidence = case when is_sure then 'birth_dates' else 'perhaps_generation' end
    from kw_unlike t where e.rid_l = t.rid_l and e.rid_r = t.rid_r
    """)
    return int(con.execute("select count(*) from kw_apart").fetchall()[0][0])


def _doubt_ages(con: duckdb.DuckDBPyConnection, edges: str, small: int, again: bool) -> None:
    """Leave to a reviewer whom age or role makes unlikely one, where nobody knows the age of the adult or the child.

    ``small`` is the birth year in the middle of the children under seven. See :func:`separate_generations`.
    """
    if not again:
        # With the year from which on somebody born is too young: to be a parent at all, or of this adult's children.
        con.execute(f"""
        create or replace table kw_adults as
        with adult as (
            select rid from records where record_role = 'adult'
            union select rid from records semi join stated on rid_a = rid and not is_reversed
                and relationship in {in_list(OF_ADULTS)} where record_role is distinct from 'child'),
        oldest as (
            select s.rid_a as rid, min(c.birth_year) as year from stated s join records c on c.rid = s.rid_b
            where s.relationship in {in_list(PARENTAL)} and not s.is_reversed
              and c.birth_year between {small - OLDEST} and {small + AHEAD} group by s.rid_a)
        select rid, least({small - YOUNG}, coalesce(o.year - {PARENT_YEARS}, {small})) as too_young
        from adult left join oldest o using (rid)
        """)
    con.execute(f"""
    update {edges} as u set weight = least(u.weight, {DOUBTFUL_WEIGHT}), evidence = 'perhaps_generation'
    from {edges} e join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
    left join kw_adults al on al.rid = e.rid_l left join kw_adults ar on ar.rid = e.rid_r
    where u.rid_l = e.rid_l and u.rid_r = e.rid_r and e.evidence not in {in_list(TWO_PEOPLE)} {_some(again)}
      and {_NO_NUMBER_IN_COMMON}
      -- A child as its source lists it, nobody knows how old, and somebody who has been grown for years.
      and ((l.record_role = 'child' and l.dob is null and r.birth_year <= {small - GROWN})
        or (r.record_role = 'child' and r.dob is null and l.birth_year <= {small - GROWN})
        -- Nobody knows the age of either, but the one is listed as a child, the other is an adult.
        or (l.record_role = 'child' and l.dob is null and r.dob is null and ar.rid is not null)
        or (r.record_role = 'child' and r.dob is null and l.dob is null and al.rid is not null)
        -- Of an adult nobody knows the age, and the other is too young.
        or (l.dob is null and ar.rid is null and r.birth_year between al.too_young and {small + AHEAD})
        or (r.dob is null and al.rid is null and l.birth_year between ar.too_young and {small + AHEAD}))
    """)


def _forgive_copies(con: duckdb.DuckDBPyConnection, edges: str, join: float, table: str, beyond: int) -> None:
    """Take from ``table(rid_l, rid_r, g_birth_date)`` pairs of one person with a wrong birth date that went from system
    to system: a record with the one date has a number in common with a record with the other.

    ``beyond``: only dates less alike than this level. Not a generation apart: there the number may be the father's,
    written to his son.
    """
    con.execute(f"""
    create or replace temp table kw_dates as
    with ends as (select rid_l as rid from {table} union select rid_r from {table}),
    same as (select rid_l, rid_r from {edges} where weight >= {join} and g_birth_date = 0)
    select rid, rid as also from ends
    union select rid_l, rid_r from same join ends on rid = rid_l
    union select rid_r, rid_l from same join ends on rid = rid_r
    """)
    con.execute(f"""
    delete from {table} t using (
        select distinct t.rid_l, t.rid_r from {table} t
        join kw_dates a on a.rid = t.rid_l join kw_dates b on b.rid = t.rid_r
        join {edges} e on e.rid_l = least(a.also, b.also) and e.rid_r = greatest(a.also, b.also)
        where t.g_birth_date > {beyond} and t.g_birth_date <> {_generation_apart()} and e.weight >= {join}
            and (e.g_ssn in (0, 1) or e.g_medicaid_id = 0)
    ) c where c.rid_l = t.rid_l and c.rid_r = t.rid_r
    """)


def separate_numbers(
    con: duckdb.DuckDBPyConnection, edges: str, mixtures: dict[str, Mixture], join: float, again: bool = False
) -> int:
    """Two MARIA GARCIAs of one birth date, with unlike numbers of both kinds and no home in common, are left to a
    reviewer.

    So are two unnamed children of two homes to whom one source gave two Medicaid numbers: nothing says who either is.
    Not where these files' numbers are so poor that the model finds true pairs like this. But a social security number
    that a second record of the person repeats is no slip of the pen: with two such, unlike, the model is not asked.
    Nor are two slips of the pen believed: birth dates with nothing in common beside an unlike number of either kind are
    two people, whatever a third record without a birth date would tie; unless the model finds true pairs like this.
    ``again``: only pairs raised by their relatives since. Returns the number of pairs set apart.
    """
    told, apart = mixtures["adult"].m, _generation_apart()
    shares = {name: told.get(name, [1.0])[-1] for name in UNLIKE}
    is_trusted = shares["ssn"] * shares["medicaid_id"] <= TRUSTED_NUMBERS
    births = sum(told.get("birth_date", [])[apart:])
    both = [f"e.g_{name} = {level}" for name, level in UNLIKE.items() if births * shares[name] <= TRUSTED_BOTH]
    both.append("(" + " and ".join(f"e.g_{name} = {level}" for name, level in UNLIKE.items()) + ")")
    con.execute(f"""
    create or replace table kw_numbered as
    select rid_l as rid from {edges} where weight >= {join} and g_ssn = 0
    union select rid_r from {edges} where weight >= {join} and g_ssn = 0
    """)
    con.execute(f"""
    create or replace table kw_numbers as
    select e.rid_l, e.rid_r, e.g_birth_date from {edges} e
    join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
    where (coalesce(e.g_address, 9) not in (0, 1) and coalesce(l.ssn <> r.ssn, true)
        and (({is_trusted} and e.g_medicaid_id = {UNLIKE["medicaid_id"]} and e.g_ssn = {UNLIKE["ssn"]})
          or (coalesce(e.g_medicaid_id, -1) <> 0 and e.g_ssn = {UNLIKE["ssn"]}
              and e.rid_l in (select rid from kw_numbered) and e.rid_r in (select rid from kw_numbered))
          or ({is_trusted} and l.medicaid_id <> r.medicaid_id and coalesce(e.g_address, 9) > 1
              and l.source_system = r.source_system and l.first_std is null and r.first_std is null))
        or (({" or ".join(both)}) and e.g_birth_date >= {apart} and {_NO_NUMBER_IN_COMMON}))
      and e.evidence not in {in_list(TWO_PEOPLE)} {_some(again)}
    """)
    _forgive_copies(con, edges, join, "kw_numbers", apart)
    con.execute(f"""
    update {edges} e set weight = least(weight, {DOUBTFUL_WEIGHT}), evidence = 'numbers'
    from kw_numbers t where e.rid_l = t.rid_l and e.rid_r = t.rid_r
    """)
    return int(con.execute("select count(*) from kw_numbers").fetchall()[0][0])


def separate_named(con: duckdb.DuckDBPyConnection, edges: str, join: float) -> int:
    """Two born within a day of each other under one surname and two unlike given names, whose own pair does not join
    them, are not made one by records without a given name: at any age they are twins, or two of one household.

    Returns the number of pairs set apart.
    """
    unlike = len(BY_NAME["given_name"].all_levels) - 1
    con.execute(f"""
    create or replace table kw_named as
    with odd as (
        select e.rid_l, e.rid_r from {edges} e join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
        where e.g_given_name = {unlike} and e.weight < {join} and e.evidence not in {in_list(TWO_PEOPLE)}
          and abs(date_diff('day', l.birth_date, r.birth_date)) <= 1 and list_has_any(l.last_forms, r.last_forms)
          and length(l.first_std) > 1 and length(r.first_std) > 1
          and {_NO_NUMBER_IN_COMMON}
    ),
    sure as (
        select rid_l as rid, rid_r as also from {edges} where weight >= {join}
        union all select rid_r, rid_l from {edges} where weight >= {join}),
    near as (select s.* from sure s semi join (select rid_l as rid from odd union select rid_r from odd) using (rid))
    select rid_l, rid_r from odd
    join near a on a.rid = rid_l join near b on b.rid = rid_r and b.also = a.also join records c on c.rid = a.also
    group by rid_l, rid_r having bool_and(c.first_std is null)
    """)
    con.execute(f"""
    update {edges} e set weight = least(weight, {TWIN_WEIGHT}), evidence = 'twin'
    from kw_named t where e.rid_l = t.rid_l and e.rid_r = t.rid_r
    """)
    return int(con.execute("select count(*) from kw_named").fetchall()[0][0])


def separate_mothers(con: duckdb.DuckDBPyConnection, edges: str, join: float, again: bool = False) -> int:
    """Two children called NOAH GARRETT born on one day, each with a mother of its own, are left to a reviewer.

    The mothers are people two records tell of, in ``people`` as formed so far, and bear unlike given names. Not where
    the children have a number or a home in common, they or a child the one mother and the other are said to have: a
    source may call an adoptive or foster mother the mother.
    ``again``: only pairs raised by their relatives since. Returns the number of pairs set apart.
    """
    con.execute("""
    create or replace table kw_mothers as
    with told as (
        select distinct s.rid_b as rid, p.person, m.first_std, m.first_forms
        from stated s join people p on p.rid = s.rid_a join records m on m.rid = s.rid_a
        where s.relationship = 'mother_of' and m.first_std is not null and length(m.first_std) > 1)
    select t.* from told t semi join (
        select person from people semi join told using (person) group by person having count(*) > 1) using (person)
    """)
    con.execute(f"""
    create or replace temp table kw_told as
    select e.rid_l, e.rid_r, e.weight, e.evidence, a.person as mother_l, b.person as mother_r,
        a.first_std as name_l, b.first_std as name_r, a.first_forms as forms_l, b.first_forms as forms_r,
        {_NO_NUMBER_IN_COMMON} and coalesce(e.g_address, 9) not in (0, 1) as has_nothing
    from {edges} e
    join kw_mothers a on a.rid = e.rid_l join kw_mothers b on b.rid = e.rid_r
    join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
    """)
    con.execute(f"""
    create or replace table kw_unlike as
    with of_both as (
        select least(mother_l, mother_r) as one, greatest(mother_l, mother_r) as other from kw_told
        where weight >= {join} and not has_nothing)
    select rid_l, rid_r from kw_told e
    anti join of_both on one = least(mother_l, mother_r) and other = greatest(mother_l, mother_r)
    where has_nothing and e.evidence not in {in_list(TWO_PEOPLE)} {_some(again)}
    group by e.rid_l, e.rid_r
    having bool_and(mother_l <> mother_r and not list_has_any(forms_l, forms_r)
        and jaro_winkler_similarity(name_l, name_r) < 0.8)
    """)
    con.execute(f"""
    update {edges} e set weight = least(weight, {DOUBTFUL_WEIGHT}), evidence = 'mothers'
    from kw_unlike t where e.rid_l = t.rid_l and e.rid_r = t.rid_r
    """)
    return int(con.execute("select count(*) from kw_unlike").fetchall()[0][0])


#: Pairs this much above the threshold (log2 odds) show what one person looks like; fewer of them show nothing.
SURE, FEW = 10.0, 20


def weigh_parents(con: duckdb.DuckDBPyConnection, edges: str, join: float) -> int:
    """Two who have no more than names in common, and whose stated children are not the same, weigh less.

    The court's MARIA GARCIA without a birth date is not the MARIA GARCIA on Medicaid because there is only one: each
    source says whose mother it means. How much less is learned: of pairs that surely are one person and of whom both
    records have stated children, the share with none in common, as log2 (Bayes; among namesakes all have none). The
    children are those of everybody either is surely one with, in ``people`` as formed so far.
    Returns the number of pairs.
    """
    thin = "evidence = 'pair' and coalesce(g_birth_date, -1) < 0" + "".join(
        f" and not coalesce(g_{name} between 0 and {last}, false)" for name, last in _MORE_THAN_A_NAME.items()
    )
    # A child that is not linked yet may be the other one's all the same.
    perhaps_one = "(b.child = a.child or coalesce(b.dob = a.dob, true) or b.first_std = a.first_std)"
    con.execute(f"""
    create or replace temp table kw_kids as
    select distinct s.rid_a as rid, p.person as child, c.dob, c.first_std from stated s
    join people p on p.rid = s.rid_b join records c on c.rid = s.rid_b
    where s.relationship in {in_list(PARENTAL)} and not s.is_reversed and s.rid_a is not null
    """)
    known, none = con.execute(f"""
    with sure as (
        select e.rid_l, e.rid_r from {edges} e semi join kw_kids a on a.rid = e.rid_l
        semi join kw_kids b on b.rid = e.rid_r where e.weight >= {join + SURE} and not ({thin})),
    shared as (
        select distinct s.rid_l, s.rid_r from sure s
        join kw_kids a on a.rid = s.rid_l join kw_kids b on b.rid = s.rid_r and {perhaps_one})
    select (select count(*) from sure), (select count(*) from sure) - (select count(*) from shared)
    """).fetchall()[0]
    if known < FEW:
        return 0
    data = con.execute(f"select rid_l, rid_r from {edges} where weight >= {join} and not ({thin})").fetchnumpy()
    rids, place = np.unique(np.concatenate([data["rid_l"], data["rid_r"]]), return_inverse=True)
    left, right = place.reshape(2, -1)
    con.register("kw_ties", pa.table({"rid": rids, "core": rids[_components(len(rids), left, right)]}))
    con.execute(f"""
    create or replace temp table kw_thin as
    with thin as (
        select e.rid_l, e.rid_r, coalesce(a.core, e.rid_l) as one, coalesce(b.core, e.rid_r) as other
        from {edges} e left join kw_ties a on a.rid = e.rid_l left join kw_ties b on b.rid = e.rid_r
        where e.weight >= {join} and {thin}),
    kids as (
        select distinct k.* replace (coalesce(t.core, k.rid) as rid) from kw_kids k left join kw_ties t using (rid)),
    shared as (
        select distinct t.rid_l, t.rid_r from thin t
        join kids a on a.rid = t.one join kids b on b.rid = t.other and {perhaps_one})
    select t.rid_l, t.rid_r from thin t semi join kids a on a.rid = t.one semi join kids b on b.rid = t.other
    anti join shared s on s.rid_l = t.rid_l and s.rid_r = t.rid_r
    """)
    con.unregister("kw_ties")
    con.execute(f"""
    update {edges} e set weight = weight + {math.log2((none + 1) / (known + 2))}, evidence = 'other_children'
    from kw_thin t where e.rid_l = t.rid_l and e.rid_r = t.rid_r
    """)
    return int(con.execute("select count(*) from kw_thin").fetchall()[0][0])


def written_twice(con: duckdb.DuckDBPyConnection, scorer: Scorer, duplicate_free: tuple[str, ...]) -> int:
    """Records a source without duplicates holds twice after all; added to ``constraints`` as must.

    A source that vouches for having no duplicates is believed unless it contradicts itself: by the same social security
    number, birth date and a name (or sex and place), or every name, birth date, sex and ZIP (the middle name where no
    ZIP is known), with nothing that differs; or by two numbers, or one and the given name, where nothing else is more
    than a slip of the pen apart. Never where the given names are unlike, or both unknown: one number may have been
    written to two children. Returns the number of pairs.
    """
    if not duplicate_free:
        return 0
    same = "a.source_system = b.source_system and a.rid < b.rid"
    born = "a.dob = b.dob and length(a.dob) = 10"
    written = (
        "(length(a.first_std) > 1 and length(a.last_std) > 1 and a.sex = b.sex "
        "and (list_has_any(a.zips, b.zips) or (a.middle_std = b.middle_std and (a.zips is null or b.zips is null))))"
    )
    # One join for each way: a join on any of them would compare everybody born on one day.
    con.execute(f"""
    create or replace table kw_met as
    with vouched as (select * from records where source_system in {in_list(duplicate_free)}),
    met as (
        select a.rid as rid_l, b.rid as rid_r,
            {born} and (a.first_std = b.first_std or a.last_std = b.last_std or {written}) as is_word_for_word
        from vouched a join vouched b on {same} and a.ssn = b.ssn
        union all
        select a.rid, b.rid, false from vouched a join vouched b on {same} and a.medicaid_id = b.medicaid_id
        union all
        select a.rid, b.rid, {written} from vouched a
        join vouched b on {same} and {born} and a.first_std = b.first_std and a.last_std = b.last_std
    )
    select rid_l, rid_r, bool_or(coalesce(is_word_for_word, false)) as is_word_for_word from met group by all
    """)
    compared = ("given_name", "birth_date", "ssn", "medicaid_id")
    scorer.levels([BY_NAME[name] for name in compared], "kw_met", "kw_met_levels")
    given, born_levels = (BY_NAME[name].levels for name in ("given_name", "birth_date"))
    alike = next(i for i, at in enumerate(given) if "nearly" in at.words)
    slip = next(i for i, at in enumerate(born_levels) if "one digit" in at.words)
    con.execute(f"""
    create or replace table kw_twice as
    select m.rid_l as rid_a, m.rid_r as rid_b from kw_met m
    join kw_met_levels g using (rid_l, rid_r) join records a on a.rid = rid_l join records b on b.rid = rid_r
    where coalesce(a.sex = b.sex, true) and coalesce(a.suffix = b.suffix, true)
      and a.birth_order is not distinct from b.birth_order
      and (a.first_std is not null or b.first_std is not null)
      and ((m.is_word_for_word and g_given_name < {len(given)} and coalesce(a.ssn = b.ssn, true)
            and coalesce(a.medicaid_id = b.medicaid_id, true)
            and coalesce(left(a.middle_std, 1) = left(b.middle_std, 1), true))
        or (g_birth_date <= {slip} and g_given_name <= {alike} and g_ssn <= 1 and g_medicaid_id = 0
            and (g_ssn >= 0 or (g_given_name > 0 and g_birth_date >= 0))))
    """)
    con.execute(
        "insert into constraints select rid_a, rid_b, 'must', 'written_twice' from kw_twice t "
        "anti join constraints c on c.rid_a = t.rid_a and c.rid_b = t.rid_b"
    )
    return int(con.execute("select count(*) from kw_twice").fetchall()[0][0])


def hear_sources(con: duckdb.DuckDBPyConnection, scorer: Scorer, duplicate_free: tuple[str, ...]) -> int:
    """Fill ``constraints`` with all that follows from what sources state, so that decisions can be held against it.

    Returns the number of pairs that are :func:`written_twice`.
    """
    relatives_are_two(con)
    return written_twice(con, scorer, duplicate_free)


#: The most that one pair's disagreement may count against joining two groups, in log2 odds below the threshold.
MOST_AGAINST = 3.0


@dataclass(frozen=True)
class Ground:
    """What people are formed from at every look: ``rids`` in order and the ``source`` of each (the number of a
    duplicate-free one, or -1), and what was said of pairs, as places in ``rids``, shape (k, 2), the smaller first."""

    rids: Ints
    source: Ints
    must: Ints
    cannot: Ints


def _places(rids: Ints, found: dict[str, Any], *columns: str) -> Ints:
    """The places in ``rids`` of the records in ``columns`` of a result, one column for each."""
    return np.stack([np.searchsorted(rids, np.asarray(found[c], dtype=np.int64)) for c in columns], axis=1)


def survey(con: duckdb.DuckDBPyConnection, duplicate_free: tuple[str, ...]) -> Ground:
    """:class:`Ground` from tables ``records`` and ``constraints(rid_a, rid_b, kind, reason)``."""
    vouching = ", ".join(quoted(system) for system in sorted(duplicate_free))
    own = f"coalesce(list_position([{vouching}]::varchar[], source_system), 0)::bigint - 1"
    nodes = con.execute(f"select rid, {own} as source from records order by rid").fetchnumpy()
    rids, source = (np.asarray(nodes[name], dtype=np.int64) for name in ("rid", "source"))
    told = (
        "select least(rid_a, rid_b) as a, greatest(rid_a, rid_b) as b from constraints "
        "semi join records ra on ra.rid = rid_a semi join records rb on rb.rid = rid_b "
        "where kind = '{}' and rid_a <> rid_b group by 1, 2 "
        # What reviewers say is heard first: where not all can hold, a source's statement yields.
        "order by bool_or(reason = 'reviewer') desc, 1, 2"
    )
    must, cannot = (_places(rids, con.execute(told.format(kind)).fetchnumpy(), "a", "b") for kind in ("must", "cannot"))
    return Ground(rids, source, must, cannot)


def form(
    con: duckdb.DuckDBPyConnection,
    edges: str,
    join: float,
    ground: Ground,
    bonus: float = 0.0,
) -> dict[str, Any]:
    """Cluster ``records`` by table ``edges``; fills table ``people(rid, person)``; ``person`` is the smallest rid.

    With ``bonus``, pairs already in one published person (table ``published(rid, person_id)``) count that much more: a
    published join is kept a little longer than a new one is made.

    A badly written record disagrees with every other record of its person for one and the same reason; counted once
    per pair, one mistake would outvote what does agree. So disagreement counts at most ``MOST_AGAINST`` a pair. Where
    it says who the other one is (a twin, somebody a generation apart) it counts in full.
    """
    held = "coalesce(a.person_id = b.person_id, false)" if bonus else "false"
    joined = " left join published a on a.rid = e.rid_l left join published b on b.rid = e.rid_r" if bonus else ""
    apart = _generation_apart()
    data = con.execute(
        f"select e.rid_l, e.rid_r, case when e.evidence in {in_list(TWO_PEOPLE)} or e.g_birth_date = {apart} "
        f"then e.weight else greatest(e.weight, {join - MOST_AGAINST}) end as weight, {held} as held "
        f"from {edges} e{joined} order by e.rid_l, e.rid_r"
    ).fetchnumpy()
    left, right = _places(ground.rids, data, "rid_l", "rid_r").T
    weight = np.asarray(data["weight"], dtype=np.float64)
    together = np.asarray(data["held"], dtype=np.bool_)
    two = f"select rid_l, rid_r from {edges} where evidence in {in_list(TWO_PEOPLE)} order by 1, 2"
    kept_apart = _places(ground.rids, con.execute(two).fetchnumpy(), "rid_l", "rid_r")
    rids, said = ground.rids, (ground.must, ground.cannot, kept_apart)
    found = cluster(len(rids), left, right, weight, join, ground.source, *said, held=together, bonus=bonus)
    con.register("kw_people", pa.table({"rid": rids, "person": rids[found.label]}))
    con.execute("create or replace table people as select * from kw_people")
    con.unregister("kw_people")
    people_changed(con)
    refused = np.asarray(found.refused, dtype=np.int64)
    weight += bonus * together
    con.register(
        "kw_refused", pa.table({"rid_l": rids[left[refused]], "rid_r": rids[right[refused]], "weight": weight[refused]})
    )
    con.execute("create or replace table refused as select * from kw_refused")
    con.unregister("kw_refused")
    return {
        "people": int(np.count_nonzero(found.label == np.arange(len(rids)))),  # each has one smallest node
        "refused_pairs": len(found.refused),
        "contradictions": [(int(rids[a]), int(rids[b])) for a, b in found.contradictions],
    }


def link(
    con: duckdb.DuckDBPyConnection,
    scorer: Scorer,
    mixtures: dict[str, Mixture],
    edges: str,
    join: float,
    duplicate_free: tuple[str, ...],
    heard: int | None = None,
) -> tuple[Ground, dict[str, Any]]:
    """Form people from what their own records say: the first look. Returns also what it was formed from.

    ``heard``: what :func:`hear_sources` returned, where decisions were held against it before; else it is asked here.
    """
    forget_pools(con)
    summary: dict[str, Any] = {
        "twin_pairs": separate_twins(con, edges, join),
        "generation_pairs": separate_generations(con, edges, mixtures, join),
        "number_pairs": separate_numbers(con, edges, mixtures, join),
        "named_pairs": separate_named(con, edges, join),
        "written_twice": hear_sources(con, scorer, duplicate_free) if heard is None else heard,
    }
    ground = survey(con, duplicate_free)
    summary |= form(con, edges, join, ground)
    found = {"mother_pairs": separate_mothers(con, edges, join), "parent_pairs": weigh_parents(con, edges, join)}
    if any(found.values()):
        summary |= form(con, edges, join, ground)
    return ground, summary | found


def link_through_relatives(
    con: duckdb.DuckDBPyConnection,
    scorer: Scorer,
    mixtures: dict[str, Mixture],
    pools: dict[str, Pool],
    edges: str,
    join: float,
    first_look: tuple[Ground, dict[str, Any]],
    bonus: float = 0.0,
) -> dict[str, Any]:
    """Look again through the relatives of the people :func:`link` formed (two rounds), and form them for good.

    The ``bonus`` of what is published counts at the last, when everything has been heard: what relatives say must not
    depend on what was published, or the same deliveries would tell the second night more than the first.
    """
    ground, summary = first_look
    summary = dict(summary)
    relational = 0
    is_formed = True
    for is_last in (False, True) if pools else ():
        changed = apply_pools(con, scorer, mixtures, pools, edges)
        if not changed:
            break
        relational += changed
        complete(con, scorer, mixtures, edges, join)
        summary["twin_pairs"] += separate_twins(con, edges, join, again=True)
        summary["generation_pairs"] += separate_generations(con, edges, mixtures, join, again=True)
        summary["number_pairs"] += separate_numbers(con, edges, mixtures, join, again=True)
        summary["mother_pairs"] += separate_mothers(con, edges, join, again=True)
        summary["named_pairs"] += separate_named(con, edges, join)
        is_formed = not is_last
        if is_formed:
            summary |= form(con, edges, join, ground)
    if bonus or not is_formed:
        summary |= form(con, edges, join, ground, bonus)
    summary["relational_pairs"] = relational
    return summary
