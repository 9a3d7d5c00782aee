-- PRM-15: exit to any permanency at 6 to 36 months: the cumulative incidences of reunification,
-- relative, guardianship and adoption, summed (Aalen-Johansen). Basis: entry cohort, no 8-day rule.
with
    {{ entry_cohort() }},

    units as (
        select
            * exclude (end_reason),
            'entry' as curve,
            case
                when {{ is_permanency("end_reason") }}
                then 'permanency'
                when end_reason is not null
                then 'other'
            end as cause,
            -1 as entered_day
        from cohort
    ),

    {{
        incidence_rows(
            "units",
            cells=horizon_cells("PRM-15", {"": "permanency"}),
            needs=["child_welfare"],
            version="1.1.0",
        )
    }}
