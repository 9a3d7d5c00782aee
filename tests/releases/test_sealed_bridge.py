"""What joins the two families of a sealed adoption stays in the vault: no release, partner or account has it."""

import duckdb
import pytest

from pipelines.releases import accounting, current_release
from tests.releases.small_governed import build, publish_it

BEFORE = "SEALEDFAMILYBEFORE00000000"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = build(tmp_path_factory.mktemp("sealed"))
    bridge = made.linkage_dir / "restricted" / "adoption_bridge.parquet"
    bridge.parent.mkdir()
    duckdb.sql(
        f"select 'C4' as child_person_id, '{BEFORE}' as family_id_before, 'F4' as family_id_after,"
        " date '2024-06-01' as decree_date"
    ).write_parquet(str(bridge))
    publish_it(made)
    return made


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
