"""A night looked at afterwards: the queue, the audit, people at three thresholds, the report, the charts."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from linkage_helpers import write_table

import linkage
from linkage.person.comparisons import COMPARISONS
from linkage.person.scoring import FLOOR
from linkage.quality import page
from linkage.review import decisions as reviewed
from linkage.review.queue import _consequences
from linkage.store import connect

CUT = dt.date(2025, 6, 30)
SECRET = b"a test, not a secret"


def night(home: Path, folder: Path, model: Path | None = None, decisions: Path | None = None) -> dict[str, Any]:
    """The steps after the records, in ``folder/linkage``."""
    work = folder / "linkage"
    if not work.exists():
        shutil.copytree(home / "linkage", work)
    linkage.score(work, model or home / "models" / "first")
    linkage.check_drift(work, model or home / "models" / "first")
    people = linkage.resolve(work, folder / "registry", CUT, SECRET, decisions, persist=False)
    linkage.build_families(work, folder / "registry", CUT, SECRET, persist=False)
    return people


@pytest.fixture(scope="module")
def looked_at(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("looked_at")
    night(trained, folder)
    linkage.write_alternates(folder / "linkage")
    linkage.build_queue(folder / "linkage")
    linkage.report_quality(folder / "linkage", None, trained / "truth")
    return folder / "linkage"


def table(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def pair(row: dict[str, Any]) -> reviewed.Pair:
    return reviewed.pair_of(
        (row["source_system_a"], row["source_record_id_a"]), (row["source_system_b"], row["source_record_id_b"])
    )


def test_the_queue_asks_each_question_once_most_consequential_first(looked_at: Path) -> None:
    questions = [r for r in table(looked_at / "review_queue.parquet") if r["list"] == "review"]
    assert questions and len({pair(r) for r in questions}) == len(questions)
    priorities = [r["priority"] for r in questions]
    assert priorities == sorted(priorities, reverse=True)
    person = {(r["source_system"], r["source_record_id"]): r["person_id"]
              for r in table(looked_at / "person_crosswalk.parquet")}  # fmt: skip
    apart = [frozenset(person[key] for key in pair(r)) for r in questions if not r["is_linked"]]
    assert len(set(apart)) == len(apart)


def test_what_a_decision_would_change_decides_the_order(looked_at: Path, tmp_path: Path) -> None:
    shutil.copytree(looked_at, tmp_path / "linkage")
    linkage.build_queue(tmp_path / "linkage", part2_systems=("medicaid",))
    questions = [r for r in table(tmp_path / "linkage" / "review_queue.parquet") if r["list"] == "review"]
    assert any("42 CFR Part 2" in r["consequence"] for r in questions)
    contradicted = [r for r in questions if r["reason"] not in ("uncertain", "twin")]
    for row in contradicted:
        moved = int(re.search(r"(\d+) records? would move", row["consequence"]).group(1))
        points = {"Part 2": 5, "child in care": 4, "sealed": 4, "family": 3, "published": 2}
        assert row["priority"] == sum(n for word, n in points.items() if word in row["consequence"]) + min(moved, 3)


def test_two_parents_who_could_be_one_are_asked_about_with_their_likest_records(
    looked_at: Path, tmp_path: Path
) -> None:
    shutil.copytree(looked_at, tmp_path / "linkage")
    asked = {pair(r) for r in table(looked_at / "review_queue.parquet")}
    held: dict[str, list[reviewed.Key]] = {}
    for r in table(looked_at / "person_crosswalk.parquet"):
        held.setdefault(r["person_id"], []).append((r["source_system"], r["source_record_id"]))
    one, other = [p for p, keys in sorted(held.items()) if len(keys) == 1][:2]
    expected = reviewed.pair_of(held[one][0], held[other][0])
    assert expected not in asked
    odd = {"reason": "perhaps_one_parent", "person_id": one, "other_person_id": other, "source_system": None}
    pq.write_table(pa.Table.from_pylist([odd]), tmp_path / "linkage" / "family_review.parquet")
    linkage.build_queue(tmp_path / "linkage")
    found = [r for r in table(tmp_path / "linkage" / "review_queue.parquet") if r["reason"] == "perhaps_one_parent"]
    assert [pair(r) for r in found] == [expected]


def test_two_numbers_of_one_person_are_asked_about_however_surely_the_names_say_so(
    looked_at: Path, tmp_path: Path
) -> None:
    shutil.copytree(looked_at, tmp_path / "linkage")
    with duckdb.connect() as con:
        sure = con.execute(
            "select l.source_system, l.source_record_id, r.source_system, r.source_record_id from read_parquet($1) e "
            "join read_parquet($2) l on l.rid = e.rid_l join read_parquet($2) r on r.rid = e.rid_r "
            "order by e.weight desc, 2, 4 limit 1",
            [str(looked_at / "weighed_pairs.parquet"), str(looked_at / "records.parquet")],
        ).fetchone()
    asked = table(looked_at / "review_candidates.parquet")
    expected = reviewed.pair_of(sure[:2], sure[2:])
    row = {"rank": 2, "weight": 30.0, "source_system_a": sure[0], "source_record_id_a": sure[1],
           "source_system_b": sure[2], "source_record_id_b": sure[3], "is_linked": True}  # fmt: skip
    for reason, is_asked in (("uncertain", False), ("two_numbers", True)):
        write_table([*asked, {**row, "reason": reason}], tmp_path / "linkage" / "review_candidates.parquet")
        linkage.build_queue(tmp_path / "linkage")
        found = [pair(r) for r in table(tmp_path / "linkage" / "review_queue.parquet") if r["list"] == "review"]
        assert (expected in found) == is_asked


def test_pairs_a_chain_proposes_are_compared_in_full_however_unlike(looked_at: Path) -> None:
    completed = [r for r in table(looked_at / "edges.parquet") if r["evidence"] == "completion"]
    assert any(r["weight"] < FLOOR for r in completed)
    assert all(r["g_birth_date"] is not None for r in completed)


def test_what_hangs_on_a_question(tmp_path: Path) -> None:
    write_table([{"rid_a": 90, "rid_b": 11, "relationship": "foster_parent_of", "valid_to": None},
                 {"rid_a": 90, "rid_b": 21, "relationship": "foster_parent_of", "valid_to": CUT}],
                tmp_path / "relationships.parquet")  # fmt: skip
    write_table([{"person_id": "1"}, {"person_id": "2"}], tmp_path / "published_before.parquet")
    write_table([{"person_id": "1", "role": "child"}, {"person_id": "2", "role": "foster_parent"},
                 {"person_id": "3", "role": "mother"}], tmp_path / "family_member.parquet")  # fmt: skip
    con = connect()
    con.execute("""
    create table records as
    select *, true as is_child, 'child' as record_role, false as has_placement, false as is_sealed from (values
        (11, 'behavioral_health'), (12, 'behavioral_health'), (21, 'medicaid'), (31, 'behavioral_health'), (32, 'court')
    ) as t(rid, source_system)
    """)
    con.execute("create table people as select rid, (rid // 10)::varchar as person from records")
    con.execute("create table part as select rid, rid as part from records")
    con.execute("""
    create table question as
    select 'refused_by_constraint' as reason, 4.0 as weight, *, person_l = person_r as is_linked from (values
        (11, 12, '1', '1', 11, 12), (11, 21, '1', '2', 11, 21), (31, 32, '3', '3', 31, 32), (21, 31, '2', '3', 21, 31)
    ) as t(rid_l, rid_r, person_l, person_r, part_l, part_r)
    """)
    # What a rule keeps apart is in little doubt.
    con.execute("create table edges as select * from (values (11, 12, 'twin'), (11, 21, 'mothers'), (21, 31, 'twin')) "
                "as t(rid_l, rid_r, evidence)")  # fmt: skip
    con.execute("update question set reason = 'twin' where rid_l = 11 and rid_r = 12")
    con.execute("update question set reason = 'uncertain', weight = 0 where rid_l in (11, 31) and rid_r in (21, 32)")
    _consequences(con, tmp_path, ("behavioral_health",))
    found = con.execute("select rid_l, rid_r, part2, child_in_care, family, published_id, records_moved, doubt "
                        "from weighed order by 1, 2").fetchall()  # fmt: skip
    con.close()
    # Two records of one treatment programme join no others; a foster home that ended says nothing of now.
    assert found == [
        (11, 12, False, True, True, True, 1, 0.1),
        (11, 21, True, True, False, True, 1, 0.1),
        (21, 31, True, False, False, False, 1, 1.0),
        (31, 32, True, False, True, False, 1, 1.0),
    ]


def test_whom_a_sealed_adoption_hides_nobody_is_asked_about(looked_at: Path, tmp_path: Path) -> None:
    work = tmp_path / "linkage"
    shutil.copytree(looked_at, work)
    before = table(work / "review_queue.parquet")
    person = {
        (r["source_system"], r["source_record_id"]): r["person_id"] for r in table(work / "person_crosswalk.parquet")
    }
    asked = {person[key] for r in before for key in pair(r)}
    child = min(person[key] for r in before if r["list"] == "review" for key in pair(r))
    assert {child} < asked and any(child in map(person.get, pair(r)) for r in before if r["list"] == "audit")
    records = pq.read_table(work / "records.parquet")
    own = [person[(r["source_system"], r["source_record_id"])] == child for r in records.to_pylist()]
    # Sealed, and adopted by the word of a source.
    place = records.schema.get_field_index("is_sealed")
    pq.write_table(records.set_column(place, "is_sealed", pa.array(own, pa.bool_())), work / "records.parquet")
    rid = records.column("rid").to_pylist()[own.index(True)]
    kin = pq.read_table(work / "relationships.parquet")
    line = {"rid_a": rid + 1, "rid_b": rid, "relationship": "adoptive_parent_of", "source_system": "court"}
    added = pa.Table.from_pylist([line], kin.schema)
    for stated, is_hidden in ((kin, False), (pa.concat_tables([kin, added]), True)):
        pq.write_table(stated, work / "relationships.parquet")
        linkage.build_queue(work)
        now = {person[key] for r in table(work / "review_queue.parquet") for key in pair(r)}
        assert (child not in now) == is_hidden
    assert len(now) > 1, "others are asked about as before"


def test_the_queue_says_why_without_a_name_or_a_number(trained: Path, looked_at: Path) -> None:
    words = {w for r in table(looked_at / "review_queue.parquet")
             for w in re.findall(r"\w+", f"{r['words']} {r['consequence']}".upper())}  # fmt: skip
    names = {r[c] for r in table(looked_at / "records.parquet") for c in ("last_std", "ssn", "medicaid_id")} - {None}
    # DAY is a surname, and "day and month exchanged" is nobody's.
    ours = {w for c in COMPARISONS for level in c.all_levels for w in re.findall(r"\w+", level.words.upper())}
    assert not (words - ours) & names
    assert all(r["words"] for r in table(looked_at / "review_queue.parquet"))


def test_the_audit_sample_is_the_same_on_another_night(trained: Path, looked_at: Path, tmp_path: Path) -> None:
    before = (looked_at / "review_queue.parquet").read_bytes()
    shutil.copytree(looked_at, tmp_path / "linkage")
    linkage.build_queue(tmp_path / "linkage")
    assert (tmp_path / "linkage" / "review_queue.parquet").read_bytes() == before


def test_reviewers_who_disagree_come_first_and_the_ids_of_an_earlier_night_are_published(
    looked_at: Path, tmp_path: Path
) -> None:
    work, published = tmp_path / "linkage", "a published ID would end or split"
    shutil.copytree(looked_at, work)
    before = [r for r in table(work / "review_queue.parquet") if r["list"] == "review"]
    assert not any(published in r["consequence"] for r in before)
    for _ in range(2):
        # Two nights of one cut: what the first gave out is published in the second.
        linkage.resolve(work, tmp_path / "registry", CUT, SECRET)
    for who, level in (("Ann", "must_link"), ("Bob", "cannot_link")):
        reviewed.append(tmp_path / "decisions.csv", [(pair(before[-1]), level, "looked up")], who)
    linkage.build_queue(work, tmp_path / "decisions.csv")
    first, *rest = (r for r in table(work / "review_queue.parquet") if r["list"] == "review")
    assert (pair(first), first["reason"]) == (pair(before[-1]), "disputed")
    assert first["priority"] < rest[0]["priority"]
    assert all(published in r["consequence"] for r in (first, *rest))


def test_decisions_that_make_a_mothers_record_her_childs_are_not_followed_and_asked_about_first(
    trained: Path, looked_at: Path, tmp_path: Path
) -> None:
    keys = {r["rid"]: (r["source_system"], r["source_record_id"]) for r in table(looked_at / "records.parquet")}
    person = {(r["source_system"], r["source_record_id"]): r["person_id"]
              for r in table(looked_at / "person_crosswalk.parquet")}  # fmt: skip
    held: dict[str, list[reviewed.Key]] = {}
    for key, who in person.items():
        held.setdefault(who, []).append(key)
    mother, child = next(
        (keys[r["rid_a"]], keys[r["rid_b"]])
        for r in table(looked_at / "relationships.parquet")
        if r["relationship"] == "mother_of" and len(held[person[keys[r["rid_a"]]]]) > 1
    )
    also = next(key for key in held[person[mother]] if key != mother)
    path = tmp_path / "decisions.csv"
    wrong = reviewed.append(path, [((mother, also), "must_link", "x"), ((also, child), "must_link", "x")], "Ann")
    people = night(trained, tmp_path, decisions=path)
    assert people["contradicting_decisions"] == [wrong]
    now = {(r["source_system"], r["source_record_id"]): r["person_id"]
           for r in table(tmp_path / "linkage" / "person_crosswalk.parquet")}  # fmt: skip
    assert now[also] == now[mother] != now[child]
    linkage.build_queue(tmp_path / "linkage", path)
    first = [r for r in table(tmp_path / "linkage" / "review_queue.parquet") if r["list"] == "review"][:2]
    assert {(pair(r), r["reason"]) for r in first} == {
        (reviewed.pair_of(*p), "decisions_contradict") for p in ((mother, also), (also, child))
    }


@pytest.fixture(scope="module")
def decided(trained: Path, looked_at: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reviewer who knows the truth says of the whole audit sample."""
    truth = {(r["source_system"], r["source_record_id"]): r["true_person_id"]
             for r in table(trained / "truth" / "person_records.parquet")}  # fmt: skip
    votes: list[tuple[reviewed.Pair, str, str]] = []
    for row in table(looked_at / "review_queue.parquet"):
        if row["list"] == "audit":
            a, b = pair(row)
            votes.append(((a, b), "must_link" if truth[a] == truth[b] else "cannot_link", "looked up"))
    path = tmp_path_factory.mktemp("reviews") / "decisions.csv"
    reviewed.append(path, votes, "Vera")
    return path


