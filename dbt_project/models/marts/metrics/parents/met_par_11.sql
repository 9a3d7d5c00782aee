-- PAR-11: days from enrolment to the match with a parent partner. Basis: parents of the families enrolled
-- in the period who
-- were matched; a match before the enrolment is 0 days.
with
    parents as ({{ enrolled_parents() }}),

    units as (
        select
            u.period_start,
            u.period_end,
            u.person_id,
            u.index_date,
            u.site_id,
            u.county,
            'all' as curve,
            cast(null as varchar) as exclusion,
            true as is_observable,
            greatest(min(m.matched_date) - u.index_date, 0) as event_days,
            greatest(min(m.matched_date) - u.index_date, 0) as followed_days
        from parents as u
        inner join
            {{ ref("fct_parent_partner") }} as m
            on u.person_id = m.person_id
            and m.matched_date <= {{ cutoff() }}
        group by u.period_start, u.period_end, u.person_id, u.index_date, u.site_id, u.county
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="PAR-11",
            quantiles=[["median", "all", 0.5]],
            limits=[["within_14_days", "all", 14]],
            needs=["court_team"],
            version="1.0.0",
        )
    }}
