select
    {{ source_key("court_team", ["a.meeting_id"]) }} as ftm_id,
    a.attendee_no,
    a.sector_cd_meaning as org_sector,
    a.role_cd_meaning as role,
    a.invited_ind as invited,
    a.attended_ind as attended
from {{ ref("stg_court_team__ftm_attendees") }} as a
inner join {{ ref("fct_ftm") }} as m on {{ source_key("court_team", ["a.meeting_id"]) }} = m.ftm_id
