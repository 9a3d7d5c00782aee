-- Every active episode of the agency whose child is a known person stands in fct_removal once.
with
    own as (
        select {{ source_key("child_welfare", ["r.removal_id"]) }} as removal_id
        from {{ ref("stg_child_welfare__removals") }} as r
        inner join {{ join_person("i", "child_welfare", "r.child_person_id") }}
        where
            r.record_status = 'A'
            and coalesce(r.exit_reason_cd <> 'VOID', true)
            and r.removal_date <= {{ cutoff() }}
    )

select coalesce(o.removal_id, f.removal_id) as removal_id
from own as o
full join
    (select removal_id from {{ ref("fct_removal") }} where source = 'child_welfare') as f
    on o.removal_id = f.removal_id
where o.removal_id is null or f.removal_id is null
