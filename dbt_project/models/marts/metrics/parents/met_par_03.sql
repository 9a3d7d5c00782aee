-- PAR-03: parents with a substance-use need, first appointment within 7 days. Basis: needs
-- identified in the period.
{{
    first_appointment_rows(
        metric_id="PAR-03",
        domain="SUD",
        days=7,
        diagnoses="^F1[0-9]",
        version="1.1.0",
    )
}}
