"""The child welfare agency's case management tables, and its AFCARS file.

What does not belong here: errors (``dirt``) and file formats (``render``).
"""

from __future__ import annotations

from pipelines.demo.views import afcars

_EXIT = """case {0} when 'reunification' then 'REUN' when 'relative' then 'RELA' when 'guardianship' then 'GUAR'
    when 'adoption' then 'ADOP' when 'emancipation' then 'EMAN' when 'transfer' then 'TRAN' when 'runaway' then 'RUNA'
    when 'death' then 'DEAT' end"""
_GOAL = """case {0} when 'reunification' then 'REUN' when 'relative' then 'RELA' when 'guardianship' then 'GUAR'
    when 'adoption' then 'ADOP' end"""

#: Everybody the agency knows, since when, and under which surname it knew them first.
KNOWN = """
with family_seen as (
    select family_id, min(entered_on) as seen from truth.reports group by family_id
), unborn as (
    select person_id, min(a.entered_on) as seen from truth.allegations a where is_unborn group by person_id
), homes as (
    select a.person_id, min(l.entered_on) as seen
    from truth.providers v cross join unnest([adult1_id, adult2_id]) a(person_id)
    join truth.placements l using (provider_id) group by 1
), everyone as (
    select p.person_id, case when p.role = 'child' then coalesce(u.seen, greatest(f.seen, p.birth_on + 2)) else f.seen
        end
        as seen, u.seen is not null and u.seen < p.birth_on as was_unborn
    from truth.people p join family_seen f using (family_id) left join unborn u using (person_id)
    where p.role in ('mother', 'father', 'child', 'grandmother', 'aunt')
    union all
    select h.person_id, h.seen, false from homes h join truth.people p using (person_id) where p.role = 'foster_parent'
)
select p.*, e.seen, e.was_unborn from everyone e join truth.people p using (person_id) order by p.person_id
"""

