-- Every Part 2 consent with whether it is in force at the cut-off, and whether it lets the court
-- team see treatment dates. Consent counts as of the cut-off, not of the load: a revocation
-- received by then takes the rows away. Consent to treatment, payment and operations never covers
-- the court team (42 CFR 2.31, 2.33).
with
    treatments as (
        select
            a.provider_id,
            a.client_id,
            case when bool_and(d.discharge_date is not null) then max(d.discharge_date) end as treatment_end
        from {{ ref("stg_behavioral_health__admissions") }} as a
        left join
            {{ ref("stg_behavioral_health__discharges") }} as d
            on a.provider_id = d.provider_id
            and a.client_id = d.client_id
            and a.codependent_cd = d.codependent_cd
            and a.admission_date = d.admission_date
        group by all
    ),

    court_cases as (
        select
            i.person_id,
            case when bool_and(c.closed_date is not null) then max(c.closed_date) end as last_case_closed
        from {{ ref("stg_court__parties") }} as p
        inner join {{ join_person("i", "court", "p.party_id") }}
        inner join {{ ref("stg_court__cases") }} as c on p.case_no = c.court_case_no
        group by i.person_id
    ),

    judged as (
        select
            c.consent_id,
            c.provider_id,
            c.client_id,
            i.person_id,
            c.purpose_cd_meaning as purpose,
            c.recipient_type_meaning as recipient_type,
            c.information_scope_cd_meaning as information_scope,
            coalesce(c.effective_date, c.signed_date) as in_force_from,
            least(
                c.expiration_date,
                cast(c.revoked_ts as date),
                case
                    c.expiration_event_meaning
                    when 'end_of_treatment'
                    then t.treatment_end
                    when 'case_closed'
                    then k.last_case_closed
                end
            ) as in_force_to
        from {{ ref("stg_behavioral_health__consents") }} as c
        inner join {{ join_person("i", "behavioral_health", "c.provider_id || '~' || c.client_id") }}
        left join treatments as t on c.provider_id = t.provider_id and c.client_id = t.client_id
        left join court_cases as k on i.person_id = k.person_id
    )

select
    *,
    in_force_from <= {{ cutoff() }} and coalesce(in_force_to > {{ cutoff() }}, true) as is_in_force,
    is_in_force
    and purpose = 'court_team'
    and recipient_type in ('court_team', 'warehouse')
    and information_scope in ('full_record', 'attendance', 'appointments') as covers_court_team
from judged
