select
    m.family_id,
    least(min(m.valid_from), min(r.first_removal_date)) as first_seen_date,
    count(distinct m.person_id) as member_count,
    count(distinct m.person_id) filter (where m.role = 'child') as child_count
from {{ ref("brg_family_member") }} as m
left join
    (
        select person_id, min(removal_date) as first_removal_date
        from {{ ref("int_removals__merged") }}
        group by person_id
    ) as r
    on m.person_id = r.person_id
    and m.role = 'child'
group by m.family_id
