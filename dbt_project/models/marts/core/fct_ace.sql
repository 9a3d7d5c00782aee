select
    {{ source_key("court_team", ["a.ace_id"]) }} as ace_id,
    i.person_id,
    coalesce(a.instrument_cd, 'ACE') as instrument,
    cast(a.score as integer) as score,
    cast(a.items_answered as integer) as items_answered,
    a.assessed_date
from {{ ref("stg_court_team__ace_scores") }} as a
inner join {{ join_person("i", "court_team", workbook_record_id("a")) }}
