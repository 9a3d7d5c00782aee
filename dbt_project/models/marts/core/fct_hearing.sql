select
    {{ source_key("court", ["hearing_id"]) }} as hearing_id,
    {{ source_key("court", ["case_no"]) }} as case_id,
    hearing_type,
    scheduled_date,
    held_date,
    outcome,
    continuance_reason,
    judge_id,
    parent_present_flags,
    counsel_present_flags,
    is_type_inferred
from {{ ref("int_hearings__typed") }}
