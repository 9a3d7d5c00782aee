-- EQT-02: does a measure differ by race and ethnicity? value is the p value; beside it the largest
-- ratio between two groups, because a small group that shows no difference has not shown equality.
-- Proportions: chi-square over all groups, or, where an expected count is under 5, Fisher's exact
-- test of each group against the others, the smallest p times their number (Bonferroni). Cumulative
-- incidence: Gray's test. Every child is censored by the cut-off alone, so the day on which each
-- would have been is known, and Gray's test is the log-rank test in which children with another exit
-- stay at risk until that day (Fine and Gray 1999, censoring-complete data). Length of stay:
-- log-rank. Both over all groups, on their number less one degrees of freedom. Basis: that of the
-- measure compared.
{%- set measures = disparity_measures() %}
with
    measured as (
        {%- for model in measures %}
            select
                metric_id,
                variant,
                period_start,
                period_end,
                stratum_value,
                numerator,
                denominator,
                match_rate,
                maturity_flag
            from {{ ref(model) }}
            where
                stratum_type = 'race_eth'
                and stratum_value not in ('UNKNOWN', 'MISSING')
                and ci_method = 'wilson'
                and denominator > 0
            {%- if not loop.last %}
                union all
            {%- endif %}
        {%- endfor %}
    ),

    expected as (
        select
            *,
            sum(numerator) over whole as x,
            sum(denominator) over whole as n,
            count(*) over whole as group_count,
            min(denominator) over whole as smallest_group,
            denominator
            * least(sum(numerator) over whole, sum(denominator - numerator) over whole)
            / (sum(denominator) over whole) as smallest_expected
        from measured
        window whole as (partition by metric_id, variant, period_start)
    ),

    proportions as (
        select
            metric_id,
            variant,
            period_start,
            period_end,
            maturity_flag,
            cast(x as bigint) as numerator,
            cast(n as bigint) as denominator,
            group_count,
            smallest_group,
            min(smallest_expected) < 5 as is_exact,
            min(match_rate) as match_rate,
            sum(
                power(numerator - denominator * x / n, 2) / nullif(denominator * (x / n) * (1 - x / n), 0)
            ) as statistic,
            min(
                {{ fisher_p("numerator", "denominator", "(x - numerator)", "(n - denominator)") }}
            ) as smallest_p
        from expected
        where group_count > 1
        group by all
    ),

    {{ entry_cohort() }},

    outcomes as (
        select
            c.period_start,
            c.period_end,
            d.race_eth,
            o.metric_id,
            coalesce(
                case
                    o.metric_id
                    when 'PRM-10'
                    then c.end_reason = 'REUN'
                    when 'PRM-15'
                    then {{ is_permanency("c.end_reason") }}
                    else c.end_reason is not null
                end,
                false
            ) as is_event,
            case
                when is_event or o.metric_id = 'PRM-23' then c.days else {{ cutoff() }} - c.removal_date
            end as days
        from cohort as c
        inner join {{ ref("dim_person") }} as d on c.person_id = d.person_id
        cross join (values ('PRM-10'), ('PRM-15'), ('PRM-23')) as o(metric_id)
        where c.exclusion is null and d.race_eth not in ('UNKNOWN', 'MISSING') and c.days >= 0
    ),

    group_days as (
        select
            metric_id,
            period_start,
            race_eth,
            days,
            count(*) as leaving,
            count(*) filter (where is_event) as events
        from outcomes
        group by all
    ),

    -- Every group on every day on which anybody leaves.
    risk_sets as (
        select
            d.metric_id,
            d.period_start,
            g.race_eth,
            d.days,
            coalesce(l.events, 0) as events,
            sum(coalesce(l.leaving, 0)) over (
                partition by d.metric_id, d.period_start, g.race_eth
                order by d.days desc
                rows unbounded preceding
            ) as at_risk
        from (select distinct metric_id, period_start, days from group_days) as d
        inner join
            (select distinct metric_id, period_start, race_eth from group_days) as g using (
                metric_id, period_start
            )
        left join group_days as l using (metric_id, period_start, race_eth, days)
    ),

    pooled as (
        select
            *,
            sum(events) over (partition by metric_id, period_start, days) as all_events,
            sum(at_risk) over (partition by metric_id, period_start, days) as all_at_risk
        from risk_sets
    ),

    -- Of each group the exits beyond what is expected of it, and how these vary together with every other
    -- group's (Mantel and Haenszel's; one group tells what the others do not, so the equations are one too
    -- many, and the solution leaves one out).
    beyond as (
        select
            metric_id,
            period_start,
            race_eth,
            sum(events - all_events * at_risk / all_at_risk) as more_than_expected
        from pooled
        where all_events > 0
        group by all
    ),

    covariances as (
        select
            a.metric_id,
            a.period_start,
            a.race_eth,
            b.race_eth as other_group,
            sum(
                coalesce(
                    a.all_events
                    * (a.all_at_risk - a.all_events)
                    / nullif(a.all_at_risk - 1, 0)
                    * (a.at_risk / a.all_at_risk)
                    * (cast(a.race_eth = b.race_eth as integer) - b.at_risk / b.all_at_risk),
                    0
                )
            ) as covariance
        from pooled as a
        inner join pooled as b using (metric_id, period_start, days)
        where a.all_events > 0
        group by all
    ),

    systems as (
        select
            metric_id,
            period_start,
            count(*) filter (where is_compared) - 1 as degrees,
            list(list_append(covariances, more_than_expected) order by race_eth) as equations
        from beyond
        inner join
            (
                select
                    metric_id,
                    period_start,
                    race_eth,
                    max(covariance) filter (where race_eth = other_group) > 1e-9 as is_compared,
                    list(covariance order by other_group) as covariances
                from covariances
                group by all
            ) using (metric_id, period_start, race_eth)
        group by metric_id, period_start
    ),

    rank_tests as (
        select
            metric_id,
            period_start,
            degrees,
            case
                when degrees > 0
                then
                    list_sum(
                        list_transform(
                            {{ solved("equations", "len(equations)") }},
                            lambda row,
                            i:row[len(equations) + 1] * equations[i][len(equations) + 1]
                        )
                    )
            end as statistic
        from systems
    ),

    times as (
        select
            r.metric_id,
            case r.metric_id when 'PRM-23' then 'log-rank' else 'gray' end as test,
            r.period_start,
            max(t.period_end) as period_end,
            max(t.numerator) as numerator,
            max(t.denominator) as denominator,
            max(t.group_count) as group_count,
            max(t.smallest_group) as smallest_group,
            max(r.degrees) as degrees,
            max(r.statistic) as statistic
        from rank_tests as r
        inner join
            (
                select
                    metric_id,
                    period_start,
                    max(period_end) as period_end,
                    sum(events) as numerator,
                    sum(children) as denominator,
                    count(*) as group_count,
                    min(children) as smallest_group
                from
                    (
                        select
                            metric_id,
                            period_start,
                            period_end,
                            race_eth,
                            count(*) filter (where is_event) as events,
                            count(*) as children
                        from outcomes
                        group by all
                    )
                group by all
            ) as t
            on r.metric_id = t.metric_id
            and r.period_start = t.period_start
        where t.group_count > 1
        group by all
    ),

    largest_ratios as (
        select
            r.metric_id,
            r.variant,
            r.period_start,
            max(r.numerator / r.denominator) / nullif(min(r.numerator / r.denominator), 0) as max_ratio,
            -- Of two groups with the same share the name decides, so that every run names the same one.
            max_by(
                {'x':r.numerator, 'n':r.denominator, 'name':r.stratum_value},
                {'ratio':r.numerator / r.denominator, 'name':r.stratum_value}
            ) as high,
            min_by(
                {'x':r.numerator, 'n':r.denominator, 'name':r.stratum_value},
                {'ratio':r.numerator / r.denominator, 'name':r.stratum_value}
            ) as low
        from measured as r
        group by all
    ),

    tests as (
        select
            metric_id || ':' || variant as variant,
            metric_id as compared_metric_id,
            period_start,
            period_end,
            maturity_flag <> 'not mature' as is_mature,
            numerator,
            denominator,
            cast(group_count as bigint) as group_count,
            cast(smallest_group as bigint) as smallest_group,
            match_rate,
            case when is_exact then 'fisher' else 'chi-square' end as test,
            cast(case when not is_exact then statistic end as double) as statistic,
            case
                when is_exact
                then least(smallest_p * case when group_count = 2 then 1 else group_count end, 1)
                else {{ chi_square_tail("statistic", "(group_count - 1)") }}
            end as p,
            l.max_ratio,
            l.high,
            l.low
        from proportions
        left join largest_ratios as l using (metric_id, variant, period_start)
        union all by name
        select
            metric_id || ':curve' as variant,
            metric_id as compared_metric_id,
            period_start,
            period_end,
            {{ add_months("period_end", 12) }} <= {{ cutoff() }} as is_mature,
            numerator,
            denominator,
            cast(group_count as bigint) as group_count,
            cast(smallest_group as bigint) as smallest_group,
            test,
            statistic,
            {{ chi_square_tail("statistic", "degrees") }} as p
        from times
    ),

    summary as (
        select
            'EQT-02' as metric_id,
            *,
            cast(null as varchar) as stratum_site,
            'all' as stratum_type,
            'all' as stratum_value,
            round(p, 6) as value,
            cast(null as double) as ci_low,
            cast(null as double) as ci_high,
            cast(null as varchar) as ci_method,
            cast(null as varchar) as n_excluded_by_rule,
            0 as n_not_observable,
            case when max_ratio is not null then high.name || ' / ' || low.name end as max_ratio_groups,
            {{ log_risk_ratio_se("high.x", "high.n", "low.x", "low.n") }} as log_se,
            round({{ ratio_limit("max_ratio", "log_se", -1) }}, 6) as max_ratio_low,
            round({{ ratio_limit("max_ratio", "log_se", 1) }}, 6) as max_ratio_high
        from tests
    )

    {{
    standard_rows(
        "summary",
        needs=["child_welfare"],
        version="1.2.0",
        match_rate="match_rate",
        more=[
            "compared_metric_id",
            "test",
            "statistic",
            "group_count",
            "smallest_group",
            "max_ratio",
            "max_ratio_groups",
            "max_ratio_low",
            "max_ratio_high",
        ],
    )
}}
