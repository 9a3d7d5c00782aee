{#- Petitions, parties and counsel as the court measures see them. -#}
{#-
    CTE adjudications: one row per dependency petition and child, with case_id, county, filed_date, adjudicated_on (first
    adjudication hearing held on or after the filing), dropped_on (dismissed or withdrawn) and followed_to (the close of the
    case or the cut-off).
-#}
{% macro adjudicated_petitions() %}
    cases as (
        select case_id, person_id, county, {{ known("closed_date") }} as closed_date
        from {{ ref("fct_court_case") }}
    ),

    petitions as (
        select distinct petition_id, case_id, person_id, filed_date, disposition_date, upper(result) as result
        from {{ ref("fct_petition") }}
        where upper(petition_type) = 'DEP' and filed_date <= {{ cutoff() }}
    ),

    adjudication_hearings as (
        select case_id, held_date
        from {{ ref("fct_hearing") }}
        where hearing_type = 'ADJ' and outcome = 'HELD' and held_date <= {{ cutoff() }}
    ),

    adjudications as (
        select
            p.petition_id,
            p.case_id,
            p.person_id,
            p.filed_date,
            c.county,
            min(h.held_date) as adjudicated_on,
            case
                when p.result in ('DISMISSED', 'WITHDRAWN')
                then {{ known("coalesce(p.disposition_date, p.filed_date)") }}
            end as dropped_on,
            greatest(coalesce(c.closed_date, {{ cutoff() }}), p.filed_date) as followed_to
        from petitions as p
        left join cases as c on p.case_id = c.case_id and p.person_id = c.person_id
        left join adjudication_hearings as h on p.case_id = h.case_id and h.held_date >= p.filed_date
        group by all
    )
{% endmacro %}

{#- True when ``person`` is the child of a court case known at the cut-off. -#}
{% macro has_court_case(person) -%}
    exists (
        select 1
        from {{ ref("fct_court_case") }} as known_case
        where known_case.person_id = {{ person }} and coalesce(known_case.filed_date <= {{ cutoff() }}, true)
    )
{%- endmacro %}

{#- Dependency cases known at the cut-off: case_id, person_id (a child of the case), county, filed_date and closed_date, none
    while the case of one of the children is open. -#}
{% macro dependency_cases() -%}
    select
        case_id,
        min(person_id) as person_id,
        min(county) as county,
        min(filed_date) as filed_date,
        {{ last_end(known("closed_date")) }} as closed_date
    from {{ ref("fct_court_case") }}
    where {{ is_dependency_case("case_type") }} and filed_date <= {{ cutoff() }}
    group by case_id
{%- endmacro %}

{#-
    CTEs counsel and parties. parties: one row per party of a dependency case, with party (child, mother, father or
    unknown_father), person_id (the child of the case, for site and county), filed_date and closed_date. A case whose child,
    mother or father has no row of representation has them as parties without counsel, parents as the family bridge names them.
-#}
{% macro case_parties() %}
    -- A court appointed special advocate is not counsel.
    representation as (
        select
            case_id,
            party_id,
            case
                when lower(party_role) = 'child'
                then 'child'
                when lower(party_role) = 'mother'
                then 'mother'
                when lower(party_role) = 'father'
                then 'father'
                when
                    lower(party_role) in (
                        'unknown_father',
                        'unknown-father',
                        'putative_father',
                        'alleged_father',
                        'possible_father'
                    )
                then 'unknown_father'
                when lower(party_role) = 'parent'
                then 'parent'
            end as party,
            case when coalesce(lower(counsel_role) <> 'casa', true) then counsel_id end as counsel_id,
            appointed_date,
            end_date
        from {{ ref("fct_representation") }}
        where coalesce(appointed_date <= {{ cutoff() }}, true)
    ),

    counsel as (select * from representation where party is not null and counsel_id is not null),

    cases as ({{ dependency_cases() }}),

    parties as (
        select c.*, r.party_id, r.party
        from cases as c
        inner join
            (select distinct case_id, party_id, party from representation where party is not null) as r
            using (case_id)
        union all by name
        select c.*, cast(null as varchar) as party_id, 'child' as party
        from cases as c
        where not exists (select 1 from representation as r where r.case_id = c.case_id and r.party = 'child')
        union all by name
        select distinct c.*, cast(null as varchar) as party_id, f.party
        from cases as c
        inner join {{ ref("fct_court_case") }} as k on c.case_id = k.case_id
        inner join
            (
                select
                    child_id,
                    case
                        when role in ('mother', 'father')
                        then role
                        when role in ('putative_father', 'alleged_father', 'unknown_father')
                        then 'unknown_father'
                    end as party
                from ({{ family_parents('select person_id from ' ~ ref("fct_court_case")) }})
            ) as f
            on k.person_id = f.child_id
            and f.party is not null
        where
            not exists (
                select 1
                from representation as r
                where
                    r.case_id = c.case_id
                    and (
                        r.party in (f.party, 'parent')
                        or (
                            r.party in ('father', 'unknown_father')
                            and f.party in ('father', 'unknown_father')
                        )
                    )
            )
    )
{% endmacro %}
