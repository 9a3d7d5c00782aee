-- PAR-04b: parents with a mental-health need, first appointment within 7 days. Basis: needs identified in
-- the period.
{{
    first_appointment_rows(
        metric_id="PAR-04b",
        domain="MH",
        days=7,
        diagnoses="^F([02-6]|9)",
        version="1.1.0",
    )
}}
