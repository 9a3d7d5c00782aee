{#- Family time: which sessions are remote, and the weeks in which child and parent could have met. -#}
{% macro is_remote(setting) -%}
    coalesce(lower({{ setting }}) in ('phone', 'telephone', 'video', 'virtual', 'remote'), false)
{%- endmacro %}

{#-
    CTEs ending in ``sited``: one row per period, child and parent with the weeks both could meet (ISO weeks wholly in the
    period, before the cut-off and in care) and what happened in them: weeks, sessions (in person), remote_sessions, weeks_1,
    weeks_3, weeks_5 (weeks with at least so many in person), minutes, untimed_sessions. index_date: the first such week.
-#}
{% macro family_time_weeks() %}
    episodes as ({{ care_episodes() }}),

    periods as ({{ metric_periods() }}),

    weeks as (
        select p.period_start, p.period_end, cast(w.monday as date) as monday
        from
            periods as p,
            unnest(
                generate_series(date_trunc('week', p.period_start), p.period_end::timestamp, interval 7 day)
            ) as w(monday)
        where w.monday >= p.period_start and w.monday + interval 6 day <= least(p.period_end, {{ cutoff() }})
    ),

    pairs as (
        select child_id, parent_id, from_date, to_date
        from ({{ family_parents() }})
        where child_id in (select person_id from episodes)
    ),

    barred as ({{ barred_parents(["NO_CONTACT", "UNLOCATED"]) }}),

    child_weeks as (
        select w.period_start, w.period_end, w.monday, e.person_id, min(e.county) as county
        from weeks as w
        inner join
            episodes as e
            on e.removal_date <= w.monday
            and coalesce(e.end_date >= {{ add_days("w.monday", 7) }}, true)
        group by all
    ),

    -- Week by week, so that the many weeks without a bar are compared for equality alone.
    barred_weeks as (
        select distinct b.child_id, b.parent_id, w.monday
        from barred as b
        inner join
            (select distinct monday from weeks) as w
            on b.from_date <= {{ add_days("w.monday", 6) }}
            and coalesce(b.to_date > w.monday, true)
    ),

    pair_weeks as (
        select distinct c.*, p.parent_id
        from child_weeks as c
        inner join
            pairs as p
            on c.person_id = p.child_id
            and coalesce(p.from_date <= c.monday, true)
            and coalesce(p.to_date >= {{ add_days("c.monday", 7) }}, true)
        left join
            barred_weeks as b on p.child_id = b.child_id and p.parent_id = b.parent_id and c.monday = b.monday
        where b.monday is null
    ),

    sessions as (
        select
            person_id,
            parent_id,
            cast(date_trunc('week', scheduled_start) as date) as monday,
            count(*) filter (where not {{ is_remote("setting") }}) as sessions,
            count(*) filter (where {{ is_remote("setting") }}) as remote_sessions,
            coalesce(sum(minutes) filter (where not {{ is_remote("setting") }}), 0) as minutes,
            count(*) filter (where minutes is null and not {{ is_remote("setting") }}) as untimed_sessions
        from {{ ref("fct_family_time") }}
        where upper(status) = 'OCCURRED'
        group by all
    ),

    met as (
        select
            w.period_start,
            w.period_end,
            w.person_id,
            w.parent_id,
            min(w.monday) as index_date,
            min_by(w.county, w.monday) as county,
            count(*) as weeks,
            coalesce(sum(s.sessions), 0) as sessions,
            coalesce(sum(s.remote_sessions), 0) as remote_sessions,
            count(*) filter (where s.sessions >= 1) as weeks_1,
            count(*) filter (where s.sessions >= 3) as weeks_3,
            count(*) filter (where s.sessions >= 5) as weeks_5,
            coalesce(sum(s.minutes), 0) as minutes,
            coalesce(sum(s.untimed_sessions), 0) as untimed_sessions
        from pair_weeks as w
        left join
            sessions as s on w.person_id = s.person_id and w.parent_id = s.parent_id and w.monday = s.monday
        group by w.period_start, w.period_end, w.person_id, w.parent_id
    ),

    sited as ({{ with_site("met", "index_date") }})
{% endmacro %}
