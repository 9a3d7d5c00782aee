-- The person each source record belongs to on the night's cut, one row per record.
select source_system, source_record_id, person_id, match_probability
from {{ source("linkage", "person_crosswalk") }}
where valid_from <= {{ cutoff() }} and coalesce(valid_to > {{ cutoff() }}, true)
qualify
    row_number() over (
        partition by source_system, source_record_id
        order by valid_from desc, match_probability desc, person_id
    )
    = 1
