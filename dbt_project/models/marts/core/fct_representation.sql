select
    {{ source_key("court", ["a.case_no"]) }} as case_id,
    {{ source_key("court", ["a.person_represented_party_id"]) }} as party_id,
    min(i.person_id) as person_id,
    min(p.role_cd_meaning) as party_role,
    {{ source_key("court", ["a.attorney_id"]) }} as counsel_id,
    a.role_cd_meaning as counsel_role,
    a.appointed_date,
    max(a.withdrawn_date) as end_date
from {{ ref("stg_court__attorneys") }} as a
left join
    {{ ref("stg_court__parties") }} as p
    on a.case_no = p.case_no
    and a.person_represented_party_id = p.party_id
left join {{ join_person("i", "court", "a.person_represented_party_id") }}
group by a.case_no, a.person_represented_party_id, a.attorney_id, a.role_cd_meaning, a.appointed_date
