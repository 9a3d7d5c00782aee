-- No column of a mart carries a direct identifier: none is declared one, every one declares a
-- class, and none bears a name that some source uses for direct identifiers alone.
{%- set direct, other = [], [] -%}
{%- if execute -%}
    {%- for source in graph.sources.values() -%}
        {%- for column in source.columns.values() -%}
            {%- set kind = (column.config.meta or {}).get("sensitivity") or column.meta.get("sensitivity") -%}
            {%- do (direct if kind == "direct_id" else other).append(column.name) -%}
        {%- endfor -%}
    {%- endfor -%}
{%- endif -%}
{%- set offenders = [] -%}
{%- if execute -%}
    {%- for node in graph.nodes.values() if node.resource_type == "model" and "marts" in node.fqn -%}
        {%- for column in node.columns.values() -%}
            {%- set kind = (column.config.meta or {}).get("sensitivity") or column.meta.get("sensitivity") -%}
            {%- if kind is none or kind == "direct_id" or (column.name in direct and column.name not in other) -%}
                {%- do offenders.append(node.name ~ "." ~ column.name) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if not node.columns -%}
            {%- do offenders.append(node.name ~ ": no column documented") -%}
        {%- endif -%}
    {%- endfor -%}
{%- endif -%}
{%- for offender in offenders %}
    select '{{ offender }}' as offender
    union all
{%- endfor %}
select null as offender
where false
