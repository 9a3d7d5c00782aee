-- PRM-22: reunification 6 and 12 months after day 183 of care, among children still in care that
-- day (landmark). A child discharged on day 183 is not in care. Basis: entry cohort.
with
    {{ entry_cohort() }},

    units as (
        select
            * exclude (end_reason, days),
            'entry' as curve,
            days - 183 as days,
            case
                when end_reason = 'REUN' then 'reunification' when end_reason is not null then 'other'
            end as cause,
            -1 as entered_day
        from cohort
        where days > 183 or (days = 183 and end_date is null)
    ),

    {{
        incidence_rows(
            "units",
            cells=horizon_cells("PRM-22", {"": "reunification"}, months=[6, 12]),
            needs=["child_welfare"],
            version="1.0.0",
            landmark_days=183,
        )
    }}
