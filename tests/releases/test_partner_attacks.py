"""Attempts to get at what is not allowed: bytes, SQL, links, kills, forgotten people who come back."""

import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines.releases import open_release
from tests.releases.small_governed import TABLES, build, changed, publish_it, rows, tables

# --- canaries --------------------------------------------------------------------------------------------------

#: Whose words may be in whose folder: episodes by person, hearings by docket.
MAY_SEE = {
    "team": {"ZQCAREM1", "ZQHEAR1", "ZQHEAR2"},
    "court": {"ZQHEAR1", "ZQHEAR2", "ZQHEAR3", "ZQHEAR5"},
    "agency": {"ZQHEAR1", "ZQHEAR2", "ZQHEAR3"},
    "clinic": {"ZQCAREM3"},
    "university": set(),
    "nation": set(),
    "public": set(),
}


def texts(path):
    """The bytes of a file, and of what is compressed in it every value."""
    found = [path.read_bytes()]
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        found += [str(table.schema.metadata).encode(), str(table.to_pylist()).encode()]
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as database:
            names = database.execute("select table_name from duckdb_tables()").fetchall()
            found += [str(database.execute(f"from {name}").fetchall()).encode() for (name,) in names]
    return found


def canaries(path):
    import re

    return {m.decode() for text in texts(path) for m in re.findall(rb"ZQCARE[MT][0-9]|ZQHEAR[0-9]", text)}


def test_every_byte_of_every_file_holds_only_whom_its_reader_may_see(tmp_path, capfd):
    home = build(
        tmp_path,
        tables={
            "fct_bh_episode": [(*r[:3], f"ZQCARE{r[1]}") for r in TABLES["fct_bh_episode"][1]],
            "fct_hearing": [(*r[:2], f"ZQHEAR{r[1][-1]}") for r in TABLES["fct_hearing"][1]],
        },
    )
    release = publish_it(home)
    for partner, allowed in MAY_SEE.items():
        found = set()
        for path in (release.folder / "partners" / partner).rglob("*"):
            found |= canaries(path) if path.is_file() else set()
        assert found == allowed, partner
    own = [p for p in release.folder.iterdir() if p.is_file() and p.name != "kinweave.duckdb"]
    logs = [*home.log_dir.iterdir(), *(release.folder / "governance").iterdir()]
    assert not set().union(*(canaries(p) for p in [*own, *logs]))
    assert "ZQ" not in "".join(capfd.readouterr())


# --- SQL and paths ---------------------------------------------------------------------------------------------


NASTY = [
    "x' or '1'='1",
    "'; drop table fct_removal; --",
    "99001\u2019 or true",
    '"',
    "%",
    "../..",
    "alder') or true --",
]


def test_a_value_in_an_agreement_is_a_value_and_no_sql(tmp_path):
    scoped = changed("court", datasets={"fct_removal": {"columns": ["person_id"], "rows": {"county": NASTY}}})
    for agreement in scoped:
        if agreement["parties"]["recipient"] == "team":
            agreement["people"] = {"sites": NASTY}
    release = publish_it(build(tmp_path, agreements=scoped))
    assert tables(release, "court") == {"fct_removal": 0}
    about_people = {t: n for t, n in tables(release, "team").items() if t not in ("measure_rows", "dim_site")}
    assert set(about_people.values()) == {0}


PROBES = [
    "from read_csv('/etc/passwd')",
    "from read_text('/etc/passwd')",
    "from '{other}/kinweave.duckdb'",
    "from read_parquet('{other}/parquet/*.parquet')",
    "from glob('{other}/../*')",
    "attach '{other}/kinweave.duckdb' as o",
    "copy dim_site to '{other}/x.csv'",
    "set enable_external_access = true",
    "install httpfs",
    "create table x as select 1",
    "from fct_bh_episode",
]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return publish_it(build(tmp_path_factory.mktemp("attacked")))


@pytest.mark.parametrize("probe", PROBES)
def test_a_partner_s_file_is_no_way_to_anything_else(published, probe):
    partners = published.folder / "partners"
    with open_release(partners / "public") as database, pytest.raises(duckdb.Error):
        database.execute(probe.format(other=partners / "team")).fetchall()


def test_a_partner_s_folder_holds_no_link_and_nothing_that_can_be_written(published):
    for path in (published.folder / "partners").rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.stat().st_mode & 0o777 == 0o444


# --- pooling and waiting ---------------------------------------------------------------------------------------


def test_all_partners_together_know_no_more_of_a_hidden_count_than_one(published):
    pooled = {}
    for partner in ("team", "university", "public"):
        for stratum, numerator in rows(published, partner, "measure_rows", "stratum_value, numerator"):
            pooled.setdefault(stratum, set()).add(numerator)
    assert pooled == {"all": {60}, "99001": {None}, "99003": {None}, "99005": {30}}
