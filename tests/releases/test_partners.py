"""Each partner's folder holds what its agreement allows and nothing else, whatever changes, and only that changes."""

import csv
import datetime as dt
import json

import duckdb
import pytest
import yaml

from pipelines.releases import GateClosed, open_release, verify
from pipelines.releases import agreements as rules
from pipelines.releases import people as ledgers
from pipelines.releases.asking import against_release
from pipelines.releases.signing import public_key, verify_folder
from tests.releases.small_governed import (
    CONSENTS,
    CUT,
    PARTIES,
    TABLES,
    build,
    changed,
    governance,
    ids,
    only,
    publish_it,
    renamed,
    rows,
    tables,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return build(tmp_path_factory.mktemp("governed"))


@pytest.fixture(scope="module")
def release(home):
    return publish_it(home)


# --- who sees whom ---------------------------------------------------------------------------------------------


def test_a_team_sees_its_own_families_and_nobody_else_s(release):
    assert ids(release, "team", "dim_child") == {"C1", "C2", "C5"}
    assert ids(release, "team", "fct_removal") == {"C1", "C2", "C5"}
    assert len(rows(release, "team", "fct_placement")) == 6


def test_treatment_only_under_a_consent_for_this_recipient_and_purpose(release):
    # M2 has consents to another purpose, ended, not begun, revoked today, to another recipient, of another scope.
    assert ids(release, "team", "fct_bh_episode") == {"M1", "T1"}
    assert rows(release, "team", "fct_service", "person_id, service_type, source") == [
        ("M1", "SUD", "behavioral_health"),
        ("M2", "PARENTING", "child_welfare"),
    ]


def test_consent_to_treatment_payment_and_operations_reaches_the_clinic_and_no_other(release):
    assert len(rows(release, "clinic", "fct_bh_episode")) == 1
    for partner in ("team", "court", "agency", "university"):
        assert "M3" not in json.dumps(tables(release, partner)) + str(
            rows(release, partner, "fct_bh_episode") if "fct_bh_episode" in tables(release, partner) else ""
        )


def test_a_consent_to_attendance_is_none_to_the_record(release):
    assert rows(release, "team", "fct_bh_episode", "person_id, level_of_care") == [("M1", "OUTPATIENT"), ("T1", None)]


def test_somebody_known_from_treatment_alone_is_known_to_nobody_without_consent(release):
    members = rows(release, "team", "brg_family_member", "family_id, person_id")
    assert ("F1", "T1") in members and ("F2", "T2") not in members
    assert not {"T1", "T2"} & ids(release, "agency", "brg_family_member")


def test_being_chosen_because_treatment_knows_one_needs_consent_or_one_s_own_program(tmp_path):
    """All five adults are clients of some program. M3 consents to treating providers; T2 is a client of the clinic."""
    seen = only("clinic", datasets={"dim_person": {"columns": ["person_id"]}}, delivery={"ids": "shared"})
    home = build(tmp_path, agreements=seen)
    duckdb.sql(
        "select 'T2' as person_id, 'behavioral_health' as source_system, 'X1~77' as source_record_id"
    ).write_parquet(str(home.linkage_dir / "person_crosswalk.parquet"))
    assert ids(publish_it(home), "clinic", "dim_person") == {"M3"}
    parties = [{**p, "programs": ["X1"]} if p["id"] == "clinic" else p for p in PARTIES]
    (home.agreements_dir / "parties.yml").write_text(yaml.safe_dump({"parties": parties}))
    assert ids(publish_it(home), "clinic", "dim_person") == {"M3", "T2"}


def test_family_counts_are_made_again_from_those_who_are_shown(release):
    # Of F1 the team sees three, the agency two: T1 consented to the team alone. Of F2 both see two of three.
    assert rows(release, "team", "dim_family") == [("F1", 3, 1), ("F2", 2, 1), ("F5", 2, 1)]
    assert ("F1", 2, 1) in rows(release, "agency", "dim_family")
    for partner in ("team", "agency"):
        members = rows(release, partner, "brg_family_member", "family_id, person_id")
        for family, count, _ in rows(release, partner, "dim_family"):
            assert count == len({p for f, p in members if f == family})


def test_part_c_rows_wait_for_a_parent_s_consent(release):
    assert "EARLY_INTERVENTION" not in {r[0] for r in rows(release, "team", "fct_service", "service_type")}


def test_sealed_people_and_dockets_only_where_the_law_opens_them(release):
    assert "C4" not in ids(release, "agency", "dim_child")
    assert len(rows(release, "team", "fct_court_case")) == 2, "the docket of C5 is sealed"
    assert len(rows(release, "team", "fct_hearing")) == 4
    assert len(rows(release, "court", "fct_hearing")) == 8


def test_row_scope_by_value(release):
    assert rows(release, "agency", "fct_removal", "person_id, county") == [
        ("C1", "99001"), ("C3", "99001"), ("C5", "99001")]  # fmt: skip


def test_a_tribe_s_children_feed_their_own_cases_and_no_study(release):
    assert "C3" in ids(release, "court", "dim_child")
    assert rows(release, "university", "dim_child", "count(*)") == [(3,)]
    assert rows(release, "nation", "dim_child", "icwa_status") == [("APPLIES",)]


def test_a_public_without_people_gets_no_people(release):
    assert set(tables(release, "public")) == {"measure_rows", "dim_site"}


def test_ids_of_two_partners_do_not_join_unless_both_agreements_say_so(release):
    university = ids(release, "university", "dim_child") | ids(release, "university", "fct_removal", "removal_id")
    nation = ids(release, "nation", "dim_child") | ids(release, "nation", "fct_removal", "removal_id")
    assert not university & nation
    assert not university & ids(release, "team", "dim_child")
    assert ids(release, "university", "fct_placement", "removal_id") == ids(
        release, "university", "fct_removal", "removal_id"
    ), "inside one folder they do"


# --- small cells -----------------------------------------------------------------------------------------------


def test_hidden_figures_are_empty_with_a_reason_and_never_zero(release):
    found = rows(release, "public", "measure_rows", "stratum_value, numerator, denominator, value, suppress_reason")
    by_value = {r[0]: r[1:] for r in found}
    reason = "fewer than 11, or would give such a number away"
    assert by_value["99001"] == (None, None, None, reason)
    assert by_value["99003"] == (None, None, None, reason), "60 - 30 - 25 would be 5"
    assert by_value["99005"][:2] == (30, 70)


def test_beside_a_hidden_figure_no_range_over_the_linkage_thresholds_is_shown(release, tmp_path):
    assert set(rows(release, "public", "measure_rows", "range_low, range_high")) == {(None, None)}
    large = [r for r in TABLES["measure_rows"][1] if r[6] not in ("99001", "99003")]
    whole = publish_it(build(tmp_path, tables={"measure_rows": large}, agreements=only("public")))
    assert set(rows(whole, "public", "measure_rows", "range_low, range_high")) == {(0.39, 0.41)}


def test_margins_that_nobody_audits_are_shown_for_everybody_only_and_never_small(release):
    found = rows(release, "public", "measure_rows", "n_excluded_by_rule, n_not_observable, match_rate")
    assert set(found) == {(None, None, None)}


def test_all_partners_get_parts_of_one_suppressed_copy(release):
    columns = "stratum_value, numerator, suppress_reason"
    assert (
        rows(release, "public", "measure_rows", columns)
        == rows(release, "team", "measure_rows", columns)
        == rows(release, "university", "measure_rows", columns)
    )


def test_the_house_s_own_release_stays_whole(release):
    with open_release(release.folder) as database:
        assert database.execute("select count(*) from measure_rows where numerator is null").fetchall() == [(0,)]
        assert database.execute("select count(*) from fct_bh_episode").fetchall() == [(4,)]


# --- what travels with the rows --------------------------------------------------------------------------------


def test_notice_and_scope_travel_with_treatment_and_only_with_it(release):
    for partner in tables(release, "team") and ("team", "clinic"):
        folder = release.folder / "partners" / partner
        assert "42 CFR part 2" in (folder / "NOTICE_42CFR2.txt").read_text()
        assert list(folder.glob("consent_scope_*.csv"))
    for partner in ("court", "agency", "university", "nation", "public"):
        assert not (release.folder / "partners" / partner / "NOTICE_42CFR2.txt").exists()
    with (release.folder / "partners" / "team" / "consent_scope_A-1.csv").open() as handle:
        scopes = {(r["person_id"], r["scope"]) for r in csv.DictReader(handle)}
    assert {("M1", "full_record"), ("T1", "attendance")} <= scopes
    assert not any(person == "M3" for person, _ in scopes)


def test_the_dictionary_names_every_column_that_is_there_and_no_other(release):
    for partner in release.manifest["partners"]:
        folder = release.folder / "partners" / partner
        with duckdb.connect(str(folder / "kinweave.duckdb"), read_only=True) as database:
            documented = set(database.execute("select table_name, column_name from data_dictionary").fetchall())
            physical = database.execute(
                "select table_name, column_name from duckdb_columns() where not internal"
                " and table_name <> 'data_dictionary'"
            ).fetchall()
        assert set(physical) == documented


def test_a_description_cannot_become_a_formula_in_a_spreadsheet(tmp_path, monkeypatch):
    from tests.releases import small_governed

    poisoned = small_governed.manifest()
    poisoned["nodes"]["model.kinweave.dim_site"]["columns"]["site_name"]["description"] = '=HYPERLINK("http://x","y")'
    monkeypatch.setattr(small_governed, "manifest", lambda of: poisoned)
    release = publish_it(build(tmp_path, agreements=only("public")))
    for path in release.folder.glob("partners/*/*.csv"):
        with path.open(newline="") as handle:
            assert not [c for row in csv.reader(handle) for c in row if c.lstrip()[:1] in tuple("=+-@")], path


def test_signed_and_whole_for_whoever_has_the_key(home, release, tmp_path):
    import shutil

    key = public_key(home.root / "vault")
    received = tmp_path / "team"
    shutil.copytree(release.folder / "partners" / "team", received)
    assert verify_folder(received, key) == []
    assert verify_folder(received, "00" * 32) != []
    (received / "CODEBOOK.md").chmod(0o644)
    (received / "CODEBOOK.md").write_text("changed")
    assert verify_folder(received, key) == ["CODEBOOK.md: its bytes are not the published ones"]
    (received / "CODEBOOK.md").unlink()
    (received / "CODEBOOK.md").symlink_to("/etc/passwd")
    assert "CODEBOOK.md: is a link" in verify_folder(received, key)


def test_the_whole_release_verifies_with_its_partners(release):
    assert verify(release.folder) == []


def test_a_sealed_folder_opens_with_the_recipient_s_key_alone(tmp_path):
    import io
    import tarfile

    import pyrage

    identity = pyrage.x25519.Identity.generate()
    home = build(tmp_path, agreements=only("team", delivery={"ids": "shared", "encrypted": True}))
    parties = [{**p, "public_key": str(identity.to_public())} if p["id"] == "team" else p for p in PARTIES]
    (home.agreements_dir / "parties.yml").write_text(yaml.safe_dump({"parties": parties}))
    folder = publish_it(home).folder / "partners"
    sealed = (folder / "team.tar.age").read_bytes()
    assert b"OUTPATIENT" not in sealed
    with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(sealed, [identity]))) as tar:
        assert "team/manifest.json" in tar.getnames()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [pyrage.x25519.Identity.generate()])
    assert [p.name for p in folder.glob("*.age")] == ["team.tar.age"]


