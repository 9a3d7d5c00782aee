-- STB-02a/b/c (Child Welfare Outcomes 6.1): at most two placement settings, by time in care.
-- Basis: children served.
with
    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    periods as ({{ metric_periods() }}),

    -- Served: in care at least one day of the period; a discharge on its first day is no day in
    -- care. Of two episodes, the latest.
    served as (
        select
            p.period_start,
            p.period_end,
            e.*,
            least(coalesce(e.end_date, {{ cutoff() }}), p.period_end, {{ cutoff() }}) as counted_to
        from periods as p
        inner join
            episodes as e
            on e.removal_date <= p.period_end
            and p.period_start <= {{ cutoff() }}
            and coalesce(e.end_date > p.period_start and e.end_date > e.removal_date, true)
        qualify
            row_number() over (
                partition by p.period_start, e.person_id order by e.removal_date desc, e.removal_id desc
            )
            = 1
    ),

    -- A setting counts when the home differs from the last counting one: visits home, runaway,
    -- respite and hospital days, the return from them, and a change of status of the same home are
    -- no moves (C10).
    counted_rows as (
        select
            s.period_start,
            s.removal_id,
            f.provider_id,
            lag(f.provider_id) over (
                partition by s.period_start, s.removal_id order by f.start_date, f.seq
            ) as previous_provider_id
        from served as s
        inner join {{ ref("fct_placement") }} as f on s.removal_id = f.removal_id
        where
            coalesce(f.is_afcars_placement, f.setting_type not in ('THV', 'RUN', 'HOSP', 'RESP'), true)
            and f.start_date <= s.counted_to
            and coalesce(f.start_date < s.end_date, true)
            and coalesce(f.end_date > f.start_date, true)
    ),

    settings as (
        select
            period_start,
            removal_id,
            count(*) filter (where coalesce(provider_id <> previous_provider_id, true)) as setting_count
        from counted_rows
        group by all
    ),

    judged as (
        select
            s.*,
            n.setting_count,
            case
                when s.counted_to < {{ add_months("s.removal_date", 12) }}
                then 'STB-02a'
                when s.counted_to < {{ add_months("s.removal_date", 24) }}
                then 'STB-02b'
                else 'STB-02c'
            end as metric_id
        from served as s
        left join settings as n on s.removal_id = n.removal_id and s.period_start = n.period_start
    ),

    sited as ({{ with_site("judged", "counted_to") }}),

    units as (
        select
            metric_id,
            variant,
            period_start,
            period_end,
            person_id,
            counted_to as index_date,
            site_id,
            county,
            case
                when setting_count is null
                then 'no_counting_placement'
                when variant = 'min_8_days' and end_date <= period_end and end_date - removal_date < 8
                then 'stay_under_8_days'
            end as exclusion,
            true as is_observable,
            coalesce(setting_count <= 2, false) as is_numerator
        from sited
        cross join (values ('warehouse'), ('min_8_days')) as v(variant)
    ),

    {{
        proportion_rows(
            "units",
            measures=[
                ["STB-02a", "warehouse"],
                ["STB-02a", "min_8_days"],
                ["STB-02b", "warehouse"],
                ["STB-02b", "min_8_days"],
                ["STB-02c", "warehouse"],
                ["STB-02c", "min_8_days"],
            ],
            needs=["child_welfare"],
            version="1.0.1",
        )
    }}
