-- KIN-02: first and only placement with kin. Basis: entry cohort, closed (however short
-- the stay) or watched 12 months; moves are counted to the end of the episode or the cut-off.
with
    {{ kin_cohort() }},

    units as (
        select
            'KIN-02' as metric_id,
            'warehouse' as variant,
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            coalesce(
                rule,
                case
                    when end_date is null and {{ add_months("removal_date", 12) }} > {{ cutoff() }}
                    then 'open_and_watched_under_12_months'
                end
            ) as exclusion,
            true as is_observable,
            coalesce(is_first_kin and move_count = 0, false) as is_numerator
        from placed
    ),

    {{
        proportion_rows(
            "units",
            measures=[["KIN-02", "warehouse"]],
            needs=["child_welfare"],
            version="1.2.0",
            follow_up_months=12,
        )
    }}
