-- COL-04: collaboration survey, the time is right. Basis: respondents of a wave in the period.
{{ survey_rows(metric_id="COL-04", topic="right_time", version="1.0.0") }}
