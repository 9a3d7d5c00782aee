-- EVL-01: recurrence of maltreatment, Safe Babies children against children of counties without a
-- site. Basis: children under 36 months with a first substantiated report in the period, judged as
-- SAF-02. Variant svi_matched: counties nearest in social vulnerability; all_other_counties: every
-- county of the state without a site: odds ratio of the two by two table with Woolf's interval.
-- Variants …_clustered: the same by logistic regression with errors clustered by county. The arm is
-- its only covariate: the counties are matched instead.
with recursive
    periods as ({{ metric_periods() }}),

    victimizations as (
        select person_id, report_id, report_date, incident_date, county
        from {{ ref("fct_cps_report") }} as r
        where
            {{ is_substantiated("r") }}
            and not coalesce(is_unborn, false)
            and coalesce(is_victim, true)
            and report_date <= {{ cutoff() }}
    ),

    indexed as (
        select p.period_start, p.period_end, v.*
        from periods as p
        inner join victimizations as v on v.report_date between p.period_start and p.period_end
        inner join
            {{ ref("dim_person") }} as d
            on v.person_id = d.person_id
            and v.report_date >= d.dob
            and v.report_date < {{ add_months("d.dob", 36) }}
        qualify
            row_number() over (partition by p.period_start, v.person_id order by v.report_date, v.report_id)
            = 1
    ),

    judged as (
        select
            i.*,
            exists (
                select 1
                from victimizations as v
                where
                    v.person_id = i.person_id
                    and v.report_date > {{ add_days("i.report_date", 14) }}
                    and {{ within_window("v.report_date", "i.report_date", 12) }}
                    and coalesce(v.incident_date <> i.incident_date, true)
            ) as is_recurrence,
            -- Enrollment follows the report by some weeks; a later one would credit the site with
            -- the time before it.
            exists (
                select 1
                from {{ ref("fct_enrollment_sbct") }} as e
                where
                    e.person_id = i.person_id
                    and e.enrolled_date <= {{ add_days("i.report_date", var("evl_01_enrolled_within_days")) }}
                    and coalesce(e.closed_date >= i.report_date, true)
            ) as is_enrolled
        from indexed as i
    ),

    -- One release of the index for both sides: the last one not after the period.
    vulnerability as (
        select p.period_start, s.county_fips, s.rpl_themes, s.is_metro
        from periods as p
        inner join {{ ref("ref_svi") }} as s on s.year <= year(p.period_end)
        qualify s.year = max(s.year) over (partition by p.period_start)
    ),

    counties as (
        select
            p.period_start,
            c.county,
            v.rpl_themes,
            v.is_metro,
            exists (
                select 1
                from {{ ref("fct_enrollment_sbct") }} as e
                where e.county = c.county and e.enrolled_date <= p.period_end
            ) as has_site
        from periods as p
        cross join (select distinct county from victimizations where county is not null) as c
        left join vulnerability as v on p.period_start = v.period_start and c.county = v.county_fips
    ),

    candidates as (
        select
            o.period_start,
            s.county as site_county,
            o.county,
            cast(round(abs(o.rpl_themes - s.rpl_themes) * 1e6) as bigint) as distance
        from counties as o
        inner join
            counties as s
            on o.period_start = s.period_start
            and left(o.county, 2) = left(s.county, 2)
            -- Where nobody's class is known, all are of one.
            and o.is_metro is not distinct from s.is_metro
            and s.has_site
            and not o.has_site
        where distance <= cast(round({{ var("evl_01_svi_caliper") }} * 1e6) as bigint)
    ),

    -- One pair after the other: the site counties with fewest first, of these the nearest pair. A county
    -- that goes to
    -- another site is free for nobody, and one that was nearest to a full one goes on to the next.
    choices as (
        select
            period_start,
            cast([] as struct(site_county varchar, county varchar)[]) as pairs,
            {'site_county':'', 'county':''} as pair
        from periods
        union all
        select period_start, pairs || [pair], pair
        from
            (
                select
                    m.period_start,
                    m.pairs,
                    {'site_county':c.site_county, 'county':c.county} as pair,
                    len(list_filter(m.pairs, lambda p:p.site_county = c.site_county)) as matched_before,
                    row_number() over (
                        partition by m.period_start
                        order by matched_before, c.distance, c.site_county, c.county
                    ) as place
                from choices as m
                inner join candidates as c on m.period_start = c.period_start
                where
                    not list_contains(list_transform(m.pairs, lambda p:p.county), c.county)
                    and matched_before < {{ var("evl_01_counties_per_site") }}
            )
        where place = 1
    ),

    matched as (select period_start, pair.county as county from choices where len(pairs) > 0),

    arms as (
        select j.*, v.variant, 'site' as arm
        from judged as j
        cross join (values ('svi_matched'), ('all_other_counties')) as v(variant)
        where j.is_enrolled
        union all
        select j.*, 'svi_matched', 'comparison'
        from judged as j
        inner join matched as m on j.period_start = m.period_start and j.county = m.county
        where not j.is_enrolled
        union all
        select j.*, 'all_other_counties', 'comparison'
        from judged as j
        inner join counties as c on j.period_start = c.period_start and j.county = c.county and not c.has_site
        where not j.is_enrolled
    ),

    counted as (
        select
            'EVL-01' as metric_id,
            variant,
            period_start,
            period_end,
            cast(null as varchar) as stratum_site,
            'all' as stratum_type,
            'all' as stratum_value,
            count(*) filter (where arm = 'site' and is_recurrence) as numerator,
            count(*) filter (where arm = 'site') as denominator,
            count(*) filter (where arm = 'comparison' and is_recurrence) as reference_numerator,
            count(*) filter (where arm = 'comparison') as reference_denominator,
            0 as n_not_observable
        from arms
        group by all
    ),

    framed as (
        {{
            with_empty_periods(
                "counted", [["EVL-01", "svi_matched"], ["EVL-01", "all_other_counties"]], compared=true
            )
        }}
    ),

    counties_apart as (
        select
            variant,
            period_start,
            county,
            count(*) filter (where arm = 'site') as site_children,
            count(*) filter (where arm = 'site' and is_recurrence) as site_events,
            count(*) filter (where arm = 'comparison') as other_children,
            count(*) filter (where arm = 'comparison' and is_recurrence) as other_events
        from arms
        group by all
    ),

    -- Logistic regression on the arm alone: the estimates are the arms' own log odds, so each county's
    -- part of the score, and with it the sandwich variance, can be written down.
    clustered as (
        select
            c.variant,
            c.period_start,
            count(*) as counties,
            least(
                count(*) filter (where c.site_children > 0), count(*) filter (where c.other_children > 0)
            ) as counties_of_an_arm,
            bool_or(c.county is null) as lacks_county,
            sum(
                pow(
                    {{
                        logit_score(
                            "c.site_events", "c.site_children", "f.numerator", "f.denominator"
                        )
                    }}
                    - {{
                        logit_score(
                            "c.other_events",
                            "c.other_children",
                            "f.reference_numerator",
                            "f.reference_denominator",
                        )
                    }},
                    2
                )
            )
            * counties
            / nullif(counties - 1, 0) as variance
        from counties_apart as c
        inner join framed as f on c.variant = f.variant and c.period_start = f.period_start
        group by all
    ),

    ratios as (
        select
            *,
            {{ odds_ratio("numerator", "denominator", "reference_numerator", "reference_denominator") }}
            as ratio,
            {{
                log_odds_ratio_se(
                    "numerator", "denominator", "reference_numerator", "reference_denominator"
                )
            }} as log_se
        from framed
    ),

    estimates as (
        select *, 'woolf' as ci_method, cast(null as varchar) as withheld
        from ratios
        union all by name
        select
            r.* replace (
                r.variant || '_clustered' as variant, sqrt(nullif(round(c.variance, 12), 0)) as log_se
            ),
            'county-clustered' as ci_method,
            case
                when least(r.denominator, r.reference_denominator) = 0
                then 'not estimated: an arm without children'
                when c.lacks_county
                then 'not estimated: a child without a county'
                when r.ratio is null or r.ratio = 0
                then 'not estimated: nobody or everybody of an arm with recurrence'
                when
                    least(
                        r.numerator + r.reference_numerator,
                        r.denominator + r.reference_denominator - r.numerator - r.reference_numerator
                    )
                    < 10
                then 'not estimated: under 10 events'
                when c.counties < 20
                then 'not estimated: under 20 counties'
                when c.counties_of_an_arm < 5
                then 'not estimated: under 5 counties in an arm'
            end as withheld
        from ratios as r
        left join clustered as c on r.variant = c.variant and r.period_start = c.period_start
    ),

    summary as (
        select
            * replace (case when is_mature then withheld end as withheld),
            case when withheld is null then round(ratio, 6) end as value,
            case when withheld is null then round({{ ratio_limit("ratio", "log_se", -1) }}, 6) end as ci_low,
            case when withheld is null then round({{ ratio_limit("ratio", "log_se", 1) }}, 6) end as ci_high,
            case
                when withheld is null and ci_method = 'county-clustered' and is_mature
                then round({{ normal_p("ln(ratio) / log_se") }}, 6)
            end as p_value,
            cast(null as varchar) as n_excluded_by_rule
        from (select *, {{ add_months("period_end", 12) }} <= {{ cutoff() }} as is_mature from estimates)
    )

    {{
    standard_rows(
        "summary",
        needs=["child_welfare", "court_team"],
        version="1.2.1",
        more=["reference_numerator", "reference_denominator", "p_value"],
        withheld="withheld",
    )
}}
