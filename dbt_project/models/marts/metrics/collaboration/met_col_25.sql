-- COL-25: health of the data sharing on the night's cut. Basis: one day, the cut-off. match_rate_*:
-- children enrolled that
-- day with a record number of the system; consent_coverage: members of their families known to behavioral
-- health whose
-- treatment may be seen on the last day the feed tells of (42 CFR Part 2; a jurisdiction without
-- fct_observability: everyone known there); days_late_*: days from the last day the feed tells of to the
-- cut-off. Always shown.
with
    enrolled as (
        select
            person_id,
            min(family_id) as family_id,
            min_by(site_id, strftime(enrolled_date, '%Y%m%d') || site_id) as site_id,
            min_by(county, strftime(enrolled_date, '%Y%m%d') || site_id) as county
        from {{ ref("fct_enrollment_sbct") }}
        where enrolled_date <= {{ cutoff() }} and coalesce(closed_date > {{ cutoff() }}, true)
        group by person_id
    ),

    systems as (
        select distinct {{ system_name("source_system") }} as source_system
        from {{ ref("bridge_source_id") }}
        where {{ system_name("source_system") }} <> 'court_team'
        union
        select distinct {{ system_name("source_system") }}
        from {{ ref("fct_observability") }}
        where {{ system_name("source_system") }} <> 'court_team'
    ),

    -- Record numbers of the enrolled children, by system.
    numbers as (
        select distinct person_id, {{ system_name("source_system") }} as source_system
        from {{ ref("bridge_source_id") }}
        where {{ is_of("enrolled") }}
    ),

    known_clients as (
        select distinct b.person_id, e.site_id, e.county
        from enrolled as e
        inner join
            ({{ family_members("select family_id from enrolled where family_id is not null") }}) as b
            on e.family_id = b.family_id
        inner join
            {{ ref("bridge_source_id") }} as i
            on b.person_id = i.person_id
            and {{ is_system("i.source_system", "behavioral_health") }}
    ),

    last_told as (
        select coalesce(max(least(to_date, {{ cutoff() }})), {{ cutoff() }}) as day
        from {{ ref("fct_observability") }}
        where {{ is_system("source_system", "behavioral_health") }}
    ),

    clients as (
        select k.*, {{ is_observable("k.person_id", "behavioral_health", "l.day", "l.day") }} as is_seen
        from known_clients as k
        cross join last_told as l
    ),

    units as (
        select
            'match_rate_' || s.source_system as variant,
            e.person_id,
            e.site_id,
            e.county,
            exists (
                select 1
                from numbers as i
                where i.person_id = e.person_id and i.source_system = s.source_system
            ) as is_numerator
        from enrolled as e
        cross join systems as s
        union all
        select 'consent_coverage', person_id, site_id, county, is_seen
        from clients
    ),

    dated as (select *, {{ cutoff() }} as index_date from units),

    stratified as (select * from ({{ stratified("dated") }}) where stratum_value is not null),

    counted as (
        select
            variant,
            stratum_site,
            stratum_type,
            stratum_value,
            count(*) filter (where is_numerator) as numerator,
            count(*) as denominator
        from stratified
        group by all
    ),

    feeds as (
        select
            'days_late_' || {{ system_name("source_system") }} as variant,
            {{ cutoff() }} - max(to_date) as days_late
        from {{ ref("fct_observability") }}
        where {{ system_name("source_system") }} <> 'court_team' and to_date <= {{ cutoff() }}
        group by variant
    ),

    rows_by_variant as (
        select
            *,
            numerator / denominator as value,
            {{ wilson_low("numerator", "denominator") }} as ci_low,
            {{ wilson_high("numerator", "denominator") }} as ci_high,
            'wilson' as ci_method
        from counted
        union all by name
        select variant, 'all' as stratum_type, 'all' as stratum_value, days_late as value
        from feeds
    ),

    summary as (
        select
            'COL-25' as metric_id,
            {{ cutoff() }} as period_start,
            {{ cutoff() }} as period_end,
            *,
            cast(null as varchar) as n_excluded_by_rule,
            0 as n_not_observable,
            true as is_mature
        from rows_by_variant
    )

    {{
    standard_rows(
        "summary",
        needs=["child_welfare", "court", "medicaid", "behavioral_health", "court_team"],
        version="1.1.0",
    )
}}
