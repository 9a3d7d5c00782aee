-- EVL-03: exits of Safe Babies children against children matched to them one to one by propensity score,
-- within state and
-- period, from counties without a site. Value: the effect on the site's matched children (ATT), the share
-- of them out
-- minus the share of their matches; the error is clustered by pair. Basis: entry cohort, children under 36
-- months in care
-- after day 60. Whether the arms are alike is in evl_balance; where they are not, the row says so.
with recursive
    {{ young_entry_cohort() }},

    {{ propensity_matches() }},

    {{ propensity_balance() }},

    groups as (
        select
            p.period_start,
            count(*) filter (where e.is_site) as site_children,
            count(*) filter (where not e.is_site) as other_children,
            to_json(
                {
                    'site_without_county':count(*) filter (where e.is_site and e.left_out = 'without_county'),
                    'site_without_counterpart':count(*) filter (
                        where e.is_site and e.left_out = 'without_counterpart'
                    ),
                    'site_without_match':count(*) filter (
                        where e.is_site and e.left_out is null and e.match_set_id is null
                    ),
                    'comparison_not_matched':count(*) filter (where not e.is_site and e.match_set_id is null)
                }
            ) as n_excluded_by_rule
        from periods as p
        left join matched as e on p.period_start = e.period_start
        group by all
    ),

    models as (select period_start, bool_and(has_maximum) as has_maximum from propensity_models group by all),

    unlike as (
        select period_start, count(*) filter (where not is_balanced) as covariates from balance group by all
    ),

    outcomes as (
        select
            variant,
            months,
            m.period_start,
            m.match_set_id,
            m.is_site,
            m.days <= months * 30.4375
            and case cause when 'reunification' then m.end_reason = 'REUN' else m.is_permanent end as is_event
        from matched as m
        cross join
            (
                values
                    ('permanency_12_months', 'permanency', 12),
                    ('permanency_24_months', 'permanency', 24),
                    ('reunification_12_months', 'reunification', 12),
                    ('reunification_24_months', 'reunification', 24)
            ) as v(variant, cause, months)
        where m.match_set_id is not null
    ),

    pairs as (
        select
            variant,
            period_start,
            match_set_id,
            coalesce(bool_or(is_event) filter (where is_site), false) as is_site_event,
            coalesce(bool_or(is_event) filter (where not is_site), false) as is_other_event
        from outcomes
        group by all
    ),

    counted as (
        select
            'EVL-03' as metric_id,
            variant,
            period_start,
            period_end,
            cast(null as varchar) as stratum_site,
            'all' as stratum_type,
            'all' as stratum_value,
            count(*) filter (where is_site_event) as numerator,
            count(*) as denominator,
            count(*) filter (where is_other_event) as reference_numerator,
            count(*) as reference_denominator,
            count(*) filter (where is_site_event <> is_other_event) as unlike_pairs,
            0 as n_not_observable
        from pairs
        inner join periods using (period_start)
        group by all
    ),

    framed as (
        {{
            with_empty_periods(
                "counted",
                [
                    ["EVL-03", "permanency_12_months"],
                    ["EVL-03", "permanency_24_months"],
                    ["EVL-03", "reunification_12_months"],
                    ["EVL-03", "reunification_24_months"],
                ],
                compared=true,
            )
        }}
    ),

    judged as (
        select
            f.*,
            json_merge_patch(coalesce(l.rules, '{}'), g.n_excluded_by_rule) as n_excluded_by_rule,
            case when f.variant like '%24_months' then 24 else 12 end as months,
            {{ add_months("f.period_end", "months") }} <= {{ cutoff() }} as is_mature,
            cast(f.numerator - f.reference_numerator as double) / nullif(f.denominator, 0) as effect,
            -- Of least squares on the arm, clustered by pair (Liang and Zeger's sandwich times pairs /
            -- (pairs - 1)): the
            -- error of the mean of the pairs' differences.
            sqrt(
                (f.unlike_pairs - f.denominator * pow(effect, 2))
                / nullif(cast(f.denominator as double) * (f.denominator - 1), 0)
            ) as standard_error,
            case
                when not is_mature
                then null
                when least(g.site_children, g.other_children) = 0
                then 'not estimated: an arm without children'
                when not m.has_maximum
                then 'not estimated: no maximum'
                when f.denominator < 20
                then 'not estimated: under 20 pairs'
                when
                    least(
                        f.numerator + f.reference_numerator,
                        2 * f.denominator - f.numerator - f.reference_numerator
                    )
                    < 10
                then 'not estimated: under 10 events'
            end as not_estimated,
            case
                when is_mature and not_estimated is null and u.covariates > 0
                then 'arms not alike in ' || u.covariates || ' of their covariates'
            end as not_alike
        from framed as f
        inner join groups as g on f.period_start = g.period_start
        left join models as m on f.period_start = m.period_start
        left join unlike as u on f.period_start = u.period_start
        left join left_out as l on f.period_start = l.period_start
    ),

    summary as (
        select
            *,
            coalesce(not_estimated, not_alike) as withheld,
            case when not_estimated is null then round(effect, 6) end as value,
            case
                when not_estimated is null and standard_error > 0
                then round(effect - {{ z95() }} * standard_error, 6)
            end as ci_low,
            case
                when not_estimated is null and standard_error > 0
                then round(effect + {{ z95() }} * standard_error, 6)
            end as ci_high,
            'pair-clustered' as ci_method
        from judged
    )

    {{
    standard_rows(
        "summary",
        needs=["child_welfare", "court_team"],
        version="1.1.0",
        more=["reference_numerator", "reference_denominator"],
        withheld="withheld",
    )
}}
