-- PRM-04 (CFSR Round 4 P4): re-entry to care within 12 months of an exit to reunification, a
-- relative or guardianship. Basis: exit cohort. One exit per child: an excluded exit gives way to
-- the child's next one.
with
    episodes as ({{ care_episodes() }}),

    periods as ({{ metric_periods() }}),

    exits as (
        select p.period_start, p.period_end, e.*, e.end_date as index_date
        from periods as p
        inner join episodes as e on e.end_date between p.period_start and p.period_end
        where
            coalesce(e.end_reason in ('REUN', 'REL', 'GUARD', 'AGE_18'), true)
            and coalesce(e.removal_date < e.adult_on, true)
    ),

    -- The child's next removal; a second row with the removal date of the episode itself is the
    -- same removal told twice.
    followed as (
        select
            x.*,
            (
                select min(again.removal_date)
                from episodes as again
                where
                    again.person_id = x.person_id
                    and again.removal_id <> x.removal_id
                    and again.removal_date > x.removal_date
            ) as next_removal_date,
            {{ is_reentry_unseen("x") }} as is_unseen
        from exits as x
    ),

    judged as (
        select
            *,
            case
                when end_date < removal_date
                then 'exit_before_removal'
                when end_reason = 'AGE_18'
                then 'age_18_or_more'
                when end_reason is null
                then 'no_discharge_reason'
                when next_removal_date < end_date
                then 'next_removal_before_discharge'
            end as exclusion
        from followed
    ),

    sited as ({{ with_site("judged", "index_date") }}),

    ruled as (
        select
            s.* exclude (exclusion),
            v.variant,
            coalesce(
                s.exclusion,
                case
                    when v.variant = 'federal_comparable' and s.is_unseen
                    then 'exit_and_reentry_in_one_federal_file'
                end
            ) as exclusion
        from sited as s
        cross join (values ('warehouse'), ('federal_comparable')) as v(variant)
    ),

    units as (
        select
            'PRM-04' as metric_id,
            variant,
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            exclusion,
            true as is_observable,
            coalesce({{ within_window("next_removal_date", "end_date", 12) }}, false) as is_numerator
        from ruled
        -- Every excluded exit is counted as such; of the others the child's first.
        qualify
            exclusion is not null
            or row_number() over (
                partition by period_start, variant, person_id, exclusion is null order by end_date, removal_id
            )
            = 1
    ),

    {{
        proportion_rows(
            "units",
            measures=[["PRM-04", "warehouse"], ["PRM-04", "federal_comparable"]],
            needs=["child_welfare"],
            version="1.1.0",
            follow_up_months=12,
        )
    }}
