-- FTM-03: no gap of more than 35 days between family team meetings. Basis: families enrolled 90 days or
-- more, open in the
-- period. The waits from enrolment to the first meeting and from the last to the close are gaps too; gaps
-- that ended
-- before the period are not judged again.
with
    periods as ({{ metric_periods() }}),

    families as (
        select
            family_id,
            min(person_id) as person_id,
            min_by(site_id, strftime(enrolled_date, '%Y%m%d') || site_id) as site_id,
            min_by(county, strftime(enrolled_date, '%Y%m%d') || site_id) as county,
            min(enrolled_date) as enrolled_date,
            case when bool_and(closed_date <= {{ cutoff() }}) then max(closed_date) end as closed_date
        from {{ ref("fct_enrollment_sbct") }}
        where family_id is not null and enrolled_date <= {{ cutoff() }}
        group by family_id
    ),

    open_families as (
        select
            p.period_start,
            p.period_end,
            f.*,
            least(coalesce(f.closed_date, p.period_end), p.period_end, {{ cutoff() }}) as watched_to
        from periods as p
        inner join
            families as f
            on f.enrolled_date <= p.period_end
            and coalesce(f.closed_date >= p.period_start, true)
            and least(coalesce(f.closed_date, p.period_end), p.period_end, {{ cutoff() }})
            >= {{ add_days("f.enrolled_date", 90) }}
    ),

    marks as (
        select period_start, family_id, enrolled_date as day
        from open_families
        union
        select period_start, family_id, watched_to
        from open_families
        union
        select o.period_start, o.family_id, m.held_date
        from open_families as o
        inner join
            {{ ref("fct_ftm") }} as m
            on o.family_id = m.family_id
            and upper(m.status) = 'HELD'
            and m.held_date between o.enrolled_date and o.watched_to
    ),

    gaps as (
        select
            period_start,
            family_id,
            day,
            day - lag(day) over (partition by period_start, family_id order by day) as gap_days
        from marks
    ),

    units as (
        select
            'FTM-03' as metric_id,
            'warehouse' as variant,
            o.period_start,
            o.period_end,
            o.person_id,
            o.watched_to as index_date,
            o.site_id,
            o.county,
            cast(null as varchar) as exclusion,
            true as is_observable,
            coalesce(max(g.gap_days), 0) <= 35 as is_numerator
        from open_families as o
        left join
            gaps as g
            on o.period_start = g.period_start
            and o.family_id = g.family_id
            and g.day >= o.period_start
        group by o.period_start, o.period_end, o.family_id, o.person_id, o.watched_to, o.site_id, o.county
    ),

    {{
        proportion_rows(
            "units",
            measures=[["FTM-03", "warehouse"]],
            needs=["court_team"],
            version="1.0.0",
            follow_up_months=none,
        )
    }}
