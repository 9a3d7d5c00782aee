"""Two builds of the same rows agree; a release that was touched does not verify."""

import duckdb
import pytest

from pipelines.releases import ReleaseError, current_release, open_release, read_manifest, verify
from pipelines.releases.manifest import content_hash
from tests.releases.small_warehouse import build, publish_it


def hash_of(sql):
    with duckdb.connect() as database:
        database.execute(f"create table t as {sql}")
        return content_hash(database, "t")


ROWS = "select * from (values (1, 'a', 0.1::double), (2, null, 0.2), (3, '', null)) v(i, s, x)"


def test_row_order_and_column_order_do_not_matter():
    assert hash_of(f"select * from ({ROWS}) order by i desc") == hash_of(f"select x, s, i from ({ROWS})")


@pytest.mark.parametrize(
    "other",
    [
        "select * from (values (1, 'a', 0.1::double), (2, '', 0.2), (3, '', null)) v(i, s, x)",
        "select * from (values (1, 'a', 0.1::double), (2, null, 0.2), (3, '', 0)) v(i, s, x)",
        f"{ROWS} union all select 3, '', null",
        f"select i::varchar as i, s, x from ({ROWS})",
        f"select i, s as x, x as s from ({ROWS})",
        f"{ROWS} where i < 3",
    ],
    ids=["null is not empty", "null is not zero", "a double row counts", "type", "names", "a row less"],
)
def test_other_rows_hash_otherwise(other):
    assert hash_of(other) != hash_of(ROWS)


def test_values_do_not_run_together():
    assert hash_of("select 'ab' as a, 'c' as b") != hash_of("select 'a' as a, 'bc' as b")


def test_a_sum_taken_in_another_order_is_the_same_number():
    assert hash_of("select (0.1::double + 0.2) + 0.3 as x") == hash_of("select 0.1::double + (0.2 + 0.3) as x")


def test_publishing_the_same_rows_again_is_the_same_release(tmp_path):
    home = build(tmp_path)
    first, second = publish_it(home), publish_it(build(tmp_path))
    assert (first.is_new, second.is_new) == (True, False)
    assert first.release_id == second.release_id
    assert first.release_id.startswith("2026-10-31-")


def test_another_input_is_another_release_even_with_the_same_rows(tmp_path):
    home = build(tmp_path)
    first = publish_it(home)
    second = publish_it(home, provenance={"inputs": [{"delivery_id": "20261031-aa"}], "code_version": "test"})
    assert first.table_hashes == second.table_hashes
    assert first.release_id != second.release_id


def touch_byte(folder):
    path = folder / "parquet" / "dim_child.parquet"
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def drop_file(folder):
    (folder / "data_dictionary.csv").unlink()


def add_file(folder):
    (folder / "notes.txt").write_text("hello")


def edit_manifest(folder):
    path = folder / "manifest.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"rows": 20', '"rows": 21'))


def rename_release(folder):
    folder.rename(folder.with_name("2026-11-30-0000000000"))


@pytest.mark.parametrize("harm", [touch_byte, drop_file, add_file, edit_manifest])
def test_a_touched_release_does_not_verify(tmp_path, harm):
    release = publish_it(build(tmp_path))
    assert verify(release.folder) == []
    harm(release.folder)
    assert verify(release.folder) != []


def test_a_release_under_another_name_does_not_verify(tmp_path):
    folder = publish_it(build(tmp_path)).folder
    rename_release(folder)
    assert verify(folder.with_name("2026-11-30-0000000000")) != []


def test_the_manifest_counts_rows_and_names_inputs(tmp_path):
    manifest = read_manifest(publish_it(build(tmp_path, cases=7)).folder)
    assert {t["name"]: t["rows"] for t in manifest["tables"]} == {"dim_child": 7, "fct_case": 7}
    assert manifest["inputs"] == []
    assert manifest["cut_off"] == "2026-10-31"


def test_without_a_publication_there_is_a_sentence_not_a_trace(tmp_path):
    with pytest.raises(ReleaseError, match="nothing has been published"):
        current_release(tmp_path / "releases")


def test_a_pointer_that_leads_outside_is_not_followed(tmp_path):
    home = build(tmp_path)
    publish_it(home)
    (home.releases_dir / "current.json").write_text('{"release_id": "../vault"}')
    with pytest.raises(ReleaseError, match="points outside"):
        current_release(home.releases_dir)


@pytest.mark.parametrize(
    "attempt",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('../current.json')",
        "select * from '/etc/passwd'",
        "copy dim_child to '/tmp/kinweave-stolen.csv'",
        "export database '/tmp/kinweave-stolen'",
        "attach '/tmp/other.duckdb'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "reset lock_configuration",
        "create table t as select 1",
        "insert into dim_child select * from dim_child",
        "update dim_child set sex = 'F'",
        "delete from dim_child",
        "drop table dim_child",
        "select * from glob('/*')",
        "create secret s (type s3)",
        "select getenv('HOME')",
    ],
)
def test_a_reader_reaches_nothing_but_the_tables(tmp_path, attempt):
    release = publish_it(build(tmp_path, cases=3))
    with open_release(release.folder) as database:
        with pytest.raises(duckdb.Error):
            database.execute(attempt)
        assert database.execute("select count(*) from dim_child").fetchall() == [(3,)]
