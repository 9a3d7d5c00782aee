-- COL-20: time from removal to the first contact with a system other than child welfare and court. Basis:
-- first removal in
-- the period of each enrolled child; a claim, treatment or early intervention of the child or a parent.
-- Earlier contact is
-- 0 days and shown apart (already_connected). Watched until the enrolment closes, 365 days or the cut-off;
-- the share within
-- 30 days is over all children.
with
    episodes as ({{ care_episodes(only=entered_in_periods()) }}),

    periods as ({{ metric_periods() }}),

    first_removals as (
        select p.period_start, p.period_end, e.*, e.removal_date as index_date
        from periods as p
        inner join episodes as e on e.removal_date between p.period_start and p.period_end
        qualify
            row_number() over (partition by p.period_start, e.person_id order by e.removal_date, e.removal_id)
            = 1
    ),

    enrolled as (
        select
            r.period_start,
            r.period_end,
            r.person_id,
            r.index_date,
            r.end_date,
            min_by(e.site_id, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as site_id,
            min_by(coalesce(r.county, e.county), strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as county,
            {{ last_end(known("e.closed_date")) }} as closed_date
        from first_removals as r
        inner join
            {{ ref("fct_enrollment_sbct") }} as e
            on r.person_id = e.person_id
            and e.enrolled_date <= coalesce(r.end_date, {{ cutoff() }})
            and coalesce(e.closed_date >= r.index_date, true)
        group by r.period_start, r.period_end, r.person_id, r.index_date, r.end_date
    ),

    members as (
        select distinct person_id as child_id, person_id
        from enrolled
        union
        select child_id, parent_id
        from ({{ family_parents("select person_id from enrolled") }})
    ),

    contacts as (
        select person_id, dos_from as contact_date
        from {{ ref("fct_claim_line") }}
        where {{ is_of("members") }}
        union all
        select person_id, coalesce(first_service_date, admit_date)
        from {{ ref("fct_bh_episode") }}
        union all
        select person_id, first_appt_date
        from {{ ref("fct_service") }}
        where {{ is_domain("service_type", "EARLY_INTERVENTION") }} and coalesce(attended_flag, true)
    ),

    first_contacts as (
        select
            e.period_start,
            e.person_id,
            min(c.contact_date) as ever_date,
            min(greatest(c.contact_date, e.index_date)) as contact_date
        from enrolled as e
        inner join members as m on e.person_id = m.child_id
        inner join contacts as c on m.person_id = c.person_id and c.contact_date <= {{ cutoff() }}
        group by e.period_start, e.person_id
    ),

    watched as (
        select
            e.*,
            f.ever_date,
            least(
                coalesce(e.closed_date, {{ cutoff() }}), {{ cutoff() }}, {{ add_days("e.index_date", 365) }}
            ) as watched_to,
            case
                when f.contact_date <= watched_to or f.ever_date < e.index_date
                then f.contact_date - e.index_date
            end as event_days,
            least({{ add_days("e.index_date", 30) }}, {{ cutoff() }}) as judged_on
        from enrolled as e
        left join first_contacts as f on e.period_start = f.period_start and e.person_id = f.person_id
    ),

    visible as (
        select distinct w.period_start, w.person_id
        from watched as w
        inner join members as m on w.person_id = m.child_id
        where
            {{ is_observable("m.person_id", "medicaid", "w.judged_on", "w.judged_on") }}
            or {{ is_observable("m.person_id", "behavioral_health", "w.judged_on", "w.judged_on") }}
    ),

    units as (
        select
            w.period_start,
            w.period_end,
            w.person_id,
            w.index_date,
            w.site_id,
            w.county,
            c.curve,
            cast(null as varchar) as exclusion,
            (
                w.event_days is not null
                or exists (
                    select 1
                    from visible as v
                    where v.period_start = w.period_start and v.person_id = w.person_id
                )
            ) as is_observable,
            case
                when c.curve = 'contact' then w.event_days when w.ever_date < w.index_date then 0
            end as event_days,
            case
                when c.curve = 'contact' then greatest(w.watched_to - w.index_date, 0) else 0
            end as followed_days
        from watched as w
        cross join (values ('contact'), ('before')) as c(curve)
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="COL-20",
            quantiles=[["median", "contact", 0.5]],
            limits=[["within_30_days", "contact", 30], ["already_connected", "before", 0]],
            needs=["child_welfare", "medicaid", "behavioral_health", "court_team"],
            version="1.0.1",
            linked=true,
            keep_unwatched=true,
        )
    }}
