{#-
    Standard rows of permanency within 12 months of the period's first day (CFSR P2 and P3), for children in care on it
    for at least ``from_months`` and less than ``to_months`` completed months. A child discharged on the day itself was in
    care; of several open episodes the earliest counts. Variants: warehouse, federal_comparable.
-#}
{% macro stock_permanency_rows(metric_id, from_months, to_months, version) %}
    with
        episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

        periods as ({{ metric_periods() }}),

        in_care as (
            select p.period_start, p.period_end, p.period_start as index_date, e.*
            from periods as p
            inner join
                episodes as e
                on e.removal_date <= p.period_start
                and coalesce(e.end_date >= p.period_start, true)
            qualify
                row_number() over (
                    partition by p.period_start, e.person_id order by e.removal_date, e.removal_id
                )
                = 1
        ),

        judged as (
            select
                c.*,
                case
                    when c.index_date >= c.adult_on
                    then 'age_18_or_more'
                    when c.end_date is not null and c.end_reason is null
                    then 'no_discharge_reason'
                end as exclusion,
                {{ is_reentry_unseen("c") }} as is_unseen
            from in_care as c
            where
                {{ add_months("c.removal_date", from_months) }} <= c.index_date
                {%- if to_months is not none %}
                    and {{ add_months("c.removal_date", to_months) }} > c.index_date
                {%- endif %}
        ),

        sited as ({{ with_site("judged", "index_date") }}),

        units as (
            select
                '{{ metric_id }}' as metric_id,
                v.variant,
                u.period_start,
                u.period_end,
                u.person_id,
                u.index_date,
                u.site_id,
                u.county,
                coalesce(
                    u.exclusion,
                    case
                        when v.variant = 'federal_comparable' and u.is_unseen
                        then 'exit_and_reentry_in_one_federal_file'
                    end
                ) as exclusion,
                true as is_observable,
                coalesce(
                    {{ is_permanency("u.end_reason") }}
                    and {{ within_window("u.end_date", "u.index_date", 12) }}
                    and coalesce(u.end_date < u.adult_on, true),
                    false
                ) as is_numerator
            from sited as u
            cross join (values ('warehouse'), ('federal_comparable')) as v(variant)
        ),

        {{
            proportion_rows(
                "units",
                measures=[[metric_id, "warehouse"], [metric_id, "federal_comparable"]],
                needs=["child_welfare"],
                version=version,
                matures_on=add_months("period_start", 12),
            )
        }}
{% endmacro %}
