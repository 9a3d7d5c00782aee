-- EVL-02: exit to permanency, Safe Babies children against general foster care: hazard ratio, the
-- causes of permanency pooled, and risk ratios at 12 and 24 months. Basis: entry cohort, children
-- under 36 months. In the hazard ratio (Cox 1972, ties as Breslow) a child counts with general care
-- until the day of enrollment: before it nobody can exit and be enrolled. The risk ratios split the
-- children in care after day 60 by whether they were enrolled by then.
with
    {{ young_entry_cohort() }},

    -- Watched after from_day, up to and with to_day.
    spans as (
        select
            period_start,
            period_end,
            false as is_site,
            -1 as from_day,
            least(days, coalesce(enrolled_day, days)) as to_day,
            is_permanent and coalesce(enrolled_day >= days, true) as is_event
        from children
        where coalesce(enrolled_day > -1, true)
        union all
        select period_start, period_end, true, enrolled_day, days, is_permanent
        from children
        where enrolled_day < days
    ),

    risk_sets as (
        select
            e.period_start,
            e.day,
            e.site_exits,
            e.exits,
            count(*) filter (where s.is_site) as site_at_risk,
            count(*) filter (where not s.is_site) as other_at_risk
        from
            (
                select
                    period_start,
                    to_day as day,
                    count(*) filter (where is_site) as site_exits,
                    count(*) as exits
                from spans
                where is_event
                group by all
            ) as e
        inner join spans as s on e.period_start = s.period_start and s.from_day < e.day and s.to_day >= e.day
        group by all
    ),

    hazards as (
        select
            period_start,
            list({'exits':exits, 'site':site_at_risk, 'other':other_at_risk} order by day) as sets,
            sum(site_exits) as site_exits
        from risk_sets
        group by all
    ),

    -- Newton's method: five or six steps do. Without a maximum the coefficient goes on by about 1 a step.
    maxima as (
        select
            *,
            list_reduce(
                list_transform(range(16), lambda i:cast(0 as double)),
                lambda b,
                i:b + least(greatest({{ cox_step("site_exits", "sets", "b") }}, -2), 2)
            ) as beta
        from hazards
    ),

    hazard_ratios as (
        select
            period_start,
            exp(beta) as ratio,
            1 / sqrt(nullif({{ cox_information("sets", "beta") }}, 0)) as log_se,
            coalesce(abs({{ cox_step("site_exits", "sets", "beta") }}) < 1e-6, false) as has_maximum
        from maxima
    ),

    landmarks as (
        select
            period_start,
            period_end,
            months,
            coalesce(enrolled_day <= 60, false) as is_site,
            is_permanent and days <= months * 30.4375 as is_event
        from children
        cross join (values (12), (24)) as h(months)
        where days > 60
    ),

    counted as (
        select
            variant,
            period_start,
            period_end,
            count(*) filter (where is_site and is_event) as numerator,
            count(*) filter (where is_site) as denominator,
            count(*) filter (where not is_site and is_event) as reference_numerator,
            count(*) filter (where not is_site) as reference_denominator
        from
            (
                select 'hazard_ratio' as variant, period_start, period_end, is_site, is_event
                from spans
                union all
                select 'risk_ratio_' || months || '_months', period_start, period_end, is_site, is_event
                from landmarks
            )
        group by all
    ),

    named as (
        select
            'EVL-02' as metric_id,
            *,
            cast(null as varchar) as stratum_site,
            'all' as stratum_type,
            'all' as stratum_value,
            0 as n_not_observable
        from counted
    ),

    framed as (
        {{
            with_empty_periods(
                "named",
                [
                    ["EVL-02", "hazard_ratio"],
                    ["EVL-02", "risk_ratio_12_months"],
                    ["EVL-02", "risk_ratio_24_months"],
                ],
                compared=true,
            )
        }}
    ),

    ratios as (
        select
            f.*,
            l.rules as n_excluded_by_rule,
            case
                when f.variant = 'hazard_ratio'
                then h.ratio
                else
                    cast(f.numerator as double)
                    * f.reference_denominator
                    / nullif(cast(f.denominator as double) * f.reference_numerator, 0)
            end as ratio,
            case
                when f.variant = 'hazard_ratio'
                then h.log_se
                else
                    {{
                        log_risk_ratio_se(
                            "f.numerator",
                            "f.denominator",
                            "f.reference_numerator",
                            "f.reference_denominator",
                        )
                    }}
            end as log_se,
            case when f.variant = 'hazard_ratio' then 'cox' else 'katz' end as ci_method,
            case
                when f.variant = 'hazard_ratio' then coalesce(h.has_maximum, false) else true
            end as is_found,
            case when f.variant like '%24_months' then 24 else 12 end as months
        from framed as f
        left join hazard_ratios as h on f.period_start = h.period_start
        left join left_out as l on f.period_start = l.period_start
    ),

    judged as (
        select
            *,
            {{ add_months("period_end", "months") }} <= {{ cutoff() }} as is_mature,
            case
                when not is_mature
                then null
                when least(denominator, reference_denominator) = 0
                then 'not estimated: an arm without children'
                when least(numerator, reference_numerator) = 0
                then 'not estimated: nobody of an arm with an exit to permanency'
                when numerator + reference_numerator < 10
                then 'not estimated: under 10 events'
                when not is_found
                then 'not estimated: no maximum'
            end as withheld
        from ratios
    ),

    summary as (
        select
            *,
            case when withheld is null then round(ratio, 6) end as value,
            case when withheld is null then round({{ ratio_limit("ratio", "log_se", -1) }}, 6) end as ci_low,
            case when withheld is null then round({{ ratio_limit("ratio", "log_se", 1) }}, 6) end as ci_high
        from judged
    )

    {{
    standard_rows(
        "summary",
        needs=["child_welfare", "court_team"],
        version="1.1.0",
        more=["reference_numerator", "reference_denominator"],
        withheld="withheld",
    )
}}
