"""The Medicaid agency's extract: spans, numbers, claims in all their versions.

Many newborns are covered under the mother's number until about their first birthday. The agency then gives the
child a number of its own at once, and reports the split (``UNMERGE``) months later.
"""

from __future__ import annotations

import duckdb

#: Who is covered, under which number, since when. ``shared_until`` is the day a baby leaves the mother's number.
_MEMBERS = """
create table truth.members as
with chosen as (
    select p.*, u(p.person_id, 'covered') < case
        when p.role = 'child' then case p.kind when 'care' then 0.97 when 'cps' then 0.85 when 'court' then 0.5 else
            0.95 end
        when p.role = 'mother' then 0.88 when p.role = 'father' then 0.35 when p.role = 'adult' then 0.8
        when p.role in ('grandmother', 'aunt') then 0.3 else 0 end as covered
    from truth.people p
), shared as (
    select c.*, c.role = 'child' and m.covered and c.birth_on >= date '2020-10-01' and u(c.person_id, 'shared') < 0.45
        as shares, c.birth_on + 200 + (u(c.person_id, 'until') * 165)::int as until_on
    from chosen c left join chosen m on m.person_id = c.mother_id
)
select person_id, family_id, role, sex, birth_on, death_on, mother_id, kind,
    -- A death under the mother's number never becomes a number of its own.
    case when not shares or (until_on <= date '2026-09-24' and (death_on is null or death_on > until_on))
        then msis_of(person_id) end as own_id,
    case when shares then msis_of(mother_id) end as mothers_id, case when shares then until_on end as shared_until,
    case when shares then until_on + 5 when role = 'child' then birth_on + 12 else date '2020-10-05' end as own_seen,
    case when role = 'child' then greatest(birth_on, date '2019-01-01')
        else date '2019-01-01' + (u(person_id, 'from') * 1500)::int end as from_on,
    least(coalesce(death_on, date '2026-09-30'), case when u(person_id, 'left') < 0.14
        then greatest(birth_on + 700, date '2022-01-01') + (u(person_id, 'leftwhen') * 1600)::int else date
            '2026-09-30' end)
        as to_on
from shared where covered order by person_id
"""

#: One row per thing billed, before versions: person, day, kind, procedure, diagnosis.
_BILLED = """
create table truth.billed as
with visits as (
    select m.person_id, m.birth_on, m.role, m.sex, i,
        m.from_on + (u(m.person_id * 1000 + i, 'when') * greatest(m.to_on - m.from_on, 0))::int as service_on,
        u(m.person_id * 1000 + i, 'what') as what
    from truth.members m,
        range(0, least((greatest(m.to_on - m.from_on, 0) / 365.0 * (0.5 + u(m.person_id, 'user'))
            * case when m.role = 'child' then 1.3 else 0.8 end)::int, 60)) t(i)
), everything as (
    select person_id, service_on, 'OT' as file_type, 'office' as kind,
        case when role <> 'child' then case when what < 0.7 then '99213' else '99214' end
            when what < 0.75 then '99213' when what < 0.85 then '99283' else '90460' end as proc_cd,
        case when role <> 'child' then case when what < 0.4 then 'I10' when what < 0.7 then 'M545' else 'Z0000' end
            when what < 0.6 then 'J069' when what < 0.85 then 'H6690' else 'Z23' end as diag,
        case when role = 'child' and what >= 0.75 and what < 0.85 then '23' else '11' end as pos, '207Q00000X' as
            taxonomy
    from visits
    union all
    select m.person_id, m.birth_on + d + (u(m.person_id * 100 + d, 'well') * 20)::int, 'OT', 'well',
        case when d < 365 then '99391' else '99392' end, 'Z00129', '11', '208000000X'
    from truth.members m, unnest([30, 60, 120, 180, 270, 365, 455, 545, 730, 912]) t(d)
    where m.role = 'child' and m.birth_on >= date '2020-07-01' and u(m.person_id * 100 + d, 'goes') < 0.7
    union all
    select m.person_id, m.birth_on + d + (u(m.person_id * 100 + d, 'well') * 20)::int, 'OT', 'screen', '96110', 'Z1342',
        '11', '208000000X'
    from truth.members m, unnest([270, 545, 912]) t(d)
    where m.role = 'child' and m.birth_on >= date '2020-07-01' and u(m.person_id * 100 + d, 'goes') < 0.5
    union all
    select m.person_id, m.birth_on, 'IP', 'birth', '99460', 'Z3800', null, '282N00000X'
    from truth.members m where m.role = 'child' and m.birth_on >= date '2020-07-01'
    union all
    select distinct c.mother_id, c.birth_on, 'IP', 'delivery', '59400', 'O80', null, '282N00000X'
    from truth.people c join truth.members m on m.person_id = c.mother_id
    where c.role = 'child' and c.birth_on >= date '2020-07-01'
    union all
    select t.person_id, t.at_at::date, 'OT', e.kind, t.code,
        case when e.kind = 'mh' then 'F331' when e.substance = 'alcohol' then 'F1020'
            when e.substance in ('heroin', 'other_opiates') then 'F1120' else 'F1520' end,
        '53', case when e.kind = 'sud' then '261QR0405X' else '261QM0801X' end
    from truth.treatment_visits t join truth.treatments e using (treatment_id)
        join truth.members m on m.person_id = t.person_id
    where t.status = 'kept' and u(t.visit_id, 'billed') < 0.35
)
select row_number() over (order by x.person_id, x.service_on, x.kind, x.proc_cd, x.diag) as claim_id, x.*,
    case when m.shared_until is not null and x.service_on < m.shared_until then m.mothers_id else m.own_id end as
        msis_id,
    m.birth_on, m.sex
from everything x join truth.members m using (person_id)
where x.service_on <= date '2026-09-30' and x.service_on >= date '2020-07-01'
    and (m.death_on is null or x.service_on <= m.death_on)
    and case when m.shared_until is not null and x.service_on < m.shared_until then m.mothers_id else m.own_id end is
        not null
order by claim_id
"""

