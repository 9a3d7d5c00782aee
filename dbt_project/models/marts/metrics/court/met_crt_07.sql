-- CRT-07: termination petition, or a documented exception, by month 15 of the most recent 22 in care
-- (Social Security Act
-- 475(5)(E)). Basis: children whose fifteenth month ends in the period, in care that day. Months count from
-- the day the
-- child entered care. One unbroken episode: 15 calendar months. Several episodes, or days of trial home
-- visit or runaway,
-- which do not count: the day on which 457 days (15 x 30.4375) are reached within 22 months.
with
    episodes as ({{ care_episodes() }}),

    periods as ({{ metric_periods() }}),

    -- A jurisdiction without findings: the first adjudication hearing stands in for them.
    first_findings as (
        select person_id, finding_date
        from {{ ref("fct_finding") }}
        where finding_type = 'ABUSE_NEGLECT'
        union all
        select c.person_id, h.held_date
        from {{ ref("fct_hearing") }} as h
        inner join {{ ref("fct_court_case") }} as c on h.case_id = c.case_id
        where
            h.hearing_type = 'ADJ'
            and h.outcome = 'HELD'
            and h.held_date <= {{ cutoff() }}
            and (select count(*) from {{ ref("fct_finding") }}) = 0
    ),

    entered as (
        select
            e.removal_id,
            e.person_id,
            e.county,
            e.removal_date,
            e.end_date,
            least(min(f.finding_date), {{ add_days("e.removal_date", 60) }}) as entered_care_on
        from episodes as e
        left join first_findings as f on e.person_id = f.person_id and f.finding_date >= e.removal_date
        group by e.removal_id, e.person_id, e.county, e.removal_date, e.end_date
    ),

    away as (
        select
            e.removal_id,
            e.person_id,
            greatest(v.start_date, e.entered_care_on) as from_date,
            least(
                coalesce(v.end_date, e.end_date, {{ cutoff() }}), coalesce(e.end_date, {{ cutoff() }})
            ) as to_date
        from entered as e
        inner join
            {{ ref("fct_placement") }} as v
            on e.removal_id = v.removal_id
            and v.setting_type in ('THV', 'RUN')
    ),

    calendar as (
        select
            e.*,
            {{ add_months("e.entered_care_on", 15) }} as calendar_due,
            (
                exists (
                    select 1
                    from entered as o
                    where
                        o.person_id = e.person_id
                        and o.removal_id <> e.removal_id
                        and o.entered_care_on < e.removal_date
                        and o.end_date > {{ add_months("e.removal_date", -22) }}
                )
                or exists (
                    select 1
                    from away as a
                    where
                        a.removal_id = e.removal_id
                        and a.from_date < {{ add_months("e.entered_care_on", 15) }}
                        and a.to_date > a.from_date
                )
            ) as is_cumulative
        from entered as e
    ),

    -- Days are laid out one by one only for children who can have reached 457 of them, a longest visit
    -- home or absence aside, and need the cumulative rule.
    cumulative_children as (
        select e.person_id
        from entered as e
        left join
            (
                select removal_id, max(greatest(to_date - from_date, 0)) as days from away group by removal_id
            ) as a using (removal_id)
        where e.person_id in (select person_id from calendar where is_cumulative)
        group by e.person_id
        having
            sum(greatest(coalesce(e.end_date, {{ cutoff() }}) - e.entered_care_on - coalesce(a.days, 0), 0))
            >= 457
    ),

    care_days as (
        select e.person_id, e.removal_id, cast(d.day as date) as day
        from
            (select * from entered where person_id in (select person_id from cumulative_children)) as e,
            unnest(
                generate_series(
                    e.entered_care_on::timestamp,
                    (coalesce(e.end_date, {{ cutoff() }} + 1) - 1)::timestamp,
                    interval 1 day
                )
            ) as d(day)
    ),

    counted_days as (
        select distinct c.person_id, c.removal_id, c.day
        from care_days as c
        where
            not exists (
                select 1
                from away as a
                where a.removal_id = c.removal_id and c.day >= a.from_date and c.day < a.to_date
            )
    ),

    -- The obligation falls on the day after the 457th counted day of the 22 months before it.
    running as (
        select
            person_id,
            removal_id,
            day + 1 as due_on,
            count(*) over (
                partition by person_id
                order by day range between interval '22 months' - interval '1 day' preceding and current row
            ) as days_in_window
        from counted_days
    ),

    cumulative_due as (
        select removal_id, min(due_on) as due_on from running where days_in_window >= 457 group by removal_id
    ),

    due as (
        select c.*, case when c.is_cumulative then d.due_on else c.calendar_due end as due_on
        from calendar as c
        left join cumulative_due as d on c.removal_id = d.removal_id
    ),

    cohort as (
        select p.period_start, p.period_end, d.*
        from periods as p
        inner join
            due as d
            on d.due_on between p.period_start and p.period_end
            and d.due_on <= {{ cutoff() }}
            and coalesce(d.end_date > d.due_on, true)
        qualify
            row_number() over (partition by p.period_start, d.person_id order by d.due_on, d.removal_id) = 1
    ),

    sited as ({{ with_site("cohort", "due_on") }}),

    units as (
        select
            'CRT-07' as metric_id,
            'warehouse' as variant,
            u.period_start,
            u.period_end,
            u.person_id,
            u.due_on as index_date,
            u.site_id,
            u.county,
            cast(null as varchar) as exclusion,
            (
                {{ has_court_case("u.person_id") }}
                or exists (select 1 from {{ ref("fct_petition") }} as t where t.person_id = u.person_id)
                or {{ is_observable("u.person_id", "court", "u.due_on", "u.due_on") }}
            ) as is_observable,
            (
                exists (
                    select 1
                    from {{ ref("fct_petition") }} as t
                    where
                        t.person_id = u.person_id
                        and t.petition_type = 'TPR'
                        and t.filed_date <= u.due_on
                        and t.filed_date >= least(u.removal_date, {{ add_months("u.due_on", -22) }})
                )
                or exists (
                    select 1
                    from {{ ref("fct_finding") }} as f
                    where
                        f.person_id = u.person_id
                        and f.finding_type = 'COMPELLING_REASON'
                        and f.finding_date between u.removal_date and u.due_on
                )
                or exists (
                    select 1
                    from {{ ref("fct_placement") }} as k
                    where
                        k.removal_id = u.removal_id
                        and k.is_kin
                        and k.start_date <= u.due_on
                        and coalesce(k.end_date > u.due_on, true)
                )
            ) as is_numerator
        from sited as u
    ),

    {{
        proportion_rows(
            "units",
            measures=[["CRT-07", "warehouse"]],
            needs=["child_welfare", "court"],
            version="1.0.1",
            linked=true,
            follow_up_months=none,
        )
    }}
