-- STB-01 (CFSR P5): moves per 1,000 days in care. Basis: days inside the period of all episodes
-- begun in it. The first placement is no move; days that no placement interval covers are dropped.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    periods as ({{ metric_periods() }}),

    entries as (
        select
            p.period_start,
            p.period_end,
            e.*,
            e.removal_date as index_date,
            least(
                coalesce(e.end_date, {{ add_days("p.period_end", 1) }}),
                {{ add_days("p.period_end", 1) }},
                {{ add_days(cutoff(), 1) }}
            ) as counted_to,
            case
                when e.removal_date >= e.adult_on
                then 'age_18_or_more'
                when e.end_date < e.removal_date
                then 'exit_before_removal'
                when e.end_date - e.removal_date < 8
                then 'stay_under_8_days'
            end as exclusion,
            {{ is_reentry_unseen("e") }} as is_unseen
        from periods as p
        inner join episodes as e on e.removal_date between p.period_start and p.period_end
    ),

    -- The days each interval adds to what the earlier ones already cover.
    covered as (
        select
            e.period_start,
            e.removal_id,
            greatest(f.start_date, e.removal_date) as from_date,
            least(coalesce(f.end_date, e.counted_to), e.counted_to) as to_date,
            max(least(coalesce(f.end_date, e.counted_to), e.counted_to)) over (
                partition by e.period_start, e.removal_id
                order by f.start_date, f.seq
                rows between unbounded preceding and 1 preceding
            ) as covered_to
        from entries as e
        inner join
            {{ ref("fct_placement") }} as f on e.removal_id = f.removal_id and f.start_date < e.counted_to
        {%- if var("p5_exclude_thv_days") %} where coalesce(f.setting_type <> 'THV', true) {%- endif %}
    ),

    exposures as (
        select
            period_start,
            removal_id,
            sum(greatest(to_date - greatest(from_date, coalesce(covered_to, from_date)), 0)) as days
        from covered
        group by all
    ),

    settings as ({{ settings("entries") }}),

    moves as (
        select e.period_start, e.removal_id, count(*) as moves
        from entries as e
        inner join
            settings as s on e.removal_id = s.removal_id and s.is_move and s.setting_start < e.counted_to
        group by all
    ),

    sited as ({{ with_site("entries", "removal_date", until="end_date") }}),

    units as (
        select
            'STB-01' as metric_id,
            v.variant,
            u.period_start,
            u.period_end,
            u.person_id,
            u.index_date,
            u.site_id,
            u.county,
            coalesce(
                u.exclusion,
                case
                    when v.variant = 'federal_comparable' and u.is_unseen
                    then 'exit_and_reentry_in_one_federal_file'
                    when x.removal_id is null
                    then 'no_placement'
                end
            ) as exclusion,
            coalesce(m.moves, 0) as events,
            x.days as exposure
        from sited as u
        left join exposures as x on u.period_start = x.period_start and u.removal_id = x.removal_id
        left join moves as m on u.period_start = m.period_start and u.removal_id = m.removal_id
        cross join (values ('warehouse'), ('federal_comparable')) as v(variant)
    ),

    {{
        rate_rows(
            "units",
            measures=[["STB-01", "warehouse"], ["STB-01", "federal_comparable"]],
            scale=1000,
            needs=["child_welfare"],
            version="1.1.0",
        )
    }}
