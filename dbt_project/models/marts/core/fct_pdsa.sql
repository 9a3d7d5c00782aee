select
    cycle_id,
    site_id,
    change_id,
    start_date as "start",
    end_date as "end",
    measure_id,
    decision_cd_meaning as decision,
    spread_to_sites
from {{ ref("stg_court_team__improvement_cycles") }}
