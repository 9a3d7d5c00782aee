-- PRM-02 (CFSR P2): permanency within 12 months, for children in care 12 to 23 months on the first
-- day of the period. Basis: stock on that day.
{{ stock_permanency_rows("PRM-02", from_months=12, to_months=24, version="1.0.0") }}
