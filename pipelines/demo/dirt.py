"""The errors real extracts carry, each injected by one small function and written down in the truth.

The kinds are numbered as in ``docs/demo-dirt.md``. Some happen of themselves in the simulated world (a baby on its
mother's Medicaid number, twins, an unknown father); those are only written down. What does not belong here: the
events behind the rows, which stay true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import duckdb

from expectations.contract import Contract

KINDS = {
    1: "baby on the mother's Medicaid number, unmerged later",
    2: "unborn child, birth date missing or the mother's own",
    3: "placeholder given name",
    4: "twins",
    5: "birth date placeholder, swapped, off by one or estimated",
    6: "social security number placeholder, pseudo or the mother's",
    7: "compound surname swapped or cut off",
    8: "padded, all capitals, one name string, accents lost",
    9: "surname and number change at adoption",
    10: "one person twice, merge chains",
    11: "value copied from another household member, child in two households",
    12: "sentinel in a date or number",
    13: "null tokens",
    14: "overlapping, gapped, same-day, open or voided placements",
    15: "entered long after the event",
    16: "voided, replaced, duplicate, late or orphaned claims",
    17: "retroactive or overlapping eligibility, open end date",
    18: "hearing type unstated, combined, continuance coded held, repeated result",
    19: "case number formats differ",
    20: "time not known, daylight-saving gap, Excel serial date, day and month swapped",
    21: "codes of an older version",
    22: "Part 2 consent missing, expired, revoked or for someone else",
    23: "correction or deletion before the addition, or repeated",
    24: "sex discordant or unknown",
    25: "father unknown, putative, or two fathers",
    26: "shared office or placement address",
}
#: Rows that must be quarantined, and what is wrong with a file as a whole.
EXTRA = ("unknown_code", "impossible_date", "duplicate_key", "missing_required", "ragged_row", "windows_1252")


@dataclass
class Dirt:
    """Spoils rows in place. ``notes`` collects (kind, system, table, key) for the truth."""

    con: duckdb.DuckDBPyConnection
    contracts: dict[str, Contract]

    def __post_init__(self) -> None:
        self.con.execute(
            "create or replace table truth.dirt (kind varchar, variant varchar, system varchar, table_name varchar, "
            "key varchar)"
        )

    def key(self, system: str, table: str) -> str:
        """SQL of a row's contract key, joined with ``~``."""
        columns = [c for c in self.contracts[system].tables[table].key if c in self.columns(system, table)]
        return "concat_ws('~', " + ", ".join(f"{c}::varchar" for c in columns) + ")"

    def columns(self, system: str, table: str) -> list[str]:
        """Names of a view's columns."""
        return [row[0] for row in self.con.execute(f"describe {system}.{table}").fetchall()]

    def note(self, kind: int | str, variant: str, system: str, table: str, where: str) -> None:
        """Write down the rows that are of a kind."""
        self.con.execute(
            f"insert into truth.dirt select '{kind}', '{variant}', '{system}', '{table}', {self.key(system, table)} "
            f"from {system}.{table} where {where}"
        )

    def choose(self, variant: str, system: str, table: str, where: str, share: float, at_least: int = 1) -> str:
        """A condition that holds for about ``share`` of the rows in ``where``, and for some in a small world."""
        key = self.key(system, table)
        count = self.con.execute(f"select count(*) from {system}.{table} where {where}").fetchone()
        wanted = max(at_least, round((count[0] if count else 0) * share))
        self.con.execute(
            f"create or replace temp table chosen as select rowid as row from {system}.{table} where {where} "
            f"order by u({key}, '{variant}'), {key} limit {wanted}"
        )
        return "rowid in (select row from chosen)"

    def spoil(
        self, kind: int | str, variant: str, system: str, table: str, sets: str, where: str, share: float
    ) -> None:
        """Change columns of a share of rows, and write it down."""
        chosen = self.choose(variant, system, table, where, share)
        self.note(kind, variant, system, table, chosen)
        self.con.execute(f"update {system}.{table} set {sets} where {chosen}")

    def add(
        self,
        kind: int | str,
        variant: str,
        system: str,
        table: str,
        changes: str,
        where: str,
        share: float,
        at_least: int = 1,
    ) -> None:
        """Add a changed copy of a share of rows, and write the copies down."""
        chosen = self.choose(variant, system, table, where, share, at_least)
        self.con.execute(
            f"create or replace temp table copies as select * replace ({changes}) from {system}.{table} where {chosen}"
        )
        self.con.execute(
            f"insert into truth.dirt select '{kind}', '{variant}', '{system}', '{table}', {self.key(system, table)} "
            "from copies"
        )
        self.con.execute(f"insert into {system}.{table} by name select * from copies")

    def texts(self, system: str, table: str, *columns: str) -> None:
        """Turn date columns into the text their contract writes, so that other text can stand in them."""
        contract = self.contracts[system]
        for name in columns:
            form = contract.formats(contract.tables[table].by_name[name])[0]
            self.con.execute(
                f"alter table {system}.{table} alter column {name} set data type varchar using strftime({name}, "
                f"'{form}')"
            )


