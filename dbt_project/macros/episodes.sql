{#- What several measures ask of an episode: federal blind spots, placements that count, moves. -#}
{#-
    True when the child came into care again within the six-month federal file of the episode's end, which a federal
    measure cannot see (C13). ``e`` names a row of care_episodes; a CTE ``episodes`` holds them all.
-#}
{% macro is_reentry_unseen(e) -%}
    exists (
        select 1
        from episodes as again
        where
            again.person_id = {{ e }}.person_id
            and again.removal_id <> {{ e }}.removal_id
            and again.removal_date >= {{ e }}.end_date
            and {{ federal_file("again.removal_date") }} = {{ federal_file(e ~ ".end_date") }}
    )
{%- endmacro %}

{#- Visits home, runaway, respite and hospital days are no placement settings (C10). ``f`` names a placement. -#}
{% macro is_counting_placement(f) -%}
    coalesce({{ f }}.is_afcars_placement, {{ f }}.setting_type not in ('THV', 'RUN', 'HOSP', 'RESP'), true)
{%- endmacro %}

{#-
    The settings of the episodes in ``episodes`` (removal_id, end_date): one row per counting placement with
    setting_start, is_kin, setting_number (1 for the first) and is_move: the home differs from the last counting one, so
    that the return after a visit, and a change of status of the same home, are no moves (C10). Empty spans are nothing.
-#}
{% macro settings(episodes) -%}
    select
        f.removal_id,
        f.start_date as setting_start,
        coalesce(f.is_kin, false) as is_kin,
        row_number() over setting as setting_number,
        row_number() over setting > 1
        and coalesce(f.provider_id <> lag(f.provider_id) over setting, true) as is_move
    from (select distinct removal_id, end_date from {{ episodes }}) as e
    inner join {{ ref("fct_placement") }} as f on e.removal_id = f.removal_id
    where
        {{ is_counting_placement("f") }}
        and f.start_date <= {{ cutoff() }}
        and coalesce(f.start_date < e.end_date, true)
        and coalesce(f.end_date > f.start_date, true)
    window setting as (partition by f.removal_id order by f.start_date, f.seq)
{%- endmacro %}

{#- CTEs episodes, periods and exits: every episode that ended in a period, with index_date (its end), the site active on
    it, and exclusion where it is dated before the removal or nobody wrote down the reason. Who was 18 when taken in never
    was in care as a child. -#}
{% macro exits_from_care() %}
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    periods as ({{ metric_periods() }}),

    ended as (
        select
            p.period_start,
            p.period_end,
            e.*,
            e.end_date as index_date,
            case
                when e.end_date < e.removal_date
                then 'exit_before_removal'
                when e.end_reason is null
                then 'no_discharge_reason'
            end as exclusion
        from periods as p
        inner join episodes as e on e.end_date between p.period_start and p.period_end
        where coalesce(e.removal_date < e.adult_on, true)
    ),

    exits as ({{ with_site("ended", "index_date") }})
{%- endmacro %}

{#- Rows (counted_on): every 1 January, April, July and October of a period up to the cut-off; a one-day period is its own
    date. -#}
{% macro stock_dates() -%}
    select distinct cast(day as date) as counted_on
    from
        ({{ metric_periods() }}) as p,
        unnest(generate_series(p.period_start, p.period_end, interval 1 day)) as d(day)
    where
        (p.period_start = p.period_end or (day(d.day) = 1 and month(d.day) in (1, 4, 7, 10)))
        and d.day <= {{ cutoff() }}
{%- endmacro %}
