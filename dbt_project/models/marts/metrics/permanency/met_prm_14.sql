-- PRM-14: exits without permanency as a share of exits: emancipation or the 18th birthday,
-- transfer, runaway, death, and any other reason that is no permanency. Variant death: deaths
-- alone. Basis: exit cohort. Episodes, not children.
with
    {{ exits_from_care() }},

    units as (
        select
            'PRM-14' as metric_id,
            v.variant,
            e.*,
            true as is_observable,
            case
                v.variant
                when 'death'
                then e.end_reason = 'DEATH'
                else not {{ is_permanency("e.end_reason") }}
            end as is_numerator
        from exits as e
        cross join (values ('warehouse'), ('death')) as v(variant)
    ),

    {{
        proportion_rows(
            "units",
            measures=[["PRM-14", "warehouse"], ["PRM-14", "death"]],
            needs=["child_welfare"],
            version="1.2.0",
        )
    }}
