-- One unbroken timeline of settings per removal episode. Where spans overlap, the one that started
-- last holds, and the one it interrupted (a hospital stay inside a foster placement) resumes after
-- it; a missing end is the next setting's start, or the end of the episode. Gaps stay gaps. Voided
-- and empty spans are dropped.
with
    removals as (
        select removal_id, source_removal_id, person_id, removal_date, discharge_date
        from {{ ref("int_removals__merged") }}
    ),

    delivered as (
        select
            r.removal_id,
            p.placement_id as placement_key,
            p.start_date,
            p.end_date,
            {{ setting_type("p.placement_type_cd_meaning") }} as setting_type,
            {{ source_key("child_welfare", ["p.provider_id"]) }} as provider_id,
            -- Kin by relationship, whatever the licence says; the home's type speaks only where
            -- nobody wrote it down.
            coalesce(
                p.provider_relationship_cd_meaning in ('relative', 'fictive_kin'),
                p.placement_type_cd_meaning = 'kin_home',
                false
            )
            or (
                coalesce(p.provider_relationship_cd_meaning = 'unknown', false)
                and coalesce(p.placement_type_cd_meaning = 'kin_home', false)
            ) as is_kin,
            r.removal_date,
            r.discharge_date
        from {{ ref("stg_child_welfare__placements") }} as p
        inner join removals as r on p.removal_id = r.source_removal_id
        where p.record_status = 'A' and not coalesce(p.voided_ind, false) and p.start_date is not null
        union all
        -- Episodes only the federal file knows: it gives starts, never ends or providers.
        select
            r.removal_id,
            cast(a.e112_date_living_arrangement as varchar),
            a.e112_date_living_arrangement,
            null,
            case
                when a.e113_foster_family_home = '1'
                then
                    case
                        when a.e117_relative_foster_family = '1' or a.e119_kin_foster_family = '1'
                        then 'KIN'
                        else 'FFH'
                    end
                else {{ setting_type("a.e120_other_living_arrangement_type_meaning") }}
            end,
            null,
            coalesce(a.e124_relationship_to_foster_parents_meaning in ('relative', 'fictive_kin'), false),
            r.removal_date,
            r.discharge_date
        from {{ federal_file_rows("living_arrangements") }} as a
        inner join
            removals as r
            on {{ source_key("afcars", ["a.e4_child_record_number", "cast(a.e69_removal_date as varchar)"]) }}
            = r.removal_id
        -- The last half-year that tells of the episode tells all of it.
        qualify a.e2_report_date = max(a.e2_report_date) over (partition by r.removal_id)
    ),

    -- A row that ends the day it starts, or before, held no day.
    typed as (
        select *, setting_type not in ('THV', 'RUN', 'HOSP', 'RESP') as is_afcars_placement
        from delivered
        where coalesce(end_date > start_date, true)
    ),

    bounded as (
        select
            removal_id,
            placement_key,
            setting_type,
            provider_id,
            is_kin,
            is_afcars_placement,
            greatest(start_date, removal_date) as start_date,
            least(
                coalesce(
                    end_date,
                    min(case when is_afcars_placement then start_date end) over (
                        partition by removal_id
                        order by start_date range between interval 1 day following and unbounded following
                    ),
                    date '9999-12-31'
                ),
                coalesce(discharge_date, date '9999-12-31')
            ) as end_date
        from typed
    ),

    spans as (select * from bounded where end_date > start_date),

    bounds as (
        select removal_id, start_date as bound
        from spans
        union
        select removal_id, end_date
        from spans
    ),

    pieces as (
        select
            removal_id,
            bound as piece_start,
            lead(bound) over (partition by removal_id order by bound) as piece_end
        from bounds
    ),

    held as (
        select p.removal_id, p.piece_start, p.piece_end, s.* exclude (removal_id, start_date, end_date)
        from pieces as p
        inner join
            spans as s
            on p.removal_id = s.removal_id
            and s.start_date <= p.piece_start
            and s.end_date >= p.piece_end
        qualify
            row_number() over (
                partition by p.removal_id, p.piece_start
                order by s.start_date desc, s.end_date, s.placement_key desc
            )
            = 1
    ),

    marked as (
        select
            *,
            coalesce(
                lag(placement_key) over run = placement_key and lag(piece_end) over run = piece_start, false
            ) as is_continued
        from held
        window run as (partition by removal_id order by piece_start)
    ),

    numbered as (
        select
            *,
            count(*) filter (where not is_continued) over (
                partition by removal_id order by piece_start rows unbounded preceding
            ) as seq
        from marked
    )

select
    removal_id,
    cast(seq as integer) as seq,
    min(piece_start) as start_date,
    nullif(max(piece_end), date '9999-12-31') as end_date,
    min(setting_type) as setting_type,
    min(provider_id) as provider_id,
    bool_or(is_kin) as is_kin,
    bool_or(is_afcars_placement) as is_afcars_placement
from numbered
group by removal_id, seq
