"""The reviewer's desk and its faces: what is shown, what is kept back, what is refused."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from linkage_helpers import write_table
from openpyxl import load_workbook
from rich.console import Console

from linkage.review import sheet
from linkage.review.decisions import ReviewError, append, read
from linkage.review.desk import Desk, status
from linkage.review.page import ReviewServer
from linkage.review.queue import item_of
from linkage.review.words import GROUNDS
from pipelines.reviewing import _terminal

ROSA = ("court", "P1")
ROSE = ("medicaid", "7001")
FORMULA = '=HYPERLINK("http://x","y")'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A night with three people's records and two questions, the first about ROSA and ROSE."""
    linkage, staged = tmp_path / "linkage", tmp_path / "staged"
    keys = [ROSA, ROSE, ("child_welfare", "CL9"), ("court", "P2")]
    write_table(
        [
            {
                "rid": i, "source_system": s, "source_record_id": r, "first_std": "ROSA", "middle_std": None,
                "last_std": "DIAZ", "suffix": None, "dob": "1990-02-03", "sex": "F", "ssn": "123004567",
                "last4": "4567", "medicaid_id": None, "addr_keys": ["1|OAK||99999"], "city": None, "state": None,
                "zip": None, "phone": None, "mother_first": None, "mother_last": None, "race_ethnicity": None,
                "death_date": None, "record_role": None, "is_sealed": i == 1,
            }
            for i, (s, r) in enumerate(keys)
        ],
        linkage / "records.parquet",
    )  # fmt: skip
    write_table(
        [
            {"source_system": s, "source_record_id": r, "person_id": "N" if i == 2 else "M"}
            for i, (s, r) in enumerate(keys)
        ],
        linkage / "person_crosswalk.parquet",
    )
    write_table(
        [
            {"source_system": "court", "source_record_id": "P1", "row_kind": "primary", "source_table": "parties",
             "first_name": FORMULA, "last_name": "DIAZ", "birth_date": "1990-02-03", "ssn": "123-00-4567",
             "address_line": "1 Oak St", "full_name": None, "record_role": "adult \x07"},
            {"source_system": "court", "source_record_id": "P1", "row_kind": "alias", "source_table": "parties",
             "last_name": "PEREZ", "birth_date": None, "full_name": None},
        ],
        staged / "court__person_records.parquet",
    )  # fmt: skip
    lines = []
    for position, (a, b, which) in enumerate(
        [(ROSA, ROSE, "review"), (("child_welfare", "CL9"), ("court", "P2"), "review"), (ROSA, ROSE, "audit")], start=1
    ):
        lines.append(
            {
                "item": item_of((a, b)), "list": which, "position": position, "reason": "uncertain",
                "words": "given name agrees", "consequence": "1 record would move", "priority": 1.0, "stratum": None,
                "source_system_a": a[0], "source_record_id_a": a[1], "source_system_b": b[0],
                "source_record_id_b": b[1], "is_linked": True, "weight": 3.0,
            }
        )  # fmt: skip
    write_table(lines, linkage / "review_queue.parquet")
    # A source states that ROSE is the mother of the court's P2.
    write_table(
        [{"rid_a": 1, "rid_b": 3, "kind": "cannot", "reason": "relatives_of_each_other"}],
        linkage / "constraints_in_force.parquet",
    )
    write_table(
        [{"rid_a": 3, "rid_b": 0, "relationship": "mother_of", "valid_to": None}], linkage / "relationships.parquet"
    )
    return tmp_path


def test_a_child_a_seal_hides_is_shown_as_nobodys(folder: Path) -> None:
    there = desk(folder)
    rosa = there.records(there.open())[ROSA]
    assert rosa["parents"] == "ROSA DIAZ 1990-02-03"
    # Another record of her person is sealed; now a source also says that somebody adopted her.
    kin = folder / "linkage" / "relationships.parquet"
    stated = [
        {"rid_a": 3, "rid_b": 0, "relationship": "mother_of", "valid_to": None},
        {"rid_a": 2, "rid_b": 1, "relationship": "adoptive_parent_of", "valid_to": None},
    ]
    write_table(stated, kin)
    assert "parents" not in there.records(there.open())[ROSA]


def desk(
    folder: Path, who: str = "Rita", role: str = "reviewer", only: str | None = None, again: str | None = None
) -> Desk:
    return Desk(folder / "linkage", folder / "reviews" / "decisions.csv", who, role, folder / "staged", only, again)


