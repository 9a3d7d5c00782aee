"""A small source of our own, with one table of every kind of file, and helpers to drop files and look at results."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from expectations.contract import Contract, load_contracts
from pipelines.landing import Outcome, build_current, land
from pipelines.storage import Home

TOY = """
system: toy
title: Toy agency
description: Made up.
version: "1"
steward: {office: Toy office}
delivery: {format: delimited, delimiter: ",", cadence: monthly, max_age_days: 45, max_quarantine_share: 0.5}
date_formats: ["%Y-%m-%d"]
tables:
  people:
    description: People.
    grain: person
    file: "toy_people_{date}.csv"
    key: [person_id]
    delivery: {mode: full}
    columns: &people
      - {name: person_id, raw: PERSON_ID, required: true, sensitivity: source_key, description: Number.}
      - {name: last_name, sensitivity: direct_id, max_length: 20, description: Surname.}
      - {name: birth_date, type: date, sensitivity: quasi_id, description: Born.}
      - {name: sex, codes: sex, sensitivity: quasi_id, description: Sex.}
      - {name: visits, type: integer, sensitivity: none, description: Visits.}
    checks:
      - {rule: many_visits, sql: "visits < 100", fields: [visits], description: Unlikely many visits.}
  events:
    description: Events.
    grain: event
    file: "toy_events_{date}.txt"
    key: [event_id]
    delivery: {mode: change, delimiter: "|"}
    order_by: [reported_on]
    delete_column: action
    delete_values: [D]
    columns:
      - {name: event_id, required: true, sensitivity: source_key, description: Number.}
      - {name: reported_on, type: date, formats: ["%Y%m%d"], required: true, sensitivity: none, description: Reported.}
      - {name: action, sensitivity: none, required: true, description: What happens to the row.}
      - {name: amount, type: decimal, sensitivity: none, description: Amount.}
  archive:
    description: Old people.
    grain: person
    file: "toy_archive_{date}.dat"
    key: [person_id]
    optional: true
    delivery: {format: fixed_width}
    columns:
      - {name: person_id, start: 1, width: 4, required: true, sensitivity: source_key, description: Number.}
      - {name: last_name, start: 5, width: 6, sensitivity: direct_id, description: Surname.}
      - {name: birth_date, start: 11, width: 8, type: date, formats: ["%Y%m%d"], sensitivity: quasi_id,
         description: Born.}
  children:
    description: Children.
    grain: child
    file: "toy_care_{date}.xml"
    rows: "/*/records/record"
    key: [child_id]
    optional: true
    delivery: {format: xml}
    columns:
      - {name: period, raw: "/*/period", sensitivity: none, description: Period.}
      - {name: child_id, raw: id, required: true, sensitivity: source_key, description: Number.}
      - {name: tribes, raw: "tribes/tribe", sensitivity: tribal, description: Tribes.}
  stays:
    description: Stays.
    grain: stay
    file: "toy_care_{date}.xml"
    rows: "/*/records/record/stays/stay"
    key: [child_id, stay_number]
    optional: true
    delivery: {format: xml}
    columns:
      - {name: child_id, raw: "ancestor::record/id", required: true, sensitivity: source_key, description: Number.}
      - {name: stay_number, raw: "string(count(preceding-sibling::stay) + 1)", type: integer, sensitivity: none,
         description: Order.}
      - {name: began_on, raw: "from", type: date, formats: ["%Y%m%d"], sensitivity: cw_case, description: Began.}
  meetings:
    description: Meetings.
    grain: meeting
    file: "toy_book_{date}.xlsx"
    sheet: Meetings
    header_row: 2
    key: [meeting_id]
    optional: true
    delivery: {format: xlsx}
    columns:
      - {name: meeting_id, raw: "Meeting ID", required: true, sensitivity: source_key, description: Number.}
      - {name: held_on, raw: "Held on", type: date, formats: ["%m/%d/%Y"], sensitivity: cw_case, description: Day.}
      - {name: started_at, raw: "Started", type: timestamp, sensitivity: none, description: Start.}
      - {name: people, raw: "People", type: integer, sensitivity: none, description: How many.}
      - {name: agreed, raw: "Agreed", type: boolean, sensitivity: none, description: Agreed.}
  attendees:
    description: Attendees.
    grain: attendee
    file: "toy_book_{date}.xlsx"
    sheet: Attendees
    key: [meeting_id, role]
    optional: true
    delivery: {format: xlsx}
    columns:
      - {name: meeting_id, raw: "Meeting ID", required: true, sensitivity: source_key, description: Number.}
      - {name: role, raw: "Role", required: true, sensitivity: none, description: Role.}
