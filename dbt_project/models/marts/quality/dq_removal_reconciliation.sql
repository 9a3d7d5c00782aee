-- Entries and exits by federal half year as the agency's own system counts them and as its federal
-- file does. The federal file of a half year may come later or correct earlier ones: only half
-- years it has reported on are compared.
with
    own as (
        select removal_id, removal_date, discharge_date
        from {{ ref("int_removals__merged") }}
        where source = 'child_welfare'
    ),

    federal as (
        select e4_child_record_number, e69_removal_date, e153_exit_date
        from {{ federal_file_rows("removals") }}
        qualify
            row_number() over (
                partition by e4_child_record_number, e69_removal_date order by e2_report_date desc
            )
            = 1
    ),

    reported as (
        select distinct
            cast(strptime(e2_report_date || '01', '%Y%m%d') - interval 5 month as date) as period_start,
            last_day(cast(strptime(e2_report_date || '01', '%Y%m%d') as date)) as period_end
        from {{ federal_file_rows("removals") }}
    ),

    counted as (
        select
            r.*,
            (
                select count(*) from own where removal_date between r.period_start and r.period_end
            ) as entries_own,
            (
                select count(*) from federal where e69_removal_date between r.period_start and r.period_end
            ) as entries_afcars,
            (
                select count(*) from own where discharge_date between r.period_start and r.period_end
            ) as exits_own,
            (
                select count(*) from federal where e153_exit_date between r.period_start and r.period_end
            ) as exits_afcars
        from reported as r
    )

select
    {{ federal_file("period_end") }} as federal_half_year,
    period_start,
    period_end,
    entries_own,
    entries_afcars,
    entries_own - entries_afcars as entries_difference,
    exits_own,
    exits_afcars,
    exits_own - exits_afcars as exits_difference
from counted
