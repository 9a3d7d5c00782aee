{#-
    Standard rows of the collaboration survey (COL-01 to COL-05). A respondent's answers to the items of ``topic`` (none: to
    every item) in one wave are averaged; 4 or more is agreement. The first survey counts in the period it was answered in;
    the follow-up likewise, compared with the first survey of the same site whenever that was. Variants: base_mean, base_agree,
    follow_mean, follow_agree, panel_change (mean of the paired differences of those who answered both; numerator: those who
    rose), change (difference of the two waves' means, all who answered). Intervals of means: t; of the change between waves:
    Welch's t. A site with fewer than 5 respondents or 3 organisations is marked for suppression.
-#}
{% macro survey_rows(metric_id, topic, version) %}
    with
        periods as ({{ metric_periods() }}),

        answers as (
            select
                site_id,
                org_id,
                respondent_hash,
                upper(wave) as wave,
                avg(value) as score,
                max(submitted_date) as submitted_date
            from {{ ref("fct_survey_response") }}
            where
                value between 1 and 5 and submitted_date <= {{ cutoff() }}
                {%- if topic %}
                    and (
                        item_topic = '{{ topic }}' or upper(item_id) = '{{ metric_id }}'
                        {%- for item in var("survey_item_topics").get(topic, []) %}
                            or (item_topic is null and item_id = '{{ item }}')
                        {%- endfor %}
                    )
                {%- endif %}
            group by all
        ),

        followed as (
            select p.period_start, p.period_end, a.*
            from periods as p
            inner join
                answers as a on a.wave = 'FOLLOW' and a.submitted_date between p.period_start and p.period_end
        ),

        -- What each period tells: answers of one wave, or both waves of the sites that followed up in it.
        told as (
            select p.period_start, p.period_end, a.*, 'base' as side
            from periods as p
            inner join
                answers as a on a.wave = 'BASE' and a.submitted_date between p.period_start and p.period_end
            union all by name
            select *, 'follow' as side
            from followed
            union all by name
            select distinct f.period_start, f.period_end, a.*, 'before' as side
            from answers as a
            inner join
                (select distinct period_start, period_end, site_id from followed) as f
                on a.site_id is not distinct from f.site_id
                and a.wave = 'BASE'
                and a.submitted_date <= f.period_end
            union all by name
            select
                f.period_start,
                f.period_end,
                f.site_id,
                f.org_id,
                f.respondent_hash,
                'PAIR' as wave,
                f.score - b.score as score,
                f.submitted_date,
                'panel' as side
            from followed as f
            inner join
                answers as b
                on f.respondent_hash = b.respondent_hash
                and f.site_id is not distinct from b.site_id
                and b.wave = 'BASE'
        ),

        sides as (
            select
                *,
                cast(null as varchar) as county,
                cast(null as varchar) as exclusion,
                cast(null as varchar) as person_id,
                submitted_date as index_date
            from told
        ),

        stratified as (select * from ({{ stratified("sides") }}) where stratum_value is not null),

        by_side as (
            select
                period_start,
                period_end,
                stratum_site,
                stratum_type,
                stratum_value,
                side,
                count(*) as n,
                count(distinct org_id) as organizations,
                avg(score) as mean,
                stddev_samp(score) as sd,
                count(*) filter (where score >= 4) as agree,
                count(*) filter (where score > 0) as rose
            from stratified
            group by all
        ),

        rows_by_variant as (
            select
                side || '_mean' as variant,
                * exclude (side),
                mean as value,
                mean - {{ t95("(n - 1)") }} * sd / sqrt(n) as ci_low,
                mean + {{ t95("(n - 1)") }} * sd / sqrt(n) as ci_high,
                't' as ci_method,
                n as denominator,
                cast(null as bigint) as numerator
            from by_side
            where side in ('base', 'follow')
            union all by name
            select
                side || '_agree' as variant,
                * exclude (side),
                agree / n as value,
                {{ wilson_low("agree", "n") }} as ci_low,
                {{ wilson_high("agree", "n") }} as ci_high,
                'wilson' as ci_method,
                n as denominator,
                agree as numerator
            from by_side
            where side in ('base', 'follow')
            union all by name
            select
                'panel_change' as variant,
                * exclude (side),
                mean as value,
                mean - {{ t95("(n - 1)") }} * sd / sqrt(n) as ci_low,
                mean + {{ t95("(n - 1)") }} * sd / sqrt(n) as ci_high,
                'paired t' as ci_method,
                n as denominator,
                rose as numerator
            from by_side
            where side = 'panel'
            union all by name
            select
                'change' as variant,
                f.* exclude (side, mean, sd, organizations),
                least(f.organizations, b.organizations) as organizations,
                f.mean - b.mean as value,
                sqrt(power(f.sd, 2) / f.n + power(b.sd, 2) / b.n) as se,
                floor(
                    power(se, 4) / nullif(
                        power(f.sd, 4) / (f.n * f.n * (f.n - 1)) + power(b.sd, 4) / (b.n * b.n * (b.n - 1)), 0
                    )
                ) as df,
                value - {{ t95("df") }} * se as ci_low,
                value + {{ t95("df") }} * se as ci_high,
                'welch t' as ci_method,
                least(f.n, b.n) as denominator,
                cast(null as bigint) as numerator
            from (select * from by_side where side = 'follow') as f
            inner join
                (select * from by_side where side = 'before') as b
                on f.period_start = b.period_start
                and f.stratum_type = b.stratum_type
                and f.stratum_value = b.stratum_value
        ),

        counted as (
            select
                '{{ metric_id }}' as metric_id,
                variant,
                period_start,
                period_end,
                stratum_site,
                stratum_type,
                stratum_value,
                value,
                ci_low,
                ci_high,
                ci_method,
                numerator,
                denominator,
                organizations,
                0 as n_not_observable
            from rows_by_variant
        ),

        framed as (
            {{
                with_empty_periods(
                    "counted",
                    [
                        [metric_id, "base_mean"],
                        [metric_id, "base_agree"],
                        [metric_id, "follow_mean"],
                        [metric_id, "follow_agree"],
                        [metric_id, "panel_change"],
                        [metric_id, "change"],
                    ],
                )
            }}
        ),

        summary as (select *, cast(null as varchar) as n_excluded_by_rule, true as is_mature from framed),

        measured as ({{ standard_rows("summary", needs=["court_team"], version=version) }})

    select
        m.* replace (
            case
                when s.denominator < 5
                then 'fewer than 5 respondents'
                when s.organizations < 3
                then 'fewer than 3 organizations'
                else m.suppress_reason
            end as suppress_reason,
            coalesce(s.denominator < 5 or s.organizations < 3, false) or m.suppress_flag as suppress_flag
        )
    from measured as m
    left join
        (select * from summary where stratum_type = 'site') as s using (
            variant, period_start, stratum_type, stratum_value
        )
{% endmacro %}

{#- Target sites of each period: those that ran an improvement cycle in it. Columns period_start, site_id. -#}
{% macro target_sites(periods) -%}
    select distinct p.period_start, c.site_id
    from {{ periods }} as p
    inner join
        {{ ref("fct_pdsa") }} as c
        on c."start" <= least(p.period_end, {{ cutoff() }})
        and coalesce(c."end" >= p.period_start, true)
{%- endmacro %}
