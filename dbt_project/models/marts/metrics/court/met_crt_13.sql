-- CRT-13: time from the filing of the case to a permanent placement, by type. Basis: exits to permanency in
-- the period;
-- they over-represent short stays, so read beside PRM-10.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    periods as ({{ metric_periods() }}),

    exits as (
        select
            p.period_start,
            p.period_end,
            e.*,
            e.end_date as index_date,
            (
                select min(c.filed_date)
                from {{ ref("fct_court_case") }} as c
                where
                    c.person_id = e.person_id
                    and {{ is_dependency_case("c.case_type") }}
                    and c.filed_date <= e.end_date
                    and coalesce(c.closed_date >= e.removal_date, true)
            ) as filed_date
        from periods as p
        inner join
            episodes as e
            on e.end_date between p.period_start and p.period_end
            and {{ is_permanency("e.end_reason") }}
    ),

    sited as ({{ with_site("exits", "index_date") }}),

    units as (
        select
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            curve,
            case
                when
                    filed_date is null
                    and {{ is_observable("person_id", "court", "index_date", "index_date") }}
                then 'no_court_case'
            end as exclusion,
            (
                filed_date is not null
                or {{ is_observable("person_id", "court", "index_date", "index_date") }}
            ) as is_observable,
            end_date - filed_date as event_days,
            end_date - filed_date as followed_days
        from sited
        cross join (values ('all'), ('REUN'), ('REL'), ('GUARD'), ('ADOPT')) as c(curve)
        where curve in ('all', end_reason)
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="CRT-13",
            quantiles=[
                ["median", "all", 0.5],
                ["median_reunification", "REUN", 0.5],
                ["median_relative", "REL", 0.5],
                ["median_guardianship", "GUARD", 0.5],
                ["median_adoption", "ADOPT", 0.5],
            ],
            limits=[],
            needs=["child_welfare", "court"],
            version="1.0.1",
            linked=true,
        )
    }}
