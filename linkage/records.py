"""The canonical person record: what the staged rows of every source say, folded to one row per source record.

Input rows have the columns of ``expectations.vocabulary.PERSON_ATTRIBUTES`` plus ``source_system``,
``source_record_id``, ``row_kind``, ``record_role`` and ``delivered_on``; any of them but the first two may be missing.
Files written to the linkage folder:

``records.parquet``        one row per source record; ``rid`` is a hash of its key, the same every night
``relationships.parquet``  stated relationships between two known records
``constraints.parquet``    ``rid_a, rid_b, kind (must|cannot), reason``: what sources say about their own numbers
``case_members.parquet``   ``source_system, case_key, rid, role``
``case_links.parquet``     cases of two sources that are the same case
``record_summary.json``    counts only: completeness, placeholders, what was set aside and why
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from expectations.vocabulary import PERSON_ATTRIBUTES
from linkage import placeholders
from linkage.standardize import PARTICLES, install
from linkage.store import connect, in_list, quoted, read_json, rows, write_json, write_parquet

#: Below this age, in years at the newest delivery, a person is linked with the child model.
CHILD_YEARS = 7
#: A number carried in one source by more than this many unrelated names is not a person's number.
MAX_SHARED_NAMES = 3
#: An address with more unrelated surnames than this is an office, a shelter or a hospital.
MAX_ADDRESS_SURNAMES = 6
#: Share of 1 January birthdays above which the day was invented: a real year has 0.3 %.
YEAR_ONLY_SHARE = 0.012

_BASE = {
    "source_system": "varchar",
    "source_record_id": "varchar",
    "row_kind": "varchar",
    "record_role": "varchar",
    "delivered_on": "date",
}
#: Attributes read as text, because a birth date that is no calendar day still tells eight digits.
_AS_TEXT = {"birth_date"}

PARENTAL = ("mother_of", "father_of", "putative_father_of", "parent_of", "adoptive_parent_of")


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> set[str]:
    return {row[0].lower() for row in con.execute(f"describe select * from {relation}").fetchall()}


def _case_number(column: str) -> str:
    """SQL for a case number without dashes, blanks and zero padding: agencies quote each other's numbers freely."""
    return f"regexp_replace(replace(kw_words({column}), ' ', ''), '(^|[A-Z])0+', '\\1', 'g')"


def _input(con: duckdb.DuckDBPyConnection, relation: str) -> None:
    """``input_rows``: ``relation`` with every documented column, in the documented type."""
    present = _columns(con, relation)
    if missing := {"source_system", "source_record_id"} - present:
        raise ValueError(f"person records need the columns {', '.join(sorted(missing))}")
    wanted = {**_BASE, **{name: kind for name, (kind, _) in PERSON_ATTRIBUTES.items()}}
    parts = []
    for name, kind in wanted.items():
        kind = "varchar" if name in _AS_TEXT else kind
        value = f'try_cast("{name}" as {kind})' if name in present else f"cast(null as {kind})"
        if kind == "varchar":
            value = f"nullif(trim({value}), '')"
        parts.append(f'{value} as "{name}"')
    con.execute(f"create or replace table input_rows as select {', '.join(parts)} from {relation}")


