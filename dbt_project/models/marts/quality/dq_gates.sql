-- The fifteen data-quality gates of the federal indicators (CFSR Round 4 data dictionary), period
-- by period. A gate that is broken means the indicators that lean on it say more about the data
-- than about children.
with
    periods as ({{ metric_periods() }}),

    -- A share of rows must stay under the limit (max) or above it (min). concerns: which measures
    -- lean on it, as a pattern.
    gates as (
        select *
        from
            (
                values
                    ('DQ-01', 'born after entry', 'max', 0.05, '.*'),
                    ('DQ-02', 'born after exit', 'max', 0.05, '.*'),
                    ('DQ-03', 'exit before removal', 'max', 0.05, '.*'),
                    ('DQ-04', 'entry and exit on one day', 'max', 0.05, '.*'),
                    ('DQ-05', 'no date of birth', 'max', 0.05, '.*'),
                    ('DQ-06', 'no removal date', 'max', 0.05, '.*'),
                    (
                        'DQ-07',
                        'exit without a reason',
                        'max',
                        0.10,
                        'PRM.*|EVL-02|EVL-04|EQT.*|BSC-01|CRT-13'
                    ),
                    ('DQ-08', 'no placement recorded', 'max', 0.05, 'STB.*|KIN.*'),
                    (
                        'DQ-09',
                        'in care in one federal file, gone from the next without an exit',
                        'max',
                        0.10,
                        '.*'
                    ),
                    ('DQ-10', 'child numbers not found in the next federal file', 'max', 0.40, '.*'),
                    ('DQ-11', 'entries that are not the child''s first', 'min', 0.05, 'PRM-04|EQT.*'),
                    ('DQ-12', 'victims without an age', 'max', 0.05, 'SAF.*|EVL-01'),
                    ('DQ-13', 'victims of the year before seen again', 'min', 0.01, 'SAF-02|EVL-01'),
                    ('DQ-14', 'one child number, two birth dates or sexes', 'max', 0.05, '.*'),
                    ('DQ-15', 'victims known to foster care', 'min', 0.01, 'SAF-01')
            ) as g(gate_id, gate_name, limit_kind, limit_at, concerns)
    ),

    removals as (
        select p.period_start, r.*, d.dob
        from periods as p
        inner join
            {{ ref("fct_removal") }} as r
            on r.removal_date <= p.period_end
            and coalesce(r.discharge_date >= p.period_start, true)
        left join {{ ref("dim_person") }} as d on r.person_id = d.person_id
    ),

    of_removals as (
        select
            period_start,
            unnest(
                [
                    {'gate_id':'DQ-01', 'bad':count_if(dob > removal_date), 'of':count(dob)},
                    {
                        'gate_id':'DQ-02',
                        'bad':count_if(dob > discharge_date),
                        'of':count_if(dob is not null and discharge_date is not null)
                    },
                    {
                        'gate_id':'DQ-03',
                        'bad':count_if(discharge_date < removal_date),
                        'of':count(discharge_date)
                    },
                    {
                        'gate_id':'DQ-04',
                        'bad':count_if(discharge_date = removal_date),
                        'of':count(discharge_date)
                    },
                    {'gate_id':'DQ-05', 'bad':count_if(dob is null), 'of':count(*)},
                    {
                        'gate_id':'DQ-07',
                        'bad':count_if(discharge_date is not null and discharge_reason is null),
                        'of':count(discharge_date)
                    },
                    {
                        'gate_id':'DQ-08',
                        'bad':count_if(removal_id not in (select removal_id from {{ ref("fct_placement") }})),
                        'of':count(*)
                    },
                    {
                        'gate_id':'DQ-11',
                        'bad':count_if(removal_date >= period_start and prior_removals > 0),
                        'of':count_if(removal_date >= period_start)
                    }
                ],
                recursive := true
            )
        from removals
        group by period_start
    ),

    -- A removal without a date belongs to no period; it counts in the last one.
    undated as (
        select
            (select max(period_start) from periods) as period_start,
            'DQ-06' as gate_id,
            count_if(removal_date is null) as bad,
            count(*) as of
        from {{ ref("stg_child_welfare__removals") }}
        where record_status = 'A'
    ),

    children as (
        select
            cast(strptime(e2_report_date || '01', '%Y%m%d') as date) as file_month,
            e4_child_record_number as child,
            max(e5_date_of_birth) as born,
            max(e6_sex) as sex
        from {{ federal_file_rows("children") }}
        group by all
    ),

    open_at_end as (
        select distinct
            cast(strptime(e2_report_date || '01', '%Y%m%d') as date) as file_month,
            e4_child_record_number as child
        from {{ federal_file_rows("removals") }}
        where e153_exit_date is null
    ),

    -- Each federal file beside the one six months later; only files both of which were delivered.
    carried as (
        select
            p.period_start,
            a.child,
            o.child is not null as was_open,
            b.child is not null as is_in_next,
            b.born <> a.born or b.sex <> a.sex as is_conflict
        from children as a
        inner join
            (select distinct file_month from children) as later
            on later.file_month = {{ add_months("a.file_month", 6) }}
        inner join periods as p on later.file_month between p.period_start and p.period_end
        left join children as b on b.file_month = later.file_month and b.child = a.child
        left join open_at_end as o on o.file_month = a.file_month and o.child = a.child
    ),

    of_files as (
        select
            period_start,
            unnest(
                [
                    {'gate_id':'DQ-09', 'bad':count_if(was_open and not is_in_next), 'of':count_if(was_open)},
                    {'gate_id':'DQ-10', 'bad':count_if(not is_in_next), 'of':count(*)},
                    {'gate_id':'DQ-14', 'bad':count_if(is_conflict), 'of':count_if(is_in_next)}
                ],
                recursive := true
            )
        from carried
        group by period_start
    ),

    victims as (
        select distinct p.period_start, r.person_id, d.dob
        from periods as p
        inner join
            {{ ref("fct_cps_report") }} as r
            on r.report_date between p.period_start and p.period_end
            and r.is_victim
            and not coalesce(r.is_unborn, false)
        left join {{ ref("dim_person") }} as d on r.person_id = d.person_id
    ),

    victims_before as (
        select distinct p.period_start, r.person_id
        from periods as p
        inner join
            {{ ref("fct_cps_report") }} as r
            on r.report_date >= {{ add_months("p.period_start", -12) }}
            and r.report_date < p.period_start
            and r.is_victim
            and not coalesce(r.is_unborn, false)
    ),

    of_victims as (
        select
            period_start,
            unnest(
                [
                    {'gate_id':'DQ-12', 'bad':count_if(dob is null), 'of':count(*)},
                    {
                        'gate_id':'DQ-15',
                        'bad':count_if(person_id in (select person_id from {{ ref("fct_removal") }})),
                        'of':count(*)
                    }
                ],
                recursive := true
            )
        from victims
        group by period_start
        union all
        select b.period_start, 'DQ-13', count(v.person_id), count(*)
        from victims_before as b
        left join victims as v on b.period_start = v.period_start and b.person_id = v.person_id
        group by b.period_start
    ),

    counted as (
        select period_start, gate_id, bad, of
        from of_removals
        union all
        select period_start, gate_id, bad, of
        from undated
        union all
        select period_start, gate_id, bad, of
        from of_files
        union all
        select period_start, gate_id, bad, of
        from of_victims
    ),

    measured as (
        select
            g.*,
            p.period_start,
            p.period_end,
            coalesce(c.bad, 0) as numerator,
            coalesce(c.of, 0) as denominator,
            c.bad / nullif(c.of, 0) as value
        from gates as g
        cross join periods as p
        left join counted as c on g.gate_id = c.gate_id and p.period_start = c.period_start
    ),

    judged as (
        select
            *,
            case
                when limit_kind = 'max'
                then 100 * value / limit_at
                -- Never seen is as far below the limit as can be.
                when value = 0
                then 1000
                else least(100 * limit_at / value, 1000)
            end as percent_of_limit
        from measured
    )

select
    gate_id,
    gate_name,
    'child_welfare' as source_system,
    concerns,
    cast(period_start as date) as period_start,
    cast(period_end as date) as period_end,
    cast(numerator as bigint) as numerator,
    cast(denominator as bigint) as denominator,
    cast(value as double) as value,
    limit_kind,
    cast(limit_at as double) as limit_at,
    cast(percent_of_limit as double) as percent_of_limit,
    case
        when value is null
        then 'not measured'
        when percent_of_limit > 100
        then 'error'
        when percent_of_limit > 50
        then 'warn'
        else 'pass'
    end as status,
    cast(lag(value) over by_gate as double) as value_before,
    case
        when percent_of_limit > lag(percent_of_limit) over by_gate
        then 'worse'
        when percent_of_limit < lag(percent_of_limit) over by_gate
        then 'better'
        when lag(percent_of_limit) over by_gate is not null and percent_of_limit is not null
        then 'same'
    end as trend
from judged
window by_gate as (partition by gate_id order by period_start)
