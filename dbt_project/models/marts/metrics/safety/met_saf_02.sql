-- SAF-02 (CFSR S2): recurrence of maltreatment within 12 months. SAF-02p: the same for enrolled
-- children, counted from enrolment. Basis: children with a first substantiated report, or
-- enrolled, in the period.
with
    periods as ({{ metric_periods() }}),

    victimizations as (
        select person_id, report_id, report_date, incident_date, county
        from {{ ref("fct_cps_report") }} as r
        where
            {{ is_substantiated("r") }}
            and not coalesce(is_unborn, false)
            and coalesce(is_victim, true)
            and report_date <= {{ cutoff() }}
    ),

    initial_reports as (
        select 'SAF-02' as metric_id, p.period_start, p.period_end, v.*, v.report_date as index_date
        from periods as p
        inner join victimizations as v on v.report_date between p.period_start and p.period_end
        qualify
            row_number() over (partition by p.period_start, v.person_id order by v.report_date, v.report_id)
            = 1
    ),

    initial_enrollments as (
        select
            'SAF-02p' as metric_id,
            p.period_start,
            p.period_end,
            e.person_id,
            e.county,
            e.enrolled_date as index_date
        from periods as p
        inner join
            {{ ref("fct_enrollment_sbct") }} as e
            on e.enrolled_date between p.period_start and p.period_end
            and e.enrolled_date <= {{ cutoff() }}
        qualify
            row_number() over (partition by p.period_start, e.person_id order by e.enrolled_date, e.site_id)
            = 1
    ),

    indexed as (
        select *
        from initial_reports
        union all by name
        select *
        from initial_enrollments
    ),

    sited as ({{ with_site("indexed", "index_date") }}),

    -- Any later report counts, not only the next one; a report within 14 days, or of the same
    -- incident, is the same event told twice.
    units as (
        select
            u.metric_id,
            'warehouse' as variant,
            u.period_start,
            u.period_end,
            u.person_id,
            u.index_date,
            u.site_id,
            u.county,
            cast(null as varchar) as exclusion,
            true as is_observable,
            exists (
                select 1
                from victimizations as v
                where
                    v.person_id = u.person_id
                    and v.report_date > {{ add_days("u.index_date", 14) }}
                    and {{ within_window("v.report_date", "u.index_date", 12) }}
                    and coalesce(v.incident_date <> u.incident_date, true)
            ) as is_numerator
        from sited as u
    ),

    {{
        proportion_rows(
            "units",
            measures=[["SAF-02", "warehouse"], ["SAF-02p", "warehouse"]],
            needs=["child_welfare"],
            version="1.0.1",
            follow_up_months=12,
        )
    }}
