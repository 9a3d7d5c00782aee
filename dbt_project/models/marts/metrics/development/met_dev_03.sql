-- DEV-03: evidence-based child-parent intervention within 60 days of the need. Basis: enrolled children
-- with such a need of
-- their own or of a parent in the period, one row per child. A session before the need satisfies it; the
-- session may be
-- recorded on the child or on a parent. Which models count is the variable evidence_based_models.
with
    periods as ({{ metric_periods() }}),

    pairs as (
        select distinct child_id, parent_id
        from ({{ family_parents('select person_id from ' ~ ref("fct_enrollment_sbct")) }})
    ),

    needs as (
        select person_id, identified_date
        from {{ ref("fct_need") }}
        where {{ is_domain("need_domain", "CHILD_PARENT") }}
        union
        select p.child_id, n.identified_date
        from {{ ref("fct_need") }} as n
        inner join pairs as p on n.person_id = p.parent_id
        where {{ is_domain("n.need_domain", "CHILD_PARENT") }}
    ),

    anchored as (
        select p.period_start, p.period_end, n.person_id, min(n.identified_date) as index_date
        from periods as p
        inner join
            needs as n
            on n.identified_date between p.period_start and p.period_end
            and n.identified_date <= {{ cutoff() }}
        where
            exists (
                select 1
                from {{ ref("fct_enrollment_sbct") }} as e
                where
                    e.person_id = n.person_id
                    and e.enrolled_date <= {{ add_days("n.identified_date", 60) }}
                    and coalesce(e.closed_date >= n.identified_date, true)
            )
        group by all
    ),

    sessions as (
        select person_id, first_appt_date
        from {{ ref("fct_service") }}
        where
            first_appt_date is not null
            and coalesce(attended_flag, true)
            and (
                upper(service_name) in ({{ codes("evidence_based_models") | upper }})
                or upper(service_type) in ({{ codes("evidence_based_models") | upper }})
                or (service_name is null and {{ is_domain("service_type", "CHILD_PARENT") }})
            )
    ),

    dyad_sessions as (
        select person_id, first_appt_date
        from sessions
        union
        select p.child_id, s.first_appt_date
        from sessions as s
        inner join pairs as p on s.person_id = p.parent_id
    ),

    placed as (
        select
            a.*,
            {{ add_days("a.index_date", 60) }} as due_on,
            {{ county_of_child("a", "index_date") }} as county
        from anchored as a
    ),

    sited as ({{ with_site("placed", "index_date", until="due_on") }}),

    units as (
        select
            'DEV-03' as metric_id,
            'warehouse' as variant,
            u.period_start,
            u.period_end,
            u.person_id,
            u.index_date,
            u.site_id,
            u.county,
            case when u.due_on > {{ cutoff() }} then 'window_not_over_at_cutoff' end as exclusion,
            true as is_observable,
            exists (
                select 1
                from dyad_sessions as s
                where s.person_id = u.person_id and s.first_appt_date <= u.due_on
            ) as is_numerator
        from sited as u
    ),

    {{
        proportion_rows(
            "units",
            measures=[["DEV-03", "warehouse"]],
            needs=["court_team"],
            version="1.0.0",
            follow_up_months=none,
        )
    }}
