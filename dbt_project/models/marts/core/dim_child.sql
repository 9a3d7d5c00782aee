-- Children the court teams exist for: once in care, or enrolled with a team.
with
    removals as (
        select person_id, min(removal_date) as first_removal_date, count(*) as removal_count
        from {{ ref("fct_removal") }}
        group by person_id
    ),

    enrollments as (
        select
            person_id,
            min(enrolled_date) as first_enrolled_date,
            min_by(site_id, strftime(enrolled_date, '%Y%m%d') || site_id) as first_site_id
        from {{ ref("fct_enrollment_sbct") }}
        group by person_id
    ),

    mothers as (
        select child_person_id as person_id, min(parent_person_id) as mother_id
        from {{ source("linkage", "parent_child") }}
        where role = 'mother' and coalesce(valid_to > {{ cutoff() }}, true)
        group by child_person_id
        having count(distinct parent_person_id) = 1
    ),

    families as (
        -- A family a child was born into is open at its start: the one entered last is today's.
        select
            person_id,
            max_by(
                family_id, strftime(coalesce(valid_from, date '1900-01-01'), '%Y%m%d') || family_id
            ) as family_id
        from {{ ref("brg_family_member") }}
        where
            role = 'child'
            and coalesce(valid_from <= {{ cutoff() }}, true)
            and coalesce(valid_to > {{ cutoff() }}, true)
        group by person_id
    )

select
    p.person_id,
    f.family_id,
    m.mother_id,
    p.dob,
    p.sex,
    p.race_eth,
    p.icwa_status,
    r.first_removal_date,
    coalesce(r.removal_count, 0) as removal_count,
    e.first_enrolled_date,
    e.first_site_id
from {{ ref("dim_person") }} as p
left join removals as r on p.person_id = r.person_id
left join enrollments as e on p.person_id = e.person_id
left join mothers as m on p.person_id = m.person_id
left join families as f on p.person_id = f.person_id
where r.person_id is not null or e.person_id is not null