def _standard_rows(con: duckdb.DuckDBPyConnection) -> None:
    """``std_rows``: every input row with standardised values, still several rows per record."""
    particles = in_list(PARTICLES)
    ssn_length = con.execute(
        """select length(kw_digits(ssn)) as n from input_rows where length(kw_digits(ssn)) > 4
           group by n order by count(*) desc, n limit 1"""
    ).fetchall()
    # A file whose numbers mostly have another length carries another number under this name: then only the length
    # and the repeated digit can be checked.
    if ssn_length and ssn_length[0][0] not in (8, 9):
        n = ssn_length[0][0]
        ssn = f"""case when length(kw_digits(ssn)) = {n} and length(replace(kw_digits(ssn), kw_digits(ssn)[1], '')) > 0
                  then kw_digits(ssn) end"""
    else:
        ssn = "kw_ssn(ssn)"
    con.execute(f"""
    create or replace table std_rows as
    with parsed as (
        select source_system, source_record_id,
            coalesce(row_kind, 'primary') as row_kind, record_role, delivered_on,
            kw_words(first_name) as w_first, kw_words(middle_name) as w_middle, kw_words(last_name) as w_last,
            kw_words(maiden_name) as w_maiden, kw_suffix(name_suffix) as w_suffix,
            case when first_name is null and last_name is null then kw_parse_full(full_name) end as w_full,
            kw_date(birth_date) as dob, is_birth_date_estimated, death_date,
            case left(upper(sex), 1) when 'F' then 'F' when 'M' then 'M' end as sex,
            {ssn} as ssn,
            case when length(kw_digits(ssn_last4)) = 4 and kw_digits(ssn_last4) <> '0000' then kw_digits(ssn_last4)
                 when length(kw_digits(ssn)) = 4 and kw_digits(ssn) <> '0000' then kw_digits(ssn) end as last4,
            case when length(replace(replace(kw_words(medicaid_id), ' ', ''), left(kw_words(medicaid_id), 1), '')) > 0
                 then replace(kw_words(medicaid_id), ' ', '') end as medicaid_id,
            replace(kw_words(mother_medicaid_id), ' ', '') as mother_medicaid_id,
            kw_address(address_line) as address, kw_name(city) as city, kw_words(state) as state,
            kw_zip(zip) as zip, county, lower(address_role) as address_role, kw_phone(phone) as phone,
            race_ethnicity, is_sealed, merged_into_record_id,
            kw_name(mother_first_name) as mother_first, replace(kw_name(mother_last_name), ' ', '') as mother_last,
            case_key
        from input_rows
        where source_system is not null and source_record_id is not null
    ), words as (
        select *,
            coalesce(w_first, nullif(array_to_string(w_full.given, ' '), '')) as given_words,
            coalesce(w_last, w_full.last) as last_words
        from parsed
    ), flagged as (
        select *, kw_is_placeholder(given_words) as ph_first,
            coalesce(replace(last_words, ' ', '') in {in_list(placeholders.SURNAMES)}
                or (last_words in ('DOE', 'ROE')
                    and (given_words is null or split_part(given_words, ' ', 1)
                         in {in_list(placeholders.DOE_COMPANIONS)} or kw_is_placeholder(given_words))), false)
                as ph_last,
            kw_birth_order(given_words) as birth_order,
            kw_strip_words(string_split(coalesce(kw_name(given_words), ''), ' ')) as given_tokens,
            kw_strip_words(string_split(coalesce(kw_name(last_words), ''), ' ')) as last_tokens,
            kw_strip_words(string_split(coalesce(kw_name(w_middle), ''), ' ')) as middle_tokens,
            coalesce(w_suffix, w_full.suffix, kw_suffix(string_split(last_words, ' ')[-1]),
                case when len(string_split(given_words, ' ')) > 1
                     then kw_suffix(string_split(given_words, ' ')[-1]) end) as suffix
        from words
    ), cleared as (
        select * exclude (given_tokens, last_tokens),
            case when ph_first or (ph_last and last_words in ('DOE', 'ROE')) then [] else given_tokens end
                as given_tokens,
            case when ph_last then [] else last_tokens end as last_tokens
        from flagged
    )
    select * exclude (w_first, w_last, w_maiden, w_suffix, w_full, w_middle, middle_tokens),
        -- A first word of two letters is the front half of a name (LA TOYA, JO ANN), not an initial.
        case when len(given_tokens) > 1 and length(given_tokens[1]) = 2 then given_tokens[1] || given_tokens[2]
             else given_tokens[1] end as first_std,
        case when kw_is_placeholder(array_to_string(middle_tokens, ' ')) then null
             else coalesce(middle_tokens[1],
                 case when len(given_tokens) > 1 and length(given_tokens[1]) = 2 then given_tokens[3]
                      else given_tokens[2] end) end as middle_std,
        nullif(array_to_string(last_tokens, ''), '') as last_std,
        list_filter(last_tokens, lambda x: x not in {particles} and length(x) > 1) as last_parts,
        case when len(given_tokens) > 1 then array_to_string(given_tokens, '') end as given_joined,
        address.house as house,
        -- In alphabetical order: OAK HILL, MAIN ST and MAIN ST OAK HILL are one address.
        array_to_string(list_sort(string_split(address.street, ' ')), '') as street,
        list_filter(string_split(address.street, ' '), lambda x: length(x) > 3) as street_words,
        nullif(replace(kw_name(w_maiden), ' ', ''), '') as maiden_std
    from cleared
    """)
    con.execute("drop table input_rows")


