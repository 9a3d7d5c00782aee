-- Student's t and the weekday count beside published values. A row is a value that came out otherwise.
with
    found as (
        select 't with 5 degrees of freedom' as what, 2.5706 as expected, round({{ t95("5") }}, 4) as found
        union all
        select 't with 60 degrees of freedom', 2.0003, round({{ t95("60") }}, 4)
        union all
        -- Friday to Monday: three days, one of them a weekday. Saturday to Tuesday: two.
        select 'Friday to Monday', 1, {{ days_between("date '2024-03-01'", "date '2024-03-04'", true) }}
        union all
        select 'Saturday to Tuesday', 2, {{ days_between("date '2024-03-02'", "date '2024-03-05'", true) }}
        union all
        select 'Monday to Monday', 5, {{ days_between("date '2024-03-04'", "date '2024-03-11'", true) }}
        union all
        select 'Friday to Saturday', 0, {{ days_between("date '2024-03-01'", "date '2024-03-02'", true) }}
    )

select *
from found
where expected is distinct from found
