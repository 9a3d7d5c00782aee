-- BSC-04: teams with stronger cross-system ties. Basis: sites that answered the follow-up survey in the
-- period and the first
-- survey before; met where the mean of all items (COL-01) rose.
with
    periods as ({{ metric_periods() }}),

    scores as (
        select
            site_id,
            respondent_hash,
            upper(wave) as wave,
            avg(value) as score,
            max(submitted_date) as submitted_date
        from {{ ref("fct_survey_response") }}
        where value between 1 and 5 and submitted_date <= {{ cutoff() }}
        group by all
    ),

    followed as (
        select
            p.period_start,
            p.period_end,
            s.site_id,
            avg(s.score) as score,
            max(s.submitted_date) as index_date
        from periods as p
        inner join
            scores as s on s.wave = 'FOLLOW' and s.submitted_date between p.period_start and p.period_end
        group by all
    ),

    first_surveys as (
        select f.period_start, f.site_id, avg(s.score) as score
        from followed as f
        inner join
            scores as s on f.site_id = s.site_id and s.wave = 'BASE' and s.submitted_date <= f.period_end
        group by all
    ),

    units as (
        select
            'BSC-04' as metric_id,
            'warehouse' as variant,
            f.period_start,
            f.period_end,
            cast(null as varchar) as person_id,
            f.index_date,
            f.site_id,
            cast(null as varchar) as county,
            case when b.site_id is null then 'no_first_survey' end as exclusion,
            true as is_observable,
            coalesce(f.score > b.score, false) as is_numerator
        from followed as f
        left join first_surveys as b on f.period_start = b.period_start and f.site_id = b.site_id
    ),

    {{
        proportion_rows(
            "units",
            measures=[["BSC-04", "warehouse"]],
            needs=["court_team"],
            version="1.0.0",
        )
    }}
