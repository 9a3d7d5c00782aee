-- CRT-05: later permanency hearings on time. Basis: pairs of permanency hearings of one episode, the later
-- one held in the period. Variant overdue_as_miss: the wait after each hearing, counted when the next is
-- held within 12 months, or when the 12 months end with the child still in care.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    periods as ({{ metric_periods() }}),

    held as (
        select e.removal_id, e.person_id, e.county, e.end_date, h.held_date
        from episodes as e
        inner join {{ ref("fct_court_case") }} as c on e.person_id = c.person_id
        inner join {{ ref("fct_hearing") }} as h on c.case_id = h.case_id
        where
            h.hearing_type = 'PERM'
            and h.outcome = 'HELD'
            and h.held_date >= e.removal_date
            and h.held_date <= coalesce(e.end_date, {{ cutoff() }})
        group by all
    ),

    paired as (
        select
            *,
            {{ add_months("held_date", 12) }} as due_on,
            lead(held_date) over (partition by removal_id order by held_date) as next_held
        from held
    ),

    judged as (
        select *, coalesce({{ within_window("next_held", "held_date", 12) }}, false) as is_on_time from paired
    ),

    waits as (
        select 'warehouse' as variant, next_held as index_date, *
        from judged
        where next_held is not null
        union all
        select 'overdue_as_miss', case when is_on_time then next_held else due_on end, *
        from judged
        where is_on_time or coalesce(end_date > due_on, true)
    ),

    due as (
        select p.period_start, p.period_end, j.*
        from periods as p
        inner join
            waits as j
            on j.index_date between p.period_start and p.period_end
            and j.index_date <= {{ cutoff() }}
    ),

    sited as ({{ with_site("due", "index_date") }}),

    units as (
        select
            'CRT-05' as metric_id,
            variant,
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            cast(null as varchar) as exclusion,
            true as is_observable,
            is_on_time as is_numerator
        from sited
    ),

    {{
        proportion_rows(
            "units",
            measures=[["CRT-05", "warehouse"], ["CRT-05", "overdue_as_miss"]],
            needs=["child_welfare", "court"],
            version="1.1.0",
            linked=true,
            follow_up_months=none,
        )
    }}
