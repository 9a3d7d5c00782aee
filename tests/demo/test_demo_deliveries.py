"""The three deliveries: clean ones keep their contracts, the others hold every kind of error and say where."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from openpyxl import load_workbook

from expectations.contract import Contract
from pipelines.demo import simulate
from pipelines.demo.deliveries import DATES
from pipelines.demo.dirt import EXTRA, KINDS
from pipelines.landing.validate import validate_files
from tests.demo.conftest import Delivered, deliver

#: kind -> (table, condition a delivered row of that kind meets)
SEEN_IN = {
    1: ("medicaid_member_id_xref", "reason_cd = 'UNMERGE'"),
    2: ("medicaid_eligibility", "eligibility_group_cd = '64' and first_name = 'UNBORN'"),
    3: ("medicaid_eligibility", "first_name in ('BABY BOY', 'BABY GIRL', 'BABYBOY', 'BABYGIRL', 'BB', 'BG')"),
    4: ("medicaid_eligibility", "first_name like 'BABY % A'"),
    5: ("child_welfare_persons", "dob = '1900-01-01'"),
    6: ("child_welfare_persons", "ssn in ('000000000', '999999999', '123456789')"),
    7: ("medicaid_eligibility", "last_name like '%-%'"),
    8: ("child_welfare_persons", "first_name like '%  '"),
    9: ("child_welfare_persons", "sealed_ind = 'Y'"),
    10: ("child_welfare_persons", "merged_into_person_id is not null"),
    11: ("child_welfare_person_addresses", "line1 = '77 Other Household Rd'"),
    12: ("child_welfare_legal_statuses", "end_date = '2099-12-31'"),
    13: ("medicaid_eligibility", "addr_line2 in ('#', '+', '-', '**')"),
    14: ("child_welfare_placements", "voided_ind = 'Y' and record_status = 'V'"),
    15: ("child_welfare_removals", "removal_entered_ts[:10]::date - removal_date::date > 30"),
    16: ("medicaid_claim_headers", "icn_orig like 'X%'"),
    17: ("medicaid_eligibility", "end_date = '99991231'"),
    18: ("court_hearings", "HEARING_TYPE_CD = 'HEARING'"),
    19: ("court_cases", "AGENCY_CASE_NO like 'CA-%'"),
    20: ("child_welfare_contacts", "contact_ts like '%00:00:00'"),
    21: ("child_welfare_permanency_plans", "plan_cd = 'LTFC'"),
    22: ("behavioral_health_consents", "revoked_ts is not null"),
    23: ("behavioral_health_admissions", "transaction_type in ('C', 'D')"),
    24: ("child_welfare_persons", "sex = 'U'"),
    25: ("court_parties", "PARTY_NAME_RAW = 'UNKNOWN FATHER'"),
    26: ("child_welfare_person_addresses", "line1 = '100 Court Plaza'"),
}


def _dirt(dirty: Delivered) -> list[dict[str, str]]:
    return pq.read_table(dirty.truth / "dirt.parquet").to_pylist()


def test_clean_files_keep_their_contract_to_the_letter(clean: Delivered, contracts: dict[str, Contract]) -> None:
    day, folder = clean.folders[-1]
    for place in sorted(folder.iterdir()):
        for report in validate_files(sorted(place.iterdir()), {place.name: contracts[place.name]}, day):
            assert report.would_load, (report.file, report.findings)
            assert report.quarantined == 0, (report.file, report.findings)


def test_one_seed_gives_the_same_files(clean: Delivered, tmp_path_factory: pytest.TempPathFactory) -> None:
    again = deliver(simulate(people=260, seed=11, dirt=False), tmp_path_factory.mktemp("again"))
    files = sorted(p.relative_to(clean.inbox) for p in clean.inbox.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(again.inbox) for p in again.inbox.rglob("*") if p.is_file())
    different = [f for f in files if (clean.inbox / f).read_bytes() != (again.inbox / f).read_bytes()]
    assert different == []


@pytest.mark.parametrize("kind", sorted(KINDS), ids=[f"{k}: {KINDS[k]}" for k in sorted(KINDS)])
def test_every_kind_of_error_is_in_the_files(kind: int, sent: duckdb.DuckDBPyConnection, dirty: Delivered) -> None:
    table, condition = SEEN_IN[kind]
    found = sent.execute(f"select count(*) from {table} where {condition}").fetchone()
    assert found is not None and found[0] > 0
    assert any(row["kind"] == str(kind) for row in _dirt(dirty)), "the truth does not say where"


def test_rows_for_quarantine_are_written_down(dirty: Delivered) -> None:
    kinds = {row["kind"] for row in _dirt(dirty)}
    assert set(EXTRA) - {"ragged_row", "windows_1252"} <= kinds


def test_errors_written_down_are_in_the_files(sent: duckdb.DuckDBPyConnection, dirty: Delivered) -> None:
    sealed = [row["key"] for row in _dirt(dirty) if row["variant"] == "new_number"]
    delivered = {row[0] for row in sent.execute("select distinct person_id from child_welfare_persons").fetchall()}
    assert sealed and set(sealed) & delivered


def test_one_agency_misses_the_second_delivery_and_sends_it_with_the_third(dirty: Delivered) -> None:
    (_, second), (_, third) = dirty.folders[1:]
    assert not (second / "behavioral_health").exists()
    dates = {p.stem[-8:] for p in (third / "behavioral_health").iterdir()}
    assert dates == {"20260831", "20260930"}


def test_an_unmerge_arrives_only_with_the_third_delivery(sent: duckdb.DuckDBPyConnection) -> None:
    query = "select msis_id from medicaid_member_id_xref where reason_cd = 'UNMERGE' and delivery = '{}'"
    third = {row[0] for row in sent.execute(query.format("20260930")).fetchall()}
    second = {row[0] for row in sent.execute(query.format("20260831")).fetchall()}
    assert third > second


def test_a_change_file_never_repeats_an_earlier_one(clean: Delivered) -> None:
    seen: set[tuple[str, ...]] = set()
    for path in clean.files("mcd_claim_header_*.txt"):
        with path.open(encoding="utf-8", newline="") as handle:
            keys = [tuple(row[:5]) for row in csv.reader(handle, delimiter="|")][1:]
        assert keys and not seen & set(keys)
        seen |= set(keys)


def test_expunged_reports_disappear(sent: duckdb.DuckDBPyConnection) -> None:
    gone = sent.execute(
        """select count(*) from (select referral_id from child_welfare_referrals where delivery = '20260731'
        except select referral_id from child_welfare_referrals where delivery = '20260930')"""
    ).fetchone()
    assert gone is not None and gone[0] > 0


def test_an_exit_is_filled_in_by_a_later_delivery(sent: duckdb.DuckDBPyConnection) -> None:
    filled = sent.execute(
        """select count(*) from child_welfare_removals a join child_welfare_removals b using (removal_id)
        where a.delivery = '20260731' and b.delivery = '20260930' and a.exit_date is null and b.exit_date is not null"""
    ).fetchone()
    assert filled is not None and filled[0] > 0


def test_a_placement_is_voided_between_deliveries(sent: duckdb.DuckDBPyConnection) -> None:
    voided = sent.execute(
        """select count(*) from child_welfare_placements a join child_welfare_placements b using (placement_id)
        where a.delivery = '20260831' and b.delivery = '20260930' and a.record_status = 'A' and b.record_status = 'V'"""
    ).fetchone()
    assert voided is not None and voided[0] > 0


def test_one_file_is_windows_1252(dirty: Delivered) -> None:
    first = next(p for p in dirty.files("bh_client_*.csv") if p.stem.endswith("20260731"))
    with pytest.raises(UnicodeDecodeError):
        first.read_text(encoding="utf-8")
    assert first.read_text(encoding="cp1252").startswith("provider_id,client_id")


def test_truth_names_the_person_of_every_record(dirty: Delivered, sent: duckdb.DuckDBPyConnection) -> None:
    records = pq.read_table(dirty.truth / "person_records.parquet").to_pylist()
    known = {(r["source_system"], r["source_record_id"]): r["true_person_id"] for r in records}
    assert len(known) == len(records), "a record stands for two people"
    for system, query in {
        "child_welfare": "select distinct person_id from child_welfare_persons",
        "court": "select distinct PARTY_ID from court_parties",
        "medicaid": "select distinct msis_id from medicaid_eligibility",
        "behavioral_health": "select distinct provider_id || '~' || client_id from behavioral_health_clients",
    }.items():
        for (record,) in sent.execute(query).fetchall():
            assert (system, record) in known
    people = set(pq.read_table(dirty.truth / "people.parquet")["true_person_id"].to_pylist())
    named = {p for p in known.values() if p.startswith("P")}
    assert named <= people


def test_a_baby_under_the_mothers_number_is_another_person_than_the_mother(clean: Delivered) -> None:
    known = {
        r["source_record_id"]: r["true_person_id"]
        for r in pq.read_table(clean.truth / "person_records.parquet").to_pylist()
        if r["source_system"] == "medicaid"
    }
    shared = [key for key, person in known.items() if "~" in key and known.get(key.split("~")[0], person) != person]
    assert shared
    mothers = {
        (r["true_child_id"], r["true_parent_id"])
        for r in pq.read_table(clean.truth / "parent_child.parquet").to_pylist()
        if r["role"] == "mother"
    }
    assert all((known[key], known[key.split("~")[0]]) in mothers for key in shared)


def test_every_child_of_the_truth_has_one_mother(clean: Delivered) -> None:
    rows = [
        r["true_child_id"]
        for r in pq.read_table(clean.truth / "parent_child.parquet").to_pylist()
        if r["role"] == "mother"
    ]
    children = [p for p in pq.read_table(clean.truth / "people.parquet").to_pylist() if p["role"] == "child"]
    assert len(rows) == len(set(rows)) == len(children)


def test_the_workbook_holds_dates_as_dates(clean: Delivered) -> None:
    book = load_workbook(clean.files("itct_workbook_*.xlsx")[-1], read_only=True)
    rows = list(book["Enrollment"].iter_rows(values_only=True))
    assert len(rows) > 1
    assert isinstance(rows[1][rows[0].index("Child DOB")], dt.datetime)


def test_deliveries_come_oldest_first(clean: Delivered) -> None:
    assert [day for day, _ in clean.folders] == list(DATES)
    assert all(folder.name == f"delivery-{day}" for day, folder in clean.folders)


def test_the_page_on_errors_lists_every_kind_and_variant(dirty: Delivered) -> None:
    page = (Path(__file__).parents[2] / "docs" / "demo-dirt.md").read_text(encoding="utf-8")
    for row in _dirt(dirty):
        if row["kind"].isdigit():
            line = next(line for line in page.splitlines() if line.startswith(f"| {row['kind']} |"))
            assert f"`{row['variant']}`" in line
        else:
            assert f"`{row['kind'].replace('missing_', '')}`" in page
