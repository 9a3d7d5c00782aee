"""The child welfare agency's AFCARS out-of-home care file: federal codes, no names, one record per child served.

Two report periods are sent, one with the first delivery and one with the last.
"""

from __future__ import annotations

_PERIOD = """(values ('202603', date '2025-10-01', date '2026-03-31', date '2026-05-15', date '2026-09-15'),
    ('202609', date '2026-04-01', date '2026-09-30', date '2026-09-30', null::date)) q(e2, first_on, last_on, sent_on,
        gone_on)"""
_NUMBER = "'R' || upper(left(md5({0}.person_id::varchar || 'afcars'), 11))"
_HEAD = f"""'99' as e1_title_iv_agency, q.e2 as e2_report_date, {_NUMBER.format("r")} as e4_child_record_number"""
_TAIL = "q.sent_on as _seen, q.gone_on as _gone"
#: Episodes of children served in a period, as the agency knew them when it sent the file.
_EPISODES = f"""{_PERIOD} join child_welfare.afcars_served s on s.e2 = q.e2 join truth.removals r on r.person_id =
    s.person_id
    and r.removal_on <= q.last_on and r.entered_on <= q.sent_on"""
_FLAGS = {
    "e74_physical_abuse": "physical_abuse",
    "e75_sexual_abuse": "sexual_abuse",
    "e77_neglect": "neglect",
    "e79_domestic_violence": "domestic_violence",
    "e80_abandonment": "abandonment",
    "e82_caretaker_alcohol_use": "caretaker_alcohol_use",
    "e83_caretaker_drug_use": "caretaker_drug_use",
    "e87_prenatal_drug_exposure": "prenatal_drug_exposure",
    "e93_incarceration_of_caretaker": "incarceration",
    "e96_inadequate_housing": "inadequate_housing",
    "e105_homelessness": "homelessness",
}
#: Episodes that ended before the 2020 format came into use are stubs: three dates and codes, nothing inside.
_OLD = "coalesce(r.exit_on < date '2022-10-01', false)"
_OUT = "r.exit_on <= q.last_on and r.exit_entered_on <= q.sent_on"


def _flag(column: str, word: str) -> str:
    return f"case when {_OLD} then null when contains(r.reasons, '{word}') then '1' else '0' end as {column}"


def _race(column: str, *races: str) -> str:
    listed = ", ".join(f"'{race}'" for race in races)
    return f"case when p.race in ({listed}) then '1' else '0' end as {column}"


