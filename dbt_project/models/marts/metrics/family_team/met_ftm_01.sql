-- FTM-01: monthly family team meeting. Basis: family-months, the calendar months of the period on
-- every day of which the family was enrolled. Several enrolments of one family are joined; the
-- closing day still counts as open.
with
    periods as ({{ metric_periods() }}),

    {{ family_spans() }},

    months as (
        select
            period_start,
            period_end,
            cast(month_start as date) as month_start,
            last_day(cast(month_start as date)) as month_end
        from
            periods,
            unnest(generate_series(date_trunc('month', period_start), period_end, interval 1 month)) as m(
                month_start
            )
        where month_start >= period_start and last_day(cast(month_start as date)) <= period_end
    ),

    open_months as (
        select m.*, s.family_id
        from months as m
        inner join spans as s on s.open_from <= m.month_start and s.open_to >= m.month_end
    ),

    placed as (
        select
            o.period_start,
            o.period_end,
            o.month_start,
            o.month_end,
            o.family_id,
            min_by(e.site_id, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as site_id,
            min_by(e.county, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as county
        from open_months as o
        left join
            enrollments as e
            on o.family_id = e.family_id
            and e.enrolled_date <= o.month_start
            and e.open_to >= o.month_start
        group by all
    ),

    units as (
        select
            'FTM-01' as metric_id,
            'warehouse' as variant,
            u.period_start,
            u.period_end,
            cast(null as varchar) as person_id,
            cast(null as date) as index_date,
            u.site_id,
            u.county,
            cast(null as varchar) as exclusion,
            true as is_observable,
            exists (
                select 1
                from {{ ref("fct_ftm") }} as f
                where
                    f.family_id = u.family_id
                    and upper(f.status) = 'HELD'
                    and f.held_date between u.month_start and u.month_end
            ) as is_numerator
        from placed as u
    ),

    {{
        proportion_rows(
            "units",
            measures=[["FTM-01", "warehouse"]],
            needs=["court_team"],
            version="1.0.0",
            follow_up_months=none,
        )
    }}
