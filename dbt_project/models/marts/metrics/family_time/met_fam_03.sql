-- FAM-03: days from removal to the first family time in person. Basis: removals in the period; still
-- waiting is censored at
-- the end of care or the cut-off.
with
    episodes as ({{ care_episodes(only=entered_in_periods()) }}),

    periods as ({{ metric_periods() }}),

    removals as (
        select p.period_start, p.period_end, e.*, e.removal_date as index_date
        from periods as p
        inner join episodes as e on e.removal_date between p.period_start and p.period_end
    ),

    sited as ({{ with_site("removals", "index_date", until="end_date") }}),

    units as (
        select
            s.period_start,
            s.period_end,
            s.person_id,
            s.index_date,
            s.site_id,
            s.county,
            'all' as curve,
            case when s.removal_date >= s.adult_on then 'age_18_or_more' end as exclusion,
            true as is_observable,
            (
                select min(cast(t.scheduled_start as date))
                from {{ ref("fct_family_time") }} as t
                where
                    t.person_id = s.person_id
                    and upper(t.status) = 'OCCURRED'
                    and not {{ is_remote("t.setting") }}
                    and cast(t.scheduled_start as date) >= s.index_date
                    and cast(t.scheduled_start as date) <= coalesce(s.end_date, {{ cutoff() }})
            )
            - s.index_date as event_days,
            coalesce(s.end_date, {{ cutoff() }}) - s.index_date as followed_days
        from sited as s
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="FAM-03",
            quantiles=[["median", "all", 0.5]],
            limits=[["within_2_days", "all", 2], ["within_7_days", "all", 7]],
            needs=["child_welfare"],
            version="1.1.1",
        )
    }}
