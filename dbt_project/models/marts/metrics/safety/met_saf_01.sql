-- SAF-01 (CFSR S1): victimizations in care per 100,000 days. Basis: all days in care inside the
-- period. The report date places a victimization, in whatever year it was substantiated.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    periods as ({{ metric_periods() }}),

    served as (
        select
            p.period_start,
            p.period_end,
            e.*,
            greatest(e.removal_date, p.period_start) as index_date,
            least(
                coalesce(e.end_date, {{ add_days("p.period_end", 1) }}),
                {{ add_days("p.period_end", 1) }},
                {{ add_days(cutoff(), 1) }}
            ) as counted_to,
            case
                when e.end_date < e.removal_date
                then 'exit_before_removal'
                when e.end_date - e.removal_date < 8
                then 'stay_under_8_days'
            end as exclusion
        from periods as p
        inner join
            episodes as e
            on e.removal_date <= p.period_end
            and coalesce(e.end_date >= p.period_start, true)
            and coalesce(e.removal_date < e.adult_on, true)
    ),

    -- Reports of an episode: from its eighth day to its last, of an incident inside it where the
    -- day is known. One report a day; of two episodes the earlier has it.
    reported as (
        select s.period_start, s.person_id, r.report_date, min_by(s.removal_id, s.removal_date) as removal_id
        from served as s
        inner join
            {{ ref("fct_cps_report") }} as r
            on s.person_id = r.person_id
            and r.report_date between s.period_start and s.period_end
            and r.report_date >= {{ add_days("s.removal_date", 7) }}
            and r.report_date <= {{ cutoff() }}
            and coalesce(r.report_date <= s.end_date, true)
            and coalesce(r.incident_date >= s.removal_date, true)
            and coalesce(r.incident_date <= s.end_date, true)
        where
            s.exclusion is null
            and r.is_victim
            and ({{ is_substantiated("r") }} or coalesce(r.death_flag, false))
        group by all
    ),

    -- A report within a day of the last one counted is the same event told twice.
    counted_days as (
        select
            period_start,
            person_id,
            unnest(
                list_reduce(
                    list_transform(list_sort(list(report_date)), lambda day:[day]),
                    lambda kept,
                    day: case when day[1] - kept[-1] > 1 then list_concat(kept, day) else kept end
                )
            ) as report_date
        from reported
        group by all
    ),

    victimizations as (
        select r.period_start, r.removal_id, count(*) as events
        from counted_days as d
        inner join reported as r using (period_start, person_id, report_date)
        group by all
    ),

    -- A calendar day of one child counts once, under the earlier of two episodes.
    dated as (
        select
            *,
            max(counted_to) filter (where exclusion is null) over (
                partition by period_start, person_id
                order by index_date, removal_date, removal_id
                rows between unbounded preceding and 1 preceding
            ) as counted_before
        from served
    ),

    sited as ({{ with_site("dated", "index_date") }}),

    units as (
        select
            'SAF-01' as metric_id,
            'warehouse' as variant,
            u.period_start,
            u.period_end,
            u.person_id,
            u.index_date,
            u.site_id,
            u.county,
            u.exclusion,
            coalesce(v.events, 0) as events,
            greatest(
                u.counted_to - greatest(u.index_date, coalesce(u.counted_before, u.index_date)), 0
            ) as exposure
        from sited as u
        left join victimizations as v on u.period_start = v.period_start and u.removal_id = v.removal_id
    ),

    {{
        rate_rows(
            "units",
            measures=[["SAF-01", "warehouse"]],
            scale=100000,
            needs=["child_welfare"],
            version="1.2.1",
        )
    }}
