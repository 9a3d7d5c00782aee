select m.family_id, m.person_id, m.role, m.valid_from, m.valid_to, m.evidence, m.source_system, m.confidence
from {{ source("linkage", "family_member") }} as m
where m.family_id is not null and m.person_id is not null
