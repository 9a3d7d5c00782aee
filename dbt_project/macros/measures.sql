{#- What every measure shares: care episodes, site attribution, observability and the standard output row. -#}
{#-
    Removal episodes as measures see them: known at the cut-off, and ended, without permanency, on the 18th birthday.
    Columns: removal_id, person_id, county, removal_date, end_date, end_reason, adult_on. ``only``: a condition on fct_removal
    r that leaves the others aside.
-#}
{% macro care_episodes(only="true") -%}
    select
        removal_id,
        person_id,
        county,
        removal_date,
        case
            when least(discharge_date, adult_on) <= {{ cutoff() }} then least(discharge_date, adult_on)
        end as end_date,
        case
            when adult_on <= least(coalesce(discharge_date, {{ cutoff() }}), {{ cutoff() }})
            then 'AGE_18'
            when discharge_date <= {{ cutoff() }}
            then discharge_reason
        end as end_reason,
        adult_on
    from
        (
            select r.*, {{ add_months("p.dob", 216) }} as adult_on
            from {{ ref("fct_removal") }} as r
            left join {{ ref("dim_person") }} as p on r.person_id = p.person_id
            where {{ only }}
        )
    where removal_date <= {{ cutoff() }}
{%- endmacro %}

{#- Conditions on fct_removal ``r``: entered in a period; not known to be over before the first one begins. -#}
{% macro entered_in_periods(r="r") -%}
    {{ r }}.removal_date between {{ first_period_day() }} and {{ last_period_day() }}
{%- endmacro %}

{% macro not_over_before_periods(r="r") -%}
    greatest({{ r }}.removal_date, coalesce({{ r }}.discharge_date, date 'infinity'))
    >= least({{ first_period_day() }}, {{ cutoff() }})
{%- endmacro %}

{#- Exits that count as permanency (C11). -#}
{% macro is_permanency(reason) -%}
    coalesce({{ reason }} in ('REUN', 'REL', 'GUARD', 'ADOPT'), false)
{%- endmacro %}

{#- A finding of maltreatment made by the cut-off; ``r`` names a row of fct_cps_report. -#}
{% macro is_substantiated(r) -%}
    ({{ r }}.disposition in ('SUBST', 'INDIC') and coalesce({{ r }}.disposition_date <= {{ cutoff() }}, true))
{%- endmacro %}

{#-
    The rows of ``units`` with site_id added: the site of the Safe Babies enrolment active on ``index_date`` (C16) or,
    where ``until`` is given, else the first enrolment that starts after it and no later than ``until`` (intent to treat:
    entry cohorts are enrolled after the removal).
-#}
{% macro with_site(units, index_date, until=none) -%}
    select
        u.*,
        (
            select min_by(e.site_id, strftime(e.enrolled_date, '%Y%m%d') || e.site_id)
            from {{ ref("fct_enrollment_sbct") }} as e
            where
                e.person_id = u.person_id
                and (
                    (
                        e.enrolled_date <= u.{{ index_date }}
                        and coalesce(e.closed_date, {{ cutoff() }}) >= u.{{ index_date }}
                    )
                    {%- if until is not none %}
                        or (
                            e.enrolled_date > u.{{ index_date }}
                            and e.enrolled_date <= coalesce(u.{{ until }}, {{ cutoff() }})
                        )
                    {%- endif %}
                )
        ) as site_id
    from {{ units }} as u
{%- endmacro %}

{#-
    True when every event of ``person`` in ``system`` between the two dates would be seen. Spans that overlap or touch cover
    together: one that starts on the day another ends, or the day after. A jurisdiction without fct_observability: when the
    person has a record number of that system (catalogue, section 16).
-#}
{% macro is_observable(person, system, from_date, to_date) -%}
    case
        when (select count(*) from {{ ref("fct_observability") }}) = 0
        then
            exists (
                select 1
                from {{ ref("bridge_source_id") }} as b
                where b.person_id = {{ person }} and {{ is_system("b.source_system", system) }}
            )
        else
            exists (
                select 1
                {%- if from_date == to_date %} from {{ ref("fct_observability") }} as o
                {%- else %} from ({{ unbroken_observability(system) }}) as o
                {%- endif %}
                where
                    o.person_id = {{ person }}
                    and {{ is_system("o.source_system", system) }}
                    and o.from_date <= {{ from_date }}
                    and coalesce(o.to_date >= {{ to_date }}, true)
            )
    end
{%- endmacro %}

{#- fct_observability of one system, spans that overlap or touch as one. -#}
{% macro unbroken_observability(system) -%}
    select person_id, '{{ system }}' as source_system, min(from_date) as from_date, max(until) as to_date
    from
        (
            select *, count(*) filter (where is_apart) over earlier as stretch
            from
                (
                    select
                        *,
                        coalesce(to_date, date '9999-12-30') as until,
                        coalesce(
                            from_date > max(until) over (
                                partition by person_id
                                order by from_date, until
                                rows between unbounded preceding and 1 preceding
                            )
                            + 1,
                            true
                        ) as is_apart
                    from {{ ref("fct_observability") }}
                    where {{ is_system("source_system", system) }} and from_date is not null
                )
            window earlier as (partition by person_id order by from_date, until)
        )
    group by person_id, stretch
{%- endmacro %}

{#- "stale since D" when a source the measure needs is past its promised age; else null. -#}
{% macro stale_since(needs) -%}
    {%- set dates = [] -%}
    {%- for system in needs if system in var("stale_sources") -%}
        {%- do dates.append(var("stale_sources")[system] | string) -%}
    {%- endfor -%}
    {%- if dates -%} 'stale since {{ dates | min }}'
    {%- else -%} cast(null as varchar)
    {%- endif -%}
{%- endmacro %}

{#-
    The standard output row (catalogue 1.7) from ``summary``, whose columns are metric_id, variant, period_start,
    period_end, stratum_site, stratum_type, stratum_value, numerator, denominator, value, ci_low, ci_high, ci_method,
    n_excluded_by_rule, n_not_observable, is_mature. Not mature means no numerator and no value, never a partial one.
    ``withheld``: the column that says why a row has no value where it could not be estimated. ``match_rate``: the column that
    has it where it is not that of the row's own counts (a linked measure's).
-#}
{% macro standard_rows(
    summary, needs, version, linked=false, show_immature=false, more=[], withheld=none, match_rate=none
) -%}
    {%- set judged = "true" if show_immature else "s.is_mature" -%}
    {%- if linked -%}
        {%- set match_rate = "s.denominator / nullif(s.denominator + s.n_not_observable, 0)" -%}
    {%- endif -%}
    select
        s.metric_id,
        '{{ version }}' as metric_version,
        s.variant,
        s.period_start,
        s.period_end,
        s.stratum_site as site_id,
        s.stratum_type,
        s.stratum_value,
        case when {{ judged }} then cast(s.numerator as bigint) end as numerator,
        cast(s.denominator as bigint) as denominator,
        case when {{ judged }} then cast(s.value as double) end as value,
        case when {{ judged }} then cast(s.ci_low as double) end as ci_low,
        case when {{ judged }} then cast(s.ci_high as double) end as ci_high,
        case when {{ judged }} and s.ci_low is not null then s.ci_method end as ci_method,
        cast(coalesce(s.n_excluded_by_rule, '{}') as varchar) as n_excluded_by_rule,
        cast(s.n_not_observable as bigint) as n_not_observable,
        cast({{ match_rate or "null" }} as double) as match_rate,
        case
            when not s.is_mature then 'not mature' else coalesce({{ stale_since(needs) }}, 'mature')
        end as maturity_flag,
        {#- The default small-cell rule (1.8, SUP-1, SUP-9) and the match-rate floor (C14). Marked here, hidden at the
            release gate: a court team's own page may show what a public one may not. #}
        case
            {%- if withheld %} when s.{{ withheld }} is not null then s.{{ withheld }} {%- endif %}
            when s.numerator between 1 and 10
            then 'numerator 1 to 10'
            when s.denominator between 1 and 10
            then 'denominator 1 to 10'
            when s.denominator - s.numerator between 1 and 10
            then 'difference 1 to 10'
            when s.denominator between 1 and 29
            then 'denominator under 30'
            {%- if "reference_numerator" in more %}
                when
                    s.reference_numerator between 0 and 10
                    or s.reference_denominator between 0 and 29
                    or s.reference_denominator - s.reference_numerator between 1 and 10
                then 'group compared with under 30 or at most 10 events'
                when s.numerator = 0
                then 'no events'
            {%- endif %}
            -- Stability: STA-1 for proportions, STA-2 and STA-3 for rates.
            when s.ci_method = 'wilson' and s.ci_high - s.ci_low > 0.3
            then 'interval wider than 30 points'
            when s.ci_method = 'garwood' and s.denominator > 0 and s.numerator < 10
            then 'under 10 events'
            when s.ci_method = 'garwood' and s.ci_high - s.ci_low > 1.6 * s.value
            then 'interval wider than 160 % of the rate'
            when s.ci_method = 'garwood' and s.stratum_type <> 'all' and s.numerator < 20
            then 'unstable: under 20 events'
            {%- if match_rate %}
                when {{ match_rate }} < {{ var("match_rate_floor") }} then 'match rate under the floor'
            {%- endif %}
        end as suppress_reason,
        suppress_reason is not null as suppress_flag,
        b.shown.value as benchmark_value,
        b.shown.source as benchmark_source,
        {{ cutoff() }} as data_cutoff
        {%- for column in more %}, s.{{ column }}{% endfor %}
    from
        (
            select
                *,
                (metric_id, stratum_type) in (
                    select (metric_id, stratum_type) from {{ ref("ref_benchmark") }}
                ) as has_benchmark_of_its_own
            from {{ summary }}
        ) as s
    left join
        (
            select
                metric_id,
                variant,
                stratum_type,
                stratum_value,
                first(
                    {'value':value, 'source':source}
                    order by is_headline is not false desc, period desc, source
                ) as shown
            from {{ ref("ref_benchmark") }}
            group by all
            -- Rows kept for reading beside the measure are never the figure it is held against. A group has
            -- its own.
            having bool_or(coalesce(is_headline, true)) or stratum_value is not null
        ) as b
        on s.metric_id = b.metric_id
        and coalesce(b.variant = s.variant, true)
        and case
            when s.has_benchmark_of_its_own
            then b.stratum_type = s.stratum_type and b.stratum_value = s.stratum_value
            else b.stratum_value is null
        end
{%- endmacro %}

{#-
    ``counted`` plus one empty row for the jurisdiction in every period in which a measure had no unit at all. ``periods``
    is a query giving period_start and period_end where they are not the metric periods. ``compared``: the measure holds two
    groups against each other, of which there is nobody either.
-#}
{% macro with_empty_periods(counted, measures, periods=none, compared=false) -%}
    select *
    from {{ counted }}
    union all by name
    select
        m.metric_id,
        m.variant,
        p.period_start,
        p.period_end,
        'all' as stratum_type,
        'all' as stratum_value,
        0 as numerator,
        0 as denominator,
        {% if compared %} 0 as reference_numerator, 0 as reference_denominator, {% endif %}
        0 as n_not_observable
    from
        (
            values
                {%- for metric_id, variant in measures %}
                    ('{{ metric_id }}', '{{ variant }}'){{ "," if not loop.last }}
                {%- endfor %}
        ) as m(metric_id, variant)
    cross join ({{ periods or metric_periods() }}) as p
    where
        not exists (
            select 1
            from {{ counted }} as c
            where
                c.metric_id = m.metric_id
                and c.variant = m.variant
                and c.period_start = p.period_start
                and c.stratum_type = 'all'
        )
{%- endmacro %}

{#-
    Standard rows of a proportion. ``units`` has one row per unit judged: metric_id, variant, period_start, period_end,
    site_id, county, exclusion (the rule that takes it out, else null), is_observable, is_numerator. ``measures`` lists the
    (metric_id, variant) pairs, so that a period in which nobody qualified still has its row, with value null.
    ``follow_up_months``: a period is judged only when it ended that long before the cut-off (C5); none where each unit
    carries its own maturity. ``matures_on``: the date itself, where it does not hang on the period's end. ``periods``: see
    with_empty_periods. ``show_immature``: the value is shown before its time, flagged.
-#}
{% macro proportion_rows(
    units, measures, needs, version, linked=false, follow_up_months=0, matures_on=none, periods=none, show_immature=false
) %}
    {%- set judged = "sum(n) filter (where exclusion is null and " -%}
    {%- set sums = [
        ["numerator", judged ~ "is_observable and is_numerator)"],
        ["denominator", judged ~ "is_observable)"],
        ["n_not_observable", judged ~ "not is_observable)"],
    ] %}
    counted as ({{ summed_by_group(units, sums, ["is_observable", "is_numerator"]) }}),

    framed as ({{ with_empty_periods("counted", measures, periods) }}),

    {%- set is_mature -%}
        {% if matures_on is not none %} {{ matures_on }} <= {{ cutoff() }}
        {% elif follow_up_months is none %} true
        {% else %} {{ add_months("period_end", follow_up_months) }} <= {{ cutoff() }}
        {% endif %} as is_mature
    {%- endset %}
    {%- set standardised = age_standardised(
        units,
        measures,
        "count(*) filter (where s.is_observable and s.is_numerator)",
        "count(*) filter (where s.is_observable)",
        "(events / exposure) * (1 - events / exposure) / exposure",
    ) %}
    {{ standardised }}

    summary as (
        select
            *,
            numerator / nullif(denominator, 0) as value,
            {{ wilson_low("numerator", "denominator") }} as ci_low,
            {{ wilson_high("numerator", "denominator") }} as ci_high,
            'wilson' as ci_method,
            {{ is_mature }}
        from framed
        {%- if standardised | trim %}
            union all by name
            select * exclude (standard_error), {{ is_mature }}
            from standardised
        {%- endif %}
    )

    {{ standard_rows("summary", needs, version, linked, show_immature) }}
{% endmacro %}
