-- What the agency recorded of each parent, and, from the court, the end of rights. Spans run to
-- the next change.
with
    stated as (
        select
            child.person_id,
            parent.person_id as parent_id,
            s.parent_status_cd_meaning as status,
            s.since as from_date
        from
            (
                select
                    case
                        when r.relationship_cd in ('MO', 'FA', 'PF', 'PA')
                        then r.person_id_1
                        else r.person_id_2
                    end as parent_number,
                    case
                        when r.relationship_cd in ('MO', 'FA', 'PF', 'PA')
                        then r.person_id_2
                        else r.person_id_1
                    end as child_number,
                    r.parent_status_cd_meaning,
                    coalesce(r.parent_status_date, r.start_date) as since
                from {{ ref("stg_child_welfare__relationships") }} as r
                where
                    r.record_status = 'A'
                    and r.parent_status_cd is not null
                    and r.relationship_cd in ('MO', 'FA', 'PF', 'PA', 'CM', 'CF', 'CP', 'CH')
            ) as s
        inner join {{ join_person("child", "child_welfare", "s.child_number") }}
        inner join {{ join_person("parent", "child_welfare", "s.parent_number") }}
        union all
        select person_id, parent_id, 'TERMINATED', disposition_date
        from {{ ref("fct_petition") }}
        where
            petition_type = 'TPR'
            and result = 'GRANTED'
            and parent_id is not null
            and disposition_date is not null
    ),

    -- Of two statuses that begin the same day the graver holds; nothing follows the end of rights
    -- or death.
    dated as (
        select person_id, parent_id, status, coalesce(from_date, date '1900-01-01') as from_date
        from stated
        where person_id <> parent_id
        qualify
            row_number() over (
                partition by person_id, parent_id, coalesce(from_date, date '1900-01-01')
                order by
                    array_position(['DECEASED', 'TERMINATED', 'NO_CONTACT', 'UNLOCATED', 'LOCATED'], status)
            )
            = 1
    ),

    -- A parent entered twice with different dates of one status keeps the first.
    changes as (
        select *, lag(status) over (partition by person_id, parent_id order by from_date) as previous_status
        from dated
    )

select
    person_id,
    parent_id,
    status,
    nullif(from_date, date '1900-01-01') as from_date,
    lead(from_date) over (partition by person_id, parent_id order by from_date) as to_date
from changes
where
    coalesce(status <> previous_status, true)
    and coalesce(previous_status not in ('TERMINATED', 'DECEASED'), true)
