-- One row per claim as it finally stands, with the person it is for. All versions of a claim share
-- the original number: the last one adjudicated counts, a replacement after a void of the same
-- day; a claim whose last version is a void is gone. Capitation, service tracking and supplemental
-- payments are no service. Denied claims stay, marked.
with
    versions as (
        select
            h.*,
            {{ claim_version_key("h") }} as version_key,
            concat_ws('~', h.submitting_state, h.icn_orig) as claim_key,
            -- Later versions sort after earlier ones; a day of adjudication that was lost sorts
            -- first.
            concat_ws(
                '~',
                coalesce(cast(h.adjudication_date as varchar), ''),
                case
                    h.adjustment_ind_meaning
                    when 'original'
                    then 1
                    when 'void'
                    then 2
                    when 'resubmittal'
                    then 3
                    else 4
                end,
                coalesce(h.icn_adj, '')
            ) as version_order
        from {{ ref("stg_medicaid__claim_headers") }} as h
        where
            h.type_of_claim_meaning in ('fee_for_service', 'encounter')
            and h.adjustment_ind_meaning in ('original', 'void', 'resubmittal', 'replacement')
            and left(h.msis_id, 1) <> '&'
    ),

    last_versions as (
        select max_by(version_key, version_order) as version_key from versions group by claim_key
    ),

    -- Born babies may be billed under the mother's number: number and birth date together come
    -- first.
    resolved as (
        select
            v.*,
            coalesce(baby.person_id, member.person_id) as person_id,
            coalesce(v.claim_status_cat_meaning = 'denied', false) as is_denied
        from versions as v
        inner join last_versions as last on v.version_key = last.version_key
        left join {{ join_person("baby", "medicaid", "v.msis_id || '~' || cast(v.claim_dob as varchar)") }}
        left join {{ join_person("member", "medicaid", "v.msis_id") }}
        where v.adjustment_ind_meaning <> 'void'
    ),

    -- A claim of a substance-use program is as protected as the program's own record (42 CFR Part
    -- 2).
    shown as (
        select
            *,
            person_id in (select person_id from {{ ref("int_clients__consented") }}) as is_consented,
            md5(
                concat_ws(
                    '~',
                    person_id,
                    service_begin,
                    coalesce(service_end, service_begin),
                    coalesce(billing_npi, ''),
                    file_type,
                    coalesce(bill_type, ''),
                    coalesce(pos, ''),
                    coalesce(diag_1, ''),
                    coalesce(paid_amt, 0)
                )
            ) as likeness
        from resolved
        where
            person_id is not null
            and (
                is_consented
                or not exists (
                    select 1 from {{ ref("ref_part2_provider") }} as p where p.npi = resolved.billing_npi
                )
            )
    ),

    -- A plan sends the same encounter again under a new number: same person, days, biller, payment
    -- and lines.
    alike as (
        select version_key, claim_key, likeness, is_denied, adjudication_date
        from shown
        qualify count(*) over (partition by likeness) > 1
    ),

    contents as (
        select
            a.version_key,
            string_agg(
                concat_ws(':', l.proc_cd, l.mod1, l.mod2, l.rev_cd, l.units), '|' order by l.line_num
            ) as content
        from alike as a
        inner join {{ ref("stg_medicaid__claim_lines") }} as l on a.version_key = {{ claim_version_key("l") }}
        group by a.version_key
    ),

    repeated as (
        select a.version_key
        from alike as a
        left join contents as c on a.version_key = c.version_key
        qualify
            row_number() over (
                partition by a.likeness, coalesce(c.content, a.claim_key)
                order by a.is_denied, a.adjudication_date, a.claim_key
            )
            > 1
    )

select s.* exclude (version_order, likeness), r.version_key is not null as is_duplicate
from shown as s
left join repeated as r on s.version_key = r.version_key
