"""Who lived at one home address, and when: beside the families, never a reason for one.

A household is a run of time in which somebody lives at one home address without a gap; its members are the people who
live there, each from their own first to their own last day. Only rows that call an address a home and say since when
count. A placement makes no household, and while a child is placed it lives in no household of its home; an office, a
shelter, a post box or an address with many unrelated surnames is none. People with a sealed record are left out: a home
shared before an adoption would say what the seal hides.

The table describes: no ID, family or measure hangs on it. Two families whose children lived in one household are told
so in ``family_link`` and stay two. It holds no address, and the key of a household is made from one under the
deployment's secret, so that nobody finds the address by trying.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from linkage.records import MAX_ADDRESS_SURNAMES, SECOND_LINE
from linkage.registry import keyed
from linkage.standardize import install
from linkage.store import connect, in_list, quoted, write_json, write_parquet

_COLUMNS = ("address_line", "city", "zip", "address_role", "valid_from", "valid_to", "is_sealed")
#: Roles under which an address is nobody's home.
_NO_HOME = ("office", "shelter")
#: What stands for "still" while spans are compared.
_STILL = "date '9999-12-31'"


def build_households(staged_dir: Path, linkage_dir: Path, secret: bytes) -> dict[str, Any]:
    """Write ``household_member.parquet`` for the people of the night; returns counts.

    Columns ``household_id, person_id, valid_from, valid_to`` (the day they left, null while they live there),
    ``evidence`` (``home_address``) and ``source_system``: one row per household, person, source and unbroken stay.
    Reads the staged person records and the crosswalk; the same input and ``secret`` give the same file.
    ``household_id`` is a key, not an ID in the ledger: an earlier first day learned later gives a household another.
    """
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        install(con)
        _rows(con, staged_dir, linkage_dir)
        counts = _homes(con)
        _stays(con)
        _households(con, secret)
        counts["household_member"] = write_parquet(
            con,
            "select household_id, person_id, valid_from, valid_to, 'home_address' as evidence, source_system "
            "from household_member order by household_id, person_id, source_system, valid_from",
            linkage_dir / "household_member.parquet",
        )
        counts["households"], counts["largest_household"] = con.execute(
            "select count(*), coalesce(max(n), 0) from ("
            "select count(distinct person_id) as n from household_member group by household_id)"
        ).fetchall()[0]
    finally:
        con.close()
    write_json(counts, linkage_dir / "households.json")
    return counts


def _rows(con: duckdb.DuckDBPyConnection, staged_dir: Path, linkage_dir: Path) -> None:
    """``dated``: every staged row with an address, its person and ``place``, the address as a key."""
    files = sorted(staged_dir.glob("*__person_records.parquet"))
    staged = f"read_parquet([{', '.join(quoted(f) for f in files)}], union_by_name = true)"
    present = {row[0] for row in con.execute(f"describe select * from {staged}").fetchall()} if files else set()
    if not {"address_line", "address_role", "valid_from"} <= present:
        # Without a dated address there is nobody to place; the table is there all the same.
        staged, present = "(select null::varchar as source_system, null::varchar as source_record_id limit 0)", set()
    types = {"valid_from": "date", "valid_to": "date", "is_sealed": "boolean"}
    values = {c: f"s.{c}" if c in present else "null" for c in _COLUMNS}
    if SECOND_LINE in present:
        values["address_line"] = f"kw_street_line(s.address_line, s.{SECOND_LINE})"
    given = ", ".join(f"try_cast({value} as {types.get(c, 'varchar')}) as {c}" for c, value in values.items())
    con.execute(f"""
    create table said as
    select trim(s.source_system::varchar) as source_system, trim(s.source_record_id::varchar) as source_record_id,
        {given} from {staged} s
    """)
    con.execute("""
    create table address_of as
    with worded as (select raw, kw_words(raw) as words, kw_words(replace(raw, '#', ' APT ')) as unit_words
                    from (select distinct address_line as raw from said where address_line is not null)),
    parsed as (select raw, kw_address_words(words, unit_words) as address from worded)
    select raw, address.house as house, address.unit as unit,
        array_to_string(list_sort(string_split(address.street, ' ')), '') as street
    from parsed where address.house is not null and address.street is not null
    """)
    con.execute(f"""
    create table person_of as
    select c.source_system, c.source_record_id, c.person_id, left(r.last_std, 3) as surname,
        bool_or(coalesce(r.is_sealed, false)) over (partition by c.person_id) as is_sealed
    from read_parquet({quoted(linkage_dir / "person_crosswalk.parquet")}) c
    join read_parquet({quoted(linkage_dir / "records.parquet")}) r using (source_system, source_record_id)
    where c.valid_to is null
    """)
    con.execute("""
    create table dated as
    select p.person_id, p.surname, p.is_sealed, s.source_system, lower(s.address_role) as role,
        concat_ws('|', a.house, a.street, coalesce(a.unit, ''), coalesce(kw_zip(s.zip), kw_name(s.city))) as place,
        coalesce(kw_zip(s.zip), kw_name(s.city)) is not null and a.raw is not null as is_place,
        s.valid_from, s.valid_to
    from said s join person_of p using (source_system, source_record_id)
    left join address_of a on a.raw = s.address_line
    """)


def _homes(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """``home``: dated homes of people, ends filled in; returns what was left out."""
    con.execute(f"""
    create table no_home as
    select place from dated where is_place group by place
    having bool_or(role in {in_list(_NO_HOME)})
        or count(distinct surname) filter (role = 'home') > {MAX_ADDRESS_SURNAMES}
    """)
    con.execute("""
    create table stated_home as
    select d.*, n.place is not null as is_no_home,
        valid_from is not null and (valid_to is null or valid_to > valid_from) as is_dated
    from dated d left join no_home n using (place) where role = 'home'
    """)
    left_out = con.execute("""
    select count(*) filter (not is_place), count(*) filter (is_place and is_no_home),
        count(*) filter (is_place and not is_no_home and not is_dated),
        count(distinct person_id) filter (is_sealed)
    from stated_home
    """).fetchall()[0]
    # Nobody lives in two homes by one source's word unless it says until when: an address left open while the next has
    # begun was forgotten, not kept.
    con.execute(f"""
    create table home as
    with one as (
        select person_id, source_system, place, valid_from, max(coalesce(valid_to, {_STILL})) as valid_to
        from stated_home where is_place and not is_no_home and is_dated and not is_sealed group by all
    ), later as (
        select *, min(valid_from) over (partition by person_id, source_system order by valid_from
            range between interval 1 day following and unbounded following) as next_from
        from one
    )
    select person_id, source_system, place, valid_from,
        case when valid_to = {_STILL} then coalesce(next_from, valid_to) else valid_to end::date as valid_to
    from later
    """)
    names = ("homes_without_an_address", "homes_nobody_lives_in", "homes_without_dates", "sealed_people_left_out")
    return dict(zip(names, left_out, strict=True))


def _stays(con: duckdb.DuckDBPyConnection) -> None:
    """``stay``: unbroken stays of a person at a place by one source's word, without the time in placements."""
    con.execute(f"""
    create table away as
    {
        _islands(
            "person_id",
            f"select person_id, valid_from, coalesce(valid_to, {_STILL}) as valid_to from dated "
            "where role = 'placement' and valid_from is not null and (valid_to is null or valid_to > valid_from)",
        )
    }
    """)
    con.execute(f"""
    create table at_home as
    select person_id, coalesce(lag(valid_to) over w, date '0001-01-01') as since, valid_from as until
    from away window w as (partition by person_id order by valid_from)
    union all select person_id, max(valid_to), {_STILL} from away group by person_id
    """)
    con.execute(f"""
    create table stay as
    {
        _islands(
            "person_id, source_system, place",
            "select h.person_id, h.source_system, h.place, greatest(h.valid_from, a.since) as valid_from, "
            "least(h.valid_to, a.until) as valid_to from home h join at_home a using (person_id) "
            "where greatest(h.valid_from, a.since) < least(h.valid_to, a.until) "
            "union all select h.* from home h anti join away using (person_id)",
        )
    }
    """)