def _folded(con: duckdb.DuckDBPyConnection) -> None:
    """``folded``: one row per source record; alias and address rows have become arrays on it."""
    chosen = [
        "first_std",
        "middle_std",
        "last_std",
        "suffix",
        "dob",
        "is_birth_date_estimated",
        "death_date",
        "sex",
        "ssn",
        "last4",
        "medicaid_id",
        "mother_medicaid_id",
        "house",
        "street",
        "street_words",
        "city",
        "state",
        "zip",
        "county",
        "phone",
        "race_ethnicity",
        "merged_into_record_id",
        "mother_first",
        "mother_last",
        "case_key",
        "birth_order",
    ]
    order = """order by case row_kind when 'primary' then 0 when 'alias' then 1 else 2 end,
               delivered_on desc nulls last"""
    single = con.execute("select count(*) = count(distinct (source_system, source_record_id)) from std_rows").fetchall()
    if single[0][0]:
        picks = ",\n".join(chosen)
        wrap, group = "[{0}]", ""
    else:
        picks = ",\n".join(f"first({c} {order}, {c}) filter ({c} is not null) as {c}" for c in chosen)
        wrap, group = "list(distinct {0}) filter ({0} is not null)", "group by source_system, source_record_id"

    def every(expression: str) -> str:
        return wrap.format(expression)

    def only(expression: str) -> str:
        return expression if single[0][0] else f"bool_or({expression})"

    def newest(expression: str) -> str:
        return expression if single[0][0] else f"max({expression})"

    at_home = "coalesce(address_role is distinct from 'placement' and (address is not null or zip is not null), false)"
    place = "coalesce(zip, city)"
    unit = "house is not null or street is not null"
    key = f"""case when {unit} then concat_ws('|', coalesce(house, ''), street,
              coalesce(address.unit, ''), {place}) end"""
    building = f"""case when {unit} then concat_ws('|', coalesce(house, ''), street,
                   {place}) end"""
    street = "case when house is not null then house || '|' || street end"
    real = "case when address_role is distinct from 'office' then {0} end"
    con.execute(f"""
    create or replace table folded as
    select source_system, source_record_id,
        (md5_number_lower(source_system || chr(31) || source_record_id) >> 1)::bigint as rid,
        {newest("record_role")} as record_role, {newest("delivered_on")} as delivered_on,
        {picks},
        {only("coalesce(is_sealed, false)")} as is_sealed,
        {only("ph_first or ph_last")} as has_placeholder_name,
        {only("coalesce(address_role = 'placement', false)")} as has_placement,
        {only(at_home)}
            as has_home,
        list_sort(list_distinct(list_filter(list_concat({every("first_std")}, {every("given_joined")}),
            lambda x: x is not null))) as first_names,
        list_sort(list_distinct(list_filter(list_concat(list_concat({every("last_std")}, {every("maiden_std")}),
            flatten({every("last_parts")})), lambda x: x is not null))) as last_forms,
        list_sort(list_distinct(list_filter({every(real.format(key))}, lambda x: x is not null))) as addr_keys,
        list_sort(list_distinct(list_filter({every(real.format(building))}, lambda x: x is not null))) as bldg_keys,
        list_sort(list_distinct(list_filter({every(real.format(street))}, lambda x: x is not null))) as street_keys,
        list_sort(list_distinct(list_filter({every(real.format("zip"))}, lambda x: x is not null))) as zips
    from std_rows {group}
    """)
    con.execute("drop table std_rows")
    clash = con.execute("select count(*) - count(distinct rid) from folded").fetchall()[0][0]
    if clash:
        raise RuntimeError("two record keys have one hash; linkage cannot tell them apart")


