-- Race and ethnicity of a person by the federal roll-up (catalogue 1.6). Child welfare's own
-- record speaks first, its federal file second, Medicaid last: a later source speaks only where
-- the earlier ones say nothing known.
with
    said as (
        select
            i.person_id,
            1 as speaks,
            regexp_matches(p.race_cds, '(^|;)AI(;|$)') as is_aian,
            regexp_matches(p.race_cds, '(^|;)AS(;|$)') as is_asian,
            regexp_matches(p.race_cds, '(^|;)BL(;|$)') as is_black,
            regexp_matches(p.race_cds, '(^|;)NH(;|$)') as is_nhpi,
            regexp_matches(p.race_cds, '(^|;)WH(;|$)') as is_white,
            p.hispanic_cd_meaning = 'yes' as is_hispanic,
            p.race_cds is not null or p.hispanic_cd is not null as is_answered
        from {{ ref("stg_child_welfare__persons") }} as p
        inner join {{ join_person("i", "child_welfare", "p.person_id") }}
        where p.record_status = 'A'
        union all
        select
            i.person_id,
            2,
            c.e13_child_race_american_indian_alaska_native,
            c.e14_child_race_asian,
            c.e15_child_race_black,
            c.e16_child_race_native_hawaiian_pacific_islander,
            c.e17_child_race_white,
            c.e21_child_hispanic_latino_meaning = 'yes',
            true
        from {{ federal_file_rows("children") }} as c
        inner join
            {{ ref("stg_child_welfare__persons") }} as p on c.e4_child_record_number = p.afcars_record_number
        inner join {{ join_person("i", "child_welfare", "p.person_id") }}
        -- What was corrected since is no second race.
        qualify c.e2_report_date = max(c.e2_report_date) over (partition by c.e4_child_record_number)
        union all
        select
            i.person_id,
            3,
            e.race_meaning = 'aian',
            e.race_meaning = 'asian',
            e.race_meaning = 'black',
            e.race_meaning = 'nhpi',
            e.race_meaning = 'white',
            e.ethnicity_meaning = 'yes',
            e.race is not null or e.ethnicity is not null
        from {{ ref("stg_medicaid__eligibility") }} as e
        inner join {{ join_person("i", "medicaid", "e.msis_id") }}
    ),

    spoken as (
        select
            person_id,
            speaks,
            coalesce(bool_or(is_aian), false) as is_aian,
            coalesce(bool_or(is_asian), false) as is_asian,
            coalesce(bool_or(is_black), false) as is_black,
            coalesce(bool_or(is_nhpi), false) as is_nhpi,
            coalesce(bool_or(is_white), false) as is_white,
            coalesce(bool_or(is_hispanic), false) as is_hispanic,
            bool_or(is_answered) as is_answered,
            cast(coalesce(bool_or(is_aian), false) as integer)
            + cast(coalesce(bool_or(is_asian), false) as integer)
            + cast(coalesce(bool_or(is_black), false) as integer)
            + cast(coalesce(bool_or(is_nhpi), false) as integer)
            + cast(coalesce(bool_or(is_white), false) as integer) as race_count
        from said
        group by person_id, speaks
    )

select
    person_id,
    case
        when is_hispanic
        then 'HISPANIC'
        when race_count > 1
        then 'TWO_OR_MORE'
        when is_aian
        then 'AIAN'
        when is_asian
        then 'ASIAN'
        when is_black
        then 'BLACK'
        when is_nhpi
        then 'NHPI'
        when is_white
        then 'WHITE'
        when is_answered
        then 'UNKNOWN'
        else 'MISSING'
    end as race_eth,
    is_aian as race_any_aian,
    is_asian as race_any_asian,
    is_black as race_any_black,
    is_nhpi as race_any_nhpi,
    is_white as race_any_white,
    is_hispanic as race_any_hispanic
from spoken
qualify
    row_number() over (
        partition by person_id order by (race_count > 0 or is_hispanic) desc, is_answered desc, speaks
    )
    = 1
