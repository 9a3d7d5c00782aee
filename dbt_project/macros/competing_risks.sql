{#- Competing exits from care: Kaplan-Meier, Aalen-Johansen, landmarks. Sources: Kaplan and Meier (1958); Aalen and
    Johansen (1978); Aalen's variance as in Pintilie, Competing Risks (2006), equation 4.5; Greenwood (1926). -#}
{#-
    CTEs episodes, periods, entries and cohort: the child's first removal in each period, with its days in care, the
    reason it ended and the site it belongs to by intent to treat. Columns besides those of care_episodes: period_start,
    period_end, index_date, days (to the end or the cut-off), exclusion, site_id. A discharge dated before
    the removal takes the child out, and so does one without a reason unless ``any_reason``.
-#}
{% macro entry_cohort(any_reason=false) %}
    episodes as ({{ care_episodes(only=entered_in_periods()) }}),

    periods as ({{ metric_periods() }}),

    entries as (
        select
            p.period_start,
            p.period_end,
            e.*,
            e.removal_date as index_date,
            coalesce(e.end_date, {{ cutoff() }}) - e.removal_date as days,
            case
                when e.removal_date >= e.adult_on
                then 'age_18_or_more'
                when e.end_date < e.removal_date
                then 'exit_before_removal'
                {%- if not any_reason %}
                    when e.end_date is not null and e.end_reason is null then 'no_discharge_reason'
                {%- endif %}
            end as exclusion
        from periods as p
        inner join episodes as e on e.removal_date between p.period_start and p.period_end
        qualify
            row_number() over (partition by p.period_start, e.person_id order by e.removal_date, e.removal_id)
            = 1
    ),

    cohort as ({{ with_site("entries", "removal_date", until="end_date") }})
{%- endmacro %}

{#- The exit causes of EVL-04: 1 reunification, 2 relative or guardianship, 3 adoption, 4 without permanency. -#}
{% macro exit_cause(reason) -%}
    case
        when {{ reason }} = 'REUN'
        then 'reunification'
        when {{ reason }} in ('REL', 'GUARD')
        then 'relative_or_guardianship'
        when {{ reason }} = 'ADOPT'
        then 'adoption'
        when {{ reason }} is not null
        then 'non_permanency'
    end
{%- endmacro %}

{#-
    CTEs ending in ``curves``: one row per group, cause and day with an exit. ``rows`` has one row per child: the columns
    ``keys`` (the group), days, cause (null: still in care on that day), entered_day (the child is watched from the day
    after it; -1 for children watched from the start, so that an exit on day 0 counts; nobody leaves before being watched). Columns of ``curves``: keys, cause,
    day, at_risk, exits (any cause), events (this cause), events_so_far, survival (no exit at all, after this day),
    survival_variance, cif, cif_variance.
-#}
{% macro competing_risk_curves(rows, keys) %}
    moments as (
        select
            {{ keys | join(", ") }},
            day,
            sum(entering) as entering,
            sum(leaving) as leaving,
            sum(exiting) as exits
        from
            (
                select {{ keys | join(", ") }}, entered_day as day, 1 as entering, 0 as leaving, 0 as exiting
                from {{ rows }}
                where days > entered_day
                union all
                select {{ keys | join(", ") }}, days, 0, 1, cast(cause is not null as integer)
                from {{ rows }}
                where days > entered_day
            )
        group by all
    ),

    risk_sets as (
        select *, sum(entering) over earlier - sum(leaving) over earlier as at_risk
        from moments
        window
            earlier as (
                partition by {{ keys | join(", ") }}
                order by day
                rows between unbounded preceding and 1 preceding
            )
    ),

    survival_steps as (
        select
            {{ keys | join(", ") }},
            day,
            at_risk,
            exits,
            product(1 - exits / at_risk) over so_far as survival,
            coalesce(
                product(1 - exits / at_risk) over (
                    partition by {{ keys | join(", ") }}
                    order by day
                    rows between unbounded preceding and 1 preceding
                ),
                1
            ) as survival_before,
            sum(exits / nullif(at_risk * (at_risk - exits), 0)) over so_far as greenwood
        from risk_sets
        where exits > 0 and at_risk > 0
        window so_far as (partition by {{ keys | join(", ") }} order by day rows unbounded preceding)
    ),

    cause_events as (
        select {{ keys | join(", ") }}, days as day, cause, count(*) as events
        from {{ rows }}
        where cause is not null and days > entered_day
        group by all
    ),

    incidence_steps as (
        select
            s.*,
            c.cause,
            coalesce(e.events, 0) as events,
            sum(coalesce(e.events, 0)) over so_far as events_so_far,
            sum(survival_before * coalesce(e.events, 0) / s.at_risk) over so_far as cif,
            coalesce(s.exits / nullif((s.at_risk - 1) * (s.at_risk - s.exits), 0), 0) as a,
            coalesce(
                survival_before
                * coalesce(e.events, 0)
                * (s.at_risk - coalesce(e.events, 0))
                / nullif(s.at_risk * (s.at_risk - s.exits) * (s.at_risk - 1), 0),
                0
            ) as b,
            coalesce(
                pow(survival_before, 2)
                * coalesce(e.events, 0)
                * (s.at_risk - coalesce(e.events, 0))
                / nullif(pow(s.at_risk, 2) * (s.at_risk - 1), 0),
                0
            ) as c
        from survival_steps as s
        inner join
            (select distinct {{ keys | join(", ") }}, cause from cause_events) as c using (
                {{ keys | join(", ") }}
            )
        left join cause_events as e using ({{ keys | join(", ") }}, day, cause)
        window so_far as (partition by {{ keys | join(", ") }}, c.cause order by day rows unbounded preceding)
    ),

    curves as (
        select
            {{ keys | join(", ") }},
            cause,
            day,
            at_risk,
            exits,
            events,
            events_so_far,
            survival,
            pow(survival, 2) * greenwood as survival_variance,
            cif,
            -- The squares are multiplied out so that one pass is enough.
            greatest(
                pow(cif, 2) * sum(a) over so_far
                - 2 * cif * sum(a * cif) over so_far
                + sum(a * pow(cif, 2)) over so_far
                + sum(c) over so_far
                - 2 * (cif * sum(b) over so_far - sum(b * cif) over so_far),
                0
            ) as cif_variance
        from incidence_steps
        window so_far as (partition by {{ keys | join(", ") }}, cause order by day rows unbounded preceding)
    )
{%- endmacro %}

{#-
    Standard rows of cumulative incidences at horizons. ``units`` has one row per child judged: period_start, period_end,
    person_id, index_date, site_id, county, exclusion, curve (children of one curve are followed together), days, cause,
    entered_day (see competing_risk_curves). ``cells`` lists (metric_id, variant, curve, cause, months). Each horizon ends
    months x 30.4375 days after day 0 and is judged once the last child of the period has been watched that long;
    ``landmark_days`` lie between the index date and day 0. ``sites_only``: curves shown for sites alone. ``show_immature``:
    before it is judged a horizon is shown, flagged, once anybody was followed that long.
-#}
{% macro incidence_rows(
    units, cells, needs, version, landmark_days=0, sites_only=[], show_immature=false
) %}
    {%- set keys = ["period_start", "curve", "stratum_type", "stratum_value"] -%}
    {%- set measures = [] -%}
    {%- for cell in cells if cell[2] not in sites_only -%}
        {%- do measures.append([cell[0], cell[1]]) -%}
    {%- endfor %}
    stratified as ({{ stratified(units) }}),

    followed as (
        select *
        from stratified
        where
            exclusion is null and stratum_value is not null
            {%- for curve in sites_only %} and (curve <> '{{ curve }}' or stratum_type = 'site') {%- endfor %}
    ),

    {{ competing_risk_curves("followed", keys) }},

    cells as (
        select *
        from
            (
                values
                    {%- for metric_id, variant, curve, cause, months in cells %}
                        ('{{ metric_id }}', '{{ variant }}', '{{ curve }}', '{{ cause }}', {{ months }})
                        {{- "," if not loop.last }}
                    {%- endfor %}
            ) as cell(metric_id, variant, curve, cause, months)
    ),

    groups as (
        select
            period_start,
            period_end,
            curve,
            stratum_site,
            stratum_type,
            stratum_value,
            count(*) filter (where exclusion is null and days > entered_day) as denominator,
            max(days) filter (where exclusion is null) as followed_days,
            to_json(histogram(exclusion)) as n_excluded_by_rule
        from stratified
        where
            stratum_value is not null
            {%- for curve in sites_only %} and (curve <> '{{ curve }}' or stratum_type = 'site') {%- endfor %}
        group by all
    ),

    counted as (
        select
            c.metric_id,
            c.variant,
            c.months,
            g.* exclude (curve),
            0 as n_not_observable,
            coalesce(max(s.events_so_far), 0) as numerator,
            coalesce(max(s.cif), 0) as cif,
            max_by(s.cif_variance, s.day) as cif_variance
        from groups as g
        inner join cells as c on g.curve = c.curve
        left join
            curves as s
            on g.period_start = s.period_start
            and g.curve = s.curve
            and g.stratum_type = s.stratum_type
            and g.stratum_value = s.stratum_value
            and c.cause = s.cause
            and s.day <= c.months * 30.4375
        group by all
    ),

    framed as ({{ with_empty_periods("counted", measures) }}),

    summary as (
        select
            cast({{ add_days("f.period_end", landmark_days) }} + to_months(c.months) as date)
            <= {{ cutoff() }} as is_mature,
            is_mature or coalesce(f.followed_days >= c.months * 30.4375, false) as is_shown,
            f.* exclude (months, followed_days, numerator),
            case when is_shown then f.numerator end as numerator,
            case when is_shown and f.denominator > 0 then round(cif, 6) end as value,
            case when is_shown then round({{ log_log_limit("cif", "cif_variance", -1) }}, 6) end as ci_low,
            case when is_shown then round({{ log_log_limit("cif", "cif_variance", 1) }}, 6) end as ci_high,
            'aalen log-log' as ci_method
        from framed as f
        inner join cells as c using (metric_id, variant)
    )

    {{ standard_rows("summary", needs, version, show_immature=show_immature) }}
{% endmacro %}

{#- One cell of incidence_rows per horizon: ``causes`` maps the beginning of the variant's name to the cause. -#}
{% macro horizon_cells(metric_id, causes, months=[6, 12, 18, 24, 36], curve="entry") -%}
    {%- set cells = [] -%}
    {%- for prefix, cause in causes.items() -%}
        {%- for month in months -%}
            {%- do cells.append([metric_id, prefix ~ month ~ "_months", curve, cause, month]) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(cells) }}
{%- endmacro %}

{#- CTE units for EVL-04 and its curves: the entry cohort followed by cause, for any exit, and from enrollment on. -#}
{% macro exit_causes() %}
    caused as (select * exclude (end_reason), {{ exit_cause("end_reason") }} as cause from cohort),

    units as (
        select *, 'entry' as curve, -1 as entered_day
        from caused
        union all
        select * replace (case when cause is not null then 'any' end as cause), 'any_exit', -1
        from caused
        union all
        select
            c.*,
            'delayed_entry',
            greatest(
                coalesce(
                    (
                        select min(s.enrolled_date)
                        from {{ ref("fct_enrollment_sbct") }} as s
                        where
                            s.person_id = c.person_id
                            and s.site_id = c.site_id
                            and coalesce(s.closed_date, {{ cutoff() }}) >= c.removal_date
                    )
                    - c.removal_date,
                    -1
                ),
                -1
            )
        from caused as c
        where c.site_id is not null
    )
{%- endmacro %}