def figures(folder: Path, **wanted: Any) -> list[dict[str, Any]]:
    lines = table(folder / "quality" / "accuracy.parquet")
    return [x for x in lines if all(x[name] == value for name, value in wanted.items())]


def test_precision_and_recall_from_the_audit_hold_the_truth(
    trained: Path, looked_at: Path, decided: Path, tmp_path: Path
) -> None:
    (open_,) = figures(looked_at, measure="precision", basis="audit")
    assert open_["estimate"] is None
    shutil.copytree(looked_at, tmp_path / "linkage")
    summary = linkage.report_quality(tmp_path / "linkage", decided)
    assert summary["audit_decided"] == summary["audit_pairs"]
    (precision,) = figures(tmp_path / "linkage", measure="precision", basis="audit")
    (recall,) = figures(tmp_path / "linkage", measure="recall among compared pairs", basis="audit")
    truth = {(r["source_system"], r["source_record_id"]): r["true_person_id"]
             for r in table(trained / "truth" / "person_records.parquet")}  # fmt: skip
    key = {r["rid"]: (r["source_system"], r["source_record_id"]) for r in table(looked_at / "records.parquet")}
    person = {(r["source_system"], r["source_record_id"]): r["person_id"]
              for r in table(looked_at / "person_crosswalk.parquet")}  # fmt: skip
    compared = [(key[r["rid_l"]], key[r["rid_r"]]) for r in table(looked_at / "weighed_pairs.parquet")]
    joined = [p for p in compared if person[p[0]] == person[p[1]]]
    right = sum(truth[a] == truth[b] for a, b in joined)
    known = sum(truth[a] == truth[b] for a, b in compared)
    assert precision["low"] <= right / len(joined) <= precision["high"]
    assert recall["low"] <= right / known <= recall["high"]
    assert precision["high"] - precision["low"] < 0.1


