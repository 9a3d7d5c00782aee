"""What happens to families: reports, removals, placements, courts, teams and treatment, as they truly were.

Every row says when an agency learned of it (``entered_on``), because a warehouse can only know what was entered.
Identifiers here are the truth's own; agencies' keys are made in the views. What does not belong here: how an
agency writes anything down.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import pyarrow as pa

from pipelines.demo.chance import Chance
from pipelines.demo.people import COUNTIES, END, EPOCH, START, Child, Family, Person, date
from pipelines.demo.sheets import Sheet

PERMANENT = ("reunification", "relative", "guardianship", "adoption")
_NOT_COUNTED = ("hospital", "respite", "runaway", "trial_home_visit")


@dataclass(slots=True)
class Provider:
    """A foster, kin, group or shelter home."""

    id: int
    kind: str
    county: int
    adults: list[Person]
    line: str
    zip: str


@dataclass(slots=True)
class Episode:
    """One removal of one child, while its story is being told."""

    id: int
    child: Child
    start: int
    end: int | None
    reason: str | None
    entered: int
    exit_entered: int | None
    tpr: int | None = None


@dataclass
class Lives:
    """Tells each family's story once, into sheets."""

    chance: Chance
    register: list[Person]
    providers: list[Provider] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reports = Sheet(
            "report_id",
            "family_id",
            "county",
            "received_at",
            "incident_on",
            "screened_in",
            "response",
            "reporter",
            "case_id",
            "entered_on",
            "expunged_on",
        )
        self.allegations = Sheet(
            "allegation_id",
            "report_id",
            "person_id",
            "perpetrator_id",
            "perpetrator_role",
            "maltreatment",
            "disposition",
            "disposition_on",
            "is_unborn",
            "entered_on",
            "disposition_entered_on",
        )
        self.cw_cases = Sheet("case_id", "family_id", "county", "kind", "opened_on", "closed_on", "worker")
        self.case_members = Sheet("case_id", "person_id", "role", "since_on", "until_on")
        self.removals = Sheet(
            "removal_id",
            "person_id",
            "family_id",
            "case_id",
            "county",
            "removed_at",
            "removal_on",
            "exit_on",
            "exit_reason",
            "manner",
            "environment",
            "reasons",
            "mother_id",
            "father_id",
            "entered_on",
            "exit_entered_on",
        )
        self.placements = Sheet(
            "placement_id",
            "removal_id",
            "person_id",
            "seq",
            "start_on",
            "end_on",
            "setting",
            "provider_id",
            "is_kin",
            "licensed",
            "pre_adoptive",
            "entered_on",
            "end_entered_on",
        )
        self.legal = Sheet(
            "person_id", "removal_id", "status", "effective_on", "end_on", "entered_on", "end_entered_on"
        )
        self.plans = Sheet("plan_id", "person_id", "removal_id", "plan_on", "goal", "concurrent", "entered_on")
        self.contacts = Sheet("contact_id", "case_id", "contact_at", "kind", "method", "place", "completed",
                              "worker", "entered_on")  # fmt: skip
        self.contact_members = Sheet("contact_id", "person_id", "entered_on")
        self.family_time = Sheet(
            "visit_id",
            "person_id",
            "parent_id",
            "scheduled_at",
            "start_at",
            "end_at",
            "status",
            "supervision",
            "place",
            "provider_id",
            "entered_on",
        )
        self.services = Sheet(
            "service_id",
            "person_id",
            "service",
            "referral_on",
            "start_on",
            "end_on",
            "provider",
            "status",
            "entered_on",
        )
        self.court_cases = Sheet(
            "case_id",
            "family_id",
            "county",
            "kind",
            "filed_on",
            "closed_on",
            "closure",
            "judge",
            "related_id",
            "cw_case_id",
            "entered_on",
            "closed_entered_on",
        )
        self.parties = Sheet("party_id", "case_id", "person_id", "role", "since_on", "until_on", "entered_on")
        self.attorneys = Sheet("case_id", "party_id", "attorney", "role", "appointed_on", "withdrawn_on", "entered_on")
        self.petitions = Sheet(
            "petition_id",
            "case_id",
            "party_id",
            "person_id",
            "parent_id",
            "parent_party_id",
            "kind",
            "filed_on",
            "allegations",
            "disposition",
            "disposition_on",
            "entered_on",
            "disposition_entered_on",
        )
        self.hearings = Sheet(
            "hearing_id",
            "case_id",
            "kind",
            "scheduled_at",
            "held_at",
            "status",
            "next_id",
            "reason",
            "judge",
            "modality",
            "entered_on",
            "outcome_entered_on",
        )
        self.attendance = Sheet("hearing_id", "party_id", "attended", "by", "entered_on")
        self.orders = Sheet(
            "order_id",
            "hearing_id",
            "case_id",
            "party_id",
            "person_id",
            "kind",
            "finding",
            "order_on",
            "signed_on",
            "goal",
            "custody",
            "entered_on",
        )
        self.family_time_orders = Sheet(
            "order_id",
            "child_party_id",
            "parent_party_id",
            "per_week",
            "minutes",
            "supervision",
            "start_on",
            "end_on",
            "entered_on",
        )
        self.enrollments = Sheet(
            "enrollment_id",
            "person_id",
            "family_id",
            "site",
            "cw_case_id",
            "referred_on",
            "enrolled_on",
            "closed_on",
            "close_reason",
            "entered_on",
            "closed_entered_on",
        )
        self.meetings = Sheet(
            "meeting_id",
            "family_id",
            "site",
            "person_id",
            "cw_case_id",
            "scheduled_at",
            "held_at",
            "status",
            "facilitator",
            "minutes",
            "actions",
            "entered_on",
        )
        self.attendees = Sheet("meeting_id", "person_id", "role", "attended", "entered_on")
        self.needs = Sheet(
            "need_id",
            "person_id",
            "child_id",
            "domain",
            "service",
            "identified_on",
            "referred_on",
            "first_service_on",
            "completed_on",
            "status",
            "provider",
            "entered_on",
            "service_entered_on",
            "completed_entered_on",
        )
        self.screenings = Sheet("screening_id", "person_id", "instrument", "performed_on", "score", "result",
                                "referred", "entered_on")  # fmt: skip
        self.aces = Sheet("ace_id", "person_id", "child_id", "score", "answered", "assessed_on", "entered_on")
        self.partners = Sheet("partner_id", "person_id", "child_id", "offered_on", "matched_on", "ended_on",
                              "entered_on", "ended_entered_on")  # fmt: skip
        self.answers = Sheet("answer_id", "respondent", "organisation", "sector", "site", "wave", "item", "value",
                             "submitted_on", "entered_on")  # fmt: skip
        self.cycles = Sheet("cycle_id", "site", "change", "start_on", "end_on", "measure", "decision", "spread",
                            "entered_on")  # fmt: skip
        self.treatments = Sheet(
            "treatment_id",
            "person_id",
            "kind",
            "provider",
            "contact_on",
            "admitted_on",
            "first_service_on",
            "discharged_on",
            "last_contact_on",
            "reason",
            "level",
            "substance",
            "moud",
            "referral_source",
            "entered_on",
            "discharge_entered_on",
        )
        self.treatment_visits = Sheet("visit_id", "treatment_id", "person_id", "provider", "at_at", "status", "code",
                                      "entered_on")  # fmt: skip
        self.consents = Sheet(
            "consent_id",
            "person_id",
            "provider",
            "state",
            "recipient",
            "purpose",
            "scope",
            "tpo",
            "signed_on",
            "expires_on",
            "revoked_at",
            "revoked_on",
            "entered_on",
        )
        self.surnames = Sheet("person_id", "since_on", "last_name", "reason")
        self.adoptions = Sheet("person_id", "adopted_on", "parent_id")
        #: persons with treatment already told, so a second child's removal does not tell it twice
        self._treated: set[int] = set()
        self._numbers: dict[str, int] = {}
        self._foster: list[list[Provider]] = [[], [], []]

    # -- small helpers ------------------------------------------------------------------------------------------

    def _next(self, what: str) -> int:
        n = self._numbers.get(what, 0) + 1
        self._numbers[what] = n
        return n

    def _lag(self) -> int:
        """Days from an event to its entry: mostly a few, sometimes two months."""
        u = self.chance.random()
        if u < 0.70:
            return self.chance.between(0, 3)
        if u < 0.95:
            return self.chance.between(4, 14)
        return self.chance.between(15, 75)

    def _office(self, when: int) -> int:
        """The day itself, or the Monday after a weekend."""
        weekday = (when + 3) % 7
        return when + (7 - weekday if weekday > 4 else 0)

    def _at(self, when: int, low: int = 8, high: int = 17) -> int:
        """A quarter hour of office time on a day, in seconds."""
        return when * 86400 + self.chance.between(low * 4, high * 4 - 1) * 900

    def _worker(self, county: int) -> str:
        return f"W{county + 1}{self.chance.between(1, 40):03d}"

    # -- the stories --------------------------------------------------------------------------------------------

    def tell(self, families: list[Family]) -> None:
        """Everything that happens to everyone, in order of family."""
        for family in families:
            if family.kind == "care":
                self._care(family)
            elif family.kind == "cps":
                self._reports(family, self.chance.between(START, END - 5), removal=None)
            elif family.kind == "court":
                self._other_court(family)
            self._treatment_of_others(family)
        self._survey_and_cycles()

    def _treatment_of_others(self, family: Family) -> None:
        c = self.chance
        share = 0.16 if family.kind == "cps" else 0.06
        for adult in (family.mother, *family.fathers):
            if adult.id not in self._treated and family.kind != "care" and c.chance(share):
                kind = "sud" if c.chance(0.5) else "mh"
                self._treatment(adult, kind, c.between(START, END - 20), False)
                self._consent(adult, None, "none")

    # -- child protection ---------------------------------------------------------------------------------------

    def _cw_case(self, family: Family, opened: int, closed: int | None, kind: str) -> int:
        case = self._next("cw_case")
        self.cw_cases.add((case, family.id, family.county, kind, opened, closed, self._worker(family.county)))
        self.case_members.add((case, family.mother.id, "mother", opened, closed))
        seen: set[int] = set()
        for child in family.children:
            if child.person.birth <= (closed or END) and child.person.birth > opened - 6570:
                since = max(opened, child.person.birth)
                self.case_members.add((case, child.person.id, "child", since, closed))
                if child.father and child.father.id not in seen:
                    seen.add(child.father.id)
                    role = "father" if child.father_certainty == "legal" else "putative_father"
                    self.case_members.add((case, child.father.id, role, since, closed))
        return case

    def _report(
        self,
        family: Family,
        when: int,
        incident: int | None,
        substantiated: bool | None,
        case: int | None,
        victims: list[Child] | None = None,
    ) -> None:
        """One report. ``substantiated`` None lets chance decide."""
        c = self.chance
        screened = substantiated is not None or c.chance(0.6)
        report = self._next("report")
        entered = when + c.between(0, 2)
        bad = screened and (substantiated if substantiated is not None else c.chance(0.25))
        expunged = None
        if screened and not bad and c.chance(0.08):
            expunged = max(when + 365, END - c.between(0, 58)) if c.chance(0.35) else when + 365 + c.between(0, 400)
        response = ("investigation" if bad or c.chance(0.75) else "alternative") if screened else "screened_out"
        self.reports.add(
            (report, family.id, family.county, self._at(when, 0, 24), incident, screened, response,
             c.pick(("police", "medical", "school", "relative", "social_services", "anonymous"),
                    (22, 18, 14, 12, 20, 14)), case, entered, expunged)
        )  # fmt: skip
        disposed: int | None = when + c.between(14, 60) if screened else None
        who = [k for k in family.children if when - 6500 < k.person.birth <= when]
        unborn = [k for k in family.children if 0 < k.person.birth - when <= 200]
        targets = victims if victims is not None else [k for k in who if c.chance(0.8)] or who[-1:]
        if victims is None and unborn and (not targets or c.chance(0.5)):
            targets = targets + unborn
        mother_did = c.chance(0.72)
        for child in targets:
            perpetrator: Person | None = family.mother
            role = "mother"
            if not mother_did:
                perpetrator, role = (child.father, "father") if child.father and c.chance(0.7) else (None, "unknown")
            word: str | None = None
            if screened:
                if response == "alternative":
                    word = "alternative"
                elif bad:
                    word = "substantiated" if c.chance(0.88) else "indicated"
                else:
                    word = "unsubstantiated" if c.chance(0.85) else "other"
            for kind in self._maltreatments(child.person.birth > when):
                self.allegations.add(
                    (self._next("allegation"), report, child.person.id, perpetrator.id if perpetrator else None, role,
                     kind, word if disposed is not None and disposed <= END else None,
                     disposed if disposed is not None and disposed <= END else None, child.person.birth > when,
                     entered, disposed + c.between(0, 5) if disposed is not None and disposed <= END else None)
                )  # fmt: skip

    def _maltreatments(self, unborn: bool) -> list[str]:
        c = self.chance
        if unborn:
            return ["neglect"]
        first = c.pick(("neglect", "physical_abuse", "medical_neglect", "sexual_abuse", "emotional_abuse"),
                       (70, 16, 5, 3, 6))  # fmt: skip
        return [first, "physical_abuse"] if first == "neglect" and c.chance(0.12) else [first]

    def _reports(
        self,
        family: Family,
        first: int,
        removal: int | None,
        case: int | None = None,
        victims: list[Child] | None = None,
    ) -> None:
        """A family's reports: those before a removal, the one that led to it, and later ones."""
        c = self.chance
        if not family.children:
            return
        if removal is not None:
            earlier = removal - int(c.exponential(700))
            if earlier > START and c.chance(0.6):
                self._report(family, earlier, earlier - c.between(0, 5), None, None)
            when = max(removal - c.between(0, 30), START)
            youngest = max(k.person.birth for k in victims or family.children if k.person.birth <= removal)
            if c.chance(0.5):
                when = max(when, min(youngest, removal))
            incident = when - c.between(0, 4)
            # Children not yet born at the report are its unborn victims: the report names the pregnancy.
            self._report(family, when, incident, c.chance(0.88), case, victims)
            if c.chance(0.07):
                again = when + c.between(1, 13)
                self._report(family, again, incident, c.chance(0.7), case, victims)
            if c.chance(0.02):
                again = when + c.between(20, 90)
                self._report(family, again, incident, True, case, victims)
            later = when + int(c.exponential(1000))
        else:
            incident = first - c.between(0, 5)
            self._report(family, first, incident if c.chance(0.9) else None, None, None)
            if c.chance(0.06):
                self._report(family, first + c.between(0, 13), incident, None, None)
            later = first + int(c.exponential(850))
        while later < END - 3:
            self._report(family, later, later - c.between(0, 5) if c.chance(0.9) else None, None, None)
            later += int(c.exponential(850)) + 1

    # -- out-of-home care ---------------------------------------------------------------------------------------

    def _care(self, family: Family) -> None:
        c = self.chance
        start = family.removal
        there = [k for k in family.children if k.person.birth <= start and start - k.person.birth < 6550]
        taken = [k for k in there if k is there[-1] or c.chance(0.85)]
        county = COUNTIES[family.county]
        youngest = taken[-1].person
        infant = _months(youngest.birth, start) < 36
        launched = county.launched is not None and start >= county.launched
        enrolled = bool(county.site and launched and infant and c.chance(0.66))
        case = self._cw_case(family, max(start - c.between(0, 40), START), None, "out_of_home")
        self._reports(family, start, start, case, taken)
        episodes = self._episodes(family, taken, start, case, enrolled)
        later = [k for k in family.children if k.person.birth > start]
        open_then = [e for e in episodes if later and (e.end is None or e.end > later[0].person.birth)]
        if later and open_then and c.chance(0.65):
            removed = later[0].person.birth + c.between(1, 4)
            if removed < END:
                self._report(family, removed, later[0].person.birth, True, case, later[:1])
                episodes += self._episodes(family, later, removed, case, enrolled)
        ends = [e.end for e in episodes if e.end is not None]
        again: int | None = None
        returned = [e for e in episodes if e.reason in ("reunification", "relative", "guardianship")]
        if len(ends) == len(episodes) and returned:
            last = max(ends)
            u = c.random()
            again = last + c.between(15, 360) if u < 0.08 else last + c.between(370, 900) if u < 0.11 else None
        if again is not None and again < END - 5:
            back = [e.child for e in returned]
            self._report(family, again, again - c.between(0, 3), True, case, back)
            second = self._episodes(family, back, again, case, enrolled)
            episodes += second
        self._court(family, episodes, case, enrolled)
        self._around(family, episodes, case)
        self._needs_of_parents(family, episodes, enrolled, case)

    def _fate(self, enrolled: bool, age: int) -> tuple[str, float]:
        """How and after how many months an episode ends."""
        c = self.chance
        if c.chance(0.03):
            return "reunification", c.between(0, 7) / 30.44
        how = c.pick(
            ("reunification", "relative", "guardianship", "adoption", "transfer", "death", "runaway"),
            (52, 14, 11, 22, 1, 0.2, 0) if enrolled else (46, 9, 11, 29, 3, 0.3, 0.4 if age > 4000 else 0),
        )
        median = {"reunification": 9.8 if enrolled else 13.0, "relative": 9.5, "guardianship": 15.0, "adoption": 24.0,
                  "transfer": 6.0, "death": 7.0, "runaway": 5.0}[how]  # fmt: skip
        return how, c.lognormal(median, 0.30 if how == "adoption" else 0.5)

    def _episodes(self, family: Family, children: list[Child], start: int, case: int, enrolled: bool) -> list[Episode]:
        c = self.chance
        told: list[Episode] = []
        shared = self._fate(enrolled, start - children[-1].person.birth)
        entered = start + self._lag()
        reasons = [r for r, share in _REASONS if c.chance(share)] or ["neglect"]
        kin = self._kin_home(family)
        foster = self._foster_home(family.county)
        minute = c.between(0, 95) * 900
        for child in children:
            how, months = shared if c.chance(0.85) else self._fate(enrolled, start - child.person.birth)
            end: int | None = start + int(months * 30.4375)
            eighteen = _add_years(child.person.birth, 18)
            if end is not None and end >= eighteen:
                end, how = eighteen, "emancipation"
            reason: str | None = how
            if end is not None and end > END:
                end, reason = None, None
            elif c.chance(0.02) and how != "adoption":
                reason = None
            exit_entered = end + self._lag() if end is not None else None
            episode = Episode(self._next("removal"), child, start, end, reason, entered, exit_entered)
            self.removals.add(
                (episode.id, child.person.id, family.id, case, family.county, start * 86400 + minute, start, end,
                 reason, "court_ordered" if c.chance(0.93) else "voluntary",
                 "medical" if start - child.person.birth < 7 else "parent", ",".join(sorted(reasons)),
                 family.mother.id, child.father.id if child.father and c.chance(0.5) else None, entered, exit_entered)
            )  # fmt: skip
            adopter = self._placements(episode, kin, foster)
            self._plans_and_status(episode)
            if how == "adoption" and end is not None:
                name = adopter.adults[0].last if adopter and adopter.adults else self.chance.surname(False)
                child.person.renamed.append((end, name))
                self.surnames.add((child.person.id, end, name, "adoption"))
                adopters = [a.id for a in adopter.adults] if adopter else []
                self.adoptions.add((child.person.id, end, adopters[0] if adopters else None))
            elif how == "reunification" and end is not None and child.father is not None and c.chance(0.03):
                child.person.renamed.append((end, child.father.last))
                self.surnames.add((child.person.id, end, child.father.last, "reunification"))
            told.append(episode)
        return told

    def _kin_home(self, family: Family) -> Provider | None:
        if not family.kin:
            return None
        kin = family.kin[0]
        for provider in self.providers[-400:]:
            if provider.adults and provider.adults[0] is kin:
                return provider
        home = Provider(len(self.providers) + 1, "kin", family.county, [kin], self.chance.street(),
                        self.chance.pick(COUNTIES[family.county].zips))  # fmt: skip
        self.providers.append(home)
        return home

    def _foster_home(self, county: int, kind: str = "foster") -> Provider:
        """A home of the county: an old one while it has few children, else a new one."""
        c = self.chance
        known = self._foster[county]
        if known and c.chance(0.62 if kind == "foster" else 0.9):
            for _ in range(4):
                one = c.pick(known)
                if one.kind == kind:
                    return one
        adults: list[Person] = []
        if kind == "foster":
            race = c.pick(("white", "black", "hispanic"), (6, 2, 2))
            one_adult = self._adult("foster_parent", "F", race)
            adults = [one_adult]
            if c.chance(0.6):
                adults.append(self._adult("foster_parent", "M", race, one_adult.last))
        home = Provider(len(self.providers) + 1, kind, county, adults, c.street(), c.pick(COUNTIES[county].zips))
        self.providers.append(home)
        known.append(home)
        return home

    def _adult(self, role: str, sex: str, race: str, last: str = "") -> Person:
        c = self.chance
        person = Person(len(self.register) + 1, role, sex, START - c.between(10200, 20000),
                        c.first_name(sex, race == "hispanic"), "", last or c.surname(race == "hispanic"), race,
                        c.ssn(), phone=c.phone())  # fmt: skip
        self.register.append(person)
        return person

    def _placements(self, e: Episode, kin: Provider | None, foster: Provider) -> Provider | None:
        """The episode's settings, one after another without gaps. Returns the last home that counts."""
        c = self.chance
        stop = e.end if e.end is not None else END + 1
        stay = stop - e.start
        child = e.child.person
        parts: list[tuple[int, str, Provider]] = []
        at = e.start
        if e.start - child.birth < 5 and stay > 12 and c.chance(0.6):
            hospital = self._foster_home(self._county_of(foster), "hospital")
            parts.append((at, "hospital", hospital))
            at += c.between(1, 6)
        settings = 1
        if stay > 20 and c.chance(0.42):
            settings += 1
        if stay > 40 and c.chance(0.14 + 0.00026 * stay):
            settings += 1 + c.chance(0.3)
        cuts = sorted({at, *(c.between(at + 2, stop - 2) for _ in range(settings - 1) if stop - at > 8)})
        home: Provider | None = None
        last: Provider | None = None
        for number, cut in enumerate(cuts):
            if number == 0 and kin is not None and c.chance(0.62):
                home, setting = kin, "kin"
            elif number == 0 and c.chance(0.05) and len(cuts) > 1:
                home, setting = self._foster_home(self._county_of(foster), "shelter"), "shelter"
            elif cut - child.birth > 3600 and c.chance(0.25):
                home, setting = self._foster_home(self._county_of(foster), "group"), "group"
            elif last is not kin and kin is not None and c.chance(0.4):
                home, setting = kin, "kin"
            else:
                home = foster if last is not foster else self._foster_home(self._county_of(foster))
                setting = "foster"
                if home is last:
                    continue
            parts.append((cut, setting, home))
            last = home
        if last is not None:
            self._nested(parts, stop, child)
        if e.reason == "reunification" and stay > 75 and c.chance(0.32) and last is not None:
            since = max(parts[-1][0] + 5, stop - c.between(7, 110))
            if since < stop:
                mother_home = Provider(0, "home", foster.county, [], "", "")
                parts.append((since, "trial_home_visit", mother_home))
        entered = e.entered
        adopting = e.reason == "adoption"
        counted = [i for i, part in enumerate(parts) if part[1] not in _NOT_COUNTED]
        for i, (since, setting, provider) in enumerate(parts):
            until: int | None = parts[i + 1][0] if i + 1 < len(parts) else e.end
            seen = entered if i == 0 else since + self._lag()
            end_seen = None
            if until is not None:
                end_seen = (e.exit_entered or until) if i + 1 == len(parts) else until + self._lag()
            self.placements.add(
                (self._next("placement"), e.id, child.id, i + 1, since, until, setting, provider.id or None,
                 provider.kind == "kin", provider.kind != "kin" or c.chance(0.4),
                 adopting and bool(counted) and i == counted[-1] and until is not None and until - since > 90,
                 max(seen, entered), end_seen)
            )  # fmt: skip
        return last

    def _county_of(self, provider: Provider) -> int:
        return provider.county

    def _nested(self, parts: list[tuple[int, str, Provider]], stop: int, child: Person) -> None:
        """A hospital stay, respite or running away inside a placement, with return to the same home."""
        c = self.chance
        since, setting, home = parts[-1]
        room = stop - since
        kind = ""
        if room > 40:
            if c.chance(0.07):
                kind = "hospital"
            elif c.chance(0.06):
                kind = "respite"
            elif since - child.birth > 4300 and c.chance(0.3):
                kind = "runaway"
        if kind:
            away = since + c.between(10, room - 25)
            back = away + c.between(1, 12)
            where = (
                self._foster_home(home.county, "hospital")
                if kind == "hospital"
                else (self._foster_home(home.county) if kind == "respite" else Provider(0, "", home.county, [], "", ""))
            )
            parts.append((away, kind, where))
            parts.append((back, setting, home))

    def _plans_and_status(self, e: Episode) -> None:
        c = self.chance
        stop = e.end if e.end is not None else END + 1
        first = e.start + c.between(5, 55)
        if first < stop:
            concurrent = c.pick((None, "adoption", "guardianship", "relative"), (40, 40, 12, 8))
            self.plans.add((self._next("plan"), e.child.person.id, e.id, first, "reunification", concurrent,
                            first + self._lag()))  # fmt: skip
        changed = None
        if e.reason in ("adoption", "guardianship", "relative") or (e.reason is None and c.chance(0.4)):
            goal = e.reason or "adoption"
            changed = e.start + c.between(240, 460)
            if changed < stop:
                self.plans.add((self._next("plan"), e.child.person.id, e.id, changed, goal, None,
                                changed + self._lag()))  # fmt: skip
        adjudicated = e.start + c.between(35, 80)
        spans = [("temporary_custody", e.start), ("dependent_in_custody", adjudicated)]
        long_stay = stop - e.start > 480
        if e.reason == "adoption" or (e.end is None and long_stay and c.chance(0.5)):
            e.tpr = min(e.start + c.between(400, 620), stop - 40)
            if e.tpr > adjudicated:
                spans.append(("free_for_adoption", e.tpr))
            else:
                e.tpr = None
        spans = [s for s in spans if s[1] < stop]
        for i, (status, since) in enumerate(spans):
            until = spans[i + 1][1] if i + 1 < len(spans) else e.end
            self.legal.add((e.child.person.id, e.id, status, since, until, since + self._lag(),
                            until + self._lag() if until is not None else None))  # fmt: skip

    def _around(self, family: Family, episodes: list[Episode], case: int) -> None:
        """Worker contacts, family time and services while children are away."""
        c = self.chance
        begin = min(e.start for e in episodes)
        finish = max(e.end if e.end is not None else END for e in episodes)
        when = begin + c.between(1, 8)
        while when <= finish and when <= END:
            here = [e for e in episodes if e.start <= when and (e.end is None or e.end > when)]
            if here:
                contact = self._next("contact")
                done = c.chance(0.93)
                seen = when + self._lag()
                self.contacts.add(
                    (contact, case, self._at(self._office(when)), "caseworker_visit",
                     "in_person" if c.chance(0.9) else "video",
                     "residence" if c.chance(0.75) else "other", done, self._worker(family.county), seen)
                )  # fmt: skip
                for e in here:
                    self.contact_members.add((contact, e.child.person.id, seen))
            when += c.between(22, 36)
        self._visits(family, episodes)
        for adult in (family.mother, *family.fathers):
            for service in ("parenting", "housing", "domestic_violence", "transportation"):
                if c.chance(0.22):
                    referred = begin + c.between(5, 120)
                    started = referred + c.between(3, 60) if c.chance(0.8) else None
                    ended = started + c.between(30, 200) if started and c.chance(0.7) else None
                    if referred > END:
                        continue
                    started = started if started is not None and started <= END else None
                    ended = ended if ended is not None and ended <= END else None
                    status = "completed" if ended else "active" if started else "referred"
                    self.services.add((self._next("service"), adult.id, service, referred, started, ended,
                                       f"SV{c.between(1, 60):03d}", status, referred + self._lag()))  # fmt: skip

    def _visits(self, family: Family, episodes: list[Episode]) -> None:
        c = self.chance
        fathers = {e.child.person.id: e.child.father for e in episodes}
        for e in episodes:
            if e.child is not episodes[0].child and any(
                o.start == e.start and o.child is not e.child for o in episodes[: episodes.index(e)]
            ):
                continue  # siblings removed together share the sessions told for the first of them
            group = [o for o in episodes if o.start == e.start]
            stop = min(e.end or END + 1, e.tpr or END + 1, END + 1)
            pace = c.pick((4, 7, 10, 14), (8, 42, 25, 25))
            father = fathers[e.child.person.id] if c.chance(0.35) else None
            when = e.start + c.between(2, 12)
            supervision = "supervised"
            while when < stop:
                parent = father if father is not None and c.chance(0.3) else family.mother
                if parent.death is not None and parent.death <= when:
                    break
                if when - e.start > 150 and c.chance(0.04):
                    supervision = "unsupervised"
                at = self._at(when, 9, 18)
                minutes = c.pick((60, 90, 120, 180))
                status = c.pick(("held", "cancelled_parent", "cancelled_agency", "no_show", "cancelled_provider"),
                                (76, 8, 6, 7, 3))  # fmt: skip
                held = status == "held"
                seen = when + self._lag()
                place = c.pick(("agency_office", "parent_home", "community", "visitation_center", "video"),
                               (30, 20, 20, 25, 5))  # fmt: skip
                for o in group:
                    if o.end is None or o.end > when:
                        self.family_time.add(
                            (self._next("visit"), o.child.person.id, parent.id, at, at if held else None,
                             at + minutes * 60 if held else None, status, supervision, place,
                             f"VS{family.county + 1}{c.between(1, 5):02d}", seen)
                        )  # fmt: skip
                when += max(1, pace + c.between(-2, 2))

    # -- court --------------------------------------------------------------------------------------------------

    def _court(self, family: Family, episodes: list[Episode], cw_case: int, enrolled: bool) -> None:
        per_child = COUNTIES[family.county].cases_per_child
        starts = sorted({e.start for e in episodes})
        for start in starts:
            group = [e for e in episodes if e.start == start]
            for members in [[e] for e in group] if per_child else [group]:
                self._docket(family, members, cw_case, enrolled)

    def _docket(self, family: Family, members: list[Episode], cw_case: int, enrolled: bool) -> None:
        """One dependency case, with its hearings, orders and, where it comes to that, a termination case."""
        c = self.chance
        start = members[0].start
        filed = self._office(start + c.between(1, 3))
        finish = None if any(e.end is None for e in members) else max(e.end for e in members if e.end is not None)
        stop = finish if finish is not None else END + 400
        if stop - start < 4 or filed > END:
            return
        judge = f"J{family.county + 1}{c.between(1, 6):02d}"
        case = self._next("court_case")
        closed = finish + c.between(0, 30) if finish is not None else None
        if closed is not None and closed > END:
            closed = None
        self.court_cases.add(
            (case, family.id, family.county, "dependency", filed, closed,
             (members[0].reason or "other") if closed is not None else None, judge, None, cw_case, filed,
             closed + self._lag() if closed is not None else None)
        )  # fmt: skip
        parties: dict[int, int] = {}
        for e in members:
            parties[e.child.person.id] = self._party(case, e.child.person, "child", filed)
        parties[family.mother.id] = self._party(case, family.mother, "mother", filed)
        for e in members:
            f = e.child.father
            if f is not None and f.id not in parties:
                legal = e.child.father_certainty == "legal"
                parties[f.id] = self._party(case, f, "father" if legal else "putative_father", filed)
            elif f is None and 0 not in parties:
                parties[0] = self._party(case, None, "unknown_father", filed)
        for person, party in parties.items():
            child = any(person == e.child.person.id for e in members)
            if person and (child or c.chance(0.92)):
                appointed = filed + (0 if c.chance(0.8) else c.between(1, 60))
                role = ("gal" if c.chance(0.7) else "child_attorney") if child else "parent_attorney"
                withdrawn = appointed + c.between(60, 300) if c.chance(0.15) else None
                if withdrawn is not None and (withdrawn > END or withdrawn > stop):
                    withdrawn = None
                self.attorneys.add((case, party, c.between(1, 90), role, appointed, withdrawn, appointed))
                if withdrawn is not None:
                    self.attorneys.add((case, party, c.between(1, 90), role, withdrawn, None, withdrawn))
        if c.chance(0.4):
            self.attorneys.add((case, parties[members[0].child.person.id], c.between(91, 140), "casa",
                                filed + c.between(10, 90), None, filed + 90))  # fmt: skip
        adjudicated = self._hearings(family, members, case, filed, stop, judge, parties, enrolled)
        for e in members:
            decided = adjudicated if adjudicated is not None and adjudicated <= END else None
            self.petitions.add(
                (self._next("petition"), case, parties[e.child.person.id], e.child.person.id, None, None,
                 "dependency", filed, "neglect", "granted" if decided else None, decided, filed,
                 decided + c.between(0, 6) if decided else None)
            )  # fmt: skip
            if e.tpr is not None:
                self._termination(family, e, case, judge)

    def _party(self, case: int, person: Person | None, role: str, since: int) -> int:
        party = self._next("party")
        self.parties.add((party, case, person.id if person else None, role, since, None, since))
        return party

    def _hearing(
        self,
        case: int,
        kind: str,
        when: int,
        judge: str,
        status: str = "held",
        reason: str | None = None,
        after: int | None = None,
    ) -> int:
        """A calendar entry; ``after`` is the row of the continued entry it follows, which then points here."""
        c = self.chance
        hearing = self._next("hearing")
        at = self._at(when, 8, 16)
        set_on = when - c.between(5, 40)
        if after is not None:
            row = self.hearings.rows[after]
            self.hearings.rows[after] = (*row[:6], hearing, *row[7:])
            set_on = max(set_on, row[3] // 86400)
        self.hearings.add(
            (hearing, case, kind, at, at if status == "held" else None, status, None, reason, judge,
             c.pick(("in_person", "video", "hybrid"), (70, 22, 8)), set_on, when + c.between(0, 5))
        )  # fmt: skip
        return hearing

    def _held(
        self, case: int, kind: str, planned: int, stop: int, judge: str, parties: dict[int, int], continued: float
    ) -> tuple[int, int] | None:
        """A hearing, after continuances. Returns (id, day held), or None when the case ended or lies ahead."""
        c = self.chance
        when = self._office(planned)
        previous: int | None = None
        while c.chance(continued) and when < min(stop, END):
            self._hearing(case, kind, when, judge, "continued",
                          c.pick(("party_absent", "counsel_unavailable", "service", "report_late", "court"),
                                 (25, 25, 20, 20, 10)), previous)  # fmt: skip
            previous = len(self.hearings.rows) - 1
            when = self._office(when + c.between(14, 35))
        if when >= stop and kind not in ("adoption_finalization",):
            if when <= END and c.chance(0.5):
                self._hearing(case, kind, when, judge, "vacated", after=previous)
            return None
        if when > END:
            if when <= END + 60:
                self._hearing(case, kind, when, judge, "scheduled", after=previous)
            return None
        hearing = self._hearing(case, kind, when, judge, after=previous)
        for person, party in parties.items():
            if person:
                attended = c.chance(0.75)
                if c.chance(0.6):
                    self.attendance.add((hearing, party, attended, c.pick(("in_person", "video", "phone"), (70, 22, 8))
                                         if attended else None, when + c.between(0, 5)))  # fmt: skip
        return hearing, when

    def _order(
        self,
        hearing: tuple[int, int],
        case: int,
        party: int,
        person: int,
        kind: str,
        finding: str | None,
        goal: str | None = None,
        custody: str | None = None,
    ) -> int:
        when = hearing[1]
        order = self._next("order")
        signed = when + self.chance.pick((0, 1, 3, 7, 14), (40, 20, 20, 12, 8))
        self.orders.add((order, hearing[0], case, party, person, kind, finding, when, signed, goal, custody,
                         when + self.chance.between(0, 5)))  # fmt: skip
        return order

    def _hearings(
        self,
        family: Family,
        members: list[Episode],
        case: int,
        filed: int,
        stop: int,
        judge: str,
        parties: dict[int, int],
        enrolled: bool,
    ) -> int | None:
        c = self.chance
        start = members[0].start
        children = [(parties[e.child.person.id], e.child.person.id) for e in members]
        shelter = self._held(case, "shelter", start + c.between(1, 3), stop, judge, parties, 0.03)
        if shelter:
            for party, person in children:
                if c.chance(0.96):
                    self._order(shelter, case, party, person, "finding", "reasonable_efforts_removal", None, "agency")
                order = self._order(shelter, case, party, person, "order", None, None, "agency")
                self.family_time_orders.add(
                    (order, party, parties[family.mother.id], c.pick((1, 2, 3, 5)), c.pick((60, 90, 120)),
                     "supervised", shelter[1], None, shelter[1] + 2)
                )  # fmt: skip
        if c.chance(0.25):
            judge = judge[:2] + f"{c.between(1, 6):02d}"
        adjudication = self._held(case, "adjudication", filed + c.between(25, 60), stop, judge, parties, 0.28)
        after = filed + 60
        if adjudication:
            after = adjudication[1]
            for party, person in children:
                self._order(adjudication, case, party, person, "finding", "abuse_neglect", None, "agency")
            together = c.chance(0.4)
            if together:
                disposition: tuple[int, int] | None = (self._hearing(case, "disposition", after, judge), after)
            else:
                disposition = self._held(case, "disposition", after + c.between(14, 35), stop, judge, parties, 0.15)
            if disposition:
                after = disposition[1]
                bad = c.chance(0.02)
                for party, person in children:
                    self._order(disposition, case, party, person, "finding" if bad else "order",
                                "no_reasonable_efforts" if bad else None, "reunification", "agency")  # fmt: skip
                if bad:
                    self._held(case, "permanency", after + c.between(15, 40), stop, judge, parties, 0.0)
        when = after + (c.between(24, 33) if enrolled else c.between(80, 180))
        while when < stop and when <= END + 40:
            kind = "court_team_status" if enrolled and c.chance(0.6) else "review"
            self._held(case, kind, when, stop, judge, parties, 0.08)
            when += c.between(25, 34) if enrolled else c.between(90, 185)
        permanency = start + (c.between(320, 362) if c.chance(0.90 if enrolled else 0.78) else c.between(367, 470))
        while permanency < stop and permanency <= END + 60:
            held = self._held(case, "permanency", permanency, stop, judge, parties, 0.06)
            if held:
                for e in members:
                    if c.chance(0.95):
                        self._order(held, case, parties[e.child.person.id], e.child.person.id, "finding",
                                    "compelling_reason" if e.tpr is None and c.chance(0.3) else "reasonable_efforts",
                                    "adoption" if e.tpr is not None else "reunification", "agency")  # fmt: skip
            permanency += c.between(300, 363)
        return adjudication[1] if adjudication else None

    def _termination(self, family: Family, e: Episode, dependency: int, judge: str) -> None:
        c = self.chance
        assert e.tpr is not None
        filed = self._office(max(e.tpr - c.between(60, 140), e.start + 200))
        if filed > END:
            return
        granted = self._office(e.tpr) if e.tpr <= END else None
        case = self._next("court_case")
        closed = granted
        self.court_cases.add((case, family.id, family.county, "tpr", filed, closed, "granted" if granted else None,
                              judge, dependency, None, filed, closed))  # fmt: skip
        child = self._party(case, e.child.person, "child", filed)
        parties = {e.child.person.id: child, family.mother.id: self._party(case, family.mother, "mother", filed)}
        parents = [family.mother]
        if e.child.father is not None and c.chance(0.85):
            legal = e.child.father_certainty == "legal"
            role = "father" if legal else "putative_father"
            parties[e.child.father.id] = self._party(case, e.child.father, role, filed)
            parents.append(e.child.father)
        if granted is not None:
            hearing = self._hearing(case, "tpr", granted, judge)
            heard = (hearing, granted)
            self._order(heard, case, child, e.child.person.id, "order", "tpr_granted", "adoption", "agency")
        elif e.tpr <= END + 60:
            self._hearing(case, "tpr", self._office(e.tpr), judge, "scheduled")
        for parent in parents:
            self.petitions.add(
                (self._next("petition"), case, child, e.child.person.id, parent.id, parties[parent.id], "tpr", filed,
                 "tpr_grounds", "granted" if granted else None, granted, filed, granted + 3 if granted else None)
            )  # fmt: skip
        if e.reason == "adoption" and e.end is not None:
            adopted = self._next("court_case")
            since = max(e.end - c.between(20, 60), filed + 1)
            self.court_cases.add((adopted, family.id, family.county, "adoption", since, e.end, "adoption", judge,
                                  dependency, None, since, e.end + 2))  # fmt: skip
            party = self._party(adopted, e.child.person, "child", since)
            self._hearing(adopted, "adoption_finalization", e.end, judge)
            self.petitions.add((self._next("petition"), adopted, party, e.child.person.id, None, None, "adoption",
                                since, None, "granted", e.end, since, e.end + 2))  # fmt: skip

    def _other_court(self, family: Family) -> None:
        """A case with no child-welfare involvement: guardianship, or adoption by a step-parent."""
        c = self.chance
        filed = self._office(c.between(START, END - 40))
        kind = c.pick(("guardianship", "adoption"), (80, 20))
        judge = f"J{family.county + 1}{c.between(1, 6):02d}"
        case = self._next("court_case")
        closed = filed + c.between(40, 400)
        end = closed if closed <= END else None
        self.court_cases.add((case, family.id, family.county, kind, filed, end, "other" if end else None, judge, None,
                              None, filed, end))  # fmt: skip
        parties: dict[int, int] = {}
        for child in family.children:
            if child.person.birth <= filed:
                parties[child.person.id] = self._party(case, child.person, "child", filed)
        parties[family.mother.id] = self._party(case, family.mother, "mother", filed)
        for father in family.fathers[:1]:
            parties[father.id] = self._party(case, father, "father", filed)
        for child in family.children[:1]:
            if child.person.id in parties:
                self.petitions.add((self._next("petition"), case, parties[child.person.id], child.person.id, None,
                                    None, kind, filed, None, "granted" if end else None, end, filed, end))  # fmt: skip
        self._held(case, "other", filed + c.between(20, 60), end or END + 1, judge, parties, 0.2)

    # -- the court team -----------------------------------------------------------------------------------------

    def _needs_of_parents(self, family: Family, episodes: list[Episode], enrolled: bool, case: int) -> None:
        c = self.chance
        first = min(e.start for e in episodes)
        team, babies = self._enroll(family, episodes, case) if enrolled else (None, [])
        fathers = {e.child.father.id: e.child.father for e in episodes if e.child.father is not None}
        for adult, share in ((family.mother, 0.58), *((f, 0.30) for f in fathers.values())):
            if adult.death is not None and adult.death <= first + 120:
                continue
            own = [b.person for b in babies if adult is family.mother or b.father is adult]
            for kind in ("sud", "mh"):
                if c.chance(share if kind == "sud" else share * 0.75):
                    anchor = (team if team is not None else first) + c.between(0, 28)
                    if anchor > END:
                        continue
                    began = self._treatment(adult, kind, anchor, enrolled)
                    if team is not None and own:
                        self._need(adult, own[0], kind, anchor, began)
            if team is not None and own:
                self._consent(adult, team, "team")
                self._supports(adult, own[0], team, adult is family.mother)
            else:
                self._consent(adult, first, "care")

    def _supports(self, adult: Person, child: Person, team: int, is_mother: bool) -> None:
        """Needs other than treatment, the ACE interview, and a parent partner."""
        c = self.chance
        for domain in ("housing", "parenting", "domestic_violence", "employment"):
            if c.chance(0.3):
                anchor = team + c.between(0, 60)
                if anchor <= END:
                    began = anchor + int(c.lognormal(18, 0.7)) if c.chance(0.8) else None
                    self._need(adult, child, domain, anchor, began)
        if is_mother or c.chance(0.4):
            assessed = team + c.between(3, 75)
            if assessed <= END:
                answered = 10 if c.chance(0.85) else c.between(5, 9)
                score = min(answered, c.pick(range(11), (4, 6, 9, 11, 14, 14, 13, 11, 9, 6, 3)))
                self.aces.add((self._next("ace"), adult.id, child.id, score, answered, assessed,
                               assessed + self._lag()))  # fmt: skip
        offered = team + c.between(0, 40)
        if offered <= END and c.chance(0.6):
            matched: int | None = offered + c.between(2, 40) if c.chance(0.7) else None
            matched = matched if matched is not None and matched <= END else None
            ended = matched + c.between(60, 400) if matched is not None else None
            ended = ended if ended is not None and ended <= END else None
            self.partners.add((self._next("partner"), adult.id, child.id, offered, matched, ended,
                               (matched or offered) + self._lag(),
                               ended + self._lag() if ended is not None else None))  # fmt: skip

    def _need(self, person: Person, child: Person, domain: str, identified: int, began: int | None) -> None:
        c = self.chance
        referred: int | None = min(identified + c.between(0, 6), began if began is not None else identified + 6)
        referred = max(referred, identified) if referred is not None and referred <= END else None
        began = began if began is not None and began <= END else None
        done = began + c.between(40, 300) if began is not None and c.chance(0.6) else None
        done = done if done is not None and done <= END else None
        status = "completed" if done else "active" if began else "referred" if referred else "identified"
        self.needs.add(
            (self._next("need"), person.id, child.id, domain, _SERVICES[domain], identified, referred, began, done,
             status, f"PR{c.between(1, 40):03d}", identified + self._lag(),
             began + self._lag() if began is not None else None, done + self._lag() if done is not None else None)
        )  # fmt: skip

    def _enroll(self, family: Family, episodes: list[Episode], case: int) -> tuple[int, list[Child]]:
        """Enrolment of a family's youngest children, its meetings and the children's screenings.

        Returns the day and the children enrolled."""
        c = self.chance
        county = COUNTIES[family.county]
        babies = [e for e in episodes if _months(e.child.person.birth, e.start) < 36]
        first = min(e.start for e in babies)
        referred = first + c.between(0, 20)
        accepted = referred + c.between(0, 14)
        done: set[int] = set()
        spans: list[tuple[int, int | None]] = []
        joined: list[Child] = []
        for e in babies:
            if e.child.person.id in done:
                continue
            done.add(e.child.person.id)
            begin = max(accepted, e.start)
            if begin > END:
                continue
            early = c.chance(0.08)
            last = max((o.end if o.end is not None else END + 99) for o in episodes if o.child is e.child)
            closed: int | None = begin + c.between(40, 150) if early else last + c.between(0, 45)
            reason: str | None = "family_withdrew" if early else (e.reason or "other")
            if closed is None or closed > END or closed < begin:
                closed, reason = None, None
            if reason is not None and reason not in PERMANENT and reason != "family_withdrew":
                reason = "other"
            self.enrollments.add(
                (self._next("enrollment"), e.child.person.id, family.id, county.site, case, min(referred, begin), begin,
                 closed, reason, begin + self._lag(), closed + self._lag() if closed is not None else None)
            )  # fmt: skip
            spans.append((begin, closed))
            joined.append(e.child)
            self._screen(e.child.person, begin, closed if closed is not None else END)
        if not spans:
            return accepted, joined
        self._meet(family, spans, joined[0].person, county.site or "", case)
        return accepted, joined

    def _meet(self, family: Family, spans: list[tuple[int, int | None]], child: Person, site: str, case: int) -> None:
        c = self.chance
        begin = min(s[0] for s in spans)
        finish = max(s[1] if s[1] is not None else END for s in spans)
        month = date(begin).replace(day=1)
        while _number(month) <= finish:
            following = (month.replace(day=28) + _FOUR_DAYS).replace(day=1)
            low, high = max(_number(month), begin + 3), min(_number(following) - 1, finish)
            if high - low >= 5:
                when = self._office(c.between(low, high - 3))
                status = c.pick(("held", "cancelled", "no_show"), (90, 7, 3))
                meeting = self._next("meeting")
                at = self._at(when)
                seen = when + c.between(0, 6)
                self.meetings.add((meeting, family.id, site, child.id, case, at, at if status == "held" else None,
                                   status, f"{site}-FC{c.between(1, 3)}", c.pick((45, 60, 75, 90)), c.between(1, 8),
                                   seen))  # fmt: skip
                roles = ["mother", "caseworker", "child_attorney", "parent_attorney", "coordinator"]
                if family.fathers and c.chance(0.4):
                    roles.append("father")
                if c.chance(0.35):
                    roles.append(
                        c.pick(("early_intervention", "treatment_provider", "foster_parent", "parent_partner"))
                    )
                if when < END - 730:
                    roles = []  # the coordinator began to keep attendance lists two years ago
                for role in roles:
                    who = family.mother.id if role == "mother" else family.fathers[-1].id if role == "father" else None
                    self.attendees.add((meeting, who, role, status == "held" and c.chance(0.82), seen))
            month = following

    def _screen(self, child: Person, begin: int, finish: int) -> None:
        c = self.chance
        when = begin + (c.between(5, 58) if c.chance(0.9) else c.between(61, 120))
        turn = 0
        while when <= min(finish, END):
            age = _months(child.birth, when)
            if age >= 1:
                instrument = "ASQ3" if turn % 2 == 0 else ("ASQSE2" if age < 16 or turn % 4 == 1 else "MCHATR")
                score = c.between(20, 60)
                failed = score < 29
                self.screenings.add((self._next("screening"), child.id, instrument, when, score,
                                     "refer" if failed else "monitor" if score < 35 else "typical", failed,
                                     when + self._lag()))  # fmt: skip
                if failed and turn == 0:
                    began = when + int(c.lognormal(30, 0.4)) if c.chance(0.93) else None
                    self._need(child, child, "early_intervention", when, began)
                turn += 1
            when += c.between(80, 170)
        if c.chance(0.4) and begin + 20 <= END:
            began = begin + int(c.lognormal(28, 0.4)) if c.chance(0.93) else None
            self._need(child, child, "child_parent_therapy", begin + c.between(0, 20), began)
        if begin <= END:
            self._need(child, child, "physical_health", begin, begin + int(c.lognormal(14, 0.5)))

    # -- treatment and consent ----------------------------------------------------------------------------------

    def _treatment(self, adult: Person, kind: str, anchor: int, team: bool) -> int | None:
        """Treatment that follows a need. Returns the day of the first appointment kept, if any."""
        c = self.chance
        self._treated.add(adult.id)
        provider = c.between(1, 14)
        if c.chance(0.12):
            self._admission(adult, kind, anchor - c.between(400, 900), provider)
        if c.chance(0.07):
            began = anchor - c.between(2, 30)
        elif c.chance(0.91 if team else 0.75):
            began = anchor + int(c.lognormal(6.0 if team else 14.0, 1.0))
        else:
            return None
        began = self._office(began)
        if began > END:
            return None
        self._admission(adult, kind, began, provider)
        if c.chance(0.2):
            self._admission(adult, kind, began + c.between(330, 700), c.between(1, 14))
        return began

    def _admission(self, adult: Person, kind: str, began: int, provider: int) -> None:
        c = self.chance
        if not START - 400 < began <= END or began - adult.birth < 5000:
            return
        contact = began - c.between(0, 14)
        treatment = self._next("treatment")
        stay = int(c.lognormal(110, 0.7)) + 3
        end: int | None = began + stay
        reason: str | None = c.pick(("completed", "dropped_out", "terminated", "transferred", "incarcerated", "other"),
                                    (42, 33, 7, 10, 3, 5))  # fmt: skip
        last = began + int(stay * c.pick((0.5, 0.8, 1.0)))
        if end is not None and end > END:
            end, reason = None, None
        self.treatments.add(
            (treatment, adult.id, kind, provider, contact, began, began, end, last if end is not None else None, reason,
             c.pick(("intensive_outpatient", "outpatient", "residential", "detox"), (25, 60, 11, 4))
             if kind == "sud" else "outpatient",
             c.pick(("alcohol", "methamphetamine", "heroin", "other_opiates", "marijuana", "cocaine"),
                    (25, 30, 12, 15, 12, 6)) if kind == "sud" else None,
             kind == "sud" and c.chance(0.35), c.pick(("court", "individual", "community", "health"), (5, 2, 2, 1)),
             began + c.between(1, 25), end + c.between(1, 30) if end is not None else None)
        )  # fmt: skip
        when, turn = began, 0
        while when <= min(last, END) and turn < 24:
            kept = turn == 0 or c.chance(0.8)
            code = (
                ("H0001" if turn == 0 else c.pick(("H0004", "H0005", "H0015")))
                if kind == "sud"
                else ("90791" if turn == 0 else c.pick(("90834", "90837", "90853")))
            )
            self.treatment_visits.add(
                (self._next("treatment_visit"), treatment, adult.id, provider, self._at(when),
                 "kept" if kept else c.pick(("no_show", "cancelled")), code, when + c.between(1, 25))
            )  # fmt: skip
            when += c.between(5, 16)
            turn += 1

    def _consent(self, adult: Person, anchor: int | None, who: str) -> None:
        """Part 2 consents towards the court team. ``state`` says what a reader at the end should find."""
        c = self.chance
        if who != "team" and adult.id not in self._treated:
            return
        state = c.pick(("granted", "missing", "expired", "revoked", "tpo_only", "wrong_recipient"),
                       (78, 9, 4, 4, 3, 2) if who == "team" else (12, 70, 2, 2, 14, 0))  # fmt: skip
        if state == "missing":
            return
        signed = anchor if anchor is not None else c.between(START + 200, END - 30)
        if signed > END:
            return
        expires: int | None = END + c.between(60, 700)
        revoked: int | None = None
        if state == "expired":
            expires = max(signed + 30, min(signed + 365, END - c.between(5, 90)))
            if expires >= END:
                state, expires = "granted", END + 200
        elif state == "revoked":
            revoked = c.between(signed + 10, END - 1) if signed + 10 < END else None
            if revoked is None:
                state = "granted"
        recipient = {"tpo_only": "treating_providers", "wrong_recipient": "employer"}.get(state, "court_team")
        purpose = {"tpo_only": "treatment_payment_operations"}.get(state, "care_coordination_and_evaluation")
        self.consents.add(
            (self._next("consent"), adult.id, c.between(1, 14), state, recipient, purpose, "attendance_and_progress",
             state == "tpo_only", signed, expires, self._at(revoked) if revoked is not None else None, revoked,
             signed + c.between(0, 6))
        )  # fmt: skip

    # -- partners -----------------------------------------------------------------------------------------------

    def _survey_and_cycles(self) -> None:
        c = self.chance
        sectors = ("child_welfare", "court", "medicaid", "behavioral_health", "early_intervention", "parent_partner")
        for county in COUNTIES:
            if county.site is None or county.launched is None:
                continue
            for number in range(1, 31):
                respondent = f"{county.site}-R{number:02d}"
                sector = sectors[number % len(sectors)]
                drift = 0
                for wave, at in (("base", county.launched + 30), ("follow", county.launched + 760)):
                    submitted = at + c.between(0, 30)
                    if submitted > END or (wave == "follow" and c.chance(0.25)):
                        continue
                    for item in range(1, 9):
                        value = min(5, max(1, c.pick((2, 3, 4, 5), (20, 40, 30, 10)) + drift))
                        self.answers.add((self._next("answer"), respondent, f"ORG{number % 9 + 1}", sector, county.site,
                                          wave, f"Q{item:02d}", value, submitted, submitted + c.between(0,
                                              5)))  # fmt: skip
                    drift = 1 if c.chance(0.5) else 0
            when = county.launched + 60
            for number in range(1, 13):
                if when > END:
                    break
                end = when + c.between(20, 60)
                closed = end if end <= END else None
                self.cycles.add((self._next("cycle"), county.site, f"CH{number:02d}", when, closed,
                                 c.pick(("FTM-01", "DEV-01", "PAR-02", "FAM-01")),
                                 c.pick(("adopt", "adapt", "abandon"), (5, 4, 1)) if closed else None,
                                 c.between(0, 2) if closed else 0, when + 5))  # fmt: skip
                when += c.between(60, 150)

    def tables(self) -> dict[str, pa.Table]:
        """Every sheet as Arrow, by name."""
        return {name: sheet.arrow() for name, sheet in vars(self).items() if isinstance(sheet, Sheet)}


_REASONS = (
    ("neglect", 0.62), ("physical_abuse", 0.14), ("sexual_abuse", 0.03), ("caretaker_drug_use", 0.38),
    ("caretaker_alcohol_use", 0.10), ("prenatal_drug_exposure", 0.14), ("domestic_violence", 0.16),
    ("inadequate_housing", 0.12), ("incarceration", 0.08), ("abandonment", 0.03), ("homelessness", 0.03),
)  # fmt: skip
_SERVICES = {
    "sud": "sud_treatment", "mh": "mh_treatment", "housing": "housing_support", "parenting": "parenting_class",
    "domestic_violence": "dv_services", "employment": "employment_support", "early_intervention": "part_c",
    "child_parent_therapy": "child_parent_psychotherapy", "physical_health": "pediatric_visit",
}  # fmt: skip


_FOUR_DAYS = dt.timedelta(days=4)


def _number(when: dt.date) -> int:
    return (when - EPOCH).days


def _months(birth: int, when: int) -> int:
    """Completed months between two days."""
    a, b = date(birth), date(when)
    return (b.year - a.year) * 12 + b.month - a.month - (b.day < a.day)


def _add_years(when: int, years: int) -> int:
    d = date(when)
    try:
        return _number(d.replace(year=d.year + years))
    except ValueError:
        return _number(d.replace(year=d.year + years, day=28))
