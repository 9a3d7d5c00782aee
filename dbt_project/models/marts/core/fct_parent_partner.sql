select
    {{ source_key("court_team", ["m.match_id"]) }} as match_id,
    i.person_id,
    m.offered_date,
    m.matched_date,
    m.ended_date
from {{ ref("stg_court_team__parent_partners") }} as m
inner join {{ join_person("i", "court_team", workbook_record_id("m")) }}
