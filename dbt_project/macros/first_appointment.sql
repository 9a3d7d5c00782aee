{#-
    Standard rows of "first appointment within ``days`` of the need" for parents (PAR-02, PAR-03, PAR-04): one row per
    parent, the first need of ``domain`` in the period. Kept appointments come from treatment episodes, services and
    claims; a parent already in treatment on the need date waited 0 days. A parent whose treatment records may not be seen
    is not observable, whatever another table shows. Variants: warehouse (kept), scheduled (kept or merely scheduled),
    among_seen (only parents seen by the cut-off).
-#}
{% macro first_appointment_rows(metric_id, domain, days, diagnoses, version) %}
    with
        periods as ({{ metric_periods() }}),

        parents as (
            select n.*
            from {{ ref("fct_need") }} as n
            where
                {{ is_domain("n.need_domain", domain) }}
                and n.identified_date <= {{ cutoff() }}
                -- A person who is a child of one family and a parent of another is a parent here.
                and coalesce(
                    (
                        select bool_or(lower(b.role) <> 'child')
                        from {{ ref("bridge_family_person") }} as b
                        where b.person_id = n.person_id
                    ),
                    true
                )
        ),

        needs as (
            select p.period_start, p.period_end, n.person_id, n.need_id, n.identified_date as need_date
            from periods as p
            inner join parents as n on n.identified_date between p.period_start and p.period_end
            qualify
                row_number() over (
                    partition by p.period_start, n.person_id order by n.identified_date, n.need_id
                )
                = 1
        ),

        domain_services as (
            select s.*
            from {{ ref("fct_service") }} as s
            left join {{ ref("fct_referral") }} as r on s.referral_id = r.referral_id
            left join {{ ref("fct_need") }} as n on r.need_id = n.need_id
            where
                {{ is_domain("s.service_type", domain) }}
                or starts_with(upper(s.service_type), '{{ domain }}_')
                or {{ is_domain("n.need_domain", domain) }}
        ),

        -- Treatment as spans: from the kept appointment to the end of what it began.
        treatment as (
            select
                person_id,
                coalesce(first_service_date, admit_date) as from_date,
                coalesce(discharge_date, {{ cutoff() }}) as to_date,
                true as is_kept
            from {{ ref("fct_bh_episode") }}
            where primary_dx is null or regexp_matches(primary_dx, '{{ diagnoses }}')
            union all
            select person_id, first_appt_date, coalesce(end_date, {{ cutoff() }}), true
            from domain_services
            where first_appt_date is not null and coalesce(attended_flag, true)
            union all
            select
                person_id,
                coalesce(scheduled_date, first_appt_date),
                coalesce(scheduled_date, first_appt_date),
                false
            from domain_services
            union all
            -- One visit says nothing of how long the treatment lasts; a month is taken.
            select person_id, dos_from, {{ add_days("dos_from", 30) }}, true
            from ({{ appointments(domain, first_period_day(-30), "needs") }})
        ),

        waits as (
            select
                n.period_start,
                n.period_end,
                n.person_id,
                n.need_date,
                min(greatest(t.from_date, n.need_date)) filter (where t.is_kept) - n.need_date as kept_days,
                min(greatest(t.from_date, n.need_date)) filter (where t.from_date is not null)
                - n.need_date as scheduled_days
            from needs as n
            left join
                treatment as t
                on n.person_id = t.person_id
                and t.from_date <= {{ cutoff() }}
                -- One comparison: DuckDB joins row by row where it finds an "or".
                and greatest(t.from_date, t.to_date) >= n.need_date
            group by n.period_start, n.period_end, n.person_id, n.need_date
        ),

        judged as (
            select
                w.*,
                least({{ add_days("w.need_date", days) }}, {{ cutoff() }}) as judged_on,
                {{ add_days("w.need_date", days) }} > {{ cutoff() }} as is_immature
            from waits as w
        ),

        -- The parent's site is that of the family's enrolment active on the need date.
        enrolled as (
            select
                j.period_start,
                j.person_id,
                min_by(e.site_id, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as site_id,
                min_by(e.county, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as county
            from judged as j
            inner join {{ ref("bridge_family_person") }} as b on j.person_id = b.person_id
            inner join
                {{ ref("fct_enrollment_sbct") }} as e
                on b.family_id = e.family_id
                and e.enrolled_date <= j.need_date
                and coalesce(e.closed_date, {{ cutoff() }}) >= j.need_date
            group by j.period_start, j.person_id
        ),

        observed as (
            select
                j.*,
                e.site_id,
                e.county,
                {{ is_observable("j.person_id", "behavioral_health", "j.need_date", "j.judged_on") }}
                as is_observable
            from judged as j
            left join enrolled as e on j.period_start = e.period_start and j.person_id = e.person_id
        ),

        units as (
            select
                '{{ metric_id }}' as metric_id,
                v.variant,
                o.period_start,
                o.period_end,
                o.person_id,
                o.need_date as index_date,
                o.site_id,
                o.county,
                case
                    when o.is_immature
                    then 'window_not_over_at_cutoff'
                    when v.variant = 'among_seen' and o.is_observable and o.kept_days is null
                    then 'not_seen'
                end as exclusion,
                o.is_observable,
                coalesce(
                    case v.variant when 'scheduled' then o.scheduled_days else o.kept_days end <= {{ days }},
                    false
                ) as is_numerator
            from observed as o
            cross join (values ('warehouse'), ('scheduled'), ('among_seen')) as v(variant)
        ),

        {{
            proportion_rows(
                "units",
                measures=[[metric_id, "warehouse"], [metric_id, "scheduled"], [metric_id, "among_seen"]],
                needs=["behavioral_health", "court_team"],
                version=version,
                linked=true,
                follow_up_months=none,
            )
        }}
{% endmacro %}
