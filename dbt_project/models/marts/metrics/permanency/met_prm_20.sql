-- PRM-20: median time to reunification in months, two ways. Basis: entry cohort, no 8-day rule.
-- conditional: the sample median among children who reunified; biased short until the cohort has
-- 36 months behind it. cohort: the time at which the cumulative incidence of reunification (Aalen-
-- Johansen) reaches one half, if it does.
with
    {{ entry_cohort() }},

    units as (
        select
            * exclude (end_reason),
            'cohort' as variant,
            case
                when end_reason = 'REUN' then 'reunification' when end_reason is not null then 'other'
            end as cause,
            -1 as entered_day
        from cohort
        union all
        select * exclude (end_reason), 'conditional', 'reunification', -1
        from cohort
        where end_reason = 'REUN' and exclusion is null
    ),

    stratified as ({{ stratified("units") }}),

    followed as (select * from stratified where exclusion is null),

    {{ competing_risk_curves("followed", ["period_start", "variant", "stratum_type", "stratum_value"]) }},

    -- Among the reunified alone nobody is censored: the incidence is one minus survival, with
    -- Greenwood's variance.
    medians as (
        select
            period_start,
            variant,
            stratum_type,
            stratum_value,
            -- A hair of tolerance: 0.5 reached as a sum of binary fractions may come out as
            -- 0.49999999999999994.
            min(day) filter (where cif >= 0.5 - 1e-12) as cohort_days,
            min(day) filter (
                where
                    case
                        variant
                        when 'cohort'
                        then {{ log_log_limit("cif", "cif_variance", 1) }} >= 0.5
                        else {{ log_log_limit("survival", "survival_variance", -1) }} <= 0.5
                    end
            ) as low_days,
            min(day) filter (
                where
                    case
                        variant
                        when 'cohort'
                        then {{ log_log_limit("cif", "cif_variance", -1) }} >= 0.5
                        else {{ log_log_limit("survival", "survival_variance", 1) }} <= 0.5
                    end
            ) as high_days
        from curves
        where cause = 'reunification'
        group by all
    ),

    -- A group in which nobody has reunified yet has its conditional row too.
    totals as (
        select
            v.variant,
            s.period_start,
            s.period_end,
            s.stratum_site,
            s.stratum_type,
            s.stratum_value,
            count(*) filter (where s.cause = 'reunification' and s.exclusion is null) as numerator,
            count(*) filter (where s.exclusion is null) as children,
            median(s.days) filter (
                where s.cause = 'reunification' and s.exclusion is null
            ) as conditional_days,
            to_json(histogram(s.exclusion)) as n_excluded_by_rule
        from stratified as s
        cross join (values ('conditional'), ('cohort')) as v(variant)
        where s.variant = 'cohort'
        group by all
    ),

    counted as (
        select
            'PRM-20' as metric_id,
            t.* exclude (children, conditional_days),
            case t.variant when 'conditional' then t.numerator else t.children end as denominator,
            case t.variant when 'conditional' then t.conditional_days else m.cohort_days end as median_days,
            m.low_days,
            m.high_days,
            0 as n_not_observable
        from totals as t
        left join medians as m using (period_start, variant, stratum_type, stratum_value)
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

    {{ standard_rows("summary", needs=["child_welfare"], version="1.1.0", show_immature=true) }}
