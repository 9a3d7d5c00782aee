-- FTM-04: every required sector at the family team meeting. Basis: meetings held in the period.
{{ sectors_present_rows(metric_id="FTM-04", version="1.0.1") }}
