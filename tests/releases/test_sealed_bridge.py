"""A sealed adoption in a release: nothing joins the child to before the decree, and what is not sealed stays whole."""

import duckdb
import pytest

from pipelines.releases import accounting, current_release
from tests.releases import small_governed
from tests.releases.seal_attack import ties
from tests.releases.small_governed import TABLES, build, changed, publish_it, rows

BEFORE = "SEALEDFAMILYBEFORE00000000"
#: C4 was born to M2, with C2 as a sister, and adopted by A4. One report, one case and one petition were about both.
KIN = {
    "fct_petition": (
        {"petition_id": "source_key", "case_id": "source_key", "person_id": "none", "parent_id": "none",
         "petition_type": "court"},
        [("P-1", "JD-0002", "C2", "M2", "TPR"), ("P-1", "JD-0002", "C4", "M2", "TPR"),
         ("P-2", "JD-0004", "C4", "A4", "ADOPT")],
    ),
    "fct_finding": ({"case_id": "source_key", "person_id": "none"}, [("JD-0002", "C2"), ("JD-0002", "C4")]),
    "fct_representation": (
        {"case_id": "source_key", "party_id": "source_key", "person_id": "none"},
        [("JD-0002", "PT-1", "C4"), ("JD-0002", "PT-2", "M2"), ("JD-0002", "PT-3", "C2"), ("JD-0004", "PT-4", "A4")],
    ),
    "fct_parent_status": (
        {"person_id": "none", "parent_id": "none", "status": "cw_case"},
        [("C2", "M2", "LOCATED"), ("C4", "M2", "TERMINATED"), ("C4", "A4", "LOCATED")],
    ),
    "fct_family_time": (
        {"session_id": "source_key", "person_id": "none", "parent_id": "none"},
        [("V-1", "C2", "M2"), ("V-2", "C4", "M2"), ("V-3", "C4", None)],
    ),
    "fct_cps_report": (
        {"report_id": "source_key", "person_id": "none"}, [("RP-1", "C2"), ("RP-1", "C4"), ("RP-2", "C1")],
    ),
}  # fmt: skip
#: Whom of before the decree nothing may tie C4 to: M2, the father and the sister, and their family.
HIDDEN = {"C4": ["M2", "T2", "C2", "F2", BEFORE]}


def with_more(name, *more):
    return {name: [*TABLES[name][1], *more]}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    opened = {name: {"columns": list(columns)} for name, (columns, _) in KIN.items()}
    seen = {name: {"columns": list(TABLES[name][0])} for name in ("fct_court_case", "fct_hearing")}
    with pytest.MonkeyPatch.context() as patch:
        for name, (columns, lines) in KIN.items():
            patch.setitem(small_governed.TABLES, name, ({c: ("varchar", k) for c, k in columns.items()}, lines))
        agreements = changed("court", datasets=seen | opened)
        for agreement in agreements:
            # No law opens sealed records to the agency.
            if agreement["parties"]["recipient"] == "agency":
                agreement["datasets"]["fct_representation"] = {"columns": ["case_id", "party_id", "person_id"]}
        made = build(
            tmp_path_factory.mktemp("sealed"),
            agreements=agreements,
            tables=with_more("dim_person", ("A4", "1985-01-17", False, "UNKNOWN"))
            | with_more("brg_family_member", ("F4", "A4", "adoptive_parent", "child_welfare"))
            | with_more("fct_court_case", ("JD-0002", "C4", False), ("JD-0004", "C4", True))
            | with_more(
                "bridge_source_id",
                *[(p, s, f"{s[:2]}-{p}-1000") for p in ("A4", "M2", "C4") for s in ("child_welfare", "court")],
            ),
        )
        bridge = made.linkage_dir / "restricted" / "adoption_bridge.parquet"
        bridge.parent.mkdir()
        duckdb.sql(
            f"select 'C4' as child_person_id, '{BEFORE}' as family_id_before, 'F4' as family_id_after,"
            " date '2024-06-01' as decree_date"
        ).write_parquet(str(bridge))
        duckdb.sql(
            "select * from (values ('C4', 'A4', 'adoptive_parent'), ('C2', 'M2', 'mother'))"
            " as t(child_person_id, parent_person_id, role)"
        ).write_parquet(str(made.linkage_dir / "parent_child.parquet"))
        publish_it(made)
    return made


