-- A case opened per family stands once for each of its children.
select
    {{ source_key("court", ["c.court_case_no"]) }} as case_id,
    i.person_id,
    min(c.case_type_cd_meaning) as case_type,
    min(c.filed_date) as filed_date,
    min(c.closed_date) as closed_date,
    min(c.closure_reason_cd_meaning) as closure_reason,
    min(c.county_fips) as county,
    bool_or(coalesce(c.sealed_ind, false)) as is_sealed
from {{ ref("stg_court__cases") }} as c
inner join {{ ref("stg_court__parties") }} as p on c.court_case_no = p.case_no and p.role_cd_meaning = 'child'
inner join {{ join_person("i", "court", "p.party_id") }}
group by c.court_case_no, i.person_id
