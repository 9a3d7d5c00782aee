-- Only accepted children are enrolled. The family is the one the child belongs to, as linkage knows it today.
with
    families as (
        select
            person_id,
            min_by(
                family_id, strftime(coalesce(valid_from, date '1900-01-01'), '%Y%m%d') || family_id
            ) as family_id
        from {{ ref("brg_family_member") }}
        where role = 'child' and coalesce(valid_to > {{ cutoff() }}, true)
        group by person_id
    )

select
    {{ source_key("court_team", ["e.enrollment_id"]) }} as enrollment_id,
    i.person_id,
    f.family_id,
    e.site_id,
    e.referral_date as referred_date,
    e.accepted_date as enrolled_date,
    e.close_date as closed_date,
    e.close_reason_cd_meaning as close_reason,
    s.county_fips as county
from {{ ref("stg_court_team__enrollments") }} as e
inner join {{ join_person("i", "court_team", "e.enrollment_id") }}
left join families as f on i.person_id = f.person_id
left join {{ source("jurisdiction", "sites") }} as s on e.site_id = s.site_id
where e.accepted_date is not null
