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
    Standard rows of a rate: events per ``scale`` of exposure. ``units`` as for proportion_rows, with events and exposure
    in place of is_observable and is_numerator. numerator is the events, denominator the exposure.
-#}
{% macro rate_rows(units, measures, scale, needs, version, follow_up_months=0) %}
    stratified as ({{ stratified(units) }}),

    counted as (
        select
            metric_id,
            variant,
            period_start,
            period_end,
            stratum_site,
            stratum_type,
            stratum_value,
            coalesce(sum(events) filter (where exclusion is null), 0) as numerator,
            coalesce(sum(exposure) filter (where exclusion is null), 0) as denominator,
            0 as n_not_observable,
            to_json(histogram(exclusion)) as n_excluded_by_rule
        from stratified
        where stratum_value is not null
        group by all
    ),

    framed as ({{ with_empty_periods("counted", measures) }}),

    summary as (
        select
            *,
            {{ rate("numerator", "denominator", scale) }} as value,
            {{ rate(garwood_low("numerator"), "denominator", scale) }} as ci_low,
            {{ rate(garwood_high("numerator"), "denominator", scale) }} as ci_high,
            'garwood' as ci_method,
            {{ add_months("period_end", follow_up_months) }} <= {{ cutoff() }} as is_mature
        from framed
    )

    {{ standard_rows("summary", needs, version) }}
{% endmacro %}