def _hygiene(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What only the whole file can tell: year-only dates, shared numbers, crowded addresses, mothers' numbers."""
    counts: dict[str, Any] = {}
    # The day the file speaks of. A mistyped year 2920 must not make everybody old: not the very latest birth date.
    con.execute("""
    create or replace table reference as
    select coalesce(max(delivered_on), quantile_disc(born, 0.99)) as day
    from (select delivered_on, try_cast(dob as date) as born from folded)
    """)
    # 1900-01-01 is a placeholder where people of that age are rare; DATES already removed it. Other 1 January dates
    # are year-only where a source has far more of them than a calendar can.
    con.execute(f"""
    create or replace table year_only as
    select source_system from folded where length(dob) = 10 group by source_system
    having count(*) filter (dob like '%-01-01') >= 20
       and count(*) filter (dob like '%-01-01') > {YEAR_ONLY_SHARE} * count(*)
    """)
    con.execute("""
    update folded set dob = left(dob, 4)
    where dob like '%-01-01' and source_system in (select source_system from year_only)
    """)
    counts["year_only_birth_dates"] = con.execute("select count(*) from folded where length(dob) = 4").fetchall()[0][0]
    # An unborn child carries the expected date, or its mother's birth date: neither is its birth date.
    con.execute("""
    update folded set dob = null
    where has_placeholder_name and first_std is null
      and (try_cast(dob as date) > delivered_on
           or (record_role is distinct from 'adult' and try_cast(left(dob, 4) as int) < year(delivered_on) - 10))
    """)
    for column, label in (("ssn", "ssn"), ("medicaid_id", "medicaid_id"), ("phone", "phone")):
        con.execute(f"""
        create or replace table shared_values as
        select source_system, {column} as value, count(*) as n from folded where {column} is not null
        group by all
        having least(count(distinct left(first_std, 2)), count(distinct left(last_std, 2))) > {MAX_SHARED_NAMES}
        """)
        counts[f"shared_{label}"] = con.execute("select coalesce(sum(n), 0) from shared_values").fetchall()[0][0]
        con.execute(f"""
        update folded set {column} = null
        from shared_values s where folded.source_system = s.source_system and folded.{column} = s.value
        """)
    # A deemed newborn may carry its mother's number until its first birthday: the number is the mother's.
    for column, target in (("medicaid_id", "mother_medicaid_id"), ("ssn", "guarantor_ssn")):
        if target == "guarantor_ssn":
            con.execute("alter table folded add column guarantor_ssn varchar")
        con.execute(f"""
        create or replace table borrowed as
        with dated as (
            select rid, source_system, {column} as value, try_cast(dob as date) as born from folded
            where {column} is not null and length(dob) = 10
        ), oldest as (select value, min(born) as oldest from dated group by value having count(*) > 1)
        select d.rid, d.value from dated d join oldest o using (value)
        where d.born > o.oldest + interval 12 year
          and d.born > (select day from reference) - interval {CHILD_YEARS} year
        """)
        counts[f"mothers_{column}_on_child"] = con.execute("select count(*) from borrowed").fetchall()[0][0]
        con.execute(f"""
        update folded set {target} = coalesce({target}, b.value), {column} = null
        from borrowed b where folded.rid = b.rid
        """)
    con.execute(f"""
    create or replace table crowded as
    select key, count(*) as n from (select unnest(addr_keys) as key, last_std from folded)
    group by key having count(distinct left(last_std, 3)) > {MAX_ADDRESS_SURNAMES}
    """)
    counts["crowded_addresses"] = con.execute("select count(*) from crowded").fetchall()[0][0]
    if counts["crowded_addresses"]:
        con.execute("""
        create or replace table crowded_rows as
        select distinct rid from (select rid, unnest(addr_keys) as key from folded) semi join crowded using (key)
        """)
        con.execute("""
        create or replace table folded as
        select f.* exclude (addr_keys, bldg_keys, street_keys),
            case when c.rid is null then addr_keys
                 else list_filter(addr_keys, lambda x: not list_contains(all_crowded.keys, x)) end as addr_keys,
            case when c.rid is null then bldg_keys else [] end as bldg_keys,
            case when c.rid is null then street_keys else [] end as street_keys
        from folded f left join crowded_rows c using (rid)
        cross join (select list(key) as keys from crowded) all_crowded
        """)
    return counts


def _finished(con: duckdb.DuckDBPyConnection) -> None:
    """``records``: the columns linkage compares and blocks on."""
    con.execute("""
    create or replace table nick as
    select name, list(distinct formal order by formal) as formals from kw_nicknames group by name
    """)
    con.execute(f"""
    create or replace table records as
    select f.rid, f.source_system, f.source_record_id, f.record_role, f.delivered_on,
        coalesce(try_cast(left(f.dob, 4) as int) > year(r.day) - {CHILD_YEARS},
                 f.record_role = 'child' or f.birth_order is not null, false)
            and f.record_role is distinct from 'adult' as is_child,
        f.first_std, f.middle_std, f.last_std, f.suffix,
        case when f.first_std is null then null
             else list_sort(list_distinct(list_concat(f.first_names, coalesce(n.formals, [])))) end as first_forms,
        case when len(f.last_forms) > 0 then f.last_forms end as last_forms,
        f.birth_order, f.has_placeholder_name,
        f.dob, case when length(f.dob) = 10 then try_cast(f.dob as date) end as birth_date,
        try_cast(left(f.dob, 4) as int) as birth_year,
        coalesce(f.is_birth_date_estimated, length(f.dob) = 4, false) as is_birth_date_estimated,
        f.death_date, f.sex, f.ssn, coalesce(f.last4, case when length(f.ssn) = 9 then right(f.ssn, 4) end) as last4,
        f.guarantor_ssn, f.medicaid_id, f.mother_medicaid_id,
        case when len(f.addr_keys) > 0 then f.addr_keys end as addr_keys,
        case when len(f.bldg_keys) > 0 then f.bldg_keys end as bldg_keys,
        case when len(f.street_keys) > 0 then f.street_keys end as street_keys,
        case when len(f.zips) > 0 then f.zips end as zips,
        f.house, f.street, f.street_words, f.city, f.state, f.zip, f.county, f.has_home, f.has_placement,
        f.phone, f.race_ethnicity, f.is_sealed,
        f.merged_into_record_id, f.mother_first, f.mother_last, f.case_key
    from folded f cross join reference r left join nick n on n.name = f.first_std
    order by f.rid
    """)
    con.execute("drop table folded")


def _statements(con: duckdb.DuckDBPyConnection, relationships: str | None) -> dict[str, int]:
    """``stated`` (relationships between known records) and ``constraints``; returns what was set aside."""
    con.execute("""
    create or replace table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)
    """)
    con.execute("""
    insert into constraints
    select a.rid, b.rid, 'must', 'merged_into' from records a
    join records b on a.source_system = b.source_system and a.merged_into_record_id = b.source_record_id
    where a.rid <> b.rid
    """)
    # "number~birth date": a newborn's claims under its mother's number. Same birth date as the plain number: the
    # same person; another one: somebody else, whatever the number says.
    con.execute("""
    insert into constraints
    select a.rid, b.rid,
        case when a.dob = b.dob then 'must' else 'cannot' end,
        case when a.dob = b.dob then 'same_number_same_birth_date' else 'number_lent_to_newborn' end
    from records a
    join records b on a.source_system = b.source_system and b.source_record_id = split_part(a.source_record_id, '~', 1)
    -- Only a number followed by a birth date is such a record: other sources use ~ between other things.
    where try_cast(split_part(a.source_record_id, '~', 2) as date) is not null
        and a.dob is not null and b.dob is not null
    """)
    con.execute("""
    create or replace table stated (rid_a bigint, rid_b bigint, relationship varchar, source_system varchar,
        valid_from date, valid_to date, is_reversed boolean, evidence varchar)
    """)
    dropped = {"relationship_to_nobody": 0, "relationship_to_itself": 0, "relationship_reversed": 0}
    if relationships is None:
        return dropped
    present = _columns(con, relationships)
    dates = ", ".join(
        f"try_cast({c} as date) as {c}" if c in present else f"cast(null as date) as {c}"
        for c in ("valid_from", "valid_to")
    )
    con.execute(f"""
    create or replace table said as
    select distinct trim(source_system::varchar) as source_system, trim(source_record_id::varchar) as a_id,
        trim(related_record_id::varchar) as b_id, lower(trim(relationship::varchar)) as relationship, {dates}
    from {relationships}
    """)
    con.execute("""
    create or replace table matched as
    select s.*, a.rid as rid_a, b.rid as rid_b, a.birth_date as born_a, b.birth_date as born_b
    from said s
    left join records a on a.source_system = s.source_system and a.source_record_id = s.a_id
    left join records b on b.source_system = s.source_system and b.source_record_id = s.b_id
    """)
    dropped["relationship_to_itself"] = con.execute("select count(*) from matched where a_id = b_id").fetchall()[0][0]
    dropped["relationship_to_nobody"] = con.execute(
        "select count(*) from matched where a_id is distinct from b_id and (rid_a is null or rid_b is null)"
    ).fetchall()[0][0]
    backwards = f"relationship in {in_list(PARENTAL)} and born_a > born_b + interval 11 year"
    con.execute(f"""
    insert into stated
    select case when {backwards} then rid_b else rid_a end, case when {backwards} then rid_a else rid_b end,
        relationship, source_system, valid_from, valid_to, coalesce({backwards}, false), 'stated'
    from matched where rid_a <> rid_b and relationship not in ('same_person_as', 'split_from')
    """)
    dropped["relationship_reversed"] = con.execute("select count(*) from stated where is_reversed").fetchall()[0][0]
    con.execute("""
    insert into constraints
    select rid_a, rid_b, case relationship when 'same_person_as' then 'must' else 'cannot' end, relationship
    from matched where rid_a <> rid_b and relationship in ('same_person_as', 'split_from')
    """)
    # A number split from the mother's says whose the claims were that lie under hers with this birth date. Twins
    # leave it open which of them.
    con.execute("""
    insert into constraints
    select any_value(n.rid), c.rid, 'must', 'split_from_with_this_birth_date'
    from matched m join records n on n.rid = m.rid_a
    join records c on c.source_system = m.source_system and contains(c.source_record_id, '~')
        and split_part(c.source_record_id, '~', 1) = m.b_id and c.dob = n.dob
    where m.relationship = 'split_from' and length(c.dob) = 10
    group by c.rid having count(distinct n.rid) = 1
    """)
    con.execute("drop table said")
    con.execute("drop table matched")
    return dropped


def prepare(
    con: duckdb.DuckDBPyConnection,
    persons: str,
    relationships: str | None,
    case_members: str | None,
    case_links: str | None,
    linkage_dir: Path,
) -> dict[str, Any]:
    """Build the linkage folder from SQL relations; the common path of the night and of any other files.

    Returns the summary that is also written to ``record_summary.json``.
    """
    install(con)
    received = con.execute(f"select count(*) from {persons}").fetchall()[0][0]
    _input(con, persons)
    nameless = con.execute(
        "select count(*) from input_rows where source_system is null or source_record_id is null"
    ).fetchall()[0][0]
    _standard_rows(con)
    _folded(con)
    counts = _hygiene(con)
    _finished(con)
    dropped = _statements(con, relationships)
    con.execute("create or replace table members (source_system varchar, case_key varchar, rid bigint, role varchar)")
    con.execute(f"""
    insert into members select source_system, {_case_number("case_key")}, rid, record_role
    from records where case_key is not null
    """)
    if case_members is not None:
        con.execute(f"""
        insert into members
        select c.source_system, {_case_number("c.case_key")}, r.rid, c.role from {case_members} c
        join records r on r.source_system = c.source_system and r.source_record_id = c.source_record_id
        where c.case_key is not null
        """)
    # A case with exactly one mother (or father) and children in it states who the parent is, more weakly.
    con.execute("""
    insert into stated
    with one as (
        select source_system, case_key, role, min(rid) as rid from members
        where role in ('mother', 'father', 'putative_father') group by all having count(distinct rid) = 1
    )
    select distinct p.rid, c.rid, p.role || '_of', p.source_system, null::date, null::date, false, 'case_role'
    from one p join members c using (source_system, case_key)
    where c.role = 'child' and c.rid <> p.rid and not exists (
        select 1 from stated s where s.rid_a = p.rid and s.rid_b = c.rid and s.relationship = p.role || '_of')
    """)
    con.execute("create or replace table links (system_a varchar, case_a varchar, system_b varchar, case_b varchar)")
    if case_links is not None:
        con.execute(f"""
        insert into links select distinct source_system, {_case_number("case_key")}, other_system,
            {_case_number("other_case_key")}
        from {case_links} where case_key is not null and other_case_key is not null
        """)
    write_parquet(con, "select * from records order by rid", linkage_dir / "records.parquet")
    write_parquet(
        con,
        "select distinct * from stated order by rid_a, rid_b, relationship, source_system, valid_from, valid_to",
        linkage_dir / "relationships.parquet",
    )
    write_parquet(
        con,
        "select distinct * from constraints order by rid_a, rid_b, kind, reason",
        linkage_dir / "constraints.parquet",
    )
    write_parquet(
        con,
        "select distinct * from members order by source_system, case_key, rid, role",
        linkage_dir / "case_members.parquet",
    )
    write_parquet(con, "select * from links order by all", linkage_dir / "case_links.parquet")
    filled = [
        "first_std",
        "middle_std",
        "last_std",
        "suffix",
        "dob",
        "sex",
        "ssn",
        "medicaid_id",
        "addr_keys",
        "zip",
        "city",
        "phone",
        "mother_first",
    ]
    completeness = rows(
        con,
        "select source_system, count(*) as records, "
        + ", ".join(f"round(count({c}) / count(*), 4) as {c}" for c in filled)
        + ", count(*) filter (has_placeholder_name) as placeholder_names, count(*) filter (is_child) as children "
        "from records group by source_system order by source_system",
    )
    summary = {
        "rows_received": received,
        "rows_without_system_or_id": nameless,
        "records": con.execute("select count(*) from records").fetchall()[0][0],
        "constraints": con.execute("select count(*) from constraints").fetchall()[0][0],
        "relationships": con.execute("select count(*) from stated").fetchall()[0][0],
        "reference_date": con.execute("select day::varchar from reference").fetchall()[0][0],
        **counts,
        **dropped,
        "completeness": completeness,
    }
    for table in ("records", "stated", "constraints", "members", "links", "nick", "reference"):
        con.execute(f"drop table {table}")
    write_json(summary, linkage_dir / "record_summary.json")
    return summary


def _staged(con: duckdb.DuckDBPyConnection, staged_dir: Path, kind: str) -> str | None:
    files = sorted(staged_dir.glob(f"*__{kind}.parquet"))
    if not files:
        return None
    return f"read_parquet([{', '.join(quoted(f) for f in files)}], union_by_name = true)"


def build_records(staged_dir: Path, linkage_dir: Path) -> dict[str, Any]:
    """Fold the staged Parquet files of all systems into the linkage folder. Returns counts.

    Raises :class:`FileNotFoundError` when no system has staged person records.
    """
    con = connect(spill_dir=linkage_dir / "spill")
    persons = _staged(con, staged_dir, "person_records")
    if persons is None:
        raise FileNotFoundError("no system has staged person records")
    try:
        return prepare(
            con,
            persons,
            _staged(con, staged_dir, "relationships"),
            _staged(con, staged_dir, "case_members"),
            _staged(con, staged_dir, "case_links"),
            linkage_dir,
        )
    finally:
        con.close()


def read_summary(linkage_dir: Path) -> dict[str, Any]:
    """The counts :func:`build_records` left."""
    data: dict[str, Any] = read_json(linkage_dir / "record_summary.json")
    return data
