-- PAR-04: parents with a mental-health need, first appointment within 30 days. Basis: needs identified in
-- the period.
{{
    first_appointment_rows(
        metric_id="PAR-04",
        domain="MH",
        days=30,
        diagnoses="^F([02-6]|9)",
        version="1.1.0",
    )
}}
