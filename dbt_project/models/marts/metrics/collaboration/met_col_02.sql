-- COL-02: collaboration survey, the right people are at the table. Basis: respondents of a wave in the
-- period.
{{ survey_rows(metric_id="COL-02", topic="right_people", version="1.0.0") }}
