-- COL-11: shared clients of two systems. Basis: families in contact with either system in the period whose
-- members hold
-- record numbers of two systems; value is the Jaccard index, those in both over those in either. One
-- variant per pair.
with
    periods as ({{ metric_periods() }}),

    members as ({{ family_members() }}),

    linked_families as ({{ families_in_two_systems("members") }}),

    contacts as ({{ system_contacts() }}),

    known as (
        select distinct p.period_start, p.period_end, b.family_id, c.system
        from periods as p
        inner join
            contacts as c
            on c.from_date <= least(p.period_end, {{ cutoff() }})
            and c.to_date >= p.period_start
        inner join members as b on c.person_id = b.person_id
    ),

    placed as (
        select
            k.period_start,
            k.period_end,
            k.family_id,
            list(k.system) as systems,
            min(e.person_id) as person_id,
            min_by(e.site_id, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as site_id,
            min_by(e.county, strftime(e.enrolled_date, '%Y%m%d') || e.site_id) as county
        from known as k
        left join
            {{ ref("fct_enrollment_sbct") }} as e
            on k.family_id = e.family_id
            and e.enrolled_date <= k.period_end
            and coalesce(e.closed_date, date '9999-12-31') >= k.period_start
        group by k.period_start, k.period_end, k.family_id
    ),

    {%- set pairs = [] -%}
    {%- set measures = [] -%}
    {%- for a in contact_systems() -%}
        {%- for b in contact_systems() if b > a -%}
            {%- do pairs.append([a, b]) -%} {%- do measures.append(["COL-11", a ~ "+" ~ b]) -%}
        {%- endfor -%}
    {%- endfor %}

    units as (
        select
            'COL-11' as metric_id,
            q.a || '+' || q.b as variant,
            k.period_start,
            k.period_end,
            k.person_id,
            k.period_start as index_date,
            k.site_id,
            k.county,
            cast(null as varchar) as exclusion,
            k.family_id in (select family_id from linked_families) as is_observable,
            list_contains(k.systems, q.a) and list_contains(k.systems, q.b) as is_numerator
        from placed as k
        inner join
            (
                values {%- for a, b in pairs %} ('{{ a }}', '{{ b }}'){{ "," if not loop.last }} {%- endfor %}
            ) as q(a, b)
            on list_contains(k.systems, q.a)
            or list_contains(k.systems, q.b)
    ),

    {{
        proportion_rows(
            "units",
            measures=measures,
            needs=["child_welfare", "court", "medicaid", "behavioral_health"],
            version="1.1.2",
            linked=true,
        )
    }}
