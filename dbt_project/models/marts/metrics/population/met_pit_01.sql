-- PIT-01: children in care on a date. Basis: stock. A discharge on the date is not in care; entry
-- on it is.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    -- Every 1 January, April, July and October of a period; a one-day period is its own date.
    dates as (
        select distinct cast(day as date) as counted_on
        from
            ({{ metric_periods() }}) as p,
            unnest(generate_series(p.period_start, p.period_end, interval 1 day)) as d(day)
        where
            (p.period_start = p.period_end or (day(d.day) = 1 and month(d.day) in (1, 4, 7, 10)))
            and d.day <= {{ cutoff() }}
    ),

    -- One row per child: the earliest of several open episodes.
    in_care as (
        select d.counted_on, e.person_id, e.county
        from dates as d
        inner join
            episodes as e on e.removal_date <= d.counted_on and coalesce(e.end_date > d.counted_on, true)
        qualify
            row_number() over (partition by d.counted_on, e.person_id order by e.removal_date, e.removal_id)
            = 1
    ),

    sited as ({{ with_site("in_care", "counted_on") }}),

    indexed as (select *, counted_on as index_date from sited),

    stratified as ({{ stratified("indexed") }}),

    counted as (
        select counted_on, stratum_site, stratum_type, stratum_value, count(*) as n
        from stratified
        where stratum_value is not null
        group by all
    ),

    summary as (
        select
            'PIT-01' as metric_id,
            'warehouse' as variant,
            d.counted_on as period_start,
            d.counted_on as period_end,
            c.stratum_site,
            coalesce(c.stratum_type, 'all') as stratum_type,
            coalesce(c.stratum_value, 'all') as stratum_value,
            coalesce(c.n, 0) as numerator,
            cast(null as bigint) as denominator,
            coalesce(c.n, 0) as value,
            cast(null as double) as ci_low,
            cast(null as double) as ci_high,
            cast(null as varchar) as ci_method,
            cast(null as varchar) as n_excluded_by_rule,
            0 as n_not_observable,
            true as is_mature
        from dates as d
        left join counted as c on d.counted_on = c.counted_on
    )

    {{ standard_rows("summary", needs=["child_welfare"], version="1.0.0") }}
