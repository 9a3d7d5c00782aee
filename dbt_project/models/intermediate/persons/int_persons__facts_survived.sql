-- One set of facts per person out of all of the person's records: what most records say, then what
-- the better source for it says. A known date beats an estimated one. Agencies' birth dates are
-- steadier than the court's or a workbook's.
with
    facts as (
        select
            f.person_id,
            f.birth_date,
            coalesce(f.is_birth_date_estimated, false) as is_estimated,
            f.sex,
            f.death_date,
            case
                f.source_system
                when 'child_welfare'
                then 1
                when 'medicaid'
                then 2
                when 'behavioral_health'
                then 3
                when 'court'
                then 4
                else 5
            end as speaks
        from {{ source("linkage", "person_facts") }} as f
        where f.person_id is not null
    ),

    births as (
        select person_id, birth_date, is_estimated, count(*) as records, min(speaks) as speaks
        from facts
        where birth_date is not null
        group by person_id, birth_date, is_estimated
        qualify
            row_number() over (
                partition by person_id order by is_estimated, count(*) desc, min(speaks), birth_date
            )
            = 1
    ),

    sexes as (
        select person_id, sex
        from facts
        where sex is not null
        group by person_id, sex
        qualify row_number() over (partition by person_id order by count(*) desc, min(speaks), sex) = 1
    ),

    deaths as (
        select person_id, death_date
        from facts
        where death_date is not null
        group by person_id, death_date
        qualify row_number() over (partition by person_id order by count(*) desc, min(speaks), death_date) = 1
    ),

    -- ICWA: "applies" from any source is the safe reading; an unfinished inquiry is unknown, never
    -- "does not apply".
    icwa as (
        select
            person_id, min(case status when 'applies' then 1 when 'does_not_apply' then 2 else 3 end) as rank
        from
            (
                select i.person_id, p.icwa_status_cd_meaning as status
                from {{ ref("stg_child_welfare__persons") }} as p
                inner join {{ join_person("i", "child_welfare", "p.person_id") }}
                where p.record_status = 'A' and p.icwa_status_cd is not null
                union all
                select i.person_id, lower(e.icwa_status_cd_meaning)
                from {{ ref("stg_court_team__enrollments") }} as e
                inner join {{ join_person("i", "court_team", "e.enrollment_id") }}
                where e.icwa_status_cd is not null
            )
        group by person_id
    )

select
    p.person_id,
    b.birth_date as dob,
    coalesce(b.is_estimated, false) as dob_estimated_flag,
    s.sex,
    d.death_date,
    case i.rank when 1 then 'APPLIES' when 2 then 'DOES_NOT_APPLY' else 'UNKNOWN' end as icwa_status,
    p.link_confidence
from
    (
        select person_id, min(match_probability) as link_confidence
        from {{ ref("int_persons__identified") }}
        group by person_id
    ) as p
left join births as b on p.person_id = b.person_id
left join sexes as s on p.person_id = s.person_id
left join deaths as d on p.person_id = d.person_id
left join icwa as i on p.person_id = i.person_id
