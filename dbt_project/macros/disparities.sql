{#-
    The measures whose groups are compared (EQT-01, EQT-02), and which way is better: up, down, or neither. Those of the
    extended tier only where a night computes it.
-#}
{% macro disparity_measures() -%}
    {%- set measures = {
        "met_prm_01": "up",
        "met_prm_02": "up",
        "met_prm_03": "up",
        "met_prm_04": "down",
        "met_prm_10": "up",
        "met_prm_11": "up",
        "met_prm_12": "up",
        "met_prm_15": "up",
        "met_prm_22": "up",
        "met_prm_30": "down",
        "met_prm_31": "up",
        "met_stb_01": "down",
        "met_stb_02": "up",
        "met_saf_01": "down",
        "met_saf_02": "down",
        "met_pit_02": "down",
        "met_kin_01": "up",
        "met_kin_02": "up",
        "met_kin_04": "up",
        "met_crt_04": "up",
        "met_par_02": "up",
        "met_par_03": "up",
    } -%}
    {%- if "extended" in var("measure_tiers") -%}
        {%- do measures.update({"met_prm_13": "neither", "met_prm_14": "down"}) -%}
    {%- endif -%}
    {{ return(measures) }}
{%- endmacro %}
