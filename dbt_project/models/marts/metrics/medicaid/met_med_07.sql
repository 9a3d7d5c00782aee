-- MED-07 (PPC2): prenatal visit in the first trimester (280 to 176 days before the delivery), or no later
-- than 42 days after
-- the enrolment began. Basis: deliveries enrolled from 43 days before to 60 days after.
{{
    delivery_visit_rows(
        metric_id="MED-07",
        procedures="prenatal_visit_codes",
        packages="prenatal_package_codes",
        in_time="v.visit_date between "
        ~ add_days("d.delivery_date", -280)
        ~ " and greatest("
        ~ add_days("d.delivery_date", -176)
        ~ ", "
        ~ add_days("d.covered_from", 42)
        ~ ") and v.visit_date < d.delivery_date",
        version="1.1.0",
    )
}}
