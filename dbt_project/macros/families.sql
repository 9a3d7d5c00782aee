{#- Who counts as a parent, which parents can be expected, and whom a court team has taken in. -#}
{#- Roles of the family bridge that are parents; guardians and caregivers are not. -#}
{% macro is_parent_role(role) -%}
    lower({{ role }}) in (
        'parent', 'mother', 'father', 'putative_father', 'alleged_father', 'unknown_father', 'adoptive_parent'
    )
{%- endmacro %}

{#- Mother or father, who are counted apart; null for a parent recorded as neither. -#}
{% macro mother_or_father(role) -%}
    case
        when lower({{ role }}) = 'mother'
        then 'mother'
        when lower({{ role }}) in ('father', 'putative_father', 'alleged_father', 'unknown_father')
        then 'father'
    end
{%- endmacro %}

{#- The domains of needs and services, each with the words it goes by. -#}
{% macro domain_words() -%}
    {%- set words = {
        "SUD": ["SUD", "SUBSTANCE_USE"],
        "MH": ["MH", "MENTAL_HEALTH"],
        "DEVELOPMENT": ["DEVELOPMENT", "DEVELOPMENTAL", "DEVELOPMENTAL_SCREENING"],
        "EARLY_INTERVENTION": ["EARLY_INTERVENTION", "EI", "PART_C"],
        "CHILD_PARENT": ["CHILD_PARENT", "CHILD_PARENT_INTERVENTION"],
        "PHYSICAL_HEALTH": ["PHYSICAL_HEALTH", "PHYSICAL", "HEALTH", "MEDICAL"],
    } -%}
    {{ return(words) }}
{%- endmacro %}

{#- True when ``column`` names a need or service of ``domain``; a jurisdiction's own words for it are understood too. -#}
{% macro is_domain(column, domain) -%}
    coalesce(
        replace(upper({{ column }}), ' ', '_')
        in ({%- for word in domain_words()[domain] -%}'{{ word }}'{{ ", " if not loop.last }} {%- endfor -%}),
        false
    )
{%- endmacro %}

{#- The domain ``column`` names, by the catalogue's word for it; a word that is none of them as it stands, in capitals. -#}
{% macro domain_named(column) -%}
    case
        {%- for domain in domain_words() %}
            when {{ is_domain(column, domain) }} then '{{ domain }}'
        {%- endfor %}
        else upper({{ column }})
    end
{%- endmacro %}

{#- Who was ever of a family: family_id, person_id. An enrolled child is of the family it is enrolled with. ``families``: a
    query of the family_id in question. -#}
{% macro family_members(families=none) -%}
    select family_id, person_id
    from {{ ref("bridge_family_person") }}
    {%- if families %} where family_id in ({{ families }}) {%- endif %}
    union
    select family_id, person_id
    from {{ ref("fct_enrollment_sbct") }}
    where
        family_id is not null and coalesce(enrolled_date <= {{ cutoff() }}, true)
        {%- if families %} and family_id in ({{ families }}) {%- endif %}
{%- endmacro %}

{#-
    Child and parent of one family: family_id, child_id, parent_id, role, "from", "to" (the parent's days in it).
    ``children``: a query of the person_id of the children in question, ``families``: of the family_id, so that no others are
    looked at.
-#}
{% macro family_parents(children=none, families=none) -%}
    select
        c.family_id,
        c.person_id as child_id,
        p.person_id as parent_id,
        lower(p.role) as role,
        p."from" as from_date,
        p."to" as to_date
    from {{ ref("bridge_family_person") }} as c
    inner join
        {{ ref("bridge_family_person") }} as p
        on c.family_id = p.family_id
        and c.person_id <> p.person_id
        and {{ is_parent_role("p.role") }}
    where
        lower(c.role) = 'child'
        {%- if children %} and c.person_id in ({{ children }}) {%- endif %}
        {%- if families %}
            and c.family_id in ({{ families }}) and p.family_id in ({{ families }})
        {%- endif %}
    group by all
{%- endmacro %}

{#-
    Days on which a parent of a child cannot be expected: child_id, parent_id, from_date, to_date (half-open; null = open).
    Rights ended, death, and every status in ``statuses``. A parent nobody recorded a status for is expected until a
    termination petition of the child is granted. ``pairs``: the CTE of family_parents in question.
-#}
{% macro barred_parents(statuses, pairs) -%}
    select person_id as child_id, parent_id, coalesce(from_date, date '1900-01-01') as from_date, to_date
    from {{ ref("fct_parent_status") }}
    where
        upper(status)
        in ('TERMINATED', 'DECEASED' {%- for status in statuses -%}, '{{ status }}' {%- endfor -%})
    union all
    -- A petition that names no parent speaks of every parent of the child.
    select f.child_id, f.parent_id, t.disposition_date, null
    from {{ ref("fct_petition") }} as t
    inner join {{ pairs }} as f on t.person_id = f.child_id and coalesce(t.parent_id = f.parent_id, true)
    where upper(t.petition_type) = 'TPR' and upper(t.result) = 'GRANTED' and t.disposition_date is not null
    union all
    select f.child_id, f.parent_id, p.death_date, null
    from {{ pairs }} as f
    inner join {{ ref("dim_person") }} as p on f.parent_id = p.person_id
    where p.death_date is not null
{%- endmacro %}

{#- Children taken in during each period, by their first enrolment in it. -#}
{% macro enrolled_children() -%}
    select
        p.period_start,
        p.period_end,
        e.person_id,
        e.family_id,
        e.site_id,
        e.county,
        e.enrolled_date,
        {{ known("e.closed_date") }} as closed_date
    from ({{ metric_periods() }}) as p
    inner join
        {{ ref("fct_enrollment_sbct") }} as e
        on e.enrolled_date between p.period_start and p.period_end
        and e.enrolled_date <= {{ cutoff() }}
    qualify
        row_number() over (partition by p.period_start, e.person_id order by e.enrolled_date, e.site_id) = 1
{%- endmacro %}

{#-
    CTEs enrollments (family_id, person_id, site_id, county, enrolled_date, open_to) and spans (family_id, open_from, open_to):
    the days on which any child of a family was enrolled, up to the cut-off. Enrolments that overlap or touch are one span; the
    closing day still counts as open.
-#}
{% macro family_spans() %}
    enrollments as (
        select
            family_id,
            person_id,
            site_id,
            county,
            enrolled_date,
            least(coalesce(closed_date, {{ cutoff() }}), {{ cutoff() }}) as open_to
        from {{ ref("fct_enrollment_sbct") }}
        where family_id is not null and enrolled_date <= {{ cutoff() }}
    ),

    gaps as (
        select
            *,
            coalesce(
                enrolled_date > max(open_to) over (
                    partition by family_id
                    order by enrolled_date, open_to
                    rows between unbounded preceding and 1 preceding
                )
                + 1,
                true
            ) as is_new_span
        from enrollments
    ),

    -- Over all rows of one first and last day at once: rows that are alike have no order of their own.
    numbered as (
        select
            *,
            count(*) filter (where is_new_span) over (
                partition by family_id order by enrolled_date, open_to
            ) as span_number
        from gaps
    ),

    spans as (
        select family_id, min(enrolled_date) as open_from, max(open_to) as open_to
        from numbered
        group by family_id, span_number
    )
{% endmacro %}

{#- Families taken in during each period: the first enrolment of any of their children, open until the last closes. -#}
{% macro enrolled_families() -%}
    select
        p.period_start,
        p.period_end,
        e.family_id,
        min(e.person_id) as person_id,
        min_by(e.site_id, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as site_id,
        min_by(e.county, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as county,
        min(e.enrolled_date) as enrolled_date,
        {{ last_end(known("e.closed_date")) }} as closed_date
    from ({{ metric_periods() }}) as p
    inner join
        {{ ref("fct_enrollment_sbct") }} as e
        on e.enrolled_date between p.period_start and p.period_end
        and e.enrolled_date <= {{ cutoff() }}
    where e.family_id is not null
    group by all
{%- endmacro %}

{#- Dependency cases: adoptions, guardianships and terminations kept under a number of their own are not. -#}
{% macro is_dependency_case(case_type) -%}
    coalesce(upper({{ case_type }}) not in ('ADOPT', 'GUARD', 'TPR'), true)
{%- endmacro %}

{#- A list of codes of the variable ``name`` for ``in``. An empty list matches nothing. -#}
{% macro codes(name) -%}
    {%- set values = var(name) -%}
    {%- if values -%}
        {%- for code in values -%}
            '{{ dbt.escape_single_quotes(code | string) }}'{{ ", " if not loop.last }}
        {%- endfor -%}
    {%- else -%} null
    {%- endif -%}
{%- endmacro %}

{#- County of the enrolment nearest before ``date`` of the row ``row`` or, without one, of the first after it. -#}
{% macro county_of_child(row, date) -%}
    (
        select
            coalesce(
                max_by(e.county, e.enrolled_date) filter (where e.enrolled_date <= {{ row }}.{{ date }}),
                min_by(e.county, e.enrolled_date)
            )
        from {{ ref("fct_enrollment_sbct") }} as e
        where e.person_id = {{ row }}.person_id and e.enrolled_date <= {{ cutoff() }}
    )
{%- endmacro %}

{#- Parents of the families enrolled in each period, once each: person_id, index_date (the enrolment), site_id, county. -#}
{% macro enrolled_parents() -%}
    select
        f.period_start,
        f.period_end,
        p.parent_id as person_id,
        f.enrolled_date as index_date,
        f.site_id,
        f.county
    from ({{ enrolled_families() }}) as f
    inner join
        (
            {{ family_parents('select person_id from ' ~ ref("bridge_family_person") ~ ' where family_id in (select family_id from ' ~ ref("fct_enrollment_sbct") ~ ")") }}
        ) as p
        on f.family_id = p.family_id
        and coalesce(p.to_date > f.enrolled_date, true)
    qualify
        row_number() over (
            partition by f.period_start, p.parent_id order by f.enrolled_date, f.family_id, p.child_id
        )
        = 1
{%- endmacro %}
