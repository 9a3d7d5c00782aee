-- HLT-01: physical health service within a month of the referral. Basis: referrals to physical health in
-- the period, 30
-- days before the cut-off or earlier, whatever became of them. An attended service of the referral or of
-- the same kind, or
-- a claim for a well-child or office visit, on or after the referral.
with
    periods as ({{ metric_periods() }}),

    health_referrals as (
        select coalesce(r.person_id, n.person_id) as person_id, r.referral_id, r.referred_date
        from {{ ref("fct_referral") }} as r
        left join {{ ref("fct_need") }} as n on r.need_id = n.need_id
        where {{ is_domain("coalesce(r.need_domain, n.need_domain)", "PHYSICAL_HEALTH") }}
    ),

    referred as (
        select p.period_start, p.period_end, h.person_id, h.referral_id, h.referred_date as index_date
        from periods as p
        inner join
            health_referrals as h
            on h.referred_date between p.period_start and p.period_end
            and h.referred_date <= {{ cutoff() }}
    ),

    visits as (
        select s.person_id, cast(null as varchar) as referral_id, s.first_appt_date as visit_date
        from {{ ref("fct_service") }} as s
        where
            {{ is_domain("s.service_type", "PHYSICAL_HEALTH") }}
            and s.first_appt_date is not null
            and coalesce(s.attended_flag, true)
        union all
        select s.person_id, s.referral_id, s.first_appt_date
        from {{ ref("fct_service") }} as s
        inner join health_referrals as h on s.referral_id = h.referral_id
        where s.first_appt_date is not null and coalesce(s.attended_flag, true)
        union all
        select person_id, null, dos_from
        from {{ ref("fct_claim_line") }}
        where
            cpt_hcpcs in ({{ codes("physical_health_codes") }})
            and dos_from >= {{ first_period_day() }}
            and person_id in (select r.person_id from referred as r)
    ),

    -- Two joins: DuckDB joins row by row where it finds an "or".
    answered as (
        select r.period_start, r.person_id, r.referral_id, v.visit_date
        from referred as r
        inner join
            visits as v
            on r.person_id = v.person_id
            and v.referral_id is null
            and v.visit_date >= r.index_date
            and v.visit_date <= {{ cutoff() }}
        union all
        select r.period_start, r.person_id, r.referral_id, v.visit_date
        from referred as r
        inner join
            visits as v
            on r.person_id = v.person_id
            and r.referral_id = v.referral_id
            and v.visit_date >= r.index_date
            and v.visit_date <= {{ cutoff() }}
    ),

    seen as (
        select
            r.period_start,
            r.period_end,
            r.person_id,
            r.referral_id,
            r.index_date,
            min(a.visit_date) as visit_date
        from referred as r
        left join answered as a using (period_start, person_id, referral_id)
        group by r.period_start, r.period_end, r.person_id, r.referral_id, r.index_date
    ),

    placed as (select s.*, {{ county_of_child("s", "index_date") }} as county from seen as s),

    sited as ({{ with_site("placed", "index_date") }}),

    units as (
        select
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            curve,
            -- No interval of 30 days here: DuckDB holds it equal to one of a month and would compute only
            -- one of the two.
            case when index_date + 30 > {{ cutoff() }} then 'window_not_over_at_cutoff' end as exclusion,
            true as is_observable,
            -- A calendar month as days: 0 within it, beyond every limit after it.
            case
                when curve = 'days'
                then visit_date - index_date
                when {{ within_window("visit_date", "index_date", 1) }}
                then 0
                when visit_date is not null
                then 9999
            end as event_days,
            case when curve = 'days' then {{ cutoff() }} - index_date else 9999 end as followed_days
        from sited
        cross join (values ('days'), ('month')) as c(curve)
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="HLT-01",
            quantiles=[["median", "days", 0.5]],
            limits=[["warehouse", "days", 30], ["one_month", "month", 0]],
            needs=["court_team", "medicaid"],
            version="1.0.1",
        )
    }}