FIRST = item_of((ROSA, ROSE))


def test_both_records_are_shown_as_delivered_with_their_relatives(folder: Path) -> None:
    (question, _) = desk(folder).open()
    shown = desk(folder).records([question])
    assert shown[ROSA]["name"] == f"{FORMULA} DIAZ / PEREZ"
    assert shown[ROSA]["address"] == "1 Oak St"
    assert shown[ROSA]["parents"] == "ROSA DIAZ 1990-02-03"
    assert shown[ROSE]["name"] == "ROSA DIAZ"


def test_of_a_social_security_number_four_digits_are_shown(folder: Path) -> None:
    shown = desk(folder).records(desk(folder).open())
    assert {record["SSN"] for record in shown.values()} == {"…4567"}


def test_the_score_is_told_only_after_the_decision(folder: Path) -> None:
    (question, _) = desk(folder).open()
    assert not {"weight", "is_linked", "priority"} & set(vars(question))
    told = desk(folder).decide(FIRST, "must_link", "names and birth date")
    assert told.words == (
        "The model's odds: 8 to 1 for one person; the linkage had them as one person. It counts from the next night on."
    )


def test_a_decided_pair_is_open_to_nobody_a_disputed_one_to_a_third(folder: Path) -> None:
    desk(folder).decide(FIRST, "must_link", "names")
    assert len(desk(folder).open()) == 1
    file = folder / "reviews" / "decisions.csv"
    append(file, [((ROSA, ROSE), "cannot_link", "twins or siblings")], "Otto")
    assert desk(folder, "Pia").open()[0].item == FIRST
    assert FIRST not in [q.item for q in desk(folder, "Rita").open()]
    assert FIRST in [q.item for q in desk(folder, "Sol", "supervisor").open()]


@pytest.mark.parametrize(
    "reason",
    [
        "surname diaz on both", "DIAZ.", "(Rosa Diaz)", '"Diaz"', "Rosa/Diaz", "DIAZ-POST", "r\u00f3sa", "it is Rosa's",
        "as Perez", "born 1990-02-03", "born 02/03/1990", "born in 1989", "phone 407 555 1532", "4075551532",
        "ssn ends in 4567", "1 Oak St", "lives at Oak", "court P1", " ", "?!",
    ],
)  # fmt: skip
def test_a_reason_that_repeats_a_name_a_date_a_place_or_a_number_is_refused(folder: Path, reason: str) -> None:
    with pytest.raises(ReviewError) as refused:
        desk(folder).decide(FIRST, "must_link", reason)
    assert "diaz" not in str(refused.value).casefold()
    assert not (folder / "reviews" / "decisions.csv").exists()


@pytest.mark.parametrize(
    "reason",
    ["names and birth date", "the street is the same, 3 of 4 agree", "as the court says", "twins: 2"],
)
def test_a_reason_in_ones_own_words_is_taken(folder: Path, reason: str) -> None:
    desk(folder).decide(FIRST, "must_link", reason)
    assert [d.reason for d in read(folder / "reviews" / "decisions.csv").lines] == [reason]


def test_a_ground_that_is_offered_is_taken_whatever_the_people_are_called(folder: Path) -> None:
    question = desk(folder).question(FIRST)
    shown = {key: {"name": "Birth Date"} for key in question.pair}
    desk(folder).check_reason(question, "Names and birth date", shown)
    with pytest.raises(ReviewError):
        desk(folder).check_reason(question, "the birth", shown)


def test_decisions_that_what_a_source_states_forbids_wait_for_a_supervisor_and_are_counted(folder: Path) -> None:
    file = folder / "reviews" / "decisions.csv"
    append(file, [((ROSA, ("court", "P2")), "must_link", "names")], "Ann")
    rita = desk(folder)
    # ROSA is P2, and ROSE, whose child P2 is, would be ROSA.
    told = rita.decide(FIRST, "must_link", "names")
    assert told.words.endswith("It cannot hold beside other decisions or what sources state: a supervisor has to say.")
    assert FIRST not in [q.item for q in rita.open()], "nobody is asked twice at one sitting"
    assert FIRST in [q.item for q in desk(folder).open()] and FIRST in [
        q.item for q in desk(folder, "Sol", "supervisor").open()
    ]
    counted = status(folder / "linkage", file)
    assert counted["decisions set aside (they contradict each other or what sources state)"] == 2
    assert counted["open questions"] == 2
    desk(folder, "Sol", "supervisor").decide(FIRST, "cannot_link", "parent and child")
    counted = status(folder / "linkage", file)
    assert counted["decisions set aside (they contradict each other or what sources state)"] == 0
    assert counted["open questions"] == 1


