select
    {{ source_key("court_team", ["m.meeting_id"]) }} as ftm_id,
    e.family_id,
    cast(m.scheduled_ts as date) as scheduled_date,
    cast(m.held_ts as date) as held_date,
    m.status_cd_meaning as status,
    m.format_cd_meaning as format,
    e.site_id
from {{ ref("stg_court_team__family_team_meetings") }} as m
inner join
    {{ ref("fct_enrollment_sbct") }} as e
    on {{ source_key("court_team", ["m.enrollment_id"]) }} = e.enrollment_id
