-- Whoever is a child of a family at the cut-off has that family in dim_child.
select c.person_id
from {{ ref("dim_child") }} as c
where
    c.family_id is null
    and exists (
        select 1
        from {{ ref("brg_family_member") }} as m
        where
            m.person_id = c.person_id
            and m.role = 'child'
            and coalesce(m.valid_from <= {{ cutoff() }}, true)
            and coalesce(m.valid_to > {{ cutoff() }}, true)
    )