TABLES = {
    "known": KNOWN,
    "persons": """
        select cw_id(k.person_id) as person_id, k.first_name, nullif(k.middle_name, '') as middle_name,
            coalesce(case when u(k.person_id, 'cwname') < 0.8 then k.renamed_last end, k.last_name) as last_name,
            k.suffix as name_suffix,
            case when k.role = 'father' and u(k.person_id, 'cwdob') < 0.15 then null else k.birth_on end as dob,
            false as dob_estimated_ind, k.sex,
            case when k.seen - k.birth_on < 365 and u(k.person_id, 'cwssn') < 0.75 then null
                when u(k.person_id, 'cwssn') < 0.62 then k.ssn end as ssn,
            case when u(k.person_id, 'cwmed') < 0.5 then m.own_id end as medicaid_id,
            case k.race when 'white' then 'WH' when 'black' then 'BL' when 'hispanic' then 'WH' when 'aian' then 'AI'
                when 'asian' then 'AS' when 'nhpi' then 'NH' when 'multiple' then 'BL;WH' else 'UN' end as race_cds,
            case when k.race = 'hispanic' then 'Y' when k.race = 'unknown' then 'U' else 'N' end as hispanic_cd,
            k.death_on as deceased_date,
            case when k.role = 'child' then 'Mercy Hospital' end as birth_facility_name,
            case when k.role = 'child' then 'Alderton' end as birth_city,
            k.race = 'aian' as tribal_membership_ind,
            case when r.person_id is not null then case when k.race = 'aian' then 'Y' else 'N' end end as
                icwa_status_cd,
            false as sealed_ind, null::varchar as merged_into_person_id,
            case when r.person_id is not null then 'R' || upper(left(md5(k.person_id::varchar || 'afcars'), 11)) end
                as afcars_record_number,
            at_noon(k.seen) as created_ts, at_noon(k.seen) as updated_ts,
            k.person_id as _person, k.seen as _seen, null::date as _gone, k.birth_on as _birth,
            case when k.was_unborn then k.birth_on + 2 end as _born_seen,
            k.birth_on + ((u(k.person_id, 'edd') * 20)::int - 10) as _due, k.renamed_on + 40 as _renamed_seen,
            k.last_name as _first_last_name, k.death_on + 10 as _death_seen,
            greatest(m.own_seen, k.seen) as _med_seen, r.entered as _removed_seen, k.role as _role
        from child_welfare.known k
        left join truth.members m using (person_id)
        left join (select person_id, min(entered_on) as entered from truth.removals group by 1) r using (person_id)
        order by k.person_id""",
    "person_names": """
        select 'NM' || k.person_id as person_name_id, cw_id(k.person_id) as person_id,
            case when k.role = 'child' then 'BIRTH' when k.sex = 'F' then 'MAIDEN' else 'AKA' end as name_type_cd,
            k.first_name, k.middle_name, k.last_name, k.suffix as name_suffix, null::date as eff_start,
            k.renamed_on as eff_end, k.person_id as _person, greatest(k.seen, k.renamed_on + 40) as _seen,
            null::date as _gone
        from child_welfare.known k where k.renamed_last is not null and u(k.person_id, 'cwname') < 0.8
        union all
        select 'NA' || k.person_id, cw_id(k.person_id), 'AKA', k.first_name, null,
            split_part(k.last_name, ' ', 1), k.suffix, null, null, k.person_id, k.seen, null
        from child_welfare.known k where k.last_name like '% %' and u(k.person_id, 'aka') < 0.5
        order by 1""",
    "person_addresses": """
        select 'AD' || k.person_id || '-' || h.number as address_id, cw_id(k.person_id) as person_id,
            'HOME' as address_type_cd, h.line as line1, null::varchar as line2, h.city, 'ZZ' as state, h.zip,
            h.county_fips, k.phone, greatest(h.start_on, k.birth_on) as start_date, h.end_on as end_date,
            k.person_id as _person, greatest(k.seen, h.start_on + 15) as _seen, null::date as _gone,
            h.end_on + 15 as _end_seen
        from child_welfare.known k join truth.homes h using (family_id)
        where (k.role in ('mother', 'child') or (k.role = 'father' and u(k.person_id, 'lives') < 0.4))
            and coalesce(h.end_on, date '2100-01-01') > greatest(k.birth_on, k.seen - 400)
        union all
        select 'AP' || v.provider_id || '-' || k.person_id, cw_id(k.person_id), 'HOME', v.line, null, v.city, 'ZZ',
            v.zip,
            fips(v.county), k.phone, date '2015-01-01', null, k.person_id, k.seen, null, null
        from truth.providers v join child_welfare.known k on k.person_id in (v.adult1_id, v.adult2_id)
        union all
        select 'AL' || l.placement_id, cw_id(l.person_id), 'PLCMT', v.line, null, v.city, 'ZZ', v.zip, fips(v.county),
            null, l.start_on, l.end_on, l.person_id, l.entered_on, null, l.end_entered_on
        from truth.placements l join truth.providers v using (provider_id) where v.kind in ('foster', 'kin', 'group')
        order by 1""",
    "relationships": """
        select 'RM' || c.person_id as relationship_id, cw_id(c.mother_id) as person_id_1, cw_id(c.person_id) as
            person_id_2,
            'MO' as relationship_cd, c.birth_on as start_date, null::date as end_date, true as same_household_ind,
            false as absent_parent_ind, true as legal_parent_ind, false as putative_ind,
            case when m.death_on is not null then 'DEC' else 'LOC' end as parent_status_cd,
            coalesce(m.death_on, c.birth_on) as parent_status_date,
            greatest(c.seen, m.seen) as _seen, null::date as _gone, m.death_on + 10 as _status_seen
        from child_welfare.known c join child_welfare.known m on m.person_id = c.mother_id where c.role = 'child'
        union all
        select 'RF' || c.person_id, cw_id(c.father_id), cw_id(c.person_id),
            case when c.father_certainty = 'legal' then 'FA' else 'PF' end, c.birth_on, null, false,
            c.father_certainty <> 'legal', c.father_certainty = 'legal', c.father_certainty <> 'legal',
            'LOC', c.birth_on, greatest(c.seen, f.seen), null, null
        from child_welfare.known c join child_welfare.known f on f.person_id = c.father_id where c.role = 'child'
        union all
        select 'RK' || c.person_id, cw_id(k.person_id), cw_id(c.person_id),
            case k.role when 'grandmother' then 'GP' else 'AU' end, c.birth_on, null, false, false, false, false,
            null, null, greatest(c.seen, k.seen), null, null
        from child_welfare.known c join child_welfare.known k using (family_id)
        where c.role = 'child' and k.role in ('grandmother', 'aunt')
        union all
        select 'RA' || a.person_id, cw_id(a.parent_id), cw_id(a.person_id), 'AP', a.adopted_on, null, true, false, true,
            false, null, null, a.adopted_on + 20, null, null
        from truth.adoptions a where a.parent_id is not null
        order by 1""",
    "cases": """
        select cw_case_id(c.case_id) as case_id, 'OOH' as case_type_cd, c.opened_on as open_date,
            e.closed as close_date, case when e.closed is not null then 'PERM' end as close_reason_cd,
            fips(c.county) as county_fips, c.worker as worker_id,
            c.opened_on + 3 as _seen, null::date as _gone, e.closed + 5 as _end_seen, c.case_id as _case
        from truth.cw_cases c left join (
            select case_id, max(exit_on) + 20 as closed from truth.removals group by case_id
            having count(*) = count(exit_on) and max(exit_on) + 20 <= date '2026-09-20') e using (case_id)
        order by c.case_id""",
    "case_participants": """
        select 'CP' || m.case_id || '-' || m.person_id as case_participant_id, cw_case_id(m.case_id) as case_id,
            cw_id(m.person_id) as person_id,
            case m.role when 'child' then 'CHILD' when 'mother' then 'MOTHER' when 'father' then 'FATHER'
                else 'PUTFATHER' end as role_cd,
            m.since_on as start_date, null::date as end_date, greatest(k.seen, m.since_on + 3) as _seen,
            null::date as _gone
        from truth.case_members m join child_welfare.known k using (person_id) order by m.case_id, m.person_id""",
    "referrals": """
        select 'RF' || lpad(keyed(r.report_id, 5)::varchar, 8, '0') as referral_id, cw_case_id(r.case_id) as case_id,
            r.received_at as received_ts, r.screened_in as screened_in_ind,
            case r.response when 'investigation' then 'INV' when 'alternative' then 'ALT' else 'SCO' end as response_cd,
            fips(r.county) as county_fips,
            case when r.screened_in then r.received_at::date + 1 end as investigation_start_date,
            d.closed as closed_date,
            r.entered_on as _seen, r.expunged_on as _gone, r.received_at::date + 3 as _start_seen,
            d.closed_seen as _end_seen, r.report_id as _report
        from truth.reports r left join (
            select report_id, max(disposition_on) as closed, max(disposition_entered_on) as closed_seen
            from truth.allegations group by report_id) d using (report_id)
        order by r.report_id""",
    "allegations": """
        select 'AL' || a.allegation_id as allegation_id,
            'RF' || lpad(keyed(a.report_id, 5)::varchar, 8, '0') as referral_id, cw_id(a.person_id) as victim_person_id,
            cw_id(a.perpetrator_id) as perpetrator_person_id,
            case a.maltreatment when 'physical_abuse' then '1' when 'neglect' then '2' when 'medical_neglect' then '3'
                when 'sexual_abuse' then '4' else '5' end as maltreatment_cd,
            r.incident_on as incident_date,
            case a.disposition when 'substantiated' then '1' when 'indicated' then '2' when 'alternative' then '4'
                when 'unsubstantiated' then '5' when 'other' then '7' end as disposition_cd,
            a.disposition_on as disposition_date,
            case when a.perpetrator_role in ('mother', 'father') then '1' else '99' end as perp_relationship_cd,
            false as fatality_ind,
            a.entered_on as _seen, r.expunged_on as _gone, a.disposition_entered_on as _disposed_seen,
            a.person_id as _victim
        from truth.allegations a join truth.reports r using (report_id) order by a.allegation_id""",
    "removals": f"""
        select 'RE' || lpad(keyed(r.removal_id, 6)::varchar, 8, '0') as removal_id, cw_id(r.person_id) as
            child_person_id,
            cw_case_id(r.case_id) as case_id, r.removal_on as removal_date,
            strftime(r.removed_at, '%H:%M') as removal_time, at_noon(r.entered_on) as removal_entered_ts,
            case r.manner when 'court_ordered' then 'CO' else 'VO' end as removal_manner_cd,
            case r.environment when 'medical' then '6' else '1' end as environment_cd,
            cw_id(r.mother_id) as caretaker1_id, cw_id(r.father_id) as caretaker2_id, fips(r.county) as county_fips,
            contains(r.reasons, 'physical_abuse') as e74_physical_abuse,
            contains(r.reasons, 'sexual_abuse') as e75_sexual_abuse, contains(r.reasons, 'neglect') as e77_neglect,
            contains(r.reasons, 'domestic_violence') as e79_domestic_violence,
            contains(r.reasons, 'abandonment') as e80_abandonment,
            contains(r.reasons, 'caretaker_alcohol_use') as e82_caretaker_alcohol_use,
            contains(r.reasons, 'caretaker_drug_use') as e83_caretaker_drug_use,
            contains(r.reasons, 'prenatal_drug_exposure') as e87_prenatal_drug_exposure,
            contains(r.reasons, 'incarceration') as e93_incarceration_of_caretaker,
            contains(r.reasons, 'inadequate_housing') as e96_inadequate_housing,
            contains(r.reasons, 'homelessness') as e105_homelessness,
            r.exit_on as exit_date, at_noon(r.exit_entered_on) as exit_entered_ts,
            {_EXIT.format("r.exit_reason")} as exit_reason_cd,
            r.entered_on as _seen, null::date as _gone, r.exit_entered_on as _end_seen, r.removal_id as _removal
        from truth.removals r order by r.removal_id""",
    "placements": """
        select 'PL' || lpad(keyed(l.placement_id, 7)::varchar, 8, '0') as placement_id,
            'RE' || lpad(keyed(l.removal_id, 6)::varchar, 8, '0') as removal_id, cw_id(l.person_id) as child_person_id,
            l.start_on as start_date, l.end_on as end_date,
            case l.setting when 'foster' then case when l.pre_adoptive and l.seq > 90 then 'PAH' else 'FFH' end
                when 'kin' then 'RFH' when 'shelter' then 'SHE' when 'group' then 'GRP'
                when 'hospital' then case when l.start_on - p.birth_on < 6 then 'NUR' else 'HOS' end
                when 'respite' then 'RES' when 'runaway' then 'RUN' else 'THV' end as placement_type_cd,
            'PV' || lpad(l.provider_id::varchar, 6, '0') as provider_id, cw_id(v.adult1_id) as provider_person1_id,
            cw_id(v.adult2_id) as provider_person2_id,
            case when l.is_kin then 'REL' when l.setting = 'foster' then 'NON' end as provider_relationship_cd,
            l.licensed as licensed_ind, l.pre_adoptive as pre_adopt_ind,
            case when l.setting = 'runaway' then '4' else '1' end as location_cd,
            case when l.end_on is null then null when l.end_on = r.exit_on then 'EXIT' else 'MOVE' end as end_reason_cd,
            false as voided_ind,
            l.entered_on as _seen, null::date as _gone, l.end_entered_on as _end_seen, l.removal_id as _removal
        from truth.placements l join truth.people p using (person_id) join truth.removals r using (removal_id)
        left join truth.providers v on v.provider_id = l.provider_id order by l.placement_id""",
    "legal_statuses": """
        select 'LS' || row_number() over (order by l.removal_id, l.effective_on) as legal_status_id,
            cw_id(l.person_id) as child_person_id, cw_case_id(r.case_id) as case_id,
            case l.status when 'temporary_custody' then 'TEMP' when 'dependent_in_custody' then 'DEP' else 'PERMC' end
                as legal_status_cd,
            l.effective_on as effective_date, l.end_on as end_date, c.docket as court_case_no,
            l.entered_on as _seen, null::date as _gone, l.end_entered_on as _end_seen
        from truth.legal l join truth.removals r using (removal_id)
        left join (
            select y.person_id, c.cw_case_id, c.filed_on, docket(keyed(c.case_id, 8), c.county, 'JD', c.filed_on) as
                docket
            from truth.court_cases c join truth.parties y using (case_id)
            where c.kind = 'dependency' and y.role = 'child') c
            on c.person_id = l.person_id and c.cw_case_id = r.case_id and c.filed_on between r.removal_on and
                r.removal_on + 9
        order by l.removal_id, l.effective_on""",
    "permanency_plans": f"""
        select 'PP' || n.plan_id as permanency_plan_id, cw_id(n.person_id) as child_person_id,
            'RE' || lpad(keyed(n.removal_id, 6)::varchar, 8, '0') as removal_id, n.plan_on as plan_date,
            lead(n.plan_on) over w as plan_end_date, {_GOAL.format("n.goal")} as plan_cd,
            {_GOAL.format("n.concurrent")} as concurrent_plan_cd, n.entered_on as _seen, null::date as _gone,
            lead(n.entered_on) over w as _end_seen
        from truth.plans n window w as (partition by n.removal_id order by n.plan_on) order by n.plan_id""",
    "contacts": """
        select 'CO' || c.contact_id as contact_id, cw_case_id(c.case_id) as case_id, c.worker as worker_id,
            c.contact_at as contact_ts, 'CHILD' as contact_type_cd,
            case c.method when 'in_person' then 'F2F' else 'VID' end as method_cd,
            case c.place when 'residence' then 'RES' else 'OTH' end as location_cd, c.completed as completed_ind,
            greatest(c.entered_on, c.contact_at::date) as _seen, null::date as _gone
        from truth.contacts c order by c.contact_id""",
    "contact_participants": """
        select 'CO' || c.contact_id as contact_id, cw_id(c.person_id) as person_id, 'CHILD' as participant_role_cd,
            greatest(c.entered_on, t.contact_at::date) as _seen, null::date as _gone
        from truth.contact_members c join truth.contacts t using (contact_id) order by c.contact_id, c.person_id""",
    "family_time": """
        select 'FT' || v.visit_id as visit_id, cw_id(v.person_id) as child_person_id, cw_id(v.parent_id) as
            parent_person_id,
            v.scheduled_at as scheduled_ts, v.start_at as start_ts, v.end_at as end_ts,
            case v.status when 'held' then 'HELD' when 'cancelled_parent' then 'CANP' when 'cancelled_agency' then
                'CANA'
                when 'cancelled_provider' then 'CANV' else 'NOSH' end as status_cd,
            case v.supervision when 'supervised' then 'SUP' else 'UNS' end as supervision_cd,
            case v.place when 'agency_office' then 'OFF' when 'parent_home' then 'HOME' when 'community' then 'COMM'
                when 'visitation_center' then 'CENT' else 'VIDE' end as location_cd, v.provider_id,
            greatest(v.entered_on, v.scheduled_at::date) as _seen, null::date as _gone
        from truth.family_time v order by v.visit_id""",
    "services": """
        select 'SV' || s.service_id as service_id, cw_id(s.person_id) as person_id, null::varchar as case_id,
            case s.service when 'parenting' then 'PAR' when 'housing' then 'HOU' when 'domestic_violence' then 'DV'
                else 'TRA' end as service_cd,
            s.referral_on as referral_date, s.start_on as start_date, s.end_on as end_date, s.provider,
            case s.status when 'completed' then 'COMP' when 'active' then 'ACT' else 'REF' end as status_cd,
            s.entered_on as _seen, null::date as _gone, greatest(s.start_on + 5, s.entered_on) as _start_seen,
            greatest(s.end_on + 5, s.entered_on) as _end_seen
        from truth.services s join child_welfare.known k using (person_id) order by s.service_id""",
    "workers": """
        select 'WA' || c.case_id as assignment_id, c.worker as worker_id, cw_case_id(c.case_id) as case_id,
            'PRI' as role_cd, c.opened_on as start_date, null::date as end_date, c.opened_on + 3 as _seen,
            null::date as _gone
        from truth.cw_cases c order by c.case_id""",
}

