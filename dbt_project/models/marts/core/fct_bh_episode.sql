-- Only clients whose consent covers the court team at the cut-off. Collaterals are not in
-- treatment themselves.
select
    c.person_id,
    {{ source_key("behavioral_health", ["a.provider_id", "a.client_id", "cast(a.admission_date as varchar)"]) }}
    as episode_id,
    a.admission_date as admit_date,
    a.first_contact_date,
    a.first_service_date,
    d.discharge_date,
    case
        d.reason_cd_meaning when 'transferred' then 'TRANSFER' else upper(d.reason_cd_meaning)
    end as discharge_reason,
    a.service_setting_cd_meaning as level_of_care,
    replace(a.diagnosis, '.', '') as primary_dx,
    d.last_contact_date
from {{ ref("stg_behavioral_health__admissions") }} as a
inner join
    {{ ref("int_clients__consented") }} as c on a.provider_id = c.provider_id and a.client_id = c.client_id
left join
    {{ ref("stg_behavioral_health__discharges") }} as d
    on a.provider_id = d.provider_id
    and a.client_id = d.client_id
    and a.codependent_cd = d.codependent_cd
    and a.admission_date = d.admission_date
where a.codependent_cd_meaning = 'client'
