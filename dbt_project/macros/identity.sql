{#- A key of one source, told apart from another source's by its system. Class source_key: re-keyed at release. -#}
{% macro source_key(system, columns) -%}
    '{{ system }}' {% for column in columns %} || '~' || {{ column }}{% endfor %}
{%- endmacro %}

{#- Join from a source's record number to the person it belongs to. ``alias`` names the joined rows. -#}
{% macro join_person(alias, system, record_id) -%}
    {{ ref("int_persons__identified") }} as {{ alias }}
    on {{ alias }}.source_system = '{{ system }}'
    and {{ alias }}.source_record_id = {{ record_id }}
{%- endmacro %}

{#- A person named in the court team's workbook: the child by the enrollment, an adult by enrollment and role. -#}
{% macro workbook_record_id(row) -%}
    case
        when {{ row }}.person_role_cd = 'Child'
        then {{ row }}.enrollment_id
        else {{ row }}.enrollment_id || '~' || {{ row }}.person_role_cd
    end
{%- endmacro %}

{#- Plain exit words of the child welfare lists as the catalogue's discharge reasons. -#}
{% macro discharge_reason(word) -%}
    case
        {{ word }}
        when 'reunification'
        then 'REUN'
        when 'relative'
        then 'REL'
        when 'guardianship'
        then 'GUARD'
        when 'adoption'
        then 'ADOPT'
        when 'emancipation'
        then 'EMANC'
        when 'transfer'
        then 'TRANSFER'
        when 'runaway'
        then 'RUNAWAY'
        when 'death'
        then 'DEATH'
        when 'other'
        then 'OTHER'
    end
{%- endmacro %}

{#- Plain placement words as the catalogue's setting types. -#}
{% macro setting_type(word) -%}
    case
        {{ word }}
        when 'foster_home'
        then 'FFH'
        when 'kin_home'
        then 'KIN'
        when 'pre_adoptive_home'
        then 'PREADOPT'
        when 'group_home'
        then 'GROUP'
        when 'institution'
        then 'INST'
        when 'shelter'
        then 'SHELTER'
        when 'independent_living'
        then 'SIL'
        when 'detention'
        then 'DETENTION'
        when 'hospital'
        then 'HOSP'
        when 'respite'
        then 'RESP'
        when 'trial_home_visit'
        then 'THV'
        when 'runaway'
        then 'RUN'
        else 'OTHER'
    end
{%- endmacro %}

{#- Plain goal words as the catalogue's. -#}
{% macro goal_type(word) -%}
    case
        {{ word }}
        when 'reunification'
        then 'REUN'
        when 'relative'
        then 'REL'
        when 'guardianship'
        then 'GUARD'
        when 'adoption'
        then 'ADOPT'
        when 'planned_permanent_living_arrangement'
        then 'APPLA'
        when 'emancipation'
        then 'EMANC'
        else 'NONE'
    end
{%- endmacro %}

{#- Plain service words of child welfare as need domains, which the other sources use for both. -#}
{% macro service_domain(word) -%}
    case
        {{ word }}
        when 'substance_use_treatment'
        then 'SUD'
        when 'substance_use_assessment'
        then 'SUD'
        when 'mental_health_treatment'
        then 'MH'
        when 'infant_mental_health'
        then 'CHILD_PARENT'
        when 'child_parent_psychotherapy'
        then 'CHILD_PARENT'
        when 'domestic_violence'
        then 'IPV'
        when 'parenting_education'
        then 'PARENTING'
        when 'home_visiting'
        then 'PARENTING'
        when 'early_intervention'
        then 'EARLY_INTERVENTION'
        when 'developmental_screening'
        then 'DEVELOPMENT'
        when 'medical'
        then 'PHYSICAL_HEALTH'
        when 'child_care'
        then 'CHILD_CARE'
        when 'housing'
        then 'CONCRETE'
        when 'concrete_support'
        then 'CONCRETE'
        when 'transportation'
        then 'CONCRETE'
        else 'OTHER'
    end
{%- endmacro %}

{#- The five parts that tell one version of a claim from another, as one text. -#}
{% macro claim_version_key(row) -%}
    concat_ws(
        '~',
        {{ row }}.submitting_state,
        {{ row }}.icn_orig,
        coalesce({{ row }}.icn_adj, ''),
        coalesce(cast({{ row }}.adjudication_date as varchar), ''),
        {{ row }}.adjustment_ind
    )
{%- endmacro %}

{#-
    Rows of the table ``table`` of the federal (AFCARS) file, every half-year's file as it was last sent: a file sent again
    for a half-year stands for all of it, whatever the first one held.
-#}
{% macro federal_file_rows(table) -%}
    (
        select *
        from {{ ref("stg_child_welfare__afcars_" ~ table) }}
        qualify delivered_on is not distinct from max(delivered_on) over (partition by e2_report_date)
    )
{%- endmacro %}
