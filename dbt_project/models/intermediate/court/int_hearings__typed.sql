-- One row per hearing and kind of hearing. A docket entry that says only HEARING, and one that
-- says nothing more than "other", takes its kind from what was found or ordered there; an entry
-- "held" that was moved to another day was continued; hearings on the papers are no hearings in
-- law (45 CFR 1355.20) and become OTHER; a combined adjudication and disposition that was held is
-- one row of each.
with
    decisions as (
        select
            hearing_id,
            bool_or(finding_cd_meaning = 'ABUSE_NEGLECT') as is_adjudication,
            bool_or(finding_cd_meaning = 'RIGHTS_TERMINATED') as is_termination,
            bool_or(
                finding_cd_meaning in ('REASONABLE_EFFORTS_PERMANENCY', 'COMPELLING_REASON')
                or reasonable_efforts_finding_cd_meaning = 'REASONABLE_EFFORTS_PERMANENCY'
            ) as is_permanency,
            bool_or(
                finding_cd_meaning = 'REASONABLE_EFFORTS_REMOVAL'
                or reasonable_efforts_finding_cd_meaning = 'REASONABLE_EFFORTS_REMOVAL'
            ) as is_shelter,
            -- The first goal is set together with custody, at disposition.
            bool_or(finding_cd_meaning = 'CUSTODY' and permanency_goal_cd is not null) as is_disposition
        from {{ ref("stg_court__orders") }}
        where hearing_id is not null
        group by hearing_id
    ),

    -- Sorted, so that the same night always writes the same text.
    present as (
        select
            a.hearing_id,
            to_json(
                map_from_entries(
                    list_sort(
                        array_agg(distinct{'role':p.role_cd_meaning, 'present':a.attended_ind}) filter (
                            where
                                p.role_cd_meaning in ('mother', 'father', 'putative_father')
                                and a.attended_ind
                        )
                    )
                )
            ) as parent_present_flags,
            to_json(
                map_from_entries(
                    list_sort(
                        array_agg(
                            distinct{'role':p.role_cd_meaning, 'present':a.counsel_present_ind}
                        ) filter (where a.counsel_present_ind)
                    )
                )
            ) as counsel_present_flags
        from {{ ref("stg_court__hearing_attendance") }} as a
        inner join {{ ref("stg_court__hearings") }} as h on a.hearing_id = h.hearing_id
        inner join {{ ref("stg_court__parties") }} as p on h.case_no = p.case_no and a.party_id = p.party_id
        group by a.hearing_id
    ),

    typed as (
        select
            h.hearing_id,
            h.case_no,
            case
                when h.hearing_type_cd_meaning <> 'OTHER'
                then h.hearing_type_cd_meaning
                when h.hearing_type_cd not in ('HEARING', 'OTH')
                then 'OTHER'
                when d.is_termination
                then 'TPR'
                when d.is_adjudication
                then 'ADJ'
                when d.is_permanency
                then 'PERM'
                when d.is_shelter
                then 'SHELTER'
                when d.is_disposition
                then 'DISP'
                else 'OTHER'
            end as docket_type,
            h.hearing_type_cd in ('HEARING', 'OTH') as is_type_inferred,
            h.hearing_type_cd = 'ADJD' as is_combined,
            coalesce(h.modality_cd_meaning = 'paper', false) as is_on_papers,
            cast(h.scheduled_ts as date) as scheduled_date,
            cast(h.held_ts as date) as held_date,
            case
                when h.status_cd_meaning = 'HELD' and h.continued_to_hearing_id is not null
                then 'CONTINUED'
                when h.status_cd_meaning = 'SCHEDULED' and h.held_ts is null
                then null
                when h.status_cd_meaning = 'SCHEDULED'
                then 'HELD'
                else h.status_cd_meaning
            end as outcome,
            h.continuance_reason_cd_meaning as continuance_reason,
            h.judge_id,
            cast(p.parent_present_flags as varchar) as parent_present_flags,
            cast(p.counsel_present_flags as varchar) as counsel_present_flags
        from {{ ref("stg_court__hearings") }} as h
        left join decisions as d on h.hearing_id = d.hearing_id
        left join present as p on h.hearing_id = p.hearing_id
        -- The same result entered twice under two numbers.
        qualify
            row_number() over (
                partition by
                    h.case_no,
                    h.hearing_type_cd,
                    coalesce(h.held_ts, h.scheduled_ts),
                    coalesce(h.held_ts, h.scheduled_ts) is null,
                    h.status_cd,
                    case when coalesce(h.held_ts, h.scheduled_ts) is null then h.hearing_id end
                order by h.hearing_id
            )
            = 1
    )

select
    t.hearing_id || case k.kind when 'DISP' then '~DISP' else '' end as hearing_id,
    t.case_no,
    case
        when k.kind = 'DISP' then 'DISP' when t.is_on_papers then 'OTHER' else t.docket_type
    end as hearing_type,
    t.* exclude (hearing_id, case_no, docket_type, held_date),
    case when t.outcome = 'HELD' then t.held_date end as held_date
from typed as t
cross join (values ('FIRST'), ('DISP')) as k(kind)
where k.kind = 'FIRST' or (t.is_combined and t.outcome = 'HELD' and not t.is_on_papers)
