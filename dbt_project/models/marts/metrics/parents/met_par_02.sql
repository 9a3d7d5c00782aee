-- PAR-02: parents with a substance-use need, first appointment within 30 days. Basis: needs
-- identified in the period.
{{
    first_appointment_rows(
        metric_id="PAR-02",
        domain="SUD",
        days=30,
        diagnoses="^F1[0-9]",
        version="1.1.0",
    )
}}