def test_a_supervisor_sees_who_said_what_a_reviewer_does_not(folder: Path) -> None:
    file = folder / "reviews" / "decisions.csv"
    append(file, [((ROSA, ROSE), "must_link", "names")], "Rita")
    append(file, [((ROSA, ROSE), "unsure", "too little")], "Rita")
    append(file, [((ROSE, ROSA), "cannot_link", "twins or siblings")], "Otto")
    append(file, [((ROSA, ROSE), "must_link", "looked up")], "Pia")
    append(file, [((ROSA, ROSE), "unsure", "")], "Quin")
    sol, third = desk(folder, "Sol", "supervisor"), desk(folder, "Ria")
    (question,) = [q for q in sol.open() if q.item == FIRST]
    assert sol.said(question) == [
        "decision 2, Rita: cannot tell (too little)", "decision 3, Otto: two people (twins or siblings)",
        "decision 4, Pia: one person (looked up)", "decision 5, Quin: cannot tell",
    ]  # fmt: skip
    assert third.said(third.question(FIRST)) == []
    # Nor in a workbook, but in a supervisor's.
    for who, is_told in ((sol, True), (third, False)):
        path = folder / f"{who.reviewer}.xlsx"
        sheet.export(who, path)
        assert ("Otto" in str(load_workbook(path).active.cell(2, 2).value)) == is_told


def test_what_cannot_hold_is_told_a_supervisor_by_number(folder: Path) -> None:
    append(folder / "reviews" / "decisions.csv", [((ROSA, ("court", "P2")), "must_link", "names")], "Ann")
    desk(folder).decide(FIRST, "must_link", "names")
    sol = desk(folder, "Sol", "supervisor")
    assert sol.said(sol.question(FIRST)) == ["decision 2, Rita: one person (names)", "cannot hold beside decisions 1"]


def test_a_supervisor_whose_ruling_contradicts_others_is_told_to_go_on(folder: Path) -> None:
    file = folder / "reviews" / "decisions.csv"
    append(
        file, [((ROSA, ("court", "P2")), "must_link", "names"), ((ROSE, ("court", "P2")), "must_link", "names")], "Ann"
    )
    told = desk(folder, "Sol", "supervisor").decide(FIRST, "cannot_link", "looked up")
    assert told.words.endswith("ruled on those as well (kinweave review --supervisor --again NUMBER).")


def test_a_settled_pair_is_decided_once_more_by_the_number_of_a_decision(folder: Path) -> None:
    file = folder / "reviews" / "decisions.csv"
    append(
        file, [((ROSA, ("child_welfare", "CL9")), "must_link", "names"), ((ROSA, ROSE), "must_link", "names")], "Rita"
    )
    # One that is in no list, one that is.
    for number, linked in (("1", "two people"), ("2", "one person")):
        sol = desk(folder, "Sol", "supervisor", again=number)
        (question,) = sol.open()
        assert question.why == "decided before, and to be decided once more"
        told = sol.decide(question.item, "cannot_link", "looked up")
        assert told.words.endswith(f"the linkage had them as {linked}. It counts from the next night on.")
        assert sol.open() == []
    append(file, [((ROSA, ("court", "gone")), "must_link", "names")], "Rita")
    for number, why in (("9", "no decision of this number"), ("5", "is not there now")):
        with pytest.raises(ReviewError, match=why):
            desk(folder, "Sol", "supervisor", again=number)


def test_whom_a_seal_hides_is_not_shown_again_either(folder: Path) -> None:
    append(folder / "reviews" / "decisions.csv", [((ROSA, ROSE), "must_link", "names")], "Rita")
    assert desk(folder, "Sol", "supervisor", again="1").open()
    stated = [{"rid_a": 2, "rid_b": 1, "relationship": "adoptive_parent_of", "valid_to": None}]
    write_table(stated, folder / "linkage" / "relationships.parquet")
    with pytest.raises(ReviewError, match="must not be shown"):
        desk(folder, "Sol", "supervisor", again="1")


