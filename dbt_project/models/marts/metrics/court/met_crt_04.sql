-- CRT-04: first permanency hearing within 12 months of having entered care. Basis: children whose
-- twelve months end in the period. Entered care = the earlier of the first finding of abuse or
-- neglect and 60 days after removal.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    periods as ({{ metric_periods() }}),

    child_hearings as (
        select c.person_id, h.hearing_type, h.held_date
        from {{ ref("fct_hearing") }} as h
        inner join {{ ref("fct_court_case") }} as c on h.case_id = c.case_id
        where h.outcome = 'HELD' and h.held_date is not null and h.held_date <= {{ cutoff() }}
    ),

    -- A jurisdiction without findings: the first adjudication hearing stands in for them.
    first_findings as (
        select person_id, finding_date
        from {{ ref("fct_finding") }}
        where finding_type = 'ABUSE_NEGLECT'
        union all
        select person_id, held_date
        from child_hearings
        where hearing_type = 'ADJ' and (select count(*) from {{ ref("fct_finding") }}) = 0
    ),

    entered as (
        select
            e.*,
            least(
                (
                    select min(f.finding_date)
                    from first_findings as f
                    where f.person_id = e.person_id and f.finding_date >= e.removal_date
                ),
                {{ add_days("e.removal_date", 60) }}
            ) as entered_care_on
        from episodes as e
    ),

    due as (select *, {{ add_months("entered_care_on", 12) }} as due_on from entered),

    cohort as (
        select p.period_start, p.period_end, d.*
        from periods as p
        inner join
            due as d
            on d.due_on between p.period_start and p.period_end
            and d.due_on <= {{ cutoff() }}
            and coalesce(d.end_date > d.due_on, true)
        qualify
            row_number() over (partition by p.period_start, d.person_id order by d.removal_date, d.removal_id)
            = 1
    ),

    sited as ({{ with_site("cohort", "due_on") }}),

    units as (
        select
            'CRT-04' as metric_id,
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
                or {{ is_observable("u.person_id", "court", "u.due_on", "u.due_on") }}
            ) as is_observable,
            exists (
                select 1
                from child_hearings as h
                left join
                    {{ ref("fct_finding") }} as n
                    on h.person_id = n.person_id
                    and n.finding_type = 'NO_REASONABLE_EFFORTS'
                    and h.held_date between n.finding_date and {{ add_days("n.finding_date", 30) }}
                where
                    h.person_id = u.person_id
                    and h.hearing_type = 'PERM'
                    and h.held_date >= u.removal_date
                    and (
                        {{ within_window("h.held_date", "u.entered_care_on", 12) }}
                        or n.finding_date >= u.removal_date
                    )
            ) as is_numerator
        from sited as u
    ),

    {{
        proportion_rows(
            "units",
            measures=[["CRT-04", "warehouse"]],
            needs=["child_welfare", "court"],
            version="1.0.1",
            linked=true,
        )
    }}
