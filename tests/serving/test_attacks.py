"""What a partner might try, honestly or not. Each test shows a door that would be open if one line were missing."""

import duckdb
import psycopg
import pytest

from pipelines.releases import agreements as rules
from pipelines.releases.agreements import Book, Dataset
from pipelines.releases.serve import ServeError, shares
from tests.serving.conftest import ROWS
from tests.serving.partner_folders import TODAY, copy_agreements, public_key, write_manifest, write_release

REFUSED = [
    # Anything of one's own: tables, code, extensions.
    "create temporary table mine (a integer)",
    "create table mine (a integer)",
    "create table public.mine (a integer)",
    "create view mine as select 1",
    "create materialized view mine as select 1",
    "create sequence mine",
    "create schema mine",
    "create domain mine as text",
    "create function mine(a text) returns boolean language sql cost 0.0000001 as 'select true'",
    "create function pg_temp.mine(a text) returns boolean language sql as 'select true'",
    "do $$ begin raise notice 'mine'; end $$",
    "create operator === (leftarg = text, rightarg = text, function = texteq)",
    "create extension dblink",
    "create extension postgres_fdw",
    "create foreign data wrapper mine",
    "create publication mine",
    "load 'dblink'",
    # Somebody else's rights.
    "set role kinweave_owner",
    "set role postgres",
    "set role partner_medicaid_agency",
    "set session authorization postgres",
    "select set_config('role', 'kinweave_owner', false)",
    "create role mine",
    "alter role partner_court_team superuser",
    "alter role partner_court_team bypassrls",
    "alter role partner_public password 'x'",
    "grant partner_medicaid_agency to partner_court_team",
    "grant pg_read_all_data to partner_court_team",
    "reassign owned by kinweave_owner to partner_court_team",
    # Past the policies and the views.
    "set row_security = off; select * from dim_child",
    "alter view dim_child set (security_barrier = false)",
    "drop policy read on store_court_team.dim_child",
    "select * from store_court_team.dim_child",
    "select release_id from store_court_team.dim_child",
    "begin; lock table dim_child in access share mode; commit",
    "update serving.release set release_id = 'old'",
    "select * from serving.made",
    # Files, programs and large objects.
    "copy dim_child to program 'id'",
    "copy dim_child to '/tmp/mine'",
    "copy dim_child from '/etc/passwd'",
    "select pg_read_file('/etc/passwd')",
    "select pg_read_binary_file('/etc/passwd')",
    "select pg_ls_dir('/')",
    "select * from pg_ls_logdir()",
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '/tmp/mine')",
    "select lo_create(0)",
    "select lo_from_bytea(0, 'mine')",
    "select lo_get(1)",
    "select lowrite(0, 'mine')",
    # The server and its log.
    "alter system set log_statement = 'none'",
    "set log_statement = 'none'",
    "alter role partner_court_team set log_statement = 'none'",
    "set session_replication_role = replica",
    "select pg_reload_conf()",
    "select pg_switch_wal()",
    "select pg_logical_emit_message(false, 'mine', 'x')",
    "select pg_advisory_lock(5417905231)",
    "select pg_try_advisory_xact_lock(5417905231)",
    # What others have and how much of it.
    "select reltuples from pg_class",
    "select * from pg_class",
    "select * from pg_statistic",
    "select * from pg_statistic_ext_data",
    "select * from pg_stat_user_tables",
    "select * from pg_stat_all_tables",
    "select * from pg_statio_user_tables",
    "select * from pg_stat_activity",
    "select * from pg_stat_database",
    "select * from pg_locks",
    "select * from pg_lock_status()",
    "select * from pg_prepared_xact()",
    "select pg_stat_get_live_tuples('store_medicaid_agency.dim_child'::regclass)",
    "select pg_relation_size(oid) from pg_class where relname = 'dim_child'",
    "select pg_total_relation_size(oid) from pg_class where relname = 'dim_child'",
    "select pg_database_size(current_database())",
    "select * from pg_shadow",
    "select * from pg_authid",
    "select * from pg_hba_file_rules",
    "select * from pg_sequences",
    "explain select * from partner_medicaid_agency.dim_child",
    "explain select * from store_court_team.dim_child",
    "select table_to_xml('partner_medicaid_agency.dim_child', true, false, '')",
    "select schema_to_xml('store_court_team', true, false, '')",
    "analyze store_medicaid_agency.dim_child; select * from store_medicaid_agency.dim_child",
]


@pytest.fixture(scope="module")
def team(demo):
    with demo.as_partner("court_team") as connection:
        yield connection