def baby_on_mothers_number(d: Dirt) -> None:
    """1: the claims stand under the mother's number, the split is reported later."""
    d.note(1, "unmerge", "medicaid", "member_id_xref", "reason_cd = 'UNMERGE'")
    d.note(
        1,
        "claim",
        "medicaid",
        "claim_headers",
        "_person in (select person_id from truth.members where mothers_id is not null) and msis_id <> msis_of(_person)",
    )


def unborn(d: Dirt) -> None:
    """2: coverage from conception, with no birth date or the mother's; and the agency's UNBORN."""
    d.note(2, "unborn_person", "child_welfare", "persons", "_born_seen is not null")
    where = "eligibility_group_cd = '06' and mother_msis_id is not null and dob > date '2021-06-01'"
    d.add(
        2,
        "group_64",
        "medicaid",
        "eligibility",
        "'64' as eligibility_group_cd, 'U' || right(msis_id, 10) as msis_id, 'UNBORN' as first_name, "
        "null as middle_initial, null as ssn, case when u(msis_id, 'mdob') < 0.5 then "
        "(select m.birth_on from truth.people m, truth.people k where k.person_id = _person and m.person_id = "
        "k.mother_id)"
        " end as dob, eff_date - 200 as eff_date, eff_date as end_date, eff_date - 150 as _seen, null as suffix, "
        "null as medicaid_card_id, null as sex",
        where,
        0.03,
    )


def placeholder_names(d: Dirt) -> None:
    """3: BABY BOY and the like, with A or B for a twin."""
    con = d.con
    words = """case when p.twin <> '' then case p.sex when 'M' then 'BABY BOY ' else 'BABY GIRL ' end || p.twin
        when u(p.person_id, 'w') < 0.35 then case p.sex when 'M' then 'BABY BOY' else 'BABY GIRL' end
        when u(p.person_id, 'w') < 0.55 then case p.sex when 'M' then 'BABYBOY' else 'BABYGIRL' end
        when u(p.person_id, 'w') < 0.75 then case p.sex when 'M' then 'BB' else 'BG' end
        when u(p.person_id, 'w') < 0.9 then 'INFANT OF ' || upper(plain(m.first_name)) else 'INFANT' end"""
    con.execute(
        f"""create or replace temp table unnamed as select p.person_id, {words} as word
        from truth.people p join truth.people m on m.person_id = p.mother_id
        where p.role = 'child' and u(p.person_id, 'unnamed') < case when p.birth_on > date '2025-06-01' then 0.4
            when p.twin <> '' then 0.3 else 0.07 end"""
    )
    d.note(
        3,
        "medicaid",
        "medicaid",
        "eligibility",
        "_person in (select person_id from unnamed) and eligibility_group_cd <> '64'",
    )
    con.execute("""update medicaid.eligibility e set first_name = n.word, middle_initial = null from unnamed n
        where n.person_id = e._person and e.eligibility_group_cd <> '64'""")
    d.spoil(
        3,
        "agency",
        "child_welfare",
        "persons",
        "first_name = case sex when 'M' then 'BABY BOY' else 'BABY GIRL' end, middle_name = null",
        "_role = 'child' and _seen - _birth < 20 and _born_seen is null",
        0.06,
    )


def twins(d: Dirt) -> None:
    """4: two children born to one mother on one day."""
    d.note(4, "twins", "child_welfare", "persons", "_person in (select person_id from truth.people where twin <> '')")


