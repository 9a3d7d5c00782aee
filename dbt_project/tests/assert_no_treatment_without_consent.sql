-- No row of a treatment program stands in a mart unless the person's consent covers the court team
-- at the cut-off.
with
    shown as (
        select person_id
        from {{ ref("fct_bh_episode") }}
        union all
        select person_id
        from {{ ref("fct_referral") }}
        where source = 'behavioral_health'
        union all
        select person_id
        from {{ ref("fct_service") }}
        where source = 'behavioral_health'
        union all
        select person_id
        from {{ ref("fct_observability") }}
        where source_system = 'behavioral_health'
    )

select s.person_id
from shown as s
left join {{ ref("int_consents__in_force") }} as c on s.person_id = c.person_id and c.covers_court_team
where c.person_id is null
