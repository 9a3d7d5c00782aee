{{ config(materialized="view") }}

select family_id, person_id, role, valid_from as "from", valid_to as "to"
from {{ ref("brg_family_member") }}
