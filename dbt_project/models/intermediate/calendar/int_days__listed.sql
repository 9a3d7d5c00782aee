{{ config(materialized="view") }}
-- Every day a period may begin on; dbt's semantic layer asks for such a list.
select cast(day as date) as day
from range(date '2000-01-01', date '2050-01-01', interval 1 day) as t(day)
