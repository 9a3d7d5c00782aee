-- Points on the median are skipped, equal neighbours count once in a trend, and five rising points are one.
-- A row is a rule
-- that came out otherwise.
with
    points as (
        select series, generate_subscripts(v, 1) as point_no, unnest(v)::double as value
        from
            (
                values
                    ('on the line', [5, 5, 6, 6, 6, 5, 6, 6, 6, 4, 4, 4, 4]),
                    ('rising with a tie', [1, 2, 2, 3, 4, 5, 1, 5]),
                    ('four rising', [1, 2, 3, 4, 1, 2])
            ) as s(series, v)
    ),

    chart as ({{ run_chart("points") }}),

    found as (
        -- Median 5: the points on it neither add to a run nor break it.
        select
            'six above with one on the line' as rule,
            'true' as expected,
            cast(bool_or(is_shift) as varchar) as found
        from chart
        where series = 'on the line'
        union all
        select 'useful points', '10', cast(any_value(useful) as varchar)
        from chart
        where series = 'on the line'
        union all
        select 'five rising, a tie among them', '6', string_agg(point_no, ',' order by point_no)
        from chart
        where series = 'rising with a tie' and is_trend
        union all
        select 'four rising are no trend', 'false', cast(bool_or(is_trend) as varchar)
        from chart
        where series = 'four rising'
    )

select *
from found
where expected is distinct from found
