"""Measures outside the night: their registry, their methodology pages, and the same models over anybody's tables.

What a measure means is SQL in ``dbt_project/models/marts/metrics``; no number is computed here.
"""

#: What names a row of the standard output within its night.
RANGE_KEY = ("metric_id", "variant", "period_start", "period_end", "stratum_type", "stratum_value")

#: The standard output row, in this order; what a measure adds to it follows it.
STANDARD_COLUMNS = (
    "metric_id", "metric_version", "variant", "period_start", "period_end", "site_id", "stratum_type", "stratum_value",
    "numerator", "denominator", "value", "ci_low", "ci_high", "ci_method", "n_excluded_by_rule", "n_not_observable",
    "match_rate", "maturity_flag", "suppress_flag", "suppress_reason", "benchmark_value", "benchmark_source",
    "data_cutoff",
)  # fmt: skip
