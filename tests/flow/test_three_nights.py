"""The whole night, really run: what it promises about repetition, bad input, late sources, names and the network."""

import datetime
import sqlite3

import duckdb
import pyarrow.parquet as pq

from expectations.contract import load_contracts
from pipelines.landing import balance
from pipelines.measures import registry
from pipelines.night import Night
from pipelines.releases import current_release, open_release, verify
from pipelines.releases.manifest import DATABASE
from pipelines.storage import read_jsonl
from tests.flow.three_nights import CANARY, CANARY_NUMBER, RANGED, WITH_RANGE
from tests.releases.seal_attack import before, ties


def test_every_night_came_to_its_end(lived):
    for part in ("first", "second", "again", "replay"):
        assert lived.told[part]["success"], lived.told[part]["failures"]


def test_nobody_asked_for_a_name_outside_this_machine(lived):
    assert lived.lookups == []


def test_running_again_without_new_files_publishes_the_same_tables(lived):
    again, second = lived.told["again"], lived.told["second"]
    assert again["hashes"] == second["hashes"]
    assert again["release_id"] == second["release_id"]


def test_the_second_night_is_another_release(lived):
    assert lived.told["first"]["release_id"] != lived.told["second"]["release_id"]


def test_the_first_night_replayed_gives_its_own_tables_and_leaves_the_current_release_alone(lived):
    replay, first = lived.told["replay"], lived.told["first"]
    different = [t for t, h in first["hashes"].items() if replay["hashes"].get(t) != h]
    # Ranges were on in the first night and are off in its replay: nothing but they may differ.
    assert different == ["measure_rows"]
    assert replay["current_is_still"] == lived.told["second"]["release_id"]
    with duckdb.connect() as database:
        for name, folder in (("first", first_release(lived)), ("replayed", replayed_release(lived))):
            database.execute(f"attach '{folder / DATABASE}' as {name} (read_only)")
        rows = "select * exclude (range_low, range_high) from {}.measure_rows order by all"
        first_rows, rows_again = (database.execute(rows.format(name)).fetchall() for name in ("first", "replayed"))
    assert rows_again == first_rows


def test_a_replay_hears_no_decision_made_after_its_day(lived):
    # That its tables are those of the first night is the test above.
    assert lived.told["decided"] == 40 and Night(lived.home).decisions() is not None
    first, last = (datetime.date.fromisoformat(lived.told["nights"][i]) for i in (0, -1))
    assert current_release(Night(lived.home, first).releases_dir).manifest["decisions_hash"] is None
    assert Night(lived.home, last).decisions() is None
    known = Night(lived.home, last + datetime.timedelta(days=1)).decisions()
    assert known.read_bytes() == Night(lived.home).decisions().read_bytes()


def test_linked_measures_carry_their_range_from_the_night_to_the_release(lived):
    ranged = lived.told["ranged"]
    with open_release(first_release(lived)) as release:
        published = release.execute(f"{RANGED} from measure_rows {WITH_RANGE}").fetchall()
    assert [list(row) for row in published] == ranged
    assert ["COL-11", "child_welfare+court"] in [row[:2] for row in ranged]
    assert {row[0] for row in ranged} <= {d.id for d in registry.load().values() if d.linkage_scope == "linked"}
    assert all(low <= value <= high for *_, value, low, high in ranged)
    with open_release(current_release(lived.home.releases_dir).folder) as release:
        assert release.execute(f"{RANGED} from measure_rows {WITH_RANGE}").fetchall() == []


def first_release(lived):
    return lived.home.releases_dir / lived.told["first"]["release_id"]


def replayed_release(lived):
    first = datetime.date.fromisoformat(lived.told["nights"][0])
    return current_release(Night(lived.home, first).releases_dir).folder


def test_the_release_verifies_and_names_its_inputs(lived):
    release = current_release(lived.home.releases_dir)
    assert verify(release.folder) == []
    assert {i["system"] for i in release.manifest["inputs"]} == set(load_contracts())
    assert release.manifest["linkage_model"]
    assert release.manifest["cut_off"] == lived.told["nights"][-1]


def test_nothing_released_ties_a_child_of_a_sealed_adoption_to_who_was_before(lived):
    release = current_release(lived.home.releases_dir).folder
    hidden = before(lived.home.linkage_dir)
    assert hidden, "children were adopted, and their records sealed"
    for tables in (release / "parquet", *(release / "partners").glob("*/parquet")):
        assert ties(tables, hidden) == set(), tables


def test_every_row_of_every_file_is_accounted_for(lived):
    rows = balance(lived.home)
    assert len(rows) > 100
    assert all(row.is_balanced for row in rows)


