"""Files that arrive broken: each is refused or quarantined with file, line, field and rule, and never a value."""

from __future__ import annotations

import datetime as dt
import os
import re
import tracemalloc
from pathlib import Path

import duckdb
import pytest

from expectations.contract import COLUMN_RULES, Code, Contract
from pipelines.landing import balance, late_files, validate_files
from pipelines.landing.findings import HINTS
from tests.landing.conftest import DAY, PEOPLE, Agency, rules
from tests.landing.test_workbooks import book

GOOD = "1,Garcia,2020-01-02,F,3\n2,Smith,2020-02-03,M,4\n"


def test_a_file_that_never_came_is_reported_missing(agency: Agency) -> None:
    agency.people(GOOD)
    late = {(t.system, t.table): t for t in late_files(agency.home, agency.contracts, DAY)}
    assert ("toy", "people") not in late
    assert late["toy", "events"].finding.rule == "missing_file"
    assert late["toy", "events"].last_delivered_on is None
    assert ("toy", "archive") not in late, "optional tables are never late"


def test_a_source_that_stopped_sending_is_stale_since_the_day_its_promise_ran_out(agency: Agency) -> None:
    agency.people(GOOD, "20260301")
    (late,) = [t for t in late_files(agency.home, agency.contracts, dt.date(2026, 5, 1)) if t.table == "people"]
    assert late.finding.rule == "stale"
    assert late.last_delivered_on == dt.date(2026, 3, 1)
    assert late.stale_since == dt.date(2026, 4, 15), "45 days after 1 March"


def test_a_table_left_out_of_the_newest_delivery_is_missing(agency: Agency) -> None:
    agency.people(GOOD, "20260301")
    agency.send("toy_events_20260301.txt", "event_id|reported_on|action|amount\n1|20260101|A|1\n")
    agency.people(GOOD, "20260320")
    late = {t.table: t.finding.rule for t in late_files(agency.home, agency.contracts, DAY) if t.system == "toy"}
    assert late == {"events": "missing_file"}


@pytest.mark.parametrize("content", ["", "\n\n", PEOPLE], ids=["no bytes", "blank lines", "header only"])
def test_an_empty_file_is_refused_and_does_not_empty_the_table(agency: Agency, content: str) -> None:
    agency.people(GOOD, "20260201")
    outcome = agency.send("toy_people_20260301.csv", content)
    assert (outcome.status, rules(outcome)) == ("refused", [("empty_file", None)])
    assert len(agency.current("people")) == 2


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_an_optional_table_may_come_empty(agency: Agency, end: str) -> None:
    toy = agency.contracts["toy"]
    people = toy.tables["people"].model_copy(update={"optional": True})
    agency.contracts = {"toy": toy.model_copy(update={"tables": {**toy.tables, "people": people}})}
    outcome = agency.send("toy_people_20260301.csv", PEOPLE.strip() + end)
    assert (outcome.status, outcome.rows_received) == ("accepted", 0)


def test_semicolons_instead_of_commas_are_named(agency: Agency) -> None:
    outcome = agency.send("toy_people_20260301.csv", (PEOPLE + GOOD).replace(",", ";"))
    assert rules(outcome) == [("wrong_delimiter", None)]
    assert "semicolons" in agency.letter("toy_people_20260301.csv")


def test_a_byte_order_mark_is_no_part_of_the_first_column(agency: Agency) -> None:
    outcome = agency.send("toy_people_20260301.csv", b"\xef\xbb\xbf" + (PEOPLE + GOOD).encode())
    assert agency.loaded(outcome, "person_id, _line") == [("1", 2), ("2", 3)]


def test_windows_1252_is_read_when_the_text_is_not_utf8(agency: Agency) -> None:
    outcome = agency.send("toy_people_20260301.csv", (PEOPLE + "1,Muñoz,,,\n2,O’Hara,,,\n").encode("cp1252"))
    assert outcome.encoding == "cp1252"
    assert agency.loaded(outcome, "last_name") == [("Muñoz",), ("O’Hara",)]


