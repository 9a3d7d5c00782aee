-- FAM-02: family time scheduled but missed, and why. Basis: sessions scheduled in the period.
with
    periods as ({{ metric_periods() }}),

    sessions as (
        select
            p.period_start,
            p.period_end,
            s.person_id,
            cast(s.scheduled_start as date) as index_date,
            upper(s.status) as status,
            (
                select min_by(r.county, r.removal_date)
                from {{ ref("fct_removal") }} as r
                where
                    r.person_id = s.person_id
                    and r.removal_date <= cast(s.scheduled_start as date)
                    and coalesce(r.discharge_date >= cast(s.scheduled_start as date), true)
            ) as county
        from periods as p
        inner join
            {{ ref("fct_family_time") }} as s
            on cast(s.scheduled_start as date) between p.period_start and p.period_end
            and cast(s.scheduled_start as date) <= {{ cutoff() }}
    ),

    sited as ({{ with_site("sessions", "index_date") }}),

    units as (
        select
            'FAM-02' as metric_id,
            v.variant,
            s.period_start,
            s.period_end,
            s.person_id,
            s.index_date,
            s.site_id,
            s.county,
            case
                when
                    coalesce(
                        s.status
                        not in ('OCCURRED', 'PARENT_CANCEL', 'CAREGIVER_CANCEL', 'AGENCY_CANCEL', 'NO_SHOW'),
                        true
                    )
                then 'no_outcome_recorded'
            end as exclusion,
            true as is_observable,
            case
                v.variant
                when 'warehouse'
                then s.status <> 'OCCURRED'
                when 'parent_caused'
                then s.status in ('PARENT_CANCEL', 'NO_SHOW')
                when 'caregiver_caused'
                then s.status = 'CAREGIVER_CANCEL'
                else s.status = 'AGENCY_CANCEL'
            end as is_numerator
        from sited as s
        cross join
            (values ('warehouse'), ('parent_caused'), ('caregiver_caused'), ('agency_caused')) as v(variant)
    ),

    {{
        proportion_rows(
            "units",
            measures=[
                ["FAM-02", "warehouse"],
                ["FAM-02", "parent_caused"],
                ["FAM-02", "caregiver_caused"],
                ["FAM-02", "agency_caused"],
            ],
            needs=["child_welfare"],
            version="1.0.1",
        )
    }}
