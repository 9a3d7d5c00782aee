"""A night that scores only what changed ends where a full night ends."""

from __future__ import annotations

import datetime as dt
import json
import random
import shutil
from pathlib import Path
from typing import Any

import duckdb
import linkage_population
import pyarrow.parquet as pq
import pytest
from linkage_helpers import CUT, write_table

import linkage
from linkage.person import blocking, nightly
from linkage.person import edges as edge_work
from linkage.person.comparisons import BY_NAME
from linkage.person.scoring import FREQUENCIES, Scorer, splink_settings
from linkage.person.weights import weight_sql
from linkage.store import connect

SECRET = b"a test, not a secret"
ARTEFACTS = ("edges", "person_crosswalk", "parent_child", "family_member", "match_rates")


def deliver(staged: Path, target: Path, day: int) -> None:
    """The staged records of another day: some deleted, some corrected, some new."""
    shutil.copytree(staged, target)
    draw = random.Random(day)
    for path in sorted(target.glob("*__person_records.parquet")):
        lines: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        kept = [line for line in lines if draw.random() > 0.01]
        for line in kept:
            if draw.random() < 0.01:
                line[draw.choice(["last_name", "zip", "birth_date", "first_name"])] = draw.choice(
                    [None, lines[0]["last_name"]]
                )
        new = [{**draw.choice(lines), "source_record_id": f"new-{day}-{i}"} for i in range(len(lines) // 100)]
        write_table(kept + new, path)


def night(home: Path, staged: Path, folder: Path, full: bool) -> dict[str, Any]:
    work = folder / "linkage"
    linkage.build_records(staged, work)
    summary = linkage.score(work, home / "models" / "first", full=full)
    linkage.resolve(work, folder / "registry", CUT, SECRET)
    linkage.build_families(work, folder / "registry", CUT, SECRET)
    return summary


def test_nights_of_changes_equal_full_nights(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small blocks cross their limits here as large ones do in a state.
    limits = {rule.name: 3 for rule in blocking.RULES}
    monkeypatch.setattr(nightly, "limits_of", lambda card: limits)
    assert night(trained, trained / "staged", tmp_path / "some", full=False)["is_full"]
    shutil.copytree(tmp_path / "some", tmp_path / "full")
    for day in (1, 2):
        staged = tmp_path / f"staged-{day}"
        deliver(trained / "staged", staged, day)
        some = night(trained, staged, tmp_path / "some", full=False)
        night(trained, staged, tmp_path / "full", full=True)
        assert not some["is_full"] and some["records_changed"] > 10 and some["records_in_crossed_blocks"] > 0
        for name in ARTEFACTS:
            one, other = (tmp_path / kind / "linkage" / f"{name}.parquet" for kind in ("some", "full"))
            assert pq.read_table(one).equals(pq.read_table(other)), (day, name)


def test_the_first_night_after_training_finds_the_work_done(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "linkage", tmp_path / "linkage")
    summary = linkage.score(tmp_path / "linkage", trained / "models" / "first")
    assert not summary["is_full"] and summary["records_changed"] == 0
    before = (tmp_path / "linkage" / "edges.parquet").read_bytes()
    assert linkage.score(tmp_path / "linkage", trained / "models" / "first", full=True)["is_full"]
    assert (tmp_path / "linkage" / "edges.parquet").read_bytes() == before


@pytest.mark.parametrize("spoilt", ["scored/state.json", "scored/records.parquet", "edges.parquet"])
@pytest.mark.parametrize("is_gone", [True, False])
@pytest.mark.parametrize("is_changed", [True, False])
def test_a_state_that_is_not_whole_means_a_full_night(
    trained: Path, tmp_path: Path, spoilt: str, is_gone: bool, is_changed: bool
) -> None:
    shutil.copytree(trained / "linkage", tmp_path / "linkage")
    staged = trained / "staged"
    if is_changed:
        deliver(staged, tmp_path / "staged", day=1)
        staged = tmp_path / "staged"
    linkage.build_records(staged, tmp_path / "linkage")
    path = tmp_path / "linkage" / spoilt
    if is_gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-200] + b" " * 200)
    assert linkage.score(tmp_path / "linkage", trained / "models" / "first")["is_full"]


def test_the_day_of_a_delivery_changes_no_score_and_a_name_does(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "linkage", tmp_path / "linkage")
    shutil.copytree(trained / "staged", tmp_path / "staged")
    path = sorted((tmp_path / "staged").glob("*__person_records.parquet"))[0]
    lines: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    lines[0]["delivered_on"] -= dt.timedelta(days=3)
    write_table(lines, path)
    linkage.build_records(tmp_path / "staged", tmp_path / "linkage")
    assert linkage.score(tmp_path / "linkage", trained / "models" / "first")["records_changed"] == 0
    lines[0]["last_name"] = "SOMEBODY"
    write_table(lines, path)
    linkage.build_records(tmp_path / "staged", tmp_path / "linkage")
    assert linkage.score(tmp_path / "linkage", trained / "models" / "first")["records_changed"] == 1


def test_another_model_means_a_full_night(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "linkage", tmp_path / "linkage")
    shutil.copytree(trained / "models" / "first", tmp_path / "other")
    card = tmp_path / "other" / "card.json"
    data = json.loads(card.read_text(encoding="utf-8"))
    data["thresholds"]["keep"] -= 1
    card.write_text(json.dumps(data), encoding="utf-8")
    assert linkage.score(tmp_path / "linkage", tmp_path / "other")["is_full"]


def test_a_look_at_single_values_loses_no_pair_that_matters(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, con = linkage.load(trained / "models" / "first"), connect()
    edge_work.load_records(con, str(trained / "linkage" / "records.parquet"))
    scorer = Scorer(con, card.path / "frequencies")
    # What blocking proposes, and people of one name or day whom it would not; at a lower floor than the night's, where
    # there is more to lose.
    blocking.block(con, card.duplicate_free, {rule.name: 300 for rule in blocking.RULES})
    con.execute("""
    insert into pairs
    select l.rid, r.rid, l.is_child or r.is_child, true from records l join records r on l.rid < r.rid
      and (l.first_std = r.first_std or l.dob = r.dob or l.last_std = r.last_std) and hash(l.rid, r.rid) % 20 = 0
    anti join pairs p on p.rid_l = l.rid and p.rid_r = r.rid
    """)
    pairs = con.execute("select count(*) from pairs").fetchall()[0][0]
    monkeypatch.setattr(edge_work, "MANY_PAIRS", 0)
    edge_work.score_pairs(con, scorer, card.mixtures, "pairs", "swift", "pair", floor=-25)
    looked_closer = con.execute("select count(*) from kw_possible").fetchall()[0][0]
    monkeypatch.setattr(edge_work, "MANY_PAIRS", pairs)
    edge_work.score_pairs(con, scorer, card.mixtures, "pairs", "slow", "pair", floor=-25)
    found, lost = con.execute(
        "select count(*), count(*) filter (s.weight is null) from slow e left join swift s using (rid_l, rid_r, weight)"
    ).fetchall()[0]
    assert lost == 0 and found > 3000
    # And it does spare the work: most pairs are not looked at closer.
    assert looked_closer < pairs / 2
    con.close()


def test_weights_are_those_of_splink(trained: Path) -> None:
    from splink import DuckDBAPI, Linker

    card, con = linkage.load(trained / "models" / "first"), connect()
    edge_work.load_records(con, str(trained / "linkage" / "records.parquet"))
    scorer = Scorer(con, card.path / "frequencies")
    con.execute(
        f"create table chosen as select rid_l, rid_r from '{trained / 'linkage' / 'edges.parquet'}' "
        "order by hash(rid_l, rid_r) limit 2000"
    )
    mixture = card.mixtures["adult"]
    mixture.kin = {}
    scorer.levels(
        [BY_NAME[n] for n in mixture.comparisons], "chosen", "ours", f"rid_l, rid_r, {weight_sql(mixture)} as w"
    )
    api = DuckDBAPI(con)
    linker = Linker(api.register("records", table_name="r"), splink_settings(mixture), log_level=None)
    for column in FREQUENCIES:
        table = api.register(f"kw_tf_{column}", table_name=f"frequency_{column}")
        linker.table_management.register_term_frequency_lookup(table, column)
    con.execute("create table asked as select '0' as match_key, rid_l as join_key_l, rid_r as join_key_r from chosen")
    linker.table_management.register_blocked_pairs_for_predict(api.register("asked"))
    theirs = linker.inference.predict(warning_mode="never").physical_name
    n, worst = con.execute(
        f"select count(*), max(abs(w - match_weight)) from ours join {theirs} using (rid_l, rid_r)"
    ).fetchall()[0]
    assert n > 1000 and worst < 1e-9
    con.close()


def test_a_million_identical_placeholder_names_are_not_compared_with_each_other(tmp_path: Path) -> None:
    con = connect()
    con.execute("""
    create table given as select 'x' as source_system, i::varchar as source_record_id, 'BABY BOY' as first_name,
        'SMITH' as last_name, '2024-05-01' as birth_date, 'M' as sex, '71001' as zip from range(200000) t(i)
    """)
    con.execute(f"copy given to '{tmp_path / 'records.parquet'}' (format parquet)")
    con.close()
    linkage_population.write(tmp_path / "some", "survey", seed=4, households=60)
    summary = linkage.link_files(
        [tmp_path / "records.parquet", tmp_path / "some" / "records.parquet"], tmp_path / "out"
    )
    assert summary["scoring"]["pairs"] < 200_000
    assert max(rule["block_limit"] for rule in summary["scoring"]["rules"]) <= blocking.MAX_BLOCK
    crosswalk = tmp_path / "out" / "person_crosswalk.parquet"
    people = duckdb.sql(f"select count(distinct person_id) from '{crosswalk}' where source_system = 'x'").fetchall()[0][
        0
    ]
    assert people == 200_000
