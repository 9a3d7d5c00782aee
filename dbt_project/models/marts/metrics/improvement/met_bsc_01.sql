-- BSC-01: children reunified during the collaborative. Basis: children of target sites, the sites that ran
-- an improvement
-- cycle in the period, discharged to reunification in it; each child once.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    periods as ({{ metric_periods() }}),

    targets as ({{ target_sites("periods") }}),

    exits as (
        select p.period_start, p.period_end, e.person_id, e.county, e.end_date as index_date
        from periods as p
        inner join
            episodes as e on e.end_date between p.period_start and p.period_end and e.end_reason = 'REUN'
    ),

    sited as ({{ with_site("exits", "index_date") }}),

    units as (
        select 'BSC-01' as metric_id, 'warehouse' as variant, s.*
        from sited as s
        inner join targets as t on s.period_start = t.period_start and s.site_id = t.site_id
        qualify
            row_number() over (partition by s.period_start, s.person_id order by s.index_date, s.site_id) = 1
    ),

    {{
        tally_rows(
            "units",
            measures=[["BSC-01", "warehouse"]],
            needs=["child_welfare", "court_team"],
            version="1.1.0",
        )
    }}