# --- what changes shows everywhere, and only it ----------------------------------------------------------------


def everything(release):
    """partner -> table -> rows, of every partner."""
    return {p: {t: rows(release, p, t) for t in ts} for p, ts in release.manifest["partners"].items()}


@pytest.fixture(scope="module")
def before(release):
    return everything(release)


def differing(before, after):
    found = set()
    for partner in {*before, *after}:
        for table in {*before.get(partner, {}), *after.get(partner, {})}:
            if before.get(partner, {}).get(table) != after.get(partner, {}).get(table):
                found.add((partner, table))
    return found


def test_a_revoked_consent_shows_everywhere_and_only_it(before, tmp_path):
    revoked = [c if c[0] != "N2" else (*c[:6], "2026-09-30") for c in CONSENTS]
    now = publish_it(build(tmp_path, consents=revoked))
    assert differing(before, everything(now)) == {
        ("team", "fct_bh_episode"), ("team", "brg_family_member"), ("team", "dim_family")}  # fmt: skip
    assert ids(now, "team", "fct_bh_episode") == {"M1"}
    assert rows(now, "team", "dim_family")[0] == ("F1", 2, 1)


def test_a_revocation_received_tomorrow_does_not_count_today(tmp_path):
    revoked = [c if c[0] != "N2" else (*c[:6], "2026-10-01") for c in CONSENTS]
    home = build(tmp_path, consents=revoked, agreements=only("team"))
    assert "T1" in ids(publish_it(home), "team", "fct_bh_episode")
    assert "T1" not in ids(publish_it(home, day=dt.date(2026, 10, 1)), "team", "fct_bh_episode")


