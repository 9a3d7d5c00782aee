"""The behavioral-health agency's extract: clients registered anew at each provider, episodes, and Part 2 consents."""

from __future__ import annotations

_PROVIDER = "'BH' || lpad({0}.provider::varchar, 3, '0')"
_CLIENT = "'C' || lpad(keyed({0}.person_id * 20 + {0}.provider, 9)::varchar, 8, '0')"
_P, _C = _PROVIDER.format("t"), _CLIENT.format("t")

TABLES = {
    # A consent is signed at every provider that treats the person, or at the one it names when none does yet.
    "consent_forms": """
        select c.* exclude (provider), coalesce(t.provider, c.provider) as provider
        from truth.consents c left join (select distinct person_id, provider from truth.treatments) t using (person_id)
        order by c.consent_id, provider""",
    "registrations": """
        select person_id, provider, min(seen) as seen, bool_or(has_sud) as has_sud from (
            select person_id, provider, min(entered_on) as seen, bool_or(kind = 'sud') as has_sud from truth.treatments
            group by all
            union all select person_id, provider, min(entered_on), false from behavioral_health.consent_forms group by
                all)
        group by all""",
    "clients": f"""
        select {_P} as provider_id, {_C} as client_id,
            case when u(t.person_id, 'state') < 0.8 then 'S' || lpad(keyed(t.person_id, 10)::varchar, 9, '0') end
                as state_client_id,
            p.first_name, left(p.middle_name, 1) as middle_name,
            case when p.renamed_on <= t.seen and u(p.person_id, 'bhname') < 0.6 then p.renamed_last else p.last_name end
                as last_name,
            case when p.renamed_on <= t.seen and u(p.person_id, 'bhname') < 0.4 then p.last_name end as maiden_name,
            p.birth_on as dob, case p.sex when 'F' then '2' else '1' end as sex,
            case when u(t.person_id, 'bhssn') < 0.7 then right(p.ssn, 4) end as ssn_last4,
            case when u(t.person_id, 'bhmed') < 0.6 then m.own_id end as medicaid_id,
            h.line as address, h.city, 'ZZ' as state, h.zip, p.phone,
            case when p.sex = 'F' then u(t.person_id, 'preg') < 0.1 end as pregnant_ind, (u(t.person_id, 'dep') *
                4)::int
                as dependents_ct,
            t.person_id as _person, t.seen as _seen, null::date as _gone
        from behavioral_health.registrations t join truth.people p using (person_id)
        left join truth.members m using (person_id)
        left join truth.homes h on h.family_id = p.family_id and t.seen >= h.start_on
            and t.seen < coalesce(h.end_on, date '2100-01-01')
        order by t.person_id, t.provider""",
    "referrals": f"""
        select 'BR' || t.treatment_id as referral_id, {_P} as provider_id, {_C} as client_id,
            case t.referral_source when 'court' then '7' when 'individual' then '1' when 'health' then '3' else '6' end
                as referral_source_cd,
            t.contact_on as referral_date,
            case when t.referral_source = 'court' then 'Juvenile court' end as referred_by_agency,
            case when t.referral_source = 'court' then n.docket end as court_case_no,
            case t.kind when 'sud' then 'SUD' else 'MH' end as need_cd, 'ADM' as status_cd, t.admitted_on as
                status_date,
            t.kind = 'sud' as part2_ind, t.entered_on as _seen, null::date as _gone
        from truth.treatments t left join (
            select y.person_id, min(y.case_id) as case_id from truth.parties y join truth.court_cases c using (case_id)
            where c.kind = 'dependency' group by 1) y using (person_id) left join court.numbers n using (case_id)
        order by t.treatment_id""",
    "appointments": f"""
        select 'BA' || t.visit_id as appointment_id, {_P} as provider_id, {_C} as client_id,
            'BR' || t.treatment_id as referral_id, t.at_at as scheduled_ts,
            case t.status when 'kept' then 'KEPT' when 'no_show' then 'NS' else 'CXC' end as status_cd,
            case t.code when 'H0001' then 'SAS' when 'H0004' then 'SIN' when 'H0005' then 'SGR' when 'H0015' then 'IOP'
                when '90791' then 'MAS' when '90853' then 'MGR' else 'MIN' end as service_cd,
            null::varchar as provider, e.kind = 'sud' as part2_ind, greatest(t.entered_on, t.at_at::date) as _seen,
            null::date as _gone
        from truth.treatment_visits t join truth.treatments e using (treatment_id) order by t.visit_id""",
    "admissions": f"""
        select distinct on (t.person_id, t.provider, t.admitted_on)
            'A' as transaction_type, date_trunc('month', t.entered_on)::date as reporting_date, {_P} as provider_id,
            {_C} as client_id, '2' as codependent_cd, t.admitted_on as admission_date,
            t.contact_on as first_contact_date, t.first_service_on as first_service_date,
            case when t.kind = 'mh' then '73' when t.level = 'residential' then '5'
                when t.level = 'intensive_outpatient' then '6' when t.level = 'detox' then '2' else '7' end
                as service_setting_cd,
            t.first_service_on - t.contact_on as days_waiting,
            case t.substance when 'alcohol' then '2' when 'cocaine' then '3' when 'marijuana' then '4'
                when 'heroin' then '5' when 'other_opiates' then '7' when 'methamphetamine' then '10' else '1' end
                as primary_substance_cd,
            t.moud as moud_planned_ind, case p.sex when 'F' then '2' end as pregnant_cd,
            (u(t.treatment_id, 'prior') * 4)::int as prior_episodes,
            case when t.kind = 'mh' then 'F33.1' when t.substance = 'alcohol' then 'F10.20'
                when t.substance in ('heroin', 'other_opiates') then 'F11.20' when t.substance = 'cocaine' then 'F14.20'
                when t.substance = 'marijuana' then 'F12.20' else 'F15.20' end as diagnosis,
            t.kind = 'sud' as part2_ind, t.entered_on as _seen, null::date as _gone, t.treatment_id as _treatment
        from truth.treatments t join truth.people p using (person_id)
        order by t.person_id, t.provider, t.admitted_on, t.treatment_id""",
    "discharges": f"""
        select distinct on (t.person_id, t.provider, t.admitted_on) {_P} as provider_id, {_C} as client_id,
            '2' as codependent_cd, t.admitted_on as admission_date, t.discharged_on as discharge_date,
            t.last_contact_on as last_contact_date,
            case t.reason when 'completed' then '1' when 'dropped_out' then '2' when 'terminated' then '3'
                when 'transferred' then '4' when 'incarcerated' then '5' else '7' end as reason_cd,
            t.discharge_entered_on as _seen, null::date as _gone
        from truth.treatments t where t.discharged_on is not null
        order by t.person_id, t.provider, t.admitted_on, t.treatment_id""",
    "services": f"""
        select 'BS' || t.visit_id as service_id, {_P} as provider_id, {_C} as client_id, t.at_at::date as service_date,
            t.code as proc_cd, 1::decimal(18, 4) as units,
            case when t.code in ('H0005', '90853') then 'GRP' else 'IND' end as modality, e.kind = 'sud' as part2_ind,
            greatest(t.entered_on, t.at_at::date) as _seen, null::date as _gone
        from truth.treatment_visits t join truth.treatments e using (treatment_id) where t.status = 'kept'
        order by t.visit_id""",
    "consents": f"""
        select 'CN' || t.consent_id || '-' || t.provider as consent_id, {_P} as provider_id, {_C} as client_id,
            p.first_name || ' ' || p.last_name as patient_name, 'Program of provider ' || t.provider as
                disclosing_program,
            case t.recipient when 'court_team' then 'Infant-toddler court team' when 'employer' then
                'Employer named on form'
                else 'My treating providers, health plans and payers' end as recipient_name_or_class,
            case t.recipient when 'court_team' then 'CT' when 'employer' then 'OTH' else 'TPP' end as recipient_type,
            'ATT' as information_scope_cd,
            case t.state when 'tpo_only' then 'TPO' when 'wrong_recipient' then 'REQ' else 'CTEAM' end as purpose_cd,
            t.tpo as tpo_ind, t.signed_on as signed_date, 'PT' as signer_cd, t.signed_on as effective_date,
            t.expires_on as expiration_date, null::varchar as expiration_event, t.revoked_at as revoked_ts,
            case when t.revoked_at is not null then 'W' end as revocation_method, '2024-04' as form_version,
            'N1' as redisclosure_notice_cd, false as intermediary_ind,
            greatest(t.entered_on, t.signed_on) as _seen, null::date as _gone, t.revoked_on + 1 as _revoked_seen,
            t.state as _state, t.person_id as _patient
        from behavioral_health.consent_forms t join truth.people p using (person_id) order by t.consent_id,
            t.provider""",
}

LATE: dict[str, dict[str, tuple[str, str]]] = {
    "consents": {"revoked_ts": ("_revoked_seen", "null"), "revocation_method": ("_revoked_seen", "null")},
}
