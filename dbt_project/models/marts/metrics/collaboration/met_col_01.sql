-- COL-01: collaboration survey, overall, every item. Basis: respondents of a wave in the period.
{{ survey_rows(metric_id="COL-01", topic=none, version="1.0.0") }}
