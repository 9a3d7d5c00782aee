{#- Claims measures: codes, enrolment without gaps, well-child visits, deliveries. Paid and denied lines both count. -#}
{#- When the claims of a period are complete enough to be judged: 90 days after it. Before, values are shown and flagged. -#}
{% macro run_out(period_end) -%} {{ add_days(period_end, 90) }} {%- endmacro %}

{#- The diagnoses of the code list ``name``, with and without the dot. -#}
{% macro diagnosis_codes(name) -%}
    {%- set written = [] -%}
    {%- for code in var(name) -%}
        {%- set plain = code | string | upper | replace(".", "") -%}
        {%- do written.append("'" ~ plain ~ "'") -%}
        {%- do written.append("'" ~ plain[:3] ~ "." ~ plain[3:] ~ "'") -%}
    {%- endfor -%}
    {{- written | join(", ") or "null" -}}
{%- endmacro %}

{#- True for the rows of the people in the CTE ``people``. With a condition of its own on that side DuckDB passes over
    the others while it reads. -#}
{% macro is_of(people) -%}
    person_id in (select of.person_id from {{ people }} as of where of.person_id is not null)
{%- endmacro %}

{#-
    Rows (person_id, dos_from) of the claim lines from ``from_day`` on that are an appointment of ``domain``, SUD or MH, of
    the people in the CTE ``people``. By their procedure; psychotherapy with a diagnosis of substance use (F10 to F19 but
    nicotine, F17) is one for substance use, as in MED-04, beside being one for mental health. A line may come twice.
-#}
{% macro appointments(domain, from_day, people) -%}
    select person_id, dos_from
    from {{ ref("fct_claim_line") }}
    where
        cpt_hcpcs in ({{ codes(domain | lower ~ "_procedure_codes") }})
        and dos_from >= {{ from_day }}
        and {{ is_of(people) }}
    {%- for n in range(1, 13) if domain == "SUD" %}
        union all
        select person_id, dos_from
        from {{ ref("fct_claim_line") }}
        where
            dx{{ n }} between 'F10' and 'f19~'
            and upper(dx{{ n }}) similar to 'F1[0-689].*'
            and cpt_hcpcs in ({{ codes("iet_codes_with_diagnosis") }})
            and dos_from >= {{ from_day }}
            and {{ is_of(people) }}
    {%- endfor %}
{%- endmacro %}

{#-
    Rows (person_id, dos_from) of the claim lines of those days with a diagnosis of the list ``name``, of the people in the
    CTE ``people`` or of all, with ``more`` columns; a line may come more than once. One diagnosis column after the other:
    what begins otherwise is passed over in the scan, and empty columns are not read.
-#}
{% macro lines_with_diagnosis(name, from_day, to_day, people=none, more="") -%}
    {%- set starts = [] -%}
    {%- for code in var(name) -%} {%- do starts.append((code | string)[:3]) -%} {%- endfor -%}
    {%- set first = starts | map("upper") | min -%}
    {%- set last = starts | map("upper") | max -%}
    {%- set written = diagnosis_codes(name) -%}
    {%- for n in range(1, 13) -%}
        {%- for low, high in [[first, last], [first | lower, last | lower]] %}
            select person_id, dos_from {{- more }}
            from {{ ref("fct_claim_line") }}
            where
                dx{{ n }} between '{{ low }}' and '{{ high }}~'
                and upper(dx{{ n }}) in ({{ written }})
                and dos_from between {{ from_day }} and {{ to_day }}
                {%- if people %} and {{ is_of(people) }} {%- endif %}
            {% if not loop.last %}
                union all
            {% endif %}
        {%- endfor %}
        {% if not loop.last %}
            union all
        {% endif %}
    {%- endfor -%}
{%- endmacro %}

{#-
    CTE ``name``: the rows of ``units`` (unit_id, person_id, from_date, to_date, both included) that were enrolled with full
    benefits all those days but for at most one gap of up to ``gap_days``. Column unit_id.
-#}
{% macro continuously_enrolled(name, units, gap_days) %}
    {{ name }}_spans as (
        select
            u.unit_id,
            u.from_date as unit_from,
            u.to_date as unit_to,
            greatest(s."start", u.from_date) as from_date,
            least(coalesce(s."end", u.to_date), u.to_date) as to_date
        from {{ units }} as u
        inner join
            {{ ref("fct_elig_span") }} as s
            on u.person_id = s.person_id
            and s."start" <= u.to_date
            and coalesce(s."end" >= u.from_date, true)
            and coalesce(lower(s.benefit_scope) <> 'limited', true)
    ),

    -- Days without enrolment before each span; the tail after the last one is added below.
    {{ name }}_gaps as (
        select
            unit_id,
            unit_to,
            to_date,
            from_date - coalesce(
                max(to_date) over (
                    partition by unit_id
                    order by from_date, to_date
                    rows between unbounded preceding and 1 preceding
                ),
                unit_from - 1
            )
            - 1 as gap_days
        from {{ name }}_spans
    ),

    {{ name }} as (
        select unit_id
        from {{ name }}_gaps
        group by unit_id
        having
            count(*) filter (where gap_days > 0) + cast(max(unit_to) > max(to_date) as integer) <= 1
            and greatest(max(gap_days), max(unit_to) - max(to_date)) <= {{ gap_days }}
    )
{% endmacro %}

{#-
    Standard rows of well-child visits in Medicaid (W30-CH). ``from_date`` and ``to_date`` are SQL on dob: the days the child
    is watched, the last one the day that decides the period. ``visits_from`` is the first day a visit counts. At least
    ``least_visits`` visits, each 14 days or more after the last counted one. Variant foster_care: children who had been
    removed by the last day.
-#}
{% macro well_child_rows(metric_id, from_date, to_date, visits_from, least_visits, version) %}
    {#- Nobody's visits count for more than a year and 90 days before the day that decides the period. -#}
    {%- set first_day = first_period_day(-456) -%}
    with
        periods as ({{ metric_periods() }}),

        children as (
            select
                p.period_start,
                p.period_end,
                d.person_id,
                strftime(p.period_start, '%Y%m%d') || d.person_id as unit_id,
                {{ from_date }} as from_date,
                {{ to_date }} as to_date,
                {{ visits_from }} as visits_from
            from periods as p
            inner join
                {{ ref("dim_person") }} as d
                on d.dob between {{ add_months("p.period_start", -36) }} and p.period_end
                and {{ to_date }} between p.period_start and least(p.period_end, {{ cutoff() }})
            where d.person_id in (select s.person_id from {{ ref("fct_elig_span") }} as s)
        ),

        {{ continuously_enrolled("enrolled", "children", 45) }},

        -- Days with a visit to primary care that is well-child by procedure or diagnosis.
        well_child_lines as (
            select person_id, dos_from, provider_taxonomy
            from {{ ref("fct_claim_line") }}
            where
                cpt_hcpcs in ({{ codes("well_child_codes") }})
                and dos_from between {{ first_day }} and {{ last_period_day() }}
                and {{ is_of("children") }}
            union all
            {{
                lines_with_diagnosis(
                    "well_child_diagnoses",
                    first_day,
                    last_period_day(),
                    people="children",
                    more=", provider_taxonomy",
                )
            }}
        ),

        visits as (
            select distinct c.unit_id, c.visits_from, v.dos_from as visit_date
            from children as c
            inner join
                well_child_lines as v
                on c.person_id = v.person_id
                and v.dos_from between c.visits_from and c.to_date
            where
                {%- for prefix in var("primary_care_taxonomies") %}
                    {{ "or " if not loop.first }}v.provider_taxonomy like '{{ prefix }}%'
                {%- else %} false
                {%- endfor %}
        ),

        -- Greedy: 100 x 10000 keeps the count of kept visits above the day of the last one, so that one
        -- pass is enough.
        kept as (
            select
                c.unit_id,
                divide(
                    list_reduce(
                        list_sort(list(100 + (c.visit_date - c.visits_from))),
                        lambda kept,
                        day: case
                            when day - kept % 10000 >= 14
                            then (divide(kept, 10000) + 1) * 10000 + day
                            else kept
                        end,
                        cast(0 as bigint)
                    ),
                    10000
                ) as visit_count
            from visits as c
            group by c.unit_id
        ),

        judged as (
            select
                c.*,
                c.to_date as index_date,
                {{ county_of_child("c", "to_date") }} as county,
                exists (
                    select 1
                    from {{ ref("fct_removal") }} as r
                    where r.person_id = c.person_id and r.removal_date <= c.to_date
                ) as was_removed,
                coalesce(k.visit_count, 0) as visit_count
            from children as c
            left join kept as k on c.unit_id = k.unit_id
        ),

        sited as ({{ with_site("judged", "index_date") }}),

        units as (
            select
                '{{ metric_id }}' as metric_id,
                v.variant,
                s.period_start,
                s.period_end,
                s.person_id,
                s.index_date,
                s.site_id,
                s.county,
                case
                    when s.unit_id not in (select unit_id from enrolled) then 'not_continuously_enrolled'
                end as exclusion,
                true as is_observable,
                s.visit_count >= {{ least_visits }} as is_numerator
            from sited as s
            cross join (values ('warehouse'), ('foster_care')) as v(variant)
            where v.variant = 'warehouse' or s.was_removed
        ),

        {{
            proportion_rows(
                "units",
                measures=[[metric_id, "warehouse"], [metric_id, "foster_care"]],
                needs=["medicaid"],
                version=version,
                matures_on=run_out("period_end"),
                show_immature=true,
            )
        }}
{% endmacro %}

{#-
    Standard rows of prenatal or postpartum visits (PPC2). Deliveries of a live birth from 85 days before the period to 85 days
    before its end (8 October to 7 October for a calendar year): claims of the mother, or a child of her family born that day.
    Births within 180 days are one delivery. ``in_time`` is SQL on v.visit_date and d.delivery_date, d.covered_from (when the
    enrolment that covers the delivery began). A delivery billed as a global package with no visit to be seen is not
    observable.
-#}
{% macro delivery_visit_rows(metric_id, procedures, packages, in_time, version, diagnoses=none) %}
    with
        periods as ({{ metric_periods() }}),

        -- A sign is of a delivery of its own when none lies in the 180 days before it.
        {%- set first_sign = first_period_day(-85 - 180) -%}
        {%- set last_sign = last_period_day(-85) %}
        births as (
            select person_id, dob
            from {{ ref("dim_person") }}
            where dob between {{ first_sign }} and {{ last_sign }}
        ),

        signs as (
            select person_id, dos_from as delivery_date
            from {{ ref("fct_claim_line") }}
            where
                cpt_hcpcs in ({{ codes("delivery_codes") }})
                and dos_from between {{ first_sign }} and {{ last_sign }}
            union
            select person_id, dos_from
            from ({{ lines_with_diagnosis("live_birth_diagnoses", first_sign, last_sign) }})
            union
            select f.parent_id, p.dob
            from ({{ family_parents("select person_id from births") }}) as f
            inner join births as p on f.child_id = p.person_id
            where f.role = 'mother'
        ),

        marked as (
            select
                *,
                coalesce(
                    delivery_date - lag(delivery_date) over (partition by person_id order by delivery_date)
                    > 180,
                    true
                ) as is_new
            from signs
            where person_id in (select s.person_id from {{ ref("fct_elig_span") }} as s)
        ),

        deliveries as (
            select
                p.period_start,
                p.period_end,
                m.person_id,
                strftime(p.period_start, '%Y%m%d') || m.person_id || m.delivery_date as unit_id,
                m.delivery_date,
                m.delivery_date as index_date,
                {{ add_days("m.delivery_date", -43) }} as from_date,
                {{ add_days("m.delivery_date", 60) }} as to_date
            from periods as p
            inner join
                marked as m
                on m.is_new
                and m.delivery_date
                between {{ add_days("p.period_start", -85) }} and {{ add_days("p.period_end", -85) }}
                and m.delivery_date <= {{ cutoff() }}
        ),

        {{ continuously_enrolled("enrolled", "deliveries", 0) }},

        -- An enrolment renewed without a day between is one enrolment.
        spans as (
            select
                person_id,
                "start",
                coalesce(
                    "start" > max(coalesce("end", date '9999-12-30')) over (
                        partition by person_id
                        order by "start", "end" nulls last
                        rows between unbounded preceding and 1 preceding
                    )
                    + 1,
                    true
                ) as is_new
            from {{ ref("fct_elig_span") }}
            where coalesce(lower(benefit_scope) <> 'limited', true) and {{ is_of("deliveries") }}
        ),

        covered as (
            select
                d.*,
                (
                    select max(s."start")
                    from spans as s
                    where s.person_id = d.person_id and s.is_new and s."start" <= d.delivery_date
                ) as covered_from,
                (
                    select
                        {
                            'site_id':min_by(e.site_id, e.enrolled_date),
                            'county':min_by(e.county, e.enrolled_date)
                        }
                    from {{ ref("bridge_family_person") }} as b
                    inner join {{ ref("fct_enrollment_sbct") }} as e on b.family_id = e.family_id
                    where b.person_id = d.person_id and e.enrolled_date <= {{ cutoff() }}
                ) as enrollment
            from deliveries as d
        ),

        {%- set first_visit = first_period_day(-85 - 280) -%}
        {%- set last_visit = last_period_day(-85 + 84) %}
        visits as (
            select distinct person_id, dos_from as visit_date
            from
                (
                    select person_id, dos_from
                    from {{ ref("fct_claim_line") }}
                    where
                        cpt_hcpcs in ({{ codes(procedures) }})
                        and dos_from between {{ first_visit }} and {{ last_visit }}
                        and {{ is_of("deliveries") }}
                    {%- if diagnoses %}
                        union all
                        {{ lines_with_diagnosis(diagnoses, first_visit, last_visit, people="deliveries") }}
                    {%- endif %}
                )
        ),

        packages as (
            select distinct person_id, dos_from as billed_on
            from {{ ref("fct_claim_line") }}
            where
                cpt_hcpcs in ({{ codes(packages) }})
                and {{ is_of("deliveries") }}
                and dos_from between {{ first_period_day(-85 - 7) }} and {{ last_period_day(-85 + 84) }}
        ),

        judged as (
            select
                d.*,
                exists (
                    select 1 from visits as v where v.person_id = d.person_id and {{ in_time }}
                ) as is_visited,
                exists (
                    select 1
                    from packages as g
                    where
                        g.person_id = d.person_id
                        and g.billed_on
                        between {{ add_days("d.delivery_date", -7) }}
                        and {{ add_days("d.delivery_date", 84) }}
                ) as is_packaged
            from covered as d
        ),

        units as (
            select
                '{{ metric_id }}' as metric_id,
                'warehouse' as variant,
                period_start,
                period_end,
                person_id,
                index_date,
                enrollment.site_id as site_id,
                enrollment.county as county,
                case
                    when unit_id not in (select unit_id from enrolled) then 'not_continuously_enrolled'
                end as exclusion,
                (is_visited or not is_packaged) as is_observable,
                is_visited as is_numerator
            from judged
        ),

        {{
            proportion_rows(
                "units",
                measures=[[metric_id, "warehouse"]],
                needs=["medicaid"],
                version=version,
                matures_on=run_out("period_end"),
                show_immature=true,
            )
        }}
{% endmacro %}
