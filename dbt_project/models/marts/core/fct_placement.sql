select removal_id, seq, start_date, end_date, setting_type, provider_id, is_kin, is_afcars_placement
from {{ ref("int_placements__sequenced") }}
