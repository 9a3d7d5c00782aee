-- The curves behind EVL-04, a row for every day with an exit.
with
    {{ entry_cohort() }},

    {{ exit_causes() }},

    stratified as ({{ stratified("units") }}),

    followed as (
        select *
        from stratified
        where
            exclusion is null
            and stratum_value is not null
            and curve <> 'any_exit'
            and (curve <> 'delayed_entry' or stratum_type = 'site')
    ),

    {{ competing_risk_curves("followed", ["period_start", "period_end", "curve", "stratum_type", "stratum_value"]) }}

select
    curve,
    period_start,
    period_end,
    stratum_type,
    stratum_value,
    cause,
    cast(day as integer) as day,
    cast(at_risk as bigint) as at_risk,
    cast(events as bigint) as events,
    round(survival, 6) as survival,
    round({{ log_log_limit("survival", "survival_variance", -1) }}, 6) as survival_ci_low,
    round({{ log_log_limit("survival", "survival_variance", 1) }}, 6) as survival_ci_high,
    round(cif, 6) as cif,
    round({{ log_log_limit("cif", "cif_variance", -1) }}, 6) as cif_ci_low,
    round({{ log_log_limit("cif", "cif_variance", 1) }}, 6) as cif_ci_high,
    {{ cutoff() }} as data_cutoff
from curves
