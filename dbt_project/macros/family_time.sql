{#- Family time: which sessions are remote, and the weeks in which child and parent could have met. -#}
{% macro is_remote(setting) -%}
    coalesce(lower({{ setting }}) in ('phone', 'telephone', 'video', 'virtual', 'remote'), false)
{%- endmacro %}

{#- The first Monday on or after ``day``. -#}
{% macro monday_from(day) -%} cast(date_trunc('week', {{ add_days(day, 6) }}) as date) {%- endmacro %}

{#- The Monday of the week of ``day``: the last full week that ends before ``day`` begins earlier. -#}
{% macro monday_of(day) -%} cast(date_trunc('week', {{ day }}) as date) {%- endmacro %}

{#-
    CTEs ending in ``sited``: one row per period, child and parent with the weeks both could meet (ISO weeks wholly in the
    period, before the cut-off and in care) and what happened in them: weeks, sessions (in person), remote_sessions, weeks_1,
    weeks_3, weeks_5 (weeks with at least so many in person), minutes, untimed_sessions. index_date: the first such week.
-#}
{% macro family_time_weeks() %}
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    -- Spans of weeks: from a Monday to before another.
    periods as (
        select
            *,
            {{ monday_from("period_start") }} as from_monday,
            {{ monday_of("least(period_end, " ~ cutoff() ~ ") + 1") }} as to_monday
        from ({{ metric_periods() }})
    ),

    pairs as ({{ family_parents("select person_id from episodes where person_id is not null") }}),

    together as (
        select
            w.period_start,
            w.period_end,
            e.person_id,
            p.parent_id,
            greatest(
                w.from_monday, {{ monday_from("e.removal_date") }}, {{ monday_from("p.from_date") }}
            ) as from_monday,
            least(w.to_monday, {{ monday_of("e.end_date") }}, {{ monday_of("p.to_date") }}) as to_monday
        from episodes as e
        inner join pairs as p on e.person_id = p.child_id
        cross join periods as w
    ),

    -- A bar on any of its days takes a week out.
    barred as (
        select
            t.period_start,
            t.period_end,
            t.person_id,
            t.parent_id,
            {{ monday_of("b.from_date") }} as from_monday,
            coalesce({{ monday_from("b.to_date") }}, date 'infinity') as to_monday
        from (select distinct period_start, period_end, person_id, parent_id from together) as t
        inner join
            ({{ barred_parents(["NO_CONTACT", "UNLOCATED"], "pairs") }}) as b
            on t.person_id = b.child_id
            and t.parent_id = b.parent_id
    ),

    -- How many episodes and how many bars a pair is in, from one Monday on which that changes to the next.
    changes as (
        {%- for spans in ["together", "barred"] %}
            {%- for monday, step in [["from_monday", 1], ["to_monday", -1]] %}
                select
                    period_start,
                    period_end,
                    person_id,
                    parent_id,
                    {{ monday }} as monday,
                    {{ step if spans == "together" else 0 }} as episode_count,
                    {{ step if spans == "barred" else 0 }} as bar_count
                from {{ spans }}
                where from_monday < to_monday
                {% if not loop.last %}
                    union all
                {% endif %}
            {%- endfor %}
            {% if not loop.last %}
                union all
            {% endif %}
        {%- endfor %}
    ),

    stretches as (
        select
            period_start,
            period_end,
            person_id,
            parent_id,
            monday as from_monday,
            lead(monday) over mondays as to_monday
        from
            (
                select
                    period_start,
                    period_end,
                    person_id,
                    parent_id,
                    monday,
                    sum(episode_count) as episode_count,
                    sum(bar_count) as bar_count
                from changes
                group by all
            )
        window mondays as (partition by period_start, period_end, person_id, parent_id order by monday)
        qualify sum(episode_count) over mondays > 0 and sum(bar_count) over mondays = 0
    ),

    sessions as (
        select
            person_id,
            parent_id,
            {{ monday_of("scheduled_start") }} as monday,
            count(*) filter (where not {{ is_remote("setting") }}) as sessions,
            count(*) filter (where {{ is_remote("setting") }}) as remote_sessions,
            coalesce(sum(minutes) filter (where not {{ is_remote("setting") }}), 0) as minutes,
            count(*) filter (where minutes is null and not {{ is_remote("setting") }}) as untimed_sessions
        from {{ ref("fct_family_time") }}
        where
            upper(status) = 'OCCURRED'
            and scheduled_start >= {{ first_period_day() }}
            and scheduled_start < {{ last_period_day(1) }}
        group by all
    ),

    held as (
        select
            t.period_start,
            t.period_end,
            t.person_id,
            t.parent_id,
            sum(s.sessions) as sessions,
            sum(s.remote_sessions) as remote_sessions,
            count(*) filter (where s.sessions >= 1) as weeks_1,
            count(*) filter (where s.sessions >= 3) as weeks_3,
            count(*) filter (where s.sessions >= 5) as weeks_5,
            sum(s.minutes) as minutes,
            sum(s.untimed_sessions) as untimed_sessions
        from stretches as t
        inner join
            sessions as s
            on t.person_id = s.person_id
            and t.parent_id = s.parent_id
            and t.from_monday <= s.monday
            and t.to_monday > s.monday
        group by all
    ),

    -- The county of the first week in an episode with one. A stretch begins anew where an episode does.
    counties as (
        select
            t.period_start,
            t.period_end,
            t.person_id,
            t.parent_id,
            min_by(e.county, strftime(t.from_monday, '%Y%m%d') || e.county) as county
        from stretches as t
        inner join
            episodes as e
            on t.person_id = e.person_id
            and e.removal_date < t.to_monday
            and t.from_monday < coalesce({{ monday_of("e.end_date") }}, date 'infinity')
        where {{ monday_from("e.removal_date") }} < least(t.to_monday, {{ monday_of("e.end_date") }})
        group by all
    ),

    weeks as (
        select
            period_start,
            period_end,
            person_id,
            parent_id,
            min(from_monday) as index_date,
            sum(divide(to_monday - from_monday, 7)) as weeks
        from stretches
        group by all
    ),

    met as (
        select
            w.*,
            c.county,
            coalesce(h.sessions, 0) as sessions,
            coalesce(h.remote_sessions, 0) as remote_sessions,
            coalesce(h.weeks_1, 0) as weeks_1,
            coalesce(h.weeks_3, 0) as weeks_3,
            coalesce(h.weeks_5, 0) as weeks_5,
            coalesce(h.minutes, 0) as minutes,
            coalesce(h.untimed_sessions, 0) as untimed_sessions
        from weeks as w
        left join counties as c using (period_start, period_end, person_id, parent_id)
        left join held as h using (period_start, period_end, person_id, parent_id)
    ),

    sited as ({{ with_site("met", "index_date") }})
{% endmacro %}
