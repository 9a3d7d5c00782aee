{#- Family team meetings: who was expected and who came. -#}
{#- Meetings held in each period: ftm_id, family_id, index_date, person_id (a child of the family), site_id, county. -#}
{% macro held_meetings() -%}
    select
        p.period_start,
        p.period_end,
        m.ftm_id,
        m.family_id,
        m.held_date as index_date,
        min(e.person_id) as person_id,
        min_by(e.site_id, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as site_id,
        min_by(e.county, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as county
    from ({{ metric_periods() }}) as p
    inner join
        {{ ref("fct_ftm") }} as m
        on m.held_date between p.period_start and p.period_end
        and m.held_date <= {{ cutoff() }}
        and upper(m.status) = 'HELD'
    left join
        {{ ref("fct_enrollment_sbct") }} as e
        on m.family_id = e.family_id
        and e.enrolled_date <= m.held_date
        and coalesce(e.closed_date, date '9999-12-31') >= m.held_date
    group by all
{%- endmacro %}

{#- Parents of the family who can be expected at each meeting: ftm_id, parent_id, role. ``statuses`` keep one away. -#}
{% macro expected_parents(meetings, statuses) -%}
    with
        pairs as (
            {{
                family_parents(
                    families="select family_id from " ~ meetings ~ " where family_id is not null"
                )
            }}
        ),
        barred as materialized({{ barred_parents(statuses, "pairs") }})
    select distinct m.ftm_id, f.parent_id, f.role
    from {{ meetings }} as m
    inner join
        pairs as f
        on m.family_id = f.family_id
        and coalesce(f.from_date <= m.index_date, true)
        and coalesce(f.to_date > m.index_date, true)
    where
        not exists (
            select 1
            from barred as b
            where
                b.child_id = f.child_id
                and b.parent_id = f.parent_id
                and b.from_date <= m.index_date
                and coalesce(b.to_date > m.index_date, true)
        )
{%- endmacro %}

{#-
    Standard rows of meetings at which every required sector attended. Always required: child welfare and the child's
    counsel, guardian ad litem or advocate. While the family has a parent who can be expected, or none on record: a parent
    and parents' counsel. A treatment provider while a parent's substance-use or mental-health need is open; early childhood
    once a child was referred to early intervention.
-#}
{% macro sectors_present_rows(metric_id, version) %}
    with
        meetings as ({{ held_meetings() }}),

        expected as ({{ expected_parents("meetings", ["UNLOCATED"]) }}),

        came as (
            select
                ftm_id,
                bool_or(lower(org_sector) in ('parent', 'parents') or {{ is_parent_role("role") }}) as parent,
                bool_or(
                    lower(org_sector) in ('child_welfare', 'cw')
                    or lower(role) in ('caseworker', 'child_welfare')
                ) as child_welfare,
                bool_or(
                    lower(org_sector) in ('child_counsel', 'child_attorney')
                    or lower(role) in ('child_attorney', 'child_counsel', 'gal', 'casa')
                ) as child_counsel,
                bool_or(
                    lower(org_sector) in ('parent_counsel', 'parent_attorney')
                    or lower(role) in ('parent_attorney', 'parent_counsel')
                ) as parent_counsel,
                bool_or(
                    lower(org_sector) in ('behavioral_health', 'sud', 'mh', 'sud_treatment', 'mental_health')
                ) as treatment,
                bool_or(
                    lower(org_sector) in ('early_childhood', 'early_intervention', 'ei')
                    or lower(role) = 'early_intervention'
                ) as early_childhood
            from {{ ref("fct_ftm_attendance") }}
            where attended
            group by ftm_id
        ),

        members as (
            select distinct family_id, person_id, lower(role) as role
            from {{ ref("bridge_family_person") }}
            where family_id in (select family_id from meetings where family_id is not null)
        ),

        -- A need stays open until a service that answers it is completed.
        treatment_needs as (
            select b.family_id, n.identified_date, min(s.end_date) as met_on
            from {{ ref("fct_need") }} as n
            inner join members as b on n.person_id = b.person_id and b.role <> 'child'
            left join {{ ref("fct_referral") }} as r on n.need_id = r.need_id
            left join
                {{ ref("fct_service") }} as s
                on r.referral_id = s.referral_id
                and s.completion_status = 'COMPLETED'
            where {{ is_domain("n.need_domain", "SUD") }} or {{ is_domain("n.need_domain", "MH") }}
            group by b.family_id, n.need_id, n.identified_date
        ),

        early_referrals as (
            select b.family_id, min(r.referred_date) as referred_date
            from {{ ref("fct_referral") }} as r
            left join {{ ref("fct_need") }} as n on r.need_id = n.need_id
            inner join members as b on coalesce(r.person_id, n.person_id) = b.person_id and b.role = 'child'
            where {{ is_domain("coalesce(r.need_domain, n.need_domain)", "EARLY_INTERVENTION") }}
            group by b.family_id
        ),

        required as (
            select
                m.*,
                (
                    exists (select 1 from expected as x where x.ftm_id = m.ftm_id)
                    or not exists (
                        select 1
                        from members as b
                        where b.family_id = m.family_id and {{ is_parent_role("b.role") }}
                    )
                ) as needs_parent,
                exists (
                    select 1
                    from treatment_needs as t
                    where
                        t.family_id = m.family_id
                        and t.identified_date <= m.index_date
                        and coalesce(t.met_on > m.index_date, true)
                ) as needs_treatment,
                exists (
                    select 1
                    from early_referrals as r
                    where r.family_id = m.family_id and r.referred_date <= m.index_date
                ) as needs_early_childhood
            from meetings as m
        ),

        units as (
            select
                '{{ metric_id }}' as metric_id,
                'warehouse' as variant,
                r.period_start,
                r.period_end,
                r.person_id,
                r.index_date,
                r.site_id,
                r.county,
                cast(null as varchar) as exclusion,
                true as is_observable,
                coalesce(
                    c.child_welfare
                    and c.child_counsel
                    and (not r.needs_parent or (c.parent and c.parent_counsel))
                    and (not r.needs_treatment or c.treatment)
                    and (not r.needs_early_childhood or c.early_childhood),
                    false
                ) as is_numerator
            from required as r
            left join came as c on r.ftm_id = c.ftm_id
        ),

        {{
            proportion_rows(
                "units",
                measures=[[metric_id, "warehouse"]],
                needs=["court_team"],
                version=version,
            )
        }}
{% endmacro %}
