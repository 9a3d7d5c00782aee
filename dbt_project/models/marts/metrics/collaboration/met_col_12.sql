-- COL-12: all partners at the family team meeting; FTM-04 under its name among the collaboration measures.
{{ sectors_present_rows(metric_id="COL-12", version="1.0.1") }}