#: Every version of a claim: the original, then what became of it.
_VERSIONS = """
create table truth.versions as
with originals as (
    select b.*, b.service_on + 7 + (case when u(claim_id, 'late') < 0.05 then 120 + u(claim_id, 'lag') * 150
        else u(claim_id, 'lag') * 50 end)::int as adjudicated_on, u(claim_id, 'fate') as fate,
        (40 + u(claim_id, 'paid') * 160 + case file_type when 'IP' then 4000 else 0 end)::decimal(18, 2) as amount
    from truth.billed b
)
select claim_id, 0 as version, '0' as adjustment_ind, adjudicated_on, amount, fate < 0.04 as denied from originals
union all
select claim_id, 1, '4', adjudicated_on + 20 + (u(claim_id, 'again') * 40)::int, amount * 1.1, false from originals
    where fate between 0.04 and 0.08
union all
select claim_id, 1, '1', adjudicated_on + 15 + (u(claim_id, 'again') * 60)::int, -amount, false from originals
    where fate between 0.08 and 0.1
order by claim_id, version
"""


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Tables several agencies' views read: members (who has which number) and what was billed."""
    for query in (_MEMBERS, _BILLED, _VERSIONS):
        con.execute(query)


_ICN = "'T' || lpad(keyed(b.claim_id, 11)::varchar, 10, '0')"
_KEY = f"""'99' as submitting_state, {_ICN} as icn_orig,
    case when v.version > 0 then 'A' || lpad(keyed(b.claim_id, 12)::varchar, 10, '0') end as icn_adj,
    v.adjudicated_on as adjudication_date, v.adjustment_ind"""

