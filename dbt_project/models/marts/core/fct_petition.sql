-- A termination petition that names no parent is against every parent who is a party of the case.
with
    petitions as (
        select p.*, i.person_id, coalesce(respondent.person_id, parents.person_id) as parent_id
        from {{ ref("stg_court__petitions") }} as p
        inner join {{ join_person("i", "court", "p.child_party_id") }}
        left join {{ join_person("respondent", "court", "p.respondent_party_id") }}
        left join
            (
                select distinct q.case_no, j.person_id
                from {{ ref("stg_court__parties") }} as q
                inner join {{ join_person("j", "court", "q.party_id") }}
                where q.role_cd_meaning in ('mother', 'father')
            ) as parents
            on p.case_no = parents.case_no
            and p.respondent_party_id is null
            and p.petition_type_cd_meaning = 'TPR'
    )

select
    {{ source_key("court", ["petition_id"]) }} as petition_id,
    min({{ source_key("court", ["case_no"]) }}) as case_id,
    person_id,
    parent_id,
    min(petition_type_cd_meaning) as petition_type,
    min(filed_date) as filed_date,
    min(disposition_date) as disposition_date,
    min(disposition_cd_meaning) as result
from petitions
group by petition_id, person_id, parent_id
