-- CRT-11: continued hearings. Basis: hearings scheduled in the period, vacated ones included. The reasons
-- name who the
-- hearing waited for, so each reason has a row of its own over the same hearings.
with
    periods as ({{ metric_periods() }}),

    cases as (
        select case_id, min(person_id) as person_id, min(county) as county
        from {{ ref("fct_court_case") }}
        group by case_id
    ),

    scheduled as (
        select
            p.period_start,
            p.period_end,
            c.person_id,
            c.county,
            h.scheduled_date as index_date,
            upper(h.outcome) as outcome,
            coalesce(lower(h.continuance_reason), 'not_stated') as reason
        from periods as p
        inner join
            {{ ref("fct_hearing") }} as h
            on h.scheduled_date between p.period_start and p.period_end
            and h.scheduled_date <= {{ cutoff() }}
        left join cases as c on h.case_id = c.case_id
    ),

    sited as ({{ with_site("scheduled", "index_date") }}),

    units as (
        select
            'CRT-11' as metric_id,
            'warehouse' as variant,
            period_start,
            period_end,
            person_id,
            index_date,
            site_id,
            county,
            case
                when coalesce(outcome not in ('HELD', 'CONTINUED', 'VACATED'), true)
                then 'no_outcome_recorded'
            end as exclusion,
            true as is_observable,
            coalesce(outcome = 'CONTINUED', false) as is_numerator,
            reason
        from sited
    ),

    stratified as (select * from ({{ stratified("units") }}) where stratum_value is not null),

    by_stratum as (
        select
            period_start,
            period_end,
            stratum_site,
            stratum_type,
            stratum_value,
            count(*) filter (where exclusion is null) as denominator,
            count(*) filter (where exclusion is null and is_numerator) as continued,
            histogram(reason) filter (where exclusion is null and is_numerator) as reasons,
            to_json(histogram(exclusion)) as n_excluded_by_rule
        from stratified
        group by all
    ),

    counted as (
        select
            'CRT-11' as metric_id,
            'warehouse' as variant,
            * exclude (continued, reasons),
            continued as numerator,
            0 as n_not_observable
        from by_stratum
        union all by name
        select
            'CRT-11' as metric_id,
            'reason_' || r.entry.key as variant,
            b.* exclude (continued, reasons),
            r.entry.value as numerator,
            0 as n_not_observable
        from by_stratum as b, unnest(map_entries(b.reasons)) as r(entry)
    ),

    framed as ({{ with_empty_periods("counted", [["CRT-11", "warehouse"]]) }}),

    summary as (
        select
            *,
            numerator / nullif(denominator, 0) as value,
            {{ wilson_low("numerator", "denominator") }} as ci_low,
            {{ wilson_high("numerator", "denominator") }} as ci_high,
            'wilson' as ci_method,
            true as is_mature
        from framed
    )

    {{ standard_rows("summary", needs=["court"], version="1.0.1") }}
