{#- Half-open spans of one thing do not overlap. -#}
{% test spans_apart(model, of, starts, ends) %}
    select *
    from
        (
            select
                {{ of | join(", ") }},
                {{ ends }} as ends_on,
                lead({{ starts }}) over (
                    partition by {{ of | join(", ") }} order by {{ starts }}
                ) as next_starts_on
            from {{ model }}
        ) as spans
    where next_starts_on is not null and coalesce(ends_on > next_starts_on, true)
{% endtest %}
