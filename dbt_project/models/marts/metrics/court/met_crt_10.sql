-- CRT-10: judges per case. Basis: dependency cases closed in the period, or open at its end and 12 months
-- old. Shelter
-- hearings are left out: a magistrate on call hears them.
with
    periods as ({{ metric_periods() }}),

    cases as ({{ dependency_cases() }}),

    judged as (
        select
            p.period_start,
            p.period_end,
            c.*,
            least(coalesce(c.closed_date, p.period_end), p.period_end, {{ cutoff() }}) as index_date
        from periods as p
        inner join
            cases as c
            on c.closed_date between p.period_start and p.period_end
            or (
                coalesce(c.closed_date > p.period_end, true)
                and {{ add_months("c.filed_date", 12) }} <= least(p.period_end, {{ cutoff() }})
            )
    ),

    sited as ({{ with_site("judged", "index_date") }}),

    benches as (
        select
            s.period_start,
            s.period_end,
            s.case_id,
            s.person_id,
            s.index_date,
            s.site_id,
            s.county,
            count(distinct h.judge_id) as judges
        from sited as s
        left join
            {{ ref("fct_hearing") }} as h
            on s.case_id = h.case_id
            and h.outcome = 'HELD'
            and h.hearing_type <> 'SHELTER'
            and h.held_date <= s.index_date
        group by all
    ),

    units as (
        select
            'CRT-10' as metric_id,
            v.variant,
            b.period_start,
            b.period_end,
            b.person_id,
            b.index_date,
            b.site_id,
            b.county,
            case when b.judges = 0 then 'no_judge_recorded' end as exclusion,
            true as is_observable,
            case v.variant when 'mean' then b.judges else cast(b.judges = 1 as integer) end as amount,
            1 as exposure
        from benches as b
        cross join (values ('mean'), ('one_judge')) as v(variant)
    ),

    {{
        ratio_rows(
            "units",
            measures=[["CRT-10", "mean", 1, "linearised"], ["CRT-10", "one_judge", 1, "wilson"]],
            needs=["court"],
            version="1.0.1",
        )
    }}
