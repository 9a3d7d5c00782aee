-- Final-action claims only. Denied lines stay: a service refused payment was still given
-- (paid_status tells).
select
    c.person_id,
    {{ source_key("medicaid", ["c.claim_key"]) }} as claim_id,
    cast(coalesce(l.line_num, 0) as integer) as line,
    coalesce(l.service_begin, c.service_begin) as dos_from,
    coalesce(l.service_end, c.service_end, l.service_begin, c.service_begin) as dos_to,
    l.proc_cd as cpt_hcpcs,
    nullif(concat_ws(',', l.mod1, l.mod2, l.mod3, l.mod4), '') as modifiers,
    {% for n in range(1, 13) -%} replace(c.diag_{{ n }}, '.', '') as dx{{ n }}, {% endfor -%}
    c.pos,
    c.bill_type,
    l.rev_cd as rev_code,
    l.taxonomy as provider_taxonomy,
    case when c.is_denied or l.line_status_meaning = 'denied' then 'DENIED' else 'PAID' end as paid_status
from {{ ref("int_claims__final_action") }} as c
left join
    {{ ref("stg_medicaid__claim_lines") }} as l
    on c.version_key = {{ claim_version_key("l") }}
    and coalesce(l.line_status_meaning <> 'void', true)
where
    not c.is_duplicate
    and (
        c.is_consented
        or not exists (select 1 from {{ ref("ref_part2_provider") }} as p where p.npi = l.rendering_npi)
    )