def _islands(key: str, spans: str, touching: str = ">") -> str:
    """SQL: ``spans`` (``key, valid_from, valid_to``) of one key put together where they overlap or touch."""
    return f"""
    select {key}, min(valid_from) as valid_from, max(valid_to) as valid_to from (
        -- Over all rows of one first and last day at once: rows that are alike have no order of their own.
        select *, count(*) filter (begins) over (partition by {key} order by valid_from, valid_to) as nth from (
            select *, coalesce(valid_from {touching} max(valid_to) over (partition by {key}
                order by valid_from, valid_to rows between unbounded preceding and 1 preceding), true) as begins
            from ({spans})))
    group by {key}, nth
    """


def _households(con: duckdb.DuckDBPyConnection, secret: bytes) -> None:
    """``household_member``: stays under the household they belong to."""
    # Who moves in on the day the last one leaves starts another household.
    con.execute(f"""
    create table household as
    {_islands("place", "select place, valid_from, valid_to from stay", ">=")}
    """)
    homes = con.execute("select place || chr(31) || valid_from::varchar as home from household").fetchnumpy()["home"]
    keys = keyed(secret, "household", homes.tolist())
    con.register(
        "kw_keys", pa.table({"home": pa.array(homes, pa.string()), "household_id": pa.array(keys, pa.string())})
    )
    con.execute(f"""
    create table household_member as
    select k.household_id, s.person_id, s.valid_from, nullif(s.valid_to, {_STILL}) as valid_to, s.source_system
    from stay s join household h on h.place = s.place and s.valid_from >= h.valid_from and s.valid_from < h.valid_to
    join kw_keys k on k.home = h.place || chr(31) || h.valid_from::varchar
    """)
    con.unregister("kw_keys")
