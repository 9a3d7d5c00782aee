-- FTM-03: no gap of more than 35 days between family team meetings. Basis: families
-- with a span of enrolment of 90 days or more, open in the period. The waits from the
-- span's start to its first meeting and from its last to its close are gaps too, the
-- time between two spans is not; gaps that ended before the period are not judged again.
with
    periods as ({{ metric_periods() }}),

    {{ family_spans() }},

    open_spans as (
        select
            p.period_start,
            p.period_end,
            s.family_id,
            s.open_from,
            least(s.open_to, p.period_end) as watched_to,
            watched_to >= {{ add_days("s.open_from", 90) }} as is_long
        from periods as p
        inner join spans as s on s.open_from <= p.period_end and s.open_to >= p.period_start
    ),

    judged_spans as (select * from open_spans where is_long),

    marks as (
        select period_start, family_id, open_from, open_from as day
        from judged_spans
        union
        select period_start, family_id, open_from, watched_to
        from judged_spans
        union
        select s.period_start, s.family_id, s.open_from, m.held_date
        from judged_spans as s
        inner join
            {{ ref("fct_ftm") }} as m
            on s.family_id = m.family_id
            and upper(m.status) = 'HELD'
            and m.held_date between s.open_from and s.watched_to
    ),

    waits as (
        select
            period_start,
            family_id,
            day,
            day - lag(day) over (partition by period_start, family_id, open_from order by day) as gap_days
        from marks
    ),

    longest_gaps as (
        select period_start, family_id, max(gap_days) as gap_days
        from waits
        where day >= period_start
        group by period_start, family_id
    ),

    families as (
        select period_start, period_end, family_id, max(watched_to) as index_date, bool_or(is_long) as is_long
        from open_spans
        group by period_start, period_end, family_id
    ),

    placed as (
        select
            f.*,
            min(e.person_id) as person_id,
            min_by(e.site_id, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as site_id,
            min_by(e.county, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as county
        from families as f
        inner join
            enrollments as e
            on f.family_id = e.family_id
            and f.index_date between e.enrolled_date and e.open_to
        group by all
    ),

    units as (
        select
            'FTM-03' as metric_id,
            'warehouse' as variant,
            p.period_start,
            p.period_end,
            p.person_id,
            p.index_date,
            p.site_id,
            p.county,
            case when not p.is_long then 'enrolled_under_90_days' end as exclusion,
            true as is_observable,
            coalesce(g.gap_days, 0) <= 35 as is_numerator
        from placed as p
        left join longest_gaps as g on p.period_start = g.period_start and p.family_id = g.family_id
    ),

    {{
        proportion_rows(
            "units",
            measures=[["FTM-03", "warehouse"]],
            needs=["court_team"],
            version="1.1.0",
            follow_up_months=none,
        )
    }}
