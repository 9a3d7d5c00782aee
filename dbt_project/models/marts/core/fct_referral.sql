-- The same referral may be told by several sources; each keeps its own row and its own date.
select
    {{ source_key("court_team", ["n.referral_id"]) }} as referral_id,
    {{ source_key("court_team", ["n.need_id"]) }} as need_id,
    i.person_id,
    n.need_domain_cd_meaning as need_domain,
    n.referred_date,
    cast(null as varchar) as provider_id,
    n.status_cd_meaning as status,
    'court_team' as source
from {{ ref("stg_court_team__needs_referrals") }} as n
inner join {{ join_person("i", "court_team", workbook_record_id("n")) }}
where n.referred_date is not null
union all
select
    {{ source_key("child_welfare", ["s.service_id"]) }},
    null,
    i.person_id,
    {{ service_domain("s.service_cd_meaning") }},
    s.referral_date,
    {{ source_key("child_welfare", ["s.provider"]) }},
    upper(s.status_cd_meaning),
    'child_welfare'
from {{ ref("stg_child_welfare__services") }} as s
inner join {{ join_person("i", "child_welfare", "s.person_id") }}
where s.record_status = 'A' and s.referral_date is not null
union all
select
    {{ source_key("behavioral_health", ["r.referral_id"]) }},
    null,
    c.person_id,
    r.need_cd_meaning,
    r.referral_date,
    {{ source_key("behavioral_health", ["r.provider_id"]) }},
    r.status_cd_meaning,
    'behavioral_health'
from {{ ref("stg_behavioral_health__referrals") }} as r
inner join
    {{ ref("int_clients__consented") }} as c on r.provider_id = c.provider_id and r.client_id = c.client_id
