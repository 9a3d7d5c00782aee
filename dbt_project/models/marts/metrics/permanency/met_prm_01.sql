-- PRM-01 (CFSR P1): permanency within 12 months of entering care. Basis: entry cohort.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    periods as ({{ metric_periods() }}),

    -- The child's first removal in the period, before any exclusion: a later one never takes its
    -- place.
    entries as (
        select p.period_start, p.period_end, e.*
        from periods as p
        inner join episodes as e on e.removal_date between p.period_start and p.period_end
        qualify
            row_number() over (partition by p.period_start, e.person_id order by e.removal_date, e.removal_id)
            = 1
    ),

    -- A trial home visit the child was discharged from: the unbroken run of such rows at the end
    -- of the episode.
    final_visits as (
        select e.removal_id, min(v.start_date) as visit_start
        from episodes as e
        inner join {{ ref("fct_placement") }} as v on e.removal_id = v.removal_id
        where
            e.end_reason = 'REUN'
            and v.setting_type = 'THV'
            and v.start_date < e.end_date
            and not exists (
                select 1
                from {{ ref("fct_placement") }} as later
                where
                    later.removal_id = v.removal_id
                    and later.setting_type <> 'THV'
                    and later.start_date >= v.start_date
                    and later.start_date < e.end_date
            )
        group by e.removal_id
        having max_by(coalesce(v.end_date, e.end_date), v.start_date) >= max(e.end_date)
    ),

    judged as (
        select
            e.*,
            case
                when {{ "true" if var("prm_01_thv_adjustment") else "false" }}
                then least(e.end_date, {{ add_days("v.visit_start", 30) }})
                else e.end_date
            end as adjusted_exit,
            case
                when e.removal_date >= e.adult_on
                then 'age_18_or_more'
                when e.end_date < e.removal_date
                then 'exit_before_removal'
                when e.end_date - e.removal_date < 8
                then 'stay_under_8_days'
                when e.end_date is not null and e.end_reason is null
                then 'no_discharge_reason'
            end as exclusion,
            {{ is_reentry_unseen("e") }} as is_reentry_unseen
        from entries as e
        left join final_visits as v on e.removal_id = v.removal_id
    ),

    sited as ({{ with_site("judged", "removal_date", until="end_date") }}),

    units as (
        select
            'PRM-01' as metric_id,
            variant,
            period_start,
            period_end,
            person_id,
            removal_date as index_date,
            site_id,
            county,
            coalesce(
                exclusion,
                case
                    when variant = 'federal_comparable' and is_reentry_unseen
                    then 'exit_and_reentry_in_one_federal_file'
                end
            ) as exclusion,
            true as is_observable,
            coalesce(
                {{ is_permanency("end_reason") }}
                and {{ within_window("adjusted_exit", "removal_date", 12) }},
                false
            ) as is_numerator
        from sited
        cross join (values ('warehouse'), ('federal_comparable')) as v(variant)
    ),

    {{
        proportion_rows(
            "units",
            measures=[["PRM-01", "warehouse"], ["PRM-01", "federal_comparable"]],
            needs=["child_welfare"],
            version="1.1.1",
            follow_up_months=12,
        )
    }}
