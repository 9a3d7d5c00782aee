-- A service as each source tells it. Treatment rows the coordinator copied from a Part 2 program
-- need the same consent as the program's own. An appointment is a service that ends the day it is
-- held.
with consented as (select distinct person_id from {{ ref("int_clients__consented") }})

select
    {{ source_key("court_team", ["n.referral_id"]) }} as service_id,
    i.person_id,
    case
        when n.referred_date is not null then {{ source_key("court_team", ["n.referral_id"]) }}
    end as referral_id,
    coalesce(n.service_type_cd_meaning, n.need_domain_cd_meaning) as service_type,
    n.service_type_cd as service_name,
    coalesce(n.scheduled_date, n.first_service_date) as scheduled_date,
    n.first_service_date as first_appt_date,
    case
        when n.first_service_date is not null then true when n.status_cd_meaning = 'NO_SHOW' then false
    end as attended_flag,
    n.completed_date as end_date,
    case
        n.status_cd_meaning
        when 'COMPLETED'
        then 'COMPLETED'
        when 'STOPPED'
        then 'STOPPED'
        when 'STARTED'
        then 'ACTIVE'
    end as completion_status,
    n.ifsp_date,
    'court_team' as source
from {{ ref("stg_court_team__needs_referrals") }} as n
inner join {{ join_person("i", "court_team", workbook_record_id("n")) }}
left join consented as k on i.person_id = k.person_id
where
    (n.scheduled_date is not null or n.first_service_date is not null)
    and (k.person_id is not null or not coalesce(n.part2_ind, false))
union all
select
    {{ source_key("child_welfare", ["s.service_id"]) }},
    i.person_id,
    case when s.referral_date is not null then {{ source_key("child_welfare", ["s.service_id"]) }} end,
    {{ service_domain("s.service_cd_meaning") }},
    s.service_cd_meaning,
    s.start_date,
    s.start_date,
    case when s.start_date is not null then true when s.status_cd_meaning = 'no_show' then false end,
    s.end_date,
    case
        s.status_cd_meaning
        when 'completed'
        then 'COMPLETED'
        when 'dropped_out'
        then 'STOPPED'
        when 'terminated'
        then 'STOPPED'
        when 'active'
        then 'ACTIVE'
    end,
    null,
    'child_welfare'
from {{ ref("stg_child_welfare__services") }} as s
inner join {{ join_person("i", "child_welfare", "s.person_id") }}
where s.record_status = 'A' and s.start_date is not null
union all
select
    {{ source_key("behavioral_health", ["a.appointment_id"]) }},
    c.person_id,
    {{ source_key("behavioral_health", ["a.referral_id"]) }},
    a.service_cd_meaning,
    a.service_cd,
    cast(a.scheduled_ts as date),
    case when a.status_cd_meaning = 'KEPT' then cast(a.scheduled_ts as date) end,
    a.status_cd_meaning = 'KEPT',
    cast(a.scheduled_ts as date),
    null,
    null,
    'behavioral_health'
from {{ ref("stg_behavioral_health__appointments") }} as a
inner join
    {{ ref("int_clients__consented") }} as c on a.provider_id = c.provider_id and a.client_id = c.client_id
