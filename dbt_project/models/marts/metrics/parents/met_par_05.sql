-- PAR-05: substance-use treatment completed. Basis: treatment that ended in the period; treatment that has
-- lasted 12 months
-- is judged then. Episodes joined by a transfer and a new admission within 30 days are one treatment. A
-- parent whose
-- treatment records may not be seen on the day it is judged is not observable.
with
    periods as ({{ metric_periods() }}),

    episodes as (
        select
            b.person_id,
            b.admit_date,
            case when b.discharge_date <= {{ cutoff() }} then b.discharge_date end as discharge_date,
            case
                when b.discharge_date <= {{ cutoff() }} then upper(b.discharge_reason)
            end as discharge_reason
        from {{ ref("fct_bh_episode") }} as b
        where
            b.admit_date <= {{ cutoff() }}
            and (b.primary_dx is null or regexp_matches(b.primary_dx, '^F1[0-9]'))
            -- A person who is a child of one family and a parent of another is a parent here.
            and coalesce(
                (
                    select bool_or(lower(m.role) <> 'child')
                    from {{ ref("bridge_family_person") }} as m
                    where m.person_id = b.person_id
                ),
                true
            )
    ),

    chained as (
        select
            *,
            coalesce(
                lag(discharge_reason) over in_order in ('TRANSFER', 'TRANSFERRED')
                and admit_date <= lag(discharge_date) over in_order + 30,
                false
            ) as is_continued
        from episodes
        window
            in_order as (
                partition by person_id order by admit_date, discharge_date nulls last, discharge_reason
            )
    ),

    numbered as (
        select
            *,
            count(*) filter (where not is_continued) over (
                partition by person_id
                order by admit_date, discharge_date nulls last, discharge_reason, is_continued
                rows unbounded preceding
            ) as treatment_number
        from chained
    ),

    treatments as (
        select
            person_id,
            treatment_number,
            min(admit_date) as admit_date,
            max_by(
                {'discharge_date':discharge_date, 'reason':discharge_reason},
                strftime(admit_date, '%Y%m%d') || coalesce(strftime(discharge_date, '%Y%m%d'), '99999999')
            ) as last_discharge
        from numbered
        group by person_id, treatment_number
    ),

    -- least() passes over nulls: treatment that lasts is judged after twelve months.
    judged as (
        select *, least(last_discharge.discharge_date, {{ add_months("admit_date", 12) }}) as index_date
        from treatments
    ),

    ended as (
        select
            p.period_start,
            p.period_end,
            t.person_id,
            t.last_discharge.reason as reason,
            t.last_discharge.discharge_date as discharge_date,
            t.index_date
        from periods as p
        inner join judged as t on t.index_date between p.period_start and least(p.period_end, {{ cutoff() }})
    ),

    placed as (
        select
            d.*,
            (
                select
                    {'site_id':min_by(e.site_id, e.enrolled_date), 'county':min_by(e.county, e.enrolled_date)}
                from {{ ref("bridge_family_person") }} as b
                inner join {{ ref("fct_enrollment_sbct") }} as e on b.family_id = e.family_id
                where
                    b.person_id = d.person_id
                    and e.enrolled_date <= d.index_date
                    and coalesce(e.closed_date, {{ cutoff() }}) >= d.index_date
            ) as enrollment
        from ended as d
    ),

    units as (
        select
            'PAR-05' as metric_id,
            'warehouse' as variant,
            period_start,
            period_end,
            person_id,
            index_date,
            enrollment.site_id as site_id,
            enrollment.county as county,
            case
                when
                    reason in ('TRANSFER', 'TRANSFERRED')
                    and {{ add_days("discharge_date", 30) }} > {{ cutoff() }}
                then 'transfer_not_settled_at_cutoff'
            end as exclusion,
            {{ is_observable("p.person_id", "behavioral_health", "p.index_date", "p.index_date") }}
            as is_observable,
            coalesce(reason = 'COMPLETED' and discharge_date <= index_date, false) as is_numerator
        from placed as p
    ),

    {{
        proportion_rows(
            "units",
            measures=[["PAR-05", "warehouse"]],
            needs=["behavioral_health"],
            version="1.1.0",
            linked=true,
        )
    }}
