select
    removal_id,
    person_id,
    removal_date,
    discharge_date,
    discharge_reason,
    county,
    prior_removals,
    removal_manner,
    removal_environment,
    has_substance_use_reason,
    removal_entered_date,
    discharge_entered_date,
    is_in_afcars,
    source
from {{ ref("int_removals__merged") }}
