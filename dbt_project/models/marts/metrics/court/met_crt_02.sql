-- CRT-02: time from a dependency petition to adjudication. Basis: petitions filed in the period, each
-- judged once six
-- months have passed. Not yet adjudicated is censored, never dropped; dismissed before adjudication is left
-- out.
with
    periods as ({{ metric_periods() }}),

    {{ adjudicated_petitions() }},

    filed as (
        select p.period_start, p.period_end, a.*, a.filed_date as index_date
        from periods as p
        inner join adjudications as a on a.filed_date between p.period_start and p.period_end
    ),

    sited as ({{ with_site("filed", "index_date", until="adjudicated_on") }}),

    units as (
        select
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            'all' as curve,
            case
                when {{ add_months("filed_date", 6) }} > {{ cutoff() }}
                then 'window_not_over_at_cutoff'
                when dropped_on is not null and coalesce(dropped_on <= adjudicated_on, true)
                then 'dismissed_before_adjudication'
            end as exclusion,
            true as is_observable,
            adjudicated_on - filed_date as event_days,
            followed_to - filed_date as followed_days
        from sited
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="CRT-02",
            quantiles=[["median", "all", 0.5], ["p75", "all", 0.75]],
            limits=[["within_" ~ var("adjudication_days") ~ "_days", "all", var("adjudication_days")]],
            needs=["court"],
            version="1.1.1",
        )
    }}
