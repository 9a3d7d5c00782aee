-- EQT-03: decision points. At each step, how often a group's children get there compared with the
-- reference group's: of all children living there (of_population) and of the children of the step
-- before (of_prior_step). Basis: children with the event in the period; reunified in 12 months and
-- in care 24 months on are of the children removed in it.
with
    episodes as ({{ care_episodes(only=entered_in_periods()) }}),

    periods as ({{ metric_periods() }}),

    reports as (
        select p.period_start, p.period_end, r.*
        from periods as p
        inner join {{ ref("fct_cps_report") }} as r on r.report_date between p.period_start and p.period_end
        where r.report_date <= {{ cutoff() }} and not coalesce(r.is_unborn, false)
    ),

    entries as (
        select p.period_start, p.period_end, e.*
        from periods as p
        inner join episodes as e on e.removal_date between p.period_start and p.period_end
        where coalesce(e.removal_date < e.adult_on, true)
        qualify
            row_number() over (partition by p.period_start, e.person_id order by e.removal_date, e.removal_id)
            = 1
    ),

    steps as (
        select period_start, period_end, person_id, 1 as step
        from reports
        union
        select period_start, period_end, person_id, 2
        from reports
        where screened_in
        union
        select period_start, period_end, person_id, 3
        from reports as r
        where {{ is_substantiated("r") }}
        union
        select period_start, period_end, person_id, 4
        from entries
        union
        select period_start, period_end, person_id, 5
        from entries
        where end_reason = 'REUN' and {{ within_window("end_date", "removal_date", 12) }}
        union
        select period_start, period_end, person_id, 6
        from entries
        where coalesce(end_date > {{ add_months("removal_date", 24) }}, true)
    ),

    -- Step, its name, the step before it, and the months after the period in which it can be
    -- judged.
    decisions as (
        select *
        from
            (
                values
                    (1, 'reported', null, 0),
                    (2, 'screened_in', 1, 0),
                    (3, 'substantiated', 2, 0),
                    (4, 'removed', 3, 0),
                    (5, 'reunified_12_months', 4, 12),
                    (6, 'in_care_24_months', 4, 24)
            ) as decision(step, name, prior_step, months)
    ),

    known as (
        select s.*, d.race_eth
        from steps as s
        inner join {{ ref("dim_person") }} as d on s.person_id = d.person_id
        where d.race_eth not in ('UNKNOWN', 'MISSING')
    ),

    populations as (
        select p.period_start, r.race_eth, sum(r.population) as population
        from periods as p
        inner join
            {{ ref("ref_population") }} as r
            on r.year
            = year(p.period_end) - cast(p.period_end < make_date(year(p.period_end), 7, 1) as integer)
        where coalesce(r.age_band not in ('0-3 mo', '4-11 mo', '<36 mo'), true)
        group by all
    ),

    of_prior_step as (
        select
            k.period_start,
            k.period_end,
            k.race_eth,
            d.name || ':of_prior_step' as variant,
            d.months,
            count(distinct k.person_id) as denominator,
            count(distinct k.person_id) filter (where n.person_id is not null) as numerator
        from known as k
        inner join decisions as d on k.step = d.prior_step
        left join
            known as n on k.period_start = n.period_start and k.person_id = n.person_id and n.step = d.step
        group by all
    ),

    of_population as (
        select
            k.period_start,
            k.period_end,
            k.race_eth,
            d.name || ':of_population' as variant,
            d.months,
            max(n.population) as denominator,
            count(distinct k.person_id) as numerator
        from known as k
        inner join decisions as d on k.step = d.step
        left join populations as n on k.period_start = n.period_start and k.race_eth = n.race_eth
        group by all
    ),

    shares as (
        select *
        from of_prior_step
        union all by name
        select *
        from of_population
    ),

    ratios as (
        select
            g.*,
            r.numerator as reference_numerator,
            r.denominator as reference_denominator,
            (g.numerator / nullif(g.denominator, 0))
            / nullif(r.numerator / nullif(r.denominator, 0), 0) as ratio,
            {{ log_risk_ratio_se("g.numerator", "g.denominator", "r.numerator", "r.denominator") }} as log_se
        from shares as g
        left join
            shares as r
            on g.period_start = r.period_start
            and g.variant = r.variant
            and r.race_eth = '{{ var("disparity_reference") }}'
    ),

    summary as (
        select
            'EQT-03' as metric_id,
            variant,
            period_start,
            period_end,
            cast(null as varchar) as stratum_site,
            'race_eth' as stratum_type,
            race_eth as stratum_value,
            numerator,
            denominator,
            round(ratio, 6) as value,
            case
                when race_eth <> '{{ var("disparity_reference") }}'
                then round({{ ratio_limit("ratio", "log_se", -1) }}, 6)
            end as ci_low,
            case
                when race_eth <> '{{ var("disparity_reference") }}'
                then round({{ ratio_limit("ratio", "log_se", 1) }}, 6)
            end as ci_high,
            'log ratio' as ci_method,
            cast(null as varchar) as n_excluded_by_rule,
            0 as n_not_observable,
            {{ add_months("period_end", 0) }} + to_months(months) <= {{ cutoff() }} as is_mature,
            cast(reference_numerator as bigint) as reference_numerator,
            cast(reference_denominator as bigint) as reference_denominator
        from ratios
    )

    {{
    standard_rows(
        "summary",
        needs=["child_welfare"],
        version="1.0.1",
        more=["reference_numerator", "reference_denominator"],
    )
}}
