-- FAM-05: hours of family time per week. Basis: the child-parent weeks of FAM-01. numerator is minutes,
-- denominator weeks;
-- a child and parent with a session of unknown length are left out. The interval treats each child and
-- parent as a unit.
with
    {{ family_time_weeks() }},

    units as (
        select
            'FAM-05' as metric_id,
            'warehouse' as variant,
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            case when untimed_sessions > 0 then 'session_without_length' end as exclusion,
            true as is_observable,
            minutes as amount,
            weeks as exposure
        from sited
    ),

    {{
        ratio_rows(
            "units",
            measures=[["FAM-05", "warehouse", "(1 / 60.0)", "linearised"]],
            needs=["child_welfare"],
            version="1.0.0",
        )
    }}
