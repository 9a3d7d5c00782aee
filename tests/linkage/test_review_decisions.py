"""Reviewers' decisions: votes, disputes, contradictions, and what a file written by hand may hold."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from linkage.person.people import form, survey
from linkage.review import decisions as reviewed
from linkage.review.decisions import ReviewError, Statements, append, contradictions, read, verdicts
from linkage.review.queue import without_reviewers
from linkage.store import connect

ANA, BEA, CAY = ("court", "P1"), ("medicaid", "7001"), ("child_welfare", "CL1")
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "reviews" / "decisions.csv"


def state(file: Path, a=ANA, b=BEA) -> tuple[str, str | None]:
    verdict = verdicts(read(file).lines)[reviewed.pair_of(a, b)]
    return verdict.state, verdict.level


def test_a_decision_is_kept_with_who_when_and_why(file: Path) -> None:
    assert append(file, [((BEA, ANA), "must_link", "looked up in the agency's system")], "Rita", now=NOON) == ["1"]
    (line,) = read(file).lines
    assert (line.reviewer, line.decided_at) == ("Rita", "2026-03-01T12:00:00+00:00")
    assert line.reason == "looked up in the agency's system"
    assert line.pair == (ANA, BEA)
    assert file.stat().st_mode & 0o077 == 0


def test_who_may_read_and_write_it_stays_as_it_was_set(file: Path) -> None:
    append(file, [((ANA, BEA), "must_link", "names and birth date")], "Rita")
    file.chmod(0o660)
    append(file, [((ANA, BEA), "unsure", "names and birth date")], "Rita")
    assert file.stat().st_mode & 0o777 == 0o660


def test_a_decision_is_taken_back_by_who_made_it(file: Path) -> None:
    append(file, [((ANA, BEA), "must_link", "names and birth date")], "Rita")
    append(file, [((ANA, BEA), "must_link", "names and birth date")], "Sam")
    append(file, [((ANA, CAY), "cannot_link", "names and birth date")], "Rita")
    assert reviewed.take_back(file, "1", "rita") == "1"
    assert state(file) == ("settled", "must_link"), "Sam's vote stands"
    with pytest.raises(ReviewError, match="no decision of yours"):
        reviewed.take_back(file, "2", "Rita")
    with pytest.raises(ReviewError, match="no decision of yours"):
        reviewed.take_back(file, "1", "Rita")
    assert reviewed.take_back(file, "last", "Sam") == "2"
    assert state(file) == ("unsure", None)
    assert reviewed.take_back(file, "last", "Rita") == "3"
    assert [line.level for line in read(file).lines][3:] == ["unsure"] * 3, "nothing written is changed"


def test_nothing_already_written_changes(file: Path) -> None:
    append(file, [((ANA, BEA), "must_link", "names and birth date")], "Rita")
    before = file.read_bytes()
    append(file, [((ANA, CAY), "unsure", "too little")], "Rita")
    assert file.read_bytes().startswith(before)


def test_a_reviewer_who_thinks_again_has_one_vote(file: Path) -> None:
    append(file, [((ANA, BEA), "must_link", "names")], "Rita")
    append(file, [((ANA, BEA), "cannot_link", "a mistake in one of the records")], "rita")
    assert state(file) == ("settled", "cannot_link")


def test_two_who_disagree_leave_it_open_until_a_third_speaks(file: Path) -> None:
    append(file, [((ANA, BEA), "must_link", "names")], "Rita")
    append(file, [((ANA, BEA), "cannot_link", "parent and child")], "Otto")
    assert state(file) == ("disputed", None)
    append(file, [((ANA, BEA), "unsure", "cannot tell")], "Ugo")
    assert state(file) == ("disputed", None)
    append(file, [((ANA, BEA), "cannot_link", "parent and child")], "Pia")
    assert state(file) == ("settled", "cannot_link")


def test_a_supervisor_outweighs_everybody(file: Path) -> None:
    for name in ("Rita", "Otto", "Pia"):
        append(file, [((ANA, BEA), "must_link", "names")], name)
    append(file, [((ANA, BEA), "cannot_link", "twins or siblings")], "Sol", role="supervisor")
    assert state(file) == ("settled", "cannot_link")


def test_only_unsure_settles_nothing(file: Path) -> None:
    append(file, [((ANA, BEA), "unsure", "too little")], "Rita")
    assert state(file) == ("unsure", None)


def test_what_cannot_hold_is_refused_and_names_the_decisions_not_the_people(file: Path) -> None:
    append(file, [((ANA, BEA), "must_link", "names"), ((BEA, CAY), "must_link", "names")], "Rita")
    before = file.read_bytes()
    with pytest.raises(ReviewError) as refused:
        append(file, [((ANA, CAY), "cannot_link", "parent and child")], "Otto")
    assert "decisions 1, 2" in str(refused.value)
    assert "P1" not in str(refused.value) and "7001" not in str(refused.value)
    assert file.read_bytes() == before


def test_a_supervisor_rules_on_one_pair_after_the_other(file: Path) -> None:
    append(file, [((ANA, BEA), "must_link", "names"), ((BEA, CAY), "must_link", "names")], "Rita")
    append(file, [((ANA, CAY), "must_link", "names")], "Otto")
    # Every single "two people" contradicts the other two: none of the three is followed until the second ruling.
    for pair, clashes in (((ANA, CAY), 1), ((BEA, CAY), 0)):
        append(file, [(pair, "cannot_link", "looked up")], "Sol", "supervisor")
        found = reviewed.verdicts(read(file).lines)
        assert len(reviewed.contradictions(found)) == clashes
    assert {p: v.level for p, v in found.items()} == {
        reviewed.pair_of(ANA, BEA): "must_link",
        reviewed.pair_of(ANA, CAY): "cannot_link",
        reviewed.pair_of(BEA, CAY): "cannot_link",
    }


def test_the_number_of_a_line_that_cannot_be_read_is_not_given_out_again(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(HEADER + '3,must_link,court,P1,medicaid,7001\n7,perhaps,court,P1,medicaid,7001\n"8,must_link,\n')
    assert append(file, [((ANA, CAY), "unsure", "too little")], "Pia") == ["9"]


@pytest.mark.parametrize(("reviewer", "reason"), [("Rita", "na\udce9 no"), ("R\ud83d", "names")])
def test_what_cannot_be_written_down_is_refused(file: Path, reviewer: str, reason: str) -> None:
    with pytest.raises(ReviewError, match="no letter"):
        append(file, [((ANA, BEA), "must_link", reason)], reviewer)
    assert not file.exists()


HEADER = "decision_id,level,source_system_a,source_record_id_a,source_system_b,source_record_id_b\n"


def test_what_contradicts_already_is_no_reason_to_refuse_a_further_vote(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    votes = [f"{i},{level},{a[0]},{a[1]},{b[0]},{b[1]}" for i, (level, a, b) in enumerate(
        [("must_link", ANA, BEA), ("must_link", BEA, CAY), ("cannot_link", ANA, CAY)], start=1)]  # fmt: skip
    file.write_text(HEADER + "\n".join(votes) + "\n")
    assert append(file, [((ANA, BEA), "must_link", "names")], "Otto") == ["4"]


def constraints_from(file: Path, *stated: tuple[int, int]) -> tuple[dict[str, object], list[tuple[int, int, str]]]:
    con = connect()
    con.execute("create table records as select * from (values "
                "(1, 'court', 'P1'), (2, 'medicaid', '7001'), (3, 'child_welfare', 'CL1')) "
                "t(rid, source_system, source_record_id)")  # fmt: skip
    con.execute("create table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)")
    for a, b in [(2, 1), *stated]:
        con.execute(f"insert into constraints values ({a}, {b}, 'cannot', 'a source')")
    told = reviewed.apply(con, file)
    return told, con.execute("select rid_a, rid_b, kind from constraints order by all").fetchall()


def test_decisions_that_contradict_each_other_are_all_set_aside_and_named_by_number(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(
        HEADER + "11,must_link,court,P1,medicaid,7001\n12,must_link,medicaid,7001,child_welfare,CL1\n"
        "13,cannot_link,court,P1,child_welfare,CL1\n"
    )
    assert [len(c) for c in contradictions(verdicts(read(file).lines))] == [3]
    told, constraints = constraints_from(file)
    assert told["contradicting_decisions"] == [["11", "12", "13"]]
    assert told["decisions_set_aside"] == 3
    assert constraints == [(2, 1, "cannot")]


def test_a_reviewers_word_stands_above_a_sources(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(HEADER + "1,must_link,medicaid,7001,court,P1\n")
    # The source's stays, out of force: one can tell what would have become of the pair without the reviewer.
    assert constraints_from(file)[1] == [(1, 2, "must"), (2, 1, "overruled_cannot")]


def test_what_a_reviewer_confirms_a_source_goes_on_stating(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(HEADER + "1,cannot_link,medicaid,7001,court,P1\n")
    assert constraints_from(file)[1] == [(1, 2, "cannot"), (2, 1, "cannot")]


@pytest.mark.parametrize(("level", "stated"), [("must_link", "must"), ("cannot_link", "must"), ("must_link", "cannot")])
def test_without_the_reviewers_people_are_what_sources_state(tmp_path: Path, level: str, stated: str) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(HEADER + f"1,{level},medicaid,7001,court,P1\n")
    con = connect()
    con.execute("create table records as select * from (values (1, 'court', 'P1'), (2, 'medicaid', '7001')) "
                "t(rid, source_system, source_record_id)")  # fmt: skip
    con.execute(f"create table constraints as select 2 as rid_a, 1 as rid_b, '{stated}' as kind, 'a source' as reason")
    # Alone, the pair would have gone the other way.
    weight = -5.0 if stated == "must" else 9.0
    con.execute(f"create table edges as select 1 as rid_l, 2 as rid_r, {weight} as weight, 'pair' as evidence, "
                "0 as g_birth_date")  # fmt: skip
    reviewed.apply(con, file)
    con.execute("create table people as select rid, rid as person from records")
    card: Any = SimpleNamespace(thresholds=SimpleNamespace(join=0.0), duplicate_free=())
    without_reviewers(con, card)
    assert con.execute("select count(distinct person) from alone").fetchall() == [(1 if stated == "must" else 2,)]


MOTHER = (1, 3)


def test_decisions_that_make_one_of_a_mother_and_her_child_are_set_aside_as_a_whole(tmp_path: Path) -> None:
    # The court's P1 is stated to be the mother of CL1; reviewers made 7001 both of them, whichever came first.
    lines = ["1,must_link,child_welfare,CL1,medicaid,7001", "2,must_link,medicaid,7001,court,P1"]
    for number, text in enumerate(("\n".join(lines), "\n".join(lines[::-1]))):
        file = tmp_path / f"decisions{number}.csv"
        file.write_text(HEADER + text + "\n3,cannot_link,court,P1,medicaid,7002\n")
        told, constraints = constraints_from(file, MOTHER)
        # 7001 is kept from P1 by a source, too; the reviewer's word on that very pair would have stood.
        assert told["contradicting_decisions"] == [["1", "2"]]
        assert told["decisions_set_aside"] == 2
        assert constraints == [(1, 3, "cannot"), (2, 1, "cannot")]


def test_on_the_very_pair_a_reviewer_outweighs_a_stated_relationship(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(HEADER + "1,must_link,child_welfare,CL1,court,P1\n")
    told, constraints = constraints_from(file, MOTHER)
    assert told["contradicting_decisions"] == []
    assert constraints == [(1, 3, "must"), (1, 3, "overruled_cannot"), (2, 1, "cannot")]


def test_a_chain_to_what_a_source_keeps_apart_may_lead_through_what_sources_state_to_be_one() -> None:
    dan = ("court", "P4")
    found = verdicts([reviewed.Decision("1", "must_link", reviewed.pair_of(BEA, CAY), "Rita")])
    split = frozenset({reviewed.pair_of(ANA, dan)})
    one = frozenset({reviewed.pair_of(ANA, BEA), reviewed.pair_of(CAY, dan)})
    assert contradictions(found, Statements(must=one, cannot=split)) == [[reviewed.pair_of(BEA, CAY)]]
    assert contradictions(found, Statements(must=one)) == []
    # What sources state cannot hold without any reviewer either: no decision is to blame.
    aside = verdicts([reviewed.Decision("1", "must_link", reviewed.pair_of(ANA, ("court", "P9")), "Rita")])
    assert contradictions(aside, Statements(must=one | {reviewed.pair_of(BEA, dan)}, cannot=split)) == []


def test_a_source_yields_where_a_reviewer_says_otherwise_through_a_third() -> None:
    # Sources make ANA, BEA and CAY one; the reviewer keeps ANA from CAY and says that BEA is ANA.
    said = [
        reviewed.Decision("1", "cannot_link", reviewed.pair_of(ANA, CAY), "Rita"),
        reviewed.Decision("2", "must_link", reviewed.pair_of(ANA, BEA), "Rita"),
    ]
    stated = Statements(must=frozenset({reviewed.pair_of(ANA, BEA), reviewed.pair_of(BEA, CAY)}))
    assert contradictions(verdicts(said), stated) == []
    con = connect()
    con.execute("create table records as select * from (values (1, 'child_welfare'), (2, 'medicaid'), (3, 'court')) "
                "t(rid, source_system)")  # fmt: skip
    con.execute("create table constraints as select * from (values (1, 2, 'must', 'a source'), "
                "(2, 3, 'must', 'reviewer'), (1, 3, 'cannot', 'reviewer')) t(rid_a, rid_b, kind, reason)")  # fmt: skip
    con.execute("create table edges (rid_l bigint, rid_r bigint, weight double, evidence varchar, g_birth_date int)")
    assert form(con, "edges", 0.0, survey(con, ()))["contradictions"] == [(1, 2)]
    assert con.execute("select rid, person from people order by rid").fetchall() == [(1, 1), (2, 2), (3, 2)]


def test_a_decision_about_a_deleted_record_is_kept_and_idle(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(HEADER + "1,must_link,medicaid,gone,court,P1\n")
    told, constraints = constraints_from(file)
    assert (told["decisions"], told["decisions_on_unknown_records"]) == (1, 1)
    assert constraints == [(2, 1, "cannot")]
    assert len(read(file).lines) == 1


def test_lines_that_are_no_decision_do_nothing_and_are_named_by_number(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(
        HEADER + "1,perhaps,court,P1,medicaid,7001\n2,must_link,court,P1,court,P1\n3,must_link,court,,medicaid,7001\n"
        "4,cannot_link,court,P1,child_welfare,CL1\n"
    )
    told, constraints = constraints_from(file)
    assert told["unreadable_decision_lines"] == [2, 3, 4]
    assert constraints == [(1, 3, "cannot"), (2, 1, "cannot")]


def test_what_was_decided_by_a_day_is_by_the_calendar_of_the_jurisdiction(tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    header = ",".join(reviewed.FIELDS) + "\n"
    # In Chicago the 3rd of March begins at six in the morning, UTC.
    times = ("2026-03-03T05:59:00+00:00", "2026-03-03T06:00:00Z", "2026-03-02", "2026-03-03T00:00:00", "", "in March")
    lines = [f'{n},{t},Ann,reviewer,must_link,court,P{n},court,Q{n},"so, or so"\n' for n, t in enumerate(times)]
    # Nor does a line that cannot be read say that it was later, or hide the next.
    lines.append('7,2026-03-04,Jos\u00e9,reviewer,must_link,"court,P7,court,Q7,so\n')
    path.write_text(header + "".join(lines), encoding="latin-1")

    def known(day: int) -> bytes | None:
        return reviewed.decided_by(path, dt.date(2026, 3, day), ZoneInfo("America/Chicago"))

    # Every line keeps its number: in place of those that came later are empty ones.
    assert known(2) == "".join([header, lines[0], "\n", lines[2], "\n", *lines[4:]]).encode("latin-1")
    assert known(3) == path.read_bytes(), "once all are known the file is what it is, to the byte"
    path.write_text(header + lines[0] + lines[1])
    assert known(2) == (header + lines[0]).encode(), "what was added since was not there at all"
    path.write_text(header + lines[1])
    assert known(2) is None


def test_one_foreign_letter_or_open_quotation_mark_spoils_one_line_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    header = HEADER.strip() + ",reviewer\n"
    keys = "court,P1,medicaid,7001"
    file.write_bytes(
        f'{header}1,must_link,{keys},Jos\xe9\n2,must_link,"court,P1,medicaid,7001,Rita\n3,must_link,{keys},Otto\r\n'.encode(
            "latin-1"
        )
    )
    found = read(file)
    assert [line for line, _ in found.unreadable] == [2, 3]
    assert [(d.decision_id, d.line, d.reviewer) for d in found.lines] == [("3", 4, "Otto")]
    before = file.read_bytes()
    append(file, [((ANA, CAY), "unsure", "too little")], "Pia")
    (first, *rest), (was, *lines) = file.read_bytes().split(b"\n"), before.split(b"\n")
    assert first == was.rstrip() + b",decided_at,role,reason"
    assert rest[:3] == lines[:3] and len(rest) == 5


def test_a_file_with_nothing_in_it_is_no_decisions(file: Path) -> None:
    file.parent.mkdir()
    file.touch()
    assert read(file).lines == []
    assert append(file, [((ANA, BEA), "must_link", "names")], "Rita") == ["1"]
    assert state(file) == ("settled", "must_link")


def test_a_first_line_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(HEADER, encoding="utf-16")
    with pytest.raises(ReviewError, match="first line"):
        read(file)


def test_a_number_written_by_hand_that_is_none_does_not_stop_the_next(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    keys = "must_link,court,P1,medicaid,7001"
    file.write_text(HEADER + f"\u00b2,{keys}\n{'9' * 5000},{keys}\n4,{keys}\n", encoding="utf-8")
    assert append(file, [((ANA, CAY), "must_link", "names")], "Rita") == ["5"]


def test_a_file_without_a_needed_column_is_refused_whole(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text("decision_id,level\n1,must_link\n")
    with pytest.raises(ReviewError, match="source_record_id_a"):
        read(file)


def test_a_file_begun_by_hand_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    file.write_text(HEADER + "7,must_link,court,P1,medicaid,7001")
    assert append(file, [((ANA, CAY), "must_link", "names")], "Rita") == ["8"]
    first, second = read(file).lines
    assert (first.decision_id, first.reviewer, second.reviewer) == ("7", "", "Rita")


def test_a_reason_is_one_line_that_no_spreadsheet_calculates(file: Path) -> None:
    append(file, [((ANA, BEA), "must_link", "=1+1\nsecond line")], "@Rita")
    (line,) = read(file).lines
    assert (line.reason, line.reviewer) == ("1+1 second line", "Rita")


@pytest.mark.parametrize(
    ("reviewer", "level", "role", "pair"),
    [
        ("  ", "must_link", "reviewer", (ANA, BEA)),
        ("Rita", "maybe", "reviewer", (ANA, BEA)),
        ("Rita", "must_link", "king", (ANA, BEA)),
        ("Rita", "must_link", "reviewer", (ANA, ANA)),
    ],
)
def test_half_a_decision_is_none(file: Path, reviewer: str, level: str, role: str, pair) -> None:
    with pytest.raises(ReviewError):
        append(file, [(pair, level, "names")], reviewer, role)
    assert not file.exists()