@pytest.mark.parametrize("missing", ["records", "relationships", "person_crosswalk", "constraints_in_force"])
def test_a_night_with_a_file_missing_is_said_so(folder: Path, missing: str) -> None:
    (folder / "linkage" / f"{missing}.parquet").unlink()
    for asked in (lambda: desk(folder), lambda: status(folder / "linkage", folder / "reviews" / "decisions.csv")):
        with pytest.raises(ReviewError, match=f"{missing}.parquet is missing: run"):
            asked()


def test_status_counts_open_and_idle(folder: Path) -> None:
    file = folder / "reviews" / "decisions.csv"
    append(file, [((ROSA, ROSE), "must_link", "names"), ((ROSA, ("court", "gone")), "must_link", "names")], "Rita")
    told = status(folder / "linkage", file)
    assert told["open questions"] == 1
    assert told["idle decisions (a record is not there now)"] == 1


def test_without_a_night_there_is_nothing_to_review(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="kinweave run"):
        desk(tmp_path)


def test_odd_families_are_listed_by_record_number_for_the_agencies(folder: Path) -> None:
    linkage = folder / "linkage"
    write_table(
        [{"source_system": s, "source_record_id": r, "person_id": p}
         for (s, r), p in ((ROSA, "R"), (ROSE, "R"), (("court", "P2"), "C"))],
        linkage / "person_crosswalk.parquet",
    )  # fmt: skip
    write_table(
        [
            {"reason": "impossible_age", "person_id": "C", "other_person_id": "R"},
            {"reason": "many_children", "person_id": "R", "other_person_id": None},
            {"reason": "perhaps_one_parent", "person_id": "C", "other_person_id": "R"},
        ],
        linkage / "family_review.parquet",
    )
    told = status(linkage, folder / "reviews" / "decisions.csv")
    assert told["odd families to ask the agencies about (second sheet of --export)"] == 2
    sheet.export(desk(folder), folder / "queue.xlsx")
    _, odd = load_workbook(folder / "queue.xlsx").worksheets
    assert [[c.value for c in row] for row in odd.iter_rows(min_row=2)] == [
        ["a parent too young or too old for the child; the statement is not believed", "court P2",
         "court P1\nmedicaid 7001"],
        ["a mother with more than twelve children; she joins no family", "court P1\nmedicaid 7001", None],
    ]  # fmt: skip
    assert sheet.take_in(desk(folder), folder / "queue.xlsx")["left open"] == 2, "the second sheet asks for no decision"


# --- the terminal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "decided"),
    [
        ("s 1 q", [("must_link", GROUNDS[0])]),
        # A key that is none asks again; so do a number that is none and a reason with a name.
        ("x  s 9 Diaz 1 q", [("must_link", GROUNDS[0])]),
        ("d", []),
        ("n u looked-up", [("unsure", "looked-up")]),
        # Without a reason the pair is for later, and the next one is shown.
        ("s _ d 2", [("cannot_link", GROUNDS[1])]),
    ],
)
def test_one_pair_after_the_other_in_the_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str, decided: list[tuple[str, str]]
) -> None:
    answers = iter(["" if word == "_" else word for word in typed.split(" ")])

    def answer(*_: object) -> str:
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)
    _terminal(Console(file=io.StringIO(), width=200), desk(folder))
    path = folder / "reviews" / "decisions.csv"
    assert [(d.level, d.reason) for d in read(path).lines] == decided
    assert next(answers, None) is None, "everything typed was asked for"


# --- the workbook ------------------------------------------------------------------------------------------------


def fill(path: Path, answers: dict[int, tuple[str, str]], **other: str) -> None:
    book = load_workbook(path)
    for row, (decision, reason) in answers.items():
        book.active.cell(row, 8).value = decision
        book.active.cell(row, 9).value = reason
    for cell, value in other.items():
        book.active[cell] = value
    book.save(path)


@pytest.fixture
def workbook(folder: Path) -> Path:
    path = folder / "queue.xlsx"
    assert sheet.export(desk(folder), path) == 2
    return path


def test_a_workbook_that_may_hold_decisions_is_not_written_over(folder: Path, workbook: Path) -> None:
    fill(workbook, {2: ("same", "names and birth date")})
    before = workbook.read_bytes()
    with pytest.raises(ReviewError, match="is there already"):
        sheet.export(desk(folder), workbook)
    assert workbook.read_bytes() == before
    with pytest.raises(ReviewError, match="that ends in"):
        sheet.export(desk(folder), folder / "queue.csv")


COUNTED = {"decisions": 0, "already known": 0, "no longer asked": 0, "left open": 0}


