"""Core measures computed from what truly happened, in plain Python, to compare the warehouse with.

It reads the truth's events and nothing else, and shares no code or SQL with the warehouse. Only events an agency
had entered by the cut-off count, because no warehouse could know of others. Every rule is the metric's definition;
where a definition leaves room, the comment says what was read.
"""

from __future__ import annotations

import calendar
import datetime as dt
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

PERMANENT = frozenset({"reunification", "relative", "guardianship", "adoption"})
#: Settings that are no placement: going there or coming back to the same home is no move.
NOT_COUNTED = frozenset({"hospital", "respite", "runaway", "trial_home_visit"})
DAYS_IN_MONTH = 30.4375


@dataclass(frozen=True)
class Measure:
    """One value, under the warehouse's names. ``value`` is a share for proportions, months for PRM-20, a count for
    PIT-01; None when the denominator is empty, the median is not reached, or the follow-up is not over (``mature``
    False). PRM-20 alone has its value before that, as the measure publishes it with a warning."""

    metric_id: str
    variant: str
    period_start: dt.date
    period_end: dt.date
    numerator: int
    denominator: int | None
    value: float | None
    mature: bool = True
    not_observable: int = 0


@dataclass(frozen=True)
class Stay:
    """A removal episode as known at the cut-off, ended on the 18th birthday at the latest."""

    id: int
    person: int
    birth: dt.date
    start: dt.date
    end: dt.date | None
    reason: str | None

    def open_on(self, day: dt.date) -> bool:
        """In care on a day; the day of discharge is no day in care."""
        return self.start <= day and (self.end is None or self.end > day)


