-- Fills as they finally stand. A reversal may carry the day of its fill, so the reversal wins a
-- tie.
with
    final as (
        select *
        from {{ ref("stg_medicaid__pharmacy") }}
        where adjustment_ind_meaning in ('original', 'void', 'resubmittal', 'replacement')
        qualify
            row_number() over (
                partition by submitting_state, icn_orig
                order by
                    adjudication_date desc nulls last,
                    case
                        adjustment_ind_meaning
                        when 'replacement'
                        then 1
                        when 'resubmittal'
                        then 2
                        when 'void'
                        then 3
                        else 4
                    end,
                    icn_adj desc nulls last
            )
            = 1
    )

select
    i.person_id,
    {{ source_key("medicaid", ["f.submitting_state", "f.icn_orig"]) }} as claim_id,
    f.rx_fill_date as fill_date,
    f.ndc,
    cast(f.days_supply as integer) as days_supply
from final as f
inner join {{ join_person("i", "medicaid", "f.msis_id") }}
where f.adjustment_ind_meaning <> 'void' and coalesce(f.qty > 0, true)
