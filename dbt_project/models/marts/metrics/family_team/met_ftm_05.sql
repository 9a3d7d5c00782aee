-- FTM-05: a parent attended. Basis: meetings held in the period of families with a living, located parent
-- whose rights
-- have not ended.
with
    meetings as ({{ held_meetings() }}),

    expected as ({{ expected_parents("meetings", ["UNLOCATED"]) }}),

    parties as (
        select ftm_id, 'warehouse' as variant
        from expected
        union
        select ftm_id, {{ mother_or_father("role") }}
        from expected
        where {{ mother_or_father("role") }} is not null
    ),

    came as (
        select distinct ftm_id, {{ mother_or_father("role") }} as party
        from {{ ref("fct_ftm_attendance") }}
        where attended and ({{ is_parent_role("role") }} or lower(org_sector) in ('parent', 'parents'))
    ),

    units as (
        select
            'FTM-05' as metric_id,
            p.variant,
            m.period_start,
            m.period_end,
            m.person_id,
            m.index_date,
            m.site_id,
            m.county,
            cast(null as varchar) as exclusion,
            true as is_observable,
            exists (
                select 1
                from came as c
                where c.ftm_id = m.ftm_id and (p.variant = 'warehouse' or c.party = p.variant)
            ) as is_numerator
        from meetings as m
        inner join parties as p on m.ftm_id = p.ftm_id
    ),

    {{
        proportion_rows(
            "units",
            measures=[["FTM-05", "warehouse"], ["FTM-05", "mother"], ["FTM-05", "father"]],
            needs=["court_team"],
            version="1.0.1",
        )
    }}
