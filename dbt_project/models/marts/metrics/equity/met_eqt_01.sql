-- EQT-01: disparity index, the rate of a racial or ethnic group over that of the reference group,
-- and over that of everybody else, measure by measure. Basis: that of the measure compared.
{%- set measures = disparity_measures() %}
with
    measured as (
        {%- for model, direction in measures.items() %}
            select *, '{{ direction }}' as direction
            from {{ ref(model) }}
            where stratum_type = 'race_eth'
            {%- if not loop.last %}
                union all
            {%- endif %}
        {%- endfor %}
    ),

    -- The standard error of the logarithm of the value. Cumulative incidences: back from the
    -- log-log interval.
    groups as (
        select
            *,
            case
                when ci_method = 'aalen log-log' and ci_low > 0 and ci_low < value
                then abs(ln(value)) * ln(ln(ci_low) / ln(value)) / {{ z95() }}
                when ci_method in ('wilson', 'garwood') and numerator > 0
                then sqrt(greatest(1.0 / numerator - 1.0 / denominator, 0))
            end as log_se,
            coalesce(ci_method, '') <> 'aalen log-log' as is_pooled
        from measured
    ),

    pairs as (
        select
            g.*,
            'vs_reference' as comparison,
            r.value as reference_value,
            r.numerator as reference_numerator,
            r.denominator as reference_denominator,
            r.log_se as reference_log_se,
            r.match_rate as reference_match_rate
        from groups as g
        inner join
            groups as r
            on g.metric_id = r.metric_id
            and g.variant = r.variant
            and g.period_start = r.period_start
            and r.stratum_value = '{{ var("disparity_reference") }}'
            and g.stratum_value <> r.stratum_value
        union all
        select
            g.*,
            'vs_all_others',
            -- The measure's unit (per 1, per 1,000 …) comes from the rows themselves.
            max(o.value * o.denominator / nullif(o.numerator, 0))
            * sum(o.numerator)
            / nullif(sum(o.denominator), 0),
            sum(o.numerator),
            sum(o.denominator),
            case
                when sum(o.numerator) > 0
                then sqrt(greatest(1.0 / sum(o.numerator) - 1.0 / sum(o.denominator), 0))
            end,
            -- Only a linked measure has one.
            case
                when count(o.match_rate) > 0
                then sum(o.denominator) / nullif(sum(o.denominator + o.n_not_observable), 0)
            end
        from groups as g
        inner join
            groups as o
            on g.metric_id = o.metric_id
            and g.variant = o.variant
            and g.period_start = o.period_start
            and g.stratum_value <> o.stratum_value
            and o.stratum_value not in ('UNKNOWN', 'MISSING')
        where g.is_pooled
        group by all
    ),

    ratios as (
        select
            *,
            value / nullif(reference_value, 0) as ratio,
            sqrt(power(log_se, 2) + power(reference_log_se, 2)) as ratio_log_se
        from pairs
        where stratum_value not in ('UNKNOWN', 'MISSING')
    ),

    summary as (
        select
            'EQT-01' as metric_id,
            metric_id || ':' || variant || ':' || comparison as variant,
            period_start,
            period_end,
            site_id as stratum_site,
            stratum_type,
            stratum_value,
            numerator,
            denominator,
            round(ratio, 6) as value,
            round({{ ratio_limit("ratio", "ratio_log_se", -1) }}, 6) as ci_low,
            round({{ ratio_limit("ratio", "ratio_log_se", 1) }}, 6) as ci_high,
            'log ratio' as ci_method,
            n_excluded_by_rule,
            n_not_observable,
            -- Of the two groups' the lower one.
            least(match_rate, reference_match_rate) as match_rate,
            maturity_flag <> 'not mature' as is_mature,
            metric_id as compared_metric_id,
            cast(reference_numerator as bigint) as reference_numerator,
            cast(reference_denominator as bigint) as reference_denominator,
            case direction when 'up' then 'below 1' when 'down' then 'above 1' end as disparity_direction
        from ratios
    )

    {{
    standard_rows(
        "summary",
        needs=["child_welfare"],
        version="1.1.0",
        match_rate="match_rate",
        more=["compared_metric_id", "reference_numerator", "reference_denominator", "disparity_direction"],
    )
}}
