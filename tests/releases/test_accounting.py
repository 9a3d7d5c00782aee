"""The account every person may ask for, the log nobody can quietly change, and what must be destroyed by when."""

import datetime as dt
import json
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.releases import ReleaseError, accounting, current_release, people
from pipelines.releases import agreements as rules
from pipelines.storage import read_jsonl
from tests.releases.small_governed import CUT, SECRET, build, only, publish_it, renamed

JURISDICTION = "name: Small\ntime_zone: America/Chicago\ncounties: [{fips: '99001', name: Alder}]\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = build(tmp_path_factory.mktemp("accounted"))
    publish_it(made)
    publish_it(made)
    return made


def told(home, person):
    return {(r["partner"], r["table_name"]): r for r in accounting.disclosures(home, person)}


def test_a_mother_learns_who_got_what_of_her_why_and_under_which_consent(home):
    hers = told(home, "M1")
    assert {partner for partner, _ in hers} == {"team", "agency"}
    episode = hers["team", "fct_bh_episode"]
    assert (episode["row_count"], episode["purposes"], episode["consent_ids"]) == (1, ["court_team"], ["N1"])
    assert "42 CFR 2.31" in episode["legal_basis"]
    assert hers["team", "brg_family_member"]["row_count"] == 2
    assert "fct_bh_episode" not in {table for partner, table in hers if partner != "team"}


def test_who_went_to_nobody_is_in_no_account(home):
    assert accounting.disclosures(home, "T2") == []
    assert accounting.disclosures(home, "C4") == []


def test_rows_that_belong_to_a_child_through_another_table_count_too(home):
    theirs = told(home, "C1")
    assert theirs["team", "fct_placement"]["row_count"] == 2
    assert theirs["court", "fct_hearing"]["row_count"] == 2
    assert theirs["team", "dim_family"]["row_count"] == 1


def test_what_was_disclosed_under_an_id_that_linkage_merged_counts(home):
    assert accounting.disclosures(home, "Y") == []
    renamed(home, ("merge", "C1", "X"), ("merge", "X", "Y"))
    assert {(r["partner"], r["table_name"]) for r in accounting.disclosures(home, "Y")} == set(told(home, "C1"))
    # From the day of the split on, what goes out about C1 is not about Z.
    renamed(home, ("split", "C1", "Z"))
    assert accounting.disclosures(home, "Z") == []
    for path in home.registry_dir.rglob("*.parquet"):
        path.unlink()


def test_publishing_the_same_again_is_no_second_disclosure(home):
    assert len({r["release_id"] for r in accounting.disclosures(home, "M1")}) == 1
    assert len([r for r in accounting.disclosures(home, "M1") if r["table_name"] == "fct_bh_episode"]) == 1


def test_a_replayed_night_discloses_nothing(tmp_path):
    from dataclasses import replace

    from pipelines.releases import publish
    from tests.releases.small_governed import governance, manifest
    from tests.releases.small_warehouse import contract

    made = build(tmp_path, agreements=only("team"))
    publish(made, tmp_path / "replay", cut=CUT, dbt_manifest=manifest(), contracts={"court": contract()}, secret=SECRET,
            provenance={}, governance=replace(governance(made), is_replay=True))  # fmt: skip
    assert accounting.disclosures(made, "M1") == []
    assert not accounting.log_of(made).exists()


# --- the log ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["changed", "removed", "inserted", "swapped"])
def test_a_damaged_log_is_found(tmp_path, damage):
    log = tmp_path / "audit.jsonl"
    for number in range(4):
        accounting.audit(log, "published", partner=f"p{number}", rows=number)
    assert accounting.verify_audit(log) == []
    lines = log.read_text().splitlines()
    if damage == "changed":
        lines[1] = lines[1].replace('"rows": 1', '"rows": 2')
    elif damage == "removed":
        del lines[1]
    elif damage == "inserted":
        lines.insert(1, lines[1])
    else:
        lines[1], lines[2] = lines[2], lines[1]
    log.write_text("\n".join(lines) + "\n")
    assert accounting.verify_audit(log)[0].startswith("audit.jsonl, line ")


def test_the_log_names_objects_and_never_a_person(home, tmp_path):
    runner = CliRunner()
    (home.root / "jurisdiction.yml").write_text(JURISDICTION)
    done = runner.invoke(app, ["disclosures", "--home", str(home.root), "--person", "M1"])
    assert done.exit_code == 0 and "fct_bh_episode" in done.output
    out = home.root / "M1.json"
    done = runner.invoke(
        app, ["governance", "right-to-see", "--home", str(home.root), "--person", "M1", "--out", str(out)]
    )
    assert done.exit_code == 0
    seen = json.loads(out.read_text())
    assert [r["person_id"] for r in seen["records"]["fct_bh_episode"]] == ["M1"]
    accounting.right_to_see(home, current_release(home.releases_dir).folder, "C1", tmp_path / "child.json")
    child = json.loads((tmp_path / "child.json").read_text())["records"]
    assert [r["seq"] for r in child["fct_placement"]] == [1, 2], "rows of the removal are rows about the child"
    assert len(child["fct_hearing"]) == 2 and len(child["dim_family"]) == 1
    assert seen["disclosures"] and out.stat().st_mode & 0o777 == 0o600
    text = accounting.log_of(home).read_text()
    assert not any(f'"{person}"' in text for person in ("M1", "C1", "T1"))
    assert "account given" in text and "right to see" in text
    assert accounting.verify_audit(accounting.log_of(home)) == []