TABLES = {
    "afcars_served": f"""
        select distinct q.e2, r.person_id from {_PERIOD} join truth.removals r on r.removal_on <= q.last_on
            and coalesce(r.exit_on, date '2100-01-01') >= q.first_on and r.entered_on <= q.sent_on order by 1, 2""",
    "afcars_children": f"""
        select {_HEAD}, p.birth_on as e5_date_of_birth, case p.sex when 'M' then '1' else '2' end as e6_sex,
            {_race("e13_child_race_american_indian_alaska_native", "aian")}, {_race("e14_child_race_asian", "asian")},
            {_race("e15_child_race_black", "black", "multiple")},
            {_race("e16_child_race_native_hawaiian_pacific_islander", "nhpi")},
            {_race("e17_child_race_white", "white", "hispanic", "multiple")},
                {_race("e18_child_race_unknown", "unknown")},
            case p.race when 'hispanic' then '1' when 'unknown' then '9' else '0' end as e21_child_hispanic_latino,
            '1' as e22_health_assessment, year(m.birth_on) as e59_first_parent_birth_year,
            year(f.birth_on) as e60_second_parent_birth_year, {_TAIL}
        from {_PERIOD} join child_welfare.afcars_served r on r.e2 = q.e2 join truth.people p using (person_id)
        join truth.people m on m.person_id = p.mother_id left join truth.people f on f.person_id = p.father_id
        order by q.e2, p.person_id""",
    "afcars_tprs": f"""
        select {_HEAD}, case when r.parent_id = p.mother_id then 'tpr_first_parent' else 'tpr_second_parent' end as
            _tag,
            case when r.parent_id = p.mother_id then '2' end as e63_tpr_parent1,
            case when r.parent_id = p.mother_id then r.filed_on end as e65_tpr_petition_date_parent1,
            case when r.parent_id = p.mother_id then r.disposition_on end as e67_tpr_date_parent1,
            case when r.parent_id <> p.mother_id then '2' end as e64_tpr_parent2,
            case when r.parent_id <> p.mother_id then r.filed_on end as e66_tpr_petition_date_parent2,
            case when r.parent_id <> p.mother_id then r.disposition_on end as e68_tpr_date_parent2, {_TAIL}
        from {_PERIOD} join child_welfare.afcars_served s on s.e2 = q.e2
        join truth.petitions r on r.person_id = s.person_id and r.kind = 'tpr' and r.disposition_on <= q.last_on
        join truth.people p on p.person_id = r.person_id order by q.e2, r.person_id, 4, r.petition_id""",
    "afcars_removals": f"""
        select {_HEAD}, case when {_OLD} then 'removal_1993' else 'removal_2020' end as removal_format,
            r.removal_on as e69_removal_date, case when not {_OLD} then r.entered_on end as
                e70_removal_transaction_date,
            case when {_OLD} then null when r.environment = 'medical' then '6' else '1' end as e71_removal_environment,
            case when not {_OLD} then fips(r.county) end as e3_local_agency,
            {", ".join(_flag(name, word) for name, word in _FLAGS.items())},
            case when {_OUT} then r.exit_on end as e153_exit_date,
            case when {_OUT} and not {_OLD} then r.exit_entered_on end as e154_exit_transaction_date,
            case when {_OUT} then case r.exit_reason when 'reunification' then '1' when 'relative' then '2'
                when 'adoption' then '3' when 'emancipation' then '4' when 'guardianship' then '5' when 'runaway' then
                    '6'
                when 'death' then '7' when 'transfer' then '8' end else '9' end as e155_exit_reason,
            case when {_OUT} and not {_OLD} and r.exit_reason = 'transfer' then '1' end
                as e156_transfer_to_another_agency, {_TAIL}
        from {_EPISODES} order by q.e2, r.person_id, r.removal_on""",
    "afcars_living_arrangements": f"""
        select distinct on (2, 3, 4, 5) {_HEAD}, r.removal_on as e69_removal_date, l.start_on as
            e112_date_living_arrangement,
            case when l.setting in ('foster', 'kin') then '1' else '0' end as e113_foster_family_home,
            case when l.setting in ('foster', 'kin') then case when l.licensed then '1' else '0' end end
                as e114_licensed_home,
            case when l.setting in ('foster', 'kin') then case when l.setting = 'kin' then '1' else '0' end end
                as e117_relative_foster_family,
            case l.setting when 'group' then '2' when 'shelter' then '3' when 'hospital' then '10' when 'runaway' then
                '12'
                when 'trial_home_visit' then '14' end as e120_other_living_arrangement_type,
            case when l.setting = 'runaway' then '4' else '1' end as e121_location_of_living_arrangement,
            case when l.setting in ('foster', 'kin') then case when v.adult2_id is null then '4' else '1' end end
                as e123_marital_status_of_foster_parents,
            case l.setting when 'kin' then '1' when 'foster' then '2' end as e124_relationship_to_foster_parents,
            case when l.setting in ('foster', 'kin') then year(f.birth_on) end as e125_foster_parent1_birth_year,
                {_TAIL}
        from {_EPISODES} join truth.placements l on l.removal_id = r.removal_id and not {_OLD} and l.start_on <=
            q.last_on
            and l.entered_on <= q.sent_on and l.setting <> 'respite'
        left join truth.providers v on v.provider_id = l.provider_id left join truth.people f on f.person_id =
            v.adult1_id
        order by 2, 3, 4, 5, l.seq""",
    "afcars_permanency_plans": f"""
        select distinct {_HEAD}, r.removal_on as e69_removal_date, n.plan_on as e147_permanency_plan_date,
            case n.goal when 'reunification' then '1' when 'relative' then '2' when 'adoption' then '3' else '4' end
                as e148_permanency_plan_type, {_TAIL}
        from {_EPISODES} join truth.plans n on n.removal_id = r.removal_id and not {_OLD} and n.plan_on <= q.last_on
            and n.entered_on <= q.sent_on order by 2, 3, 4, 5""",
    "afcars_reviews_hearings": f"""
        select distinct {_HEAD}, r.removal_on as e69_removal_date,
            case h.kind when 'permanency' then 'E150_permanency_hearing_date' else 'E149_periodic_review_date' end as
                event_tag,
            h.held_at::date as event_date, {_TAIL}
        from {_EPISODES} join truth.parties y on y.person_id = r.person_id and y.role = 'child'
        join truth.hearings h on h.case_id = y.case_id and not {_OLD} and h.kind in ('permanency', 'review',
            'court_team_status')
            and h.held_at::date between r.removal_on and least(q.last_on, coalesce(r.exit_on, q.last_on))
            and h.outcome_entered_on <= q.sent_on order by 2, 3, 4, 5, 6""",
    "afcars_caseworker_visits": f"""
        with seen as (
            select m.person_id, c.contact_at::date as on_day, c.place, m.entered_on
            from truth.contact_members m join truth.contacts c on c.contact_id = m.contact_id where c.completed
        ), during as (
            select r.person_id, r.removal_on, r.exit_on, v.on_day, v.place, v.entered_on
            from truth.removals r join seen v on v.person_id = r.person_id
                and v.on_day between r.removal_on and coalesce(r.exit_on, date '2100-01-01')
            where not {_OLD}
        )
        select distinct {_HEAD}, r.removal_on as e69_removal_date, r.on_day as e151_case_worker_visit_date,
            case r.place when 'residence' then '1' else '2' end as e152_case_worker_visit_location, {_TAIL}
        from {_PERIOD} join child_welfare.afcars_served s on s.e2 = q.e2 join during r on r.person_id = s.person_id
            and r.on_day <= q.last_on and r.entered_on <= q.sent_on order by 2, 3, 4, 5, 6""",
}
