-- Clients (provider and client number) whose treatment dates the court team may see at the cut-
-- off. Everything else of the behavioral health feed stops before the marts, the mere fact of
-- enrolment included.
select distinct provider_id, client_id, person_id
from {{ ref("int_consents__in_force") }}
where covers_court_team