def test_a_workbook_is_taken_in_after_a_night_that_took_a_pair_off_the_queue(folder: Path, workbook: Path) -> None:
    fill(workbook, {2: ("same", "names and birth date"), 3: ("different", "twins or siblings")})
    queue = folder / "linkage" / "review_queue.parquet"
    write_table([row for row in pq.read_table(queue).to_pylist() if row["item"] != FIRST], queue)
    assert sheet.take_in(desk(folder), workbook) == COUNTED | {"decisions": 1, "no longer asked": 1}
    (line,) = read(folder / "reviews" / "decisions.csv").lines
    assert (line.pair, line.level) == ((("child_welfare", "CL9"), ("court", "P2")), "cannot_link")


def test_a_workbook_makes_the_round_trip_twice(folder: Path, workbook: Path) -> None:
    fill(workbook, {2: ("Same", "names and birth date")})
    assert sheet.take_in(desk(folder), workbook) == COUNTED | {"decisions": 1, "left open": 1}
    assert sheet.take_in(desk(folder), workbook) == COUNTED | {"already known": 1, "left open": 1}
    (line,) = read(folder / "reviews" / "decisions.csv").lines
    assert (line.pair, line.level) == ((ROSA, ROSE), "must_link")


def test_a_workbook_does_not_undo_what_was_thought_over_and_a_supervisors_is_heard(
    folder: Path, workbook: Path
) -> None:
    decisions = folder / "reviews" / "decisions.csv"
    fill(workbook, {2: ("Different", "names and birth date")})
    sheet.take_in(desk(folder), workbook)
    append(decisions, [((ROSA, ROSE), "unsure", "a number of their own")], "Rita")
    assert sheet.take_in(desk(folder), workbook) == COUNTED | {"already known": 1, "left open": 1}
    assert [line.level for line in read(decisions).lines] == ["cannot_link", "unsure"]
    # The same words by the same person as a supervisor are a ruling.
    assert sheet.take_in(desk(folder, role="supervisor"), workbook) == COUNTED | {"decisions": 1, "left open": 1}
    assert read(decisions).lines[-1].role == "supervisor"


@pytest.mark.parametrize(
    ("said", "level"),
    [
        (" Same  Person ", "must_link"),
        ("different people", "cannot_link"),
        ("DIFFERENT", "cannot_link"),
        ("cannot tell", "unsure"),
        ("Unsure", "unsure"),
    ],
)
def test_a_workbook_takes_the_words_of_the_page_and_their_short_forms(
    folder: Path, workbook: Path, said: str, level: str
) -> None:
    fill(workbook, {2: (said, "names and birth date")})
    assert sheet.take_in(desk(folder), workbook)["decisions"] == 1
    assert [line.level for line in read(folder / "reviews" / "decisions.csv").lines] == [level]


def test_names_cannot_become_formulas_and_no_score_is_in_the_file(workbook: Path) -> None:
    cells = [cell for row in load_workbook(workbook).active.iter_rows() for cell in row]
    assert any(FORMULA in str(cell.value) for cell in cells)
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert [c.value for c in cells[:9]] == [
        "pair", "why shown", "what they have in common", "what would change", "record A", "record B", "check",
        "decision", "reason",
    ]  # fmt: skip


def test_only_the_answers_can_be_typed_into(workbook: Path) -> None:
    page = load_workbook(workbook).active
    assert page.protection.sheet
    assert {c.column_letter for row in page.iter_rows(min_row=2) for c in row if not c.protection.locked} == {"H", "I"}


@pytest.mark.parametrize(
    ("answers", "other", "problem"),
    [
        ({2: ("perhaps", "names")}, {}, "row 2, decision"),
        ({2: ("same", "")}, {}, "row 2, reason"),
        ({2: ("same", "of the DIAZ family")}, {}, "row 2, reason"),
        ({2: ("same", "names"), 3: ("different", "names")}, {"E3": "name: SOMEBODY ELSE"}, "row 3: a protected cell"),
        ({2: ("same", "names")}, {"A3": FIRST}, "row 3: a protected cell"),
        ({2: ("same", "names")}, {"I1": "grund"}, "lacks the columns reason"),
    ],
)
def test_a_spoilt_workbook_is_taken_in_not_at_all(
    folder: Path, workbook: Path, answers: dict[int, tuple[str, str]], other: dict[str, str], problem: str
) -> None:
    fill(workbook, answers, **other)
    with pytest.raises(ReviewError) as refused:
        sheet.take_in(desk(folder), workbook)
    assert problem in str(refused.value)
    assert "DIAZ" not in str(refused.value)
    assert not (folder / "reviews" / "decisions.csv").exists()


