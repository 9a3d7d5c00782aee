{#- Events per exposure. Interval: exact Poisson (Garwood 1936), from quantiles of the gamma distribution. -#}
{#- Lower regularised incomplete gamma function P(shape, x) by its series; shape > 0, x > 0. -#}
{% macro gamma_cdf(shape, x) -%}
    list_sum(
        list_transform(
            -- The terms rise until k passes x - shape and fall within a few square roots after it.
            range(cast(20 + greatest({{ x }} - {{ shape }}, 0) + 12 * sqrt({{ shape }} + {{ x }}) as bigint)),
            lambda k:exp(({{ shape }} + k) * ln({{ x }}) - {{ x }} - lgamma({{ shape }} + k + 1))
        )
    )
{%- endmacro %}

{#- Chance of a chi-square value above ``x`` with ``df`` degrees of freedom. -#}
{% macro chi_square_tail(x, df) -%}
    case
        when {{ x }} <= 0
        then 1
        when {{ x }} > 0
        then greatest(1 - {{ gamma_cdf("(" ~ df ~ ") / 2.0", "((" ~ x ~ ") / 2.0)") }}, 0)
    end
{%- endmacro %}

{#- The ``p`` quantile (z its normal quantile) of a gamma distribution: Wilson and Hilferty's, then Newton's steps. -#}
{% macro gamma_quantile(shape, p, z) -%}
    list_reduce(
        [0.0::double, 1, 2, 3, 4, 5, 6],
        lambda x,
        step:x
        - ({{ gamma_cdf(shape, "x") }} - {{ p }}) / exp(({{ shape }} - 1) * ln(x) - x - lgamma({{ shape }})),
        greatest(
            {{ shape }} * pow(1 - 1 / (9.0 * {{ shape }}) + {{ z }} / (3 * sqrt({{ shape }})), 3),
            0.01 * {{ shape }}
        )
    )
{%- endmacro %}

{#- Limits of the mean of a Poisson count ``n``: 0 below and -ln(0.025) above when nothing happened. -#}
{% macro garwood_low(n) -%}
    case
        when {{ n }} = 0 then 0 when {{ n }} > 0 then {{ gamma_quantile("(" ~ n ~ ")", 0.025, "-" ~ z95()) }}
    end
{%- endmacro %}

{% macro garwood_high(n) -%}
    case when {{ n }} >= 0 then {{ gamma_quantile("(" ~ n ~ " + 1)", 0.975, z95()) }} end
{%- endmacro %}

{#- Events per ``scale`` of exposure; null when nobody was exposed. -#}
{% macro rate(events, exposure, scale) -%}
    ({{ events }}) * {{ scale }} / nullif({{ exposure }}, 0)
{%- endmacro %}

{#- Directly standardised rate: the groups' own rates, ``[weight, events, exposure]`` each, weighted alike everywhere. -#}
{% macro standardised_rate(groups) -%}
    (
        {%- for weight, events, exposure in groups %}
            {{ weight }} * {{ events }} / nullif({{ exposure }}, 0){{ " +" if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{#-
    CTEs ending in ``standardised``: of each measure with an age mix in the variable age_standard, the directly
    standardised value of every group, variant age_standardised: the age groups' own values, weighted alike everywhere (not
    the federal risk-standardised performance). Of the variants the federal one is taken where there is one. ``events``,
    ``exposure`` and ``variance`` (of events / exposure, from the columns events and exposure) are SQL over rows of
    ``stratified`` s. No value where an age group with a weight has nobody in it. Columns numerator, denominator, value,
    ci_low, ci_high. Nothing at all without such a measure.
-#}
{% macro age_standardised(units, measures, events, exposure, variance, scale=1) -%}
    {%- set cells = [] -%}
    {%- for metric_id in measures | map(attribute=0) | unique if metric_id in var("age_standard") -%}
        {%- set variants = measures | selectattr(0, "equalto", metric_id) | map(attribute=1) | list -%}
        {%- set base = "federal_comparable" if "federal_comparable" in variants else variants[0] -%}
        {%- set before = namespace(months=0) -%}
        {%- set mix = var("age_standard")[metric_id] -%}
        {%- for months in mix | map("int") | sort -%}
            {%- set weight = mix[months] if months in mix else mix[months | string] -%}
            {%- do cells.append("('" ~ metric_id ~ "', '" ~ base ~ "', " ~ before.months ~ ", " ~ months ~ ", " ~ weight ~ ", " ~ mix | length ~ ")") -%}
            {%- set before.months = months -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if cells %}
        stratified as ({{ stratified(units) }}),

        age_groups as (
            select
                s.metric_id,
                s.period_start,
                s.period_end,
                s.stratum_site,
                s.stratum_type,
                s.stratum_value,
                w.from_months,
                w.weight,
                w.group_count,
                {{ events }} as events,
                {{ exposure }} as exposure
            from stratified as s
            inner join {{ ref("dim_person") }} as d on s.person_id = d.person_id
            inner join
                (values {{ cells | join(", ") }}) as w(
                    metric_id, variant, from_months, to_months, weight, group_count
                )
                on s.metric_id = w.metric_id
                and s.variant = w.variant
                and s.index_date >= cast(d.dob + to_months(w.from_months) as date)
                and s.index_date < cast(d.dob + to_months(w.to_months) as date)
            where s.exclusion is null and s.stratum_value is not null and s.stratum_type <> 'age_band'
            group by all
            having exposure > 0
        ),

        standardised as (
            select
                metric_id,
                'age_standardised' as variant,
                period_start,
                period_end,
                stratum_site,
                stratum_type,
                stratum_value,
                sum(events) as numerator,
                sum(exposure) as denominator,
                0 as n_not_observable,
                '{}' as n_excluded_by_rule,
                case
                    when count(*) = max(group_count)
                    then round({{ scale }} * sum(weight * events / exposure), 9)
                end as value,
                {{ scale }} * sqrt(sum(power(weight, 2) * {{ variance }})) as standard_error,
                round(greatest(value - {{ z95() }} * standard_error, 0), 6) as ci_low,
                round(value + {{ z95() }} * standard_error, 6) as ci_high,
                'normal' as ci_method
            from age_groups
            group by all
        ),
    {%- endif %}
{%- endmacro %}

{#-
    Standard rows of a rate: events per ``scale`` of exposure. ``units`` as for proportion_rows, with events and exposure
    in place of is_observable and is_numerator. numerator is the events, denominator the exposure.
-#}
{% macro rate_rows(units, measures, scale, needs, version, follow_up_months=0) %}
    {%- set totals = ["sum(events) as events", "sum(exposure) as exposure"] -%}
    {%- set sums = [
        ["numerator", "sum(events) filter (where exclusion is null)"],
        ["denominator", "sum(exposure) filter (where exclusion is null)"],
    ] %}
    counted as (select *, 0 as n_not_observable from ({{ summed_by_group(units, sums, totals=totals) }})),

    framed as ({{ with_empty_periods("counted", measures) }}),

    {%- set standardised = age_standardised(
        units, measures, "sum(s.events)", "sum(s.exposure)", "events / power(exposure, 2)", scale
    ) %}
    {{ standardised }}

    summary as (
        select
            *,
            {{ rate("numerator", "denominator", scale) }} as value,
            {{ rate(garwood_low("numerator"), "denominator", scale) }} as ci_low,
            {{ rate(garwood_high("numerator"), "denominator", scale) }} as ci_high,
            'garwood' as ci_method,
            {{ add_months("period_end", follow_up_months) }} <= {{ cutoff() }} as is_mature
        from framed
        {%- if standardised | trim %}
            union all by name
            select
                * exclude (standard_error),
                {{ add_months("period_end", follow_up_months) }} <= {{ cutoff() }} as is_mature
            from standardised
        {%- endif %}
    )

    {{ standard_rows("summary", needs, version) }}
{% endmacro %}
