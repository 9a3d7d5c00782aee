-- FAM-01: how often children and parents meet. Basis: ISO weeks wholly in the period and wholly in care,
-- per child and
-- parent who may meet (rights not ended, contact not forbidden, parent located), whether a session was held
-- or not. Contact
-- by telephone or video is counted apart.
with
    {{ family_time_weeks() }},

    units as (
        select
            'FAM-01' as metric_id,
            v.variant,
            t.period_start,
            t.period_end,
            t.person_id,
            t.index_date,
            t.site_id,
            t.county,
            cast(null as varchar) as exclusion,
            true as is_observable,
            case
                v.variant
                when 'per_week'
                then t.sessions
                when 'remote_per_week'
                then t.remote_sessions
                when 'weeks_with_1'
                then t.weeks_1
                when 'weeks_with_3'
                then t.weeks_3
                else t.weeks_5
            end as amount,
            t.weeks as exposure
        from sited as t
        cross join
            (
                values ('per_week'), ('remote_per_week'), ('weeks_with_1'), ('weeks_with_3'), ('weeks_with_5')
            ) as v(variant)
    ),

    {{
        ratio_rows(
            "units",
            measures=[
                ["FAM-01", "per_week", 1, "garwood"],
                ["FAM-01", "remote_per_week", 1, "garwood"],
                ["FAM-01", "weeks_with_1", 1, "wilson"],
                ["FAM-01", "weeks_with_3", 1, "wilson"],
                ["FAM-01", "weeks_with_5", 1, "wilson"],
            ],
            needs=["child_welfare"],
            version="1.0.0",
        )
    }}
