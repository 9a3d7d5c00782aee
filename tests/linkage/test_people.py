"""A small population of four agencies, trained and linked; and people with names who must not be confused."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import linkage_population
import pyarrow.parquet as pq
import pytest
from linkage_helpers import CUT, scored, write_table
from typer.testing import CliRunner

import linkage
from linkage.person.comparisons import BY_NAME
from linkage.person.people import form, separate_twins, survey, written_twice
from linkage.person.resolve import _review, _write_facts
from linkage.person.scoring import Scorer
from linkage.person.weights import level_sql
from linkage.registry import Registry
from linkage.store import connect, read_json
from pipelines.cli import app

SECRET = b"a test, not a secret"


def run(home: Path, staged: Path, folder: Path, decisions: Path | None = None) -> dict[str, Any]:
    """One night with the model trained by the fixture."""
    work = folder / "linkage"
    summary: dict[str, Any] = {"records": linkage.build_records(staged, work)}
    summary["scoring"] = linkage.score(work, home / "models" / "first")
    summary["people"] = linkage.resolve(work, folder / "registry", CUT, SECRET, decisions)
    summary["families"] = linkage.build_families(work, folder / "registry", CUT, SECRET)
    return summary


@pytest.fixture(scope="module")
def night(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    run(trained, trained / "staged", folder)
    return folder


def test_quality_does_not_fall_below_the_floor(trained: Path, night: Path) -> None:
    found = linkage.evaluate(night / "linkage", trained / "truth")
    assert found.precision >= 0.995
    assert found.recall >= 0.98
    assert found.exact >= 0.98
    assert found.parent_precision is not None and found.parent_precision >= 0.98
    assert found.parent_recall is not None and found.parent_recall >= 0.95


def test_no_direct_identifier_leaves_for_the_warehouse(night: Path) -> None:
    columns = {
        "person_crosswalk": [
            "source_system",
            "source_record_id",
            "person_id",
            "match_probability",
            "valid_from",
            "valid_to",
        ],
        "match_rates": ["system_a", "system_b", "population", "n_a", "n_linked", "rate"],
    }
    for name, expected in columns.items():
        assert pq.read_schema(night / "linkage" / f"{name}.parquet").names == expected
    for name in ("person_facts", "parent_child", "family_member", "match_rates", "review_candidates"):
        names = set(pq.read_schema(night / "linkage" / f"{name}.parquet").names)
        assert not names & {"first_std", "last_std", "ssn", "medicaid_id", "phone", "addr_keys", "first_name"}


def test_the_same_deliveries_give_the_same_files_and_no_event(trained: Path, night: Path) -> None:
    work = night / "linkage"
    before = {n: (work / f"{n}.parquet").read_bytes() for n in ("person_crosswalk", "parent_child", "family_member")}
    summary = run(trained, trained / "staged", night)
    assert summary["people"]["events"] == {} and summary["families"]["events"] == {}
    for name, content in before.items():
        assert (work / f"{name}.parquet").read_bytes() == content, name


def test_training_again_gives_the_same_model(trained: Path, tmp_path: Path) -> None:
    # Training leaves its own pairs beside the records: other tests want the first model's there.
    shutil.copytree(trained / "linkage", tmp_path / "linkage")
    again = linkage.train(tmp_path / "linkage", tmp_path / "models", "again")
    first = linkage.load(trained / "models" / "first")
    assert again.fingerprint == first.fingerprint
    assert again.mixtures == first.mixtures
    assert again.thresholds == first.thresholds
    assert sorted(p.name for p in again.path.iterdir()) == [
        "adult.json",
        "card.json",
        "card.md",
        "child.json",
        "frequencies",
    ]


def test_a_model_of_another_splink_is_refused(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "models" / "first", tmp_path / "old")
    card = tmp_path / "old" / "card.json"
    card.write_text(card.read_text().replace('"splink": "5.', '"splink": "4.'))
    with pytest.raises(linkage.ModelError, match="train a new model"):
        linkage.load(tmp_path / "old")
    with pytest.raises(linkage.ModelError, match="no trained model"):
        linkage.load(tmp_path / "nothing")


def person(system: str, key: str, first: str | None, last: str, born: str | None, **more: Any) -> dict[str, Any]:
    return {
        "source_system": system,
        "source_record_id": key,
        "row_kind": "primary",
        "first_name": first,
        "last_name": last,
        "birth_date": born,
        "state": "TX",
        "delivered_on": CUT,
        **more,
    }


OAK = {"address_line": "12 OAK STREET", "city": "RIVERTON", "zip": "71001"}
ELM = {"address_line": "700 ELM ROAD", "city": "HILLVILLE", "zip": "71003"}


@pytest.fixture(scope="module")
def named(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """person_id by record, for a night that also holds the people below."""
    folder = tmp_path_factory.mktemp("named")
    staged = folder / "staged"
    shutil.copytree(trained / "staged", staged)
    child = {"record_role": "child"}
    people = [
        # Twins Ava and Mia, in two systems; their mother Rosa on both.
        person("medicaid", "ava", "AVA", "QUINTERO", "2023-05-01", sex="F", medicaid_id="M70000001", **OAK, **child),
        person("medicaid", "mia", "MIA", "QUINTERO", "2023-05-01", sex="F", medicaid_id="M70000002", **OAK, **child),
        person("child_welfare", "ava", "AVA", "QUINTERO", "2023-05-01", sex="F", **OAK, **child),
        person("child_welfare", "mia", "MIA", "QUINTERO", "2023-05-01", sex="F", **OAK, **child),
        person("medicaid", "rosa", "ROSA", "QUINTERO", "1996-02-03", sex="F", medicaid_id="M70000003", **OAK),
        person("child_welfare", "rosa", "ROSA", "QUINTERO", "1996-02-03", sex="F", **OAK),
        # Two boys without names, twins by their order.
        person("medicaid", "boy-a", "BABY BOY A", "OYELARAN", "2025-04-02", sex="M", **ELM, **child),
        person("child_welfare", "boy-b", "BABY BOY B", "OYELARAN", "2025-04-02", sex="M", **ELM, **child),
        # Earl and his son of the same name at one address.
        person("medicaid", "earl-senior", "EARL", "WINTERBOTTOM", "1960-01-15", sex="M", **OAK),
        person("behavioral_health", "earl-junior", "EARL", "WINTERBOTTOM", "1989-09-30", sex="M", **OAK),
        # A newborn on its mother's Medicaid number.
        person("medicaid", "dana", "DANA", "BELLWETHER", "1995-03-01", sex="F", medicaid_id="M80000001", **ELM),
        person(
            "child_welfare",
            "danas-baby",
            "BABY GIRL",
            "BELLWETHER",
            "2025-02-01",
            sex="F",
            medicaid_id="M80000001",
            **ELM,
            **child,
        ),
        # One name, one address, two foster children of one day: a placement joins nobody.
        person(
            "child_welfare",
            "noah",
            "NOAH",
            "ABERNATHY",
            "2022-01-07",
            sex="M",
            **ELM,
            address_role="placement",
            **child,
        ),
        person(
            "child_welfare",
            "liam",
            "LIAM",
            "ZUCKERMAN",
            "2022-01-07",
            sex="M",
            **ELM,
            address_role="placement",
            **child,
        ),
        # Twins of like names, each with two numbers; in the third system neither has one.
        *(
            person(system, name.lower(), name, "WHITCOMB", "2021-06-05", sex="F", **OAK, **child, **numbers)
            for name, ssn, number in (("EMMA", "412557801", "K90000010"), ("EMILY", "537190264", "Q41100017"))
            for system, numbers in (
                ("medicaid", {"ssn": ssn, "medicaid_id": number}),
                ("child_welfare", {"ssn": ssn}),
                ("behavioral_health", {}),
            )
        ),
        # Twins with names in one system, and without in another: nothing says which is which.
        *(
            person("child_welfare", name.lower(), name, "CULPEPPER", "2022-05-20", sex="M", **ELM, **child)
            for name in ("EZRA", "TOBIAS")
        ),
        *(
            person(
                "medicaid",
                f"culpepper-{order}",
                f"BABY BOY {order}",
                "CULPEPPER",
                "2022-05-20",
                sex="M",
                **ELM,
                **child,
            )
            for order in ("A", "B")
        ),
        # Carmen and her daughter of the same name at one address, and a court record that gives no birth date.
        *(
            person(system, key, "CARMEN", "ETSITTY", born, sex="F", **OAK)
            for key, born in (("carmen", "1975-05-02"), ("carmens-daughter", "1997-11-23"))
            for system in ("medicaid", "child_welfare")
        ),
        person("court", "undated-carmen", "CARMEN", "ETSITTY", None, sex="F", **OAK),
        # Robert and his son, born on the same day of the year; their social security numbers follow each other.
        person(
            "medicaid",
            "robert-sr",
            "ROBERT",
            "ABERCROMBIE",
            "1970-02-03",
            sex="M",
            ssn="288112345",
            name_suffix="SR",
            **OAK,
        ),
        person("child_welfare", "robert-sr", "ROBERT", "ABERCROMBIE", "1970-02-03", sex="M", ssn="288112345", **OAK),
        person(
            "medicaid",
            "robert-jr",
            "ROBERT",
            "ABERCROMBIE",
            "1993-02-03",
            sex="M",
            ssn="288112346",
            name_suffix="JR",
            **OAK,
        ),
        # Two women of a common name born on one day: other numbers, other homes.
        person(
            "medicaid",
            "maria-1",
            "MARIA",
            "GARCIA",
            "1990-05-05",
            sex="F",
            ssn="222334411",
            medicaid_id="K90000121",
            **OAK,
        ),
        person(
            "child_welfare",
            "maria-2",
            "MARIA",
            "GARCIA",
            "1990-05-05",
            sex="F",
            ssn="519027765",
            medicaid_id="R13500774",
            **ELM,
        ),
        # One girl whose given name was mistyped.
        person("medicaid", "ivy", "IVY", "JENNINGS", "2019-09-04", sex="F", middle_name="PAISLEY", **OAK, **child),
        person("child_welfare", "ivy", "IYV", "JENNINGS", "2019-09-04", sex="F", middle_name="PAISLEY", **OAK, **child),
        # Kim changed her surname; number and birth date say who she is.
        person("medicaid", "kim", "KIMBERLY", "ASHWORTH", "1991-11-23", sex="F", ssn="411552367", **OAK),
        person("behavioral_health", "kim", "KIM", "VALENZUELA", "1991-11-23", sex="F", ssn="411552367", **ELM),
    ]
    for system in sorted({p["source_system"] for p in people}):
        write_table(
            [p for p in people if p["source_system"] == system], staged / f"{system}_more__person_records.parquet"
        )
    kin = [
        {"source_system": s, "source_record_id": "rosa", "related_record_id": c, "relationship": "mother_of"}
        for s in ("medicaid", "child_welfare")
        for c in ("ava", "mia")
    ]
    write_table(kin, staged / "more__relationships.parquet")
    run(trained, staged, folder)
    ids = {
        f"{r['source_system']}:{r['source_record_id']}": r["person_id"]
        for r in pq.read_table(folder / "linkage" / "person_crosswalk.parquet").to_pylist()
    }
    return ids, folder


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("medicaid:ava", "child_welfare:ava"),
        ("medicaid:mia", "child_welfare:mia"),
        ("medicaid:rosa", "child_welfare:rosa"),
        ("medicaid:kim", "behavioral_health:kim"),
        ("medicaid:emma", "child_welfare:emma"),
        ("medicaid:emma", "behavioral_health:emma"),
        ("medicaid:emily", "child_welfare:emily"),
        ("medicaid:emily", "behavioral_health:emily"),
        ("medicaid:carmen", "child_welfare:carmen"),
        ("medicaid:carmens-daughter", "child_welfare:carmens-daughter"),
        ("medicaid:robert-sr", "child_welfare:robert-sr"),
        ("medicaid:ivy", "child_welfare:ivy"),
    ],
)
def test_one_person_in_two_systems(named: tuple[dict[str, str], Path], one: str, other: str) -> None:
    assert named[0][one] == named[0][other]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("medicaid:ava", "medicaid:mia"),
        ("medicaid:ava", "child_welfare:mia"),
        ("medicaid:boy-a", "child_welfare:boy-b"),
        ("medicaid:earl-senior", "behavioral_health:earl-junior"),
        ("medicaid:dana", "child_welfare:danas-baby"),
        ("child_welfare:noah", "child_welfare:liam"),
        ("medicaid:emma", "medicaid:emily"),
        ("behavioral_health:emma", "child_welfare:emily"),
        ("child_welfare:ezra", "child_welfare:tobias"),
        ("medicaid:culpepper-A", "medicaid:culpepper-B"),
        ("medicaid:culpepper-A", "child_welfare:ezra"),
        ("medicaid:culpepper-A", "child_welfare:tobias"),
        ("medicaid:carmen", "medicaid:carmens-daughter"),
        ("court:undated-carmen", "medicaid:carmen"),
        ("court:undated-carmen", "medicaid:carmens-daughter"),
        ("medicaid:robert-sr", "medicaid:robert-jr"),
        ("medicaid:maria-1", "child_welfare:maria-2"),
    ],
)
def test_two_people_however_alike(named: tuple[dict[str, str], Path], one: str, other: str) -> None:
    assert named[0][one] != named[0][other]


def test_twins_are_one_family_with_their_mother(named: tuple[dict[str, str], Path]) -> None:
    ids, folder = named
    rows = pq.read_table(folder / "linkage" / "family_member.parquet").to_pylist()
    family = {r["family_id"] for r in rows if r["person_id"] == ids["medicaid:ava"]}
    assert len(family) == 1
    members = {(r["person_id"], r["role"]) for r in rows if r["family_id"] in family}
    assert members == {(ids["medicaid:ava"], "child"), (ids["medicaid:mia"], "child"), (ids["medicaid:rosa"], "mother")}


def test_a_shared_foster_home_makes_no_family(named: tuple[dict[str, str], Path]) -> None:
    ids, folder = named
    family = {
        r["person_id"]: r["family_id"] for r in pq.read_table(folder / "linkage" / "family_member.parquet").to_pylist()
    }
    assert family[ids["child_welfare:noah"]] != family[ids["child_welfare:liam"]]


def test_reviewers_are_obeyed_and_remembered_by_record(trained: Path, tmp_path: Path, night: Path) -> None:
    crosswalk = pq.read_table(night / "linkage" / "person_crosswalk.parquet").to_pylist()
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in crosswalk:
        groups.setdefault(row["person_id"], []).append(row)
    together = next(g for g in groups.values() if len(g) == 2)
    alone = [g[0] for g in groups.values() if len(g) == 1][:2]
    lines = ["decision_id,level,source_system_a,source_record_id_a,source_system_b,source_record_id_b"]
    for number, (level, (a, b)) in enumerate((("cannot_link", together), ("must_link", alone))):
        lines.append(
            f"{number},{level},{a['source_system']},{a['source_record_id']},{b['source_system']},"
            f"{b['source_record_id']}"
        )
    lines.append("9,must_link,medicaid,no-such-record,court,nor-this")
    decisions = tmp_path / "decisions.csv"
    decisions.write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copytree(night / "registry", tmp_path / "registry")
    (tmp_path / "linkage").mkdir()
    # As last night left it, with another model.
    (tmp_path / "linkage" / "resolve.json").write_text('{"model": "last year"}')
    summary = run(trained, trained / "staged", tmp_path, decisions)
    assert summary["people"]["decisions"] == 3
    assert summary["people"]["decisions_on_unknown_records"] == 1
    now = {
        (r["source_system"], r["source_record_id"]): r["person_id"]
        for r in pq.read_table(tmp_path / "linkage" / "person_crosswalk.parquet").to_pylist()
    }

    def at(row: dict[str, Any]) -> str:
        return now[(row["source_system"], row["source_record_id"])]

    events = Registry(tmp_path / "registry", "person").events()[len(Registry(night / "registry", "person").events()) :]
    moved = {e.member for e in events if e.cause == "override" and e.event == "assign"}
    pairs = [{f"{r['source_system']}\x1f{r['source_record_id']}" for r in pair} for pair in (together, alone)]
    assert [len(moved & pair) for pair in pairs] == [1, 1], "one of each two changes its ID, because reviewers said so"
    assert {e.cause for e in events if e.member and e.member not in set().union(*pairs)} <= {"model_change"}
    assert at(together[0]) != at(together[1])
    assert at(alone[0]) == at(alone[1])


def test_people_a_reviewer_made_one_are_two_again_when_the_reviewer_takes_it_back(
    trained: Path, tmp_path: Path, night: Path
) -> None:
    # A model that keeps for long what is published.
    shutil.copytree(trained / "models", tmp_path / "models")
    path = tmp_path / "models" / "first" / "card.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["thresholds"]["keep"] -= 8
    path.write_text(json.dumps(data), encoding="utf-8")
    card = linkage.load(tmp_path / "models" / "first")
    with connect() as con:
        # Not enough to join the two, and enough to keep what is published together.
        asked = con.execute(
            """
            with c as (select * from read_parquet($1)),
            alone as (select c.*, r.rid from c join (select person_id from c group by 1 having count(*) = 1)
                      using (person_id) join read_parquet($2) r using (source_system, source_record_id))
            select a.source_system, a.source_record_id, b.source_system, b.source_record_id, a.person_id, b.person_id
            from read_parquet($3) e join alone a on a.rid = e.rid_l join alone b on b.rid = e.rid_r
            where e.weight > $4 and e.weight < $5 and e.evidence = 'pair' order by all limit 1
            """,
            [*(str(night / "linkage" / f"{name}.parquet") for name in ("person_crosswalk", "records", "weighed_pairs")),
             card.thresholds.keep, card.thresholds.join],
        ).fetchone()  # fmt: skip
    assert asked
    ids = []
    shutil.copytree(night / "registry", tmp_path / "registry")
    decisions = tmp_path / "decisions.csv"
    decisions.write_text(
        "decision_id,level,source_system_a,source_record_id_a,source_system_b,source_record_id_b,reviewer\n"
    )
    for number, level in enumerate(("must_link", "unsure", "unsure")):
        with decisions.open("a", encoding="utf-8") as file:
            file.write(",".join((str(number), level, *asked[:4], "Rita")) + "\n")
        run(tmp_path, trained / "staged", tmp_path, decisions)
        found = pq.read_table(tmp_path / "linkage" / "person_crosswalk.parquet").to_pylist()
        at = {(r["source_system"], r["source_record_id"]): r["person_id"] for r in found}
        ids.append((at[asked[:2]], at[asked[2:4]]))
    assert ids[0][0] == ids[0][1] and ids[1] == ids[2] == asked[4:]
    events = Registry(tmp_path / "registry", "person").events()[len(Registry(night / "registry", "person").events()) :]
    assert {e.cause for e in events} == {"override"}


def test_any_files_are_linked_by_the_same_code(tmp_path: Path) -> None:
    linkage_population.write(tmp_path, "survey", seed=3, households=450)
    out = tmp_path / "out"
    given = ["--records", str(tmp_path / "records.parquet"), "--relationships", str(tmp_path / "relationships.parquet")]
    said = CliRunner().invoke(app, ["link", *given, "--duplicate-free", "census,registry", "--out", str(out)])
    assert said.exit_code == 0, said.output
    rows = pq.read_table(out / "person_crosswalk.parquet").to_pylist()
    people, families = len({r["person_id"] for r in rows}), read_json(out / "work" / "families.json")
    assert f"{len(rows):,} records" in said.output and f"{people:,} people" in said.output
    assert f"{families['families']:,} families" in said.output
    found = linkage.evaluate(out / "work", tmp_path / "truth")
    assert found.f1 >= 0.985 and found.exact >= 0.97
    assert pq.read_schema(out / "person_crosswalk.parquet").names == ["source_system", "source_record_id", "person_id"]
    assert pq.read_schema(out / "parent_child.parquet").names == [
        "child_person_id",
        "parent_person_id",
        "role",
        "evidence",
    ]
    assert pq.read_schema(out / "family_member.parquet").names == ["family_id", "person_id", "role"]
    assert (out / "scores.parquet").exists()
    assert "Linkage report" in (out / "report.html").read_text(encoding="utf-8")
    assert families["largest_family"] <= 15


def test_a_parent_is_told_once_by_what_is_known_of_the_role(tmp_path: Path) -> None:
    people = {"1": ("ANNA", "1990-04-05"), "2": ("BERT", "1988-07-09"), "3": ("CARLA", "2024-02-03")}
    records = write_table(
        [
            {"source_system": "x", "source_record_id": i, "first_name": f, "last_name": "SMITH", "birth_date": born}
            for i, (f, born) in people.items()
        ],
        tmp_path / "r.parquet",
    )
    stated = [("1", "parent_of"), ("1", "mother_of"), ("2", "parent_of")]
    kin = write_table(
        [
            {"source_system": "x", "source_record_id": i, "related_record_id": "3", "relationship": word}
            for i, word in stated
        ],
        tmp_path / "k.parquet",
    )
    linkage.link_files([records], tmp_path / "out", kin)
    id_of = {
        r["source_record_id"]: r["person_id"]
        for r in pq.read_table(tmp_path / "out" / "person_crosswalk.parquet").to_pylist()
    }
    edges = pq.read_table(tmp_path / "out" / "parent_child.parquet").to_pylist()
    assert sorted((e["parent_person_id"], e["role"]) for e in edges) == sorted(
        [(id_of["1"], "mother"), (id_of["2"], "parent")]
    )
    assert {e["child_person_id"] for e in edges} == {id_of["3"]} and {e["evidence"] for e in edges} == {"stated:x"}


def test_files_with_nothing_but_names_or_a_million_placeholders_still_end(tmp_path: Path) -> None:
    lines = [
        {"source_system": "x", "source_record_id": str(i), "first_name": "BABY BOY", "last_name": "UNKNOWN"}
        for i in range(3000)
    ]
    lines += [
        {"source_system": "y", "source_record_id": str(i), "first_name": f, "last_name": "SMITH"}
        for i, f in enumerate(["ANNA", "ANNA", "BERT", "CARLA"])
    ]
    records = write_table(lines, tmp_path / "r.parquet")
    summary = linkage.link_files([records], tmp_path / "out")
    assert summary["people"]["people"] >= 3000


def test_a_system_that_is_not_there_cannot_vouch_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("source_system,source_record_id,last_name\na,1,Gray\na,2,Moss\n")
    told = linkage.link_files([tmp_path / "in.csv"], tmp_path / "out", duplicate_free=("zoo", "a"))
    assert told["duplicate_free_unknown"] == ["zoo"]


def test_files_without_the_key_columns_are_refused(tmp_path: Path) -> None:
    records = write_table([{"first_name": "ANNA"}], tmp_path / "r.parquet")
    with pytest.raises(ValueError, match="source_record_id, source_system"):
        linkage.link_files([records], tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        linkage.link_files([tmp_path / "gone.csv"], tmp_path / "out")


@pytest.mark.parametrize("place", ["report.html", "scores.parquet", "work/records.parquet"])
def test_a_file_that_would_be_written_over_is_refused_and_stays(tmp_path: Path, place: str) -> None:
    file = tmp_path / "out" / place
    file.parent.mkdir(parents=True)
    file.write_text("source_system,source_record_id,last_name\na,1,Gray\n")
    done = CliRunner().invoke(app, ["link", "--records", str(file), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1 and f"{file.name} lies where the result is written" in " ".join(done.output.split())
    assert file.read_text().endswith("a,1,Gray\n")


def test_the_cut_is_a_date_not_the_clock(night: Path) -> None:
    dates = set(pq.read_table(night / "linkage" / "person_crosswalk.parquet")["valid_from"].to_pylist())
    assert dates == {CUT} and isinstance(next(iter(dates)), dt.date)


@pytest.mark.parametrize(
    ("why", "evidence", "birth", "people"),
    [
        ("three records disagree with the fourth for one reason: its own mistake", "pair", 7, [0, 0, 0, 0]),
        ("twins disagree for another reason", "twin", 0, [0, 0, 0, 3]),
        ("a generation apart is somebody else", "pair", 6, [0, 0, 0, 3]),
    ],
)
def test_one_mistake_is_not_counted_once_per_record(why: str, evidence: str, birth: int, people: list[int]) -> None:
    con = connect()
    con.execute("create table records as select range as rid, 'a' as source_system from range(4)")
    con.execute("create table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)")
    # 0, 1 and 2 are one; 3 resembles 2 and is unlike 0 and 1.
    con.execute(f"""
    create table edges as select * from (values
        (0, 1, 9.0, 'pair', 0), (0, 2, 9.0, 'pair', 0), (1, 2, 9.0, 'pair', 0), (2, 3, 7.0, 'pair', 0),
        (0, 3, -6.0, '{evidence}', {birth}), (1, 3, -6.0, '{evidence}', {birth})
    ) as t(rid_l, rid_r, weight, evidence, g_birth_date)
    """)
    form(con, "edges", 0.0, survey(con, ()))
    assert [p for (p,) in con.execute("select person from people order by rid").fetchall()] == people, why
    con.close()


def test_one_number_held_under_both_names_is_one_child_and_no_twins() -> None:
    con = connect()
    con.execute("""
    create table records as
    select rid, system as source_system, first as first_std, 'WASHBURNE' as last_std, null::varchar as middle_std,
        date '2020-10-04' as birth_date, null::varchar as birth_order, ['WASHBURNE'] as last_forms,
        [first] as first_forms, true as is_child, null::varchar as record_role, ssn, null::varchar as medicaid_id
    from (values (1, 'a', 'CHARLOTTE', '320958912'), (2, 'b', 'JESSICA', '718204433'), (3, 'c', 'JESSICA', '320958912'))
        as t(rid, system, first, ssn)
    """)
    con.execute("""
    create table edges as select *, -1 as g_middle_name from (values
        (1, 2, 3.0, 'pair', 6, 3, -1), (1, 3, 8.0, 'pair', 6, 0, -1), (2, 3, 9.0, 'pair', 1, 3, -1)
    ) as t(rid_l, rid_r, weight, evidence, g_given_name, g_ssn, g_medicaid_id)
    """)
    assert separate_twins(con, "edges", 0.0) == 0
    # Without the record that ties them, another name and another number are another child.
    con.execute("delete from edges where rid_r = 3")
    assert separate_twins(con, "edges", 0.0) == 1
    assert con.execute("select weight, evidence from edges").fetchall() == [(-5.0, "twin")]
    con.close()


@pytest.mark.parametrize(
    ("why", "names", "numbers", "born", "role", "twins"),
    [
        ("JAMES bears the number of HAMES and nearly both names: one child", "JAMIE HAMES JAMES", "-11", 2020, "", 0),
        ("nobody with a number bears both names", "JAMIE HAMES JAMES", "-1-", 2020, "", 1),
        ("twins who are no longer small", "FANNIE WILLIAM", "--", 2012, "child", 1),
        ("two adults of one birth date", "FANNIE WILLIAM", "--", 1990, "adult", 0),
    ],
)
def test_whom_the_twin_rule_keeps_apart(why: str, names: str, numbers: str, born: int, role: str, twins: int) -> None:
    con = connect()
    firsts = names.split()
    con.execute("""
    create table records (rid bigint, source_system varchar, first_std varchar, first_forms varchar[],
        last_std varchar, last_forms varchar[], middle_std varchar, birth_date date, birth_order varchar,
        is_child boolean, record_role varchar, ssn varchar, medicaid_id varchar)
    """)
    for i, (first, number) in enumerate(zip(firsts, numbers, strict=True)):
        con.execute(
            "insert into records values (?, ?, ?, [?], 'RANEY', ['RANEY'], null, ?, null, ?, nullif(?, ''), null, ?)",
            [i, f"system {i}", first, first, f"{born}-11-14", born == 2020, role, None if number == "-" else number],
        )
    # Levels: 1 the same name, 2 another form of it, 4 nearly the same, 6 unlike; numbers 0 the same, -1 not known.
    level = {("JAMIE", "HAMES"): 6, ("JAMIE", "JAMES"): 2, ("HAMES", "JAMES"): 4, ("FANNIE", "WILLIAM"): 6}  # fmt: skip
    con.execute("create table edges (rid_l bigint, rid_r bigint, weight double, evidence varchar, "
                "g_given_name tinyint, g_ssn tinyint, g_medicaid_id tinyint, g_middle_name tinyint)")  # fmt: skip
    for i, j in itertools.combinations(range(len(firsts)), 2):
        same = 0 if "-" not in (numbers[i], numbers[j]) else -1
        con.execute("insert into edges values (?, ?, 9, 'pair', ?, -1, ?, -1)",
                    [i, j, level[firsts[i], firsts[j]], same])  # fmt: skip
    assert separate_twins(con, "edges", 0.0) == twins, why
    con.close()


_ANN: dict[str, str | None] = {
    "first": "ANN",
    "dob": "1985-09-04",
    "ssn": "630314654",
    "medicaid": "M379601789",
    "sex": "F",
    "middle": "ROSE",
    "suffix": "SR",
    "order": "A",
}


def _says_twice(one: dict[str, str | None], other: dict[str, str | None]) -> bool:
    con = connect()
    con.execute("""
    create table records (rid bigint, source_system varchar, is_child boolean, first_std varchar, first_forms varchar[],
        last_std varchar, last_forms varchar[], middle_std varchar, dob varchar, birth_date date, sex varchar,
        suffix varchar, birth_order varchar, zips varchar[], ssn varchar, last4 varchar, medicaid_id varchar)
    """)
    con.execute("create table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)")
    for rid, r in enumerate((one, other)):
        con.execute(
            "insert into records values (?, 'medicaid', false, ?, case when ? is not null then [?] end, 'NOLL', "
            "['NOLL'], ?, ?, try_cast(? as date), ?, ?, ?, case when ? is not null then [?] end, ?, right(?, 4), ?)",
            [
                rid,
                *[r["first"]] * 3,
                r.get("middle"),
                *[r["dob"]] * 2,
                r["sex"],
                r.get("suffix"),
                r.get("order"),
                *[r.get("zip")] * 2,
                *[r["ssn"]] * 2,
                r["medicaid"],
            ],
        )
    assert written_twice(con, Scorer(con), ()) == 0, "no source vouches for having nobody twice"
    found = written_twice(con, Scorer(con), ("medicaid",)) == 1
    assert con.execute("select * from constraints").fetchall() == [(0, 1, "must", "written_twice")] * found
    con.close()
    return found


@pytest.mark.parametrize(
    ("why", "other", "is_one"),
    [
        ("both numbers; day and month exchanged", {"dob": "1985-04-09"}, True),
        ("both numbers; no birth date", {"dob": None}, True),
        ("both numbers; no given name", {"first": None}, True),
        ("one number and the given name; one digit of the birth date", {"dob": "1985-09-14", "ssn": None}, True),
        ("one number, a slip in the other", {"ssn": "630014654"}, True),
        ("numbers lent to a newborn", {"dob": "2019-09-04", "first": None}, False),
        ("both numbers; another given name", {"first": "ROBERTA"}, False),
        ("another social security number", {"ssn": "118224763"}, False),
        ("another sex", {"sex": "M"}, False),
        ("one number, no given name", {"first": None, "ssn": None}, False),
        ("no number", {"ssn": None, "medicaid": None, "dob": "1985-04-09"}, False),
        ("both numbers; the second of twins", {"order": "B"}, False),
        ("both numbers; JR where the other is SR", {"suffix": "JR"}, False),
        ("one number and all else word for word", {"medicaid": None}, True),
        ("one number and all else, but another middle name", {"medicaid": None, "middle": "KAY"}, False),
        ("one number and all else, the middle name as an initial", {"medicaid": None, "middle": "R"}, True),
        ("the social security number, surname and birth date", {"medicaid": None, "first": None}, True),
    ],
)
def test_a_source_that_contradicts_itself_is_not_believed(why: str, other: dict[str, str | None], is_one: bool) -> None:
    assert _says_twice(_ANN, _ANN | other) == is_one, why


@pytest.mark.parametrize(
    ("why", "zips", "middle", "is_one"),
    [
        ("all names, birth date, sex and ZIP", ("71001", "71001"), ("ROSE", "ROSE"), True),
        ("two homes: a common name", ("71001", "71003"), ("ROSE", "ROSE"), False),
        ("no home known, and the middle name", ("71001", None), ("ROSE", "ROSE"), True),
        ("no home known, no middle name", ("71001", None), ("ROSE", None), False),
    ],
)
def test_a_vouching_source_may_have_two_people_of_one_name_and_birth_date(
    why: str, zips: tuple[str | None, ...], middle: tuple[str | None, ...], is_one: bool
) -> None:
    none: dict[str, str | None] = {"ssn": None, "medicaid": None}
    one, other = (_ANN | none | {"zip": z, "middle": m} for z, m in zip(zips, middle, strict=True))
    assert _says_twice(one, other) == is_one, why


def test_two_unnamed_children_under_one_number_may_be_twins() -> None:
    unnamed: dict[str, str | None] = {"first": None, "dob": "2020-11-14", "sex": None}
    assert not _says_twice(_ANN | unnamed, _ANN | unnamed)
    assert _says_twice(_ANN | unnamed, _ANN | unnamed | {"first": "ANN"})


@pytest.mark.parametrize(
    ("one", "other", "is_exchanged"),
    [
        (("JONES", "JANE"), ("JANE", "JONES"), True),  # alike, and still exchanged
        (("MARIA", "LOPEZ"), ("LOPEZ", "MARIA"), True),
        (("JANE", "JONES"), ("JANE", "JONES"), False),
        (("JAMES", "JAMES"), ("JAMES", "JAMES"), False),
        (("SCOTT", "MILLER"), ("MARY", "SCOTT"), False),  # a family's names, not one person's
    ],
)
def test_given_name_and_surname_exchanged(one: tuple[str, str], other: tuple[str, str], is_exchanged: bool) -> None:
    comparison = BY_NAME["given_name"]
    level = next(i for i, at in enumerate(comparison.levels) if "exchanged" in at.words)
    sides = ", ".join(
        f"'{first}' as first_std_{side}, ['{first}'] as first_forms_{side}, '{last}' as last_std_{side}, "
        f"['{last}'] as last_forms_{side}, null::varchar as middle_std_{side}"
        for side, (first, last) in (("l", one), ("r", other))
    )
    with connect() as con:
        found = con.execute(f"select {level_sql(comparison)} from (select {sides})").fetchall()[0][0]
    assert (found == level) == is_exchanged


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("ROBERT", "ROBERT", 0),
        ("R", "ROBERT", 1),
        ("ROBERT", "ROBRT", 1),
        ("ROBERT", "ROMAN", 2),  # two names, whatever they begin with
        ("J", "ROBERT", 2),
    ],
)
def test_middle_names(one: str, other: str, level: int) -> None:
    with connect() as con:
        sides = f"(select '{one}' as middle_std_l, '{other}' as middle_std_r)"
        found = con.execute(f"select {level_sql(BY_NAME['middle_name'])} from {sides}").fetchall()
    assert found == [(level,)]


def test_what_the_warehouse_reads_of_a_person_and_of_the_matching(tmp_path: Path) -> None:
    with connect() as con:
        scored(con, tmp_path, [
            {"first": "ANN", "last": "RANEY", "born": "1990-02-03", "zip": "71001-1234", "system": "court"},
            {"first": "ANN", "last": "RANEY", "born": "1990-02-03", "zip": "K1A 0B1", "system": "medicaid"},
            {"first": "BABY GIRL", "last": "TIBBS", "born": "2025-02-03", "system": "medicaid", "ssn": "320-95-8912"},
        ])  # fmt: skip
        con.execute("create table crosswalk as select rid, source_system, source_record_id, "
                    "case when source_record_id = '3' then 'Q' else 'P' end as person_id from records")  # fmt: skip
        _write_facts(con, tmp_path)
    facts = pq.read_table(tmp_path / "person_facts.parquet").to_pylist()
    told = [(f["person_id"], f["zip3"], f["birth_date"], f["has_ssn"], f["has_placeholder_name"]) for f in facts]
    ann, baby = dt.date(1990, 2, 3), dt.date(2025, 2, 3)
    assert told == [("P", "710", ann, False, False), ("P", None, ann, False, False), ("Q", None, baby, True, True)]
    rates = {
        (r["system_a"], r["population"]): (r["n_a"], r["n_linked"], r["rate"])
        for r in pq.read_table(tmp_path / "match_rates.parquet").to_pylist()
    }
    assert rates == {
        ("court", "all"): (1, 1, 1.0), ("court", "adults"): (1, 1, 1.0), ("court", "named"): (1, 1, 1.0),
        ("court", "ssn_absent"): (1, 1, 1.0),
        ("medicaid", "all"): (2, 1, 0.5), ("medicaid", "adults"): (1, 1, 1.0), ("medicaid", "children"): (1, 0, 0.0),
        ("medicaid", "named"): (1, 1, 1.0), ("medicaid", "placeholder_name"): (1, 0, 0.0),
        ("medicaid", "ssn_absent"): (1, 1, 1.0), ("medicaid", "ssn_present"): (1, 0, 0.0),
    }  # fmt: skip


def test_neither_a_stated_parent_nor_twins_the_model_tells_apart_are_asked_about() -> None:
    con = connect()
    con.execute("""
    create table records as
    select range as rid, 'a' as source_system, range::varchar as source_record_id, range % 2 = 1 as is_child,
        null::varchar as ssn, null::varchar as medicaid_id, null::varchar as dob, null::varchar as first_std,
        null::varchar[] as addr_keys
    from range(8)
    """)
    con.execute("create table constraints (rid_a bigint, rid_b bigint, kind varchar, reason varchar)")
    con.execute("create table people as select rid, rid as person from records")
    con.execute("create table stated as select 0 as rid_a, 1 as rid_b, 'father_of' as relationship")
    con.execute("create table refused (rid_l bigint, rid_r bigint, weight double)")
    con.execute("""
    create table edges as select *, 0 as g_given_name, 0 as g_birth_date from (values
        (0, 1, 0.5, 'pair'), (2, 3, 0.5, 'pair'), (4, 5, -5.0, 'twin'), (6, 7, -9.0, 'twin')
    ) as t(rid_l, rid_r, weight, evidence)
    """)
    card: Any = SimpleNamespace(thresholds=SimpleNamespace(review_low=-3.0, review_high=2.5))
    _review(con, card, [])
    asked = con.execute("select reason, source_record_id_a from review order by 2").fetchall()
    assert asked == [("uncertain", "2"), ("twin", "4")]
    con.close()
