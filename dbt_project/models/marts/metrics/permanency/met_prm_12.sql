-- PRM-12: reunification as a share of exits. Basis: exit cohort, which over-represents short stays.
-- Episodes, not children.
with
    {{ exits_from_care() }},

    units as (
        select
            'PRM-12' as metric_id,
            'warehouse' as variant,
            * exclude (exclusion),
            case when end_date >= adult_on then 'age_18_or_more' else exclusion end as exclusion,
            true as is_observable,
            end_reason = 'REUN' as is_numerator
        from exits
    ),

    {{ proportion_rows("units", measures=[["PRM-12", "warehouse"]], needs=["child_welfare"], version="1.2.0") }}
