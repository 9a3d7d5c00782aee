-- PIT-02: entries to care per 1,000 children of the population. Basis: entry cohort over the
-- children living in the jurisdiction on the 1 July of the period, by county, age band and race;
-- other groups have no population, so no rate.
with
    episodes as ({{ care_episodes(only=entered_in_periods()) }}),

    periods as ({{ metric_periods() }}),

    entries as (
        select p.period_start, p.period_end, e.*, e.removal_date as index_date
        from periods as p
        inner join episodes as e on e.removal_date between p.period_start and p.period_end
        where coalesce(e.removal_date < e.adult_on, true)
        qualify
            row_number() over (partition by p.period_start, e.person_id order by e.removal_date, e.removal_id)
            = 1
    ),

    units as ({{ with_site("entries", "removal_date", until="end_date") }}),

    stratified as ({{ stratified("units") }}),

    entered as (
        select period_start, period_end, stratum_type, stratum_value, count(*) as numerator
        from stratified
        where stratum_type in ('all', 'county', 'age_band', 'race_eth') and stratum_value is not null
        group by all
    ),

    -- The 1 July in the period, or the last one before its end.
    population as (
        select
            p.period_start,
            p.period_end,
            r.population,
            unnest(
                [
                    {%- for type, value in [["all", "'all'"], ["county", "r.county_fips"], ["age_band", "r.age_band"], ["race_eth", "r.race_eth"]] if type in var("metric_strata") %}
                        {'stratum_type':'{{ type }}', 'stratum_value':{{ value }}}{{ "," if not loop.last }}
                    {%- endfor %}
                ],
                recursive := true
            ),
            r.age_band in ('0-3 mo', '4-11 mo', '<36 mo') as is_part_of_a_band
        from periods as p
        inner join
            {{ ref("ref_population") }} as r
            on r.year
            = year(p.period_end) - cast(p.period_end < make_date(year(p.period_end), 7, 1) as integer)
    ),

    populations as (
        select period_start, period_end, stratum_type, stratum_value, sum(population) as denominator
        from population
        where
            stratum_value is not null
            and (not coalesce(is_part_of_a_band, false) or stratum_type = 'age_band')
        group by all
    ),

    counted as (
        select
            'PIT-02' as metric_id,
            'warehouse' as variant,
            coalesce(e.period_start, n.period_start) as period_start,
            coalesce(e.period_end, n.period_end) as period_end,
            cast(null as varchar) as stratum_site,
            coalesce(e.stratum_type, n.stratum_type) as stratum_type,
            coalesce(e.stratum_value, n.stratum_value) as stratum_value,
            coalesce(e.numerator, 0) as numerator,
            n.denominator,
            0 as n_not_observable
        from entered as e
        full join populations as n using (period_start, stratum_type, stratum_value)
    ),

    framed as ({{ with_empty_periods("counted", [["PIT-02", "warehouse"]]) }}),

    summary as (
        select
            *,
            {{ rate("numerator", "denominator", 1000) }} as value,
            {{ rate(garwood_low("numerator"), "denominator", 1000) }} as ci_low,
            {{ rate(garwood_high("numerator"), "denominator", 1000) }} as ci_high,
            'garwood' as ci_method,
            cast(null as varchar) as n_excluded_by_rule,
            period_end <= {{ cutoff() }} as is_mature
        from framed
    )

    {{ standard_rows("summary", needs=["child_welfare"], version="1.0.0") }}
