-- Only accepted children are enrolled. The family is the one the child belonged to on the day of
-- enrolment: an adoption later on moves the child to another family, not the enrolment.
with
    enrollments as (
        select
            {{ source_key("court_team", ["e.enrollment_id"]) }} as enrollment_id,
            i.person_id,
            e.site_id,
            e.referral_date as referred_date,
            e.accepted_date as enrolled_date,
            e.close_date as closed_date,
            e.close_reason_cd_meaning as close_reason,
            s.county_fips as county
        from {{ ref("stg_court_team__enrollments") }} as e
        inner join {{ join_person("i", "court_team", "e.enrollment_id") }}
        left join {{ source("jurisdiction", "sites") }} as s on e.site_id = s.site_id
        where e.accepted_date is not null
    )

select e.*, m.family_id
from enrollments as e
left join {{ ref("brg_family_member") }} as m on e.person_id = m.person_id and m.role = 'child'
qualify
    row_number() over (
        partition by e.enrollment_id
        order by
            coalesce(m.valid_from <= e.enrolled_date, true)
            and coalesce(m.valid_to > e.enrolled_date, true) desc,
            m.valid_from nulls first,
            m.family_id
    )
    = 1
