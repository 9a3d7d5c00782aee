-- Intervals, ratios and tests against published or independently computed values. A row here is a
-- difference. Sources: worked answers G-18, G-20, G-21, G-22 of the measure catalogue; Garwood
-- limits: tables of the exact Poisson interval; national numerators and denominators: national
-- supplemental context file of the Children's Bureau, August 2025; Fisher: the lady tasting tea (3
-- of 4 against 1 of 4), and scipy; chi-square and normal: tables.
with
    cases(name, got, expected, tolerance) as (
        select 'wilson 12/40 low', {{ wilson_low("12", "40") }}, 0.1807, 0.00005
        union all
        select 'wilson 12/40 high', {{ wilson_high("12", "40") }}, 0.4543, 0.00005
        union all
        select 'wilson 0/20 low', {{ wilson_low("0", "20") }}, 0, 0.00005
        union all
        select 'wilson 0/20 high', {{ wilson_high("0", "20") }}, 0.1611, 0.00005
        union all
        select 'wilson 20/20 low', {{ wilson_low("20", "20") }}, 0.8389, 0.00005
        union all
        select 'wilson 20/20 high', {{ wilson_high("20", "20") }}, 1, 0.00005
        union all
        select 'garwood 0 low', {{ garwood_low("0") }}, 0, 0.0005
        union all
        select 'garwood 0 high', {{ garwood_high("0") }}, 3.689, 0.0005
        union all
        select 'garwood 1 low', {{ garwood_low("1") }}, 0.0253, 0.00005
        union all
        select 'garwood 1 high', {{ garwood_high("1") }}, 5.572, 0.0005
        union all
        select 'garwood 10 low', {{ garwood_low("10") }}, 4.795, 0.0005
        union all
        select 'garwood 10 high', {{ garwood_high("10") }}, 18.390, 0.0005
        union all
        select 'garwood 10023 low', {{ garwood_low("10023") }}, 9827.727, 0.0005
        union all
        select 'garwood 10023 high', {{ garwood_high("10023") }}, 10221.177, 0.0005
        union all
        select 'odds ratio 4/100 to 10/100', {{ odds_ratio("4", "100", "10", "100") }}, 0.375, 0.00005
        union all
        select
            'woolf low',
            {{ ratio_limit("0.375", log_odds_ratio_se("4", "100", "10", "100"), -1) }},
            0.1136,
            0.00005
        union all
        select
            'woolf high',
            {{ ratio_limit("0.375", log_odds_ratio_se("4", "100", "10", "100"), 1) }},
            1.2384,
            0.00005
        union all
        select 'normal p 1.959964', {{ normal_p("1.959964") }}, 0.05, 0.0000005
        union all
        select 'normal p -2.575829', {{ normal_p("-2.575829") }}, 0.01, 0.0000005
        union all
        select 'normal p 0', {{ normal_p("0.0") }}, 1, 0.0000005
        union all
        select 'odds ratio with an empty cell', {{ odds_ratio("4", "100", "0", "100") }}, null, 0
        union all
        select
            'risk ratio low',
            {{ ratio_limit("3.0", log_risk_ratio_se("30", "1000", "20", "2000"), -1) }},
            1.7125,
            0.00005
        union all
        select
            'risk ratio high',
            {{ ratio_limit("3.0", log_risk_ratio_se("30", "1000", "20", "2000"), 1) }},
            5.2556,
            0.00005
        union all
        select 'chi-square 3.841 on 1', {{ chi_square_tail("3.841459", "1") }}, 0.05, 0.000001
        union all
        select 'chi-square 11.0705 on 5', {{ chi_square_tail("11.070498", "5") }}, 0.05, 0.000001
        union all
        select 'chi-square 200 on 5', {{ chi_square_tail("200.0", "5") }}, 0, 0.000001
        union all
        select 'fisher 3/4 to 1/4', {{ fisher_p("3", "4", "1", "4") }}, 0.485714, 0.000001
        union all
        select 'fisher 8/10 to 1/6', {{ fisher_p("8", "10", "1", "6") }}, 0.034965, 0.000001
        union all
        select
            'directly standardised rate',
            {{ standardised_rate([["0.3", "5", "50"], ["0.7", "30", "100"]]) }},
            0.24,
            0.0000001
        union all
        select 'P1, 23A23B, entry cohort', 49291 / 141804, 0.347600, 0.0000005
        union all
        select 'P1, under 1 year', 7901 / 28433, 0.277881, 0.0000005
        union all
        select 'P5, 24B25A', {{ rate("110272", "22607726", 1000) }}, 4.877625, 0.0000005
        union all
        select 'S1, FY23', {{ rate("10023", "109726676", 100000) }}, 9.134515, 0.0000005
        union all
        select 'S2, FY23-24', 50339 / 535374, 0.094026, 0.0000005
        union all
        select 'P4, 23B24A', 4390 / 72934, 0.060191, 0.0000005
    )

select *
from cases
where coalesce(abs(got - expected) > tolerance, (got is null) <> (expected is null))