def test_a_lapsed_agreement_has_no_folder_and_changes_nobody_else_s(before, tmp_path):
    lapsed = changed("court", expires=dt.date(2026, 9, 30))
    now = publish_it(build(tmp_path, agreements=lapsed))
    assert not (now.folder / "partners" / "court").exists()
    assert {partner for partner, _ in differing(before, everything(now))} == {"court"}


def test_a_withdrawn_tribal_approval_shows_everywhere_and_only_it(before, tmp_path):
    approval = [{"by": "nation", "date": dt.date(2025, 12, 1), "withdrawn": CUT}]
    now = publish_it(build(tmp_path, agreements=changed("nation", tribal_approvals=approval)))
    assert {partner for partner, _ in differing(before, everything(now))} == {"nation"}
    assert set(tables(now, "nation").values()) == {0}
    with duckdb.connect(str(now.folder / "partners" / "nation" / "kinweave.duckdb"), read_only=True) as database:
        columns = {r[0] for r in database.execute("describe dim_child").fetchall()}
    assert columns == {"person_id", "dob"}, "the tribe's class is gone as a column, not only as rows"


def test_a_protected_address_empties_places_and_leaves_the_rest(before, tmp_path):
    home = build(tmp_path)
    ledgers.protect_address(home, "C1", recorded_on=CUT)
    now = publish_it(home)
    assert ("C1", None) in rows(now, "team", "fct_removal", "person_id, county")
    assert ("C1", None) in rows(now, "team", "dim_child", "person_id, first_site_id")
    assert ("C1", None) in rows(now, "team", "fct_enrollment_sbct", "person_id, site_id")
    assert {table for _, table in differing(before, everything(now))} == {
        "fct_removal", "dim_child", "fct_enrollment_sbct"}  # fmt: skip


