"""The court's case management extract: upper case, one name string, its own docket and party numbers."""

from __future__ import annotations

_NAME = """upper(plain(case when p.renamed_on <= y.since_on and u(p.person_id, 'ctname') < 0.7
    then p.renamed_last else p.last_name end))"""
_DOCKET = """docket(keyed({0}.case_id, 8), {0}.county, case {0}.kind when 'dependency' then 'JD' when 'tpr' then 'TPR'
    when 'adoption' then 'ADP' else 'GRD' end, {0}.filed_on)"""

TABLES = {
    "numbers": f"select c.case_id, {_DOCKET.format('c')} as docket from truth.court_cases c",
    "cases": """
        select n.docket as court_case_no, 'JUV' || (c.county + 1) as court_id, fips(c.county) as county_fips,
            case c.kind when 'dependency' then 'JD' when 'tpr' then 'TPR' when 'adoption' then 'ADP' else 'GRD' end
                as case_type_cd,
            c.filed_on as filed_date, case when c.closed_on is not null then 'CL' else 'OP' end as status_cd,
            c.closed_on as closed_date,
            case c.closure when 'reunification' then 'REU' when 'relative' then 'REL' when 'guardianship' then 'GUA'
                when 'adoption' then 'ADO' when 'emancipation' then 'EMA' when 'transfer' then 'TRF'
                when 'death' then 'DTH' when 'granted' then 'OTH' when 'other' then 'OTH' end as closure_reason_cd,
            c.judge as judge_id, r.docket as related_case_no, cw_case_id(c.cw_case_id) as agency_case_no,
            c.kind = 'adoption' as sealed_ind,
            c.entered_on as _seen, null::date as _gone, greatest(c.closed_entered_on, c.closed_on) as _end_seen,
            c.case_id as _case
        from truth.court_cases c join court.numbers n using (case_id) left join court.numbers r on r.case_id =
            c.related_id
        order by c.case_id""",
    "parties": f"""
        select n.docket as case_no, party_id(y.party_id) as party_id,
            case when p.person_id is null then 'UNKNOWN FATHER' else {_NAME} || ', ' || upper(plain(p.first_name))
                || case when coalesce(p.middle_name, '') <> '' and u(y.party_id, 'mid') < 0.6
                    then ' ' || upper(plain(p.middle_name)) else '' end
                || case when coalesce(p.suffix, '') <> '' then ' ' || upper(p.suffix) else '' end end as party_name_raw,
            case when c.county = 1 then upper(plain(p.first_name)) end as first_name,
            null::varchar as middle_name, case when c.county = 1 then {_NAME} end as last_name,
            case when c.county = 1 then nullif(upper(p.suffix), '') end as name_suffix,
            case when y.role = 'child' or u(y.party_id, 'ctdob') < 0.15 then p.birth_on end as dob,
            case when y.role = 'unknown_father' then 'M' else p.sex end as sex,
            case y.role when 'child' then 'CHI' when 'mother' then 'MOT' when 'father' then 'FAT'
                when 'putative_father' then 'FPU' else 'FAL' end as role_cd,
            case when u(y.party_id, 'ctaddr') < 0.5 and p.person_id is not null
                then upper(h.line || ', ' || h.city || ' ZZ ' || h.zip) end as address,
            y.since_on as start_date, y.until_on as end_date, p.person_id as _person, y.entered_on as _seen,
            null::date as _gone, y.party_id as _party, y.role as _role
        from truth.parties y join truth.court_cases c using (case_id) join court.numbers n using (case_id)
        left join truth.people p using (person_id)
        left join truth.homes h on h.family_id = p.family_id and y.since_on >= h.start_on
            and y.since_on < coalesce(h.end_on, date '2100-01-01')
        order by y.party_id""",
    "attorneys": """
        select distinct on (1, 2, 3, 4, 5) n.docket as case_no, party_id(a.party_id) as person_represented_party_id,
            'B' || lpad(a.attorney::varchar, 5, '0') as attorney_id,
            case a.role when 'gal' then 'GAL' when 'casa' then 'CASA' when 'child_attorney' then 'CAT' else 'PAT' end
                as role_cd,
            a.appointed_on as appointed_date, a.withdrawn_on as withdrawn_date,
            greatest(a.entered_on, a.appointed_on) as _seen, null::date as _gone, a.withdrawn_on as _end_seen
        from truth.attorneys a join court.numbers n using (case_id) order by 1, 2, 3, 4, 5""",
    "petitions": """
        select 'PT' || t.petition_id as petition_id, n.docket as case_no, party_id(t.party_id) as child_party_id,
            party_id(t.parent_party_id) as respondent_party_id,
            case t.kind when 'dependency' then 'OR' when 'tpr' then 'TPR' when 'adoption' then 'ADP' else 'GRD' end
                as petition_type_cd,
            t.filed_on as filed_date, upper(t.allegations) as allegation_cds,
            case when t.disposition is null then null when t.kind = 'dependency' then 'SUST' else 'GRNT' end
                as disposition_cd,
            t.disposition_on as disposition_date, t.entered_on as _seen, null::date as _gone,
            t.disposition_entered_on as _end_seen
        from truth.petitions t join court.numbers n using (case_id) order by t.petition_id""",
    "hearings": """
        select 'H' || lpad(h.hearing_id::varchar, 8, '0') as hearing_id, n.docket as case_no,
            case h.kind when 'shelter' then 'SHEL' when 'adjudication' then 'ADJ' when 'disposition' then 'DISP'
                when 'review' then 'REV' when 'court_team_status' then 'ITCT' when 'permanency' then 'PERM'
                when 'tpr' then 'TPR' when 'adoption_finalization' then 'ADOF' else 'OTH' end as hearing_type_cd,
            h.scheduled_at as scheduled_ts, h.held_at as held_ts,
            case h.status when 'held' then 'HELD' when 'continued' then 'CONT' when 'vacated' then 'VAC' else 'SCHD' end
                as status_cd,
            'H' || lpad(h.next_id::varchar, 8, '0') as continued_to_hearing_id,
            case h.reason when 'party_absent' then 'PAR' when 'counsel_unavailable' then 'ATTY' when 'service' then
                'SVC'
                when 'report_late' then 'AGY' when 'court' then 'CRT' end as continuance_reason_cd,
            h.judge as judge_id,
            case h.modality when 'in_person' then 'INP' when 'video' then 'VID' else 'HYB' end as modality_cd,
            null::timestamp as next_hearing_ts,
            h.entered_on as _seen, null::date as _gone,
            greatest(h.outcome_entered_on, h.scheduled_at::date) as _held_seen, h.hearing_id as _hearing, h.kind as
                _kind
        from truth.hearings h join court.numbers n using (case_id) order by h.hearing_id""",
    "hearing_attendance": """
        select 'H' || lpad(a.hearing_id::varchar, 8, '0') as hearing_id, party_id(a.party_id) as party_id,
            a.attended as attended_ind,
            case a.by when 'in_person' then 'P' when 'video' then 'V' when 'phone' then 'T' end as appeared_by_cd,
            null::boolean as counsel_present_ind, a.entered_on as _seen, null::date as _gone
        from truth.attendance a order by a.hearing_id, a.party_id""",
    "orders": """
        select 'O' || lpad(o.order_id::varchar, 8, '0') as order_id, 'H' || lpad(o.hearing_id::varchar, 8, '0') as
            hearing_id,
            n.docket as case_no, party_id(o.party_id) as child_party_id,
            case o.kind when 'finding' then 'F' else 'O' end as order_type_cd,
            case o.finding when 'abuse_neglect' then 'ABN' when 'reasonable_efforts_removal' then 'RER'
                when 'reasonable_efforts' then 'REP' when 'no_reasonable_efforts' then 'NRE'
                when 'compelling_reason' then 'CPR' when 'tpr_granted' then 'TPG' else 'CUS' end as finding_cd,
            o.order_on as order_date, o.signed_on as signed_date,
            case o.finding when 'reasonable_efforts_removal' then 'RER' when 'reasonable_efforts' then 'REP'
                when 'no_reasonable_efforts' then 'NRE' end as reasonable_efforts_finding_cd,
            case when o.finding = 'reasonable_efforts_removal' then true end as contrary_to_welfare_ind,
            case o.goal when 'reunification' then 'REU' when 'adoption' then 'ADO' end as permanency_goal_cd,
            case o.custody when 'agency' then 'AGY' end as custody_cd, o.order_on as effective_date,
            greatest(o.entered_on, o.order_on) as _seen, null::date as _gone, o.signed_on + 1 as _signed_seen,
            o.finding as _finding
        from truth.orders o join court.numbers n using (case_id) order by o.order_id""",
    "family_time_orders": """
        select 'O' || lpad(f.order_id::varchar, 8, '0') as order_id, party_id(f.child_party_id) as child_party_id,
            party_id(f.parent_party_id) as parent_party_id, f.per_week::decimal(18, 4) as frequency_per_week,
            f.minutes as minutes_per_visit, 'SUP' as supervision_cd, f.start_on as start_date, f.end_on as end_date,
            null::varchar as order_text_raw, f.entered_on as _seen, null::date as _gone
        from truth.family_time_orders f order by f.order_id""",
}

LATE: dict[str, dict[str, tuple[str, str]]] = {
    "cases": {
        "status_cd": ("_end_seen", "'OP'"),
        "closed_date": ("_end_seen", "null"),
        "closure_reason_cd": ("_end_seen", "null"),
    },
    "attorneys": {"withdrawn_date": ("_end_seen", "null")},
    "petitions": {"disposition_cd": ("_end_seen", "null"), "disposition_date": ("_end_seen", "null")},
    "hearings": {
        "status_cd": ("_held_seen", "'SCHD'"),
        "held_ts": ("_held_seen", "null"),
        "continued_to_hearing_id": ("_held_seen", "null"),
        "continuance_reason_cd": ("_held_seen", "null"),
    },
    "orders": {"signed_date": ("_signed_seen", "null")},
}
