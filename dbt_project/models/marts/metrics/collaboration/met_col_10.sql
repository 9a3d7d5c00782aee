-- COL-10: how many systems a family is known to. Basis: families enrolled in the period whose members hold
-- record numbers of
-- two systems; contacts of any member from 12 months before to 12 months after the enrolment. None at all
-- stays in.
with
    families as ({{ enrolled_families() }}),

    members as ({{ family_members("select family_id from families where family_id is not null") }}),

    linked_families as ({{ families_in_two_systems("members") }}),

    contacts as ({{ system_contacts("select person_id from members where person_id is not null") }}),

    known as (
        select
            f.period_start,
            f.period_end,
            f.family_id,
            f.person_id,
            f.enrolled_date,
            f.site_id,
            f.county,
            count(distinct c.system) as systems
        from families as f
        left join members as b on f.family_id = b.family_id
        left join
            contacts as c
            on b.person_id = c.person_id
            and c.from_date <= least({{ add_months("f.enrolled_date", 12) }}, {{ cutoff() }})
            and c.to_date >= {{ add_months("f.enrolled_date", -12) }}
        group by f.period_start, f.period_end, f.family_id, f.person_id, f.enrolled_date, f.site_id, f.county
    ),

    units as (
        select
            'COL-10' as metric_id,
            v.variant,
            k.period_start,
            k.period_end,
            k.person_id,
            k.enrolled_date as index_date,
            k.site_id,
            k.county,
            cast(null as varchar) as exclusion,
            k.family_id in (select family_id from linked_families) as is_observable,
            case
                when v.variant = 'mean'
                then k.systems
                else cast('systems_' || k.systems = v.variant as integer)
            end as amount,
            1 as exposure
        from known as k
        cross join
            (
                values
                    ('mean'),
                    {%- for n in range(contact_systems() | length + 1) %}
                        ('systems_{{ n }}'){{ "," if not loop.last }}
                    {%- endfor %}
            ) as v(variant)
    ),

    {%- set measures = [["COL-10", "mean", 1, "linearised"]] -%}
    {%- for n in range(contact_systems() | length + 1) -%}
        {%- do measures.append(["COL-10", "systems_" ~ n, 1, "wilson"]) -%}
    {%- endfor %}

    {{
        ratio_rows(
            "units",
            measures=measures,
            needs=["child_welfare", "court", "medicaid", "behavioral_health", "court_team"],
            version="1.1.2",
            linked=true,
            follow_up_months=12,
        )
    }}
