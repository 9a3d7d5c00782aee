"""The canonical person record: what the staged rows of every source say, folded to one row per source record.

Input rows have the columns of ``expectations.vocabulary.PERSON_ATTRIBUTES`` plus ``source_system``,
``source_record_id``, ``row_kind``, ``record_role`` and ``delivered_on``; any of them but the first two may be missing.
Files written to the linkage folder:

``records.parquet``        one row per source record; ``rid`` is a hash of its key, the same every night
``relationships.parquet``  stated relationships between two known records
``constraints.parquet``    ``rid_a, rid_b, kind (must|cannot), reason``: what sources say about their own numbers
``case_members.parquet``   ``source_system, case_key, rid, role``
``case_links.parquet``     cases of two sources that are the same case
``record_summary.json``    counts only: completeness, placeholders, what was set aside or not understood, and why
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
#: With fewer numbers than this a source is not believed to number people in a way of its own.
MIN_NUMBERS = 20
#: How a birth date may be written.
DATE_FORMS = "YYYY-MM-DD, YYYYMMDD, MM/DD/YYYY or DD.MM.YYYY"
#: Share of 1 January birthdays above which the day was invented: a real year has 0.3 %.
YEAR_ONLY_SHARE = 0.012

_BASE = {
    "source_system": "varchar",
    "source_record_id": "varchar",
    "row_kind": "varchar",
    "record_role": "varchar",
    "delivered_on": "date",
}
#: Has no column of its own: it says more of ``address_line``.
SECOND_LINE = "address_line_2"
#: Attributes read as text, because a birth date that is no calendar day still tells eight digits.
_AS_TEXT = {"birth_date"}

#: Fewer years between the births of a parent and a child cannot be.
MIN_GAP = 11
#: The days there may be between the day a source knows of an unborn child and its birth; and the other way round, since
#: the day may be that of the notice.
PREGNANCY, BEFORE_KNOWN = 300, 31
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
    wanted = {**_BASE, **{name: kind for name, (kind, _) in PERSON_ATTRIBUTES.items() if name != SECOND_LINE}}
    parts = []
    for name, kind in wanted.items():
        kind = "varchar" if name in _AS_TEXT else kind
        value = f'try_cast("{name}" as {kind})' if name in present else f"cast(null as {kind})"
        if kind == "varchar":
            value = f"nullif(trim({value}), '')"
        if name == "address_line" and SECOND_LINE in present:
            value = f"kw_street_line({value}, nullif(trim({SECOND_LINE}::varchar), ''))"
        parts.append(f'{value} as "{name}"')
    con.execute(f"create or replace table input_rows as select {', '.join(parts)} from {relation}")


def _standard_values(con: duckdb.DuckDBPyConnection) -> None:
    """Every distinct name, address, city and ZIP of ``input_rows`` standardised once: rows share most of them.

    Tables ``given_of, last_of, middle_of, maiden_of, address_of, city_of, zip_of``, keyed by ``raw``, and ``full_of``
    for names written as one string.
    """
    particles = in_list(PARTICLES)

    def distinct(*columns: str) -> str:
        parts = (
            f"select distinct {c} as raw from {t} where {c} is not null" for c, t in (x.split("@") for x in columns)
        )
        return " union ".join(parts)

    con.execute("""
    create or replace table full_of as
    select raw, parsed."last" as last_words, nullif(array_to_string(parsed.given, ' '), '') as given_words,
        parsed.suffix as suffix
    from (select raw, kw_parse_full(raw) as parsed from (
        select distinct full_name as raw from input_rows
        where full_name is not null and first_name is null and last_name is null))
    """)
    con.execute(f"""
    create or replace table given_of as
    with worded as (select raw, kw_words(raw) as words
                    from ({distinct("first_name@input_rows", "given_words@full_of")})),
    flagged as (
        select raw, words, kw_is_placeholder(words) as is_placeholder, kw_birth_order(words) as birth_order,
            coalesce(split_part(words, ' ', 1) in {in_list(placeholders.DOE_COMPANIONS)}, false) as is_companion,
            coalesce(list_has_any(string_split(words, ' '), {placeholders.UNBORN}), false) as is_unborn,
            kw_strip_words(string_split(coalesce(kw_name(words), ''), ' ')) as tokens,
            case when contains(words, ' ') then kw_suffix(string_split(words, ' ')[-1]) end as suffix
        from worded)
    -- A first word of two letters is the front half of a name (LA TOYA, JO ANN), not an initial.
    select raw, words, is_placeholder, is_placeholder and is_unborn as is_unborn, birth_order, is_companion, suffix,
        case when len(tokens) > 1 and length(tokens[1]) = 2 then tokens[1] || tokens[2] else tokens[1] end as first,
        case when len(tokens) > 1 and length(tokens[1]) = 2 then tokens[3] else tokens[2] end as second,
        case when len(tokens) > 1 then array_to_string(tokens, '') end as joined
    from flagged
    """)
    con.execute(f"""
    create or replace table last_of as
    with worded as (select raw, kw_words(raw) as words from ({distinct("last_name@input_rows", "last_words@full_of")})),
    flagged as (
        select raw, words,
            coalesce(replace(words, ' ', '') in {in_list(placeholders.SURNAMES)}, false) as is_placeholder,
            coalesce(words in ('DOE', 'ROE'), false) as is_doe,
            kw_strip_words(string_split(coalesce(kw_name(words), ''), ' ')) as tokens,
            kw_suffix(string_split(words, ' ')[-1]) as suffix
        from worded)
    select raw, is_placeholder, is_doe, suffix, nullif(array_to_string(tokens, ''), '') as whole,
        list_filter(tokens, lambda x: x not in {particles} and length(x) > 1) as parts
    from flagged
    """)
    con.execute(f"""
    create or replace table middle_of as
    select raw, kw_is_placeholder(array_to_string(tokens, ' ')) as is_placeholder, tokens[1] as first
    from (select raw, kw_strip_words(string_split(coalesce(kw_name(kw_words(raw)), ''), ' ')) as tokens
          from ({distinct("middle_name@input_rows")}))
    """)
    con.execute(f"""
    create or replace table maiden_of as
    select raw, nullif(replace(kw_name(kw_words(raw)), ' ', ''), '') as std from ({distinct("maiden_name@input_rows")})
    """)
    con.execute(f"""
    create or replace table address_of as
    with worded as (select raw, kw_words(raw) as words, kw_words(replace(raw, '#', ' APT ')) as unit_words
                    from ({distinct("address_line@input_rows")})),
    parsed as (select raw, kw_address_words(words, unit_words) as address from worded)
    -- In alphabetical order: OAK HILL, MAIN ST and MAIN ST OAK HILL are one address.
    select raw, address.house as house, address.unit as unit,
        array_to_string(list_sort(string_split(address.street, ' ')), '') as street,
        list_filter(string_split(address.street, ' '), lambda x: length(x) > 3) as street_words
    from parsed where address is not null
    """)
    con.execute(f"""
    create or replace table city_of as select raw, kw_name(raw) as std from ({distinct("city@input_rows")})
    """)
    con.execute(f"""
    create or replace table zip_of as select raw, kw_zip(raw) as std from ({distinct("zip@input_rows")})
    """)


def _other_numbers(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """The sources whose ``ssn`` mostly has another length than a social security number's, with that length."""
    lengths = con.execute("""
    select source_system, first(digits order by n desc, digits), sum(n)
    from (select source_system, length(kw_digits(ssn)) as digits, count(*) as n from input_rows
          where source_system is not null and length(kw_digits(ssn)) > 4 group by all)
    group by source_system order by source_system
    """).fetchall()
    # A few numbers are as the others in the files are.
    known = {digits for _, digits, n in lengths if n >= MIN_NUMBERS} or {digits for _, digits, _ in lengths}
    return {s: d for s, d, n in lengths if d not in (8, 9) and (n >= MIN_NUMBERS or not known & {8, 9})}


