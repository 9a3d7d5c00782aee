-- PIT-04: children entering and leaving care, month by month. Basis: flow. A child who does so
-- twice in a month is one.
with
    episodes as ({{ care_episodes() }}),

    months as (
        select distinct cast(day as date) as period_start, last_day(cast(day as date)) as period_end
        from
            ({{ metric_periods() }}) as p,
            unnest(generate_series(p.period_start, p.period_end, interval 1 day)) as d(day)
        where day(d.day) = 1 and last_day(cast(d.day as date)) <= least(p.period_end, {{ cutoff() }})
    ),

    flows as (
        select 'entries' as variant, *, removal_date as index_date
        from episodes
        where coalesce(removal_date < adult_on, true)
        union all
        select 'exits', *, end_date
        from episodes
        where end_date is not null and coalesce(removal_date < adult_on, true)
    ),

    moved as (
        select m.period_start, m.period_end, f.variant, f.person_id, f.index_date, f.county
        from months as m
        inner join flows as f on f.index_date between m.period_start and m.period_end
        qualify
            row_number() over (
                partition by m.period_start, f.variant, f.person_id order by f.index_date, f.removal_id
            )
            = 1
    ),

    units as ({{ with_site("moved", "index_date") }}),

    stratified as ({{ stratified("units") }}),

    counted as (
        select
            'PIT-04' as metric_id,
            variant,
            period_start,
            period_end,
            stratum_site,
            stratum_type,
            stratum_value,
            count(*) as numerator,
            0 as n_not_observable
        from stratified
        where stratum_value is not null
        group by all
    ),

    framed as (
        {{
            with_empty_periods(
                "counted",
                [["PIT-04", "entries"], ["PIT-04", "exits"]],
                periods="select period_start, period_end from months",
            )
        }}
    ),

    summary as (
        select
            * exclude (denominator),
            cast(null as bigint) as denominator,
            numerator as value,
            cast(null as double) as ci_low,
            cast(null as double) as ci_high,
            cast(null as varchar) as ci_method,
            cast(null as varchar) as n_excluded_by_rule,
            true as is_mature
        from framed
    )

    {{ standard_rows("summary", needs=["child_welfare"], version="1.1.1") }}
