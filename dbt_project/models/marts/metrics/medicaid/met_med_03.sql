-- MED-03 (DEV-CH): standardised developmental screening in the 12 months up to and on the first, second or
-- third birthday.
-- Basis: children with such a birthday in the period, enrolled those 12 months but for one gap of up to 45
-- days.
with
    periods as ({{ metric_periods() }}),

    children as (
        select
            p.period_start,
            p.period_end,
            d.person_id,
            a.age,
            strftime(p.period_start, '%Y%m%d') || d.person_id || '~' || a.age as unit_id,
            cast(d.dob + to_months(12 * (a.age - 1)) as date) as from_date,
            cast(d.dob + to_months(12 * a.age) as date) as to_date
        from periods as p
        cross join (values (1), (2), (3)) as a(age)
        inner join
            {{ ref("dim_person") }} as d
            on d.dob between {{ add_months("p.period_start", -36) }} and p.period_end
            and cast(d.dob + to_months(12 * a.age) as date)
            between p.period_start and least(p.period_end, {{ cutoff() }})
        where d.person_id in (select s.person_id from {{ ref("fct_elig_span") }} as s)
    ),

    {{ continuously_enrolled("enrolled", "children", 45) }},

    -- Some states tell an autism screening from a developmental one by a modifier of the same code.
    screenings as (
        select person_id, dos_from as screened_on
        from {{ ref("fct_claim_line") }}
        where
            cpt_hcpcs in ({{ codes("developmental_screening_codes") }})
            and dos_from between {{ first_period_day(-366) }} and {{ last_period_day() }}
            and {{ is_of("children") }}
            and not coalesce(
                list_has_any(
                    string_split(modifiers, ','),
                    cast([{{ codes("autism_screening_modifiers") }}] as varchar[])
                ),
                false
            )
    ),

    judged as (
        select
            c.*,
            c.to_date as index_date,
            {{ county_of_child("c", "to_date") }} as county,
            exists (
                select 1
                from screenings as s
                where s.person_id = c.person_id and s.screened_on > c.from_date and s.screened_on <= c.to_date
            ) as is_screened
        from children as c
    ),

    sited as ({{ with_site("judged", "index_date") }}),

    units as (
        select
            'MED-03' as metric_id,
            v.variant,
            s.period_start,
            s.period_end,
            s.person_id,
            s.index_date,
            s.site_id,
            s.county,
            case
                when s.unit_id not in (select unit_id from enrolled) then 'not_continuously_enrolled'
            end as exclusion,
            true as is_observable,
            s.is_screened as is_numerator
        from sited as s
        cross join (values ('warehouse'), ('age_1'), ('age_2'), ('age_3')) as v(variant)
        where v.variant in ('warehouse', 'age_' || s.age)
    ),

    {{
        proportion_rows(
            "units",
            measures=[["MED-03", "warehouse"], ["MED-03", "age_1"], ["MED-03", "age_2"], ["MED-03", "age_3"]],
            needs=["medicaid"],
            version="1.1.0",
            matures_on=run_out("period_end"),
            show_immature=true,
        )
    }}
