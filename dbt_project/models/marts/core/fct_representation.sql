-- Parties with their counsel, and parties the court knows of whom nobody represents.
with
    appointments as (
        select
            a.case_no,
            a.person_represented_party_id as party_id,
            a.attorney_id,
            a.role_cd_meaning as counsel_role,
            a.appointed_date,
            {{ last_end("a.withdrawn_date") }} as end_date
        from {{ ref("stg_court__attorneys") }} as a
        group by all
    ),

    parties as (
        select case_no, party_id, min(role_cd_meaning) as party_role
        from {{ ref("stg_court__parties") }}
        group by all
    ),

    people as (
        select source_record_id, min(person_id) as person_id
        from {{ ref("int_persons__identified") }}
        where source_system = 'court'
        group by all
    )

select
    {{ source_key("court", ["case_no"]) }} as case_id,
    {{ source_key("court", ["party_id"]) }} as party_id,
    i.person_id,
    p.party_role,
    {{ source_key("court", ["a.attorney_id"]) }} as counsel_id,
    a.counsel_role,
    a.appointed_date,
    a.end_date
from appointments as a
full join parties as p using (case_no, party_id)
left join people as i on party_id = i.source_record_id
where a.attorney_id is not null or p.party_role in ('child', 'mother', 'father', 'putative_father')