def birth_dates(d: Dirt) -> None:
    """5: placeholders, swaps, midnight births, estimates."""
    d.texts("child_welfare", "persons", "dob")
    persons = ("child_welfare", "persons")
    d.spoil(5, "year_1900", *persons, "dob = '1900-01-01'", "_role <> 'child' and dob is not null", 0.006)
    d.spoil(
        5, "first_of_january", *persons, "dob = left(dob, 4) || '-01-01'", "_role <> 'child' and dob is not null", 0.01
    )
    d.spoil(
        5,
        "swapped",
        *persons,
        "dob = strftime(_birth, '%Y-%d-%m')",
        "day(_birth) <= 12 and day(_birth) <> month(_birth) and dob is not null",
        0.015,
    )
    d.spoil(5, "off_by_one", *persons, "dob = strftime(_birth - 1, '%Y-%m-%d')", "_role = 'child'", 0.012)
    d.spoil(
        5,
        "estimated",
        *persons,
        "dob = strftime(_birth - 4, '%Y-%m-%d'), dob_estimated_ind = true",
        "_role = 'child'",
        0.001,
    )
    d.spoil(5, "court_off_by_one", "court", "parties", "dob = dob + 1", "role_cd = 'CHI'", 0.01)


def social_security(d: Dirt) -> None:
    """6: placeholders, pseudo numbers, the mother's number on the child."""
    d.spoil(
        6,
        "placeholder",
        "child_welfare",
        "persons",
        "ssn = ['000000000', '999999999', '123456789'][1 + (u(person_id, 'which') * 2.99)::int]",
        "true",
        0.012,
    )
    d.spoil(6, "pseudo", "child_welfare", "persons", "ssn = '9' || right(ssn, 8)", "ssn is not null", 0.006)
    d.spoil(
        6,
        "mothers",
        "medicaid",
        "eligibility",
        "ssn = (select m.ssn from truth.people k, truth.people m where k.person_id = _person and m.person_id = "
        "k.mother_id)",
        "eligibility_group_cd in ('06', '07') and _person in (select person_id from truth.people where role = 'child')",
        0.01,
    )


def compound_surnames(d: Dirt) -> None:
    """7: two surnames in the other order, or cut at fifteen characters."""
    d.spoil(
        7,
        "swapped",
        "child_welfare",
        "persons",
        "last_name = split_part(last_name, ' ', 2) || ' ' || split_part(last_name, ' ', 1)",
        "last_name like '% %'",
        0.15,
    )
    d.spoil(
        7, "hyphen", "medicaid", "eligibility", "last_name = replace(last_name, ' ', '-')", "last_name like '% %'", 0.2
    )
    d.note(7, "cut", "behavioral_health", "clients", "length(last_name) > 15")
    d.con.execute("update behavioral_health.clients set last_name = left(last_name, 15)")


def padded(d: Dirt) -> None:
    """8: fixed-width padding, capitals, lost accents, one name string."""
    d.spoil(
        8,
        "padded",
        "child_welfare",
        "persons",
        "first_name = rpad(first_name, 20, ' '), last_name = rpad(last_name, 25, ' ')",
        "first_name is not null",
        0.03,
    )
    d.spoil(
        8,
        "capitals",
        "child_welfare",
        "persons",
        "first_name = upper(first_name), last_name = upper(last_name)",
        "first_name is not null",
        0.08,
    )
    d.con.execute(
        "update medicaid.eligibility set first_name = upper(plain(first_name)), last_name = upper(plain(last_name))"
    )
    d.note(
        8,
        "accents",
        "medicaid",
        "eligibility",
        "_person in (select person_id from truth.people where plain(last_name) <> last_name)",
    )
    d.note(8, "one_string", "court", "parties", "role_cd = 'CHI' and first_name is null")


