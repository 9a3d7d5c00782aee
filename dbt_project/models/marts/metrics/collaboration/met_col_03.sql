-- COL-03: collaboration survey, the organization benefits from taking part. Basis: respondents of a wave in
-- the period.
{{ survey_rows(metric_id="COL-03", topic="benefit", version="1.0.0") }}
