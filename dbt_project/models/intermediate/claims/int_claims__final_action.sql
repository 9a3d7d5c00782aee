-- One row per claim as it finally stands, with the person it is for. All versions of a claim share the
-- original number:
-- the last one adjudicated counts, a replacement after a void of the same day; a claim whose last version
-- is a void is
-- gone. Capitation, service tracking and supplemental payments are no service. Denied claims stay, marked.
with
    versions as (
        select
            h.*,
            concat_ws(
                '~',
                h.submitting_state,
                h.icn_orig,
                coalesce(h.icn_adj, ''),
                coalesce(cast(h.adjudication_date as varchar), ''),
                h.adjustment_ind
            ) as version_key,
            concat_ws('~', h.submitting_state, h.icn_orig) as claim_key
        from {{ ref("stg_medicaid__claim_headers") }} as h
        where
            h.type_of_claim_meaning in ('fee_for_service', 'encounter')
            and h.adjustment_ind_meaning in ('original', 'void', 'resubmittal', 'replacement')
            and left(h.msis_id, 1) <> '&'
    ),

    last_versions as (
        select *
        from versions
        qualify
            row_number() over (
                partition by claim_key
                order by
                    adjudication_date desc nulls last,
                    case
                        adjustment_ind_meaning
                        when 'replacement'
                        then 1
                        when 'resubmittal'
                        then 2
                        when 'void'
                        then 3
                        else 4
                    end,
                    icn_adj desc nulls last
            )
            = 1
    ),

    lines as (
        select
            concat_ws(
                '~',
                submitting_state,
                icn_orig,
                coalesce(icn_adj, ''),
                coalesce(cast(adjudication_date as varchar), ''),
                adjustment_ind
            ) as version_key,
            string_agg(concat_ws(':', proc_cd, mod1, mod2, rev_cd, units), '|' order by line_num) as content
        from {{ ref("stg_medicaid__claim_lines") }}
        group by all
    ),

    -- Born babies may be billed under the mother's number: number and birth date together come first.
    resolved as (
        select
            v.*,
            coalesce(baby.person_id, member.person_id) as person_id,
            l.content,
            coalesce(baby.person_id, member.person_id)
            in (select person_id from {{ ref("int_clients__consented") }}) as is_consented
        from last_versions as v
        left join {{ join_person("baby", "medicaid", "v.msis_id || '~' || cast(v.claim_dob as varchar)") }}
        left join {{ join_person("member", "medicaid", "v.msis_id") }}
        left join lines as l on v.version_key = l.version_key
        where v.adjustment_ind_meaning <> 'void'
    )

select
    *,
    coalesce(claim_status_cat_meaning = 'denied', false) as is_denied,
    -- A plan sends the same encounter again under a new number: same person, days, biller, payment and lines.
    row_number() over (
        partition by
            person_id,
            service_begin,
            service_end,
            billing_npi,
            file_type,
            bill_type,
            pos,
            diag_1,
            paid_amt,
            coalesce(content, claim_key)
        order by coalesce(claim_status_cat_meaning = 'denied', false), adjudication_date, claim_key
    )
    > 1 as is_duplicate
from resolved
where
    person_id is not null
    -- A claim of a substance-use program is as protected as the program's own record (42 CFR Part 2).
    and (
        is_consented
        or not exists (select 1 from {{ ref("ref_part2_provider") }} as p where p.npi = resolved.billing_npi)
    )
