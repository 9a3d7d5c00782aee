select
    p.person_id,
    p.dob,
    p.dob_estimated_flag,
    p.sex,
    coalesce(r.race_eth, 'MISSING') as race_eth,
    coalesce(r.race_any_aian, false) as race_any_aian,
    coalesce(r.race_any_asian, false) as race_any_asian,
    coalesce(r.race_any_black, false) as race_any_black,
    coalesce(r.race_any_nhpi, false) as race_any_nhpi,
    coalesce(r.race_any_white, false) as race_any_white,
    coalesce(r.race_any_hispanic, false) as race_any_hispanic,
    p.icwa_status,
    p.death_date,
    p.link_confidence
from {{ ref("int_persons__facts_survived") }} as p
left join {{ ref("int_persons__races_rolled_up") }} as r on p.person_id = r.person_id
