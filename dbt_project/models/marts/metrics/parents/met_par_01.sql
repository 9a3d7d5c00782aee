-- PAR-01: parents' needed services within 30 days. Basis: needs of parents identified in the period, every
-- domain, one row
-- per parent and need. Variant all_needs: one row per parent, met when every need was. Kept appointments
-- come from services
-- of the need's own referral or of its domain and, for substance use and mental health, from treatment
-- episodes and claims;
-- a parent already in treatment waited 0 days. Those two domains need sight of treatment records.
with
    periods as ({{ metric_periods() }}),

    parent_needs as (
        select n.person_id, n.need_id, n.identified_date, {{ domain_named("n.need_domain") }} as need_domain
        from {{ ref("fct_need") }} as n
        where
            n.identified_date <= {{ cutoff() }}
            and coalesce(
                (
                    select bool_or(lower(b.role) <> 'child')
                    from {{ ref("bridge_family_person") }} as b
                    where b.person_id = n.person_id
                ),
                true
            )
    ),

    needs as (
        select p.period_start, p.period_end, n.*, n.identified_date as index_date
        from periods as p
        inner join parent_needs as n on n.identified_date between p.period_start and p.period_end
    ),

    kept as (
        select
            s.person_id,
            r.need_id,
            {{ domain_named("s.service_type") }} as need_domain,
            s.first_appt_date as from_date,
            coalesce(s.end_date, {{ cutoff() }}) as to_date
        from {{ ref("fct_service") }} as s
        left join {{ ref("fct_referral") }} as r on s.referral_id = r.referral_id
        where s.first_appt_date is not null and coalesce(s.attended_flag, true)
        union all
        select
            person_id,
            null,
            case
                when regexp_matches(primary_dx, '^F1[0-9]')
                then 'SUD'
                when regexp_matches(primary_dx, '^F([02-6]|9)')
                then 'MH'
            end,
            coalesce(first_service_date, admit_date),
            coalesce(discharge_date, {{ cutoff() }})
        from {{ ref("fct_bh_episode") }}
        {%- for domain in ["SUD", "MH"] %}
            union all
            -- One visit says nothing of how long the treatment lasts; a month is taken.
            select person_id, null, '{{ domain }}', dos_from, {{ add_days("dos_from", 30) }}
            from ({{ appointments(domain, first_period_day(-30), "needs") }})
        {%- endfor %}
    ),

    -- Two joins: DuckDB joins row by row where it finds an "or".
    answered as (
        {%- for same in ["need_id", "need_domain"] %}
            select n.period_start, n.person_id, n.need_id, k.from_date
            from needs as n
            inner join
                kept as k
                on n.person_id = k.person_id
                and n.{{ same }} = k.{{ same }}
                and k.from_date <= {{ cutoff() }}
                and greatest(k.from_date, k.to_date) >= n.index_date
                {{ "union all" if not loop.last }}
        {%- endfor %}
    ),

    waits as (
        select
            n.period_start,
            n.period_end,
            n.person_id,
            n.need_id,
            n.need_domain,
            n.index_date,
            -- greatest() passes over nulls: a need nobody met would have been met at once.
            case
                when min(a.from_date) is not null then greatest(min(a.from_date), n.index_date) - n.index_date
            end as kept_days
        from needs as n
        left join answered as a using (period_start, person_id, need_id)
        group by n.period_start, n.period_end, n.person_id, n.need_id, n.need_domain, n.index_date
    ),

    observed as (
        select
            w.*,
            (
                coalesce(w.need_domain not in ('SUD', 'MH'), true)
                or {{
                    is_observable(
                        "w.person_id",
                        "behavioral_health",
                        "w.index_date",
                        "least(" ~ add_days("w.index_date", 30) ~ ", " ~ cutoff() ~ ")",
                    )
                }}
            ) as is_observable,
            (
                select
                    {'site_id':min_by(e.site_id, e.enrolled_date), 'county':min_by(e.county, e.enrolled_date)}
                from {{ ref("bridge_family_person") }} as b
                inner join {{ ref("fct_enrollment_sbct") }} as e on b.family_id = e.family_id
                where
                    b.person_id = w.person_id
                    and e.enrolled_date <= w.index_date
                    and coalesce(e.closed_date, {{ cutoff() }}) >= w.index_date
            ) as enrollment
        from waits as w
    ),

    -- One parent with every need answered in time, by the longest of the waits; one unseen need leaves the
    -- whole unseen.
    units as (
        select
            period_start,
            period_end,
            person_id,
            index_date,
            enrollment.site_id as site_id,
            enrollment.county as county,
            'need' as curve,
            case
                when {{ add_days("index_date", 30) }} > {{ cutoff() }} then 'window_not_over_at_cutoff'
            end as exclusion,
            is_observable,
            kept_days as event_days,
            {{ cutoff() }} - index_date as followed_days
        from observed
        union all by name
        select
            period_start,
            period_end,
            person_id,
            min(index_date) as index_date,
            min_by(enrollment.site_id, index_date) as site_id,
            min_by(enrollment.county, index_date) as county,
            'parent' as curve,
            case
                when {{ add_days("max(index_date)", 30) }} > {{ cutoff() }} then 'window_not_over_at_cutoff'
            end as exclusion,
            bool_and(is_observable) as is_observable,
            case when count(kept_days) = count(*) then max(kept_days) end as event_days,
            {{ cutoff() }} - max(index_date) as followed_days
        from observed
        group by period_start, period_end, person_id
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="PAR-01",
            quantiles=[["median", "need", 0.5]],
            limits=[["warehouse", "need", 30], ["all_needs", "parent", 30]],
            needs=["court_team", "behavioral_health"],
            version="1.1.1",
            linked=true,
        )
    }}
