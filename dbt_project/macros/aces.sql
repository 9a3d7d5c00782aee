{#-
    Parents with a usable ACE score (at least 8 of 10 items answered, where the items are counted): person_id and their
    highest score known at the cut-off.
-#}
{% macro scored_parents() -%}
    select person_id, max(score) as score
    from {{ ref("fct_ace") }}
    where
        score between 0 and 10
        and coalesce(items_answered >= 8, true)
        and coalesce(assessed_date <= {{ cutoff() }}, true)
    group by person_id
{%- endmacro %}
