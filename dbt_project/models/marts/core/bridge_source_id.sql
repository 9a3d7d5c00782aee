select person_id, source_system, source_record_id as source_id, match_probability, valid_from, valid_to
from {{ source("linkage", "person_crosswalk") }}
where person_id is not null
