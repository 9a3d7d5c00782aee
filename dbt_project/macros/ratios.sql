{#- Ratios of two groups with 95 % intervals on the log scale, and tests of their difference. -#}
{#- Interval limit of a ratio from the standard error of its logarithm; null where either is. ``side`` is -1 or 1. -#}
{% macro ratio_limit(ratio, log_se, side) -%}
    ({{ ratio }}) * exp({{ side }} * {{ z95() }} * ({{ log_se }}))
{%- endmacro %}

{#- Standard error of the log of a ratio of two proportions, x1 of n1 against x2 of n2 (Katz 1978). -#}
{% macro log_risk_ratio_se(x1, n1, x2, n2) -%}
    case
        when {{ x1 }} > 0 and {{ x2 }} > 0
        then sqrt(greatest(1.0 / {{ x1 }} - 1.0 / {{ n1 }}, 0) + greatest(1.0 / {{ x2 }} - 1.0 / {{ n2 }}, 0))
    end
{%- endmacro %}

{#- Odds ratio of x1 of n1 against x2 of n2; null when a cell of the table is empty. -#}
{% macro odds_ratio(x1, n1, x2, n2) -%}
    cast({{ x1 }} as double)
    * ({{ n2 }} - {{ x2 }})
    / nullif(cast({{ x2 }} as double) * ({{ n1 }} - {{ x1 }}), 0)
{%- endmacro %}

{#- Standard error of its log (Woolf 1955); null when a cell of the table is empty. -#}
{% macro log_odds_ratio_se(x1, n1, x2, n2) -%}
    case
        when least({{ x1 }}, {{ n1 }} - {{ x1 }}, {{ x2 }}, {{ n2 }} - {{ x2 }}) > 0
        then sqrt(1.0 / {{ x1 }} + 1.0 / ({{ n1 }} - {{ x1 }}) + 1.0 / {{ x2 }} + 1.0 / ({{ n2 }} - {{ x2 }}))
    end
{%- endmacro %}

{#-
    What a cluster, in which x of n count, adds to the error of a group's log odds, the group being x_all of n_all: its
    residual over the group's information (Liang and Zeger 1986). Null when nobody or everybody of the group counts.
-#}
{% macro logit_score(x, n, x_all, n_all) -%}
    ({{ x }} - {{ n }} * cast({{ x_all }} as double) / {{ n_all }})
    / nullif(cast({{ x_all }} as double) * ({{ n_all }} - {{ x_all }}) / {{ n_all }}, 0)
{%- endmacro %}

{#- Two-sided p of a standard normal ``z``, to 0.0000002 (Abramowitz and Stegun 1964, 7.1.26). -#}
{% macro normal_p(z) -%}
    {%- set t = "(1 / (1 + 0.3275911 * abs(" ~ z ~ ") / sqrt(2)))" -%}
    exp(- pow({{ z }}, 2) / 2)
    * {{ t }}
    * (
        0.254829592
        + {{ t }}
        * (-0.284496736 + {{ t }} * (1.421413741 + {{ t }} * (-1.453152027 + {{ t }} * 1.061405429)))
    )
{%- endmacro %}

{#- Log of the number of ways to choose k of n. -#}
{% macro ln_choose(n, k) -%}
    (lgamma({{ n }} + 1) - lgamma({{ k }} + 1) - lgamma({{ n }} - ({{ k }}) + 1))
{%- endmacro %}

{#- Fisher's exact test, two-sided: the chance of a table no likelier than x1 of n1 against x2 of n2, margins given. -#}
{% macro fisher_p(x1, n1, x2, n2) -%}
    {%- set x = x1 ~ " + " ~ x2 -%}
    {%- set n = n1 ~ " + " ~ n2 -%}
    least(
        list_sum(
            list_transform(
                range(
                    cast(greatest(0, {{ x }} - {{ n2 }}) as bigint),
                    cast(least({{ x }}, {{ n1 }}) as bigint) + 1
                ),
                lambda k: case
                    when
                        {{ ln_choose(n1, "k") }} + {{ ln_choose(n2, x ~ " - k") }}
                        <= {{ ln_choose(n1, x1) }} + {{ ln_choose(n2, x2) }} + 1e-7
                    then
                        exp(
                            {{ ln_choose(n1, "k") }} + {{ ln_choose(n2, x ~ " - k") }} - {{ ln_choose(n, x) }}
                        )
                    else 0
                end
            )
        ),
        1
    )
{%- endmacro %}

{#-
    Cox's model of one yes-or-no covariate (Cox 1972, ties as Breslow 1974): information and Newton's step at the
    coefficient ``b``. ``sets``: a list of the risk sets {exits, site, other}, how many leave and how many of either group
    were at risk; ``site_exits``: how many of the first group left in all.
-#}
{% macro cox_information(sets, b) -%}
    list_sum(
        list_transform(
            {{ sets }},
            lambda s:s.exits * s.site * s.other * exp({{ b }}) / pow(s.other + s.site * exp({{ b }}), 2)
        )
    )
{%- endmacro %}

{% macro cox_step(site_exits, sets, b) -%}
    (
        {{ site_exits }} - list_sum(
            list_transform(
                {{ sets }}, lambda s:s.exits * s.site * exp({{ b }}) / (s.other + s.site * exp({{ b }}))
            )
        )
    )
    / nullif({{ cox_information(sets, b) }}, 0)
{%- endmacro %}
