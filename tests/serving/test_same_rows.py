"""A partner's file and what its role can select are the same rows, table by table; every read leaves a trace."""

import csv
import datetime as dt
import time

import duckdb
import psycopg
import pytest
import yaml

from pipelines.releases import agreements as rules
from pipelines.releases.serve import load, prepare, throwaway
from pipelines.releases.serve.shares import recipients
from tests.releases.small_governed import AGREEMENTS, CUT, build, publish_it
from tests.serving.partner_folders import TODAY, ZONE, public_key
from tests.serving.second_reading import allowed

PARTNERS = sorted(a["parties"]["recipient"] for a in AGREEMENTS)


@pytest.fixture(scope="module")
def governed(tmp_path_factory):
    """A release as the night publishes it: a dozen people under all rules of governance, every agreement served."""
    agreements = [{**a, "delivery": {**a.get("delivery", {}), "modes": ["files", "postgres"]}} for a in AGREEMENTS]
    home = build(tmp_path_factory.mktemp("governed"), agreements=agreements)
    return home, publish_it(home), allowed(home.agreements_dir, CUT)


@pytest.fixture(scope="module")
def database(server, governed):
    home, release, _ = governed
    with psycopg.connect(server.uri(), autocommit=True) as connection:
        connection.execute("create database governed template template0")
    book = rules.load(home.agreements_dir)
    prepare(server.uri(database="governed"), recipients(book))
    # The example's agreements have fixed days, and the server has a clock.
    for path in home.agreements_dir.glob("A-*.yml"):
        agreement = yaml.safe_load(path.read_text())
        agreement |= {"effective": TODAY, "expires": TODAY + dt.timedelta(2)}
        path.write_text(yaml.safe_dump(agreement, sort_keys=False))
    load(
        server.uri("kinweave_owner", "governed"),
        release.folder / "partners",
        rules.load(home.agreements_dir),
        zone=ZONE,
        verified_by=public_key(home.root / "vault"),
        day=TODAY,
    )
    return "governed"


@pytest.mark.parametrize("partner", PARTNERS)
def test_a_partners_file_has_the_columns_its_agreement_names_and_no_other(governed, partner):
    folder, wanted = governed[1].folder / "partners" / partner, governed[2][f"partner_{partner}"]
    with duckdb.connect(str(folder / "kinweave.duckdb"), read_only=True) as file:
        found = {}
        columns = "select table_name, column_name from duckdb_columns() where not internal"
        for table, column in file.execute(columns).fetchall():
            found.setdefault(table, set()).add(column)
    assert found == {table: columns for table, columns in wanted.items() if table != "about"}
    assert {p.stem for p in (folder / "parquet").iterdir()} == set(wanted) - {"about", "data_dictionary"}


def test_only_partners_of_an_agreement_have_a_folder(governed):
    folders = {f"partner_{p.name}" for p in (governed[1].folder / "partners").iterdir() if p.is_dir()}
    assert folders == set(governed[2])


@pytest.mark.parametrize("partner", PARTNERS)
def test_file_and_role_hold_the_same_rows_for_every_table(server, governed, database, partner):
    folder = governed[1].folder / "partners" / partner
    with (
        duckdb.connect(str(folder / "kinweave.duckdb"), read_only=True) as file,
        psycopg.connect(server.uri(f"partner_{partner}", database)) as role,
    ):
        in_file = {r[0] for r in file.execute("select table_name from duckdb_tables()").fetchall()}
        in_role = {
            r[0]
            for r in role.execute("select table_name from information_schema.tables where table_schema = current_user")
        }
        assert in_role - in_file <= {"about", "consent_scope"}
        assert in_file <= in_role
        for table in in_file:
            cursor = role.execute(f"select * from {table}")
            held = file.execute(f"select * from {table}")
            assert [c.name for c in cursor.description] == [c[0] for c in held.description], table
            # Bags, not only sets: a row that stands twice in the file stands twice here.
            assert sorted(map(repr, cursor.fetchall())) == sorted(map(repr, held.fetchall())), table


def test_the_notice_and_the_scope_of_each_consent_travel_with_treatment(server, governed, database):
    folder = governed[1].folder / "partners" / "team"
    with psycopg.connect(server.uri("partner_team", database)) as role:
        (notice,) = role.execute("select notice from about").fetchone()
        assert notice == (folder / "NOTICE_42CFR2.txt").read_text()
        assert "42 CFR part 2" in notice
        with (folder / "consent_scope_A-1.csv").open() as handle:
            header, *lines = csv.reader(handle)
        found = role.execute(f"select {', '.join(header)} from consent_scope").fetchall()
        assert sorted(found) == sorted(map(tuple, lines))
        assert len(found) > 0
    with psycopg.connect(server.uri("partner_court", database)) as role:
        assert role.execute("select notice from about").fetchone() == (None,)


# --- the trace -------------------------------------------------------------------------------------------------


def test_every_read_is_logged_with_the_role_and_without_a_value_where_pgaudit_is(server, governed, database):
    mark = "a-name-somebody-typed"
    with psycopg.connect(server.uri("partner_team", database)) as role:
        role.execute(f"select person_id from dim_child where person_id = '{mark}'")
    for _ in range(100):
        lines = [line for line in (server.folder / "log").read_text().splitlines() if "partner_team@governed" in line]
        reads = [line for line in lines if "dim_child" in line]
        if reads:
            break
        time.sleep(0.05)
    if throwaway.has_pgaudit():
        assert any("AUDIT: SESSION" in r and "READ,SELECT" in r and "partner_team.dim_child" in r for r in reads)
        assert not any(mark in line for line in lines)
    else:
        assert any("LOG:  statement: select person_id from dim_child" in r for r in reads)


def test_a_partner_cannot_switch_its_trace_off(server, database):
    names = ["log_statement", *(["pgaudit.log", "pgaudit.log_relation"] if throwaway.has_pgaudit() else [])]
    writable = "-c default_transaction_read_only=off"
    with psycopg.connect(server.uri("partner_team", database), autocommit=True, options=writable) as role:
        for name in names:
            for statement in (f"set {name} = 'none'", f"alter role partner_team set {name} = 'none'"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    role.execute(statement)


def test_a_new_password_opens_and_the_old_one_no_longer(server, database):
    from pipelines.releases.serve import password

    first, second = (password(server.uri(database=database), "team") for _ in range(2))
    assert first != second
    with psycopg.connect(server.uri(database=database)) as admin:
        (kept,) = admin.execute("select rolpassword from pg_authid where rolname = 'partner_team'").fetchone()
    assert kept.startswith("SCRAM-SHA-256$")
    log = (server.folder / "log").read_text()
    assert first not in log
    assert second not in log
