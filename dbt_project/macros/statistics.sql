{#- Intervals at 95 %. Sources: Wilson (1927); Brookmeyer and Crowley (1982) with the log-log transformation. -#}
{% macro z95() -%} 1.959963984540054 {%- endmacro %}

{#- One limit of the Wilson interval of ``x`` successes in ``n``; null when n is 0. ``side`` is -1 or 1. -#}
{% macro wilson_limit(x, n, side) -%}
    case
        when {{ n }} > 0
        then
            round(
                (
                    ({{ x }})
                    + pow({{ z95() }}, 2) / 2
                    + {{ side }}
                    * {{ z95() }}
                    * sqrt(
                        ({{ x }}) * (({{ n }}) - ({{ x }})) / cast({{ n }} as double)
                        + pow({{ z95() }}, 2) / 4
                    )
                )
                / (({{ n }}) + pow({{ z95() }}, 2)),
                6
            )
    end
{%- endmacro %}

{% macro wilson_low(x, n) -%} {{ wilson_limit(x, n, -1) }} {%- endmacro %}

{% macro wilson_high(x, n) -%} {{ wilson_limit(x, n, 1) }} {%- endmacro %}

{#- Log-log limit of a survival or cumulative incidence estimate ``f`` with variance ``v``. Null at 0 and 1,
    where it is not defined. ``side`` is -1 or 1. -#}
{% macro log_log_limit(f, v, side) -%}
    case
        when {{ f }} > 0 and {{ f }} < 1 and {{ v }} >= 0
        then pow({{ f }}, exp({{ -1 * side }} * {{ z95() }} * sqrt({{ v }}) / abs({{ f }} * ln({{ f }}))))
    end
{%- endmacro %}
