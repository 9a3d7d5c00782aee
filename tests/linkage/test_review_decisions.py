"""Reviewers' decisions: votes, disputes, contradictions, and what a file written by hand may hold."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from linkage.review import decisions as reviewed
from linkage.review.decisions import ReviewError, append, contradictions, read, verdicts
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


HEADER = "decision_id,level,source_system_a,source_record_id_a,source_system_b,source_record_id_b\n"


def constraints_from(file: Path) -> tuple[dict[str, object], list[tuple[int, int, str]]]:
    con = connect()
    con.execute("create table records as select * from (values "
                "(1, 'court', 'P1'), (2, 'medicaid', '7001'), (3, 'child_welfare', 'CL1')) "
                "t(rid, source_system, source_record_id)")  # fmt: skip
    con.execute("create table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)")
    con.execute("insert into constraints values (2, 1, 'cannot', 'a source')")
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
    assert constraints_from(file)[1] == [(1, 2, "must")]


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
    lines = [f'{n},{t},Ann,reviewer,must_link,court,P{n},court,Q{n},"two\nlines"\n' for n, t in enumerate(times)]
    path.write_text(header + "".join(lines))

    def known(day: int) -> str | None:
        return reviewed.decided_by(path, dt.date(2026, 3, day), ZoneInfo("America/Chicago"))

    assert known(2) == header + lines[0] + lines[2] + lines[4] + lines[5]
    assert known(3) == path.read_text(), "once all are known the file is what it is, to the byte"
    path.write_text(header + lines[1])
    assert known(2) is None


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
