with
    orders as (
        select child.person_id, parent.person_id as parent_id, o.start_date, o.end_date
        from {{ ref("stg_court__family_time_orders") }} as o
        inner join {{ join_person("child", "court", "o.child_party_id") }}
        inner join {{ join_person("parent", "court", "o.parent_party_id") }}
        where o.start_date is not null
    )

select
    {{ source_key("child_welfare", ["v.visit_id"]) }} as session_id,
    child.person_id,
    parent.person_id as parent_id,
    (
        select max(o.start_date)
        from orders as o
        where
            o.person_id = child.person_id
            and o.parent_id = parent.person_id
            and o.start_date <= cast(coalesce(v.scheduled_ts, v.start_ts) as date)
            and coalesce(o.end_date > cast(coalesce(v.scheduled_ts, v.start_ts) as date), true)
    ) as ordered_from,
    coalesce(v.scheduled_ts, v.start_ts) as scheduled_start,
    v.status_cd_meaning as status,
    case
        when v.end_ts > v.start_ts then cast(date_diff('minute', v.start_ts, v.end_ts) as integer)
    end as minutes,
    v.location_cd_meaning as setting,
    v.supervision_cd_meaning as supervision_level
from {{ ref("stg_child_welfare__family_time") }} as v
inner join {{ join_person("child", "child_welfare", "v.child_person_id") }}
left join {{ join_person("parent", "child_welfare", "v.parent_person_id") }}
where v.record_status = 'A'