def test_what_is_no_workbook_is_said_so(folder: Path) -> None:
    (folder / "notes.xlsx").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ReviewError, match="no workbook"):
        sheet.take_in(desk(folder), folder / "notes.xlsx")
    with pytest.raises(ReviewError, match="there is no file"):
        sheet.take_in(desk(folder), folder / "none.xlsx")


# --- the page ----------------------------------------------------------------------------------------------------


@pytest.fixture
def server(folder: Path) -> Iterator[ReviewServer]:
    with ReviewServer(desk(folder)) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.shutdown()


def ask(
    server: ReviewServer, path: str, body: Any = None, method: str | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    data = None if body is None else body if isinstance(body, str) else json.dumps(body)
    sent = {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request(method or ("POST" if data is not None else "GET"), path, data, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


JSON = {"Content_Type": "application/json"}


def test_the_page_listens_on_this_machine_only(server: ReviewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    assert len(server.token) >= 32


def test_the_page_loads_nothing_from_elsewhere(server: ReviewServer) -> None:
    status_, headers, text = ask(server, f"/{server.token}/")
    assert status_ == 200
    assert "//" not in text.replace("<!doctype", "")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy
    assert headers["Referrer-Policy"] == "no-referrer" and headers["Cache-Control"] == "no-store"


def test_the_next_pair_comes_without_its_score(server: ReviewServer) -> None:
    _, _, text = ask(server, f"/{server.token}/next")
    data = json.loads(text)
    assert (data["item"], data["left"], data["reviewer"]) == (FIRST, 2, "Rita")
    assert ["SSN", "…4567", "…4567"] in data["rows"]
    assert not {"weight", "is_linked", "priority", "told"} & set(data)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/next", {}),
        ("/wrong-token/next", {}),
        ("/{token}/../next", {}),
        ("/{token}/decisions.csv", {}),
        ("/{token}/next", {"Host": "evil.example"}),
        ("/{token}/next", {"Host": "127.0.0.1:1"}),
    ],
)
def test_strangers_see_nothing(server: ReviewServer, path: str, headers: dict[str, str]) -> None:
    code, _, text = ask(server, path.format(token=server.token), **headers)
    assert (code, json.loads(text)) == (404, {"error": "there is nothing here"})


GOOD = {"item": FIRST, "level": "cannot_link", "reason": "twins or siblings"}


def test_a_decision_from_the_page_is_recorded_and_told(folder: Path, server: ReviewServer) -> None:
    own = f"http://127.0.0.1:{server.server_port}"
    code, _, text = ask(server, f"/{server.token}/decide", GOOD, Origin=own, **JSON)
    assert code == 200
    assert "8 to 1 for one person" in json.loads(text)["told"]
    assert [d.level for d in read(folder / "reviews" / "decisions.csv").lines] == ["cannot_link"]


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (GOOD, {**JSON, "Origin": "https://evil.example"}, 404),
        (GOOD, {**JSON, "Origin": "null"}, 404),
        (GOOD, {"Content_Type": "text/plain"}, 404),
        (GOOD, {"Content_Type": "application/x-www-form-urlencoded"}, 404),
        (GOOD, {**JSON, "Host": "evil.example"}, 404),
        ("{", JSON, 400),
        ("[]", JSON, 400),
        ({"item": FIRST}, JSON, 400),
        ({**GOOD, "level": 7}, JSON, 400),
        ({**GOOD, "level": "perhaps"}, JSON, 409),
        ({**GOOD, "item": "0" * 12}, JSON, 409),
        ({**GOOD, "reason": "ROSA"}, JSON, 409),
        ({**GOOD, "reason": "\ud83d"}, JSON, 409),
        ({**GOOD, "reason": "x" * 5000}, JSON, 413),
    ],
)
def test_what_is_no_decision_of_this_page_is_refused(
    folder: Path, server: ReviewServer, body: Any, headers: dict[str, str], code: int
) -> None:
    assert ask(server, f"/{server.token}/decide", body, **headers)[0] == code
    assert not (folder / "reviews" / "decisions.csv").exists()


def test_no_request_is_logged(server: ReviewServer, capfd: pytest.CaptureFixture[str]) -> None:
    ask(server, f"/{server.token}/next")
    ask(server, "/nothing")
    assert capfd.readouterr() == ("", "")
