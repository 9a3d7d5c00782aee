"""The court team's workbook: names typed by hand, rows numbered by the coordinator, parents named by their role."""

from __future__ import annotations

_ENROLLMENT = "'E-' || lpad({0}.enrollment_id::varchar, 4, '0')"
#: The first enrolment of each child; needs, meetings and scores of a parent hang on it.
_FIRST = "(select person_id as child_id, min(enrollment_id) as enrollment_id from truth.enrollments group by 1)"
_ROLE = """case when {0}.person_id = {0}.child_id then 'Child' when {0}.person_id = k.mother_id then 'Mother'
    when k.father_certainty = 'legal' then 'Father' else 'Possible father' end"""
_WHO = """case when {0}.person_id <> {0}.child_id then p.first_name end as parent_first_name,
    case when {0}.person_id <> {0}.child_id then p.last_name end as parent_last_name"""
_JOIN = f"""join {_FIRST} e using (child_id) join truth.people p using (person_id)
    join truth.people k on k.person_id = x.child_id"""

TABLES = {
    "enrollments": f"""
        select {_ENROLLMENT.format("e")} as enrollment_id, e.site as site_id, k.first_name as child_first_name,
            k.last_name as child_last_name, k.birth_on as child_dob, k.sex as child_sex,
            m.first_name as mother_first_name, m.last_name as mother_last_name,
            case when u(e.enrollment_id, 'ccwis') < 0.85 then cw_case_id(e.cw_case_id) end as ccwis_case_no,
            case when u(e.enrollment_id, 'docket') < 0.75 then d.docket end as court_case_no,
            case when k.race = 'aian' then 'Yes' else 'No' end as icwa_status_cd, e.referred_on as referral_date,
            e.enrolled_on as accepted_date, e.closed_on as close_date,
            case e.close_reason when 'reunification' then 'Reunified' when 'relative' then 'Relative'
                when 'guardianship' then 'Guardianship' when 'adoption' then 'Adopted'
                when 'family_withdrew' then 'Withdrew' when 'other' then 'Other' end as close_reason_cd,
            e.person_id as _person, e.entered_on as _seen, null::date as _gone, e.closed_entered_on as _end_seen
        from truth.enrollments e join truth.people k using (person_id) join truth.people m on m.person_id = k.mother_id
        left join (
            select y.person_id, c.cw_case_id, min(n.docket) as docket from truth.parties y
            join truth.court_cases c using (case_id) join court.numbers n using (case_id)
            where c.kind = 'dependency' and y.role = 'child' group by 1, 2) d
            on d.person_id = e.person_id and d.cw_case_id = e.cw_case_id
        order by e.enrollment_id""",
    "family_team_meetings": f"""
        select 'M-' || lpad(x.meeting_id::varchar, 5, '0') as meeting_id, {_ENROLLMENT.format("e")} as enrollment_id,
            x.scheduled_at as scheduled_ts, x.held_at as held_ts,
            case x.status when 'held' then 'Held' when 'cancelled' then 'Cancelled' else 'Rescheduled' end as status_cd,
            case when u(x.meeting_id, 'format') < 0.7 then 'In person' else 'Video' end as format_cd, x.facilitator,
            x.minutes as duration_min, x.actions as action_items_ct,
            greatest(x.entered_on, x.scheduled_at::date) as _seen, null::date as _gone
        from (select *, person_id as child_id from truth.meetings) x join {_FIRST} e using (child_id)
        order by x.meeting_id""",
    "ftm_attendees": """
        select 'M-' || lpad(a.meeting_id::varchar, 5, '0') as meeting_id,
            row_number() over (partition by a.meeting_id order by a.rowid) as attendee_no,
            case when p.person_id is not null then p.first_name || ' ' || p.last_name end as person_name,
            case a.role when 'mother' then 'Mother' when 'father' then 'Father' when 'caseworker' then 'Caseworker'
                when 'child_attorney' then 'Child attorney' when 'parent_attorney' then 'Parent attorney'
                when 'early_intervention' then 'Early intervention' when 'treatment_provider' then 'Provider'
                when 'foster_parent' then 'Foster parent' when 'parent_partner' then 'Parent partner'
                else 'Coordinator' end as role_cd,
            case a.role when 'mother' then 'Parent' when 'father' then 'Parent' when 'caseworker' then 'Child welfare'
                when 'child_attorney' then 'Child counsel' when 'parent_attorney' then 'Parent counsel'
                when 'early_intervention' then 'Early childhood' when 'treatment_provider' then 'SUD treatment'
                when 'foster_parent' then 'Family' when 'parent_partner' then 'Parent partner' else 'Coordinator' end
                as sector_cd,
            null::varchar as organization, true as invited_ind, a.attended as attended_ind,
            greatest(a.entered_on, m.scheduled_at::date) as _seen, null::date as _gone
        from truth.attendees a join truth.meetings m using (meeting_id) left join truth.people p on p.person_id =
            a.person_id
        order by a.meeting_id, 2""",
    "needs_referrals": f"""
        select 'L-' || lpad(x.need_id::varchar, 5, '0') as referral_id, 'N-' || lpad(x.need_id::varchar, 5, '0') as
            need_id,
            {_ENROLLMENT.format("e")} as enrollment_id, {_ROLE.format("x")} as person_role_cd, {_WHO.format("x")},
            case when x.person_id <> x.child_id then p.birth_on end as parent_dob,
            case x.domain when 'sud' then 'SUD' when 'mh' then 'Mental health' when 'housing' then 'Housing'
                when 'parenting' then 'Parenting' when 'domestic_violence' then 'Domestic violence'
                when 'employment' then 'Employment' when 'early_intervention' then 'Early intervention'
                when 'child_parent_therapy' then 'Child-parent therapy' else 'Physical health' end as need_domain_cd,
            case x.domain when 'sud' then 'SUD outpatient' when 'mh' then 'MH therapy' when 'housing' then
                'Housing help'
                when 'parenting' then 'Parenting class' when 'domestic_violence' then 'IPV services'
                when 'employment' then 'Employment help' when 'early_intervention' then 'Part C'
                when 'child_parent_therapy' then 'CPP' else 'Primary care' end as service_type_cd,
            x.identified_on as identified_date, x.referred_on as referred_date, null::date as scheduled_date,
            x.first_service_on as first_service_date,
            case when x.domain = 'early_intervention' then x.first_service_on end as ifsp_date,
            x.completed_on as completed_date,
            case when x.completed_on is not null then 'Completed' when x.first_service_on is not null then 'Started'
                when x.referred_on is not null then 'Referred' else 'Identified' end as status_cd,
            x.provider, x.domain = 'sud' as part2_ind,
            nullif(x.person_id, x.child_id) as _person, x.entered_on as _seen, null::date as _gone,
            greatest(x.entered_on, x.referred_on) as _referred_seen,
            case when x.first_service_on is not null
                then greatest(x.entered_on, x.service_entered_on) end as _start_seen,
            case when x.completed_on is not null
                then greatest(x.entered_on, x.service_entered_on, x.completed_entered_on) end as _end_seen
        from truth.needs x {_JOIN} order by x.need_id""",
    "screenings": f"""
        select 'S-' || lpad(x.screening_id::varchar, 5, '0') as screening_id, {_ENROLLMENT.format("e")} as
            enrollment_id,
            'Child' as person_role_cd, null::varchar as parent_first_name, null::varchar as parent_last_name,
            case x.instrument when 'ASQ3' then 'ASQ-3' when 'ASQSE2' then 'ASQ:SE-2' else 'M-CHAT-R' end as
                instrument_cd,
            x.performed_on as performed_date, x.score::decimal(18, 4) as score,
            case x.result when 'refer' then 'Concern' when 'monitor' then 'Monitor' else 'Pass' end as result_cd,
            x.referred as referred_ind, null::bigint as _person, x.entered_on as _seen, null::date as _gone
        from (select *, person_id as child_id from truth.screenings) x join {_FIRST} e using (child_id)
        order by x.screening_id""",
    "ace_scores": f"""
        select 'A-' || lpad(x.ace_id::varchar, 4, '0') as ace_id, {_ENROLLMENT.format("e")} as enrollment_id,
            {_ROLE.format("x")} as person_role_cd, {_WHO.format("x")}, p.birth_on as parent_dob, 'ACE-10' as
                instrument_cd,
            x.score, x.answered as items_answered, x.assessed_on as assessed_date, x.person_id as _person,
            x.entered_on as _seen, null::date as _gone
        from truth.aces x {_JOIN} order by x.ace_id""",
    "parent_partners": f"""
        select 'PP-' || lpad(x.partner_id::varchar, 4, '0') as match_id, {_ENROLLMENT.format("e")} as enrollment_id,
            {_ROLE.format("x")} as person_role_cd, {_WHO.format("x")}, p.birth_on as parent_dob,
            x.offered_on as offered_date, x.matched_on as matched_date, x.ended_on as ended_date,
            x.matched_on is null as declined_ind, case when x.matched_on is not null then 4 + x.partner_id % 20 end
                as contacts_ct,
            x.person_id as _person, x.entered_on as _seen, null::date as _gone, x.ended_entered_on as _end_seen
        from truth.partners x {_JOIN} order by x.partner_id""",
    "survey_answers": """
        select a.respondent as respondent_id, a.organisation as org_id,
            case a.sector when 'child_welfare' then 'Child welfare' when 'court' then 'Court' when 'medicaid' then
                'Health'
                when 'behavioral_health' then 'SUD treatment' when 'early_intervention' then 'Early childhood'
                else 'Parent partner' end as sector_cd,
            a.site as site_id, case a.wave when 'base' then 'BASE' else 'FOLLOW' end as wave_cd,
            a.item as item_id,
            a.value, a.submitted_on as submitted_date, a.entered_on as _seen, null::date as _gone
        from truth.answers a order by a.answer_id""",
    "improvement_cycles": """
        select 'C-' || lpad(c.cycle_id::varchar, 3, '0') as cycle_id, c.site as site_id, c.change as change_id,
            'Small test of change ' || c.cycle_id as change_description, c.measure as measure_id,
            c.start_on as start_date, c.end_on as end_date,
            case c.decision when 'adopt' then 'Adopt' when 'adapt' then 'Adapt' when 'abandon' then 'Abandon' end
                as decision_cd,
            case when c.spread > 0 then case c.site when 'alder' then 'birch' else 'alder' end end as spread_to_sites,
            c.entered_on as _seen, null::date as _gone, c.end_on + 5 as _end_seen
        from truth.cycles c order by c.cycle_id""",
}

LATE: dict[str, dict[str, tuple[str, str]]] = {
    "enrollments": {"close_date": ("_end_seen", "null"), "close_reason_cd": ("_end_seen", "null")},
    "needs_referrals": {
        "referred_date": ("_referred_seen", "null"),
        "first_service_date": ("_start_seen", "null"),
        "ifsp_date": ("_start_seen", "null"),
        "completed_date": ("_end_seen", "null"),
        "status_cd": (
            "coalesce(_end_seen, _start_seen)",
            "case when _end_seen is not null and _start_seen <= {day} then 'Started' else 'Referred' end",
        ),
    },
    "parent_partners": {"ended_date": ("_end_seen", "null")},
    "improvement_cycles": {
        "end_date": ("_end_seen", "null"),
        "decision_cd": ("_end_seen", "null"),
        "spread_to_sites": ("_end_seen", "null"),
    },
}
