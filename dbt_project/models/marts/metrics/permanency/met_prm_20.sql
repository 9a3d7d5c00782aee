-- PRM-20: median time to reunification in months, two ways. Basis: entry cohort, no 8-day rule.
-- conditional: the sample median among children who reunified; biased short until the cohort has 36 months
-- behind it.
-- cohort: the time at which the cumulative incidence of reunification (Aalen-Johansen) reaches one half, if
-- it does.
with
    episodes as ({{ care_episodes() }}),

    periods as ({{ metric_periods() }}),

    entries as (
        select
            p.period_start,
            p.period_end,
            e.*,
            coalesce(e.end_date, {{ cutoff() }}) - e.removal_date as days,
            case
                when e.removal_date >= e.adult_on
                then 'age_18_or_more'
                when e.end_date is not null and e.end_reason is null
                then 'no_discharge_reason'
            end as exclusion
        from periods as p
        inner join episodes as e on e.removal_date between p.period_start and p.period_end
        qualify row_number() over (partition by p.period_start, e.person_id order by e.removal_date, e.removal_id) = 1
    ),

    sited as ({{ with_site("entries", "removal_date", until="end_date") }}),

    indexed as (select *, removal_date as index_date from sited),

    stratified as ({{ stratified("indexed") }}),

    cohort as (
        select *, end_reason = 'REUN' as is_reunified, end_date is not null as is_exit
        from stratified
        where exclusion is null and stratum_value is not null
    ),

    -- Steps of both curves, one row per stratum and day with an exit or a censoring.
    days as (
        select
            period_start,
            stratum_type,
            stratum_value,
            days,
            count(*) as ending,
            count(*) filter (where is_exit) as exits,
            count(*) filter (where is_reunified) as reunified,
            sum(count(*)) over later as at_risk,
            sum(count(*) filter (where is_reunified)) over later as reunified_at_risk
        from cohort
        group by period_start, stratum_type, stratum_value, days
        window
            later as (
                partition by period_start, stratum_type, stratum_value order by days desc rows unbounded preceding
            )
    ),

    survival as (
        select
            *,
            coalesce(
                product(1 - exits / at_risk) over (
                    partition by period_start, stratum_type, stratum_value
                    order by days
                    rows between unbounded preceding and 1 preceding
                ),
                1
            ) as survival_before,
            -- Among the reunified alone nobody is censored: Kaplan-Meier with Greenwood's variance.
            product(1 - reunified / nullif(reunified_at_risk, 0)) over so_far as not_yet,
            sum(reunified / nullif(reunified_at_risk * (reunified_at_risk - reunified), 0)) over so_far as greenwood
        from days
        window so_far as (partition by period_start, stratum_type, stratum_value order by days rows unbounded preceding)
    ),

    incidence as (
        select
            *,
            sum(survival_before * reunified / at_risk) over (
                partition by period_start, stratum_type, stratum_value order by days rows unbounded preceding
            ) as cif,
            coalesce(exits / nullif((at_risk - 1) * (at_risk - exits), 0), 0) as a,
            coalesce(survival_before * reunified / nullif(at_risk * (at_risk - 1), 0), 0) as b,
            coalesce(
                pow(survival_before, 2)
                * reunified
                * (at_risk - reunified)
                / nullif(pow(at_risk, 2) * (at_risk - 1), 0),
                0
            ) as c
        from survival
    ),

    -- Aalen's variance of the cumulative incidence, its squares multiplied out so that one pass is enough.
    curves as (
        select
            *,
            greatest(
                pow(cif, 2) * sum(a) over so_far
                - 2 * cif * sum(a * cif) over so_far
                + sum(a * pow(cif, 2)) over so_far
                + sum(c) over so_far
                - 2 * (cif * sum(b) over so_far - sum(b * cif) over so_far),
                0
            ) as cif_variance,
            pow(not_yet, 2) * greenwood as not_yet_variance
        from incidence
        window so_far as (partition by period_start, stratum_type, stratum_value order by days rows unbounded preceding)
    ),

    medians as (
        select
            period_start,
            stratum_type,
            stratum_value,
            -- A hair of tolerance: 0.5 reached as a sum of binary fractions may come out as
            -- 0.49999999999999994.
            min(days) filter (where cif >= 0.5 - 1e-12) as cohort_days,
            min(days) filter (where {{ log_log_limit("cif", "cif_variance", 1) }} >= 0.5) as cohort_low,
            min(days) filter (where {{ log_log_limit("cif", "cif_variance", -1) }} >= 0.5) as cohort_high,
            min(days) filter (where {{ log_log_limit("not_yet", "not_yet_variance", -1) }} <= 0.5) as conditional_low,
            min(days) filter (where {{ log_log_limit("not_yet", "not_yet_variance", 1) }} <= 0.5) as conditional_high
        from curves
        group by all
    ),

    excluded as (
        select period_start, stratum_type, stratum_value, histogram(exclusion) as n_excluded
        from stratified
        group by all
    ),

    totals as (
        select
            period_start,
            period_end,
            stratum_site,
            stratum_type,
            stratum_value,
            count(*) as children,
            count(*) filter (where is_reunified) as reunified,
            median(days) filter (where is_reunified) as conditional_days
        from cohort
        group by all
    ),

    counted as (
        select
            'PRM-20' as metric_id,
            v.variant,
            t.period_start,
            t.period_end,
            t.stratum_site,
            t.stratum_type,
            t.stratum_value,
            t.reunified as numerator,
            case v.variant when 'conditional' then t.reunified else t.children end as denominator,
            case v.variant when 'conditional' then t.conditional_days else m.cohort_days end as median_days,
            case v.variant when 'conditional' then m.conditional_low else m.cohort_low end as low_days,
            case v.variant when 'conditional' then m.conditional_high else m.cohort_high end as high_days,
            to_json(x.n_excluded) as n_excluded_by_rule,
            0 as n_not_observable
        from totals as t
        inner join medians as m using (period_start, stratum_type, stratum_value)
        left join excluded as x using (period_start, stratum_type, stratum_value)
        cross join (values ('conditional'), ('cohort')) as v(variant)
    ),

    framed as ({{ with_empty_periods("counted", [["PRM-20", "conditional"], ["PRM-20", "cohort"]]) }}),

    summary as (
        select
            *,
            median_days / 30.4375 as value,
            low_days / 30.4375 as ci_low,
            high_days / 30.4375 as ci_high,
            'brookmeyer-crowley log-log' as ci_method,
            {{ add_months("period_end", 36) }} <= {{ cutoff() }} as is_mature
        from framed
    )

    {{ standard_rows("summary", needs=["child_welfare"], version="1.0.0", show_immature=true) }}
