-- MED-02 (W30-CH rate 2): two or more well-child visits from 15 to 30 months. Basis: children whose
-- 30-month day, the second
-- birthday and 180 days, falls in the period, enrolled from the day after the 15-month day but for one gap
-- of up to 45 days.
{{
    well_child_rows(
        metric_id="MED-02",
        from_date=add_days(add_months("d.dob", 12), 91),
        to_date=add_days(add_months("d.dob", 24), 180),
        visits_from=add_days(add_months("d.dob", 12), 91),
        least_visits=2,
        version="1.1.0",
    )
}}
