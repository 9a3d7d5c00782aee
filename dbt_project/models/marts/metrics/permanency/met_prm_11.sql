-- PRM-11: exit to the custody of relatives at 6 to 36 months, Aalen-Johansen. Guardianship with
-- someone who is no relative stands apart (variants non_relative_guardian_*). Basis: entry cohort,
-- no 8-day rule.
with
    {{ entry_cohort() }},

    -- A guardian's relationship is that of the last home before the exit (placements say who is
    -- kin).
    last_homes as (
        select c.removal_id, max_by(coalesce(f.is_kin, false), f.start_date) as is_kin
        from (select distinct removal_id, end_date from cohort where end_reason = 'GUARD') as c
        inner join
            {{ ref("fct_placement") }} as f on c.removal_id = f.removal_id and f.start_date <= c.end_date
        where coalesce(f.is_afcars_placement, f.setting_type not in ('THV', 'RUN', 'HOSP', 'RESP'), true)
        group by c.removal_id
    ),

    units as (
        select
            c.* exclude (end_reason),
            'entry' as curve,
            case
                when c.end_reason = 'REL' or (c.end_reason = 'GUARD' and coalesce(h.is_kin, false))
                then 'relative'
                when c.end_reason = 'GUARD'
                then 'non_relative_guardian'
                when c.end_reason is not null
                then 'other'
            end as cause,
            -1 as entered_day
        from cohort as c
        left join last_homes as h on c.removal_id = h.removal_id
    ),

    {{
        incidence_rows(
            "units",
            cells=horizon_cells("PRM-11", {"": "relative", "non_relative_guardian_": "non_relative_guardian"}),
            needs=["child_welfare"],
            version="1.1.0",
        )
    }}
