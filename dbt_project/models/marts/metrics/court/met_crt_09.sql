-- CRT-09: continuity of counsel. Basis: parties of dependency cases that reached 12 months and were open in
-- the period;
-- counsel counted from the filing to the close of the case or the end of the period.
with
    periods as ({{ metric_periods() }}),

    {{ case_parties() }},

    open_cases as (
        select
            p.period_start,
            p.period_end,
            q.*,
            least(coalesce(q.closed_date, p.period_end), p.period_end, {{ cutoff() }}) as index_date
        from periods as p
        inner join
            parties as q
            on {{ add_months("q.filed_date", 12) }} <= least(p.period_end, {{ cutoff() }})
            and coalesce(
                q.closed_date >= p.period_start and q.closed_date >= {{ add_months("q.filed_date", 12) }},
                true
            )
    ),

    sited as ({{ with_site("open_cases", "index_date") }}),

    units as (
        select
            'CRT-09' as metric_id,
            v.variant,
            s.period_start,
            s.period_end,
            s.person_id,
            s.index_date,
            s.site_id,
            s.county,
            cast(null as varchar) as exclusion,
            true as is_observable,
            (
                select count(distinct c.counsel_id) = 1
                from counsel as c
                where c.case_id = s.case_id and c.party_id = s.party_id and c.appointed_date <= s.index_date
            ) as is_numerator
        from sited as s
        cross join (values ('warehouse'), ('child'), ('mother'), ('father'), ('unknown_father')) as v(variant)
        where v.variant in ('warehouse', s.party)
    ),

    {{
        proportion_rows(
            "units",
            measures=[
                ["CRT-09", "warehouse"],
                ["CRT-09", "child"],
                ["CRT-09", "mother"],
                ["CRT-09", "father"],
                ["CRT-09", "unknown_father"],
            ],
            needs=["court"],
            version="1.1.1",
        )
    }}