# --- destruction -----------------------------------------------------------------------------------------------


def test_what_a_partner_may_no_longer_keep_and_when_its_proof_is_due(home, tmp_path):
    book = rules.load(home.agreements_dir)
    # Disclosed on 30 September 2026, to be kept 100 days: gone on 8 January; the agreements end on 1 January.
    assert accounting.destructions_due(home, book, dt.date(2026, 12, 31)) == []
    due = accounting.destructions_due(home, book, dt.date(2027, 1, 1))
    assert {r["partner"] for r in due} == {"team", "court", "agency", "clinic", "university", "nation"}
    assert due[0]["proof_due"] == dt.date(2027, 1, 31) and not due[0]["is_overdue"]
    assert all(r["is_overdue"] for r in accounting.destructions_due(home, book, dt.date(2027, 2, 1)))
    # Whoever takes the agreement's file away does not take the duty away.
    gone = rules.Book(book.parties, {k: a for k, a in book.agreements.items() if a.recipient != "team"})
    assert [r["partner"] for r in accounting.destructions_due(home, gone, dt.date(2026, 10, 2))] == ["team"]
    proof = tmp_path / "proof.txt"
    proof.write_text("destroyed")
    for partner, release in (("taem", due[0]["release_id"]), ("team", "2020-01-01-0"), ("team", "../x")):
        with pytest.raises(ReleaseError, match="nothing of release"):
            accounting.record_destruction(home, partner, release, proof, on=dt.date(2027, 1, 5))
    accounting.record_destruction(home, "team", due[0]["release_id"], proof, on=dt.date(2027, 1, 5))
    assert "team" not in {r["partner"] for r in accounting.destructions_due(home, book, dt.date(2027, 2, 1))}


def test_a_release_that_goes_leaves_a_signed_certificate(tmp_path):
    made = build(tmp_path, agreements=only("court"))
    first = publish_it(made, keep=1)
    publish_it(build(tmp_path, agreements=only("court", withdrawn=CUT)), keep=1)
    assert not first.folder.exists()
    certificate = json.loads(
        (tmp_path / "vault" / "governance" / "certificates" / f"{first.release_id}.json").read_text()
    )
    assert "partners/court/kinweave.duckdb" in certificate["files"]
    assert "destroyed" in accounting.log_of(made).read_text()
    assert accounting.disclosures(made, "C3"), "the account outlives the release"


# --- the register and the ledger -------------------------------------------------------------------------------


def test_the_register_names_every_agreement_in_force_and_escapes_what_it_prints(home, tmp_path):
    page = accounting.register(rules.load(home.agreements_dir), CUT, "<Small>")
    for partner in ("Team", "Court", "Agency", "Clinic", "University", "Nation", "Public"):
        assert f"<td>{partner}</td>" in page
    assert "&lt;Small&gt;" in page and "<script" not in page
    assert "Team" not in accounting.register(rules.load(home.agreements_dir), dt.date(2027, 1, 1), "Small")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"regime": "hipaa"}, "closed lists"),
        ({"recipient": "public"}, "nobody can consent to publication"),
        ({"expires": dt.date(2026, 1, 1)}, "ends before it holds"),
        ({"scope": "everything"}, "scope: one of full_record"),
    ],
)
def test_what_no_consent_can_say(tmp_path, change, words):
    given = {
        "person_id": "C1", "regime": "partc", "recipient": "court_team", "purpose": "court_team",
        "effective": dt.date(2026, 1, 1), "expires": None, "recorded_on": CUT,
    }  # fmt: skip
    with pytest.raises(people.PeopleError, match=words):
        people.record_consent(build(tmp_path), **{**given, **change})


def test_a_misspelt_id_is_no_person_and_is_not_quietly_recorded(tmp_path):
    made = build(tmp_path)
    renamed(made, ("merge", "C1", "C9"))
    people.protect_address(made, "C1", recorded_on=CUT)
    with pytest.raises(people.PeopleError, match="never was a person of this ID"):
        people.protect_address(made, "C7", recorded_on=CUT)
    made.jurisdiction.write_text(JURISDICTION)
    done = CliRunner().invoke(app, ["disclosures", "--home", str(made.root), "--person", "C7"])
    assert done.exit_code == 1 and "never was a person" in done.output


def test_today_is_where_the_jurisdiction_is_whatever_the_machine_s_clock_says(tmp_path):
    """Twenty-six hours lie between these zones, so they never have the same date."""
    told = {}
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        made = build(tmp_path / zone.replace("/", "-"))
        made.jurisdiction.write_text(JURISDICTION.replace("America/Chicago", zone))
        before = dt.datetime.now(ZoneInfo(zone)).date()
        done = CliRunner().invoke(app, ["governance", "protect-address", "--home", str(made.root), "--person", "C1"])
        assert done.exit_code == 0
        (line,) = read_jsonl(made.root / "vault" / "governance" / "protected_addresses.jsonl")
        told[zone] = dt.date.fromisoformat(line["recorded_on"])
        assert told[zone] in (before, dt.datetime.now(ZoneInfo(zone)).date())
    assert told["Pacific/Kiritimati"] > told["Etc/GMT+12"]
