-- KIN-04: time from removal to the first kin placement. Placements carry dates and no hours, so the
-- share placed with kin on the day of removal or the next stands in for hours; variant same_day: on
-- the day itself. Basis: entry cohort with a kin placement.
with
    {{ kin_cohort() }},

    units as (
        select
            'KIN-04' as metric_id,
            v.variant,
            p.period_start,
            p.period_end,
            p.person_id,
            p.index_date,
            p.site_id,
            p.county,
            coalesce(p.rule, case when p.first_kin_date is null then 'no_kin_placement' end) as exclusion,
            true as is_observable,
            coalesce(p.first_kin_date <= p.removal_date + v.days, false) as is_numerator
        from placed as p
        cross join (values ('warehouse', 1), ('same_day', 0)) as v(variant, days)
    ),

    {{
        proportion_rows(
            "units",
            measures=[["KIN-04", "warehouse"], ["KIN-04", "same_day"]],
            needs=["child_welfare"],
            version="1.2.0",
        )
    }}
