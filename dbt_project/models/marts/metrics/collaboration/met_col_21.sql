-- COL-21: days from need to service by half-year, before and after the site's first enrolment. Basis: needs
-- identified in the half-year;
-- still waiting is censored at the cut-off. The rows' period is the half-year.
with
    half_years as (
        select distinct
            greatest(cast(h.start as date), p.period_start) as period_start,
            least(cast(h.start + interval 6 month - interval 1 day as date), p.period_end) as period_end
        from
            ({{ metric_periods() }}) as p,
            unnest(
                generate_series(
                    date_trunc('year', p.period_start)::timestamp, p.period_end::timestamp, interval 6 month
                )
            ) as h(start)
        where h.start + interval 6 month > p.period_start
    ),

    needs as (
        select
            h.period_start,
            h.period_end,
            n.person_id,
            n.need_id,
            {{ domain_named("n.need_domain") }} as need_domain,
            n.identified_date as index_date
        from half_years as h
        inner join
            {{ ref("fct_need") }} as n
            on n.identified_date between h.period_start and h.period_end
            and n.identified_date <= {{ cutoff() }}
    ),

    services as (
        select s.person_id, r.need_id, {{ domain_named("s.service_type") }} as need_domain, s.first_appt_date
        from {{ ref("fct_service") }} as s
        left join {{ ref("fct_referral") }} as r on s.referral_id = r.referral_id
        where s.first_appt_date <= {{ cutoff() }} and coalesce(s.attended_flag, true)
    ),

    -- Two joins: DuckDB joins row by row where it finds an "or".
    answered as (
        select n.period_start, n.person_id, n.need_id, s.first_appt_date
        from needs as n
        inner join services as s on n.person_id = s.person_id and n.need_id = s.need_id
        union all
        select n.period_start, n.person_id, n.need_id, s.first_appt_date
        from needs as n
        inner join
            services as s
            on n.person_id = s.person_id
            and n.need_domain = s.need_domain
            and s.first_appt_date >= n.index_date
    ),

    served as (
        select
            n.period_start,
            n.period_end,
            n.person_id,
            n.need_id,
            n.index_date,
            -- greatest() passes over nulls: a need nobody met would have been met at once.
            case
                when min(a.first_appt_date) is not null
                then greatest(min(a.first_appt_date) - n.index_date, 0)
            end as event_days
        from needs as n
        left join answered as a using (period_start, person_id, need_id)
        group by n.period_start, n.period_end, n.person_id, n.need_id, n.index_date
    ),

    placed as (
        select
            s.*,
            (
                select
                    {'site_id':min_by(e.site_id, e.enrolled_date), 'county':min_by(e.county, e.enrolled_date)}
                from ({{ family_members() }}) as b
                inner join {{ ref("fct_enrollment_sbct") }} as e on b.family_id = e.family_id
                where
                    b.person_id = s.person_id
                    and e.enrolled_date <= {{ cutoff() }}
                    and coalesce(e.closed_date, {{ cutoff() }}) >= s.index_date
            ) as enrollment
        from served as s
    ),

    launches as (
        select site_id, min(enrolled_date) as launched_date
        from {{ ref("fct_enrollment_sbct") }}
        where enrolled_date <= {{ cutoff() }}
        group by site_id
    ),

    units as (
        select
            p.period_start,
            p.period_end,
            p.person_id,
            p.index_date,
            p.enrollment.site_id as site_id,
            p.enrollment.county as county,
            c.curve,
            cast(null as varchar) as exclusion,
            true as is_observable,
            p.event_days,
            {{ cutoff() }} - p.index_date as followed_days
        from placed as p
        left join launches as s on p.enrollment.site_id = s.site_id
        cross join (values ('all'), ('before'), ('after')) as c(curve)
        where
            c.curve = 'all'
            or (c.curve = 'before' and p.index_date < s.launched_date)
            or (c.curve = 'after' and p.index_date >= s.launched_date)
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="COL-21",
            quantiles=[["median", "all", 0.5], ["median_before_launch", "before", 0.5], ["median_after_launch", "after", 0.5]],
            limits=[],
            needs=["court_team"],
            version="1.0.3",
            fill_empty_periods=false,
        )
    }}
