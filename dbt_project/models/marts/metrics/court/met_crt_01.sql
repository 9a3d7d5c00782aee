-- CRT-01: time from removal to the first shelter hearing. Basis: removals in the period of children with a
-- court case.
{%- set limit_days = (var("shelter_hearing_hours") / 24) | round(0, "ceil") | int %}
with
    episodes as ({{ care_episodes(only=entered_in_periods()) }}),

    periods as ({{ metric_periods() }}),

    removals as (
        select p.period_start, p.period_end, e.*, e.removal_date as index_date
        from periods as p
        inner join episodes as e on e.removal_date between p.period_start and p.period_end
    ),

    -- Hearings that day are held before the removal is a day old; a hearing after the child went home is
    -- another matter.
    first_hearings as (
        select r.period_start, r.removal_id, min(h.held_date) as held_date
        from removals as r
        inner join {{ ref("fct_court_case") }} as c on r.person_id = c.person_id
        inner join {{ ref("fct_hearing") }} as h on c.case_id = h.case_id
        where
            h.hearing_type = 'SHELTER'
            and h.outcome = 'HELD'
            and h.held_date >= r.removal_date
            and h.held_date <= coalesce(r.end_date, {{ cutoff() }})
        group by all
    ),

    sited as ({{ with_site("removals", "removal_date", until="end_date") }}),

    units as (
        select
            s.period_start,
            s.period_end,
            s.person_id,
            s.index_date,
            s.site_id,
            s.county,
            'all' as curve,
            case
                when
                    not {{ has_court_case("s.person_id") }}
                    and {{ is_observable("s.person_id", "court", "s.index_date", "s.index_date") }}
                then 'no_court_case'
            end as exclusion,
            (
                {{ has_court_case("s.person_id") }}
                or {{ is_observable("s.person_id", "court", "s.index_date", "s.index_date") }}
            ) as is_observable,
            {{ days_between("s.index_date", "f.held_date", var("court_days")) }} as event_days,
            {{ days_between("s.index_date", "coalesce(s.end_date, " ~ cutoff() ~ ")", var("court_days")) }}
            as followed_days
        from sited as s
        left join first_hearings as f on s.period_start = f.period_start and s.removal_id = f.removal_id
    ),

    {{
        waiting_time_rows(
            "units",
            metric_id="CRT-01",
            quantiles=[["median", "all", 0.5]],
            limits=[["within_" ~ var("shelter_hearing_hours") ~ "_hours", "all", limit_days]],
            needs=["child_welfare", "court"],
            version="1.1.1",
            linked=true,
        )
    }}
