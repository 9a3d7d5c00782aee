-- For each agency and measure, period by period: is the number safe to show, or why not.
with
    periods as ({{ metric_periods() }}),

    stale as (
        select *
        from
            (
                values
                    (cast(null as varchar), cast(null as varchar))
                    {%- for system, since in var("stale_sources").items() %}
                        , ('{{ system }}', '{{ since }}')
                    {%- endfor %}
            ) as s(source_system, stale_since)
    ),

    -- One row per source a measure needs.
    needed as (
        select
            measure_id,
            version,
            name,
            tier,
            linkage_scope,
            unnest(string_split(sources, ' ')) as source_system
        from {{ ref("dim_measure") }}
        where is_current
    ),

    shown as (
        select
            metric_id as measure_id,
            p.period_start,
            max(coalesce(m.denominator, m.numerator, 0)) as counted,
            min(m.match_rate) as match_rate,
            bool_or(m.maturity_flag <> 'not mature') as is_mature
        from {{ ref("measure_rows") }} as m
        inner join periods as p on m.period_start between p.period_start and p.period_end
        where m.stratum_type = 'all'
        group by all
    ),

    broken as (
        select
            n.measure_id,
            g.source_system,
            g.period_start,
            string_agg(g.gate_id, ', ' order by g.gate_id) filter (where g.status = 'error') as broken_gates,
            string_agg(g.gate_id, ', ' order by g.gate_id) filter (where g.status = 'warn') as near_gates
        from needed as n
        inner join
            {{ ref("dq_gates") }} as g
            on n.source_system = g.source_system
            and regexp_full_match(n.measure_id, g.concerns)
        group by all
    ),

    judged as (
        select
            n.source_system,
            n.measure_id,
            n.version,
            n.name,
            n.tier,
            p.period_start,
            p.period_end,
            b.broken_gates,
            b.near_gates,
            t.stale_since,
            s.match_rate,
            concat_ws(
                '; ',
                'gates broken: ' || b.broken_gates,
                'no delivery on time since ' || t.stale_since,
                case
                    when n.linkage_scope = 'linked' and s.match_rate < {{ var("match_rate_floor") }}
                    then 'too few people linked'
                end,
                case when not s.is_mature then 'cannot be judged yet' end,
                case when coalesce(s.counted, 0) = 0 then 'nobody to count' end
            ) as why_not
        from needed as n
        cross join periods as p
        left join shown as s on n.measure_id = s.measure_id and p.period_start = s.period_start
        left join
            broken as b
            on n.measure_id = b.measure_id
            and n.source_system = b.source_system
            and p.period_start = b.period_start
        left join stale as t on n.source_system = t.source_system
    )

select
    source_system,
    measure_id,
    version,
    name,
    tier,
    cast(period_start as date) as period_start,
    cast(period_end as date) as period_end,
    why_not = '' as is_safe_to_show,
    nullif(why_not, '') as why_not,
    broken_gates,
    near_gates,
    cast(stale_since as date) as stale_since,
    cast(match_rate as double) as match_rate,
    case
        when lag(why_not) over by_measure is null
        then null
        when (why_not = '') = (lag(why_not) over by_measure = '')
        then 'same'
        when why_not = ''
        then 'better'
        else 'worse'
    end as trend
from judged
window by_measure as (partition by source_system, measure_id order by period_start)
