-- The days on which a person's events in a system can be seen: the person is linked to a record
-- there, enrolled where the system is Medicaid, consented where it is behavioral health; from the
-- first day the feed tells of to its last delivery. Outside these days "no event" means nothing.
with
    feeds as (
        select
            'child_welfare' as source_system,
            min(cast(received_ts as date)) as from_date,
            max(delivered_on) as to_date
        from {{ ref("stg_child_welfare__referrals") }}
        union all
        select 'court', min(filed_date), max(delivered_on)
        from {{ ref("stg_court__cases") }}
        union all
        select 'medicaid', min(service_begin), max(delivered_on)
        from {{ ref("stg_medicaid__claim_headers") }}
        union all
        select 'behavioral_health', min(admission_date), max(delivered_on)
        from {{ ref("stg_behavioral_health__admissions") }}
        union all
        select 'court_team', min(coalesce(referral_date, accepted_date)), max(delivered_on)
        from {{ ref("stg_court_team__enrollments") }}
    ),

    -- A client of two programs is seen only when both may be shown.
    consented as (
        select i.person_id
        from {{ ref("stg_behavioral_health__clients") }} as b
        inner join {{ join_person("i", "behavioral_health", "b.provider_id || '~' || b.client_id") }}
        left join
            {{ ref("int_clients__consented") }} as c
            on b.provider_id = c.provider_id
            and b.client_id = c.client_id
        group by i.person_id
        having bool_and(c.person_id is not null)
    ),

    linked as (
        select distinct person_id, source_system
        from {{ ref("int_persons__identified") }}
        where source_system in ('child_welfare', 'court', 'court_team')
        union all
        select person_id, 'behavioral_health'
        from consented
    )

select l.person_id, l.source_system, f.from_date, f.to_date
from linked as l
inner join feeds as f on l.source_system = f.source_system
where f.from_date <= f.to_date
union all
select e.person_id, 'medicaid', e."start", least(e."end", f.to_date)
from {{ ref("fct_elig_span") }} as e
inner join feeds as f on f.source_system = 'medicaid'
where e."start" <= f.to_date and e.benefit_scope = 'full'
