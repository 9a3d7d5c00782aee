-- DEV-02: early intervention within 60 days of the need. Basis: enrolled children whose first sign of a
-- need in the period
-- is a recorded need, a referral, a failed developmental screening or a substantiated report under age 3.
-- DEV-02b: initial plan (IFSP) or first service within 45 days of the referral (34 CFR 303.310). Basis:
-- enrolled children
-- referred in the period, each by the first referral that the family did not decline.
with
    periods as ({{ metric_periods() }}),

    early_referrals as (
        select
            coalesce(r.person_id, n.person_id) as person_id,
            r.referral_id,
            r.referred_date,
            upper(r.status) as status
        from {{ ref("fct_referral") }} as r
        left join {{ ref("fct_need") }} as n on r.need_id = n.need_id
        where
            {{ is_domain("coalesce(r.need_domain, n.need_domain)", "EARLY_INTERVENTION") }}
            and r.referred_date <= {{ cutoff() }}
    ),

    signs as (
        select person_id, identified_date as sign_date
        from {{ ref("fct_need") }}
        where {{ is_domain("need_domain", "EARLY_INTERVENTION") }}
        union all
        select person_id, referred_date
        from early_referrals
        union all
        select person_id, performed_date
        from {{ ref("fct_screening") }}
        where
            upper(result) in ('FAIL', 'FAILED', 'CONCERN', 'POSITIVE')
            and (
                {{ is_domain("domain", "DEVELOPMENT") }}
                or upper(instrument) in ({{ codes("developmental_tools") }})
            )
        union all
        select c.person_id, c.report_date
        from {{ ref("fct_cps_report") }} as c
        inner join {{ ref("dim_person") }} as p on c.person_id = p.person_id
        where
            {{ is_substantiated("c") }}
            and coalesce(c.is_victim, true)
            and not coalesce(c.is_unborn, false)
            and c.report_date < {{ add_months("p.dob", 36) }}
    ),

    -- Enrolled: a team had the child before the 60 days were over and had not let it go before they began.
    anchored as (
        select p.period_start, p.period_end, s.person_id, min(s.sign_date) as index_date
        from periods as p
        inner join
            signs as s
            on s.sign_date between p.period_start and p.period_end
            and s.sign_date <= {{ cutoff() }}
        where
            exists (
                select 1
                from {{ ref("fct_enrollment_sbct") }} as e
                where
                    e.person_id = s.person_id
                    and e.enrolled_date <= {{ add_days("s.sign_date", 60) }}
                    and coalesce(e.closed_date >= s.sign_date, true)
            )
        group by all
    ),

    services as (
        select person_id, min(service_date) as service_date
        from
            (
                select
                    s.person_id,
                    unnest(
                        [s.ifsp_date, case when coalesce(s.attended_flag, true) then s.first_appt_date end]
                    ) as service_date
                from {{ ref("fct_service") }} as s
                left join early_referrals as r on s.referral_id = r.referral_id
                where {{ is_domain("s.service_type", "EARLY_INTERVENTION") }} or r.referral_id is not null
            )
        where service_date is not null
        group by all
    ),

    started as (
        select
            'DEV-02' as metric_id,
            a.*,
            {{ add_days("a.index_date", 60) }} as due_on,
            (select s.service_date from services as s where s.person_id = a.person_id) as service_date,
            exists (
                select 1
                from early_referrals as r
                where r.person_id = a.person_id and r.status in ('NOT_ELIGIBLE', 'INELIGIBLE')
            ) as is_ineligible,
            false as is_declined
        from anchored as a
        union all by name
        select
            'DEV-02b' as metric_id,
            p.period_start,
            p.period_end,
            r.person_id,
            r.referred_date as index_date,
            {{ add_days("r.referred_date", 45) }} as due_on,
            (select s.service_date from services as s where s.person_id = r.person_id) as service_date,
            exists (
                select 1
                from early_referrals as f
                where f.person_id = r.person_id and f.status in ('NOT_ELIGIBLE', 'INELIGIBLE')
            ) as is_ineligible,
            coalesce(r.status = 'DECLINED', false) as is_declined
        from periods as p
        inner join early_referrals as r on r.referred_date between p.period_start and p.period_end
        where exists (select 1 from {{ ref("fct_enrollment_sbct") }} as e where e.person_id = r.person_id)
        qualify
            row_number() over (
                partition by p.period_start, r.person_id
                order by coalesce(r.status = 'DECLINED', false), r.referred_date, r.referral_id
            )
            = 1
    ),

    placed as (select s.*, {{ county_of_child("s", "index_date") }} as county from started as s),

    sited as ({{ with_site("placed", "index_date", until="due_on") }}),

    units as (
        select
            metric_id,
            'warehouse' as variant,
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            case
                when is_ineligible and service_date is null
                then 'found_not_eligible'
                -- The 45-day clock stops for a family that declines (34 CFR 303.310(b)).
                when is_declined and service_date is null
                then 'family_declined'
                when due_on > {{ cutoff() }}
                then 'window_not_over_at_cutoff'
            end as exclusion,
            true as is_observable,
            coalesce(service_date <= due_on, false) as is_numerator
        from sited
    ),

    {{
        proportion_rows(
            "units",
            measures=[["DEV-02", "warehouse"], ["DEV-02b", "warehouse"]],
            needs=["court_team", "child_welfare"],
            version="1.1.1",
            follow_up_months=none,
        )
    }}