def test_windows_1252_after_a_long_utf8_looking_start(agency: Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.landing.readers.lines.BLOCK", 64)
    rows = "".join(f"{i},Smith,,,\n" for i in range(50)) + "x,\n" + "77,Muñoz,,,\n"
    outcome = agency.send("toy_people_20260301.csv", (PEOPLE + rows).encode("cp1252"))
    assert (outcome.rows_received, outcome.rows_quarantined) == (52, 1), "nothing of the first try counts twice"
    assert agency.loaded(outcome, "last_name")[-1] == ("Muñoz",)


def test_text_in_no_allowed_encoding_is_refused_with_its_line(agency: Agency) -> None:
    outcome = agency.send("toy_people_20260301.csv", (PEOPLE + "1,a,,,\n2,b\x81,,,\n").encode("latin-1"))
    (finding,) = outcome.findings
    assert (finding.rule, finding.line) == ("encoding", 3)


def test_utf16_is_refused(agency: Agency) -> None:
    assert rules(agency.send("toy_people_20260301.csv", (PEOPLE + GOOD).encode("utf-16"))) == [("encoding", None)]


def test_a_ragged_row_is_quarantined_with_its_line_and_the_rest_loads(agency: Agency) -> None:
    outcome = agency.people("1,Garcia,,F,3\n2,Smith,Ann,,M,4\n3,Lee\n4,Wu,,,\n5,Wu,,,\n")
    assert agency.quarantined(outcome) == [(3, "ragged_row", None), (4, "ragged_row", None)]
    assert agency.loaded(outcome, "person_id, _line") == [("1", 2), ("4", 5), ("5", 6)]
    assert (outcome.rows_received, outcome.rows_loaded, outcome.rows_quarantined) == (5, 3, 2)


def test_a_file_cut_off_in_the_middle_of_a_row_is_refused(agency: Agency) -> None:
    outcome = agency.people("1,Garcia,,F,3\n2,Smith,,M,4\n3,Le")
    assert rules(outcome) == [("truncated_file", None)]
    assert outcome.findings[0].line == 4


def test_a_last_line_without_line_end_is_a_row_like_any_other(agency: Agency) -> None:
    assert agency.people("1,Garcia,,F,3\n2,Smith,,M,4").rows_loaded == 2


def test_a_doubled_header_is_refused_by_name(agency: Agency) -> None:
    outcome = agency.send("toy_people_20260301.csv", "PERSON_ID,last_name,birth_date,sex,visits,sex\n1,a,,,,\n")
    assert rules(outcome) == [("duplicate_header", "sex")]


def test_a_renamed_column_is_refused_as_one_missing_and_one_extra(agency: Agency) -> None:
    outcome = agency.send("toy_people_20260301.csv", "PERSON_ID,surname,birth_date,sex,visits\n1,a,,,\n")
    assert rules(outcome) == [("missing_column", "last_name"), ("extra_column", "column 2")]
    letter = agency.letter("toy_people_20260301.csv")
    assert "field last_name, missing_column" in letter and "field column 2, extra_column" in letter


def test_columns_may_come_in_any_order_and_case(agency: Agency) -> None:
    outcome = agency.send(
        "toy_people_20260301.csv", "Sex,Visits, person_id ,BIRTH_DATE,last_name\nF,3,1,2020-01-02,Lee\n"
    )
    assert agency.loaded(outcome, "person_id, last_name, sex, visits") == [("1", "Lee", "F", 3)]


def test_a_file_without_header_shows_none_of_its_values(agency: Agency) -> None:
    outcome = agency.send("toy_people_20260301.csv", GOOD)
    assert rules(outcome) == [("missing_header", None)]
    partly = agency.send("toy_people_20260302.csv", "1,Canary,2020-01-02,sex,3\n")
    assert partly.status == "refused"
    assert "Canary" not in repr(partly) + agency.home.delivery_log.read_text()


def test_a_value_of_the_wrong_type_is_quarantined(agency: Agency) -> None:
    outcome = agency.people(GOOD + "3,Lee,soon,F,3\n4,Lee,2020-01-01,F,many\n")
    assert agency.quarantined(outcome) == [(4, "type", "birth_date"), (5, "type", "visits")]


def test_an_unknown_code_is_quarantined(agency: Agency) -> None:
    outcome = agency.people(GOOD + "3,Lee,,X,3\n")
    assert agency.quarantined(outcome) == [(4, "unknown_code", "sex")]


def test_of_two_rows_with_one_key_the_first_stays(agency: Agency) -> None:
    outcome = agency.people("1,Garcia,,F,3\n2,Smith,,M,4\n1,Other,,F,5\n2,Smith,,M,4\n")
    assert agency.quarantined(outcome) == [(4, "duplicate_key", "person_id"), (5, "duplicate_row", "person_id")]
    assert agency.loaded(outcome, "last_name") == [("Garcia",), ("Smith",)]


def test_impossible_dates_are_quarantined(agency: Agency) -> None:
    outcome = agency.people(
        GOOD + "3,a,1899-12-31,,\n4,b,2026-03-02,,\n5,c,2026-02-30,,\n6,d,2026-03-01,,\n7,e,1900-01-01,,\n"
    )
    assert agency.quarantined(outcome) == [
        (4, "impossible_date", "birth_date"),
        (5, "impossible_date", "birth_date"),  # the day after the delivery of 1 March
        (6, "type", "birth_date"),
    ]


def test_the_31_december_written_the_european_way_is_no_date_in_an_american_file(agency: Agency) -> None:
    agency.drop("toy_book_20260301.xlsx", book([["m1", "12/31/2025"], ["m2", "31/12/2025"], ["m3", "01/02/2026"]]))
    (meetings, _) = agency.land()
    assert agency.quarantined(meetings) == [(4, "type", "held_on")]
    assert agency.loaded(meetings, "held_on") == [(dt.date(2025, 12, 31),), (dt.date(2026, 1, 2),)]


def test_a_nul_byte_spoils_its_line_only(agency: Agency) -> None:
    outcome = agency.people("1,Gar\x00cia,,F,3\n2,Smith,,M,4\n")
    assert agency.quarantined(outcome, "line, rule, raw_row") == [(2, "control_character", "1,Gar\\x00cia,,F,3")]
    assert outcome.rows_loaded == 1


def test_a_two_gigabyte_line_is_refused_without_being_read(tmp_path: Path, contracts: dict[str, Contract]) -> None:
    path = tmp_path / "toy_people_20260301.csv"
    path.write_text(PEOPLE + "1,")
    os.truncate(path, 2 << 30)  # a sparse file: no disc is used
    tracemalloc.start()
    (report,) = validate_files([path], contracts, DAY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(f.rule, f.line) for f in report.findings] == [("line_too_long", 2)]
    assert peak < 64 << 20


def test_a_line_over_a_megabyte_in_a_good_file_is_refused(agency: Agency) -> None:
    outcome = agency.people(GOOD + "3," + "x" * (1 << 20) + ",,,\n4,a,,,\n")
    assert [(f.rule, f.line) for f in outcome.findings] == [("line_too_long", 4)]


def test_quoted_line_ends_do_not_shift_the_lines_reported_after_them(agency: Agency) -> None:
    outcome = agency.people('1,"Gar\ncia",,F,3\n\n2,"O""Neil, Jr",,M,4\n3,Lee,soon,F,3\n4,"a",,,\n')
    assert agency.loaded(outcome, "last_name, _line") == [
        ("Gar\ncia", 2),
        ("O'Neil, Jr".replace("'", '"'), 5),
        ("a", 7),
    ]
    assert agency.quarantined(outcome) == [(6, "type", "birth_date")]


def test_a_stray_quotation_mark_takes_only_its_own_line(agency: Agency) -> None:
    outcome = agency.people('1,"Garcia,,F,3\n2,5" tall,,M,4\n3,"Lee",,F,3\n4,"Wu" x,,F,3\n5,a,,,\n6,b,,,\n')
    assert agency.quarantined(outcome) == [(2, "bad_quoting", None), (5, "bad_quoting", None)]
    assert agency.loaded(outcome, "last_name") == [('5" tall',), ("Lee",), ("a",), ("b",)]


def test_two_stray_quotation_marks_do_not_make_one_value_of_the_rows_between(agency: Agency) -> None:
    outcome = agency.people('1,"Garcia,,F,3\n2,Lee,,M,4\n3,Wu,,F,3\n4,Diaz",,F,3\n5,"a\nb",,,\n')
    assert agency.quarantined(outcome) == [(2, "bad_quoting", None)]
    assert agency.loaded(outcome, "last_name") == [("Lee",), ("Wu",), ('Diaz"',), ("a\nb",)]


def test_windows_line_ends_leave_no_trace(agency: Agency) -> None:
    outcome = agency.send("toy_people_20260301.csv", (PEOPLE + GOOD).replace("\n", "\r\n"))
    assert agency.loaded(outcome, "person_id, visits, _line") == [("1", 3, 2), ("2", 4, 3)]


def test_more_bad_rows_than_the_contract_allows_refuse_the_file_and_keep_its_bytes(agency: Agency) -> None:
    content = "1,a,,X,\n2,b,,X,\n3,c,,F,\n"
    outcome = agency.people(content)
    assert outcome.status == "refused"
    assert ("too_many_bad_rows", None) in rules(outcome) and ("unknown_code", "sex") in rules(outcome)
    assert (outcome.rows_received, outcome.rows_loaded, outcome.rows_quarantined) == (3, 0, 3)
    assert outcome.sha256 is not None
    assert (agency.home.files_dir / outcome.sha256).read_text() == PEOPLE + content
    assert agency.current("people") == []


def test_a_refused_file_sent_again_after_the_contract_was_mended_loads(agency: Agency) -> None:
    agency.people("1,a,,X,\n")
    again = agency.contracts["toy"].model_copy(
        update={
            "code_lists": {
                "sex": [
                    *agency.contracts["toy"].code_lists["sex"],
                    Code(code="X", label="Not stated", maps_to="unknown"),
                ]
            }
        }
    )
    agency.contracts = {**agency.contracts, "toy": again}
    assert agency.people("1,a,,X,\n").status == "accepted"


UNSAFE = [
    "toy_people_20260301.csv'; drop table people; --",
    "'quoted'.csv",
    'double"quote.csv',
    "toy..csv",
    "a..%2F..%2Fpasswd",
    "line\nend.csv",
    "bell\x07.csv",
    "名前.csv",
    "-rf",
    "$(reboot).csv",
    "x" * 200 + ".csv",
]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_dangerous_file_name_is_refused_and_escaped(agency: Agency, name: str) -> None:
    agency.people(GOOD, "20260201")
    agency.drop(name, PEOPLE + GOOD)
    (outcome,) = agency.land()
    assert (outcome.status, rules(outcome)) == ("refused", [("unsafe_name", None)])
    assert set(outcome.file) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%._-~() ")
    assert not (agency.home.inbox("toy") / name).exists()
    assert (agency.home.inbox("toy") / "refused" / outcome.file).exists()
    assert len(agency.current("people")) == 2


def test_a_link_in_the_inbox_is_refused_and_never_followed(agency: Agency, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(PEOPLE + GOOD)
    (agency.home.inbox("toy") / "toy_people_20260301.csv").symlink_to(secret)
    (outcome,) = agency.land()
    assert rules(outcome) == [("unsafe_name", None)]
    assert secret.read_text() == PEOPLE + GOOD
    assert not any(agency.home.files_dir.glob("*"))


def test_a_folder_in_the_inbox_is_set_aside(agency: Agency) -> None:
    (agency.home.inbox("toy") / "march").mkdir()
    (outcome,) = agency.land()
    assert outcome.status == "refused"
    assert (agency.home.inbox("toy") / "refused" / "march").is_dir()


@pytest.mark.parametrize("name", ["people.csv", "toy_people_2026031.csv", "toy_people_20260230.csv"])
def test_a_file_no_table_expects_is_refused(agency: Agency, name: str) -> None:
    assert rules(agency.send(name, PEOPLE + GOOD)) == [("unknown_file", None)]


def test_a_file_dated_after_its_arrival_is_refused_and_cannot_win_for_ever(agency: Agency) -> None:
    assert rules(agency.people(GOOD, "20620301")) == [("future_delivery", None)]


def test_another_systems_file_is_refused_by_its_name(agency: Agency) -> None:
    outcome = agency.send("cars_20260301.csv", "plate,colour\nA1,red\n")
    assert rules(outcome) == [("wrong_system", None)]
    assert "neighbour" in agency.letter("cars_20260301.csv")


def test_another_systems_file_under_our_name_is_refused_by_its_header(agency: Agency) -> None:
    assert rules(agency.send("toy_people_20260301.csv", "plate,colour\nA1,red\n")) == [("wrong_system", None)]


def test_a_broken_file_does_not_stop_the_other_systems(agency: Agency) -> None:
    agency.drop("toy_people_20260301.csv", "\x00" * 50)
    agency.drop("toy_care_20260301.xml", "<r>")
    agency.drop("toy_book_20260301.xlsx", "PK nothing")
    agency.drop("cars_20260301.csv", "plate,colour\nA1,red\n", "neighbour")
    status = {(o.file, o.status) for o in agency.land()}
    assert ("cars_20260301.csv", "accepted") in status
    assert {s for f, s in status if f.startswith("toy")} == {"refused"}


def test_a_file_that_breaks_the_reader_is_set_aside_and_quotes_nothing(
    agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ValueError("near 'Canary'")

    monkeypatch.setattr("pipelines.landing.deliveries.sort_rows", broken)
    outcome = agency.people("1,Canary,,,\n")
    assert (outcome.status, rules(outcome)) == ("refused", [("cannot_be_read", None)])
    assert "Canary" not in repr(outcome) + agency.home.delivery_log.read_text()


def test_a_full_disc_is_nobody_s_bad_file(agency: Agency, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr("pipelines.landing.deliveries.sort_rows", full)
        agency.people("1,a,,,\n")
    assert agency.log() == []
    assert [o.status for o in agency.land()] == ["accepted"]


def test_an_upload_under_way_is_left_alone(agency: Agency) -> None:
    for name in (".toy_people_20260301.csv", "toy_people_20260301.csv.part", "x.tmp"):
        agency.drop(name, PEOPLE)
    assert agency.land() == []
    assert len(list(agency.home.inbox("toy").iterdir())) == 3


def test_no_cell_value_leaves_raw_and_quarantine(agency: Agency) -> None:
    canary = "Quetzalcoatl"
    lines = [
        f"1,{canary},,F,3",
        f"2,{canary},{canary},F,3",
        f"3,{canary},,{canary},{canary}",
        f"1,{canary},,F,4",
        f'4,"{canary},,,',
        f"5,{canary},{canary}",
        f"6,{canary * 3},,,",
        f"7,{canary}\x00,,,",
    ]
    outcomes = [agency.people("\n".join(lines) + "\n"), agency.people(f"1,{canary},,F,3\n2,{canary},x,,\n", "20260302")]
    outcomes.append(agency.send("toy_people_20260303.csv", f"{canary},a,b\n1,2,3\n"))
    assert {o.status for o in outcomes} == {"accepted", "refused"}
    assert canary not in repr(outcomes)
    spoken = [agency.home.delivery_log, *(agency.home.inbox("toy") / "refused").glob("*.why.txt")]
    assert len(spoken) == 3
    for path in spoken:
        assert canary not in path.read_text()


def test_every_rule_has_a_hint() -> None:
    folder = Path(__file__).parents[2] / "pipelines" / "landing"
    code = "".join(p.read_text() for p in folder.rglob("*.py"))
    used = set(re.findall(r'(?:refuse\(|Finding\(|rule=)\s*"([a-z_]+)"', code))
    assert {"ragged_row", "line_too_long", "merged_cells", "forbidden_entity"} <= used
    assert used | set(COLUMN_RULES) <= set(HINTS)


def test_the_balance_holds_for_good_bad_and_refused_files(agency: Agency) -> None:
    agency.people(GOOD + "3,Lee,soon,F,3\n4,Lee\n", "20260301")
    agency.people("1,a,,X,\n", "20260302")
    agency.send("toy_events_20260301.txt", "event_id|reported_on|action|amount\n1|20260101|A|1\n")
    agency.people(GOOD + "3,Lee,soon,F,3\n4,Lee\n", "20260301")
    rows = balance(agency.home)
    assert [(r.table, r.status, r.received, r.loaded, r.quarantined) for r in rows] == [
        ("people", "accepted", 4, 2, 2),
        ("people", "refused", 1, 0, 1),
        ("events", "accepted", 1, 1, 0),
    ]
    assert all(r.is_balanced for r in rows)


def test_a_delivery_that_lost_rows_afterwards_is_out_of_balance(agency: Agency) -> None:
    outcome = agency.people(GOOD)
    assert outcome.delivery_id
    path = agency.home.delivery("toy", "people", outcome.delivery_id)
    path.unlink()
    duckdb.sql(f"copy (select 1 as person_id) to '{path}' (format parquet)")
    assert [r.is_balanced for r in balance(agency.home)] == [False]
