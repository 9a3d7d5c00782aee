-- One row per child and report: several allegations of one report become one, with the gravest
-- finding.
with
    findings as (
        select
            i.person_id,
            a.referral_id,
            a.incident_date,
            a.disposition_cd_meaning as disposition,
            a.disposition_cd,
            a.disposition_date,
            a.perp_relationship_cd_meaning as perpetrator_role,
            coalesce(a.fatality_ind, false) as is_fatal,
            case
                a.disposition_cd_meaning
                when 'SUBST'
                then 1
                when 'INDIC'
                then 2
                when 'ALT'
                then 3
                when 'UNSUBST'
                then 4
                when 'OTHER'
                then 5
                else 6
            end as gravity
        from {{ ref("stg_child_welfare__allegations") }} as a
        inner join {{ join_person("i", "child_welfare", "a.victim_person_id") }}
        where a.record_status = 'A'
    ),

    gravest as (
        select
            person_id,
            referral_id,
            min_by(disposition, gravity) as disposition,
            min_by(perpetrator_role, gravity || coalesce(perpetrator_role, '~')) as perpetrator_role,
            min_by(
                incident_date, gravity * 100000 + coalesce(incident_date - date '1900-01-01', 99999)
            ) as incident_date,
            min_by(
                disposition_date, gravity || coalesce(cast(disposition_date as varchar), '~')
            ) as disposition_date,
            bool_or(is_fatal) as is_fatal,
            -- A victim of alternative response (code 3) is a victim in the federal sense, though
            -- nothing was substantiated.
            bool_or(disposition in ('SUBST', 'INDIC') or disposition_cd = '3') as is_victim
        from findings
        group by person_id, referral_id
    )

select
    g.person_id,
    {{ source_key("child_welfare", ["g.referral_id"]) }} as report_id,
    cast(r.received_ts as date) as report_date,
    g.incident_date,
    g.disposition,
    g.disposition_date,
    g.is_victim,
    coalesce(cast(r.received_ts as date) < p.dob, false) as is_unborn,
    g.is_fatal as death_flag,
    g.perpetrator_role,
    r.screened_in_ind as screened_in,
    r.county_fips as county
from gravest as g
inner join {{ ref("stg_child_welfare__referrals") }} as r on g.referral_id = r.referral_id
left join {{ ref("int_persons__facts_survived") }} as p on g.person_id = p.person_id
where r.record_status = 'A' and r.received_ts is not null
