"""The independent measures give the worked answers of the metrics catalog: G-01, 05, 07, 08, 10, 15, 17 and 19."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.demo import truth_measures as tm
from pipelines.demo.lives import Lives

FY24 = (dt.date(2023, 10, 1), dt.date(2024, 9, 30))
LONG_AGO = dt.date(2000, 1, 1)


def d(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


class Told:
    """A truth folder written by hand: rows by table, everything entered at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        lives = Lives.__new__(Lives)
        Lives.__post_init__(lives)
        self.columns = {name: sheet.arrow().schema for name, sheet in vars(lives).items() if hasattr(sheet, "arrow")}
        self.columns["people"] = pa.schema([("person_id", pa.int64()), ("birth_on", pa.date32())])
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in self.columns}

    def add(self, table: str, **values: Any) -> None:
        """A row; what is not said is empty, and everything was entered long ago."""
        known = {c: LONG_AGO for c in self.columns[table].names if c.endswith("entered_on")}
        self.rows[table].append({**known, **values})

    def at(self, cutoff: str) -> tm.Truth:
        """The truth as known at a cut-off."""
        (self.root / "events").mkdir(exist_ok=True)
        for name, schema in self.columns.items():
            rows = [{c: r.get(c) for c in schema.names} for r in self.rows[name]]
            columns = {c: pa.array([r[c] for r in rows]) for c in schema.names}
            pq.write_table(pa.table(columns), self.root / "events" / f"{name}.parquet")
        return tm.Truth(self.root, d(cutoff))

    def stay(self, person: int, start: str, end: str | None, reason: str | None, birth: str = "2022-01-01") -> int:
        """A removal episode; returns its number."""
        if not any(p["person_id"] == person for p in self.rows["people"]):
            self.rows["people"].append({"person_id": person, "birth_on": d(birth)})
        number = len(self.rows["removals"]) + 1
        self.add("removals", removal_id=number, person_id=person, removal_on=d(start), exit_on=d(end) if end else None,
                 exit_reason=reason)  # fmt: skip
        return number

    def place(self, removal: int, start: str, setting: str, provider: int) -> None:
        """A placement of an episode."""
        seq = len(self.rows["placements"])
        self.add("placements", removal_id=removal, seq=seq, start_on=d(start), setting=setting, provider_id=provider)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_permanency_in_12_months(told: Told) -> None:
    told.stay(1, "2023-11-01", "2024-06-15", "reunification", "2022-03-10")
    told.stay(2, "2023-10-20", "2023-10-26", "reunification", "2023-01-05")
    told.stay(3, "2024-01-15", "2025-01-15", "reunification", "2021-12-01")
    told.stay(4, "2024-01-15", "2025-01-16", "reunification", "2021-12-01")
    at_home = told.stay(5, "2024-02-25", "2025-03-01", "reunification", "2024-02-20")
    told.place(at_home, "2024-02-25", "foster", 1)
    told.place(at_home, "2024-12-20", "trial_home_visit", 0)
    told.stay(6, "2024-05-01", None, None, "2023-05-01")
    told.stay(7, "2023-12-01", "2024-01-10", "reunification", "2022-08-08")
    told.stay(7, "2024-03-01", "2025-06-01", "adoption", "2022-08-08")
    told.stay(8, "2024-04-01", "2024-12-31", "transfer", "2023-02-02")
    told.stay(9, "2024-02-29", "2025-02-28", "guardianship", "2022-01-01")
    told.stay(10, "2024-06-01", "2024-06-09", "relative", "2023-03-03")
    told.stay(11, "2024-06-01", "2024-11-30", None, "2023-03-03")
    seen, federal = tm.permanency_in_12_months(told.at("2026-09-30"), *FY24)
    assert (seen.numerator, seen.denominator) == (6, 9)
    assert (federal.numerator, federal.denominator) == (5, 8)


def test_a_cohort_without_12_months_behind_it_has_no_value(told: Told) -> None:
    told.stay(1, "2024-08-01", "2024-09-15", "reunification")
    seen, _ = tm.permanency_in_12_months(told.at("2025-09-29"), *FY24)
    assert seen.value is None and not seen.mature


