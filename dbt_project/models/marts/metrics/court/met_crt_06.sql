-- CRT-06: finding of reasonable efforts to prevent removal within 60 days of it (45 CFR 1356.21(b)(1)).
-- Basis: removals.
with
    episodes as ({{ care_episodes() }}),

    periods as ({{ metric_periods() }}),

    -- The finding may stand in the order that allowed the removal; an earlier removal's finding says
    -- nothing of this one.
    ordered as (
        select
            *, lag(end_date) over (partition by person_id order by removal_date, removal_id) as previous_end
        from episodes
    ),

    removals as (
        select
            p.period_start,
            p.period_end,
            o.*,
            o.removal_date as index_date,
            {{ add_days("o.removal_date", 60) }} as due_on
        from periods as p
        inner join ordered as o on o.removal_date between p.period_start and p.period_end
    ),

    sited as ({{ with_site("removals", "removal_date", until="end_date") }}),

    -- Where no finding at all was delivered there is nothing to see, which is not the same as no finding
    -- made.
    units as (
        select
            'CRT-06' as metric_id,
            'warehouse' as variant,
            u.period_start,
            u.period_end,
            u.person_id,
            u.index_date,
            u.site_id,
            u.county,
            case when u.due_on > {{ cutoff() }} then 'window_not_over_at_cutoff' end as exclusion,
            (
                (select count(*) from {{ ref("fct_finding") }}) > 0
                and (
                    {{ has_court_case("u.person_id") }}
                    or exists (select 1 from {{ ref("fct_finding") }} as f where f.person_id = u.person_id)
                    or {{ is_observable("u.person_id", "court", "u.index_date", "u.index_date") }}
                )
            ) as is_observable,
            exists (
                select 1
                from {{ ref("fct_finding") }} as f
                where
                    f.person_id = u.person_id
                    and f.finding_type = 'REASONABLE_EFFORTS_REMOVAL'
                    and f.finding_date <= u.due_on
                    and coalesce(f.finding_date > u.previous_end, true)
            ) as is_numerator
        from sited as u
    ),

    {{
        proportion_rows(
            "units",
            measures=[["CRT-06", "warehouse"]],
            needs=["child_welfare", "court"],
            version="1.0.1",
            linked=true,
            follow_up_months=none,
        )
    }}
