-- CRT-03: time from adjudication to disposition. Basis: dependency petitions adjudicated in the period. The
-- same day is 0.
with
    periods as ({{ metric_periods() }}),

    {{ adjudicated_petitions() }},

    adjudicated as (
        select
            p.period_start,
            p.period_end,
            a.*,
            a.adjudicated_on as index_date,
            (
                select min(h.held_date)
                from {{ ref("fct_hearing") }} as h
                where
                    h.case_id = a.case_id
                    and h.hearing_type = 'DISP'
                    and h.outcome = 'HELD'
                    and h.held_date >= a.adjudicated_on
                    and h.held_date <= {{ cutoff() }}
            ) as disposed_on
        from periods as p
        inner join adjudications as a on a.adjudicated_on between p.period_start and p.period_end
    ),

    sited as ({{ with_site("adjudicated", "index_date") }}),

    units as (
        select
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            'all' as curve,
            cast(null as varchar) as exclusion,
            true as is_observable,
            disposed_on - adjudicated_on as event_days,
            greatest(followed_to - adjudicated_on, 0) as followed_days
        from sited
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="CRT-03",
            quantiles=[["median", "all", 0.5], ["p75", "all", 0.75]],
            limits=[["within_" ~ var("disposition_days") ~ "_days", "all", var("disposition_days")]],
            needs=["court"],
            version="1.1.0",
        )
    }}
