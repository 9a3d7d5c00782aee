-- A case opened per family stands once for each of its children.
select
    {{ source_key("court", ["c.court_case_no"]) }} as case_id,
    i.person_id,
    any_value(c.case_type_cd_meaning) as case_type,
    any_value(c.filed_date) as filed_date,
    any_value(c.closed_date) as closed_date,
    any_value(c.closure_reason_cd_meaning) as closure_reason,
    any_value(c.county_fips) as county,
    bool_or(coalesce(c.sealed_ind, false)) as is_sealed
from {{ ref("stg_court__cases") }} as c
inner join {{ ref("stg_court__parties") }} as p on c.court_case_no = p.case_no and p.role_cd_meaning = 'child'
inner join {{ join_person("i", "court", "p.party_id") }}
group by c.court_case_no, i.person_id