def adoption(d: Dirt) -> None:
    """9: after adoption the agency opens a new number under the new name and seals the old one."""
    adopted = "_person in (select person_id from truth.adoptions)"
    chosen = d.choose("adoption", "child_welfare", "persons", adopted, 0.6)
    con = d.con
    con.execute(
        f"create or replace temp table old as select person_id, _person from child_welfare.persons where {chosen}"
    )
    con.execute(
        """create or replace temp table copies as select p.* replace (
            'CL' || lpad(keyed(p._person, 21)::varchar, 8, '0') as person_id, k.renamed_last as last_name, null as ssn,
            null as medicaid_id, null as afcars_record_number, a.adopted_on + 30 as _seen, null as _renamed_seen,
            at_noon(a.adopted_on + 30) as created_ts, null as _born_seen)
        from child_welfare.persons p join truth.adoptions a on a.person_id = p._person
        join truth.people k on k.person_id = p._person where p.person_id in (select person_id from old)"""
    )
    con.execute("alter table child_welfare.persons add column _sealed_seen date")
    con.execute("""update child_welfare.persons p set sealed_ind = true, _sealed_seen = c._seen, last_name =
        p._first_last_name,
        _renamed_seen = null from copies c where c._person = p._person""")
    con.execute("insert into child_welfare.persons by name select *, null::date as _sealed_seen from copies")
    con.execute(
        """insert into truth.dirt select '9', 'new_number', 'child_welfare', 'persons', person_id from copies"""
    )
    con.execute("""update child_welfare.relationships r set person_id_2 = c.person_id from copies c, old o
        where o._person = c._person and r.person_id_2 = o.person_id and r.relationship_cd = 'AP'""")
    d.note(9, "surname", "child_welfare", "persons", "_renamed_seen is not null")


def duplicate_people(d: Dirt) -> None:
    """10: intake enters someone again; some copies are merged later, a few in chains."""
    twice = "_born_seen is null and merged_into_person_id is null"
    d.add(
        10,
        "unmerged",
        "child_welfare",
        "persons",
        "'CL' || lpad(keyed(_person, 22)::varchar, 8, '0') as person_id, _seen + 60 as _seen, null as ssn, "
        "middle_name[1:1] as middle_name, null as afcars_record_number, null as medicaid_id",
        twice,
        0.02,
    )
    d.add(
        10,
        "merged",
        "child_welfare",
        "persons",
        "'CL' || lpad(keyed(_person, 23)::varchar, 8, '0') as person_id, person_id as merged_into_person_id, "
        "_seen + 30 as _seen, null as ssn, null as afcars_record_number, null as medicaid_id",
        twice,
        0.015,
    )
    d.add(
        10,
        "chain",
        "child_welfare",
        "persons",
        "'CL' || lpad(keyed(_person, 24)::varchar, 8, '0') as person_id, person_id as merged_into_person_id, "
        "_seen + 20 as _seen",
        "merged_into_person_id is not null",
        0.15,
    )


def copied_values(d: Dirt) -> None:
    """11: a sibling's number, the father's birth date on the mother, a child listed in a second household."""
    d.spoil(
        11,
        "sibling_ssn",
        "child_welfare",
        "persons",
        "ssn = (select min(s.ssn) from truth.people k, truth.people s where k.person_id = _person "
        "and s.mother_id = k.mother_id and s.person_id <> k.person_id)",
        "_role = 'child' and ssn is not null",
        0.006,
    )
    d.spoil(
        11,
        "fathers_birth_date",
        "child_welfare",
        "persons",
        "dob = (select strftime(min(f.birth_on), '%Y-%m-%d') from truth.people k, truth.people f "
        "where k.mother_id = _person and f.person_id = k.father_id)",
        "_role = 'mother' and _person in (select mother_id from truth.people where father_id is not null)",
        0.004,
    )
    d.add(
        11,
        "second_household",
        "child_welfare",
        "person_addresses",
        "'AX' || address_id as address_id, '77 Other Household Rd' as line1, null as end_date, null as _end_seen",
        "address_type_cd = 'HOME' and _person in (select person_id from truth.people where role = 'child')",
        0.01,
    )


def sentinels(d: Dirt) -> None:
    """12: 7777 and 9999 birth years, 66666666, open ends written as far dates."""
    d.texts("child_welfare", "person_addresses", "end_date")
    d.spoil(12, "far_date", "child_welfare", "person_addresses", "end_date = '9999-12-31'", "end_date is null", 0.1)
    d.texts("child_welfare", "legal_statuses", "end_date")
    d.spoil(12, "far_date", "child_welfare", "legal_statuses", "end_date = '2099-12-31'", "end_date is null", 0.3)
    d.spoil(12, "abandoned", "child_welfare", "afcars_children", "e59_first_parent_birth_year = 7777", "true", 0.004)
    d.spoil(
        12,
        "no_second_parent",
        "child_welfare",
        "afcars_children",
        "e60_second_parent_birth_year = 9999",
        "e60_second_parent_birth_year is null",
        0.5,
    )
    d.texts("child_welfare", "afcars_tprs", "e66_tpr_petition_date_parent2")
    d.spoil(
        12,
        "parent_deceased",
        "child_welfare",
        "afcars_tprs",
        "e66_tpr_petition_date_parent2 = '66666666'",
        "e66_tpr_petition_date_parent2 is not null",
        0.05,
    )
    d.texts("court", "hearings", "next_hearing_ts")
    d.spoil(12, "not_set", "court", "hearings", "next_hearing_ts = '12/31/2099 00:00'", "status_cd = 'CONT'", 0.3)


