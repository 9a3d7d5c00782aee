{#-
    Run charts and control charts over a series of points. Sources: rules R1 to R3 as tabulated in Perla et al. (2011) and
    repeated in BMJ Open; longest run and crossings after Anhoej and Olesen, PLoS ONE 9(11) 2014; XmR limits after Shewhart
    (2.66 = 3 / 1.128). Rule R4, the astronomical point, is for people to judge and is not computed.
-#}
{#-
    A query with one row per point of ``points`` (columns series, point_no from 1 without gaps, value), its centre line and
    the rules that fire at it. ``baseline`` points freeze the centre: their median, else the median of all points. Columns:
    series, point_no, value, centre, is_short_baseline (fewer than 10 points make the centre), side (-1, 0, 1),
    run_length (points of the present run up to this one, those on the line skipped), is_shift (R1: six or more on one side),
    trend_length, is_trend (R2: five or more rising or falling, equal neighbours counted once), and per series runs, crossings,
    useful (points off the line), longest_run, fewest_runs and most_runs (R3), is_few_or_many_runs, longest_run_limit,
    fewest_crossings, is_anhoej (longest run above its limit or fewer crossings than the least).
-#}
{% macro run_chart(points, baseline=none) -%}
    with
        centred as (
            select
                *,
                median(value)
                {% if baseline %} filter (where point_no <= {{ baseline }}){% endif %} over (
                    partition by series
                ) as centre,
                count(*)
                {% if baseline %} filter (where point_no <= {{ baseline }}){% endif %} over (
                    partition by series
                )
                < 10 as is_short_baseline
            from {{ points }}
            where value is not null
        ),

        sided as (select *, cast(sign(value - centre) as integer) as side from centred),

        turned as (
            select
                series,
                point_no,
                coalesce(side <> lag(side) over (partition by series order by point_no), true) as is_new_run
            from sided
            where side <> 0
        ),

        numbered as (
            select
                series,
                point_no,
                count(*) filter (where is_new_run) over (
                    partition by series order by point_no rows unbounded preceding
                ) as run_no
            from turned
        ),

        in_runs as (
            select *, row_number() over (partition by series, run_no order by point_no) as run_length
            from numbered
        ),

        -- Neighbours of equal value are one point of a trend.
        distinct_points as (
            select
                series,
                point_no,
                value,
                sign(value - lag(value) over (partition by series order by point_no)) as direction
            from sided
            qualify coalesce(value <> lag(value) over (partition by series order by point_no), true)
        ),

        directed as (
            select
                *,
                coalesce(
                    direction <> lag(direction) over (partition by series order by point_no), true
                ) as is_turn
            from distinct_points
        ),

        legs as (
            select
                *,
                count(*) filter (where is_turn) over (
                    partition by series order by point_no rows unbounded preceding
                ) as leg_no
            from directed
        ),

        -- A leg's first step joins two points, so n steps are n + 1 points.
        trends as (
            select
                series,
                point_no,
                row_number() over (partition by series, leg_no order by point_no)
                + cast(direction is not null as integer) as trend_length
            from legs
        ),

        totals as (
            select
                series,
                max(run_no) as runs,
                max(run_no) - 1 as crossings,
                count(*) as useful,
                max(run_length) as longest_run
            from in_runs
            group by series
        ),

        limits as (
            select
                *,
                cast(round(log2(useful) + 3) as integer) as longest_run_limit,
                {{ binomial_quantile("useful - 1", 0.05) }} as fewest_crossings,
                {{ run_limit("useful", 0) }} as fewest_runs,
                {{ run_limit("useful", 1) }} as most_runs
            from totals
        )

    select
        s.series,
        s.point_no,
        s.value,
        s.centre,
        s.is_short_baseline,
        s.side,
        r.run_length,
        coalesce(r.run_length >= 6, false) as is_shift,
        t.trend_length,
        coalesce(t.trend_length >= 5, false) as is_trend,
        l.useful,
        l.runs,
        l.crossings,
        l.longest_run,
        l.fewest_runs,
        l.most_runs,
        coalesce(l.runs < l.fewest_runs or l.runs > l.most_runs, false) as is_few_or_many_runs,
        l.longest_run_limit,
        l.fewest_crossings,
        coalesce(l.longest_run > l.longest_run_limit or l.crossings < l.fewest_crossings, false) as is_anhoej
    from sided as s
    left join in_runs as r on s.series = r.series and s.point_no = r.point_no
    left join trends as t on s.series = t.series and s.point_no = t.point_no
    left join limits as l on s.series = l.series
{%- endmacro %}

{#- The ``p`` quantile of the number of heads in ``n`` fair throws: the least k with P(X <= k) >= p. -#}
{% macro binomial_quantile(n, p) -%}
    len(
        list_filter(
            list_transform(
                range(0, {{ n }} + 1),
                lambda k:list_sum(
                    list_transform(
                        range(0, k + 1),
                        lambda i:exp(
                            lgamma({{ n }} + 1) - lgamma(i + 1) - lgamma({{ n }} - i + 1) - ({{ n }}) * ln(2)
                        )
                    )
                )
            ),
            lambda c:c < {{ p }}
        )
    )
{%- endmacro %}

{#- Fewest (``side`` 0) or most (1) runs expected of 10 to 30 useful points (Swed and Eisenhart 1943, 5 %); else null. -#}
{% macro run_limit(useful, side) -%}
    {%- set fewest = [3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 9, 10, 10, 10, 11] -%}
    {%- set most = [9, 10, 11, 11, 12, 12, 13, 13, 14, 15, 16, 16, 17, 17, 18, 18, 19, 19, 20, 20, 21] -%}
    case when {{ useful }} between 10 and 30 then {{ [fewest, most][side] }} [{{ useful }} - 9] end
{%- endmacro %}

{#-
    A query with one row per point of ``points`` (series, point_no, value) and the XmR limits of its first ``baseline`` points,
    else of all: centre (mean), moving_range (mean), lower, upper (centre -/+ 2.66 x moving_range), is_outside.
-#}
{% macro xmr_chart(points, baseline=none) -%}
    with
        ranged as (
            select *, abs(value - lag(value) over (partition by series order by point_no)) as moving_range
            from {{ points }}
            where value is not null
        ),

        limits as (
            select series, avg(value) as centre, avg(moving_range) as mean_range
            from ranged
            {% if baseline %} where point_no <= {{ baseline }}{% endif %}
            group by series
        )

    select
        r.series,
        r.point_no,
        r.value,
        l.centre,
        l.mean_range as moving_range,
        l.centre - 2.66 * l.mean_range as lower,
        l.centre + 2.66 * l.mean_range as upper,
        coalesce(r.value not between lower and upper, false) as is_outside
    from ranged as r
    inner join limits as l on r.series = l.series
{%- endmacro %}