def test_rubbish_for_the_court_is_refused_with_its_rule_and_all_others_flow(lived):
    log = read_jsonl(lived.home.delivery_log)
    last = lived.told["nights"][-1]
    refused = {r["file"]: {x["rule"] for x in r["reasons"]} for r in log if r["status"] == "refused"}
    assert refused["ct_case_20260930.csv"] == {"empty_file"}
    assert refused["cw_person_20260930.csv"] == {"wrong_system"}
    assert refused["ct_hearing_20260930.csv"] == {"unsafe_name"}
    assert any("unsafe_name" in rules for file, rules in refused.items() if "drop" in file)
    for system in set(load_contracts()) - {"court"}:
        assert any(r["system"] == system and r["status"] == "accepted" and r["received_on"] == last for r in log)
    assert (lived.home.inbox("court") / "refused" / "ct_case_20260930.csv.why.txt").exists()


def test_a_refused_file_fails_a_check_that_does_not_stop_the_night(lived):
    assert "deliveries/court: files_accepted" in lived.told["second"]["failed_checks"]


def test_measures_that_need_the_late_court_say_since_when_and_others_do_not(lived):
    # The court promised at most 14 days; its last files are of 31 July.
    stale = {system: since for system, _, since in lived.told["second"]["freshness"]}
    assert stale["court"] == "2026-08-14"
    assert stale["child_welfare"] is None
    with open_release(current_release(lived.home.releases_dir).folder) as release:
        flags = "select distinct maturity_flag from measure_rows where metric_id = ?"
        court = {row[0] for row in release.execute(flags, ["CRT-04"]).fetchall()}
        care = {row[0] for row in release.execute(flags, ["PIT-01"]).fetchall()}
    assert "stale since 2026-08-14" in court
    assert not any("stale" in flag for flag in care)


def test_the_alert_file_tells_of_the_failed_check(lived):
    alerts = read_jsonl(lived.home.log_dir / "alerts.jsonl")
    assert any("deliveries/court: files_accepted" in line for alert in alerts for line in alert["lines"])


def test_dagster_kept_the_history_of_each_night(lived):
    with sqlite3.connect(lived.home.dagster_dir / "history" / "runs" / "index.db") as database:
        (count,) = database.execute(
            "select count(distinct run_id) from event_logs where dagster_event_type = 'PIPELINE_SUCCESS'"
        ).fetchone()
    # Records, first, second, again. The replay leaves no trace among tonight's assets.
    assert count == 4


# --- names -------------------------------------------------------------------------------------------------------

#: Where names may lie.
PRIVATE = ("raw", "vault", "quarantine", "inbox")


def private(home, path):
    inside = path.relative_to(home.root).parts
    return inside[0] in PRIVATE or (inside[0] == "replay" and inside[2] in PRIVATE)


def values_of(path):
    """Every text in a file, also where it is compressed."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return [str(table.schema.metadata), *(str(column.to_pylist()) for column in table.columns)]
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as database:
            tables = database.execute(
                "select schema_name, table_name from duckdb_tables() where not internal"
            ).fetchall()
            texts = [str(database.execute(f'from "{s}"."{t}"').fetchall()) for s, t in tables]
            return [*texts, str(database.execute("select sql from duckdb_views()").fetchall())]
    return []


def test_the_canaries_were_really_there(lived):
    landed = pq.read_table(lived.home.current("child_welfare", "persons"), columns=["last_name", "person_id"])
    assert any(CANARY in str(name) for name in landed.column("last_name").to_pylist())
    assert any(CANARY_NUMBER in str(number) for number in landed.column("person_id").to_pylist())
    staged = [p for p in lived.home.staged_dir.glob("*__person_records.parquet") if CANARY in str(values_of(p))]
    assert len(staged) >= 4


def holders(home, needle, skip=()):
    """Files outside the private folders that hold ``needle`` in a byte or in a value."""
    found = []
    for path in sorted(p for p in home.root.rglob("*") if p.is_file() and not p.is_symlink()):
        if private(home, path) or path.name in skip:
            continue
        if needle.encode() in path.read_bytes() or any(needle in text for text in values_of(path)):
            found.append(path.relative_to(home.root).as_posix())
    return found


def test_no_name_of_the_canaries_lies_outside_the_vault_in_any_byte_or_value(lived):
    assert holders(lived.home, CANARY) == []


def test_no_agency_number_of_the_canaries_lies_outside_vault_and_warehouse(lived):
    assert holders(lived.home, CANARY_NUMBER, skip=("warehouse.duckdb", "warehouse.duckdb.wal")) == []


def test_what_was_printed_names_nobody(lived):
    assert CANARY not in lived.printed
    assert CANARY_NUMBER not in lived.printed
