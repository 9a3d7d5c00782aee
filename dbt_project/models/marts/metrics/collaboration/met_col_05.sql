-- COL-05: collaboration survey, members respect and trust one another. Basis: respondents of a wave in the
-- period.
{{ survey_rows(metric_id="COL-05", topic="respect", version="1.0.0") }}