TABLES |= afcars.TABLES

LATE: dict[str, dict[str, tuple[str, str]]] = {
    "persons": {
        "first_name": ("_born_seen", "'UNBORN'"),
        "middle_name": ("_born_seen", "null"),
        "sex": ("_born_seen", "'U'"),
        "dob": ("_born_seen", "_due"),
        "ssn": ("_born_seen", "null"),
        "last_name": ("_renamed_seen", "_first_last_name"),
        "deceased_date": ("_death_seen", "null"),
        "medicaid_id": ("_med_seen", "null"),
        "afcars_record_number": ("_removed_seen", "null"),
        "icwa_status_cd": ("_removed_seen", "null"),
    },
    "person_addresses": {"end_date": ("_end_seen", "null")},
    "relationships": {
        "parent_status_cd": ("_status_seen", "'LOC'"),
        "parent_status_date": ("_status_seen", "start_date"),
    },
    "cases": {"close_date": ("_end_seen", "null"), "close_reason_cd": ("_end_seen", "null")},
    "referrals": {"closed_date": ("_end_seen", "null"), "investigation_start_date": ("_start_seen", "null")},
    "allegations": {"disposition_cd": ("_disposed_seen", "null"), "disposition_date": ("_disposed_seen", "null")},
    "removals": {
        "exit_date": ("_end_seen", "null"),
        "exit_entered_ts": ("_end_seen", "null"),
        "exit_reason_cd": ("_end_seen", "null"),
    },
    "placements": {"end_date": ("_end_seen", "null"), "end_reason_cd": ("_end_seen", "null")},
    "legal_statuses": {"end_date": ("_end_seen", "null")},
    "permanency_plans": {"plan_end_date": ("_end_seen", "null")},
    "services": {
        "start_date": ("_start_seen", "null"),
        "end_date": ("_end_seen", "null"),
        "status_cd": ("_end_seen", "case when start_date is null then 'REF' else 'ACT' end"),
    },
}
