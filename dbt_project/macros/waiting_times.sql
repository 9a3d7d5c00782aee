{#-
    Waiting times: Kaplan-Meier quantiles with those still waiting censored, and shares seen within a number of days.
    Sources: Kaplan and Meier (1958); Greenwood (1926); Brookmeyer and Crowley (1982), log-log. A quantile is the first
    day on which the share still waiting is no more than 1 - p.
-#}
{#-
    Standard rows in days. ``units`` has one row per unit and curve (units of one curve are followed together):
    period_start, period_end, person_id, index_date, site_id, county, curve, exclusion, is_observable, event_days (days from
    the index date to the event, null when it has not been seen), followed_days (how long the unit was watched).
    ``quantiles`` lists (variant, curve, p); ``limits`` lists (variant, curve, days). A unit that was not watched to the end
    of a limit and had no event by then is left out of that limit and counted, unless ``keep_unwatched``: then it is a no
    when the watching ended before the cut-off. ``fill_empty_periods`` is off where the rows' periods are not the metric
    periods. numerator: events seen; denominator: units.
-#}
{% macro waiting_time_rows(
    units, metric_id, quantiles, limits, needs, version, linked=false, follow_up_months=none, keep_unwatched=false, fill_empty_periods=true
) %}
    {%- set measures = [] -%}
    {%- for cell in quantiles + limits -%} {%- do measures.append([metric_id, cell[0]]) -%} {%- endfor %}
    {%- set keys = "period_start, period_end, curve, stratum_site, stratum_type, stratum_value" -%}
    waiting as (
        select *, coalesce(event_days, followed_days) as day
        from ({{ stratified(units) }})
        where stratum_value is not null
    ),

    steps as (
        select
            {{ keys }},
            day,
            count(event_days) as events,
            count(*) as leaving,
            sum(count(*)) over (partition by {{ keys }} order by day desc rows unbounded preceding) as at_risk
        from waiting
        where exclusion is null and is_observable
        group by {{ keys }}, day
    ),

    survival as (
        select
            {{ keys }},
            day,
            product(1 - events / at_risk) over so_far as waiting_share,
            sum(events / nullif(at_risk * (at_risk - events), 0)) over so_far as greenwood
        from steps
        window so_far as (partition by {{ keys }} order by day rows unbounded preceding)
    ),

    groups as (
        select
            {{ keys }},
            count(event_days) filter (where exclusion is null and is_observable) as numerator,
            count(*) filter (where exclusion is null and is_observable) as denominator,
            count(*) filter (where exclusion is null and not is_observable) as n_not_observable,
            to_json(histogram(exclusion)) as n_excluded_by_rule
        from waiting
        group by all
    ),

    counted as (
        {%- for variant, curve, p in quantiles %}
            select
                '{{ metric_id }}' as metric_id,
                '{{ variant }}' as variant,
                g.* exclude (curve),
                -- A hair of tolerance: one half reached as a product of fractions may come out a little
                -- above it.
                min(s.day) filter (where s.waiting_share <= {{ 1 - p }} + 1e-12) as value,
                min(s.day) filter (
                    where
                        {{ log_log_limit("s.waiting_share", "s.waiting_share ** 2 * s.greenwood", -1) }}
                        <= {{ 1 - p }}
                ) as ci_low,
                min(s.day) filter (
                    where
                        {{ log_log_limit("s.waiting_share", "s.waiting_share ** 2 * s.greenwood", 1) }}
                        <= {{ 1 - p }}
                ) as ci_high,
                'brookmeyer-crowley log-log' as ci_method
            from groups as g
            left join
                survival as s
                on g.period_start = s.period_start
                and g.period_end = s.period_end
                and g.curve = s.curve
                and g.stratum_type = s.stratum_type
                and g.stratum_value = s.stratum_value
            where g.curve = '{{ curve }}'
            group by all {{ "union all by name" if not loop.last or limits }}
        {%- endfor %}
        {%- for variant, curve, days in limits %}
            select
                '{{ metric_id }}' as metric_id,
                '{{ variant }}' as variant,
                {{ keys | replace("curve, ", "") }},
                count(*) filter (
                    where ruling is null and is_observable and event_days <= {{ days }}
                ) as numerator,
                count(*) filter (where ruling is null and is_observable) as denominator,
                count(*) filter (where ruling is null and not is_observable) as n_not_observable,
                to_json(histogram(ruling)) as n_excluded_by_rule,
                'wilson' as ci_method
            from
                (
                    select
                        *,
                        case
                            when exclusion is not null
                            then exclusion
                            {%- if keep_unwatched %}
                                when
                                    event_days is null and {{ add_days("index_date", days) }} > {{ cutoff() }}
                                then 'window_not_over_at_cutoff'
                            {%- else %}
                                when event_days is null and followed_days < {{ days }}
                                then 'not_followed_to_the_end_of_the_window'
                            {%- endif %}
                        end as ruling
                    from waiting
                    where curve = '{{ curve }}'
                )
            group by all {{ "union all by name" if not loop.last }}
        {%- endfor %}
    ),

    framed as (
        {% if fill_empty_periods %}{{ with_empty_periods("counted", measures) }}
        {% else %}select * from counted
        {% endif %}
    ),

    summary as (
        select
            * replace (
                case
                    when ci_method = 'wilson' then numerator / nullif(denominator, 0) else value
                end as value,
                case
                    when ci_method = 'wilson' then {{ wilson_low("numerator", "denominator") }} else ci_low
                end as ci_low,
                case
                    when ci_method = 'wilson' then {{ wilson_high("numerator", "denominator") }} else ci_high
                end as ci_high
            ),
            {% if follow_up_months is none %} true
            {% else %} {{ add_months("period_end", follow_up_months) }} <= {{ cutoff() }}
            {% endif %} as is_mature
        from framed
    )

    {{ standard_rows("summary", needs, version, linked) }}
{% endmacro %}

{#- Days from ``from_date`` to ``to_date``; with ``weekdays_only`` Saturdays and Sundays after the first day do not count. -#}
{% macro days_between(from_date, to_date, weekdays_only=false) -%}
    {%- if weekdays_only -%}
        (
            ({{ to_date }} - {{ from_date }})
            - 2
            * divide(
                date_diff('day', date_trunc('week', {{ from_date }}), date_trunc('week', {{ to_date }})), 7
            )
            - greatest(isodow({{ to_date }}) - 5, 0)
            + greatest(isodow({{ from_date }}) - 5, 0)
        )
    {%- else -%} ({{ to_date }} - {{ from_date }})
    {%- endif -%}
{%- endmacro %}
