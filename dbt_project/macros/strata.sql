{#-
    The rows of ``units`` once for every group they are shown in, with stratum_site, stratum_type and stratum_value added.
    ``units`` carries person_id and index_date (null where the unit is no person), site_id and county. Ages are those on
    the index date, in the federal bands with their subtotal under 1 year and the program's band under 36 months; entry
    year, prior removals and the reason are those of the episode the person is in on that day. race_any counts a person
    in every race named, alone or with others. A race or ICWA status nobody recorded is MISSING or UNKNOWN; what else is not
    known of a unit gives it no group.
-#}
{% macro stratified(units) -%}
    {%- set strata = var("metric_strata") -%}
    {%- set groups = [["all", "'all'"], ["site", "u.site_id"], ["county", "u.county"]] -%}
    {%- set of_person = ["race_eth", "race_any", "age_band", "sex", "icwa"] | select("in", strata) | list -%}
    {%- set of_episode = ["entry_year", "prior_removal", "substance_use_removal"] | select("in", strata) | list -%}
    {%- set in_care = "r.discharge_date >= u.index_date" -%}
    {%- do groups.append(["race_eth", "case when u.person_id is not null then coalesce(p.race_eth, 'MISSING') end"]) -%}
    {%- for race in ["aian", "asian", "black", "nhpi", "white", "hispanic"] -%}
        {%- do groups.append(["race_any", "case when p.race_any_" ~ race ~ " then '" ~ race | upper ~ "' end"]) -%}
    {%- endfor -%}
    {%- do groups.append(["age_band", age_band("p.dob", "u.index_date")]) -%}
    {%- for months, band in [[12, "<1 yr"], [36, "<36 mo"]] -%}
        {%- set limit = add_months("p.dob", months) -%}
        {%- do groups.append(
            [
                "age_band",
                "case when u.index_date >= p.dob and u.index_date < " ~ limit ~ " then '" ~ band ~ "' end",
            ]
        ) -%}
    {%- endfor -%}
    {%- set groups = groups + [
        ["sex", "p.sex"],
        ["icwa", "case when u.person_id is not null then coalesce(p.icwa_status, 'UNKNOWN') end"],
        ["entry_year", "case when " ~ in_care ~ " then year(r.removal_date) end"],
        ["prior_removal", "case when " ~ in_care ~ " then case when r.prior_removals > 0 then '1+' when r.prior_removals = 0 then '0' end end"],
        ["substance_use_removal", "case when " ~ in_care ~ " then case when r.is_substance_use then 'Y' when not r.is_substance_use then 'N' end end"],
    ] -%}
    select
        u.*,
        unnest(
            list_filter(
                [
                    {%- for type, value in groups if type in strata %}
                        {
                            'stratum_type':'{{ type }}',
                            'stratum_value':cast({{ value }} as varchar),
                            'stratum_site':cast({{ "u.site_id" if type == "site" else "null" }} as varchar)
                        }
                        {{- "," if not loop.last }}
                    {%- endfor %}
                ],
                lambda stratum:stratum.stratum_value is not null
            ),
            recursive := true
        )
    from {{ units }} as u
    {%- if of_person %} left join {{ ref("dim_person") }} as p on u.person_id = p.person_id {%- endif %}
    {%- if of_episode %}
        asof left join
            (
                select
                    person_id,
                    removal_date,
                    max(coalesce(discharge_date, date '9999-12-31')) as discharge_date,
                    max(prior_removals) as prior_removals,
                    bool_or(has_substance_use_reason) as is_substance_use
                from {{ ref("fct_removal") }}
                where person_id is not null and removal_date is not null
                group by person_id, removal_date
            ) as r
            on u.person_id = r.person_id
            and u.index_date >= r.removal_date
    {%- endif %}
{%- endmacro %}

{#- Federal age band on ``day``, in completed months and years (C6); null before birth and from 18 on. -#}
{% macro age_band(dob, day) -%}
    case
        when {{ day }} < {{ dob }}
        then null
        {%- for months, band in [
            [4, "0-3 mo"],
            [12, "4-11 mo"],
            [72, "1-5"],
            [132, "6-10"],
            [204, "11-16"],
            [216, "17"],
        ] %}
            when {{ day }} < {{ add_months(dob, months) }} then '{{ band }}'
        {%- endfor %}
    end
{%- endmacro %}
