-- PRM-03 (CFSR P3): permanency within 12 months, for children in care 24 months or more on the
-- first day of the period. Basis: stock on that day.
{{ stock_permanency_rows("PRM-03", from_months=24, to_months=none, version="1.0.0") }}
