-- PRM-10: exit to reunification at 6 to 36 months, Aalen-Johansen: other exits compete, children in
-- care at the cut-off are censored. Basis: entry cohort, no 8-day rule.
with
    {{ entry_cohort() }},

    units as (
        select
            * exclude (end_reason),
            'entry' as curve,
            case
                when end_reason = 'REUN' then 'reunification' when end_reason is not null then 'other'
            end as cause,
            -1 as entered_day
        from cohort
    ),

    {{
        incidence_rows(
            "units",
            cells=horizon_cells("PRM-10", {"": "reunification"}),
            needs=["child_welfare"],
            version="1.1.0",
        )
    }}
