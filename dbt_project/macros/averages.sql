{#- Means, ratios of sums and plain counts. Intervals at 95 %: Student's t for a mean, linearisation for a ratio. -#}
{#- The 0.975 quantile of Student's t: a table to 30 degrees of freedom, then the Cornish-Fisher series. -#}
{% macro t95(df) -%}
    case
        when {{ df }} < 1
        then null
        when {{ df }} <= 30
        then
            [
                12.706205,
                4.302653,
                3.182446,
                2.776445,
                2.570582,
                2.446912,
                2.364624,
                2.306004,
                2.262157,
                2.228139,
                2.200985,
                2.178813,
                2.160369,
                2.144787,
                2.13145,
                2.119905,
                2.109816,
                2.100922,
                2.093024,
                2.085963,
                2.079614,
                2.073873,
                2.068658,
                2.063899,
                2.059539,
                2.055529,
                2.051831,
                2.048407,
                2.04523,
                2.042272
            ][cast({{ df }} as integer)]
        else
            {{ z95() }}
            + (power({{ z95() }}, 3) + {{ z95() }}) / (4 * {{ df }})
            + (5 * power({{ z95() }}, 5) + 16 * power({{ z95() }}, 3) + 3 * {{ z95() }})
            / (96 * power({{ df }}, 2))
    end
{%- endmacro %}

{#-
    Standard rows of a mean. ``units`` as for proportion_rows with amount in place of is_numerator. numerator is the sum,
    rounded; denominator the units.
-#}
{% macro average_rows(units, measures, needs, version, linked=false, follow_up_months=none) %}
    averaged as (select * from ({{ stratified(units) }}) where stratum_value is not null),

    counted as (
        select
            metric_id,
            variant,
            period_start,
            period_end,
            stratum_site,
            stratum_type,
            stratum_value,
            sum(amount) filter (where exclusion is null and is_observable) as numerator,
            count(*) filter (where exclusion is null and is_observable) as denominator,
            count(*) filter (where exclusion is null and not is_observable) as n_not_observable,
            to_json(histogram(exclusion)) as n_excluded_by_rule,
            avg(amount) filter (where exclusion is null and is_observable) as value,
            stddev_samp(amount) filter (where exclusion is null and is_observable) as sd
        from averaged
        group by all
    ),

    framed as ({{ with_empty_periods("counted", measures) }}),

    summary as (
        select
            * exclude (sd),
            value - {{ t95("(denominator - 1)") }} * sd / sqrt(denominator) as ci_low,
            value + {{ t95("(denominator - 1)") }} * sd / sqrt(denominator) as ci_high,
            't' as ci_method,
            {% if follow_up_months is none %} true
            {% else %} {{ add_months("period_end", follow_up_months) }} <= {{ cutoff() }}
            {% endif %} as is_mature
        from framed
    )

    {{ standard_rows("summary", needs, version, linked) }}
{% endmacro %}

{#-
    Standard rows of sums over sums. ``units`` as for proportion_rows with amount and exposure in place of is_numerator.
    ``measures`` lists (metric_id, variant, scale, method): value = scale x sum(amount) / sum(exposure), with the interval
    wilson (amount is part of exposure), garwood (events) or linearised (units vary independently). numerator and
    denominator are the sums.
-#}
{% macro ratio_rows(units, measures, needs, version, linked=false, follow_up_months=none) %}
    {%- set totals = [
        "sum(amount) as a", "sum(exposure) as e", "sum(amount * amount) as aa", "sum(amount * exposure) as ae", "sum(exposure * exposure) as ee"
    ] -%}
    {%- set judged = " filter (where exclusion is null and is_observable)" -%}
    {%- set sums = [
        ["numerator", "sum(a)" ~ judged],
        ["denominator", "sum(e)" ~ judged],
        ["n_not_observable", "sum(n) filter (where exclusion is null and not is_observable)"],
        ["n", "sum(n)" ~ judged],
        ["aa", "sum(aa)" ~ judged],
        ["ae", "sum(ae)" ~ judged],
        ["ee", "sum(ee)" ~ judged],
    ] %}
    sums as ({{ summed_by_group(units, sums, ["is_observable"], totals) }}),

    counted as (
        select
            *,
            numerator / nullif(denominator, 0) as ratio,
            sqrt(greatest(aa - 2 * ratio * ae + ratio * ratio * ee, 0) * n / nullif(n - 1, 0))
            / nullif(denominator, 0) as se
        from sums
    ),

    framed as ({{ with_empty_periods("counted", measures_only(measures)) }}),

    ruled as (
        select f.*, m.scale, m.method
        from framed as f
        inner join
            (
                values
                    {%- for metric_id, variant, scale, method in measures %}
                        (
                            '{{ metric_id }}', '{{ variant }}', {{ scale }}, '{{ method }}'
                        ){{ "," if not loop.last }}
                    {%- endfor %}
            ) as m(metric_id, variant, scale, method)
            on f.metric_id = m.metric_id
            and f.variant = m.variant
    ),

    summary as (
        select
            * exclude (n, aa, ae, ee, ratio, se, scale, method),
            scale * ratio as value,
            case
                method
                when 'wilson'
                then {{ wilson_low("numerator", "denominator") }}
                when 'garwood'
                then scale * {{ poisson_limit("numerator", "low") }} / nullif(denominator, 0)
                else scale * (ratio - {{ t95("(n - 1)") }} * se)
            end as ci_low,
            case
                method
                when 'wilson'
                then {{ wilson_high("numerator", "denominator") }}
                when 'garwood'
                then scale * {{ poisson_limit("numerator", "high") }} / nullif(denominator, 0)
                else scale * (ratio + {{ t95("(n - 1)") }} * se)
            end as ci_high,
            method as ci_method,
            {% if follow_up_months is none %} true
            {% else %} {{ add_months("period_end", follow_up_months) }} <= {{ cutoff() }}
            {% endif %} as is_mature
        from ruled
    )

    {{ standard_rows("summary", needs, version, linked) }}
{% endmacro %}

{% macro measures_only(measures) -%}
    {%- set pairs = [] -%}
    {%- for measure in measures -%} {%- do pairs.append([measure[0], measure[1]]) -%} {%- endfor -%}
    {{ return(pairs) }}
{%- endmacro %}

{#- Garwood's limit of a Poisson count; above 10,000 events Wilson and Hilferty's approximation, equal to six digits. -#}
{% macro poisson_limit(n, side) -%}
    case
        when {{ n }} <= 10000
        then
            {{ garwood_low(n) if side == "low" else garwood_high(n) }}
            {%- set shape = n if side == "low" else "(" ~ n ~ " + 1)" %}
        else
            {{ shape }} * power(
                1
                - 1
                / (9.0 * {{ shape }}) {{ "-" if side == "low" else "+" }} {{ z95() }}
                / (3 * sqrt({{ shape }})),
                3
            )
    end
{%- endmacro %}

{#- Standard rows of a count: ``units`` has one row per thing counted, with metric_id, variant, period_start, period_end,
    site_id and county. -#}
{% macro tally_rows(units, measures, needs, version, follow_up_months=none) %}
    {%- set alike = ["metric_id", "variant", "period_start", "period_end"] %}
    counted as (
        select
            {{ alike | join(", ") }},
            stratum_site,
            stratum_type,
            stratum_value,
            sum(n) as numerator,
            0 as denominator,
            0 as n_not_observable
        from ({{ stratified(units, alike, ["count(*) as n"]) }})
        group by all
    ),

    framed as ({{ with_empty_periods("counted", measures) }}),

    summary as (
        select
            * replace (cast(null as bigint) as denominator),
            numerator as value,
            cast(null as double) as ci_low,
            cast(null as double) as ci_high,
            cast(null as varchar) as ci_method,
            cast(null as varchar) as n_excluded_by_rule,
            {% if follow_up_months is none %} true
            {% else %} {{ add_months("period_end", follow_up_months) }} <= {{ cutoff() }}
            {% endif %} as is_mature
        from framed
    )

    {{ standard_rows("summary", needs, version) }}
{% endmacro %}
