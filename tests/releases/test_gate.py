"""What may leave the warehouse, and in what form."""

import duckdb
import pytest

from pipelines.releases import GateClosed, open_release
from tests.releases.small_warehouse import build, column, manifest, publish_it


def ask(release, sql):
    with open_release(release.folder) as database:
        return database.execute(sql).fetchall()


def test_a_birth_date_leaves_as_its_month(tmp_path):
    release = publish_it(build(tmp_path))
    assert ask(release, "select distinct dob from dim_child where dob < '2024-02-01'")[0][0].isoformat() == "2024-01-01"


def test_an_agency_number_leaves_as_a_key_that_still_joins_and_that_the_agency_cannot_read(tmp_path):
    home = build(tmp_path)
    release = publish_it(home)
    keys = [row[0] for row in ask(release, "select case_id from fct_case")]
    assert len(set(keys)) == 20, "twenty dockets are twenty keys"
    assert not any("JD" in key for key in keys)
    other = publish_it(home, secret=b"another deployment's secret")
    assert not set(keys) & {row[0] for row in ask(other, "select case_id from fct_case")}


def test_a_column_nobody_documented_closes_the_gate(tmp_path):
    documented = {"person_id": column(), "sex": column()}
    with pytest.raises(GateClosed, match=r"dim_child\.dob: not documented"):
        publish_it(build(tmp_path), dbt_manifest=manifest(dim_child=documented))


def test_a_column_without_a_class_closes_the_gate(tmp_path):
    documented = {"person_id": column(), "dob": column("quasi_id"), "sex": column(None)}
    with pytest.raises(GateClosed, match=r"dim_child\.sex: has no sensitivity class"):
        publish_it(build(tmp_path), dbt_manifest=manifest(dim_child=documented))


def test_a_name_closes_the_gate_whatever_class_it_is_given(tmp_path):
    home = build(tmp_path)
    with duckdb.connect(str(home.warehouse)) as database:
        database.execute("alter table core.dim_child rename sex to party_name")
    documented = {"person_id": column(), "dob": column("quasi_id"), "party_name": column("none")}
    with pytest.raises(GateClosed, match=r"dim_child\.party_name: a direct identifier"):
        publish_it(home, dbt_manifest=manifest(dim_child=documented))


def test_a_class_nobody_knows_closes_the_gate(tmp_path):
    documented = {"person_id": column(), "dob": column("birthday"), "sex": column()}
    with pytest.raises(GateClosed, match=r"dim_child\.dob: there is no sensitivity class"):
        publish_it(build(tmp_path), dbt_manifest=manifest(dim_child=documented))


def test_a_direct_identifier_closes_the_gate_even_when_it_is_declared(tmp_path):
    documented = {"person_id": column(), "dob": column(), "sex": column("direct_id")}
    with pytest.raises(GateClosed, match=r"dim_child\.sex: a direct identifier"):
        publish_it(build(tmp_path), dbt_manifest=manifest(dim_child=documented))


def test_a_docket_number_called_harmless_is_found_by_its_values_and_never_quoted(tmp_path):
    documented = {"person_id": column(), "case_id": column("none"), "days": column(), "plea": column()}
    home = build(tmp_path)
    with pytest.raises(GateClosed, match=r"fct_case\.case_id: holds values of court\.cases\.docket_no") as closed:
        publish_it(home, dbt_manifest=manifest(fct_case=documented))
    assert "JD-2024" not in str(closed.value)
    assert not list(home.releases_dir.iterdir())


def test_a_street_in_a_comment_column_is_found_by_its_value(tmp_path):
    home = build(tmp_path)
    with duckdb.connect(str(home.warehouse)) as database:
        database.execute("update core.fct_case set plea = '77 Canary Row' where person_id = 'P3'")
    with pytest.raises(GateClosed, match=r"fct_case\.plea: holds values of court\.cases\.street"):
        publish_it(home)


def test_a_mart_marked_as_internal_stays_inside(tmp_path):
    dbt_manifest = manifest()
    dbt_manifest["nodes"]["model.kinweave.fct_case"]["config"]["meta"] = {"released": False}
    assert set(publish_it(build(tmp_path), dbt_manifest=dbt_manifest).table_hashes) == {"dim_child"}


def test_the_dictionary_says_how_each_column_left(tmp_path):
    release = publish_it(build(tmp_path))
    rows = ask(release, "select table_name || '.' || column_name, treatment from data_dictionary")
    assert dict(rows)["dim_child.dob"] == "month"
    assert dict(rows)["fct_case.case_id"] == "re-keyed"
    assert dict(rows)["fct_case.days"] == "as is"
    assert ask(release, "select comment from duckdb_tables() where table_name = 'dim_child'") == [
        ("Grain of dim_child.",)
    ]
