-- COL-25: health of the data sharing on the night's cut. Basis: one day, the cut-off. match_rate_*:
-- children enrolled that
-- day with a record number of the system; consent_coverage: members of their families known to behavioral
-- health whose
-- treatment may be seen (42 CFR Part 2); days_late_*: days from the last day the feed tells of to the
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
        select distinct source_system
        from {{ ref("bridge_source_id") }}
        where source_system <> 'court_team'
        union
        select distinct source_system
        from {{ ref("fct_observability") }}
        where source_system <> 'court_team'
    ),

    clients as (
        select distinct b.person_id, e.site_id, e.county, o.person_id is not null as is_seen
        from enrolled as e
        inner join {{ ref("bridge_family_person") }} as b on e.family_id = b.family_id
        inner join
            {{ ref("bridge_source_id") }} as i
            on b.person_id = i.person_id
            and i.source_system = 'behavioral_health'
        left join
            {{ ref("fct_observability") }} as o
            on b.person_id = o.person_id
            and o.source_system = 'behavioral_health'
    ),

    units as (
        select
            'match_rate_' || s.source_system as variant,
            e.person_id,
            e.site_id,
            e.county,
            exists (
                select 1
                from {{ ref("bridge_source_id") }} as i
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
        select 'days_late_' || source_system as variant, {{ cutoff() }} - max(to_date) as days_late
        from {{ ref("fct_observability") }}
        where source_system <> 'court_team' and to_date <= {{ cutoff() }}
        group by source_system
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
        version="1.0.0",
    )
}}
