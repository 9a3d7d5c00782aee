-- CRT-08: counsel appointed by the first hearing held. Basis: parties of dependency cases filed in the
-- period.
with
    periods as ({{ metric_periods() }}),

    {{ case_parties() }},

    first_hearings as (
        select case_id, min(held_date) as held_date
        from {{ ref("fct_hearing") }}
        where outcome = 'HELD' and held_date <= {{ cutoff() }}
        group by case_id
    ),

    filed as (
        select p.period_start, p.period_end, q.*, q.filed_date as index_date, h.held_date
        from periods as p
        inner join parties as q on q.filed_date between p.period_start and p.period_end
        left join first_hearings as h on q.case_id = h.case_id
    ),

    sited as ({{ with_site("filed", "index_date", until="held_date") }}),

    units as (
        select
            'CRT-08' as metric_id,
            v.variant,
            s.period_start,
            s.period_end,
            s.person_id,
            s.index_date,
            s.site_id,
            s.county,
            case when s.held_date is null then 'no_hearing_held_yet' end as exclusion,
            true as is_observable,
            exists (
                select 1
                from counsel as c
                where
                    c.case_id = s.case_id
                    and c.party_id = s.party_id
                    and c.appointed_date <= s.held_date
                    and coalesce(c.end_date >= s.held_date, true)
            ) as is_numerator
        from sited as s
        cross join (values ('warehouse'), ('child'), ('mother'), ('father'), ('unknown_father')) as v(variant)
        where v.variant in ('warehouse', s.party)
    ),

    {{
        proportion_rows(
            "units",
            measures=[
                ["CRT-08", "warehouse"],
                ["CRT-08", "child"],
                ["CRT-08", "mother"],
                ["CRT-08", "father"],
                ["CRT-08", "unknown_father"],
            ],
            needs=["court"],
            version="1.1.1",
            follow_up_months=none,
        )
    }}