def test_two_placements_or_fewer(told: Told) -> None:
    a = told.stay(1, "2023-11-01", "2024-02-01", "reunification")
    for start, provider in (("2023-11-01", 1), ("2023-11-10", 2), ("2024-01-05", 3)):
        told.place(a, start, "foster", provider)
    b = told.stay(2, "2024-09-01", None, None)
    told.place(b, "2024-09-01", "kin", 4)
    c = told.stay(3, "2024-05-01", "2024-05-06", "reunification")
    told.place(c, "2024-05-01", "foster", 1)
    told.place(c, "2024-05-03", "foster", 2)
    e = told.stay(4, "2024-01-10", "2024-12-01", "reunification")
    for start, setting, provider in (
        ("2024-01-10", "foster", 1), ("2024-06-01", "trial_home_visit", 0), ("2024-06-20", "foster", 1),
        ("2024-07-01", "hospital", 9), ("2024-07-05", "foster", 1), ("2024-08-01", "foster", 3),
        ("2024-10-15", "foster", 4),
    ):  # fmt: skip
        told.place(e, start, setting, provider)
    found = {(m.metric_id[-1], m.variant): m for m in tm.two_placements_or_fewer(told.at("2026-09-30"), *FY24)}
    short, middle, long = (found[band, "warehouse"] for band in "abc")
    eight_days = found["a", "min_8_days"]
    assert (eight_days.numerator, eight_days.denominator) == (2, 3)
    assert (short.numerator, short.denominator) == (3, 4)
    assert (middle.denominator, long.denominator) == (0, 0) and middle.value is None


def test_recurrence(told: Told) -> None:
    cases: list[tuple[tuple[str, str | None], ...]] = [
        (("2023-11-01", None), ("2023-11-15", None)),
        (("2023-11-01", None), ("2023-11-16", None)),
        (("2024-01-01", "2023-12-30"), ("2024-03-01", "2023-12-30")),
        (("2024-01-01", "2023-12-30"), ("2024-03-01", None)),
        (("2024-09-30", None), ("2025-09-30", None)),
        (("2024-09-30", None), ("2025-10-01", None)),
        (("2023-09-30", None), ("2024-08-01", None)),
    ]
    for child, reports in enumerate(cases):
        told.rows["people"].append({"person_id": child, "birth_on": d("2020-01-01")})
        for day, incident in reports:
            number = len(told.rows["reports"]) + 1
            told.add("reports", report_id=number, received_at=dt.datetime.fromisoformat(day),
                     incident_on=d(incident) if incident else None)  # fmt: skip
            told.add("allegations", report_id=number, person_id=child, disposition="substantiated", is_unborn=False)
    found, _ = tm.recurrence(told.at("2026-09-30"), *FY24)
    assert (found.numerator, found.denominator) == (3, 7)


def test_an_unborn_victim_is_no_victim(told: Told) -> None:
    told.add("reports", report_id=1, received_at=dt.datetime(2024, 1, 5))
    told.add("allegations", report_id=1, person_id=1, disposition="substantiated", is_unborn=True)
    assert [m.denominator for m in tm.recurrence(told.at("2026-09-30"), *FY24)] == [0, 0]


def test_a_month_counts_when_the_family_was_enrolled_all_of_it(told: Told) -> None:
    told.add("enrollments", family_id=1, enrolled_on=d("2024-01-15"), closed_on=d("2024-05-10"))
    for day, status in (("2024-01-20", "held"), ("2024-02-28", "held"), ("2024-03-15", "cancelled"),
                        ("2024-04-01", "held"), ("2024-04-29", "held")):  # fmt: skip
        told.add("meetings", family_id=1, status=status, held_at=dt.datetime.fromisoformat(day))
    found = tm.monthly_meetings(told.at("2026-09-30"), d("2024-01-01"), d("2024-12-31"))
    assert (found.numerator, found.denominator) == (2, 3)


def test_siblings_in_one_team_are_one_family(told: Told) -> None:
    for _ in range(3):
        told.add("enrollments", family_id=1, enrolled_on=d("2024-02-01"), closed_on=d("2024-02-29"))
    found = tm.monthly_meetings(told.at("2026-09-30"), d("2024-01-01"), d("2024-12-31"))
    assert (found.numerator, found.denominator) == (0, 1)


def test_appointment_within_30_days_of_the_need(told: Told) -> None:
    needs = {"A": "2024-01-01", "B": "2024-01-01", "C": "2024-01-01", "D": "2024-01-01", "E": "2024-01-01",
             "F": "2024-01-01", "G": "2024-06-10", "H": "2024-01-10", "I": "2024-01-01"}  # fmt: skip
    kept = {"A": "2024-01-08", "B": "2024-01-09", "C": "2024-01-31", "D": "2024-02-01", "F": "2024-01-02",
            "H": "2024-01-05", "I": "2024-01-20"}  # fmt: skip
    for number, (name, need) in enumerate(needs.items(), 1):
        told.add("needs", need_id=number, person_id=number, child_id=99, domain="sud", identified_on=d(need))
        if name != "F":
            told.add("consents", person_id=number, recipient="court_team", tpo=False, signed_on=d("2024-01-01"),
                     expires_on=d("2026-01-01"))  # fmt: skip
        if name in kept:
            told.add("treatments", treatment_id=number, person_id=number, kind="sud", admitted_on=d(kept[name]),
                     first_service_on=d(kept[name]))  # fmt: skip
    found = tm.first_appointment(told.at("2024-06-20"), d("2024-01-01"), d("2024-12-31"), "PAR-02", "sud", 30)
    assert (found.numerator, found.denominator) == (5, 7)


