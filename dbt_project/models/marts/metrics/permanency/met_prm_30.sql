-- PRM-30: long-stayers, in care 24 completed months or more among children in care on 1 January,
-- April, July and October of the period; variant under_3_12_months: 12 months or more among
-- children under 36 months old. Basis: stock. A discharge on the date is not in care; of several
-- open episodes the earliest.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    dates as ({{ stock_dates() }}),

    in_care as (
        select
            d.counted_on as period_start, d.counted_on as period_end, d.counted_on as index_date, e.*, p.dob
        from dates as d
        inner join
            episodes as e on e.removal_date <= d.counted_on and coalesce(e.end_date > d.counted_on, true)
        left join {{ ref("dim_person") }} as p on e.person_id = p.person_id
        where coalesce(e.adult_on > d.counted_on, true)
        qualify
            row_number() over (partition by d.counted_on, e.person_id order by e.removal_date, e.removal_id)
            = 1
    ),

    sited as ({{ with_site("in_care", "index_date") }}),

    units as (
        select
            'PRM-30' as metric_id,
            'warehouse' as variant,
            * exclude (dob),
            cast(null as varchar) as exclusion,
            true as is_observable,
            {{ add_months("removal_date", 24) }} <= index_date as is_numerator
        from sited
        union all
        select
            'PRM-30',
            'under_3_12_months',
            * exclude (dob),
            cast(null as varchar),
            true,
            {{ add_months("removal_date", 12) }} <= index_date
        from sited
        where {{ add_months("dob", 36) }} > index_date
    ),

    {{
        proportion_rows(
            "units",
            measures=[["PRM-30", "warehouse"], ["PRM-30", "under_3_12_months"]],
            needs=["child_welfare"],
            version="1.0.0",
            periods="select counted_on as period_start, counted_on as period_end from dates",
        )
    }}