TABLES = {
    "eligibility": """
        with spans as (
            select m.person_id, '05' as grp, b.birth_on - 230 as eff, least(b.birth_on + 60, m.to_on) as stop,
                m.own_seen as seen
            from truth.members m join (select distinct mother_id, birth_on from truth.people where role = 'child') b
                on b.mother_id = m.person_id
            where b.birth_on between date '2020-01-01' and date '2026-09-30' and b.birth_on - 230 < m.to_on
            union all
            select m.person_id, case when m.role = 'mother' then '01' when m.role = 'father' then '74' else '72' end,
                m.from_on, m.to_on, m.own_seen
            from truth.members m where m.role <> 'child'
            union all
            select m.person_id, '06', m.birth_on, (m.birth_on + interval 1 year)::date - 1, m.own_seen
            from truth.members m where m.role = 'child' and m.birth_on >= date '2019-01-01'
            union all
            select m.person_id, '07', greatest((m.birth_on + interval 1 year)::date, date '2019-01-01'), m.to_on,
                m.own_seen
            from truth.members m
            where m.role = 'child' and (m.birth_on + interval 1 year)::date < least(m.to_on, date '2026-09-01')
            union all
            select m.person_id, '08', r.removal_on, coalesce(r.exit_on, date '9999-12-31'), r.entered_on + 20
            from truth.members m join truth.removals r using (person_id)
        ), kept as (
            select distinct on (person_id, grp, eff) * from spans where stop >= eff order by person_id, grp, eff, stop
                desc)
        select '99' as submitting_state, m.own_id as msis_id, 'K' || right(m.own_id, 8) as medicaid_card_id,
            'F' || lpad(keyed(m.family_id, 13)::varchar, 8, '0') as msis_case_num, p.first_name,
            left(p.middle_name, 1) as middle_initial,
            case when u(p.person_id, 'mcname') < 0.7 then coalesce(p.renamed_last, p.last_name) else p.last_name end
                as last_name,
            p.suffix, p.birth_on as dob, p.sex,
            case when p.role <> 'child' and u(p.person_id, 'mcssn') < 0.93 or p.role = 'child'
                and u(p.person_id, 'mcssn') < 0.7 and p.birth_on < date '2026-01-01' then p.ssn end as ssn,
            case p.race when 'white' then '001' when 'black' then '002' when 'aian' then '003' when 'asian' then '011'
                when 'nhpi' then '016' when 'hispanic' then '001' else '017' end as race,
            case when p.race = 'hispanic' then '1' when p.race = 'unknown' then '6' else '0' end as ethnicity,
            h.line as addr_line1, null::varchar as addr_line2, null::varchar as addr_line3, h.city, 'ZZ' as state,
                h.zip,
            h.county_fips, s.grp as eligibility_group_cd, s.eff as eff_date,
            case when s.grp in ('05', '06') or s.stop < date '2026-09-30' then s.stop else date '9999-12-31' end as
                end_date,
            case when u(m.family_id, 'plan') < 0.5 then 'PLAN01' else 'PLAN02' end as plan_id,
            p.death_on as date_of_death,
            case when p.role = 'child' and u(p.person_id, 'mcmother') < 0.5 then mm.own_id end as mother_msis_id,
            p.person_id as _person, greatest(m.own_seen, least(s.seen, s.eff + 40), s.eff) as _seen, null::date as
                _gone,
            case when s.grp in ('05', '06') then null else s.stop + 15 end as _end_seen, p.death_on + 20 as _death_seen,
            case when u(p.person_id, 'mcname') < 0.7 then p.renamed_on + 60 end as _renamed_seen,
            p.last_name as _first_last_name, m.shared_until as _shared_until
        from kept s join truth.members m using (person_id) join truth.people p using (person_id)
        left join truth.members mm on mm.person_id = p.mother_id
        left join (select distinct on (family_id) * from truth.homes where start_on <= date '2026-06-30'
            order by family_id, start_on desc) h on h.family_id = p.family_id
        where m.own_id is not null order by m.person_id, s.grp, s.eff""",
    "member_id_xref": """
        select m.own_id as msis_id, m.mothers_id as identifier_value, '2' as identifier_type_cd, 'UNMERGE' as reason_cd,
            m.shared_until as eff_date, null::date as end_date,
            case when m.shared_until between date '2026-03-01' and date '2026-09-05' and u(m.person_id, 'third') < 0.5
                then date '2026-09-12' else m.shared_until + 40 + (u(m.person_id, 'report') * 150)::int end as _seen,
            null::date as _gone, m.person_id as _child
        from truth.members m where m.shared_until is not null and m.own_id is not null
        union all
        select m.own_id, 'K' || right(m.own_id, 8), '1', 'TCAM', m.from_on, null, m.own_seen, null, null
        from truth.members m where m.own_id is not null and u(m.person_id, 'card') < 0.05
        order by 1, 2""",
    "claim_headers": f"""
        select {_KEY}, case when u(b.person_id, 'ffs') < 0.3 then '1' else '3' end as type_of_claim, b.file_type,
            b.msis_id, b.birth_on as claim_dob, b.sex as claim_sex, b.service_on as service_begin,
            b.service_on + case when b.file_type = 'IP' then 2 else 0 end as service_end,
            case when b.file_type = 'IP' then b.service_on end as admit,
            case when b.file_type = 'IP' then b.service_on + 2 end as discharge,
            case when v.denied then 'F2' else 'F1' end as claim_status_cat,
            case when u(b.person_id, 'ffs') < 0.3 then null else 'PLAN01' end as plan_id,
            '1' || lpad((b.claim_id % 60)::varchar, 9, '0') as billing_npi,
            case when b.file_type = 'IP' then '0111' end as bill_type, b.pos, b.diag as diag_1,
            case when v.denied then 0 else v.amount end::decimal(18, 4) as paid_amt,
            b.person_id as _person, v.adjudicated_on + 4 as _seen, null::date as _gone, b.claim_id as _claim,
            b.kind as _kind
        from truth.versions v join truth.billed b using (claim_id) order by b.claim_id, v.version""",
    "claim_lines": f"""
        select {_KEY}, 1 as line_num, b.proc_cd, case when b.kind = 'screen' and u(b.claim_id, 'u1') < 0.2 then 'U1' end
                as mod1,
            1::decimal(18, 4) as units, b.service_on as service_begin, b.service_on as service_end,
            '1' || lpad((b.claim_id % 60)::varchar, 9, '0') as rendering_npi, b.taxonomy,
            v.adjustment_ind as line_adjustment_ind,
            case when v.denied then '585' when v.adjustment_ind = '1' then '686' end as line_status,
            v.adjudicated_on + 4 as _seen, null::date as _gone, b.claim_id as _claim
        from truth.versions v join truth.billed b using (claim_id)
        union all
        select {_KEY}, 2, '90471', null, 1, b.service_on, b.service_on, '1' || lpad((b.claim_id % 60)::varchar, 9, '0'),
            b.taxonomy, v.adjustment_ind,
            case when v.denied then '585' when v.adjustment_ind = '1' then '686' end,
            v.adjudicated_on + 4, null, b.claim_id
        from truth.versions v join truth.billed b using (claim_id) where b.kind = 'well' and u(b.claim_id, 'shot') < 0.5
        order by 2, 3 nulls first, 6""",
    "pharmacy": """
        select '99' as submitting_state, 'R' || lpad(keyed(b.claim_id, 14)::varchar, 10, '0') as icn_orig,
            case when v.i > 0 then 'Q' || lpad(keyed(b.claim_id, 14)::varchar, 10, '0') end as icn_adj,
            b.service_on + 1 as adjudication_date, case v.i when 0 then '0' else '1' end as adjustment_ind, b.msis_id,
            b.service_on as rx_fill_date,
            case when b.kind = 'sud' then '12496120203' when b.birth_on > b.service_on - 6000 then '00093415580'
                else '00071015523' end as ndc,
            case v.i when 0 then 10 else -10 end as days_supply, case v.i when 0 then 30 else -30 end::decimal(18, 4)
                as qty,
            '1' || lpad((b.claim_id % 60)::varchar, 9, '0') as prescriber_npi,
            '2' || lpad((b.claim_id % 20)::varchar, 9, '0') as dispenser_npi, b.service_on + 6 as _seen,
            null::date as _gone
        from truth.billed b, range(0, case when u(b.claim_id, 'reversed') < 0.02 then 2 else 1 end) v(i)
        where b.kind in ('office', 'sud') and u(b.claim_id, 'rx') < 0.3 order by b.claim_id, v.i""",
    "providers": """
        select '1' || lpad(i::varchar, 9, '0') as npi, 'MP' || lpad(i::varchar, 5, '0') as state_provider_id,
            'Clinic ' || i as name, case when i % 6 = 0 then '261QR0405X' else '208000000X' end as taxonomy,
            (100 + i) || ' Main St' as address, date '2015-01-01' as eff_date, null::date as end_date,
            date '2020-01-01' as _seen, null::date as _gone
        from range(0, 60) t(i) order by i""",
}

LATE: dict[str, dict[str, tuple[str, str]]] = {
    "eligibility": {
        "end_date": ("_end_seen", "date '9999-12-31'"),
        "date_of_death": ("_death_seen", "null"),
        "last_name": ("_renamed_seen", "_first_last_name"),
    },
}
