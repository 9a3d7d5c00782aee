-- How alike the two arms of EVL-03 are, before and after the matching: a row for every covariate.
with recursive {{ young_entry_cohort() }}, {{ propensity_matches() }}, {{ propensity_balance() }}

select
    period_start,
    period_end,
    covariate,
    round(site_mean_before, 6) as site_mean_before,
    round(other_mean_before, 6) as other_mean_before,
    round(smd_before, 6) as smd_before,
    round(variance_ratio_before, 6) as variance_ratio_before,
    round(site_mean_after, 6) as site_mean_after,
    round(other_mean_after, 6) as other_mean_after,
    round(smd_after, 6) as smd_after,
    round(variance_ratio_after, 6) as variance_ratio_after,
    is_balanced,
    {{ cutoff() }} as data_cutoff
from balance
