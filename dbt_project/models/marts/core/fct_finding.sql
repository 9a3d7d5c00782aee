-- A finding speaks of every child of the case unless it names one; the same finding entered twice
-- on a day is one.
with
    findings as (
        select o.case_no, o.child_party_id, o.order_date, o.signed_date, f.finding_type
        from
            {{ ref("stg_court__orders") }} as o,
            unnest(list_distinct([o.finding_cd_meaning, o.reasonable_efforts_finding_cd_meaning])) as f(
                finding_type
            )
        where
            f.finding_type
            in ('ABUSE_NEGLECT', 'NO_REASONABLE_EFFORTS', 'REASONABLE_EFFORTS_REMOVAL', 'COMPELLING_REASON')
    ),

    children as (
        select distinct p.case_no, p.party_id, i.person_id
        from {{ ref("stg_court__parties") }} as p
        inner join {{ join_person("i", "court", "p.party_id") }}
        where p.role_cd_meaning = 'child'
    )

select
    {{ source_key("court", ["f.case_no"]) }} as case_id,
    c.person_id,
    f.finding_type,
    f.order_date as finding_date,
    min(f.signed_date) as signed_date
from findings as f
inner join children as c on f.case_no = c.case_no and coalesce(f.child_party_id = c.party_id, true)
group by f.case_no, c.person_id, f.finding_type, f.order_date
