{#- Which systems a person is in contact with, and when. -#}
{% macro contact_systems() -%}
    {{ return(["behavioral_health", "child_welfare", "court", "early_intervention", "medicaid"]) }}
{%- endmacro %}

{#-
    Contacts up to the cut-off as spans: person_id, system, from_date, to_date, both days included. Being enrolled in Medicaid
    is no contact with it, a claim is; the court team itself is not among the systems. ``people``: a query of the person_id
    in question.
-#}
{% macro system_contacts(people=none) -%}
    {%- set of_people = "person_id in (" ~ people ~ ")" if people else "true" %}
    select person_id, system, from_date, least(to_date, {{ cutoff() }}) as to_date
    from
        (
            select person_id, 'child_welfare' as system, report_date as from_date, report_date as to_date
            from {{ ref("fct_cps_report") }}
            where {{ of_people }}
            union all
            select person_id, 'child_welfare', removal_date, coalesce(discharge_date, {{ cutoff() }})
            from {{ ref("fct_removal") }}
            where {{ of_people }}
            union all
            select person_id, 'court', filed_date, coalesce(closed_date, {{ cutoff() }})
            from {{ ref("fct_court_case") }}
            where {{ of_people }}
            union all
            select person_id, 'medicaid', dos_from, coalesce(dos_to, dos_from)
            from {{ ref("fct_claim_line") }}
            where {{ of_people }}
            union all
            select
                person_id,
                'behavioral_health',
                coalesce(first_contact_date, admit_date, first_service_date),
                coalesce(discharge_date, {{ cutoff() }})
            from {{ ref("fct_bh_episode") }}
            where {{ of_people }}
            union all
            select person_id, 'early_intervention', first_appt_date, coalesce(end_date, first_appt_date)
            from {{ ref("fct_service") }}
            where
                {{ of_people }}
                and {{ is_domain("service_type", "EARLY_INTERVENTION") }}
                and first_appt_date is not null
                and coalesce(attended_flag, true)
        )
    where from_date <= {{ cutoff() }}
{%- endmacro %}

{#- The system a ``column`` names, in full or by the catalogue's short word for it. -#}
{% macro system_name(column) -%}
    case
        lower({{ column }})
        when 'cw'
        then 'child_welfare'
        when 'ct'
        then 'court'
        when 'med'
        then 'medicaid'
        when 'bh'
        then 'behavioral_health'
        else lower({{ column }})
    end
{%- endmacro %}

{#- True where ``column`` names ``system``; the same without spelling out every other system. -#}
{% macro is_system(column, system) -%}
    {%- set short = {"child_welfare": "cw", "court": "ct", "medicaid": "med", "behavioral_health": "bh"} -%}
    lower({{ column }}) in ('{{ system }}', '{{ short[system] }}')
{%- endmacro %}

{#- Families at least two of whose source systems, the court team's own aside, hold a record of a member. ``members``: the
    CTE of family_members. -#}
{% macro families_in_two_systems(members) -%}
    select b.family_id
    from {{ members }} as b
    inner join {{ ref("bridge_source_id") }} as i on b.person_id = i.person_id
    where {{ system_name("i.source_system") }} <> 'court_team'
    group by b.family_id
    having min({{ system_name("i.source_system") }}) < max({{ system_name("i.source_system") }})
{%- endmacro %}
