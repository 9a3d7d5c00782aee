{#-
    The rows of ``units`` once for every group they are shown in, with stratum_site, stratum_type and stratum_value added.
    ``units`` carries person_id and index_date (null where the unit is no person), site_id and county. Ages are those on
    the index date, in the federal bands with their subtotal under 1 year and the program's band under 36 months; entry
    year, prior removals and the reason are those of the episode the person is in on that day. race_any counts a person
    in every race named, alone or with others. A race or ICWA status nobody recorded is MISSING or UNKNOWN; what else is not
    known of a unit gives it no group.
    With ``alike``, a list of columns of units, the units that are alike in them and in all their groups are one row: those
    columns and ``totals``, a list of aggregates with their names. A sum over groups then passes over some thousand rows
    instead of every unit a dozen times.
-#}
{% macro stratified(units, alike=[], totals=[]) -%}
    {%- set strata = var("metric_strata") -%}
    {%- set of_person = ["race_eth", "race_any", "age_band", "sex", "icwa"] | select("in", strata) | list -%}
    {%- set of_episode = ["entry_year", "prior_removal", "substance_use_removal"] | select("in", strata) | list -%}
    {%- set in_care = "r.discharge_date >= u.index_date" -%}
    {#- What is looked up for each unit, and the groups that follow from it. -#}
    {%- set found = [
        ["site", "u.site_id"],
        ["county", "u.county"],
        ["race_eth", "case when u.person_id is not null then coalesce(p.race_eth, 'MISSING') end"],
        ["age_band", completed_months("p.dob", "u.index_date")],
        ["sex", "p.sex"],
        ["icwa", "case when u.person_id is not null then coalesce(p.icwa_status, 'UNKNOWN') end"],
        ["entry_year", "case when " ~ in_care ~ " then year(r.removal_date) end"],
        ["prior_removal", "case when " ~ in_care ~ " then sign(r.prior_removals) end"],
        ["substance_use_removal", "case when " ~ in_care ~ " then r.is_substance_use end"],
    ] | selectattr(0, "in", strata) | list -%}
    {%- set shown = [
        ["all", "'all'"],
        ["site", "found_site"],
        ["county", "found_county"],
        ["race_eth", "found_race_eth"],
        ["age_band", band_of("found_age_band")],
        ["age_band", "case when found_age_band in (4, 12) then '<1 yr' end"],
        ["age_band", "case when found_age_band in (4, 12, 36) then '<36 mo' end"],
        ["sex", "found_sex"],
        ["icwa", "found_icwa"],
        ["entry_year", "found_entry_year"],
        ["prior_removal", "case found_prior_removal when 1 then '1+' when 0 then '0' end"],
        ["substance_use_removal", "case when found_substance_use_removal then 'Y' when not found_substance_use_removal then 'N' end"],
    ] -%}
    {%- if "race_any" in strata -%}
        {%- for race in ["aian", "asian", "black", "nhpi", "white", "hispanic"] -%}
            {%- do found.append([race, "p.race_any_" ~ race]) -%}
            {%- do shown.append(["race_any", "case when found_" ~ race ~ " then '" ~ race | upper ~ "' end"]) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set band = limit_over("found_age_band") ~ " as found_age_band" -%}
    select *
    from
        (
            select
                *
                {%- if found %}
                    exclude (
                        {%- for name, _ in found -%}
                            found_{{ name }} {{- ", " if not loop.last }}
                        {%- endfor -%}
                    )
                {%- endif %},
                unnest(
                    [
                        {%- for type, _ in shown if type in strata -%}
                            '{{ type }}' {{- ", " if not loop.last }}
                        {%- endfor -%}
                    ]
                ) as stratum_type,
                unnest(
                    [
                        {%- for type, value in shown if type in strata %}
                            cast({{ value }} as varchar) {{- "," if not loop.last }}
                        {%- endfor %}
                    ]
                ) as stratum_value,
                {%- if "site" in strata %}
                    case when stratum_type = 'site' then stratum_value end as stratum_site
                {%- else %} cast(null as varchar) as stratum_site
                {%- endif %}
            from
                (
                    select
                        {%- if alike %}
                            {%- for column in alike %} {{ column }}, {%- endfor %}
                            {%- for name, _ in found %}
                                {{ band if name == "age_band" else "found_" ~ name }},
                            {%- endfor %}
                            {{ totals | join(", ") }}
                        {%- else %} * {%- if "age_band" in strata %} replace ({{ band }}) {%- endif %}
                        {%- endif %}
                    from
                        (
                            select
                                u.*
                                {%- for name, value in found %}, {{ value }} as found_{{ name }} {%- endfor %}
                            from {{ units }} as u
                            {%- if of_person %}
                                left join {{ ref("dim_person") }} as p on u.person_id = p.person_id
                            {%- endif %}
                            {%- if of_episode %}
                                -- The last removal no later than the index date, as comparisons a hash join
                                -- takes along.
                                left join
                                    (
                                        select
                                            person_id,
                                            removal_date,
                                            coalesce(
                                                lead(removal_date) over (
                                                    partition by person_id order by removal_date
                                                ),
                                                date 'infinity'
                                            ) as next_removal_date,
                                            max(
                                                coalesce(discharge_date, date '9999-12-31')
                                            ) as discharge_date,
                                            max(prior_removals) as prior_removals,
                                            bool_or(has_substance_use_reason) as is_substance_use
                                        from {{ ref("fct_removal") }}
                                        where removal_date is not null and {{ is_of(units) }}
                                        group by person_id, removal_date
                                    ) as r
                                    on u.person_id = r.person_id
                                    and u.index_date >= r.removal_date
                                    and u.index_date < r.next_removal_date
                            {%- endif %}
                        )
                    {%- if alike %} group by all {%- endif %}
                )
        )
    where stratum_value is not null
{%- endmacro %}

{#- Age on ``day`` in completed months, a month's end clamped as in add_months; null before birth. -#}
{% macro completed_months(dob, day) -%}
    {%- set months = "date_diff('month', " ~ dob ~ ", " ~ day ~ ")" -%}
    case
        when {{ day }} >= {{ dob }}
        then {{ months }} - cast({{ day }} < {{ dob }} + to_months(cast({{ months }} as integer)) as integer)
    end
{%- endmacro %}

{#- The limit, in months, of the age group that ``months`` lie in; null from 18 years on. -#}
{% macro limit_over(months) -%}
    case
        {%- for limit in [4, 12, 36, 72, 132, 204, 216] %}
            when {{ months }} < {{ limit }} then {{ limit }}
        {%- endfor %}
    end
{%- endmacro %}

{#- The federal age band that ends at so many completed months (C6). -#}
{% macro band_of(limit) -%}
    case
        {{ limit }}
        when 4
        then '0-3 mo'
        when 12
        then '4-11 mo'
        when 36
        then '1-5'
        when 72
        then '1-5'
        when 132
        then '6-10'
        when 204
        then '11-16'
        when 216
        then '17'
    end
{%- endmacro %}

{#-
    A query with one row per measure, variant, period and group of ``units``: the sums in ``sums``, (name, SQL) over rows of
    units that are alike, of which there are n, and n_excluded_by_rule (JSON: units taken out, by rule; null where there is
    none). ``alike`` and ``totals``: see stratified; exclusion and what tells the units' measures apart are added.
-#}
{% macro summed_by_group(units, sums, alike=[], totals=[]) -%}
    {%- set keys = ["metric_id", "variant", "period_start", "period_end"] -%}
    {%- set groups = keys + ["stratum_site", "stratum_type", "stratum_value"] -%}
    select
        {{ groups | join(", ") }},
        {%- for name, _ in sums %} coalesce(sum({{ name }}), 0) as {{ name }}, {%- endfor %}
        to_json(
            case
                when count(exclusion) > 0
                then
                    map(
                        list(exclusion order by exclusion) filter (where exclusion is not null),
                        list(n_of_rule order by exclusion) filter (where exclusion is not null)
                    )
            end
        ) as n_excluded_by_rule
    from
        (
            select
                {{ groups | join(", ") }},
                exclusion,
                {%- for name, value in sums %} {{ value }} as {{ name }}, {%- endfor %}
                cast(sum(n) as bigint) as n_of_rule
            from ({{ stratified(units, keys + ["exclusion"] + alike, ["count(*) as n"] + totals) }})
            group by all
        )
    group by {{ groups | join(", ") }}
{%- endmacro %}
