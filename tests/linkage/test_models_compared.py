"""A new model is shown beside the one in use before it is adopted, and each night is held against the training."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from linkage_helpers import CUT

import linkage
from linkage import compare, drift
from pipelines import night as nights
from pipelines.night import Night, NightError, adopt_model, train_model
from pipelines.storage import Home

STRICTER = 6.0


def _model(source: Path, target: Path, **changes: Any) -> Path:
    """A copy of a model folder, its card changed."""
    shutil.copytree(source, target)
    card = json.loads((target / "card.json").read_text(encoding="utf-8"))
    card |= {"name": target.name, **changes}
    (target / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def beside(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A second model, as training would leave it: the first one with a threshold six doublings of the odds higher."""
    home = tmp_path_factory.mktemp("beside")
    shutil.copytree(trained / "linkage", home / "linkage")
    first = _model(trained / "models" / "first", home / "models" / "first")
    before = _fingerprints(home / "linkage")

    def stricter(linkage_dir: Path, models_dir: Path, name: str | None) -> linkage.ModelCard:
        card = json.loads((first / "card.json").read_text(encoding="utf-8"))
        card["thresholds"]["join"] += STRICTER
        return linkage.load(_model(first, models_dir / (name or "second"), thresholds=card["thresholds"]))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compare, "train", stricter)
        card, told = linkage.train_beside(home / "linkage", home / "models", first, home / "registry", CUT)
    return SimpleNamespace(home=home, first=first, card=card, told=told, before=before)


