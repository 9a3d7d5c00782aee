-- PRM-21: mean stay in months of episodes that ended in reunification. Basis: exit cohort. One long
-- stay moves it.
with
    {{ exits_from_care() }},

    units as (select * from exits where end_reason = 'REUN'),

    stratified as ({{ stratified("units") }}),

    counted as (
        select
            'PRM-21' as metric_id,
            'warehouse' as variant,
            period_start,
            period_end,
            stratum_site,
            stratum_type,
            stratum_value,
            count(*) filter (where exclusion is null) as numerator,
            count(*) filter (where exclusion is null) as denominator,
            0 as n_not_observable,
            to_json(histogram(exclusion)) as n_excluded_by_rule,
            avg(end_date - removal_date) filter (where exclusion is null) as mean_days
        from stratified
        where stratum_value is not null
        group by all
    ),

    framed as ({{ with_empty_periods("counted", [["PRM-21", "warehouse"]]) }}),

    summary as (
        select
            *,
            mean_days / 30.4375 as value,
            cast(null as double) as ci_low,
            cast(null as double) as ci_high,
            cast(null as varchar) as ci_method,
            period_end <= {{ cutoff() }} as is_mature
        from framed
    )

    {{ standard_rows("summary", needs=["child_welfare"], version="1.1.0") }}
