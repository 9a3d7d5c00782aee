-- Removal episodes of the case management system and of the federal file, one row per episode
-- (C9): a federal episode that overlaps one of the agency's own is the same episode; rows of one
-- source are never merged with each other.
with
    own as (
        select
            {{ source_key("child_welfare", ["r.removal_id"]) }} as removal_id,
            r.removal_id as source_removal_id,
            i.person_id,
            r.removal_date,
            r.exit_date as discharge_date,
            {{ discharge_reason("r.exit_reason_cd_meaning") }} as discharge_reason,
            r.county_fips as county,
            r.removal_manner_cd_meaning as removal_manner,
            r.environment_cd_meaning as removal_environment,
            coalesce(
                r.e82_caretaker_alcohol_use
                or r.e83_caretaker_drug_use
                or r.e86_prenatal_alcohol_exposure
                or r.e87_prenatal_drug_exposure,
                false
            ) as has_substance_use_reason,
            cast(r.removal_entered_ts as date) as removal_entered_date,
            cast(r.exit_entered_ts as date) as discharge_entered_date,
            'child_welfare' as source
        from {{ ref("stg_child_welfare__removals") }} as r
        inner join {{ join_person("i", "child_welfare", "r.child_person_id") }}
        -- Voided rows stay in the extract; an episode ended as "entered in error" never was one.
        where
            r.record_status = 'A'
            and coalesce(r.exit_reason_cd <> 'VOID', true)
            and r.removal_date is not null
    ),

    -- The agency's own crosswalk is the only bridge to the federal number. One person may hold it
    -- on several records.
    federal_numbers as (
        select distinct p.afcars_record_number, i.person_id
        from {{ ref("stg_child_welfare__persons") }} as p
        inner join {{ join_person("i", "child_welfare", "p.person_id") }}
        where p.afcars_record_number is not null and p.record_status = 'A'
        qualify row_number() over (partition by p.afcars_record_number order by i.person_id) = 1
    ),

    -- The latest report period that tells of an episode has the last word (C8).
    federal as (
        select
            {{ source_key("afcars", ["a.e4_child_record_number", "cast(a.e69_removal_date as varchar)"]) }}
            as removal_id,
            n.person_id,
            a.e69_removal_date as removal_date,
            a.e153_exit_date as discharge_date,
            {{ discharge_reason("a.e155_exit_reason_meaning") }} as discharge_reason,
            a.e3_local_agency as county,
            a.e71_removal_environment_meaning as removal_environment,
            coalesce(
                a.e82_caretaker_alcohol_use
                or a.e83_caretaker_drug_use
                or a.e86_prenatal_alcohol_exposure
                or a.e87_prenatal_drug_exposure,
                false
            ) as has_substance_use_reason,
            a.e70_removal_transaction_date as removal_entered_date,
            a.e154_exit_transaction_date as discharge_entered_date,
            'afcars' as source
        from {{ federal_file_rows("removals") }} as a
        inner join federal_numbers as n on a.e4_child_record_number = n.afcars_record_number
        qualify
            row_number() over (
                partition by a.e4_child_record_number, a.e69_removal_date order by a.e2_report_date desc
            )
            = 1
    ),

    matched as (
        select o.removal_id, min_by(f.discharge_reason, f.removal_date || f.removal_id) as federal_reason
        from own as o
        inner join
            federal as f
            on o.person_id = f.person_id
            and f.removal_date <= coalesce(o.discharge_date, f.removal_date)
            and o.removal_date <= coalesce(f.discharge_date, o.removal_date)
        group by o.removal_id
    ),

    merged as (
        select
            o.* replace (
                case
                    when o.discharge_date is not null then coalesce(o.discharge_reason, m.federal_reason)
                end as discharge_reason
            ),
            m.removal_id is not null as is_in_afcars
        from own as o
        left join matched as m on o.removal_id = m.removal_id
        union all by name
        select f.*, true as is_in_afcars
        from federal as f
        where
            not exists (
                select 1
                from own as o
                where
                    o.person_id = f.person_id
                    and f.removal_date <= coalesce(o.discharge_date, f.removal_date)
                    and o.removal_date <= coalesce(f.discharge_date, o.removal_date)
            )
    )

select *, row_number() over (partition by person_id order by removal_date, removal_id) - 1 as prior_removals
from merged
where removal_date <= {{ cutoff() }}
