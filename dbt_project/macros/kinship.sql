{#-
    CTEs up to ``placed``: the entry cohort of the kinship measures. Columns besides those of entry_cohort: rule (why the
    child is out, else null), is_first_kin, first_kin_date, move_count. ``min_stay``: days under which a completed stay is out.
-#}
{% macro kin_cohort(min_stay=0) %}
    {{ entry_cohort(any_reason=true) }},

    settings as ({{ settings("cohort") }}),

    homes as (
        select
            removal_id,
            bool_or(is_kin) filter (where setting_number = 1) as is_first_kin,
            min(setting_start) filter (where is_kin) as first_kin_date,
            count(*) filter (where is_move) as move_count
        from settings
        group by removal_id
    ),

    placed as (
        select
            c.*,
            h.is_first_kin,
            h.first_kin_date,
            h.move_count,
            case
                when c.exclusion is not null
                then c.exclusion
                {%- if min_stay %}
                    when c.end_date - c.removal_date < {{ min_stay }} then 'stay_under_{{ min_stay }}_days'
                {%- endif %}
                when h.removal_id is null
                then 'no_placement'
            end as rule
        from cohort as c
        left join homes as h on c.removal_id = h.removal_id
    )
{%- endmacro %}