def null_tokens(d: Dirt) -> None:
    """13: the many ways of writing nothing."""
    d.spoil(
        13,
        "warehouse",
        "medicaid",
        "eligibility",
        "addr_line2 = ['#', '+', '-', '**'][1 + (u(msis_id, 'tok') * 3.99)::int], plan_id = '-1'",
        "true",
        0.1,
    )
    d.spoil(13, "court", "court", "parties", "address = 'UNK'", "address is null", 0.2)
    d.spoil(13, "agency", "child_welfare", "persons", "middle_name = 'NULL'", "middle_name is null", 0.2)
    d.spoil(13, "workbook", "court_team", "enrollments", "court_case_no = 'n/a'", "court_case_no is null", 0.4)


def placements(d: Dirt) -> None:
    """14: overlaps, gaps, same-day moves, ends that were never entered, voided rows."""
    table = ("child_welfare", "placements")
    d.spoil(
        14,
        "overlap",
        *table,
        "end_date = end_date + 3",
        "end_date is not null and end_reason_cd = 'MOVE' and end_date < date '2026-06-01'",
        0.02,
    )
    d.spoil(14, "gap", *table, "end_date = end_date - 2", "end_reason_cd = 'MOVE' and end_date - start_date > 10", 0.02)
    d.spoil(14, "open_after_exit", *table, "end_date = null, end_reason_cd = null", "end_reason_cd = 'EXIT'", 0.012)
    d.spoil(
        14,
        "nested_hospital",
        *table,
        "end_date = end_date + 6",
        "end_reason_cd = 'MOVE' and end_date < date '2026-06-01' and exists (select 1 from truth.placements h "
        "where h.removal_id = _removal and h.setting = 'hospital' and h.start_on = end_date)",
        0.5,
    )
    d.add(
        14,
        "same_day",
        *table,
        "'PS' || right(placement_id, 8) as placement_id, start_date as end_date, 'SHE' as "
        "placement_type_cd, 'PV900001' as provider_id, null as provider_person1_id, null as provider_person2_id, "
        "'MOVE' as end_reason_cd, _seen as _end_seen",
        "placement_type_cd = 'FFH'",
        0.01,
    )
    con = d.con
    con.execute("alter table child_welfare.placements add column record_status varchar")
    con.execute("alter table child_welfare.placements add column _void_seen date")
    con.execute("update child_welfare.placements set record_status = 'A'")
    d.add(
        14,
        "voided",
        *table,
        "'PW' || right(placement_id, 8) as placement_id, 'PV900002' as provider_id, true as "
        "voided_ind, 'V' as record_status, 'ERR' as end_reason_cd, date '2026-09-20' as _void_seen",
        "placement_type_cd = 'FFH' and _seen < date '2026-07-01' and end_date is not null",
        0.01,
    )


def late_entry(d: Dirt) -> None:
    """15: entered more than a month after it happened."""
    d.note(15, "removal", "child_welfare", "removals", "removal_entered_ts::date - removal_date > 30")
    d.note(15, "exit", "child_welfare", "removals", "exit_entered_ts::date - exit_date > 30")


