-- ACE-02: reunification by the parent's ACE score. Basis: children enrolled in the period who were in care
-- at or after the
-- enrolment and have a scored parent; reunified within 24 months of enrolment. Judged 24 months after the
-- period. Variants
-- parents_*: one row per scored parent, reunified when any of the children was.
with
    children as ({{ enrolled_children() }}),

    scored as ({{ scored_parents() }}),

    pairs as (
        select distinct child_id, parent_id from ({{ family_parents("select person_id from children") }})
    ),

    episodes as ({{ care_episodes(only=not_over_before_periods()) }}),

    outcomes as (
        select
            c.period_start,
            c.period_end,
            c.person_id,
            c.enrolled_date,
            c.site_id,
            c.county,
            count(e.removal_id) > 0 as was_in_care,
            coalesce(
                bool_or(e.end_reason = 'REUN' and {{ within_window("e.end_date", "c.enrolled_date", 24) }}),
                false
            ) as is_reunified
        from children as c
        left join
            episodes as e
            on c.person_id = e.person_id
            and coalesce(e.end_date, date '9999-12-31') >= greatest(c.enrolled_date, e.removal_date)
            and e.removal_date <= {{ add_months("c.enrolled_date", 24) }}
        group by c.period_start, c.period_end, c.person_id, c.enrolled_date, c.site_id, c.county
    ),

    banded as (
        select o.*, 'children' as unit, max(s.score) as score, o.person_id as unit_id
        from outcomes as o
        left join pairs as p on o.person_id = p.child_id
        left join scored as s on p.parent_id = s.person_id
        group by all
        union all
        select
            o.period_start,
            o.period_end,
            min(o.person_id) as person_id,
            min(o.enrolled_date) as enrolled_date,
            min_by(o.site_id, o.enrolled_date) as site_id,
            min_by(o.county, o.enrolled_date) as county,
            bool_or(o.was_in_care) as was_in_care,
            bool_or(o.is_reunified) as is_reunified,
            'parents' as unit,
            max(s.score) as score,
            p.parent_id as unit_id
        from outcomes as o
        inner join pairs as p on o.person_id = p.child_id
        left join scored as s on p.parent_id = s.person_id
        group by o.period_start, o.period_end, p.parent_id
    ),

    -- Who has no score could be in any band, and is left out of each.
    units as (
        select
            'ACE-02' as metric_id,
            unit || b.band as variant,
            period_start,
            period_end,
            person_id,
            enrolled_date as index_date,
            site_id,
            county,
            case
                when score is null then 'no_parent_scored' when not was_in_care then 'not_in_care'
            end as exclusion,
            true as is_observable,
            is_reunified as is_numerator
        from banded
        inner join
            (values ('_0_3', 0, 3), ('_4_6', 4, 6), ('_7_10', 7, 10)) as b(band, low, high)
            on coalesce(score between b.low and b.high, true)
    ),

    {{
        proportion_rows(
            "units",
            measures=[
                ["ACE-02", "children_0_3"],
                ["ACE-02", "children_4_6"],
                ["ACE-02", "children_7_10"],
                ["ACE-02", "parents_0_3"],
                ["ACE-02", "parents_4_6"],
                ["ACE-02", "parents_7_10"],
            ],
            needs=["court_team", "child_welfare"],
            version="1.1.0",
            follow_up_months=24,
        )
    }}
