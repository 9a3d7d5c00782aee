-- PRM-13: adoption as a share of exits. Basis: exit cohort, which over-represents short stays.
-- Episodes, not children.
with
    {{ exits_from_care() }},

    units as (
        select
            'PRM-13' as metric_id,
            'warehouse' as variant,
            *,
            true as is_observable,
            end_reason = 'ADOPT' as is_numerator
        from exits
    ),

    {{ proportion_rows("units", measures=[["PRM-13", "warehouse"]], needs=["child_welfare"], version="1.2.0") }}
