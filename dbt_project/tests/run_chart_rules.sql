-- Worked answer G-24 of the measure catalogue: the twelve points, their shift, trend, runs and limits. A
-- row is a rule that
-- came out otherwise.
with
    points as (
        select 'G-24' as series, generate_subscripts(v, 1) as point_no, unnest(v)::double as value
        from (select [20, 22, 19, 21, 20, 23, 27, 28, 26, 29, 27, 30] as v)
    ),

    chart as ({{ run_chart("points") }}),

    frozen as ({{ run_chart("points", baseline=6) }}),

    control as ({{ xmr_chart("points", baseline=6) }}),

    found as (
        select 'median' as rule, '24.5' as expected, cast(any_value(centre) as varchar) as found
        from chart
        union all
        select 'shift fires at', '6,12', string_agg(point_no, ',' order by point_no)
        from chart
        where is_shift
        union all
        select 'longest trend', '4', cast(max(trend_length) as varchar)
        from chart
        union all
        select 'trend fires', 'false', cast(bool_or(is_trend) as varchar)
        from chart
        union all
        select 'runs', '2', cast(any_value(runs) as varchar)
        from chart
        union all
        select 'crossings', '1', cast(any_value(crossings) as varchar)
        from chart
        union all
        select 'too few runs', 'true', cast(bool_or(is_few_or_many_runs) as varchar)
        from chart
        union all
        select
            'longest run and its limit',
            '6 of 7',
            any_value(longest_run) || ' of ' || any_value(longest_run_limit)
        from chart
        union all
        select 'fewest crossings', '3', cast(any_value(fewest_crossings) as varchar)
        from chart
        union all
        select 'Anhoej signal', 'true', cast(bool_or(is_anhoej) as varchar)
        from chart
        union all
        select 'short baseline', 'true', cast(bool_or(is_short_baseline) as varchar)
        from frozen
        union all
        select 'frozen median', '20.5', cast(any_value(centre) as varchar)
        from frozen
        union all
        select 'run above the frozen median starts at', '6', cast(min(point_no - run_length + 1) as varchar)
        from frozen
        where is_shift
        union all
        select 'frozen shift first fires at', '11', cast(min(point_no) as varchar)
        from frozen
        where is_shift
        union all
        select 'control mean', '20.8333', cast(round(any_value(centre), 4) as varchar)
        from control
        union all
        select 'mean moving range', '2.2', cast(round(any_value(moving_range), 4) as varchar)
        from control
        union all
        select
            'control limits',
            '14.981 to 26.685',
            round(any_value(lower), 3) || ' to ' || round(any_value(upper), 3)
        from control
        union all
        select 'outside the limits', '7,8,10,11,12', string_agg(point_no, ',' order by point_no)
        from control
        where is_outside
    )

select *
from found
where expected is distinct from found