def test_a_protection_follows_a_person_whom_linkage_gives_another_id(tmp_path):
    """Recorded for X; linkage found that X is C1, and that somebody in X was C2 after all: both are protected."""
    home = build(tmp_path, agreements=only("team", delivery={"ids": "shared"}))
    renamed(home, ("merge", "X", "C1"), ("split", "X", "C2"))
    ledgers.protect_address(home, "X", recorded_on=CUT)
    assert rows(publish_it(home), "team", "fct_removal", "person_id, county") == [
        ("C1", None), ("C2", None), ("C5", "99001")]  # fmt: skip


def test_a_consent_in_the_ledger_follows_a_merge(tmp_path):
    home = build(tmp_path, agreements=only("team", legal_basis=["42 USC 671", "42 CFR 2.31", "34 CFR 303.414"]))
    ledgers.record_consent(
        home, person_id="X", regime="partc", recipient="court_team", purpose="court_team",
        effective=dt.date(2026, 1, 1), expires=None, recorded_on=CUT,
    )  # fmt: skip
    assert "C1" not in ids(publish_it(home), "team", "fct_service")
    renamed(home, ("merge", "X", "C1"))
    assert "C1" in ids(publish_it(home), "team", "fct_service")


def test_a_part_c_consent_in_the_ledger_opens_these_rows_until_it_is_revoked(tmp_path):
    home = build(tmp_path, agreements=only("team", legal_basis=["42 USC 671", "42 CFR 2.31", "34 CFR 303.414"]))
    number = ledgers.record_consent(
        home, person_id="C1", regime="partc", recipient="court_team", purpose="court_team",
        effective=dt.date(2026, 1, 1), expires=None, recorded_on=dt.date(2026, 9, 1),
    )  # fmt: skip
    at = dt.date(2026, 9, 1)
    before = [
        day for day in (at - dt.timedelta(1), at) if ids(publish_it(home, day=day), "team", "fct_service") >= {"C1"}
    ]
    assert before == [at], "it is known from the day it was recorded"
    assert "C2" not in ids(publish_it(home, day=at), "team", "fct_service")
    ledgers.revoke_consent(home, number, received_on=dt.date(2026, 9, 10), recorded_on=dt.date(2026, 9, 15))
    days = [dt.date(2026, 9, d) for d in (9, 14, 15)]
    assert ["C1" in ids(publish_it(home, day=d), "team", "fct_service") for d in days] == [True, True, False]