@pytest.mark.parametrize("statement", REFUSED)
def test_refused(team, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        team.execute(statement)
    if team.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        team.execute("rollback")
    team.execute("reset all")


def test_what_is_not_there_cannot_be_called(team):
    for statement in ("select * from dblink('dbname=kinweave', 'select 1') as t(a integer)", "select nextval('mine')"):
        with pytest.raises((psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedTable)):
            team.execute(statement)


def test_no_partner_may_enter_another_database(demo):
    for name in ("postgres", "template1", "kinweave"):
        with pytest.raises(psycopg.OperationalError, match="does not have CONNECT privilege"):
            psycopg.connect(demo.server.uri("partner_court_team", name))


def test_a_partner_starts_read_only_at_repeatable_read_in_its_own_schema(demo):
    with psycopg.connect(demo.server.uri("partner_public", demo.database)) as connection:
        settings = [
            connection.execute(f"show {name}").fetchone()[0]
            for name in ("transaction_isolation", "transaction_read_only", "search_path")
        ]
    assert settings == ["repeatable read", "on", "partner_public"]


def test_another_search_path_finds_nothing_more(team):
    team.execute("set search_path = partner_medicaid_agency, store_medicaid_agency, serving, partner_court_team")
    assert team.execute("select distinct person_id ~ '^canary court_team' from dim_child").fetchall() == [(True,)]
    with pytest.raises(psycopg.errors.UndefinedTable):
        team.execute("select * from fct_elig_span")
    team.execute("reset all")


def test_settings_of_the_session_do_not_move_the_day(demo):
    with demo.as_partner("state_university") as connection:
        for setting in ("timezone = 'Pacific/Kiritimati'", "timezone = 'Etc/GMT+12'", "datestyle = 'German'"):
            connection.execute(f"set {setting}")
            assert connection.execute("select count(*) from dim_child").fetchone() == (0,)


# --- leaky functions and views with the owner's rights ---------------------------------------------------------


@pytest.fixture
def hidden(demo):
    """Rows of a release that is not shown, and a function that tells what it sees and costs nothing."""
    with demo.connect() as admin:
        admin.execute(
            "insert into store_court_team.dim_site select 'hidden ' || i, 'hidden', 'hidden', '2026-01-01', 'other'"
            " from generate_series(1, 100) i"
        )
        admin.execute(
            "create schema leaky; create function leaky.tell(t text) returns boolean language plpgsql cost 0.0000001"
            " as $$ begin raise notice 'saw %', t; return true; end $$;"
            " grant usage on schema leaky to public; grant execute on function leaky.tell to public"
        )
        yield admin
        admin.execute("drop schema leaky cascade; delete from store_court_team.dim_site where release_id = 'other'")


def seen(connection, query):
    told = []
    connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
    connection.execute(query)
    return [t for t in told if t.startswith("saw")]


def test_a_cheap_function_in_the_condition_sees_no_hidden_row(demo, hidden):
    with demo.as_partner("court_team") as connection:
        told = seen(connection, "select * from dim_site where leaky.tell(site_id)")
    assert len(told) == 3
    assert not [t for t in told if "hidden" in t]


def test_without_a_barrier_the_same_function_would_have_seen_them(demo, hidden):
    # Shows that the test above can fail: an ordinary view whose owner no policy binds.
    hidden.execute(
        "create view leaky.plain as select * from store_court_team.dim_site"
        " where release_id = (select release_id from serving.release); grant select on leaky.plain to public"
    )
    with demo.as_partner("court_team") as connection:
        assert len(seen(connection, "select * from leaky.plain where leaky.tell(site_id)")) > 3


def test_a_view_with_the_owners_rights_shows_nothing(demo, hidden):
    hidden.execute("set role kinweave_owner")
    hidden.execute("create view partner_public.careless as select * from store_court_team.dim_site")
    hidden.execute("grant select on partner_public.careless to partner_public; reset role")
    try:
        with demo.as_partner("public") as connection:
            assert connection.execute("select count(*) from careless").fetchone() == (0,)
    finally:
        hidden.execute("drop view partner_public.careless")


# --- what the catalogs tell ------------------------------------------------------------------------------------


def test_no_catalog_tells_another_partners_values_or_how_many_rows_it_has(demo):
    """Every column of every relation PostgreSQL has itself, read as a partner, searched for the others' marks."""
    with demo.connect() as admin:
        assert admin.execute(
            "select reltuples::integer from pg_class where oid = 'store_medicaid_agency.dim_child'::regclass"
        ).fetchone() == (ROWS,)
    readable = {}
    with demo.as_partner("court_team") as connection:
        for schema, name, column in connection.execute(
            "select n.nspname, c.relname, a.attname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
            " where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v')"
            " and has_column_privilege(c.oid, a.attnum, 'select')"
        ):
            readable.setdefault((schema, name), []).append(column)
        assert len(readable) > 100
        told, refused = [], 0
        for (schema, name), columns in readable.items():
            text = " || ' ' || ".join(f"coalesce({c}::text, '')" for c in (f'"{c}"' for c in columns))
            try:
                rows = connection.execute(
                    f"select 1 from {schema}.{name} where {text} ~ %s limit 1", [rf"canary (?!court_team)|\m{ROWS}\M"]
                ).fetchall()
            except psycopg.errors.InsufficientPrivilege:
                refused += 1
            else:
                told += [name] if rows else []
        assert told == []
        assert refused < 20
        # The search does find what is there to find.
        assert connection.execute("select 1 from dim_child where person_id ~ 'canary court_team' limit 1").fetchall()


def test_planner_estimates_of_a_lapsed_table_are_all_that_is_left_of_it(demo):
    with demo.as_partner("state_university") as connection:
        assert connection.execute("select * from pg_stats where schemaname !~ '^(pg_|information)'").fetchall() == []
        assert connection.execute("select count(*) from pg_stats_ext").fetchone() == (0,)


# --- names and folders from outside ----------------------------------------------------------------------------

EVIL = 'x"; drop schema serving cascade; --'


def test_names_and_texts_that_are_sql_stay_names_and_texts(new_database, tmp_path):
    served = new_database(
        tmp_path, only=["public"], public={"legal_basis": ["'); drop schema serving cascade; --", "Bobby \\' law"]}
    )
    partners = write_release(tmp_path, served.agreements, mark="'; drop schema serving; --")
    book = served.book()
    agreement = book.agreements["PUB-2026-008"]
    # No agreement with such a name is ever read; this is what would happen if one were.
    datasets = {
        **agreement.datasets,
        EVIL: Dataset.model_construct(columns=[EVIL, "ünïcode"], rows={}, classes_denied=[]),
    }
    object.__setattr__(agreement, "datasets", datasets)
    with duckdb.connect(str(partners / "public" / "kinweave.duckdb")) as database:
        quoted = EVIL.replace('"', '""')
        database.execute(f'create table "{quoted}" as select 1 as "{quoted}", $$\'"; drop schema serving$$ as ünïcode')
        database.execute(f"comment on table \"{quoted}\" is '''; drop schema serving; --'")
    tables = [{"name": n, "file": "", "rows": 1, "agreement": agreement.agreement} for n in datasets]
    write_manifest(partners / "public", tmp_path, "2026-09-30-aaaaaaaaaa", "public", tables)
    served.book = lambda: book
    served.load(partners)
    served.load(partners)
    with served.as_partner("public") as connection:
        assert connection.execute(f'select "{quoted}", "ünïcode" from "{quoted}"').fetchall() == [
            (1, "'\"; drop schema serving")
        ]
        (basis,) = connection.execute("select legal_basis from about").fetchone()
        assert basis == "'); drop schema serving cascade; --; Bobby \\' law"
        assert connection.execute("select count(*) from dim_site where site_name ~ 'drop schema'").fetchone() == (3,)
    del datasets[EVIL]
    assert served.load(partners).dropped == 1
    with served.connect() as admin:
        assert admin.execute("select count(*) from serving.release").fetchone() == (1,)


@pytest.fixture
def folders(tmp_path):
    """Agreements and a release of two partners, without a database."""
    agreements = copy_agreements(tmp_path / "agreements", only=["medicaid_agency", "public"])
    return rules.load(agreements), write_release(tmp_path, agreements)


def test_a_folder_that_is_not_as_signed_is_not_served(folders, tmp_path):
    book, partners = folders
    key = public_key(tmp_path)
    assert shares(partners, book, TODAY, key)
    with pytest.raises(ServeError, match="does not verify"):
        shares(partners, book, TODAY, public_key(tmp_path / "other"))
    with (partners / "public" / "kinweave.duckdb").open("ab") as handle:
        handle.write(b"more")
    with pytest.raises(ServeError, match="public: its folder does not verify"):
        shares(partners, book, TODAY, key)


def test_a_folder_that_is_a_link_or_another_partners_is_not_served(folders, tmp_path):
    book, partners = folders
    (partners / "public").rename(partners / "away")
    (partners / "public").symlink_to(partners / "away")
    with pytest.raises(ServeError, match="public: its folder is a link"):
        shares(partners, book, TODAY, public_key(tmp_path))
    (partners / "public").unlink()
    (partners / "medicaid_agency").rename(partners / "public")
    with pytest.raises(ServeError, match="made for another partner"):
        shares(partners, book, TODAY, public_key(tmp_path))


def test_a_column_the_agreement_no_longer_names_is_not_even_stored(folders, tmp_path):
    book, partners = folders
    fewer = book.agreements["PUB-2026-008"].model_copy(update={"datasets": {"dim_site": Dataset(columns=["site_id"])}})
    (share,) = shares(partners, Book(book.parties, {fewer.agreement: fewer}), TODAY, public_key(tmp_path))
    stored = {t.name: [c.name for c in t.columns] for t in share.tables if t.name not in ("about", "data_dictionary")}
    assert stored == {"dim_site": ["site_id"]}
