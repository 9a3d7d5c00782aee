-- PRM-31: a concurrent plan in place by day 60 of care. Basis: entry cohort of children 60 days in
-- care. A plan whose only goal is adoption is not concurrent.
with
    {{ entry_cohort(any_reason=true) }},

    judged as (
        select
            *,
            {{ add_days("removal_date", 60) }} as day_60,
            coalesce(
                exclusion,
                case
                    when end_date < day_60
                    then 'under_60_days_in_care'
                    when day_60 > {{ cutoff() }}
                    then 'day_60_after_cutoff'
                end
            ) as rule
        from cohort
    ),

    plans as (
        select
            j.removal_id,
            bool_or(coalesce(g.is_concurrent, false)) and bool_or(g.goal_type <> 'ADOPT') as is_concurrent
        from (select distinct removal_id, day_60 from judged) as j
        inner join
            {{ ref("fct_goal") }} as g
            on j.removal_id = g.removal_id
            and g.start_date <= j.day_60
            and coalesce(g.end_date >= j.day_60, true)
        group by j.removal_id
    ),

    units as (
        select
            'PRM-31' as metric_id,
            'warehouse' as variant,
            j.period_start,
            j.period_end,
            j.person_id,
            j.index_date,
            j.site_id,
            j.county,
            j.rule as exclusion,
            true as is_observable,
            coalesce(p.is_concurrent, false) as is_numerator
        from judged as j
        left join plans as p on j.removal_id = p.removal_id
    ),

    {{
        proportion_rows(
            "units",
            measures=[["PRM-31", "warehouse"]],
            needs=["child_welfare"],
            version="1.1.0",
            matures_on=add_days("period_end", 60),
        )
    }}