def test_a_later_release_does_not_give_away_what_an_earlier_one_hid(tmp_path):
    """99003 was hidden to protect 99001. A month later 99003 is shown by itself, unless the house remembers."""
    from pipelines.releases.suppression import Row, attack

    home = build(tmp_path, agreements=only("public"))
    publish_it(home)
    measure = TABLES["measure_rows"][1]
    moved = [(*r[:7], r[7] + 40, r[8] + 80, *r[9:]) if r[6] == "99005" else r for r in measure]
    moved[0] = (*measure[0][:7], 100, 230, *measure[0][9:])
    later = publish_it(build(tmp_path, tables={"measure_rows": moved}, agreements=only("public")))
    columns = "metric_id, variant, period_start::varchar, period_end::varchar, stratum_type, stratum_value"
    shown = {r[:6] for r in rows(later, "public", "measure_rows", f"{columns}, numerator") if r[6] is not None}
    true = [Row((r[0], r[1], r[2], r[3], r[5], r[6]), r[7], r[8]) for r in moved]
    before = {Row((r[0], r[1], r[2], r[3], r[5], r[6]), r[7], r[8]).key: (r[7], r[8]) for r in (measure[0], measure[3])}
    hidden = [r.key for r in true if r.key not in shown]
    assert attack(true, hidden, shown_before=before) == []
    assert {k[5] for k in hidden} >= {"99001", "99003"}


def test_publishing_again_changes_nothing(tmp_path):
    home = build(tmp_path, agreements=only("team"))
    first, second = publish_it(home), publish_it(home)
    assert first.release_id == second.release_id and not second.is_new


# --- the gate --------------------------------------------------------------------------------------------------


def test_a_column_of_a_denied_class_closes_the_gate_for_everyone(tmp_path):
    denied = changed("court", datasets={"fct_bh_episode": {"columns": ["person_id", "admit_date"]}})
    with pytest.raises(GateClosed, match=r"fct_bh_episode\.admit_date: carries class sud_p2, which is denied"):
        publish_it(build(tmp_path, agreements=denied))


def test_an_error_is_met_at_the_desk_before_the_night_meets_it(release, tmp_path):
    """A column that is not there, a denied class, a value no row has, a site the jurisdiction has not."""
    wrong = {
        "dim_child": {"columns": ["person_id", "nowhere"], "rows": {"first_site_id": ["alder", "aldr"]}},
        "fct_hearing": {"columns": ["hearing_id", "outcome"], "classes_denied": ["court"]},
    }
    home = build(tmp_path, agreements=only("team", datasets=wrong, people={"sites": ["alder", "oak"]}))
    book = rules.load(home.agreements_dir)
    assert against_release(book, release.folder, {"alder", "birch"}, CUT) == (
        [
            "A-1: datasets.dim_child.nowhere: there is no such column",
            "A-1: datasets.fct_hearing.outcome: carries class court, which is denied",
        ],
        [
            "A-1: people.sites: jurisdiction.yml has no site oak",
            "A-1: datasets.dim_child.rows.first_site_id: no row has aldr",
        ],
    )
    assert against_release(book, release.folder, set(), dt.date(2027, 1, 1)) == ([], []), "it has ended"
    assert against_release(book, tmp_path, set(), CUT) is None


def test_a_table_that_nobody_described_can_be_in_no_agreement(tmp_path):
    asked = changed("court", datasets={"bridge_source_id": {"columns": ["person_id"]}})
    with pytest.raises(GateClosed, match=r"datasets\.bridge_source_id: there is no such released table"):
        publish_it(build(tmp_path, agreements=asked))


def test_no_agreement_no_folder(tmp_path):
    release = publish_it(build(tmp_path, agreements=[]))
    assert list((release.folder / "partners").iterdir()) == []


def test_the_day_decides_and_the_cut_does_not(home):
    assert governance(home, dt.date(2027, 1, 1)).book.partners(dt.date(2027, 1, 1)) == {}
