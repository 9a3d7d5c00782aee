-- ACE-01: children with a parent who has four or more adverse childhood experiences. Basis: children
-- enrolled in the period
-- with a scored parent; of several parents the highest score. Context, never a judgement of a family.
with
    children as ({{ enrolled_children() }}),

    scored as ({{ scored_parents() }}),

    child_scores as (
        select f.child_id, max(s.score) as score
        from ({{ family_parents("select person_id from children") }}) as f
        inner join scored as s on f.parent_id = s.person_id
        group by f.child_id
    ),

    units as (
        select
            'ACE-01' as metric_id,
            'warehouse' as variant,
            c.period_start,
            c.period_end,
            c.person_id,
            c.enrolled_date as index_date,
            c.site_id,
            c.county,
            case when s.score is null then 'no_parent_scored' end as exclusion,
            true as is_observable,
            coalesce(s.score >= 4, false) as is_numerator
        from children as c
        left join child_scores as s on c.person_id = s.child_id
    ),

    {{
        proportion_rows(
            "units",
            measures=[["ACE-01", "warehouse"]],
            needs=["court_team"],
            version="1.0.0",
        )
    }}
