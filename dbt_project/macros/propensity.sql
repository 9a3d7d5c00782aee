{#-
    Children matched on their propensity: how likely each was to be a site's, from what was known by the day of removal.
    Sources: Rosenbaum and Rubin (1983); the caliper as Austin (2011).
-#}
{#- CTEs of entry_cohort, and children: those under 36 months at removal, with enrolled_day, the day after it they were
    enrolled on (-1: before it; null: never). left_out: how many of such children are out by which rule, as JSON. -#}
{% macro young_entry_cohort() %}
    {{ entry_cohort() }},

    young as (
        select
            c.*,
            {{ is_permanency("c.end_reason") }} as is_permanent,
            d.dob,
            (
                -- greatest() passes over null: who never enrolled has no day.
                select
                    case
                        when min(e.enrolled_date) is not null
                        then greatest(min(e.enrolled_date) - c.removal_date, -1)
                    end
                from {{ ref("fct_enrollment_sbct") }} as e
                where e.person_id = c.person_id and coalesce(e.closed_date >= c.removal_date, true)
            ) as enrolled_day
        from cohort as c
        inner join
            {{ ref("dim_person") }} as d
            on c.person_id = d.person_id
            and c.removal_date >= d.dob
            and c.removal_date < {{ add_months("d.dob", 36) }}
    ),

    children as (select * from young where exclusion is null),

    left_out as (
        select period_start, to_json(histogram(exclusion)) as rules
        from young
        where exclusion is not null
        group by period_start
    )
{%- endmacro %}

{#-
    What the propensity is made of: [name, SQL over one child, whether it is a number]. A number enters as it is, 0 where
    it is not known; of what has kinds, every kind but the first.
-#}
{% macro propensity_covariates() -%}
    {{
        return(
            [
                ["age_in_months", "(removal_date - dob) / 30.4375", true],
                ["svi", "coalesce(rpl_themes, 0)", true],
                ["sex", ["M", "F", "UNKNOWN"], false],
                [
                    "race_eth",
                    ["WHITE", "HISPANIC", "TWO_OR_MORE", "AIAN", "ASIAN", "BLACK", "NHPI", "UNKNOWN"],
                    false,
                ],
                ["prior_removal", ["0", "1+", "UNKNOWN"], false],
                ["substance_use_removal", ["N", "Y", "UNKNOWN"], false],
                ["svi_known", ["Y", "N"], false],
            ]
        )
    }}
{%- endmacro %}

{#- The columns of the model after its constant: [name, SQL over one child, whether it is a number]. -#}
{% macro propensity_columns() -%}
    {%- set columns = [] -%}
    {%- for name, values, is_number in propensity_covariates() -%}
        {%- if is_number -%} {%- do columns.append([name, values, true]) -%}
        {%- else -%}
            {%- for value in values[1:] -%}
                {%- do columns.append(
                    [name ~ " " ~ value, "cast(" ~ name ~ " = '" ~ value ~ "' as integer)", false]
                ) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{#-
    The solution of linear equations whose matrix is symmetric and not negative, by Gauss and Jordan's elimination.
    ``equations``: a list of rows of doubles, the right side last; ``size``: how many. An unknown that the ones before it
    tell already is 0. Gives the rows, the solution last in each.
-#}
{% macro solved(equations, size) -%}
    {#- The lambda's index starts at 2: the first element is what it starts from. -#}
    {%- set pivot = "a[k - 1][k - 1]" -%}
    list_reduce(
        list_transform(range({{ size }} + 1), lambda i:{{ equations }}),
        lambda a,
        x,
        k:list_transform(
            a,
            lambda row,
            i: case
                when {{ pivot }} <= 1e-9 * x[k - 1][k - 1]
                then case when i = k - 1 then list_transform(row, lambda v:cast(0 as double)) else row end
                when i = k - 1
                then list_transform(row, lambda v:v / {{ pivot }})
                else list_transform(row, lambda v, j:v - row[k - 1] * a[k - 1][j] / {{ pivot }})
            end
        )
    )
{%- endmacro %}

{#-
    CTEs ending in ``matched`` and ``propensity_models``. Needs ``with recursive`` and children (young_entry_cohort).

    eligible: the children in care after day 60 who are of the site (enrolled by then) or of general care in a county
    without a site, with their covariates, x (1 and the model's columns) and left_out: without_county, or
    without_counterpart where nobody of the other arm in the state is of one of the child's kinds.
    propensity_models: a row for each period and state with both arms: has_maximum, caliper in millionths of a logit.
    matched: eligible, with score (the logit in millionths) and match_set_id, null for a child without a match.

    The model and the matching keep within one state (the county's first two digits) and period. Closest pairs first, each
    child once; where two distances are equal the lower score goes first, where two scores are, the lower person_id.
-#}
{% macro propensity_matches() %}
    {%- set columns = propensity_columns() -%}
    {%- set kinds = propensity_covariates() | rejectattr(2) | map(attribute=0) | list -%}
    {%- set size = columns | length + 1 -%}
    {%- set group = "period_start, state" -%}
    -- One release of the index for both arms: the last one not after the period.
    vulnerability as (
        select p.period_start, s.county_fips, s.rpl_themes
        from periods as p
        inner join {{ ref("ref_svi") }} as s on s.year <= year(p.period_end)
        qualify s.year = max(s.year) over (partition by p.period_start)
    ),

    described as (
        select
            c.*,
            coalesce(left(c.county, 2), '') as state,
            coalesce(c.enrolled_day <= 60, false) as is_site,
            coalesce(d.sex, 'UNKNOWN') as sex,
            case
                when coalesce(d.race_eth, 'MISSING') = 'MISSING' then 'UNKNOWN' else d.race_eth
            end as race_eth,
            case
                when r.prior_removals > 0 then '1+' when r.prior_removals = 0 then '0' else 'UNKNOWN'
            end as prior_removal,
            case
                when r.has_substance_use_reason
                then 'Y'
                when not r.has_substance_use_reason
                then 'N'
                else 'UNKNOWN'
            end as substance_use_removal,
            v.rpl_themes,
            case when v.rpl_themes is null then 'N' else 'Y' end as svi_known
        from children as c
        inner join {{ ref("dim_person") }} as d on c.person_id = d.person_id
        left join
            (
                select
                    person_id,
                    removal_date,
                    max(prior_removals) as prior_removals,
                    bool_or(has_substance_use_reason) as has_substance_use_reason
                from {{ ref("fct_removal") }}
                group by all
            ) as r
            on c.person_id = r.person_id
            and c.removal_date = r.removal_date
        left join vulnerability as v on c.period_start = v.period_start and c.county = v.county_fips
        where
            c.days > 60
            and (
                is_site
                or not exists (
                    select 1
                    from {{ ref("fct_enrollment_sbct") }} as e
                    where e.county = c.county and e.enrolled_date <= c.period_end
                )
            )
    ),

    eligible as (
        select
            *,
            case
                when county is null
                then 'without_county'
                when
                    least(
                        {%- for kind in kinds %}
                            count(*) filter (where is_site) over (partition by {{ group }}, {{ kind }}),
                            count(*) filter (where not is_site) over (partition by {{ group }}, {{ kind }})
                            {{- "," if not loop.last }}
                        {%- endfor %}
                    )
                    = 0
                then 'without_counterpart'
            end as left_out,
            [
                cast(1 as double),
                {% for _, sql, _ in columns %} {{ sql }}{{ "," if not loop.last }} {% endfor %}
            ] as x
        from described
    ),

    -- Newton's method, until no coefficient moves; without a maximum they go on moving.
    newton as (
        select
            period_start,
            state,
            0 as step,
            list_transform(range({{ size }}), lambda i:cast(0 as double)) as coefficients,
            cast(1 as double) as moved
        from eligible
        where left_out is null
        group by all
        having bool_or(is_site) and not bool_and(is_site)
        union all
        select
            period_start,
            state,
            step + 1,
            list_transform(steps, lambda row, i:row[{{ size + 1 }}] + coefficients[i]),
            list_max(list_transform(steps, lambda row:abs(row[{{ size + 1 }}])))
        from
            (
                select *, {{ solved("equations", size) }} as steps
                from
                    (
                        select
                            period_start,
                            state,
                            step,
                            coefficients,
                            [
                                {%- for i in range(1, size + 1) %}
                                    [
                                        {%- for j in range(1, size + 1) %}
                                            sum(w * x[{{ i }}] * x[{{ j }}]),
                                        {%- endfor %}
                                        sum((cast(is_site as integer) - p) * x[{{ i }}])
                                    ]
                                    {{- "," if not loop.last }}
                                {%- endfor %}
                            ] as equations
                        from
                            (
                                select
                                    n.*,
                                    e.is_site,
                                    e.x,
                                    1 / (
                                        1 + exp(
                                            - least(greatest(list_dot_product(n.coefficients, e.x), -30), 30)
                                        )
                                    ) as p,
                                    p * (1 - p) as w
                                from newton as n
                                inner join
                                    eligible as e on n.period_start = e.period_start and n.state = e.state
                                where e.left_out is null and n.moved > 1e-9 and n.step < 25
                            )
                        group by all
                    )
            )
    ),

    estimated as (
        select period_start, state, coefficients, moved <= 1e-9 as has_maximum
        from newton
        qualify step = max(step) over (partition by {{ group }})
    ),

    scored as (
        select
            e.period_start,
            e.state,
            e.person_id,
            e.is_site,
            cast(round(list_dot_product(m.coefficients, e.x) * 1e6) as bigint) as score
        from eligible as e
        inner join estimated as m on e.period_start = m.period_start and e.state = m.state
        where e.left_out is null and m.has_maximum
    ),

    propensity_models as (
        select
            m.period_start,
            m.state,
            m.has_maximum,
            floor(
                {{ var("evl_03_caliper") }} * sqrt(
                    (
                        coalesce(var_samp(s.score) filter (where s.is_site), 0)
                        + coalesce(var_samp(s.score) filter (where not s.is_site), 0)
                    )
                    / 2
                )
            ) as caliper
        from estimated as m
        left join scored as s on m.period_start = s.period_start and m.state = s.state
        group by all
    ),

    -- Children of one score and arm are one level. In a round all levels that are each other's nearest are
    -- matched, as
    -- far as the smaller one goes, which is what taking the closest pair again and again comes to.
    rounds as (
        select
            0 as step,
            period_start,
            state,
            is_site,
            score,
            count(*) as waiting,
            cast(null as bigint) as partner,
            cast(0 as bigint) as pairs
        from scored
        group by all
        union all
        (
            with
                beside as (
                    select
                        *,
                        max(case when is_site then score end) over upward as site_below,
                        max(case when not is_site then score end) over upward as other_below,
                        min(case when is_site then score end) over downward as site_above,
                        min(case when not is_site then score end) over downward as other_above
                    from rounds
                    where waiting > 0
                    window
                        upward as (partition by {{ group }} order by score),
                        downward as (partition by {{ group }} order by score desc)
                ),

                near as (
                    select
                        *,
                        case when is_site then other_below else site_below end as below,
                        case when is_site then other_above else site_above end as above,
                        case
                            when score - below <= coalesce(above - score, score - below) then below else above
                        end as nearest
                    from beside
                )

            select
                a.step + 1,
                a.period_start,
                a.state,
                a.is_site,
                a.score,
                greatest(a.waiting - coalesce(b.waiting, 0), 0),
                b.score,
                a.waiting - greatest(a.waiting - coalesce(b.waiting, 0), 0)
            from near as a
            inner join
                propensity_models as m
                on a.period_start = m.period_start
                and a.state = m.state
                and abs(a.nearest - a.score) <= m.caliper
            left join
                near as b
                on a.period_start = b.period_start
                and a.state = b.state
                and a.is_site <> b.is_site
                and a.nearest = b.score
                and b.nearest = a.score
        )
    ),

    -- Children wait in their level in the order of their numbers.
    matched as (
        select
            e.*,
            s.score,
            case
                when r.partner is not null
                then
                    concat_ws(
                        '~',
                        e.state,
                        case when e.is_site then r.score else r.partner end,
                        case when e.is_site then r.partner else r.score end,
                        s.place - r.before
                    )
            end as match_set_id
        from eligible as e
        left join
            (
                select
                    *,
                    row_number() over (partition by {{ group }}, is_site, score order by person_id) as place
                from scored
            ) as s
            on e.period_start = s.period_start
            and e.person_id = s.person_id
        left join
            (
                select
                    *,
                    sum(pairs) over (partition by {{ group }}, is_site, score order by step) - pairs as before
                from rounds
                where pairs > 0
            ) as r
            on s.period_start = r.period_start
            and s.state = r.state
            and s.is_site = r.is_site
            and s.score = r.score
            and s.place > r.before
            and s.place <= r.before + r.pairs
    )
{%- endmacro %}

{#-
    CTE balance: a row for each period and covariate (a kind of it where it has kinds), needs propensity_matches. ``smd``:
    the difference of the means of the site's and the other children over one standard deviation, the root of the mean of
    both arms' variances before the matching, so that what moves between before and after is the means. ``variance_ratio``:
    the site's variance over the other's, of numbers only: that of a yes or no hangs on its mean. Is balanced: after the
    matching abs smd is under 0.10 and the ratio between 0.5 and 2 (Austin 2009; Rubin 2001).
-#}
{% macro propensity_balance() -%}
    balance as (
        select
            *,
            coalesce(
                abs(smd_after) < 0.1
                and (not is_number or coalesce(variance_ratio_after between 0.5 and 2, is_constant)),
                false
            ) as is_balanced
        from
            (
                select
                    period_start,
                    period_end,
                    covariate,
                    is_number,
                    avg(v) filter (where is_site) as site_mean_before,
                    avg(v) filter (where not is_site) as other_mean_before,
                    avg(v) filter (where is_site and is_matched) as site_mean_after,
                    avg(v) filter (where not is_site and is_matched) as other_mean_after,
                    sqrt(
                        (var_samp(v) filter (where is_site) + var_samp(v) filter (where not is_site)) / 2
                    ) as deviation,
                    coalesce(
                        max(v) filter (where is_matched) = min(v) filter (where is_matched), false
                    ) as is_constant,
                    case
                        when site_mean_before = other_mean_before
                        then 0
                        else (site_mean_before - other_mean_before) / nullif(deviation, 0)
                    end as smd_before,
                    case
                        when is_constant
                        then 0
                        else (site_mean_after - other_mean_after) / nullif(deviation, 0)
                    end as smd_after,
                    case
                        when is_number
                        then
                            var_samp(v) filter (where is_site)
                            / nullif(var_samp(v) filter (where not is_site), 0)
                    end as variance_ratio_before,
                    case
                        when is_number
                        then
                            var_samp(v) filter (where is_site and is_matched)
                            / nullif(var_samp(v) filter (where not is_site and is_matched), 0)
                    end as variance_ratio_after
                from
                    (
                        select
                            period_start,
                            period_end,
                            is_site,
                            match_set_id is not null as is_matched,
                            unnest(
                                [
                                    {%- for name, sql, is_number in propensity_columns() %}
                                        {
                                            'covariate':'{{ name }}',
                                            'is_number':{{ is_number | lower }},
                                            'v':x[{{ loop.index + 1 }}]
                                        }
                                        {{- "," if not loop.last }}
                                    {%- endfor %}
                                ],
                                recursive := true
                            )
                        from matched
                    )
                group by period_start, period_end, covariate, is_number
            )
    )
{%- endmacro %}
