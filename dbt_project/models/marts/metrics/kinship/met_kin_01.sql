-- KIN-01: first placement with kin. Basis: entry cohort with a stay of 8 days or more (open stays
-- count whatever their length). The first placement is the first that counts: a birth hospital is
-- none.
with
    {{ kin_cohort(min_stay=8) }},

    units as (
        select
            'KIN-01' as metric_id,
            'warehouse' as variant,
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            rule as exclusion,
            true as is_observable,
            coalesce(is_first_kin, false) as is_numerator
        from placed
    ),

    {{ proportion_rows("units", measures=[["KIN-01", "warehouse"]], needs=["child_welfare"], version="1.1.0") }}
