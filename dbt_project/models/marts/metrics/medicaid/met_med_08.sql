-- MED-08 (PPC2): postpartum visit 7 to 84 days after the delivery. Basis: as MED-07.
{{
    delivery_visit_rows(
        metric_id="MED-08",
        procedures="postpartum_visit_codes",
        diagnoses="postpartum_diagnoses",
        packages="postpartum_package_codes",
        in_time="v.visit_date between "
        ~ add_days("d.delivery_date", 7)
        ~ " and "
        ~ add_days("d.delivery_date", 84),
        version="1.1.0",
    )
}}