def _fingerprints(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_what_nights_work_with_is_untouched_by_a_training(beside: SimpleNamespace) -> None:
    assert _fingerprints(beside.home / "linkage") == beside.before


def test_a_stricter_model_only_takes_people_apart(beside: SimpleNamespace) -> None:
    told, old, new = beside.told, *(beside.told["models"][k] for k in ("old", "new"))
    assert new["thresholds"]["join"] == old["thresholds"]["join"] + STRICTER
    assert told["people"]["merged"] == 0 and told["people"]["split"] > 0
    # Whoever is not split stays.
    assert told["people"]["unchanged"] + told["people"]["split"] == old["people"]
    assert new["people"] > old["people"]
    assert new["pairs"] == old["pairs"] > 0 and new["share_above"] < old["share_above"]
    assert old["versions"] == new["versions"] == linkage.load(beside.first).versions


def test_every_weight_is_told_for_both(beside: SimpleNamespace) -> None:
    card = linkage.load(beside.first)
    levels = sum(len(m) for mixture in card.mixtures.values() for m in mixture.m.values())
    assert len(beside.told["weights"]) == levels
    assert all(line["old"] == line["new"] for line in beside.told["weights"]), "only the threshold was changed"
    agree = {(w["model"], w["comparison"], w["level"]): w["new"] for w in beside.told["weights"]}
    assert agree["adult", "birth_date", "birth date agrees"] > 5 > 0 > agree["adult", "sex", "sex differs"]


def test_the_differences_lie_with_the_model_and_hold_no_persons_value(trained: Path, beside: SimpleNamespace) -> None:
    text = (beside.card.path / "differences.json").read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(json.dumps(beside.told))
    names = set(pq.read_table(trained / "linkage" / "records.parquet")["last_std"].to_pylist()) - {None}
    assert not {n for n in names if len(n) > 3 and f'"{n}"' in text}


def test_the_records_whose_company_changes_are_listed(beside: SimpleNamespace) -> None:
    lines = pq.read_table(beside.card.path / "people_changed.parquet").to_pylist()
    assert len(lines) == beside.told["people"]["records_moved"] > 0
    assert set(lines[0]) == {"source_system", "source_record_id", "person_id", "person_in_use", "person_new"}
    apart: dict[int, set[int]] = {}
    for line in lines:
        apart.setdefault(line["person_in_use"], set()).add(line["person_new"])
    assert len(apart) == beside.told["people"]["split"]
    assert all(len(new) > 1 for new in apart.values()), "nobody is listed who stays whole"


def test_the_model_in_use_trained_once_more_keeps_what_it_was_compared_with(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use = _model(trained / "models" / "first", tmp_path / "models" / "first")
    (in_use / "differences.json").write_text('{"people": {"merged": 3}}', encoding="utf-8")
    before = _fingerprints(in_use)

    def once_more(linkage_dir: Path, models_dir: Path, name: str | None) -> linkage.ModelCard:
        return linkage.load(_model(in_use, models_dir / "first"))

    monkeypatch.setattr(compare, "train", once_more)
    card, told = linkage.train_beside(trained / "linkage", tmp_path / "models", in_use, tmp_path / "registry", CUT)
    assert card.path == in_use and told["people"]["records_moved"] == 0
    assert _fingerprints(in_use) == before


def test_people_who_merge_split_and_stay_are_counted() -> None:
    con = duckdb.connect()
    # 1+2 become one; 3,4,5 come apart into 3+4 and 5; 6,7 stay; 8 goes from 8+9 to 10.
    con.execute("create table people_old as select * from (values (1, 1), (2, 2), (3, 3), (4, 3), (5, 3), (6, 6), "
                "(7, 6), (8, 8), (9, 8), (10, 10)) t(rid, person)")  # fmt: skip
    con.execute("create table people_new as select * from (values (1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 6), "
                "(7, 6), (8, 10), (9, 9), (10, 10)) t(rid, person)")  # fmt: skip
    assert compare._people(con) == {"merged": 2, "split": 2, "unchanged": 1, "records_moved": 8}


def test_a_model_is_never_overwritten_and_not_kept_twice(trained: Path, tmp_path: Path) -> None:
    first, models = trained / "models" / "first", tmp_path / "models"
    kept = compare._kept(linkage.load(_model(first, tmp_path / "a" / "autumn")), models)
    again = compare._kept(linkage.load(_model(first, tmp_path / "b" / "autumn")), models)
    other = compare._kept(linkage.load(_model(first, tmp_path / "c" / "autumn", fingerprint="another")), models)
    assert (kept.name, again.name, other.name) == ("autumn", "autumn", "autumn-2")
    assert sorted(p.name for p in models.iterdir()) == ["autumn", "autumn-2"]
    assert linkage.load(models / "autumn").fingerprint != linkage.load(models / "autumn-2").fingerprint == "another"
    with pytest.raises(linkage.ModelError, match="not overwritten"):
        linkage.train_beside(trained / "linkage", models, models / "autumn", tmp_path, CUT, name="autumn")


def test_beside_a_model_that_cannot_be_loaded_the_new_one_is_described_alone(
    beside: SimpleNamespace, tmp_path: Path
) -> None:
    old = _model(beside.first, tmp_path / "old", versions={"splink": "4.0.0"})
    told = compare.compare(beside.home / "linkage", linkage.load(beside.first), old, tmp_path / "registry", CUT)
    assert "splink 4.0.0" in told["not_comparable"] and told["people"] is None
    assert told["models"]["new"]["people"] > 0
    assert {line["old"] for line in told["weights"]} == {None}


def _cut_short(model: Path, file: str) -> None:
    (model / file).write_bytes((model / file).read_bytes()[:200])


def _changed(model: Path, **changes: Any) -> None:
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    (model / "card.json").write_text(json.dumps({**card, **changes}), encoding="utf-8")


#: What breaks a model, and the file the message names.
DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "Splink's own file cut short": (lambda m: _cut_short(m, "adult.json"), "adult.json"),
    "one Splink file less": (lambda m: (m / "child.json").unlink(), "child.json"),
    "card cut short": (lambda m: _cut_short(m, "card.json"), "card.json"),
    "card of no text": (lambda m: (m / "card.json").write_bytes(b"\xff\xfe\x00"), "card.json"),
    "card of nothing": (lambda m: (m / "card.json").write_text("{}"), "card.json"),
    "card that is a list": (lambda m: (m / "card.json").write_text("[]"), "card.json"),
    "no threshold": (lambda m: _changed(m, thresholds={"join": None, "keep": 1, "review_low": 1, "review_high": 2,
                                                       "how": ""}), "card.json"),
    "no models": (lambda m: _changed(m, mixtures={}), "card.json"),
    "rules without limits": (lambda m: _changed(m, blocking=[{"name": "ssn"}]), "card.json"),
    "no frequencies": (lambda m: shutil.rmtree(m / "frequencies"), "frequencies/first_std.parquet"),
    "one frequency file less": (lambda m: (m / "frequencies" / "last_std.parquet").unlink(),
                                "frequencies/last_std.parquet"),
    "frequencies cut short": (lambda m: _cut_short(m, "frequencies/last_std.parquet"), "frequencies/last_std.parquet"),
    "frequencies of another column": (
        lambda m: shutil.copyfile(m / "frequencies" / "first_std.parquet", m / "frequencies" / "last_std.parquet"),
        "frequencies/last_std.parquet",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_model_is_refused_in_plain_words_that_name_the_file(
    trained: Path, deployment: Home, what: str
) -> None:
    damage, file = DAMAGES[what]
    good, broken = (_model(trained / "models" / "first", deployment.models_dir / n) for n in ("good", "broken"))
    damage(broken)
    with pytest.raises(linkage.ModelError, match=f"{file} of the model broken is missing or damaged"):
        linkage.load(broken)
    adopt_model(deployment, "good")
    with pytest.raises(linkage.ModelError, match=file):
        adopt_model(deployment, "broken")
    assert Night(deployment).model_dir() == good
    with pytest.raises(linkage.ModelError, match=file):
        linkage.score(trained / "linkage", broken)


@pytest.mark.parametrize("what", ["card cut short", "one frequency file less"])
def test_beside_a_damaged_model_training_goes_on_and_says_that_it_compared_nothing(
    trained: Path, beside: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    damage, file = DAMAGES[what]
    in_use = _model(beside.first, tmp_path / "models" / "2025-06")
    damage(in_use)
    # The same records teach the same model, under the same name.
    monkeypatch.setattr(
        compare, "train", lambda _, to, name: linkage.load(_model(beside.first, to / "2025-06", reference={}))
    )
    card, told = linkage.train_beside(beside.home / "linkage", in_use.parent, in_use, tmp_path / "registry", CUT)
    assert card.name == "2025-06-2", "the damaged one is left as it is"
    assert file in told["not_comparable"] and told["people"] is None
    assert linkage.load(in_use.parent / "2025-06-2").thresholds == linkage.load(beside.first).thresholds


def test_a_night_says_what_is_wrong_with_its_model_whatever_showed_it(deployment: Home) -> None:
    said = "linkage.model.ModelError: card.json of the model spring is missing or damaged: train a new one"
    found = SimpleNamespace(cls_name="JSONDecodeError", message="Expecting value", cause=None)
    plain = SimpleNamespace(cls_name="ModelError", message=said, cause=found)
    failed = SimpleNamespace(cls_name="DagsterExecutionStepExecutionError", message="step failed", cause=plain)

    def reason(error: Any) -> str:
        return nights._reason(SimpleNamespace(step_failure_data=SimpleNamespace(user_failure_data=None, error=error)))

    assert reason(failed) == said.removeprefix("linkage.model.ModelError: ")
    assert reason(found) == "unexpected JSONDecodeError" and reason(None) == "no reason recorded"


# --- which model nights use ---------------------------------------------------------------------------------------


@pytest.fixture
def deployment(trained: Path, tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.delivery_log.parent.mkdir(parents=True)
    shutil.copy(Path(nights.__file__).parent / "templates" / "jurisdiction.yml", home.jurisdiction)
    home.delivery_log.write_text(json.dumps({"status": "accepted", "received_on": "2025-06-30"}) + "\n")
    return home


def test_nights_use_the_adopted_model(trained: Path, deployment: Home) -> None:
    first, models = trained / "models" / "first", deployment.models_dir
    with pytest.raises(NightError, match="kinweave train"):
        Night(deployment).model_dir()
    for name in ("spring", "autumn"):
        _model(first, models / name)
    _model(first, models / "foreign", versions={"splink": "4.1.0"})
    (models / "stopped").mkdir()
    assert adopt_model(deployment, "spring").name == "spring"
    assert Night(deployment).model_dir() == models / "spring"
    assert adopt_model(deployment, "autumn").name == "autumn"
    for refused in ("stopped", "gone", "foreign", "../home", ".hidden"):
        with pytest.raises(linkage.ModelError):
            adopt_model(deployment, refused)
    assert Night(deployment).model_dir() == models / "autumn"


def test_a_taken_name_is_said_before_anything_is_done(
    trained: Path, deployment: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _model(trained / "models" / "first", deployment.models_dir / "spring")
    monkeypatch.setattr(nights, "run_night", lambda *a, **k: pytest.fail("the records were made first"))
    with pytest.raises(linkage.ModelError, match="not overwritten"):
        nights.train_model(deployment, "spring")


def test_only_the_first_model_is_adopted_by_itself(
    trained: Path, deployment: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, models = trained / "models" / "first", deployment.models_dir
    monkeypatch.setattr(nights, "run_night", lambda *a, **k: SimpleNamespace(success=True, failures={}))
    monkeypatch.setattr(linkage, "write_charts", lambda *a: None)
    monkeypatch.setattr(linkage, "train", lambda _, to, name: linkage.load(_model(first, to / name)))

    def beside_it(
        _: Path, to: Path, in_use: Path, registry: Path, cut: dt.date, decisions: Path | None, name: str
    ) -> tuple[linkage.ModelCard, dict[str, Any]]:
        assert cut == CUT and decisions is None
        return linkage.load(_model(first, to / name)), {"than": in_use.name}

    monkeypatch.setattr(linkage, "train_beside", beside_it)
    done = train_model(deployment, "one", received_on=dt.date(2025, 7, 1))
    assert (done.is_adopted, done.differences) == (True, None)
    done = train_model(deployment, "two")
    assert (done.is_adopted, done.differences) == (False, {"than": "one"})
    assert Night(deployment).model_dir() == models / "one"
    done = train_model(deployment, "three", adopt=True, received_on=dt.date(2025, 9, 1))
    assert (done.is_adopted, done.differences) == (True, {"than": "one"})
    assert Night(deployment).model_dir() == models / "three"
    used = {"2025-06-30": "one", "2025-07-01": "one", "2025-08-31": "one", "2025-09-01": "three", "2026-01-01": "three"}
    for day, name in used.items():
        assert Night(deployment, as_of=dt.date.fromisoformat(day)).model_dir() == models / name, day
    # The model in use is gone: training goes on, and the new one is not adopted unasked.
    (models / "three" / "card.json").unlink()
    with pytest.raises(NightError, match="three, the model in use that day"):
        Night(deployment, as_of=dt.date(2025, 9, 1)).model_dir()
    done = train_model(deployment, "four")
    assert (done.is_adopted, done.differences) == (False, {"than": "three"})
    assert adopt_model(deployment, "four").name == "four"


def test_a_deployment_without_a_log_of_adoptions_keeps_its_model_for_earlier_days(
    trained: Path, deployment: Home
) -> None:
    models = deployment.models_dir
    for name in ("spring", "autumn"):
        _model(trained / "models" / "first", models / name)
    (models / "current").write_text("spring\n")
    assert Night(deployment, as_of=dt.date(2025, 8, 1)).model_dir() == models / "spring"
    adopt_model(deployment, "autumn")
    assert Night(deployment, as_of=dt.date(2025, 8, 1)).model_dir() == models / "spring"
    assert Night(deployment).model_dir() == models / "autumn"


def test_a_model_for_other_levels_of_comparison_is_refused(trained: Path, tmp_path: Path) -> None:
    first = trained / "models" / "first"
    mixtures = json.loads((first / "card.json").read_text(encoding="utf-8"))["mixtures"]
    mixtures["adult"]["m"]["sex"] = [0.98, 0.01, 0.01]
    with pytest.raises(linkage.ModelError, match="other comparisons"):
        linkage.load(_model(first, tmp_path / "old", mixtures=mixtures))


# --- drift --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("then", "now", "index"),
    [
        ({"a": 50, "b": 50}, {"a": 500, "b": 500}, 0.0),
        # 0.1 ln 1.2 - 0.1 ln 0.8
        ({"a": 50, "b": 50}, {"a": 60, "b": 40}, 0.040547),
        # A class nobody was in counts as one in ten thousand: 0.0999 ln 1000 + (0.9 - 1) ln 0.9
        ({"a": 10}, {"a": 9, "b": 1}, 0.700621),
        ({}, {"a": 9}, 0.0),
    ],
)
def test_the_stability_index(then: dict[str, int], now: dict[str, int], index: float) -> None:
    assert drift.stability_index(then, now) == pytest.approx(index, abs=1e-6)


@pytest.mark.parametrize(
    ("records", "missing", "psi", "outcome"),
    [
        # From one in ten missing: (now - 0.1) ln(now / 0.1) + (0.1 - now) ln((1 - now) / 0.9)
        (1000, 200, 0.0811, "steady"),
        (1000, 250, 0.1648, "watch"),
        (1000, 500, 0.8789, "drifted"),
        (599, 300, 0.8821, "too_few"),
    ],
)
def test_a_field_that_is_left_out_more_often(records: int, missing: int, psi: float, outcome: str) -> None:
    def night(n: int, without: int) -> dict[str, Any]:
        gaps = {field: without if field == "ssn" else 0 for field in drift.FIELDS}
        return {"levels": {}, "weights": {}, "records": {"court": n}, "missing": {"court": gaps}}

    lines = drift.compared(night(1000, 100), night(records, missing))
    found = {line["subject"]: line for line in lines}
    assert (found["missing ssn"]["psi"], found["missing ssn"]["outcome"]) == (psi, outcome)
    assert found["missing zip"]["psi"] == 0.0


def test_a_new_system_and_a_vanished_one_are_drift_in_the_shares() -> None:
    def night(**records: int) -> dict[str, Any]:
        return {"levels": {}, "weights": {}, "records": records, "missing": {s: {} for s in records}}

    for then, now in ((night(court=900), night(court=900, medicaid=300)), (night(a=800, b=700), night(a=800))):
        shares = drift.compared(then, now)[0]
        assert (shares["subject"], shares["outcome"]) == ("records per system", "drifted")


def test_the_records_of_the_training_have_not_drifted(trained: Path, tmp_path: Path) -> None:
    for file in ("records.parquet", "edges.parquet"):
        shutil.copyfile(trained / "linkage" / file, tmp_path / file)
    told = linkage.check_drift(tmp_path, trained / "models" / "first")
    assert told["compared"] > 10 and told["largest_index"] == 0.0
    assert told["drifted"] == told["watch"] == 0 and told["has_reference"] and not told["other_libraries"]
    lines = pq.read_table(tmp_path / "quality" / "drift.parquet").to_pylist()
    assert len(lines) == told["compared"] + told["too_few"]
    assert {line["n"] == line["n_in_training"] for line in lines} == {True}


def test_a_system_that_loses_its_numbers_is_named(trained: Path, tmp_path: Path) -> None:
    shutil.copyfile(trained / "linkage" / "edges.parquet", tmp_path / "edges.parquet")
    con = duckdb.connect()
    source = trained / "linkage" / "records.parquet"
    largest = con.execute(f"select source_system from '{source}' group by 1 order by count(*) desc limit 1").fetchone()
    assert largest
    con.execute(
        f"copy (select * replace (case when source_system <> '{largest[0]}' then sex end as sex) from '{source}') "
        f"to '{tmp_path / 'records.parquet'}' (format parquet)"
    )
    told = linkage.check_drift(tmp_path, trained / "models" / "first")
    assert told["drifted_names"] == [f"missing sex ({largest[0]})"]


def test_a_model_without_counts_or_of_other_libraries_says_so(trained: Path, tmp_path: Path) -> None:
    for file in ("records.parquet", "edges.parquet"):
        shutil.copyfile(trained / "linkage" / file, tmp_path / file)
    first = trained / "models" / "first"
    libraries = linkage.load(first).versions
    old = _model(first, tmp_path / "old", reference={}, versions={**libraries, "duckdb": "1.4.0"})
    told = linkage.check_drift(tmp_path, old)
    assert not told["has_reference"] and told["compared"] == 0
    assert told["other_libraries"] == ["duckdb"]


def test_a_card_says_where_nothing_was_learned(trained: Path, tmp_path: Path) -> None:
    card = replace(linkage.load(trained / "models" / "first"), path=tmp_path)
    card.save()
    assert "the shares are the usual" not in (tmp_path / "card.md").read_text(encoding="utf-8")
    card.mixtures["adult"].is_learned = False
    card.save()
    assert (tmp_path / "card.md").read_text(encoding="utf-8").count("the shares are the usual") == 1
    shutil.copyfile(trained / "models" / "first" / "adult.json", tmp_path / "adult.json")
    shutil.copyfile(trained / "models" / "first" / "child.json", tmp_path / "child.json")
    shutil.copytree(trained / "models" / "first" / "frequencies", tmp_path / "frequencies")
    read = linkage.load(tmp_path).mixtures
    assert (read["adult"].is_learned, read["child"].is_learned) == (False, True)