def test_decisions_outlive_a_new_model_and_what_they_mend_is_not_the_models_merit(
    trained: Path, looked_at: Path, decided: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    shutil.copytree(trained / "models" / "first", second)
    card = json.loads((second / "card.json").read_text())
    card["name"] = "second"
    card["thresholds"] = {k: v + 2 if k != "how" else v for k, v in card["thresholds"].items()}
    (second / "card.json").write_text(json.dumps(card))
    people = night(trained, tmp_path, second, decided)
    assert people["model"] == "second" and people["contradicting_decisions"] == []
    person = {(r["source_system"], r["source_record_id"]): r["person_id"]
              for r in table(tmp_path / "linkage" / "person_crosswalk.parquet")}  # fmt: skip
    for decision in reviewed.read(decided).lines:
        a, b = decision.pair
        assert (person[a] == person[b]) == (decision.level == "must_link")
    linkage.build_queue(tmp_path / "linkage", decided)
    asked = {pair(r) for r in table(tmp_path / "linkage" / "review_queue.parquet") if r["list"] == "review"}
    assert not asked & {d.pair for d in reviewed.read(decided).lines}
    # Some pairs the reviewer mended; the audit goes on asking about the people the model alone would form.
    drawn = [r for r in table(tmp_path / "linkage" / "review_queue.parquet") if r["list"] == "audit"]
    assert any(r["stratum"].startswith("linked") != (person[pair(r)[0]] == person[pair(r)[1]]) for r in drawn)


def test_people_at_three_thresholds(looked_at: Path) -> None:
    low, used, high = table(looked_at / "quality" / "thresholds.parquet")
    assert [low["threshold"], used["threshold"], high["threshold"]] == ["low", "published", "high"]
    assert low["people"] < used["people"] < high["people"]
    assert used["records_under_another_id"] == 0
    published = {(r["source_system"], r["source_record_id"]): r["person_id"]
                 for r in table(looked_at / "person_crosswalk.parquet")}  # fmt: skip
    rows = table(looked_at / "person_crosswalk_alternates.parquet")
    for name, line in (("low", low), ("high", high)):
        mine = {(r["source_system"], r["source_record_id"]): r["person_id"] for r in rows if r["threshold"] == name}
        assert mine.keys() == published.keys()
        assert len(set(mine.values())) == line["people"]
        assert sum(mine[k] != published[k] for k in mine) == line["records_under_another_id"]
        assert {v.split("-")[0] for v in mine.values()} <= set(published.values())


def test_quality_tables_hold_no_persons_value(looked_at: Path) -> None:
    values = {r[c] for r in table(looked_at / "records.parquet")
              for c in ("last_std", "first_std", "ssn", "medicaid_id", "source_record_id")} - {None}  # fmt: skip
    values = {v for v in values if len(v) > 3}
    for path in (looked_at / "quality").glob("*.parquet"):
        for row in table(path):
            assert not {str(v) for v in row.values()} & values, path.name


def test_against_the_truth_the_report_says_what_the_evaluation_says(trained: Path, looked_at: Path) -> None:
    whole = linkage.evaluate(looked_at, trained / "truth")
    (precision,) = figures(looked_at, measure="precision", basis="truth", breakdown=None)
    (recall,) = figures(looked_at, measure="recall", basis="truth", breakdown=None)
    assert (precision["estimate"], recall["estimate"]) == pytest.approx((whole.precision, whole.recall))
    by_sex = figures(looked_at, measure="recall", basis="truth", breakdown="sex")
    assert {x["value"] for x in by_sex} == {"female", "male"}
    assert sum(x["n"] for x in by_sex) <= recall["n"]


def test_match_rates_agree_with_the_nights_own(looked_at: Path) -> None:
    mine = {(r["system_a"], r["system_b"]): (r["n"], r["linked"])
            for r in table(looked_at / "quality" / "match_rates.parquet") if r["breakdown"] == "everybody"}  # fmt: skip
    theirs = {(r["system_a"], r["system_b"]): (r["n_a"], r["n_linked"])
              for r in table(looked_at / "match_rates.parquet") if r["population"] == "all"}  # fmt: skip
    assert mine == theirs


def test_the_report_loads_nothing_and_shows_no_small_count(looked_at: Path) -> None:
    text = (looked_at / "quality" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|(src|href)=|url\(|https?://", text)
    rates = table(looked_at / "quality" / "match_rates.parquet")
    small = [r for r in rates if r["breakdown"] == "race or ethnicity" and 0 < r["n"] <= 10]
    for row in small:
        line = f"<td>{row['system_a']}</td><td>{row['system_b']}</td><td>{row['value']}</td><td class=number>"
        assert line not in text


def test_few_records_of_one_system_cannot_be_had_by_subtraction(tmp_path: Path) -> None:
    fields = {"rows_received": 215, "rows_without_system_or_id": 0, "birth_dates": []}
    fields |= {f"relationship_{name}": 0 for name in ("to_nobody", "to_itself", "reversed")}
    (tmp_path / "record_summary.json").write_text(json.dumps(fields))
    systems = [("court", 4), ("medicaid", 130), ("clinic", 81)]
    text = page._population(tmp_path, [{"source_system": s, "records": n, "people": 70} for s, n in systems], [])
    # 215 records in all: with 130 and 81 the court would have 4.
    assert ">130<" in text and ">81<" not in text and ">4<" not in text and "fewer than 11" in text


def test_the_report_shows_what_drifted_first_and_no_index_of_few() -> None:
    def line(subject: str, detail: str, n: int, psi: float, outcome: str) -> dict[str, Any]:
        return {"subject": subject, "detail": detail, "n_in_training": 5000, "n": n, "psi": psi, "outcome": outcome}

    text = page._drift(
        [
            line("missing ssn", "court", 4000, 0.0312, "steady"),
            line("levels of given_name", "child", 7, 0.4444, "too_few"),
            line("missing birth_date", "medicaid", 9000, 0.31, "drifted"),
            line("match weights", "adult", 8000, 0.12, "watch"),
        ]
    )
    in_sight, folded = text.split("<details>")
    assert "1 drifted, 1 to be watched, 1 steady, 1 too few to tell" in in_sight
    assert 'missing birth date</td><td>medicaid</td><td>drifted</td><td class="number low">0.31</td>' in in_sight
    assert in_sight.index("missing birth date") < in_sight.index("match weights")
    assert "missing ssn" in folded and "0.03" in folded
    assert "0.44" not in text and ">7<" not in text and "fewer than 11" in folded


def test_the_nights_page_says_how_many_drifted(looked_at: Path) -> None:
    text = (looked_at / "quality" / "report.html").read_text(encoding="utf-8")
    assert "0 drifted, 0 to be watched" in text, "scored by the model made of these very records"


def test_splinks_charts_load_nothing_and_hold_no_record(trained: Path, looked_at: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained / "models" / "first", model)
    text = linkage.write_charts(looked_at, model).read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=", re.sub(r"<script>.*?</script>", "", text, flags=re.S))
    assert "default-src 'none'" in text
    specs = text[text.rindex("<script>[") :]
    for title in ("Unlinkable", "waterfall", "match weight"):
        assert title.casefold() in specs.casefold()
    names = {r["last_std"] for r in table(looked_at / "records.parquet") if r["last_std"]}
    assert not {word for word in re.findall(r'"([A-Z]{4,})"', specs)} & names
