-- ACE-03: parental rights kept by parents with an ACE score of 7 to 10. Basis: such parents of families
-- whose enrolment
-- closed in the period; rights are lost when a termination petition, relinquishments included, was granted
-- by the close, or the parent's status is TERMINATED by then.
-- Variant not_reunified leaves out parents a child of whom went home: the source does not say which it means.
with
    periods as ({{ metric_periods() }}),

    scored as (select * from ({{ scored_parents() }}) where score between 7 and 10),

    closed as (
        select p.period_start, p.period_end, f.parent_id, f.child_id, e.closed_date, e.site_id, e.county
        from periods as p
        inner join
            {{ ref("fct_enrollment_sbct") }} as e
            on e.closed_date between p.period_start and p.period_end
            and e.closed_date <= {{ cutoff() }}
        inner join
            ({{ family_parents('select person_id from ' ~ ref("fct_enrollment_sbct")) }}) as f
            on e.person_id = f.child_id
        inner join scored as s on f.parent_id = s.person_id
    ),

    judged as (
        select
            c.period_start,
            c.period_end,
            c.parent_id,
            min(c.child_id) as person_id,
            max(c.closed_date) as index_date,
            max_by(c.site_id, c.closed_date) as site_id,
            max_by(c.county, c.closed_date) as county,
            count(t.person_id) + count(l.person_id) > 0 as is_terminated,
            count(r.removal_id) > 0 as is_reunified
        from closed as c
        left join
            {{ ref("fct_petition") }} as t
            on c.child_id = t.person_id
            and t.petition_type = 'TPR'
            and upper(t.result) = 'GRANTED'
            and coalesce(t.parent_id = c.parent_id, true)
            and t.disposition_date <= c.closed_date
        left join
            {{ ref("fct_parent_status") }} as l
            on c.child_id = l.person_id
            and c.parent_id = l.parent_id
            and upper(l.status) = 'TERMINATED'
            and coalesce(l.from_date <= c.closed_date, true)
        left join
            {{ ref("fct_removal") }} as r
            on c.child_id = r.person_id
            and r.discharge_reason = 'REUN'
            and r.discharge_date <= c.closed_date
        group by c.period_start, c.period_end, c.parent_id
    ),

    units as (
        select
            'ACE-03' as metric_id,
            v.variant,
            j.period_start,
            j.period_end,
            j.person_id,
            j.index_date,
            j.site_id,
            j.county,
            case when v.variant = 'not_reunified' and j.is_reunified then 'reunified' end as exclusion,
            true as is_observable,
            not j.is_terminated as is_numerator
        from judged as j
        cross join (values ('warehouse'), ('not_reunified')) as v(variant)
    ),

    {{
        proportion_rows(
            "units",
            measures=[["ACE-03", "warehouse"], ["ACE-03", "not_reunified"]],
            needs=["child_welfare", "court_team", "court"],
            version="1.1.0",
        )
    }}
