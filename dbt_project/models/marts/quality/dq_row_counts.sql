-- How many rows each core mart holds tonight.
{%- set marts = [
    "dim_person", "dim_child", "dim_family", "brg_family_member", "bridge_source_id", "dim_site", "fct_observability",
    "fct_cps_report", "fct_removal", "fct_placement", "fct_goal", "fct_parent_status", "fct_family_time",
    "fct_court_case", "fct_petition", "fct_finding", "fct_hearing", "fct_representation", "fct_enrollment_sbct",
    "fct_ftm", "fct_ftm_attendance", "fct_need", "fct_referral", "fct_service", "fct_screening", "fct_ace",
    "fct_parent_partner", "fct_survey_response", "fct_pdsa", "fct_elig_span", "fct_claim_line", "fct_rx",
    "fct_bh_episode",
] %}
{%- for mart in marts %}
    select '{{ mart }}' as mart, count(*) as row_count from {{ ref(mart) }} {{ "union all" if not loop.last }}
{%- endfor %}
