-- MED-01 (W30-CH rate 1): six or more well-child visits by 15 months. Basis: children whose 15-month day,
-- the first birthday
-- and 90 days, falls in the period, enrolled from day 31 but for one gap of up to 45 days.
{{
    well_child_rows(
        metric_id="MED-01",
        from_date=add_days("d.dob", 31),
        to_date=add_days(add_months("d.dob", 12), 90),
        visits_from="d.dob",
        least_visits=6,
        version="1.1.0",
    )
}}
