-- The respondent keeps one code over both waves; it is told only as a hash of site and code.
select
    left(sha256(site_id || '~' || respondent_id), 16) as respondent_hash,
    org_id,
    sector_cd_meaning as sector,
    site_id,
    wave_cd_meaning as wave,
    item_id,
    item_id_meaning as item_topic,
    cast(value as integer) as value,
    submitted_date
from {{ ref("stg_court_team__survey_answers") }}
