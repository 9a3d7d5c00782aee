-- Curves of competing risks against published values, to four decimals (SAS prints four). A row
-- here is a difference. finegray: survival package for R, tests/finegray.R. bmt: Scrucca, Santucci
-- and Aversa (2007), as shipped with scikit-survival. aml_low: Guo and So (2018), SAS PROC
-- LIFETEST, bone marrow transplants of the low-risk group, days. ten: worked answer G-19 of the
-- measure catalogue.
with
    finegray(days, status) as (
        values
            (1, 1),
            (2, 2),
            (3, 0),
            (4, 1),
            (4, 0),
            (4, 0),
            (5, 2),
            (5, 1),
            (6, 0),
            (8, 0),
            (8, 2),
            (9, 0),
            (10, 1),
            (12, 0)
    ),

    bmt(series, days, status) as (
        values
            ('ALL', 13, 2),
            ('ALL', 1, 1),
            ('ALL', 72, 0),
            ('ALL', 7, 2),
            ('ALL', 8, 2),
            ('AML', 67, 0),
            ('ALL', 9, 2),
            ('ALL', 5, 2),
            ('AML', 70, 0),
            ('AML', 4, 0),
            ('AML', 7, 0),
            ('AML', 68, 0),
            ('ALL', 1, 2),
            ('AML', 10, 2),
            ('AML', 7, 2),
            ('AML', 3, 1),
            ('AML', 4, 1),
            ('AML', 4, 1),
            ('AML', 3, 1),
            ('AML', 3, 1),
            ('ALL', 22, 2),
            ('AML', 8, 1),
            ('AML', 2, 2),
            ('ALL', 0, 2),
            ('ALL', 0, 1),
            ('ALL', 35, 0),
            ('AML', 35, 0),
            ('ALL', 4, 2),
            ('ALL', 14, 2),
            ('ALL', 26, 2),
            ('ALL', 3, 2),
            ('AML', 2, 0),
            ('AML', 8, 0),
            ('AML', 32, 0),
            ('ALL', 12, 1)
    ),

    aml_low(days, status) as (
        values
            (2569, 0),
            (2506, 0),
            (2409, 0),
            (2218, 0),
            (1857, 0),
            (1829, 0),
            (1562, 0),
            (1470, 0),
            (1363, 0),
            (1030, 0),
            (860, 0),
            (1258, 0),
            (2246, 0),
            (1870, 0),
            (1799, 0),
            (1709, 0),
            (1674, 0),
            (1568, 0),
            (1527, 0),
            (1324, 0),
            (957, 0),
            (932, 0),
            (847, 0),
            (848, 0),
            (1850, 0),
            (1843, 0),
            (1535, 0),
            (1447, 0),
            (1384, 0),
            (414, 2),
            (2204, 2),
            (1063, 2),
            (481, 2),
            (105, 2),
            (641, 2),
            (390, 2),
            (288, 2),
            (421, 1),
            (79, 2),
            (748, 1),
            (486, 1),
            (48, 2),
            (272, 1),
            (1074, 2),
            (381, 1),
            (10, 2),
            (53, 2),
            (80, 2),
            (35, 2),
            (248, 1),
            (704, 2),
            (211, 1),
            (219, 1),
            (606, 1)
    ),

    ten(days, status) as (
        values (30, 1), (60, 2), (60, 1), (90, 0), (120, 1), (150, 3), (180, 1), (200, 0), (240, 2), (300, 0)
    ),

    patients as (
        select 'finegray' as series, days, nullif(status, 0) as cause, -1 as entered_day
        from finegray
        union all
        select series, days, nullif(status, 0), -1
        from bmt
        union all
        select 'aml_low', days, nullif(status, 0), -1
        from aml_low
        union all
        select 'ten', days, nullif(status, 0), -1
        from ten
        union all
        -- Everybody watched from day 30 on: who left by then is nobody's loss.
        select 'ten_from_day_30', days, nullif(status, 0), 30
        from ten
    ),

    {{ competing_risk_curves("patients", ["series"]) }},

    published(series, cause, day, what, expected) as (
        values
            ('finegray', 1, 1, 'cif', 0.071429),
            ('finegray', 1, 4, 'cif', 0.149351),
            ('finegray', 1, 5, 'cif', 0.246753),
            ('finegray', 1, 10, 'cif', 0.480519),
            ('finegray', 2, 2, 'cif', 0.071429),
            ('finegray', 2, 5, 'cif', 0.168831),
            ('finegray', 2, 8, 'cif', 0.285714),
            ('ALL', 1, 10, 'cif', 0.117647),
            ('ALL', 2, 10, 'cif', 0.470588),
            ('AML', 1, 10, 'cif', 0.368186),
            ('AML', 2, 10, 'cif', 0.205707),
            ('aml_low', 1, 365, 'cif', 0.0741),
            ('aml_low', 1, 365, 'low', 0.0234),
            ('aml_low', 1, 365, 'high', 0.1646),
            ('aml_low', 1, 547, 'cif', 0.1296),
            ('aml_low', 1, 547, 'low', 0.0563),
            ('aml_low', 1, 547, 'high', 0.2344),
            ('aml_low', 1, 730, 'cif', 0.1481),
            ('aml_low', 1, 730, 'low', 0.0685),
            ('aml_low', 1, 730, 'high', 0.2565),
            ('aml_low', 1, 1095, 'cif', 0.1667),
            ('aml_low', 1, 1095, 'low', 0.0813),
            ('aml_low', 1, 1095, 'high', 0.2783),
            ('ten', 1, 29, 'cif', null),
            ('ten', 1, 30, 'cif', 0.1),
            ('ten', 1, 60, 'cif', 0.2),
            ('ten', 1, 120, 'cif', 0.31667),
            ('ten', 1, 180, 'cif', 0.43333),
            ('ten', 2, 60, 'cif', 0.1),
            ('ten', 2, 240, 'cif', 0.275),
            ('ten', 3, 150, 'cif', 0.11667),
            ('ten', 1, 150, 'survival', 0.46667),
            ('ten', 1, 240, 'survival', 0.175),
            -- Nine at risk on day 60 instead of the nine left of ten: one ninth, not one tenth.
            ('ten_from_day_30', 1, 59, 'cif', null),
            ('ten_from_day_30', 1, 60, 'cif', 0.11111),
            ('ten_from_day_30', 2, 60, 'cif', 0.11111)
    ),

    computed as (
        select
            p.series,
            p.cause,
            p.day,
            p.what,
            p.expected,
            max_by(
                case
                    p.what
                    when 'cif'
                    then c.cif
                    when 'survival'
                    then c.survival
                    when 'low'
                    then {{ log_log_limit("c.cif", "c.cif_variance", -1) }}
                    else {{ log_log_limit("c.cif", "c.cif_variance", 1) }}
                end,
                c.day
            ) as got
        from published as p
        left join curves as c on p.series = c.series and p.cause = c.cause and c.day <= p.day
        group by all
    )

select *
from computed
where coalesce(abs(got - expected) > 0.00006, (got is null) <> (expected is null))
union all
-- The causes together are what Kaplan and Meier say of any exit.
select series, null, day, 'sum of causes', 1 - max(survival), sum(cif_so_far)
from
    (
        select
            g.series,
            g.day,
            g.survival,
            (
                select max(c.cif)
                from curves as c
                where c.series = g.series and c.cause = k.cause and c.day <= g.day
            ) as cif_so_far
        from (select distinct series, day, survival from curves) as g
        inner join (select distinct series, cause from curves) as k on g.series = k.series
    )
group by series, day
having abs(1 - max(survival) - sum(cif_so_far)) > 1e-9