def add_months(day: dt.date, months: int) -> dt.date:
    """The same day of the month, ``months`` later; the month's last day when there is none."""
    at = day.year * 12 + day.month - 1 + months
    year, month = divmod(at, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


class Truth:
    """The true events of one world as they were known at a cut-off."""

    def __init__(self, truth_root: Path, cutoff: dt.date) -> None:
        self.cutoff = cutoff
        self._events = truth_root / "events"
        self._people = self._read("people")
        births = {r["person_id"]: r["birth_on"] for r in self._people}
        self.stays = sorted(
            (self._stay(r, births[r["person_id"]]) for r in self._read("removals") if r["entered_on"] <= cutoff),
            key=lambda s: (s.start, s.id),
        )
        self.by_person: dict[int, list[Stay]] = defaultdict(list)
        for stay in self.stays:
            self.by_person[stay.person].append(stay)

    def _read(self, name: str) -> list[dict[str, Any]]:
        return pq.read_table(self._events / f"{name}.parquet").to_pylist()

    def known(self, name: str) -> Iterable[dict[str, Any]]:
        """Rows of a table entered by the cut-off."""
        return (r for r in self._read(name) if r["entered_on"] <= self.cutoff)

    def _stay(self, row: dict[str, Any], birth: dt.date) -> Stay:
        end, reason = row["exit_on"], row["exit_reason"]
        if end is not None and row["exit_entered_on"] > self.cutoff:
            end, reason = None, None
        eighteen = add_months(birth, 18 * 12)
        if eighteen <= self.cutoff and (end is None or end >= eighteen):
            end, reason = eighteen, "emancipation"
        return Stay(row["removal_id"], row["person_id"], birth, row["removal_on"], end, reason)

    def people(self) -> list[dict[str, Any]]:
        """Everyone, known to an agency or not."""
        return self._people

    def placements(self) -> dict[int, list[dict[str, Any]]]:
        """Known placements of each episode in order of time."""
        found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in self.known("placements"):
            found[row["removal_id"]].append(row)
        for rows in found.values():
            rows.sort(key=lambda r: (r["start_on"], r["seq"]))
        return found

    def first_stays(self, start: dt.date, end: dt.date) -> list[Stay]:
        """The entry cohort: each child's first removal in the period, under 18 at entry."""
        chosen: dict[int, Stay] = {}
        for stay in self.stays:
            if start <= stay.start <= end and stay.person not in chosen:
                chosen[stay.person] = stay
        return [s for s in chosen.values() if s.start < add_months(s.birth, 18 * 12)]


def measure(truth_root: Path, periods: Iterable[tuple[dt.date, dt.date]], cutoff: dt.date) -> list[Measure]:
    """The core measures for each period (both days included), for the whole jurisdiction.

    ``truth_root`` is the folder :func:`pipelines.demo.write_deliveries` wrote. Definitions: the measures catalogue.
    """
    truth = Truth(truth_root, cutoff)
    found: list[Measure] = []
    for start, end in periods:
        found += permanency_in_12_months(truth, start, end)
        found += median_time_to_reunification(truth, start, end)
        found += two_placements_or_fewer(truth, start, end)
        found += recurrence(truth, start, end)
        found += point_in_time(truth, start, end)
        found.append(permanency_hearing(truth, start, end))
        found.append(monthly_meetings(truth, start, end))
        for metric, kind, days in (("PAR-02", "sud", 30), ("PAR-03", "sud", 7), ("PAR-04", "mh", 30)):
            found.append(first_appointment(truth, start, end, metric, kind, days))
        found.append(permanency_after_a_year(truth, start, end))
        found.append(reentry(truth, start, end))
        found += cumulative_reunification(truth, start, end)
        found.append(share_reunified(truth, start, end))
        found += long_stayers(truth, start, end)
        found.append(moves(truth, start, end))
        found.append(maltreatment_in_care(truth, start, end))
        found += entries_and_exits(truth, start, end)
        found.append(first_home_with_kin(truth, start, end))
        found.append(adjudicated_in_time(truth, start, end))
        found.append(continued(truth, start, end))
        found += counsel_by_the_first_hearing(truth, start, end)
        found += family_time(truth, start, end)
        found += screened(truth, start, end)
        found += early_intervention(truth, start, end)
        found.append(child_parent_therapy(truth, start, end))
        found += seen_by_a_doctor(truth, start, end)
        found += known_to_systems(truth, start, end)
        found += first_contact(truth, start, end)
    return found


def _share(
    metric: str,
    start: dt.date,
    end: dt.date,
    numerator: int,
    denominator: int,
    *,
    variant: str = "warehouse",
    mature: bool = True,
    not_observable: int = 0,
) -> Measure:
    value = numerator / denominator if denominator and mature else None
    return Measure(metric, variant, start, end, numerator, denominator, value, mature, not_observable)


def permanency_in_12_months(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """PRM-01, as the warehouse sees it and as the federal six-month files would."""
    placements = truth.placements()
    cohort = []
    for stay in truth.first_stays(start, end):
        if stay.end is not None and ((stay.end - stay.start).days < 8 or stay.reason is None):
            continue
        cohort.append(stay)
    mature = truth.cutoff >= add_months(end, 12)

    def permanent(stay: Stay) -> bool:
        if stay.end is None or stay.reason not in PERMANENT:
            return False
        left = stay.end
        rows = placements.get(stay.id, [])
        # Only a return straight from the trial home visit counts; what it lasts beyond 30 days is taken off the stay.
        if stay.reason == "reunification" and rows and rows[-1]["setting"] == "trial_home_visit":
            left -= dt.timedelta(days=max(0, (stay.end - rows[-1]["start_on"]).days - 30))
        return left <= add_months(stay.start, 12) and left < add_months(stay.birth, 18 * 12)

    def invisible(stay: Stay) -> bool:
        """Left and came back inside one six-month file."""
        return stay.end is not None and any(
            other.start >= stay.end and other.id != stay.id and _half_year(other.start) == _half_year(stay.end)
            for other in truth.by_person[stay.person]
        )

    federal = [s for s in cohort if not invisible(s)]
    return [
        _share("PRM-01", start, end, sum(map(permanent, seen)), len(seen), variant=variant, mature=mature)
        for variant, seen in (("warehouse", cohort), ("federal_comparable", federal))
    ]


def _half_year(day: dt.date) -> tuple[int, bool]:
    """The AFCARS file a day falls in: October to March, or April to September."""
    autumn = day.month >= 10
    return (day.year + autumn, 4 <= day.month <= 9)


def median_time_to_reunification(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """PRM-20: (a) among those reunified, (b) when half of the cohort has been reunified."""
    cohort = [s for s in truth.first_stays(start, end) if s.end is None or s.reason is not None]
    stays = [((s.end or truth.cutoff) - s.start).days for s in cohort]
    reunified = [t for s, t in zip(cohort, stays, strict=True) if s.reason == "reunification"]
    mature = truth.cutoff >= add_months(end, 36)
    middle = statistics.median(reunified) / DAYS_IN_MONTH if reunified else None
    half = _half_reunified([(t, s.reason) for s, t in zip(cohort, stays, strict=True)])
    return [
        Measure("PRM-20", "conditional", start, end, len(reunified), len(reunified), middle, mature),
        Measure("PRM-20", "cohort", start, end, len(reunified), len(cohort),
                half / DAYS_IN_MONTH if half is not None else None, mature),
    ]  # fmt: skip


def _half_reunified(times: list[tuple[int, str | None]]) -> int | None:
    """Aalen-Johansen cumulative incidence of reunification: the first day it reaches one half."""
    at_risk = len(times)
    surviving, incidence = 1.0, 0.0
    by_day: dict[int, list[str | None]] = defaultdict(list)
    for t, reason in times:
        by_day[t].append(reason)
    for t in sorted(by_day):
        reasons = by_day[t]
        left = sum(r is not None for r in reasons)
        incidence += surviving * sum(r == "reunification" for r in reasons) / at_risk
        if incidence >= 0.5 - 1e-12:
            return t
        surviving *= 1 - left / at_risk
        at_risk -= len(reasons)
    return None


def two_placements_or_fewer(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """STB-02a, b, c by time in care: under 12 months, 12 to under 24, 24 and more."""
    placements = truth.placements()
    variants = ("warehouse", "min_8_days")
    counts = {(band, variant): [0, 0] for band in "abc" for variant in variants}
    for stays in truth.by_person.values():
        served = [s for s in stays if s.start <= end and (s.end is None or s.end > max(start, s.start))]
        if not served:
            continue
        stay = served[-1]
        until = min(stay.end, end) if stay.end is not None else end
        settings = _settings(
            r for r in placements.get(stay.id, []) if r["start_on"] <= until and r["start_on"] != stay.end
        )
        if not settings:
            continue
        band = "a" if until < add_months(stay.start, 12) else "b" if until < add_months(stay.start, 24) else "c"
        short = stay.end is not None and stay.end <= end and (stay.end - stay.start).days < 8
        for variant in variants[: 1 if short else 2]:
            counts[band, variant][0] += settings <= 2
            counts[band, variant][1] += 1
    return [_share(f"STB-02{band}", start, end, n, d, variant=variant) for (band, variant), (n, d) in counts.items()]


def _settings(rows: Iterable[dict[str, Any]]) -> int:
    count, last = 0, None
    for row in rows:
        if row["setting"] in NOT_COUNTED:
            continue
        if count == 0 or row["provider_id"] != last:
            count += 1
        last = row["provider_id"]
    return count


def recurrence(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """SAF-02: another substantiated or indicated report 15 days to 12 months after the first in the period.

    SAF-02p: the same after a child's first enrollment with a court team in the period.
    """
    victimised = _victimisations(truth)
    reported: dict[int, Victimisation] = {}
    for person, events in victimised.items():
        initial = next((v for v in events if start <= v[0] <= end), None)
        if initial is not None:
            reported[person] = initial
    enrolled: dict[int, Victimisation] = {}
    for row in truth.known("enrollments"):
        if start <= row["enrolled_on"] <= end:
            first = enrolled.get(row["person_id"], (row["enrolled_on"], None, 0))
            enrolled[row["person_id"]] = min(first, (row["enrolled_on"], None, 0), key=lambda v: v[0])
    mature = truth.cutoff >= add_months(end, 12)
    return [
        _share(metric, start, end, sum(_again(i, victimised[p]) for p, i in chosen.items()), len(chosen), mature=mature)
        for metric, chosen in (("SAF-02", reported), ("SAF-02p", enrolled))
    ]


#: Day of the report, day of the incident where known, number of the report.
Victimisation = tuple[dt.date, dt.date | None, int]


def _victimisations(truth: Truth, with_unborn: bool = False) -> dict[int, list[Victimisation]]:
    """Each child's substantiated and indicated reports known at the cut-off, in order of time."""
    reports = {
        r["report_id"]: (r["received_at"].date(), r["incident_on"])
        for r in truth.known("reports")
        if r["expunged_on"] is None or r["expunged_on"] > truth.cutoff
    }
    seen: dict[int, set[Victimisation]] = defaultdict(set)
    for row in truth.known("allegations"):
        decided = row["disposition_entered_on"] is not None and row["disposition_entered_on"] <= truth.cutoff
        found = row["disposition"] in ("substantiated", "indicated")
        if row["report_id"] in reports and decided and found and (with_unborn or not row["is_unborn"]):
            seen[row["person_id"]].add((*reports[row["report_id"]], row["report_id"]))
    ordered = {person: sorted(events, key=lambda v: (v[0], v[2])) for person, events in seen.items()}
    return defaultdict(list, ordered)


def _again(initial: Victimisation, events: list[Victimisation]) -> bool:
    return any(
        initial[0] + dt.timedelta(days=14) < later[0] <= add_months(initial[0], 12)
        and (later[1] is None or initial[1] is None or later[1] != initial[1])
        for later in events
    )


def point_in_time(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """PIT-01: children in care on each first of January, April, July and October; a one-day period is that day."""
    found = []
    for day in _quarter_days(start, end):
        count = len({s.person for s in truth.stays if s.open_on(day)})
        found.append(Measure("PIT-01", "warehouse", day, day, count, None, float(count)))
    return found


def permanency_hearing(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """CRT-04: a permanency hearing held within 12 months of entering care in the law's sense."""
    cases: dict[int, set[int]] = defaultdict(set)
    for party in truth.known("parties"):
        if party["role"] == "child":
            cases[party["person_id"]].add(party["case_id"])
    held: dict[int, list[dt.date]] = defaultdict(list)
    for hearing in truth.known("hearings"):
        told = hearing["outcome_entered_on"] <= truth.cutoff
        if hearing["kind"] == "permanency" and hearing["status"] == "held" and told:
            held[hearing["case_id"]].append(hearing["held_at"].date())
    findings: dict[int, list[tuple[dt.date, str]]] = defaultdict(list)
    for order in truth.known("orders"):
        if order["finding"] in ("abuse_neglect", "no_reasonable_efforts"):
            findings[order["person_id"]].append((order["order_on"], order["finding"]))
    numerator = denominator = 0
    for stay in truth.stays:
        found = [d for d, kind in findings[stay.person] if kind == "abuse_neglect" and d >= stay.start]
        entered = min([*found, stay.start + dt.timedelta(days=60)])
        due = add_months(entered, 12)
        if not (start <= due <= end and due <= truth.cutoff and stay.open_on(due)):
            continue
        denominator += 1
        hearings = [d for case in cases[stay.person] for d in held[case] if d >= stay.start]
        hopeless = [d for d, kind in findings[stay.person] if kind == "no_reasonable_efforts" and d >= stay.start]
        soon = any(d <= h <= d + dt.timedelta(days=30) for d in hopeless for h in hearings)
        numerator += soon or any(h <= due for h in hearings)
    return _share("CRT-04", start, end, numerator, denominator)


def monthly_meetings(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """FTM-01: months in which a family was enrolled on every day, and in which it met."""
    spans: dict[int, list[tuple[dt.date, dt.date]]] = defaultdict(list)
    for row in truth.known("enrollments"):
        closed = row["closed_on"]
        if closed is not None and row["closed_entered_on"] > truth.cutoff:
            closed = None
        spans[row["family_id"]].append((row["enrolled_on"], closed or truth.cutoff))
    met = {
        (row["family_id"], row["held_at"].year, row["held_at"].month)
        for row in truth.known("meetings")
        if row["status"] == "held" and row["held_at"] is not None
    }
    numerator = denominator = 0
    for family, open_spans in spans.items():
        month = start if start.day == 1 else add_months(start.replace(day=1), 1)
        while True:
            last = add_months(month, 1) - dt.timedelta(days=1)
            if last > min(end, truth.cutoff):
                break
            if _covers(open_spans, month, last):
                denominator += 1
                numerator += (family, month.year, month.month) in met
            month = add_months(month, 1)
    return _share("FTM-01", start, end, numerator, denominator)


def _covers(spans: list[tuple[dt.date, dt.date]], first: dt.date, last: dt.date) -> bool:
    """Whether spans together hold every day from ``first`` to ``last``, both included."""
    reached = first
    for begin, close in sorted(spans):
        if begin <= reached <= close:
            reached = close + dt.timedelta(days=1)
    return reached > last


def _consents(truth: Truth) -> list[dict[str, Any]]:
    """Consents to the court team in force at the cut-off."""
    return [
        row
        for row in truth.known("consents")
        if row["recipient"] == "court_team"
        and not row["tpo"]
        and row["signed_on"] <= truth.cutoff
        and (row["expires_on"] is None or row["expires_on"] > truth.cutoff)
        and (row["revoked_on"] is None or row["revoked_on"] >= truth.cutoff)
    ]


def first_appointment(truth: Truth, start: dt.date, end: dt.date, metric: str, kind: str, days: int) -> Measure:
    """PAR-02, PAR-03, PAR-04: parents whose need of ``kind`` (sud, mh) was followed by a kept appointment in ``days``.

    A parent is observable when a consent to the court team is in force at the cut-off, since rows that may not be
    used then are not in the warehouse. Someone in treatment on the day of the need counts as seen that day.
    """
    observable = {row["person_id"] for row in _consents(truth)}
    seen: dict[int, list[dt.date]] = defaultdict(list)
    treated: dict[int, list[tuple[dt.date, dt.date | None]]] = defaultdict(list)
    chosen = set()
    for row in truth.known("treatments"):
        if row["kind"] == kind:
            chosen.add(row["treatment_id"])
            ended = row["discharged_on"]
            if ended is not None and row["discharge_entered_on"] > truth.cutoff:
                ended = None
            treated[row["person_id"]].append((row["admitted_on"], ended))
            seen[row["person_id"]].append(row["first_service_on"])
    for row in truth.known("treatment_visits"):
        if row["treatment_id"] in chosen and row["status"] == "kept":
            seen[row["person_id"]].append(row["at_at"].date())
    needs: dict[int, dt.date] = {}
    for row in truth.known("needs"):
        if row["domain"] != kind or row["person_id"] == row["child_id"]:
            continue
        if row["first_service_on"] is not None and row["service_entered_on"] <= truth.cutoff:
            seen[row["person_id"]].append(row["first_service_on"])
        if start <= row["identified_on"] <= end:
            first = needs.get(row["person_id"], row["identified_on"])
            needs[row["person_id"]] = min(first, row["identified_on"])
    numerator = denominator = hidden = 0
    for person, need in needs.items():
        by = need + dt.timedelta(days=days)
        if by > truth.cutoff:
            continue
        if person not in observable:
            hidden += 1
            continue
        denominator += 1
        already = any(a <= need and (z is None or z >= need) for a, z in treated[person])
        numerator += already or any(need <= day <= by for day in seen[person])
    return _share(metric, start, end, numerator, denominator, not_observable=hidden)


def permanency_after_a_year(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """PRM-02: of children in care 12 to under 24 months on the first day, those permanent 12 months later."""
    numerator = denominator = 0
    for stays in truth.by_person.values():
        present = [s for s in stays if s.start <= start and (s.end is None or s.end >= start)]
        if not present:
            continue
        stay = present[0]
        in_band = add_months(stay.start, 12) <= start < add_months(stay.start, 24)
        if not in_band or start >= add_months(stay.birth, 216) or (stay.end is not None and stay.reason is None):
            continue
        denominator += 1
        numerator += stay.reason in PERMANENT and stay.end is not None and stay.end <= add_months(start, 12)
    return _share("PRM-02", start, end, numerator, denominator, mature=truth.cutoff >= add_months(start, 12))


def reentry(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """PRM-04: of children who left to a parent, relative or guardian, those removed again within 12 months."""
    numerator = denominator = 0
    for stays in truth.by_person.values():
        for i, stay in enumerate(stays):
            if stay.end is None or not start <= stay.end <= end:
                continue
            again = next((s.start for s in stays[i + 1 :] if s.start > stay.start), None)
            if stay.reason not in ("reunification", "relative", "guardianship") or (again and again < stay.end):
                continue
            denominator += 1
            numerator += again is not None and again <= add_months(stay.end, 12)
            break
    return _share("PRM-04", start, end, numerator, denominator, mature=truth.cutoff >= add_months(end, 12))


def cumulative_reunification(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """PRM-10: reunified within 6 to 36 months of entry, other exits competing (Aalen-Johansen)."""
    cohort = [s for s in truth.first_stays(start, end) if s.end is None or s.reason is not None]
    times = [(((s.end or truth.cutoff) - s.start).days, s.reason) for s in cohort]
    found = []
    for months in (6, 12, 18, 24, 36):
        limit = months * DAYS_IN_MONTH
        surviving, incidence, count = 1.0, 0.0, 0
        for day in sorted({t for t, reason in times if reason is not None and t <= limit}):
            at_risk = sum(t >= day for t, _ in times)
            home = sum(t == day and reason == "reunification" for t, reason in times)
            incidence += surviving * home / at_risk
            surviving *= 1 - sum(t == day and reason is not None for t, reason in times) / at_risk
            count += home
        mature = truth.cutoff >= add_months(end, months)
        value = incidence if times and mature else None
        found.append(Measure("PRM-10", f"{months}_months", start, end, count, len(times), value, mature))
    return found


def share_reunified(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """PRM-12: reunifications among episodes that ended in the period with a reason, before the 18th birthday."""
    ended = [s for s in truth.stays if s.end is not None and start <= s.end <= end and s.reason is not None]
    ended = [s for s in ended if s.end is not None and s.end < add_months(s.birth, 216)]
    home = sum(s.reason == "reunification" for s in ended)
    return _share("PRM-12", start, end, home, len(ended), mature=truth.cutoff >= end)


def _quarter_days(start: dt.date, end: dt.date) -> list[dt.date]:
    if start == end:
        return [start]
    firsts = [dt.date(y, m, 1) for y in range(start.year, end.year + 1) for m in (1, 4, 7, 10)]
    return [d for d in firsts if start <= d <= end]


def long_stayers(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """PRM-30: children in care 24 months or more among those in care on each quarter day."""
    found = []
    for day in _quarter_days(start, end):
        present = [next((s for s in stays if s.open_on(day)), None) for stays in truth.by_person.values()]
        open_stays = [s for s in present if s is not None]
        long = sum(add_months(s.start, 24) <= day for s in open_stays)
        found.append(_share("PRM-30", day, day, long, len(open_stays)))
    return found


def moves(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """STB-01: moves per 1,000 days in care inside the period, of episodes begun in it and 8 days long at least."""
    placements = truth.placements()
    days = count = 0
    for stay in truth.stays:
        short = stay.end is not None and (stay.end - stay.start).days < 8
        if not start <= stay.start <= end or short or stay.start >= add_months(stay.birth, 216):
            continue
        until = min(stay.end or end + ONE_DAY, end + ONE_DAY, truth.cutoff + ONE_DAY)
        rows = [r for r in placements.get(stay.id, []) if r["start_on"] < until]
        if not rows:
            continue
        # Where a home was left and the next is not on file yet, the days there are in nobody's count. A home that
        # nobody closed ends when the next begins.
        for row, after in zip(rows, [*(r["start_on"] for r in rows[1:]), until], strict=True):
            ended = row["end_on"] is not None and row["end_entered_on"] <= truth.cutoff
            days += (min(row["end_on"] if ended else after, after) - row["start_on"]).days
        count += max(0, _settings(rows) - 1)
    value = count * 1000 / days if days and truth.cutoff >= end else None
    return Measure("STB-01", "warehouse", start, end, count, days, value, truth.cutoff >= end)


ONE_DAY = dt.timedelta(days=1)


def maltreatment_in_care(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """SAF-01: substantiated reports from the eighth day of care on, per 100,000 days in care."""
    victimised = _victimisations(truth, with_unborn=True)
    days = count = 0
    for person, stays in truth.by_person.items():
        counted: list[dt.date] = []
        for stay in stays:
            short = stay.end is not None and (stay.end - stay.start).days < 8
            if stay.start > end or (stay.end is not None and stay.end < start) or short:
                continue
            until = min(stay.end or end + ONE_DAY, end + ONE_DAY, truth.cutoff + ONE_DAY)
            days += max(0, (until - max(stay.start, start)).days)
            for day, incident, _ in victimised[person]:
                inside = stay.start + 7 * ONE_DAY <= day and (stay.end is None or day <= stay.end)
                at_home = incident is not None and (
                    incident < stay.start or (stay.end is not None and incident > stay.end)
                )
                told_twice = counted and (day - counted[-1]).days <= 1
                if start <= day <= end and inside and not at_home and not told_twice:
                    counted.append(day)
        count += len(counted)
    mature = truth.cutoff >= end
    return Measure("SAF-01", "warehouse", start, end, count, days, count * 100_000 / days if days else None, mature)


def entries_and_exits(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """PIT-04: children who entered and who left, month by month."""
    found = []
    month = start if start.day == 1 else add_months(start.replace(day=1), 1)
    while (last := add_months(month, 1) - ONE_DAY) <= min(end, truth.cutoff):
        entered = {s.person for s in truth.stays if month <= s.start <= last}
        left = {s.person for s in truth.stays if s.end is not None and month <= s.end <= last}
        for variant, who in (("entries", entered), ("exits", left)):
            found.append(Measure("PIT-04", variant, month, last, len(who), None, float(len(who))))
        month = add_months(month, 1)
    return found


def first_home_with_kin(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """KIN-01: of children who entered and stayed 8 days at least, those whose first home was with kin."""
    placements = truth.placements()
    numerator = denominator = 0
    for stay in truth.first_stays(start, end):
        homes = [
            r
            for r in placements.get(stay.id, [])
            if r["setting"] not in NOT_COUNTED and (stay.end is None or r["start_on"] < stay.end)
        ]
        if (stay.end is not None and (stay.end - stay.start).days < 8) or not homes:
            continue
        denominator += 1
        numerator += bool(homes[0]["is_kin"])
    return _share("KIN-01", start, end, numerator, denominator, mature=truth.cutoff >= end)


def adjudicated_in_time(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """CRT-02: dependency petitions adjudicated within 60 days, of those filed six months before the cut-off."""
    held: dict[int, list[dt.date]] = defaultdict(list)
    for hearing in truth.known("hearings"):
        told = hearing["outcome_entered_on"] is not None and hearing["outcome_entered_on"] <= truth.cutoff
        if hearing["kind"] == "adjudication" and hearing["status"] == "held" and told:
            held[hearing["case_id"]].append(hearing["held_at"].date())
    closed = {
        c["case_id"]: c["closed_on"]
        for c in truth.known("court_cases")
        if c["closed_on"] is not None and c["closed_entered_on"] <= truth.cutoff
    }
    numerator = denominator = 0
    for petition in truth.known("petitions"):
        filed = petition["filed_on"]
        if petition["kind"] != "dependency" or not start <= filed <= end or add_months(filed, 6) > truth.cutoff:
            continue
        first = min((d for d in held[petition["case_id"]] if d >= filed), default=None)
        decided = petition["disposition_on"]
        if decided is not None and petition["disposition_entered_on"] > truth.cutoff:
            decided = None
        dropped = decided is not None and petition["disposition"] in ("dismissed", "withdrawn")
        if dropped and decided is not None and (first is None or decided <= first):
            continue
        watched = max(closed.get(petition["case_id"], truth.cutoff), filed)
        if first is None and (watched - filed).days < 60:
            continue
        denominator += 1
        numerator += first is not None and (first - filed).days <= 60
    return _share("CRT-02", start, end, numerator, denominator, variant="within_60_days")


def continued(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """CRT-11: hearings continued, of those scheduled in the period whose outcome is known."""
    numerator = denominator = 0
    for hearing in truth.known("hearings"):
        day = hearing["scheduled_at"].date()
        known = hearing["outcome_entered_on"] is not None and hearing["outcome_entered_on"] <= truth.cutoff
        if not start <= day <= min(end, truth.cutoff) or not known or hearing["status"] == "scheduled":
            continue
        denominator += 1
        numerator += hearing["status"] == "continued"
    return _share("CRT-11", start, end, numerator, denominator)


def counsel_by_the_first_hearing(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """CRT-08: parties of dependency cases filed in the period with counsel at the first hearing held."""
    first: dict[int, dt.date] = {}
    for hearing in truth.known("hearings"):
        told = hearing["outcome_entered_on"] is not None and hearing["outcome_entered_on"] <= truth.cutoff
        if hearing["status"] == "held" and told:
            day = hearing["held_at"].date()
            first[hearing["case_id"]] = min(first.get(hearing["case_id"], day), day)
    counsel: dict[tuple[int, int], list[tuple[dt.date, dt.date | None]]] = defaultdict(list)
    for row in truth.known("attorneys"):
        # An advocate appointed by the court is no counsel.
        if row["role"] != "casa" and row["appointed_on"] <= truth.cutoff:
            counsel[row["case_id"], row["party_id"]].append((row["appointed_on"], row["withdrawn_on"]))
    filed = {
        c["case_id"] for c in truth.known("court_cases") if c["kind"] == "dependency" and start <= c["filed_on"] <= end
    }
    counts = {variant: [0, 0] for variant in ("warehouse", "child", "mother", "father", "unknown_father")}
    for party in truth.known("parties"):
        role = {"putative_father": "unknown_father"}.get(party["role"], party["role"])
        day_or_none = first.get(party["case_id"])
        if party["case_id"] not in filed or role not in counts or day_or_none is None:
            continue
        day = day_or_none
        has = any(a <= day and (z is None or z >= day) for a, z in counsel[party["case_id"], party["party_id"]])
        for variant in ("warehouse", role):
            counts[variant][0] += has
            counts[variant][1] += 1
    return [_share("CRT-08", start, end, n, d, variant=variant) for variant, (n, d) in counts.items()]


def _families(truth: Truth) -> dict[int, tuple[set[int], set[int]]]:
    """Children and parents of each family; a father stands beside all its children."""
    found: dict[int, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
    for person in truth.people():
        if person["family_id"] is not None and person["role"] in ("child", "mother", "father"):
            found[person["family_id"]][person["role"] != "child"].add(person["person_id"])
    return found


def family_time(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """FAM-01: visits of child and parent per week wholly in care, with a parent whose rights stand and who lives."""
    last_day = min(end, truth.cutoff)
    monday = start + dt.timedelta(days=-start.weekday() % 7)
    mondays = [monday + 7 * ONE_DAY * i for i in range((last_day - monday).days // 7 + 1)]
    mondays = [m for m in mondays if m + 6 * ONE_DAY <= last_day]
    ended: dict[tuple[int, int], dt.date] = {}
    for petition in truth.known("petitions"):
        told = petition["disposition_on"] is not None and petition["disposition_entered_on"] <= truth.cutoff
        if petition["kind"] == "tpr" and told and petition["parent_id"] is not None:
            pair = petition["person_id"], petition["parent_id"]
            ended[pair] = min(ended.get(pair, petition["disposition_on"]), petition["disposition_on"])
    deaths = {p["person_id"]: p["death_on"] for p in truth.people() if p["death_on"] is not None}
    held: dict[tuple[int, int, dt.date], list[int]] = defaultdict(lambda: [0, 0])
    for visit in truth.known("family_time"):
        day = visit["scheduled_at"].date()
        if visit["status"] == "held" and day <= truth.cutoff:
            week = day - dt.timedelta(days=day.weekday())
            held[visit["person_id"], visit["parent_id"], week][visit["place"] == "video"] += 1
    weeks = sessions = calls = 0
    with_at_least = {1: 0, 3: 0, 5: 0}
    for children, parents in _families(truth).values():
        for child in children & truth.by_person.keys():
            in_care = [
                m
                for m in mondays
                if any(s.start <= m and (s.end is None or s.end >= m + 7 * ONE_DAY) for s in truth.by_person[child])
            ]
            for parent in parents:
                barred = min(ended.get((child, parent), dt.date.max), deaths.get(parent, dt.date.max))
                for m in in_care:
                    if barred <= m + 6 * ONE_DAY:
                        break
                    in_person, remote = held[child, parent, m]
                    weeks += 1
                    sessions += in_person
                    calls += remote
                    for least in with_at_least:
                        with_at_least[least] += in_person >= least
    found = [_share("FAM-01", start, end, sessions, weeks, variant="per_week"),
             _share("FAM-01", start, end, calls, weeks, variant="remote_per_week")]  # fmt: skip
    return found + [
        _share("FAM-01", start, end, n, weeks, variant=f"weeks_with_{least}") for least, n in with_at_least.items()
    ]


def _enrollments(truth: Truth) -> dict[int, list[tuple[dt.date, dt.date | None]]]:
    """Each child's enrolments as known, first to last."""
    found: dict[int, list[tuple[dt.date, dt.date | None]]] = defaultdict(list)
    for row in truth.known("enrollments"):
        told = row["closed_on"] is not None and row["closed_entered_on"] <= truth.cutoff
        found[row["person_id"]].append((row["enrolled_on"], row["closed_on"] if told else None))
    for spans in found.values():
        spans.sort(key=lambda s: s[0])
    return found


def _enrolled_within(spans: list[tuple[dt.date, dt.date | None]], day: dt.date, days: int) -> bool:
    """A team had the child by ``days`` after ``day`` and had not let it go before it."""
    return any(a <= day + days * ONE_DAY and (z is None or z >= day) for a, z in spans)


def _claims(truth: Truth) -> dict[int, list[tuple[dt.date, str]]]:
    """Services the Medicaid agency knew of at the cut-off and had not taken back: day and procedure."""
    found: dict[int, list[tuple[dt.date, str]]] = defaultdict(list)
    for row in truth.known("claims"):
        if row["voided_on"] is None or row["voided_on"] > truth.cutoff:
            found[row["person_id"]].append((row["service_on"], row["code"]))
    return found


def screened(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """DEV-01: a developmental screening from 90 days before to 60 days after the enrolment.

    The simulation records no developmental need, so the enrolment is the anchor of both variants."""
    done: dict[int, list[dt.date]] = defaultdict(list)
    for row in truth.known("screenings"):
        if row["instrument"] == "ASQ3":
            done[row["person_id"]].append(row["performed_on"])
    for person, claims in _claims(truth).items():
        done[person] += [day for day, code in claims if code == "96110"]
    births = {p["person_id"]: p["birth_on"] for p in truth.people()}
    numerator = denominator = 0
    for child, spans in _enrollments(truth).items():
        day, closed = next((s for s in spans if start <= s[0] <= end), (None, None))
        if day is None:
            continue
        due = day + 60 * ONE_DAY
        if add_months(births[child], 1) > due or (closed is not None and closed < due) or due > truth.cutoff:
            continue
        denominator += 1
        numerator += any(day - 90 * ONE_DAY <= when <= due for when in done[child])
    return [
        _share("DEV-01", start, end, numerator, denominator, variant=variant)
        for variant in ("warehouse", "anchor_enrollment")
    ]


def _needs(truth: Truth, domain: str) -> list[tuple[int, dt.date, dt.date | None, dt.date | None]]:
    """Needs of ``domain``: person, when found, when referred and when first served, as far as known."""
    found = []
    for row in truth.known("needs"):
        if row["domain"] != domain:
            continue
        referred, served = row["referred_on"], row["first_service_on"]
        found.append(
            (
                row["person_id"],
                row["identified_on"],
                referred if referred is not None and referred <= truth.cutoff else None,
                served if served is not None and row["service_entered_on"] <= truth.cutoff else None,
            )
        )
    return found


def early_intervention(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """DEV-02: early intervention within 60 days of the first sign of a need; DEV-02b: within 45 of the referral."""
    enrolled = _enrollments(truth)
    births = {p["person_id"]: p["birth_on"] for p in truth.people()}
    signs: dict[int, list[dt.date]] = defaultdict(list)
    served: dict[int, list[dt.date]] = defaultdict(list)
    within_45 = referrals = 0
    for child, found, referred, first in _needs(truth, "early_intervention"):
        signs[child] += [found] if referred is None else [found, referred]
        served[child] += [] if first is None else [first]
        if referred is not None and start <= referred <= end and child in enrolled:
            due = referred + 45 * ONE_DAY
            if due <= truth.cutoff:
                referrals += 1
                within_45 += first is not None and first <= due
    for row in truth.known("screenings"):
        if row["instrument"] == "ASQ3" and row["result"] == "refer":
            signs[row["person_id"]].append(row["performed_on"])
    for child, reports in _victimisations(truth).items():
        signs[child] += [r[0] for r in reports if r[0] < add_months(births[child], 36)]
    numerator = denominator = 0
    for child, days in signs.items():
        first_sign = min(
            (d for d in days if start <= d <= end and _enrolled_within(enrolled.get(child, []), d, 60)), default=None
        )
        if first_sign is None or first_sign + 60 * ONE_DAY > truth.cutoff:
            continue
        denominator += 1
        numerator += bool(served[child]) and min(served[child]) <= first_sign + 60 * ONE_DAY
    return [_share("DEV-02", start, end, numerator, denominator), _share("DEV-02b", start, end, within_45, referrals)]


def child_parent_therapy(truth: Truth, start: dt.date, end: dt.date) -> Measure:
    """DEV-03: child-parent psychotherapy within 60 days of the need, one row per enrolled child."""
    enrolled = _enrollments(truth)
    needs: dict[int, dt.date] = {}
    sessions: dict[int, dt.date] = {}
    for child, found, _, first in _needs(truth, "child_parent_therapy"):
        if start <= found <= end and _enrolled_within(enrolled.get(child, []), found, 60):
            needs[child] = min(found, needs.get(child, found))
        if first is not None:
            sessions[child] = min(first, sessions.get(child, first))
    judged = {child: day + 60 * ONE_DAY for child, day in needs.items() if day + 60 * ONE_DAY <= truth.cutoff}
    met = sum(child in sessions and sessions[child] <= due for child, due in judged.items())
    return _share("DEV-03", start, end, met, len(judged))


#: Office and well-child visits as the simulated Medicaid agency bills them.
_DOCTOR = frozenset({"99213", "99214", "99391", "99392"})


def seen_by_a_doctor(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """HLT-01: a visit within 30 days, or a month, of the referral to physical health."""
    claims = _claims(truth)
    in_30_days = in_a_month = denominator = 0
    for child, _, referred, first in _needs(truth, "physical_health"):
        if referred is None or not start <= referred <= end or referred + 30 * ONE_DAY > truth.cutoff:
            continue
        visits = [day for day, code in claims[child] if code in _DOCTOR] + ([] if first is None else [first])
        seen = min((day for day in visits if day >= referred), default=None)
        denominator += 1
        in_30_days += seen is not None and seen <= referred + 30 * ONE_DAY
        in_a_month += seen is not None and seen <= add_months(referred, 1)
    return [
        _share("HLT-01", start, end, in_30_days, denominator),
        _share("HLT-01", start, end, in_a_month, denominator, variant="one_month"),
    ]


def _treatments(truth: Truth) -> list[dict[str, Any]]:
    """Treatments a consent to the court team in force at the cut-off covers, their end only where it is known."""
    covered = {r["person_id"] for r in _consents(truth)}
    found = []
    for row in truth.known("treatments"):
        if row["person_id"] in covered:
            told = row["discharged_on"] is not None and row["discharge_entered_on"] <= truth.cutoff
            found.append({**row, "discharged_on": row["discharged_on"] if told else None})
    return found


def _early_services(truth: Truth) -> list[tuple[int, dt.date, dt.date]]:
    """Early intervention that began: child, first and last day known."""
    found = []
    for row in truth.known("needs"):
        if row["domain"] == "early_intervention" and row["first_service_on"] is not None:
            if row["service_entered_on"] > truth.cutoff:
                continue
            told = row["completed_on"] is not None and row["completed_entered_on"] <= truth.cutoff
            found.append(
                (row["person_id"], row["first_service_on"], row["completed_on"] if told else row["first_service_on"])
            )
    return found


def known_to_systems(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """COL-10: systems in touch with a family from 12 months before to 12 months after its enrolment.

    Every enrolled family is in the files of child welfare and of the court, so all of them can be observed."""
    touches: dict[int, list[tuple[str, dt.date, dt.date]]] = defaultdict(list)
    reports = {
        r["report_id"]: r["received_at"].date()
        for r in truth.known("reports")
        if r["expunged_on"] is None or r["expunged_on"] > truth.cutoff
    }
    for row in truth.known("allegations"):
        if row["report_id"] in reports:
            day = reports[row["report_id"]]
            touches[row["person_id"]].append(("child_welfare", day, day))
    for stay in truth.stays:
        touches[stay.person].append(("child_welfare", stay.start, stay.end or truth.cutoff))
    cases = {}
    for case in truth.known("court_cases"):
        told = case["closed_on"] is not None and max(case["closed_on"], case["closed_entered_on"]) <= truth.cutoff
        cases[case["case_id"]] = (case["filed_on"], case["closed_on"] if told else truth.cutoff)
    for row in truth.known("parties"):
        if row["role"] == "child" and row["case_id"] in cases:
            touches[row["person_id"]].append(("court", *cases[row["case_id"]]))
    for who, claims in _claims(truth).items():
        touches[who] += [("medicaid", day, day) for day, _ in claims]
    for row in _treatments(truth):
        touches[row["person_id"]].append(
            ("behavioral_health", row["contact_on"] or row["admitted_on"], row["discharged_on"] or truth.cutoff)
        )
    for child, first, last in _early_services(truth):
        touches[child].append(("early_intervention", first, last))
    members: dict[int, set[int]] = defaultdict(set)
    for person in truth.people():
        if person["family_id"] is not None:
            members[person["family_id"]].add(person["person_id"])
    enrolled: dict[int, dt.date] = {}
    for enrollment in truth.known("enrollments"):
        day, family = enrollment["enrolled_on"], enrollment["family_id"]
        if start <= day <= end:
            enrolled[family] = min(day, enrolled.get(family, day))
    counts = [0] * 6
    for family, day in enrolled.items():
        since, until = add_months(day, -12), min(add_months(day, 12), truth.cutoff)
        systems = {system for m in members[family] for system, a, z in touches[m] if a <= until and z >= since}
        counts[len(systems)] += 1
    mature = truth.cutoff >= add_months(end, 12)
    mean = _share("COL-10", start, end, sum(n * c for n, c in enumerate(counts)), len(enrolled), variant="mean",
                  mature=mature)  # fmt: skip
    return [mean] + [
        _share("COL-10", start, end, c, len(enrolled), variant=f"systems_{n}", mature=mature)
        for n, c in enumerate(counts)
    ]


def first_contact(truth: Truth, start: dt.date, end: dt.date) -> list[Measure]:
    """COL-20: within 30 days of removal a claim, treatment or early intervention of the child or a parent.

    Children in care are covered by Medicaid here, so that all of them can be observed."""
    touched: dict[int, list[dt.date]] = defaultdict(list)
    for person, claims in _claims(truth).items():
        touched[person] += [day for day, _ in claims]
    for row in _treatments(truth):
        touched[row["person_id"]].append(row["first_service_on"] or row["admitted_on"])
    for child, first, _ in _early_services(truth):
        touched[child].append(first)
    parents = {child: parents for children, parents in _families(truth).values() for child in children}
    enrolled = _enrollments(truth)
    within = before = judged = everyone = 0
    chosen: dict[int, Stay] = {}
    for stay in truth.stays:
        if start <= stay.start <= end:
            chosen.setdefault(stay.person, stay)
    for child, stay in chosen.items():
        spans = [
            (a, z)
            for a, z in enrolled.get(child, [])
            if a <= (stay.end or truth.cutoff) and (z is None or z >= stay.start)
        ]
        if not spans:
            continue
        closed = max(z for _, z in spans if z is not None) if all(z is not None for _, z in spans) else truth.cutoff
        until = min(closed, truth.cutoff, stay.start + 365 * ONE_DAY)
        days = sorted(d for p in {child} | parents.get(child, set()) for d in touched[p] if d <= truth.cutoff)
        connected = bool(days) and days[0] < stay.start
        wait = next(((d - stay.start).days for d in days if stay.start <= d <= until), None)
        wait = 0 if connected else wait
        everyone += 1
        before += connected
        if wait is None and stay.start + 30 * ONE_DAY > truth.cutoff:
            continue
        judged += 1
        within += wait is not None and wait <= 30
    return [
        _share("COL-20", start, end, within, judged, variant="within_30_days"),
        _share("COL-20", start, end, before, everyone, variant="already_connected"),
    ]
