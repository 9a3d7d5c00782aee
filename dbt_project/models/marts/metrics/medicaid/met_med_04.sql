-- MED-04 (IET-AD): initiation and engagement of substance-use treatment. Basis: first new episode in the
-- period of people
-- aged 13 or more; new when neither diagnosis nor treatment stands in the look-back before it. Initiation:
-- treatment on days
-- 0 to 13. Engagement: initiated, and treatment on two more days within 34 days of it. Variants parents_*:
-- parents of a
-- family only.
with
    periods as ({{ metric_periods() }}),

    -- Days that decide an episode of the periods: from its look-back to the end of its engagement.
    {%- set from_day = first_period_day(-(var("sud_look_back_days") | int)) -%}
    {%- set days = "dos_from between " ~ from_day ~ " and least(" ~ last_period_day(13 + 34) ~ ", " ~ cutoff() ~ ")" %}

    -- One diagnosis column after the other: what begins otherwise is passed over in the scan, and empty
    -- columns are not
    -- read. F10 to F16, F18 and F19, whatever follows: nicotine (F17) is no substance-use disorder here.
    lines as (
        select person_id, dos_from, false as has_diagnosis, true as is_treatment
        from {{ ref("fct_claim_line") }}
        where cpt_hcpcs in ({{ codes("iet_treatment_codes") }}) and {{ days }}
        {%- for n in range(1, 13) %}
            union all
            select
                person_id,
                dos_from,
                true,
                coalesce(cpt_hcpcs in ({{ codes("iet_codes_with_diagnosis") }}), false)
            from {{ ref("fct_claim_line") }}
            where
                dx{{ n }} >= 'F10'
                and dx{{ n }} < 'F1:'
                and not (dx{{ n }} >= 'F17' and dx{{ n }} < 'F18')
                and {{ days }}
        {%- endfor %}
    ),

    days as (
        select
            person_id,
            dos_from,
            bool_or(has_diagnosis) as has_diagnosis,
            bool_or(is_treatment) as is_treatment,
            lag(dos_from) over (partition by person_id order by dos_from) as previous_day
        from lines
        group by person_id, dos_from
    ),

    episodes as (
        select p.period_start, p.period_end, d.person_id, d.dos_from as index_date
        from periods as p
        inner join
            days as d
            on d.dos_from between p.period_start and p.period_end
            and d.has_diagnosis
            and coalesce(d.dos_from - d.previous_day > {{ var("sud_look_back_days") }}, true)
        left join {{ ref("dim_person") }} as b on d.person_id = b.person_id
        where coalesce({{ add_months("b.dob", 156) }} <= d.dos_from, true)
        qualify row_number() over (partition by p.period_start, d.person_id order by d.dos_from) = 1
    ),

    initiated as (
        select e.period_start, e.period_end, e.person_id, e.index_date, min(t.dos_from) as initiated_on
        from episodes as e
        left join
            days as t
            on e.person_id = t.person_id
            and t.is_treatment
            and t.dos_from between e.index_date and {{ add_days("e.index_date", 13) }}
        group by e.period_start, e.period_end, e.person_id, e.index_date
    ),

    engaged as (
        select
            i.period_start,
            i.period_end,
            i.person_id,
            i.index_date,
            i.initiated_on,
            count(t.dos_from) >= 2 as is_engaged
        from initiated as i
        left join
            days as t
            on i.person_id = t.person_id
            and t.is_treatment
            and t.dos_from > i.initiated_on
            and t.dos_from <= {{ add_days("i.initiated_on", 34) }}
        group by i.period_start, i.period_end, i.person_id, i.index_date, i.initiated_on
    ),

    placed as (
        select
            e.*,
            exists (
                select 1
                from {{ ref("bridge_family_person") }} as b
                where b.person_id = e.person_id and {{ is_parent_role("b.role") }}
            ) as is_parent,
            (
                select
                    {'site_id':min_by(s.site_id, s.enrolled_date), 'county':min_by(s.county, s.enrolled_date)}
                from {{ ref("bridge_family_person") }} as b
                inner join {{ ref("fct_enrollment_sbct") }} as s on b.family_id = s.family_id
                where
                    b.person_id = e.person_id
                    and s.enrolled_date <= e.index_date
                    and coalesce(s.closed_date, {{ cutoff() }}) >= e.index_date
            ) as enrollment
        from engaged as e
    ),

    units as (
        select
            'MED-04' as metric_id,
            v.variant,
            p.period_start,
            p.period_end,
            p.person_id,
            p.index_date,
            p.enrollment.site_id as site_id,
            p.enrollment.county as county,
            case
                when
                    {{ add_days("p.index_date", 13) }} > {{ cutoff() }}
                    or (
                        v.variant like '%engagement'
                        and {{ add_days("coalesce(p.initiated_on, p.index_date)", 34) }} > {{ cutoff() }}
                    )
                then 'window_not_over_at_cutoff'
            end as exclusion,
            true as is_observable,
            case
                when v.variant like '%initiation'
                then p.initiated_on is not null
                else coalesce(p.is_engaged, false)
            end as is_numerator
        from placed as p
        cross join
            (values ('initiation'), ('engagement'), ('parents_initiation'), ('parents_engagement')) as v(
                variant
            )
        where p.is_parent or v.variant in ('initiation', 'engagement')
    ),

    {{
        proportion_rows(
            "units",
            measures=[
                ["MED-04", "initiation"],
                ["MED-04", "engagement"],
                ["MED-04", "parents_initiation"],
                ["MED-04", "parents_engagement"],
            ],
            needs=["medicaid"],
            version="1.1.1",
            matures_on=run_out("period_end"),
            show_immature=true,
        )
    }}