"""

OTHER = """
system: neighbour
title: Another agency
description: Made up.
version: "1"
steward: {office: Other office}
delivery: {format: delimited, delimiter: ","}
tables:
  cars:
    description: Cars.
    grain: car
    file: "cars_{date}.csv"
    key: [plate]
    columns:
      - {name: plate, required: true, sensitivity: none, description: Plate.}
      - {name: colour, sensitivity: none, description: Colour.}
"""

SEX = "code,label,maps_to,version,valid_from,valid_to\nF,Female,female,1,,\nM,Male,male,1,,\n"

PEOPLE = "PERSON_ID,last_name,birth_date,sex,visits\n"
DAY = dt.date(2026, 3, 31)


@pytest.fixture(scope="session")
def source_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sources")
    for system, text in (("toy", TOY), ("neighbour", OTHER)):
        (root / system / "codes").mkdir(parents=True)
        (root / system / "contract.yml").write_text(text)
    (root / "toy" / "codes" / "sex.csv").write_text(SEX)
    return root


@pytest.fixture(scope="session")
def contracts(source_root: Path) -> dict[str, Contract]:
    return load_contracts(source_root)


class Agency:
    """A home folder and what one does with it in a test."""

    def __init__(self, root: Path, contracts: dict[str, Contract]) -> None:
        self.home = Home(root)
        self.contracts = contracts
        for system in contracts:
            self.home.inbox(system).mkdir(parents=True)

    def drop(self, name: str, content: bytes | str, system: str = "toy") -> Path:
        path = self.home.inbox(system) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def land(self, received_on: dt.date = DAY) -> list[Outcome]:
        return land(self.home, self.contracts, received_on)

    def send(self, name: str, content: bytes | str, received_on: dt.date = DAY) -> Outcome:
        """Drop one file that holds one table, land it, return what became of it."""
        self.drop(name, content)
        (outcome,) = self.land(received_on)
        return outcome

    def people(self, rows: str, date: str = "20260301", received_on: dt.date = DAY) -> Outcome:
        return self.send(f"toy_people_{date}.csv", PEOPLE + rows, received_on)

    def loaded(self, outcome: Outcome, columns: str = "*") -> list[tuple[Any, ...]]:
        assert outcome.table and outcome.delivery_id
        path = self.home.delivery(outcome.system, outcome.table, outcome.delivery_id)
        return duckdb.sql(f"select {columns} from read_parquet('{path}') order by _line").fetchall()

    def quarantined(self, outcome: Outcome, columns: str = "line, rule, field") -> list[tuple[Any, ...]]:
        assert outcome.table and outcome.delivery_id
        path = self.home.quarantined(outcome.system, outcome.table, outcome.delivery_id)
        return duckdb.sql(f"select {columns} from read_parquet('{path}') order by line").fetchall()

    def current(self, table: str, cut: dt.date = DAY, columns: str = "*") -> list[tuple[Any, ...]]:
        build_current(self.home, self.home, self.contracts, cut)
        path = self.home.current("toy", table)
        return duckdb.sql(f"select {columns} from read_parquet('{path}')").fetchall()

    def log(self) -> list[dict[str, Any]]:
        path = self.home.delivery_log
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def letter(self, name: str, system: str = "toy") -> str:
        return (self.home.inbox(system) / "refused" / f"{name}.why.txt").read_text()


@pytest.fixture
def agency(tmp_path: Path, contracts: dict[str, Contract]) -> Agency:
    return Agency(tmp_path / "home", contracts)


def rules(outcome: Outcome) -> list[tuple[str, str | None]]:
    """Rule and field of every finding."""
    return [(f.rule, f.field) for f in outcome.findings]
