{#- How far the gate is used up, in per cent of its limit, in the last period: over 50 warns, over 100 is an error. -#}
{% test gate(model, gate_id) %}
    select cast(ceil(percent_of_limit) as integer) as percent_used
    from {{ model }}
    where
        gate_id = '{{ gate_id }}'
        and status <> 'not measured'
        and period_start = (select max(period_start) from {{ model }})
{% endtest %}
