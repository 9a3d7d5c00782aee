-- PAR-10: parent partner offered, and matched. Basis: parents of the families enrolled in the period.
with
    parents as ({{ enrolled_parents() }}),

    units as (
        select
            'PAR-10' as metric_id,
            v.variant,
            u.period_start,
            u.period_end,
            u.person_id,
            u.index_date,
            u.site_id,
            u.county,
            cast(null as varchar) as exclusion,
            true as is_observable,
            exists (
                select 1
                from {{ ref("fct_parent_partner") }} as m
                where
                    m.person_id = u.person_id
                    and (
                        m.matched_date <= {{ cutoff() }}
                        or (v.variant = 'offered' and m.offered_date <= {{ cutoff() }})
                    )
            ) as is_numerator
        from parents as u
        cross join (values ('offered'), ('matched')) as v(variant)
    ),

    {{
        proportion_rows(
            "units",
            measures=[["PAR-10", "offered"], ["PAR-10", "matched"]],
            needs=["court_team"],
            version="1.0.0",
        )
    }}
