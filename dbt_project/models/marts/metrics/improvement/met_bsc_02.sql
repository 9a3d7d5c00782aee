-- BSC-02: tests of change. Basis: improvement cycles begun in the period that came to a decision.
with
    periods as ({{ metric_periods() }}),

    units as (
        select
            'BSC-02' as metric_id,
            'warehouse' as variant,
            p.period_start,
            p.period_end,
            cast(null as varchar) as person_id,
            c."start" as index_date,
            c.site_id,
            cast(null as varchar) as county
        from periods as p
        inner join
            {{ ref("fct_pdsa") }} as c
            on c."start" between p.period_start and p.period_end
            and c."start" <= {{ cutoff() }}
            and c.decision is not null
    ),

    {{
        tally_rows(
            "units",
            measures=[["BSC-02", "warehouse"]],
            needs=["court_team"],
            version="1.0.0",
        )
    }}