@pytest.fixture(scope="module")
def release(home):
    return current_release(home.releases_dir)


def of_the_house(release, query):
    with duckdb.connect(str(release.folder / "kinweave.duckdb"), read_only=True) as database:
        return database.execute(query).fetchall()


def test_no_row_and_no_key_of_a_release_ties_the_child_to_who_was_before(release):
    assert ties(release.folder / "parquet", {"C2": ["M2"]}) >= {
        "fct_petition.person_id parent_id",
        "fct_court_case.person_id case_id fct_representation.person_id",
    }, "the attack finds what is there"
    assert ties(release.folder / "parquet", HIDDEN) == set()


def test_nor_of_a_partner_to_whom_the_law_opens_sealed_records(release):
    folder = release.folder / "partners" / "court"
    assert "C4" in {r[0] for r in rows(release, "court", "fct_petition", "person_id")}
    assert ties(folder / "parquet", HIDDEN) == set()


def test_the_child_keeps_its_rows_its_adoptive_parent_and_keys_of_its_own(release):
    for name, (_, lines) in KIN.items():
        assert of_the_house(release, f"select count(*) from {name}") == [(len(lines),)]
    assert of_the_house(
        release, "select status, parent_id from fct_parent_status where person_id = 'C4' order by all"
    ) == [("LOCATED", "A4"), ("TERMINATED", None)]
    own = (
        "select count(distinct case_id) from {} where person_id = 'C4' and case_id in (select case_id from {} where {})"
    )
    mine = "person_id = 'C4'"
    assert of_the_house(release, own.format("fct_petition", "fct_court_case", mine)) == [(2,)]
    assert of_the_house(release, own.format("fct_finding", "fct_court_case", mine)) == [(1,)]


def test_the_sister_keeps_everything(release):
    assert of_the_house(release, "select parent_id from fct_petition where person_id = 'C2'") == [("M2",)]
    assert of_the_house(release, "select parent_id from fct_family_time where person_id = 'C2'") == [("M2",)]
    found = "select count(*) from fct_court_case join fct_hearing using (case_id) where person_id = 'C2'"
    assert of_the_house(release, found) == [(2,)]


def test_the_sealed_docket_is_still_withheld_whatever_key_the_child_has(release):
    parties = {r[0] for r in rows(release, "agency", "fct_representation", "person_id")}
    assert parties == {"C2", "M2"}, "A4 is a party of the sealed docket of the adoption, C4 sealed itself"


def test_the_data_dictionary_says_what_the_seal_does(release):
    words = dict(
        of_the_house(release, "select column_name, description from data_dictionary where table_name = 'fct_petition'")
    )
    assert "sealed" in words["parent_id"] and "sealed" in words["case_id"]
    assert "sealed" not in words["petition_type"]


def holds(path):
    """Whether a file says the family before the decree, whatever its format."""
    if path.suffix == ".parquet":
        return BEFORE in str(duckdb.read_parquet(str(path)).fetchall())
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as database:
            tables = database.execute("select schema_name, table_name from duckdb_tables()").fetchall()
            return any(BEFORE in str(database.execute(f'from "{s}"."{t}"').fetchall()) for s, t in tables)
    return BEFORE.encode() in path.read_bytes()


def test_no_file_of_a_release_or_a_partner_has_it(home):
    files = [p for p in home.releases_dir.rglob("*") if p.is_file()]
    assert {".parquet", ".duckdb"} <= {p.suffix for p in files}
    assert holds(home.linkage_dir / "restricted" / "adoption_bridge.parquet"), "the search finds what is there"
    assert [p.name for p in files if holds(p)] == []


def test_the_child_s_own_account_does_not_tell_it(home, tmp_path):
    accounting.right_to_see(home, current_release(home.releases_dir).folder, "C4", tmp_path / "mine.json")
    text = (tmp_path / "mine.json").read_text()
    assert "F4" in text and BEFORE not in text
