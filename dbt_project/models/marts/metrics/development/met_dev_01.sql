-- DEV-01: developmental screening within 60 days. Basis: children enrolled in the period, watched for 60
-- days from the
-- anchor. The anchor is the first developmental need recorded or, without one, the enrolment; a screening
-- up to 90 days
-- before it counts. Variant anchor_enrollment counts from the enrolment alone.
with
    children as ({{ enrolled_children() }}),

    anchored as (
        select
            c.*,
            v.variant,
            coalesce(
                case
                    when v.variant = 'warehouse'
                    then
                        (
                            select min(n.identified_date)
                            from {{ ref("fct_need") }} as n
                            where
                                n.person_id = c.person_id
                                and {{ is_domain("n.need_domain", "DEVELOPMENT") }}
                                and n.identified_date <= {{ cutoff() }}
                        )
                end,
                c.enrolled_date
            ) as index_date
        from children as c
        cross join (values ('warehouse'), ('anchor_enrollment')) as v(variant)
    ),

    screenings as (
        select person_id, performed_date
        from {{ ref("fct_screening") }}
        where
            (
                {{ is_domain("domain", "DEVELOPMENT") }}
                or upper(instrument) in ({{ codes("developmental_tools") }})
            )
            and coalesce(upper(result) <> 'INCOMPLETE', true)
        union all
        select person_id, dos_from
        from {{ ref("fct_claim_line") }}
        where cpt_hcpcs in ({{ codes("developmental_screening_codes") }}) and {{ is_of("children") }}
    ),

    units as (
        select
            'DEV-01' as metric_id,
            u.variant,
            u.period_start,
            u.period_end,
            u.person_id,
            u.index_date,
            u.site_id,
            u.county,
            case
                when {{ add_months("p.dob", 1) }} > {{ add_days("u.index_date", 60) }}
                then 'under_1_month_at_day_60'
                when u.closed_date < {{ add_days("u.index_date", 60) }}
                then 'closed_before_day_60'
                when {{ add_days("u.index_date", 60) }} > {{ cutoff() }}
                then 'window_not_over_at_cutoff'
            end as exclusion,
            true as is_observable,
            exists (
                select 1
                from screenings as s
                where
                    s.person_id = u.person_id
                    and s.performed_date
                    between {{ add_days("u.index_date", -90) }} and {{ add_days("u.index_date", 60) }}
            ) as is_numerator
        from anchored as u
        left join {{ ref("dim_person") }} as p on u.person_id = p.person_id
    ),

    {{
        proportion_rows(
            "units",
            measures=[["DEV-01", "warehouse"], ["DEV-01", "anchor_enrollment"]],
            needs=["court_team"],
            version="1.0.1",
            follow_up_months=none,
        )
    }}