def claims(d: Dirt) -> None:
    """16: resubmitted twins of claims, voids without their original, lines without header, debits and credits."""
    con = d.con
    d.note(16, "void_or_replacement", "medicaid", "claim_headers", "adjustment_ind in ('1', '4')")
    d.note(16, "late", "medicaid", "claim_headers", "adjudication_date - service_begin > 120")
    d.add(
        16,
        "resubmitted",
        "medicaid",
        "claim_headers",
        "'X' || right(icn_orig, 10) as icn_orig, adjudication_date + 9 as adjudication_date, _seen + 9 as _seen",
        "adjustment_ind = '0' and _seen < date '2026-08-31'",
        0.008,
    )
    con.execute("""insert into medicaid.claim_lines by name select l.* replace ('X' || right(l.icn_orig, 10) as
        icn_orig,
        l.adjudication_date + 9 as adjudication_date, l._seen + 9 as _seen) from medicaid.claim_lines l
        where l.adjustment_ind = '0' and 'X' || right(l.icn_orig, 10) in (select icn_orig from
            medicaid.claim_headers)""")
    lost = d.choose(
        "lost_original",
        "medicaid",
        "claim_headers",
        "adjustment_ind = '0' and _claim in (select claim_id from truth.versions where version > 0)",
        0.03,
    )
    con.execute(f"create or replace temp table lost as select _claim from medicaid.claim_headers where {lost}")
    con.execute(f"delete from medicaid.claim_headers where {lost}")
    con.execute("delete from medicaid.claim_lines where adjustment_ind = '0' and _claim in (select _claim from lost)")
    d.note(16, "lost_original", "medicaid", "claim_headers", "_claim in (select _claim from lost)")
    bare = d.choose(
        "orphan_lines",
        "medicaid",
        "claim_headers",
        "adjustment_ind = '0' and _kind = 'office' and "
        "_claim not in "
        "(select claim_id from truth.versions where version > 0)",
        0.001,
    )
    con.execute(f"create or replace temp table bare as select _claim from medicaid.claim_headers where {bare}")
    con.execute(f"delete from medicaid.claim_headers where {bare}")
    d.note(16, "orphan_lines", "medicaid", "claim_lines", "_claim in (select _claim from bare)")
    d.add(
        16,
        "credit",
        "medicaid",
        "claim_headers",
        "'3' as adjustment_ind, 'Z' || right(icn_orig, 10) as icn_adj, adjudication_date + 25 as adjudication_date, "
        "_seen + 25 as _seen, -paid_amt / 4 as paid_amt",
        "adjustment_ind = '0' and paid_amt > 0 and _seen < date '2026-08-31'",
        0.002,
    )
    d.con.execute("update medicaid.claim_headers set paid_amt = round(paid_amt, 2)")


def eligibility(d: Dirt) -> None:
    """17: spans known only later, two groups in a month, ends at 9999-12-31."""
    d.note(17, "retroactive", "medicaid", "eligibility", "_seen - eff_date > 60 and eligibility_group_cd = '08'")
    d.note(17, "open_end", "medicaid", "eligibility", "end_date = date '9999-12-31'")
    d.note(17, "two_groups", "medicaid", "eligibility", "eligibility_group_cd in ('05', '08')")


def hearings(d: Dirt) -> None:
    """18: no type, combined events, continuances coded as held, a result entered twice."""
    table = ("court", "hearings")
    d.spoil(18, "unstated", *table, "hearing_type_cd = 'HEARING'", "_kind in ('review', 'other', 'disposition')", 0.06)
    d.spoil(18, "combined", *table, "hearing_type_cd = 'ADJD'", "_kind = 'adjudication' and status_cd = 'HELD'", 0.05)
    d.spoil(
        18,
        "continuance_coded_held",
        *table,
        "status_cd = 'HELD', held_ts = scheduled_ts",
        "status_cd = 'CONT' and _kind = 'review'",
        0.04,
    )
    d.add(
        18,
        "twice",
        *table,
        "'D' || right(hearing_id, 8) as hearing_id",
        "status_cd = 'HELD' and _kind = 'review'",
        0.01,
    )


def case_numbers(d: Dirt) -> None:
    """19: each county prints dockets its own way, and clerks type the agency's number as they like."""
    d.spoil(19, "lower", "court", "cases", "agency_case_no = lower(agency_case_no)", "agency_case_no is not null", 0.05)
    d.spoil(
        19,
        "dashed",
        "court",
        "cases",
        "agency_case_no = left(agency_case_no, 2) || '-' || substr(agency_case_no, 3)",
        "agency_case_no like 'CA%' and agency_case_no not like '%-%'",
        0.08,
    )
    d.spoil(
        19,
        "unpadded",
        "court_team",
        "enrollments",
        "ccwis_case_no = 'CA' || ltrim(substr(ccwis_case_no, 3), '0')",
        "ccwis_case_no is not null",
        0.1,
    )
    d.spoil(
        19,
        "docket",
        "court_team",
        "enrollments",
        "court_case_no = replace(court_case_no, '-', ' ')",
        "court_case_no like '%-%'",
        0.1,
    )


