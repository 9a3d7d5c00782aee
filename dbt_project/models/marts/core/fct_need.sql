-- Needs come from the coordinator alone: the only source that says when a need was found, not when
-- it was served.
select
    {{ source_key("court_team", ["n.need_id"]) }} as need_id,
    i.person_id,
    min_by(n.need_domain_cd_meaning, n.identified_date || n.need_domain_cd_meaning) as need_domain,
    min(n.identified_date) as identified_date,
    'court_team' as source
from {{ ref("stg_court_team__needs_referrals") }} as n
inner join {{ join_person("i", "court_team", workbook_record_id("n")) }}
where n.identified_date is not null
group by n.need_id, i.person_id
