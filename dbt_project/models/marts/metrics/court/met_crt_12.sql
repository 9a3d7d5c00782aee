-- CRT-12: how often a case is heard. Basis: days a dependency case of a child is open in the period.
-- Hearings held per
-- 30.4375 open days; calendar months wholly open with a hearing; gaps between hearings of 30 days or less.
with
    periods as ({{ metric_periods() }}),

    cases as (
        select
            p.period_start,
            p.period_end,
            c.case_id,
            c.person_id,
            c.county,
            greatest(c.filed_date, p.period_start) as index_date,
            -- Half-open: the day the case closes is no longer open.
            least(
                coalesce(c.closed_date, {{ cutoff() }} + 1), p.period_end + 1, {{ cutoff() }} + 1
            ) as open_to
        from periods as p
        inner join
            {{ ref("fct_court_case") }} as c
            on c.filed_date <= p.period_end
            and greatest(c.filed_date, p.period_start) <= {{ cutoff() }}
            and coalesce(c.closed_date > p.period_start, true)
            and {{ is_dependency_case("c.case_type") }}
    ),

    sited as ({{ with_site("cases", "index_date") }}),

    held as (
        select case_id, held_date, count(*) as hearings
        from {{ ref("fct_hearing") }}
        where outcome = 'HELD' and held_date <= {{ cutoff() }}
        group by all
    ),

    gaps as (
        select *, held_date - lag(held_date) over (partition by case_id order by held_date) as gap_days
        from held
    ),

    -- The closing day's hearing belongs to the case though the day is no longer counted as open.
    heard as (
        select
            s.period_start,
            s.case_id,
            s.person_id,
            sum(g.hearings) as hearings,
            count(g.gap_days) as gaps,
            count(*) filter (where g.gap_days <= 30) as short_gaps,
            list(distinct date_trunc('month', g.held_date)::date) as months_heard
        from sited as s
        inner join
            gaps as g
            on s.case_id = g.case_id
            and g.held_date between s.index_date and least(s.open_to, s.period_end)
        group by all
    ),

    months as (
        select
            s.period_start,
            s.case_id,
            s.person_id,
            count(*) as full_months,
            count(*) filter (where list_contains(h.months_heard, m.month_start::date)) as months_heard
        from sited as s
        left join
            heard as h
            on s.period_start = h.period_start
            and s.case_id = h.case_id
            and s.person_id = h.person_id,
            unnest(
                generate_series(date_trunc('month', s.index_date), s.open_to::timestamp, interval 1 month)
            ) as m(month_start)
        where m.month_start >= s.index_date and m.month_start + interval 1 month <= s.open_to
        group by all
    ),

    units as (
        select
            'CRT-12' as metric_id,
            v.variant,
            s.period_start,
            s.period_end,
            s.person_id,
            s.index_date,
            s.site_id,
            s.county,
            cast(null as varchar) as exclusion,
            true as is_observable,
            coalesce(
                case
                    v.variant
                    when 'per_month'
                    then h.hearings
                    when 'months_with_hearing'
                    then m.months_heard
                    else h.short_gaps
                end,
                0
            ) as amount,
            coalesce(
                case
                    v.variant
                    when 'per_month'
                    then s.open_to - s.index_date
                    when 'months_with_hearing'
                    then m.full_months
                    else h.gaps
                end,
                0
            ) as exposure
        from sited as s
        left join
            heard as h
            on s.period_start = h.period_start
            and s.case_id = h.case_id
            and s.person_id = h.person_id
        left join
            months as m
            on s.period_start = m.period_start
            and s.case_id = m.case_id
            and s.person_id = m.person_id
        cross join (values ('per_month'), ('months_with_hearing'), ('gaps_within_30_days')) as v(variant)
    ),

    {{
        ratio_rows(
            "units",
            measures=[
                ["CRT-12", "per_month", 30.4375, "garwood"],
                ["CRT-12", "months_with_hearing", 1, "wilson"],
                ["CRT-12", "gaps_within_30_days", 1, "wilson"],
            ],
            needs=["court"],
            version="1.0.1",
        )
    }}