def times(d: Dirt) -> None:
    """20: midnight for unknown, an hour that does not exist, Excel's day numbers, day before month."""
    d.spoil(20, "midnight", "child_welfare", "contacts", "contact_ts = date_trunc('day', contact_ts)", "true", 0.04)
    d.spoil(
        20,
        "no_such_hour",
        "child_welfare",
        "contacts",
        "contact_ts = timestamp '2025-03-09 02:30:00'",
        "contact_ts between timestamp '2025-03-07' and timestamp '2025-03-12'",
        0.3,
    )
    d.texts("court_team", "screenings", "performed_date")
    d.spoil(
        20,
        "excel_serial",
        "court_team",
        "screenings",
        "performed_date = (performed_date::date - date '1899-12-30')::varchar",
        "true",
        0.02,
    )
    d.texts("court", "parties", "dob")
    d.spoil(
        20,
        "day_first",
        "court",
        "parties",
        "dob = substr(dob, 4, 2) || '/' || left(dob, 2) || right(dob, 5)",
        "role_cd = 'CHI' and substr(dob, 4, 2)::int > 12",
        0.004,
    )


def old_codes(d: Dirt) -> None:
    """21: episodes that ended before the 2020 format are stubs; a plan code of 1993."""
    d.note(21, "removal_1993", "child_welfare", "afcars_removals", "removal_format = 'removal_1993'")
    d.spoil(
        21,
        "plan_1993",
        "child_welfare",
        "permanency_plans",
        "plan_cd = 'LTFC', concurrent_plan_cd = null",
        "plan_date < date '2022-10-01' and plan_cd <> 'REUN'",
        0.02,
    )


def consents(d: Dirt) -> None:
    """22: what a reader may not use."""
    for state in ("expired", "revoked", "tpo_only", "wrong_recipient"):
        d.note(22, state, "behavioral_health", "consents", f"_state = '{state}'")
    d.note(22, "missing", "behavioral_health", "clients", "_person not in (select person_id from truth.consents)")


def transactions(d: Dirt) -> None:
    """23: corrections and deletions of admissions, before their addition, or sent twice."""
    table = ("behavioral_health", "admissions")
    d.add(
        23,
        "correction",
        *table,
        "'C' as transaction_type, _seen + 20 as _seen, "
        "date_trunc('month', _seen + 32)::date as reporting_date, 3 as prior_episodes",
        "transaction_type = 'A' and _seen < date '2026-08-20'",
        0.03,
    )
    d.add(
        23,
        "before_addition",
        *table,
        "'C' as transaction_type, greatest(_seen - 45, admission_date + 1) as _seen, 2 as prior_episodes",
        "transaction_type = 'A' and _seen > date '2026-08-31' and admission_date < date '2026-08-15'",
        0.3,
        2,
    )
    d.add(
        23,
        "wrong_admission",
        *table,
        "admission_date - 3 as admission_date, first_contact_date - 3 as "
        "first_contact_date, "
        "first_service_date - 3 as first_service_date",
        "transaction_type = 'A' and _seen < date '2026-07-20'",
        0.006,
        3,
    )
    d.con.execute("""insert into behavioral_health.admissions by name select a.* replace ('D' as transaction_type,
        date '2026-08-01' as reporting_date, date '2026-08-10' as _seen) from behavioral_health.admissions a
        where concat_ws('~', provider_id, client_id, codependent_cd, admission_date::varchar) in
            (select key from truth.dirt where variant = 'wrong_admission')""")
    d.note(23, "deletion", *table, "transaction_type = 'D'")
    d.add(23, "deleted_twice", *table, "_seen + 30 as _seen", "transaction_type = 'D'", 0.4)


def sexes(d: Dirt) -> None:
    """24: the wrong sex, or none yet for a newborn."""
    d.spoil(
        24, "discordant", "child_welfare", "persons", "sex = case sex when 'F' then 'M' else 'F' end", "true", 0.006
    )
    d.spoil(24, "unknown", "child_welfare", "persons", "sex = 'U'", "_role = 'child' and _seen - _birth < 30", 0.02)
    d.spoil(24, "medicaid", "medicaid", "claim_headers", "claim_sex = 'U'", "_kind = 'birth'", 0.05)


