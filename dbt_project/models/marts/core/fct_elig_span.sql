-- Days a person was enrolled, groups and retroactive rows joined: spans of one scope that overlap
-- or touch are one.
with
    delivered as (
        select
            i.person_id,
            e.eff_date,
            coalesce(e.end_date, date '9999-12-31') as end_date,
            case
                when e.eligibility_group_cd_meaning in ('family_planning', 'unborn', 'dental_only')
                then 'limited'
                else 'full'
            end as benefit_scope
        from {{ ref("stg_medicaid__eligibility") }} as e
        inner join {{ join_person("i", "medicaid", "e.msis_id") }}
        where e.eff_date is not null and coalesce(e.end_date >= e.eff_date, true)
    ),

    marked as (
        select
            *,
            coalesce(
                eff_date > max(end_date) over (
                    partition by person_id, benefit_scope
                    order by eff_date, end_date
                    rows between unbounded preceding and 1 preceding
                )
                + 1,
                true
            ) as is_new_span
        from
            (
                select *
                from delivered
                where end_date < date '9999-12-31'
                union all
                select * replace (date '9000-01-01' as end_date)
                from delivered
                where end_date = date '9999-12-31'
            )
    ),

    -- Counted over all rows of one first and last day at once: rows that are alike have no order of their
    -- own.
    numbered as (
        select
            *,
            count(*) filter (where is_new_span) over (
                partition by person_id, benefit_scope order by eff_date, end_date
            ) as span_number
        from marked
    )

select person_id, min(eff_date) as "start", nullif(max(end_date), date '9000-01-01') as "end", benefit_scope
from numbered
group by person_id, benefit_scope, span_number
