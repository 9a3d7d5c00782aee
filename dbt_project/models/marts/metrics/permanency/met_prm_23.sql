-- PRM-23: median length of stay in months, whatever the exit: the time at which Kaplan-Meier's
-- survival in care reaches one half, if it does. Basis: entry cohort. A discharge without a reason
-- is an exit like any other here.
with
    {{ entry_cohort(any_reason=true) }},

    units as (
        select
            * exclude (end_reason), case when end_date is not null then 'any' end as cause, -1 as entered_day
        from cohort
    ),

    stratified as ({{ stratified("units") }}),

    followed as (select * from stratified where exclusion is null and stratum_value is not null),

    {{ competing_risk_curves("followed", ["period_start", "stratum_type", "stratum_value"]) }},

    medians as (
        select
            period_start,
            stratum_type,
            stratum_value,
            max(events_so_far) as exits,
            -- A hair of tolerance: 0.5 reached as a product of binary fractions may come out above
            -- it.
            min(day) filter (where survival <= 0.5 + 1e-12) as median_days,
            min(day) filter (
                where {{ log_log_limit("survival", "survival_variance", -1) }} <= 0.5 or survival = 0
            ) as low_days,
            min(day) filter (
                where {{ log_log_limit("survival", "survival_variance", 1) }} <= 0.5 or survival = 0
            ) as high_days
        from curves
        group by all
    ),

    counted as (
        select
            'PRM-23' as metric_id,
            'warehouse' as variant,
            s.period_start,
            s.period_end,
            s.stratum_site,
            s.stratum_type,
            s.stratum_value,
            coalesce(max(m.exits), 0) as numerator,
            count(*) filter (where s.exclusion is null) as denominator,
            0 as n_not_observable,
            to_json(histogram(s.exclusion)) as n_excluded_by_rule,
            max(m.median_days) as median_days,
            max(m.low_days) as low_days,
            max(m.high_days) as high_days
        from stratified as s
        left join medians as m using (period_start, stratum_type, stratum_value)
        where s.stratum_value is not null
        group by all
    ),

    framed as ({{ with_empty_periods("counted", [["PRM-23", "warehouse"]]) }}),

    summary as (
        select
            *,
            median_days / 30.4375 as value,
            low_days / 30.4375 as ci_low,
            high_days / 30.4375 as ci_high,
            'brookmeyer-crowley log-log' as ci_method,
            {{ add_months("period_end", 12) }} <= {{ cutoff() }} as is_mature
        from framed
    )

    {{ standard_rows("summary", needs=["child_welfare"], version="1.1.0", show_immature=true) }}