@pytest.mark.parametrize(
    "change", [{"revoked_on": d("2024-06-01")}, {"expires_on": d("2024-06-20")}, {"recipient": "job"}, {"tpo": True}],
    ids=["revoked", "expired", "for someone else", "for treatment, payment and operations"],
)  # fmt: skip
def test_without_a_usable_consent_a_parent_is_not_observable(told: Told, change: dict[str, Any]) -> None:
    told.add("needs", need_id=1, person_id=1, child_id=99, domain="sud", identified_on=d("2024-01-01"))
    consent = {"person_id": 1, "recipient": "court_team", "tpo": False, "signed_on": d("2024-01-01"),
               "expires_on": d("2026-01-01")}  # fmt: skip
    told.add("consents", **{**consent, **change})
    assert (
        tm.first_appointment(told.at("2024-06-20"), d("2024-01-01"), d("2024-12-31"), "PAR-02", "sud", 30).denominator
        == 0
    )


def test_permanency_hearing_within_12_months_of_entering_care(told: Told) -> None:
    for child, (held, left) in enumerate(
        [("2024-01-10", None), ("2024-01-11", None), (None, None), ("2023-06-01", "2023-12-01")], 1
    ):
        told.stay(child, "2022-12-01", left, "reunification" if left else None)
        told.add("parties", party_id=child, case_id=child, person_id=child, role="child")
        told.add("orders", person_id=child, finding="abuse_neglect", order_on=d("2023-01-10"))
        if held:
            told.add(
                "hearings", case_id=child, kind="permanency", status="held", held_at=dt.datetime.fromisoformat(held)
            )
    found = tm.permanency_hearing(told.at("2026-09-30"), *FY24)
    assert (found.numerator, found.denominator) == (1, 3)


def test_the_clock_starts_60_days_after_removal_at_the_latest(told: Told) -> None:
    told.stay(1, "2022-12-01", None, None)
    told.add("parties", party_id=1, case_id=1, person_id=1, role="child")
    told.add("hearings", case_id=1, kind="permanency", status="held", held_at=dt.datetime(2024, 1, 30))
    found = tm.permanency_hearing(told.at("2026-09-30"), *FY24)
    assert (found.numerator, found.denominator) == (1, 1)


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("2024-10-01", None, 1),
        ("2023-01-01", "2024-10-01", 0),
        ("2023-01-01", "2024-10-02", 1),
        ("2024-10-02", None, 0),
    ],
    ids=["removed that day", "discharged that day", "discharged the next day", "removed the next day"],
)
def test_in_care_on_a_day(told: Told, start: str, end: str | None, count: int) -> None:
    told.stay(1, start, end, "reunification" if end else None)
    day = d("2024-10-01")
    assert [m.numerator for m in tm.point_in_time(told.at("2026-09-30"), day, day)] == [count]


def test_a_year_has_four_count_days(told: Told) -> None:
    days = [m.period_start for m in tm.point_in_time(told.at("2026-09-30"), *FY24)]
    assert days == [d("2023-10-01"), d("2024-01-01"), d("2024-04-01"), d("2024-07-01")]


def test_median_time_to_reunification(told: Told) -> None:
    times = (30, 60, 60, 90, 120, 150, 180, 200, 240, 300)
    home = "reunification"
    causes = (home, "adoption", home, None, home, "guardianship", home, None, "adoption", None)
    assert tm._half_reunified(list(zip(times, causes, strict=True))) is None
    for child, (days, cause) in enumerate(zip(times, causes, strict=True), 1):
        start = d("2023-10-01")
        told.stay(child, str(start), str(start + dt.timedelta(days=days)) if cause else None, cause)
    conditional, cohort = tm.median_time_to_reunification(told.at("2027-09-30"), *FY24)
    assert conditional.value == pytest.approx(90 / 30.4375)
    assert cohort.value is None and cohort.mature


def test_an_exit_not_yet_entered_is_not_known(told: Told) -> None:
    told.stay(1, "2024-01-01", "2024-03-01", "reunification")
    told.rows["removals"][0]["exit_entered_on"] = d("2026-12-01")
    assert told.at("2026-09-30").stays[0].end is None


def test_care_ends_on_the_18th_birthday(told: Told) -> None:
    told.stay(1, "2024-01-01", None, None, birth="2006-05-05")
    stay = told.at("2026-09-30").stays[0]
    assert (stay.end, stay.reason) == (d("2024-05-05"), "emancipation")


def test_months_are_clamped_to_the_last_day() -> None:
    assert tm.add_months(d("2024-02-29"), 12) == d("2025-02-28")
    assert tm.add_months(d("2023-12-31"), 2) == d("2024-02-29")
