-- FTM-02: time from enrolment to the first family team meeting. Basis: families enrolled in the period.
with
    families as ({{ enrolled_families() }}),

    units as (
        select
            u.period_start,
            u.period_end,
            u.person_id,
            u.enrolled_date as index_date,
            u.site_id,
            u.county,
            'all' as curve,
            cast(null as varchar) as exclusion,
            true as is_observable,
            min(f.held_date) - u.enrolled_date as event_days,
            greatest(coalesce(u.closed_date, {{ cutoff() }}) - u.enrolled_date, 0) as followed_days
        from families as u
        left join
            {{ ref("fct_ftm") }} as f
            on u.family_id = f.family_id
            and upper(f.status) = 'HELD'
            and f.held_date between u.enrolled_date and coalesce(u.closed_date, {{ cutoff() }})
        group by
            u.period_start,
            u.period_end,
            u.family_id,
            u.person_id,
            u.enrolled_date,
            u.closed_date,
            u.site_id,
            u.county
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="FTM-02",
            quantiles=[["median", "all", 0.5]],
            limits=[["within_30_days", "all", 30]],
            needs=["court_team"],
            version="1.1.0",
        )
    }}
