-- HLT-02: medical home, the composite of the National Survey of Children's Health. Basis: children
-- enrolled in the period of whom all five components were asked; each by its last answer. Referrals
-- and care coordination that were not needed count as met. Claims cannot show it.
{%- set components = [
    "PERSONAL_DOCTOR",
    "USUAL_SOURCE",
    "FAMILY_CENTERED_CARE",
    "REFERRALS",
    "CARE_COORDINATION",
] %}
with
    children as ({{ enrolled_children() }}),

    answers as (
        select
            person_id,
            replace(upper(domain), ' ', '_') as component,
            max_by(upper(result), performed_date) as result
        from {{ ref("fct_screening") }}
        where
            replace(upper(domain), ' ', '_') in (
                {%- for component in components -%}'{{ component }}'{{ ", " if not loop.last }} {%- endfor -%}
            )
            and performed_date <= {{ cutoff() }}
        group by all
    ),

    judged as (
        select
            person_id,
            component,
            case
                when result in ('MET', 'YES', 'PASS')
                then true
                when result in ('NOT_NEEDED', 'SKIPPED') and component in ('REFERRALS', 'CARE_COORDINATION')
                then true
                when result in ('NOT_MET', 'NO', 'FAIL')
                then false
            end as is_met
        from answers
    ),

    units as (
        select
            'HLT-02' as metric_id,
            'warehouse' as variant,
            c.period_start,
            c.period_end,
            c.person_id,
            c.enrolled_date as index_date,
            c.site_id,
            c.county,
            case
                when count(j.is_met) < {{ components | length }} then 'not_all_five_components_asked'
            end as exclusion,
            true as is_observable,
            coalesce(bool_and(j.is_met), false) as is_numerator
        from children as c
        left join judged as j on c.person_id = j.person_id
        group by c.period_start, c.period_end, c.person_id, c.enrolled_date, c.site_id, c.county
    ),

    {{
        proportion_rows(
            "units",
            measures=[["HLT-02", "warehouse"]],
            needs=["court_team"],
            version="1.0.0",
        )
    }}
