select
    {{ source_key("court_team", ["s.screening_id"]) }} as screening_id,
    i.person_id,
    s.instrument_cd as instrument,
    s.instrument_cd_meaning as domain,
    s.performed_date,
    s.result_cd_meaning as result,
    cast(s.score as double) as score,
    s.referred_ind as led_to_referral,
    'court_team' as source
from {{ ref("stg_court_team__screenings") }} as s
inner join {{ join_person("i", "court_team", workbook_record_id("s")) }}
