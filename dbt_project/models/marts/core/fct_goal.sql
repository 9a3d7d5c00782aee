-- The concurrent goal of a plan is a goal of its own, for the same days.
with
    plans as (
        select
            r.removal_id,
            p.permanency_plan_id,
            p.plan_date as start_date,
            least(
                coalesce(
                    p.plan_end_date,
                    lead(p.plan_date) over (
                        partition by p.removal_id order by p.plan_date, p.permanency_plan_id
                    )
                ),
                r.discharge_date
            ) as end_date,
            {{ goal_type("p.plan_cd_meaning") }} as goal_type,
            case
                when p.concurrent_plan_cd is not null then {{ goal_type("p.concurrent_plan_cd_meaning") }}
            end as concurrent_goal_type
        from {{ ref("stg_child_welfare__permanency_plans") }} as p
        inner join {{ ref("int_removals__merged") }} as r on p.removal_id = r.source_removal_id
        where p.record_status = 'A' and p.plan_date is not null
    ),

    goals as (
        select removal_id, goal_type, start_date, end_date, false as is_concurrent
        from plans
        union all
        select removal_id, concurrent_goal_type, start_date, end_date, true
        from plans
        where concurrent_goal_type is not null and concurrent_goal_type <> 'NONE'
    )

select removal_id, goal_type, start_date, {{ last_end("end_date") }} as end_date, is_concurrent
from goals
group by all
