-- BSC-03: practices spread. Basis: changes adopted in the period that at least one site beyond the target
-- sites took up;
-- each change once, shown under the site that first adopted it.
with
    periods as ({{ metric_periods() }}),

    targets as ({{ target_sites("periods") }}),

    adopted as (
        select
            p.period_start,
            p.period_end,
            c.change_id,
            c.site_id,
            coalesce(c."end", c."start") as index_date,
            trim(s.spread_site) as spread_site
        from periods as p
        inner join
            {{ ref("fct_pdsa") }} as c
            on coalesce(c."end", c."start") between p.period_start and p.period_end
            and coalesce(c."end", c."start") <= {{ cutoff() }}
            and upper(c.decision) = 'ADOPT',
            unnest(regexp_split_to_array(c.spread_to_sites, '[;,]')) as s(spread_site)
    ),

    units as (
        select
            'BSC-03' as metric_id,
            'warehouse' as variant,
            a.period_start,
            a.period_end,
            cast(null as varchar) as person_id,
            min(a.index_date) as index_date,
            min_by(a.site_id, strftime(a.index_date, '%Y%m%d') || a.site_id) as site_id,
            cast(null as varchar) as county
        from adopted as a
        left join targets as t on a.period_start = t.period_start and a.spread_site = t.site_id
        where t.site_id is null and a.spread_site <> ''
        group by a.period_start, a.period_end, a.change_id
    ),

    {{
        tally_rows(
            "units",
            measures=[["BSC-03", "warehouse"]],
            needs=["court_team"],
            version="1.0.0",
        )
    }}