def fathers(d: Dirt) -> None:
    """25: unknown, putative, or two of them."""
    d.note(25, "unknown", "court", "parties", "party_name_raw = 'UNKNOWN FATHER'")
    d.note(25, "putative", "child_welfare", "relationships", "relationship_cd = 'PF'")
    d.con.execute(
        "create or replace temp table next_father as "
        "select person_id, lead(person_id) over (order by person_id) as other "
        "from child_welfare.persons where _role = 'father'"
    )
    d.add(
        25,
        "two_fathers",
        "child_welfare",
        "relationships",
        "'R2' || substr(relationship_id, 3) as relationship_id, "
        "(select max(other) from next_father f where f.person_id = person_id_1) as person_id_1, "
        "'FA' as relationship_cd, _seen + 10 as _seen",
        "relationship_cd = 'FA' and person_id_1 in (select person_id from next_father where other is not null)",
        0.01,
    )


def shared_addresses(d: Dirt) -> None:
    """26: children in care carry the agency's office, or the county's."""
    d.spoil(
        26,
        "agency_office",
        "child_welfare",
        "person_addresses",
        "line1 = '100 Court Plaza', city = 'Alderton', zip = '98701', address_type_cd = 'OFFICE'",
        "address_type_cd = 'PLCMT'",
        0.25,
    )
    d.spoil(
        26,
        "county_office",
        "medicaid",
        "eligibility",
        "addr_line1 = '1 COUNTY SERVICES WAY', city = 'Alderton', zip = '98701'",
        "eligibility_group_cd = '08'",
        0.4,
    )
    d.note(26, "foster_home", "child_welfare", "person_addresses", "address_type_cd = 'PLCMT'")


def quarantined(d: Dirt) -> None:
    """Rows no load may accept: each breaks one rule of its contract."""
    d.add(
        "unknown_code",
        "type",
        "child_welfare",
        "placements",
        "'PQ' || right(placement_id, 8) as placement_id, 'ZZZ' as placement_type_cd",
        "placement_type_cd = 'FFH'",
        0.001,
        2,
    )
    d.add(
        "unknown_code",
        "status",
        "court",
        "hearings",
        "'Q' || right(hearing_id, 8) as hearing_id, 'PERHAPS' as status_cd",
        "status_cd = 'HELD'",
        0.0003,
        2,
    )
    d.add(
        "impossible_date",
        "future",
        "child_welfare",
        "removals",
        "'RQ' || right(removal_id, 8) as removal_id, date '2062-03-01' as removal_date",
        "exit_date is null",
        0.003,
        2,
    )
    d.add(
        "impossible_date",
        "past",
        "medicaid",
        "pharmacy",
        "'W' || right(icn_orig, 10) as icn_orig, date '0202-01-05' as rx_fill_date",
        "adjustment_ind = '0'",
        0.0003,
        2,
    )
    d.add("duplicate_key", "changed", "child_welfare", "services", "'Other provider' as provider", "true", 0.001, 2)
    d.spoil("missing_required", "case", "child_welfare", "workers", "case_id = null", "true", 0.002)


#: In the order they run: rows are spoilt before copies of them are made.
STEPS: tuple[Callable[[Dirt], None], ...] = (
    baby_on_mothers_number,
    placeholder_names,
    unborn,
    twins,
    birth_dates,
    social_security,
    copied_values,
    compound_surnames,
    padded,
    adoption,
    duplicate_people,
    sentinels,
    null_tokens,
    placements,
    late_entry,
    claims,
    eligibility,
    hearings,
    case_numbers,
    times,
    old_codes,
    consents,
    transactions,
    sexes,
    fathers,
    shared_addresses,
    quarantined,
)

#: Columns of spoilt tables that are filled in later than the row; they come before ``LATE`` of the views.
LATE: dict[str, dict[str, dict[str, tuple[str, str]]]] = {
    "child_welfare": {
        "persons": {
            "sealed_ind": ("_sealed_seen", "false"),
            "dob": ("_born_seen", "strftime(_due, '%Y-%m-%d')"),
        },
        "placements": {"record_status": ("_void_seen", "'A'"), "voided_ind": ("_void_seen", "false")},
    }
}


def spoil(con: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]) -> None:
    """Inject every kind of error into the views in ``con``; ``truth.dirt`` lists the rows."""
    dirt = Dirt(con, contracts)
    for step in STEPS:
        step(dirt)
