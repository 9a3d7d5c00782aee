-- Rows the sources delivered and the marts do not hold, by the rule that keeps them out. Nothing
-- is lost silently.
with
    placements as (
        select
            case
                when p.record_status <> 'A' or coalesce(p.voided_ind, false)
                then 'voided'
                when p.end_date <= p.start_date
                then 'no_day_held'
                when r.removal_id is null
                then 'no_episode'
            end as rule
        from {{ ref("stg_child_welfare__placements") }} as p
        left join {{ ref("int_removals__merged") }} as r on p.removal_id = r.source_removal_id
    ),

    removals as (
        select
            case
                when r.record_status <> 'A' or r.exit_reason_cd = 'VOID'
                then 'voided'
                when i.person_id is null
                then 'no_person'
                when r.removal_date > {{ cutoff() }}
                then 'after_cutoff'
            end as rule
        from {{ ref("stg_child_welfare__removals") }} as r
        left join {{ join_person("i", "child_welfare", "r.child_person_id") }}
    ),

    claims as (
        select
            case
                when
                    left(h.msis_id, 1) = '&'
                    or h.type_of_claim_meaning not in ('fee_for_service', 'encounter')
                then 'no_service_claim'
                when f.claim_key is null
                then 'replaced_voided_no_person_or_no_consent'
                when f.is_duplicate
                then 'repeated'
            end as rule
        from {{ ref("stg_medicaid__claim_headers") }} as h
        left join {{ ref("int_claims__final_action") }} as f on {{ claim_version_key("h") }} = f.version_key
    ),

    lines as (
        select case when h.icn_orig is null then 'no_header' end as rule
        from {{ ref("stg_medicaid__claim_lines") }} as l
        left join
            {{ ref("stg_medicaid__claim_headers") }} as h
            on {{ claim_version_key("l") }} = {{ claim_version_key("h") }}
    ),

    admissions as (
        select
            case
                when a.codependent_cd_meaning <> 'client'
                then 'collateral'
                when c.client_id is null
                then 'no_consent_for_court_team'
            end as rule
        from {{ ref("stg_behavioral_health__admissions") }} as a
        left join
            {{ ref("int_clients__consented") }} as c
            on a.provider_id = c.provider_id
            and a.client_id = c.client_id
    ),

    enrollments as (
        select
            case
                when e.accepted_date is null then 'not_accepted' when i.person_id is null then 'no_person'
            end as rule
        from {{ ref("stg_court_team__enrollments") }} as e
        left join {{ join_person("i", "court_team", "e.enrollment_id") }}
    ),

    told as (
        select 'child_welfare' as source_system, 'placements' as source_table, rule
        from placements
        union all
        select 'child_welfare', 'removals', rule
        from removals
        union all
        select 'medicaid', 'claim_headers', rule
        from claims
        union all
        select 'medicaid', 'claim_lines', rule
        from lines
        union all
        select 'behavioral_health', 'admissions', rule
        from admissions
        union all
        select 'court_team', 'enrollments', rule
        from enrollments
    )

select source_system, source_table, coalesce(rule, 'kept') as rule, count(*) as row_count
from told
group by all
