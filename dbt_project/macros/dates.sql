{#- Dates and windows: the shared conventions C1 to C6 of the measure catalogue, written once. -#}
{#- The night's cut as a SQL date. A run without one is an error: the wall clock must never decide a number. -#}
{% macro cutoff() -%}
    {%- if execute and not var("cutoff") -%}
        {{ exceptions.raise_compiler_error("the variable 'cutoff' is not set: pass --vars 'cutoff: YYYY-MM-DD'") }}
    {%- endif -%}
    cast('{{ var("cutoff") or "1900-01-01" }}' as date)
{%- endmacro %}

{#- ``value``, by default the date itself, where ``date`` is no later than the cut-off; else null: nothing later is known. -#}
{% macro known(date, value=none) -%}
    case when {{ date }} <= {{ cutoff() }} then {{ value or date }} end
{%- endmacro %}

{#- The last of several ends; null while one of them is open. Not max() or bool_and(): they pass over nulls. -#}
{% macro last_end(column) -%}
    case when count(*) = count({{ column }}) then max({{ column }}) end
{%- endmacro %}

{#- ``column`` plus calendar months; the end of a month clamps (29 February + 12 months = 28 February). -#}
{% macro add_months(column, months) -%}
    cast({{ dbt.dateadd("month", months, column) }} as date)
{%- endmacro %}

{#- Dates plus whole days. Not an interval: DuckDB takes "30 days" and "1 month" in one projection for the same
    expression and computes only one of them. -#}
{% macro add_days(column, days) -%}(cast({{ column }} as date) + cast({{ days }} as integer)) {%- endmacro %}

{#- True when ``event`` lies no later than ``months`` after ``anchor``, by the rule of C1. No lower bound. -#}
{% macro within_window(event, anchor, months) -%}
    {%- set rule = var("within_rule") -%}
    {%- if rule == "ANNIV_INCL" -%} {{ event }} <= {{ add_months(anchor, months) }}
    {%- elif rule == "ANNIV_EXCL" -%} {{ event }} < {{ add_months(anchor, months) }}
    {%- elif rule == "DAYS_365" -%} {{ event }} <= {{ add_days(anchor, (months * 365 / 12) | round | int) }}
    {%- else -%}
        {{ exceptions.raise_compiler_error("within_rule must be ANNIV_INCL, ANNIV_EXCL or DAYS_365") }}
    {%- endif -%}
{%- endmacro %}

{#- Label of the six-month federal file a date falls in: 24A is October 2023 to March 2024 (C4). -#}
{% macro federal_file(column) -%}
    right(cast(year({{ column }}) + cast(month({{ column }}) >= 10 as integer) as varchar), 2)
    || case when month({{ column }}) between 4 and 9 then 'B' else 'A' end
{%- endmacro %}

{#- The periods as a list of [start, end]: the variable metric_periods, or the last full federal fiscal years. -#}
{% macro period_dates() -%}
    {%- set periods = [] -%}
    {%- for period in var("metric_periods") -%}
        {%- do periods.append([period["start"] | string, period["end"] | string]) -%}
    {%- endfor -%}
    {%- if not periods -%}
        {%- set cut = (var("cutoff") or "1900-01-01") | string -%}
        {%- set last = (cut[:4] | int) - (0 if cut[5:10] >= "09-30" else 1) -%}
        {%- for year in range(last - var("metric_fiscal_years") + 1, last + 1) -%}
            {%- do periods.append([(year - 1) ~ "-10-01", year ~ "-09-30"]) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(periods) }}
{%- endmacro %}

{#- Rows (period_start, period_end). -#}
{% macro metric_periods() -%}
    select cast(period_start as date) as period_start, cast(period_end as date) as period_end
    from
        (
            values
                {%- for start, end in period_dates() %}
                    ('{{ start }}', '{{ end }}'){{ "," if not loop.last }}
                {%- endfor %}
        ) as period(period_start, period_end)
{%- endmacro %}

{#- The first day of all periods and the last, moved by ``days``: dates that a scan can hold its rows against. -#}
{% macro first_period_day(days=0) -%}
    {{ moved_day(period_dates() | map(attribute=0) | min, days) }}
{%- endmacro %}

{% macro last_period_day(days=0) -%}
    {{ moved_day(period_dates() | map(attribute=1) | max, days) }}
{%- endmacro %}

{% macro moved_day(day, days) -%}
    {%- set datetime = modules.datetime -%}
    {%- set moved = datetime.datetime.strptime(day[:10], "%Y-%m-%d") + datetime.timedelta(days=days) -%}
    cast('{{ moved.strftime("%Y-%m-%d") }}' as date)
{%- endmacro %}