def _birth_dates(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """By source: birth dates given, of them in no form that is read, and of them no day of the calendar."""
    return rows(
        con,
        """
    with written as (select source_system, birth_date, count(*) as n from input_rows
                     where source_system is not null and birth_date is not null group by all),
    understood as (select source_system, n, kw_date_text(birth_date) as day from written)
    select source_system, sum(n)::bigint as given,
        coalesce(sum(n) filter (day is null), 0)::bigint as not_understood,
        coalesce(sum(n) filter (length(day) = 10 and try_cast(day as date) is null), 0)::bigint as no_such_day
    from understood group by source_system order by source_system
    """,
    )


def _standard_rows(con: duckdb.DuckDBPyConnection) -> None:
    """``std_rows``: every input row with standardised values, still several rows per record."""
    _standard_values(con)
    ssn = "case when length(ssn_digits) in (8, 9) and kw_good_ssn(ssn_padded) then ssn_padded end"
    # A source whose numbers mostly have another length carries another number under this name: then only the length
    # and the repeated digit can be checked.
    if others := _other_numbers(con):
        whens = " ".join(f"when {quoted(system)} then {n}" for system, n in others.items())
        ssn = f"""case when source_system not in {in_list(others)} then {ssn}
                  when length(ssn_digits) = case source_system {whens} end
                      and length(replace(ssn_digits, ssn_digits[1], '')) > 0 then ssn_digits end"""

    def elsewhere(column: str) -> str:
        return f"case when lower(i.address_role) = 'office' then null else i.{column} end as {column}"

    con.execute(f"""
    create or replace table std_rows as
    with digits as (
        -- An office is not where anybody lives.
        select i.* replace ({", ".join(elsewhere(c) for c in ("address_line", "city", "state", "zip"))}),
            u.given_words as full_given, u.last_words as full_last, u.suffix as full_suffix,
            kw_digits(ssn) as ssn_digits, lpad(kw_digits(ssn), 9, '0') as ssn_padded,
            case when ssn_last4 is not null then kw_digits(ssn_last4) end as last4_digits,
            case when medicaid_id is not null then replace(kw_words(medicaid_id), ' ', '') end as medicaid_words
        from input_rows i
        left join full_of u on u.raw = case when i.first_name is null and i.last_name is null then i.full_name end
        where source_system is not null and source_record_id is not null
    )
    select d.source_system, d.source_record_id, coalesce(d.row_kind, 'primary') as row_kind, d.record_role,
        d.delivered_on,
        coalesce(g.is_placeholder, false) as ph_first,
        coalesce(l.is_placeholder
            or (l.is_doe and (g.words is null or g.is_companion or g.is_placeholder)), false) as ph_last,
        g.birth_order, coalesce(g.is_unborn, false) as is_unborn,
        coalesce(case when d.name_suffix is not null then kw_suffix(d.name_suffix) end, d.full_suffix, l.suffix,
            g.suffix) as suffix,
        case when not (ph_first or (ph_last and l.is_doe)) then g.first end as first_std,
        case when m.is_placeholder then null
             else coalesce(m.first, case when not (ph_first or (ph_last and coalesce(l.is_doe, false)))
                                         then g.second end) end as middle_std,
        case when not (ph_first or (ph_last and l.is_doe)) then g.joined end as given_joined,
        case when not ph_last then l.whole end as last_std,
        case when ph_last then [] else coalesce(l.parts, []) end as last_parts,
        w.std as maiden_std,
        kw_date(d.birth_date) as dob, d.is_birth_date_estimated, d.death_date,
        case left(upper(d.sex), 1) when 'F' then 'F' when 'M' then 'M' end as sex,
        {ssn} as ssn,
        case when length(last4_digits) = 4 and last4_digits <> '0000' then last4_digits
             when length(ssn_digits) = 4 and ssn_digits <> '0000' then ssn_digits end as last4,
        case when length(replace(medicaid_words, left(medicaid_words, 1), '')) > 0 then medicaid_words end
            as medicaid_id,
        case when d.mother_medicaid_id is not null then replace(kw_words(d.mother_medicaid_id), ' ', '') end
            as mother_medicaid_id,
        a.raw is not null as has_address, a.house, a.unit, a.street, a.street_words,
        c.std as city, upper(d.state) as state, z.std as zip, d.county, lower(d.address_role) as address_role,
        case when d.phone is not null then kw_phone(d.phone) end as phone,
        d.race_ethnicity, d.is_sealed, d.merged_into_record_id,
        case when d.mother_first_name is not null then kw_name(d.mother_first_name) end as mother_first,
        case when d.mother_last_name is not null then replace(kw_name(d.mother_last_name), ' ', '') end as mother_last,
        d.case_key
    from digits d
    left join given_of g on g.raw = coalesce(d.first_name, d.full_given)
    left join last_of l on l.raw = coalesce(d.last_name, d.full_last)
    left join middle_of m on m.raw = d.middle_name
    left join maiden_of w on w.raw = d.maiden_name
    left join address_of a on a.raw = d.address_line
    left join city_of c on c.raw = d.city
    left join zip_of z on z.raw = d.zip
    """)
    for table in (
        "input_rows",
        "full_of",
        "given_of",
        "last_of",
        "middle_of",
        "maiden_of",
        "address_of",
        "city_of",
        "zip_of",
    ):
        con.execute(f"drop table {table}")


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
    # A record of one row needs no folding, and most have one.
    con.execute(
        "create or replace table several as select source_system, source_record_id from std_rows "
        "group by all having count(*) > 1"
    )
    has_several = con.execute("select count(*) from several").fetchall()[0][0]
    con.execute("create or replace table folded as " + _fold(chosen, order, "anti" if has_several else ""))
    if has_several:
        con.execute("insert into folded by name " + _fold(chosen, order, "semi"))
    con.execute("drop table several")
    con.execute("drop table std_rows")
    clash = con.execute("select count(*) - count(distinct rid) from folded").fetchall()[0][0]
    if clash:
        raise RuntimeError("two record keys have one hash; linkage cannot tell them apart")


def _fold(chosen: list[str], order: str, join: str) -> str:
    """The query of ``folded``: with a semi join for records of several rows, else for those of one."""
    is_single = join != "semi"
    if is_single:
        picks = ",\n".join(chosen)
        wrap, group = "[{0}]", ""
    else:
        # Of two addresses as good as each other one speaks, not the house of the one and the street of the other.
        where = "street, house, unit, zip, city"
        picked = {c: f"first({c} {order}, {c}) filter ({c} is not null)" for c in chosen}
        picked |= {c: f"first({c} {order}, {where}) filter ({c} is not null)" for c in ("city", "state", "zip")}
        line = ("house", "street", "street_words")
        whole = f"first({{{', '.join(f'{c!r}: {c}' for c in line)}}} {order}, {where})"
        picked |= {c: f"({whole} filter (house is not null or street is not null)).{c}" for c in line}
        picks = ",\n".join(f"{picked[c]} as {c}" for c in chosen)
        wrap, group = "list(distinct {0}) filter ({0} is not null)", "group by source_system, source_record_id"

    def only(expression: str) -> str:
        return expression if is_single else f"bool_or({expression})"

    def newest(expression: str) -> str:
        return expression if is_single else f"max({expression})"

    def several(*expressions: str) -> str:
        """All values of the expressions over the record's rows, in order, each once."""
        if is_single and len(expressions) == 1:
            return f"case when {expressions[0]} is null then [] else [{expressions[0]}] end"
        if is_single:
            first, *others = expressions
            # distinct drops NULL
            return (
                f"case when {first} is not null and coalesce({', '.join(others)}) is null then [{first}] "
                f"else list_sort(list_distinct([{', '.join(expressions)}])) end"
            )
        return f"list_sort(list_distinct(flatten([{', '.join(wrap.format(e) for e in expressions)}])))"

    at_home = "coalesce(address_role is distinct from 'placement' and (has_address or zip is not null), false)"
    place = "coalesce(zip, city)"
    has_unit = "(house is not null or street is not null)"
    key = f"case when {has_unit} then concat_ws('|', coalesce(house, ''), street, coalesce(unit, ''), {place}) end"
    # These two are only ever compared: a hash is carried and compared for less.
    building = f"case when {has_unit} then hash(house, street, {place}) end"
    street = "case when house is not null and street is not null then hash(house, street) end"
    if is_single:
        # Most surnames are one word, and sorting a list of one is the same work for nothing.
        forms = (
            "case when maiden_std is null and last_std is not null and (len(last_parts) = 0 "
            "or (len(last_parts) = 1 and last_parts[1] = last_std)) then [last_std] "
            "else list_sort(list_distinct(list_concat([last_std, maiden_std], last_parts))) end"
        )
    else:
        forms = (
            "list_sort(list_distinct(flatten([list(distinct last_std) filter (last_std is not null), "
            "list(distinct maiden_std) filter (maiden_std is not null), flatten(list(last_parts))])))"
        )
    return f"""
    select source_system, source_record_id,
        (md5_number_lower(source_system || chr(31) || source_record_id) >> 1)::bigint as rid,
        {newest("record_role")} as record_role, {newest("delivered_on")} as delivered_on,
        {picks},
        {only("coalesce(is_sealed, false)")} as is_sealed,
        {only("ph_first or ph_last")} as has_placeholder_name,
        {only("is_unborn")} as is_unborn,
        {only("coalesce(address_role = 'placement', false)")} as has_placement,
        {only(at_home)} as has_home,
        {several("first_std", "given_joined")} as first_names,
        {forms} as last_forms,
        {several(key)} as addr_keys,
        {several(building)} as bldg_keys,
        {several(street)} as street_keys,
        {several("zip")} as zips
    from std_rows {join and f"{join} join several using (source_system, source_record_id)"} {group}
    """


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
        -- Most values are held by one or two: those need no names counted.
        with often as (select source_system, {column} from folded where {column} is not null
                       group by all having count(*) > {MAX_SHARED_NAMES})
        select source_system, {column} as value, count(*) as n
        from folded semi join often using (source_system, {column}) group by all
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
    # What is left of the addresses of a record that has such a one; of its buildings and streets, nothing.
    con.execute("""
    create or replace table in_crowd as
    select rid, list(key order by key) filter (c.n is null) as addr_keys
    from (select rid, unnest(addr_keys) as key from folded
          semi join (select distinct rid from (select rid, unnest(addr_keys) as key from folded)
                     semi join crowded using (key)) using (rid)) k
    left join crowded c using (key) group by rid
    """)
    return counts


def _finished(con: duckdb.DuckDBPyConnection) -> None:
    """``records``: the columns linkage compares and blocks on."""
    con.execute("""
    create or replace table nick as
    select name, list(distinct formal order by formal) as formals from kw_nicknames group by name
    """)
    # Names repeat: each is sounded out once.
    con.execute("""
    create or replace table sounds as
    select name, kw_sound(name) as sound
    from (select first_std as name from folded union select last_std from folded) where name is not null
    """)

    def spared(column: str) -> str:
        """Nothing, where all addresses of the record are crowded."""
        return f"case when c.rid is null or c.addr_keys is not null then f.{column} end as {column}"

    con.execute(f"""
    create or replace table records as
    select f.rid, f.source_system, f.source_record_id, f.record_role, f.delivered_on,
        coalesce(try_cast(left(f.dob, 4) as int) > year(r.day) - {CHILD_YEARS},
                 f.record_role = 'child' or f.birth_order is not null, false)
            and f.record_role is distinct from 'adult' as is_child,
        f.first_std, f.middle_std, f.last_std, f.suffix, a.sound as first_sound, b.sound as last_sound,
        case when f.first_std is null then null
             when n.formals is null then f.first_names
             else list_sort(list_distinct(list_concat(f.first_names, n.formals))) end as first_forms,
        case when len(f.last_forms) > 0 then f.last_forms end as last_forms,
        f.birth_order, f.has_placeholder_name, f.is_unborn,
        f.dob, case when length(f.dob) = 10 then try_cast(f.dob as date) end as birth_date,
        try_cast(left(f.dob, 4) as int) as birth_year,
        coalesce(f.is_birth_date_estimated, length(f.dob) = 4, false) as is_birth_date_estimated,
        f.death_date, f.sex, f.ssn, coalesce(f.last4, case when length(f.ssn) = 9 then right(f.ssn, 4) end) as last4,
        f.guarantor_ssn, f.medicaid_id, f.mother_medicaid_id,
        case when c.rid is not null then c.addr_keys when len(f.addr_keys) > 0 then f.addr_keys end as addr_keys,
        case when c.rid is null and len(f.bldg_keys) > 0 then f.bldg_keys end as bldg_keys,
        case when c.rid is null and len(f.street_keys) > 0 then f.street_keys end as street_keys,
        case when len(f.zips) > 0 then f.zips end as zips,
        {spared("house")}, {spared("street")}, {spared("street_words")}, f.city, f.state, f.zip, f.county,
        f.has_home, f.has_placement,
        f.phone, f.race_ethnicity, f.is_sealed,
        f.merged_into_record_id, f.mother_first, f.mother_last, f.case_key
    from folded f cross join reference r left join nick n on n.name = f.first_std
    left join sounds a on a.name = f.first_std left join sounds b on b.name = f.last_std
    left join in_crowd c on c.rid = f.rid
    """)
    for table in ("folded", "sounds", "in_crowd", "crowded"):
        con.execute(f"drop table {table}")


def _statements(con: duckdb.DuckDBPyConnection, relationships: str | None) -> dict[str, int]:
    """``stated`` (relationships between known records) and ``constraints``; returns what was set aside.

    ``rid_a`` is empty where somebody was adopted and the parent is not among the records.
    """
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
    # A newborn is covered under its mother's number: whoever could be its mother by age and sex states so by that.
    con.execute(f"""
    insert into stated
    select b.rid, a.rid, 'mother_of', a.source_system, null, null, false, 'number_lent'
    from constraints join records a on a.rid = rid_a join records b on b.rid = rid_b
    where reason = 'number_lent_to_newborn' and b.sex is distinct from 'M'
      and a.birth_date >= b.birth_date + interval {MIN_GAP} year
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
    select distinct trim(source_system::varchar) as source_system, nullif(trim(source_record_id::varchar), '') as a_id,
        nullif(trim(related_record_id::varchar), '') as b_id,
        lower(trim(relationship::varchar)) as relationship, {dates}
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
        "select count(*) from matched where (a_id = b_id) is not true and (rid_a is null or rid_b is null) "
        "and not (a_id is null and rid_b is not null and relationship = 'adoptive_parent_of')"
    ).fetchall()[0][0]
    backwards = f"relationship in {in_list(PARENTAL)} and born_a > born_b + interval {MIN_GAP} year"
    con.execute(f"""
    insert into stated
    select case when {backwards} then rid_b else rid_a end, case when {backwards} then rid_a else rid_b end,
        relationship, source_system, valid_from, valid_to, coalesce({backwards}, false), 'stated'
    from matched where rid_a <> rid_b and relationship not in ('same_person_as', 'split_from')
    """)
    # An adoption is one, whoever adopted: a seal is to be heard where the source does not name or deliver the parent.
    con.execute("""
    insert into stated
    select distinct null::bigint, rid_b, relationship, source_system, valid_from, valid_to, false, 'stated'
    from matched where rid_a is null and rid_b is not null and relationship = 'adoptive_parent_of'
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
    # An unborn child a source knows of is the one child of its mother that the source has born from then on, within a
    # pregnancy. Of twins, or of two such records, nothing says which.
    con.execute(f"""
    insert into constraints
    with child as (
        select s.source_system, s.rid_a as mother, s.rid_b as rid, min(s.valid_from) as since,
            any_value(s.born_b) as born, bool_and(b.is_unborn) as is_unborn
        from matched s join records b on b.rid = s.rid_b
        where s.relationship = 'mother_of' and s.rid_a <> s.rid_b group by 1, 2, 3
    ), met as (
        select u.rid, c.rid as other, count(*) over (partition by u.rid) as children,
            count(*) over (partition by c.rid) as unborn
        from child u join child c using (source_system, mother)
        where u.is_unborn and not c.is_unborn
            and c.born between u.since - interval {BEFORE_KNOWN} day and u.since + interval {PREGNANCY} day
    )
    select rid, other, 'must', 'unborn_child_of_this_mother' from met where children = 1 and unborn = 1
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

    Leaves the tables ``records``, ``stated``, ``constraints``, ``members`` and ``links`` on ``con``. Returns the
    summary that is also written to ``record_summary.json``.
    """
    install(con)
    received = con.execute(f"select count(*) from {persons}").fetchall()[0][0]
    _input(con, persons)
    nameless = con.execute(
        "select count(*) from input_rows where source_system is null or source_record_id is null"
    ).fetchall()[0][0]
    birth_dates = _birth_dates(con)
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
    # A case with exactly one mother and children in it states who the mother is, more weakly. A father in it is the one
    # child's; of several, who is whose half sister or brother is not said.
    con.execute("""
    insert into stated
    with one as (
        select source_system, case_key, role, min(rid) as rid from members
        where role in ('mother', 'father', 'putative_father') group by all having count(distinct rid) = 1
    ), child as (
        select distinct source_system, case_key, rid,
            count(distinct rid) over (partition by source_system, case_key) as children
        from members where role = 'child'
    )
    select distinct p.rid, c.rid, p.role || '_of', p.source_system, null::date, null::date, false, 'case_role'
    from one p join child c using (source_system, case_key)
    where (p.role = 'mother' or c.children = 1) and c.rid <> p.rid and not exists (
        select 1 from stated s where s.rid_a = p.rid and s.rid_b = c.rid and s.relationship = p.role || '_of')
    """)
    con.execute("create or replace table links (system_a varchar, case_a varchar, system_b varchar, case_b varchar)")
    if case_links is not None:
        con.execute(f"""
        insert into links select distinct source_system, {_case_number("case_key")}, other_system,
            {_case_number("other_case_key")}
        from {case_links} where case_key is not null and other_case_key is not null
        """)
    # A million wide rows are dear to sort, and nothing depends on their order.
    con.execute("set preserve_insertion_order = false")
    write_parquet(con, "select * from records", linkage_dir / "records.parquet")
    con.execute("set preserve_insertion_order = true")
    for table, order, name in (
        ("stated", "rid_a, rid_b, relationship, source_system, valid_from, valid_to", "relationships"),
        ("constraints", "rid_a, rid_b, kind, reason", "constraints"),
    ):
        con.execute(f"create or replace table {table} as select distinct * from {table} order by {order}")
        write_parquet(con, f"select * from {table}", linkage_dir / f"{name}.parquet")
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
    # Where no delivery has a date the day of the files is a birth date, and so somebody's: only its year is told.
    newest, year = con.execute("select max(delivered_on), any_value(year(day)) from records, reference").fetchall()[0]
    summary = {
        "rows_received": received,
        "rows_without_system_or_id": nameless,
        "records": con.execute("select count(*) from records").fetchall()[0][0],
        "fingerprint": fingerprint(con),
        "constraints": con.execute("select count(*) from constraints").fetchall()[0][0],
        "relationships": con.execute("select count(*) from stated").fetchall()[0][0],
        "newest_delivery": newest and newest.isoformat(),
        "reference_year": year,
        "birth_dates": birth_dates,
        **counts,
        **dropped,
        "completeness": completeness,
    }
    for table in ("nick", "reference"):
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


def row_hash(con: duckdb.DuckDBPyConnection) -> str:
    """SQL for a hash of all that a row of ``records`` says; when it was delivered is no part of that."""
    names = [r[0] for r in con.execute("describe records").fetchall()]
    return f"hash({', '.join(c for c in names if c != 'delivered_on')})"


def fingerprint(con: duckdb.DuckDBPyConnection) -> str:
    """Of what the rows of ``records`` say, whatever their order."""
    n, total = con.execute(f"select count(*), coalesce(sum({row_hash(con)}::hugeint), 0) from records").fetchall()[0]
    return f"{n}-{total:x}"


def read_summary(linkage_dir: Path) -> dict[str, Any]:
    """The counts :func:`build_records` left."""
    data: dict[str, Any] = read_json(linkage_dir / "record_summary.json")
    return data
