"""Role x table x column x verb: what a second reading of the YAML allows is what PostgreSQL lets each role do."""

import datetime as dt

import psycopg
import pytest
from psycopg import sql

from tests.serving.partner_folders import TODAY, read_agreements
from tests.serving.second_reading import allowed

DENIED = "42501"


@pytest.fixture(scope="module")
def relations(demo):
    """(schema, relation, kind) -> columns, of everything that is not PostgreSQL's own."""
    found = {}
    with demo.connect() as connection:
        for schema, name, kind, column in connection.execute(
            "select n.nspname, c.relname, c.relkind::text, a.attname from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace"
            " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
            " where c.relkind in ('r', 'v', 'm', 'p', 'f', 'S') and n.nspname !~ '^(pg_|information_schema)'"
        ):
            found.setdefault((schema, name, kind), []).append(column)
    return found


def outcome(connection, statement):
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        return error.sqlstate
    return "ok"


def named(schema, name):
    return sql.Identifier(schema, name)


def test_the_matrix_covers_every_partner(demo, relations):
    partners = {a["parties"]["recipient"] for a in read_agreements(demo.agreements).values()}
    assert {s for s, _, kind in relations if kind == "v"} == {f"partner_{p}" for p in partners}
    assert len(partners) == 8


def test_each_role_selects_the_columns_its_agreement_names_and_no_other(demo, relations):
    wanted = allowed(demo.agreements, TODAY - dt.timedelta(1))
    surprises, attempts = [], 0
    for role in wanted:
        with demo.as_partner(role.removeprefix("partner_")) as connection:
            for (schema, name, _), columns in relations.items():
                for column in columns:
                    query = sql.SQL("select {} from {} limit 1").format(sql.Identifier(column), named(schema, name))
                    may = schema == role and column in wanted[role].get(name, set())
                    attempts += 1
                    if (found := outcome(connection, query)) != ("ok" if may else DENIED):
                        surprises.append((role, schema, name, column, found))
    assert not surprises
    assert attempts > 5000


def test_the_catalog_says_the_same(demo, relations):
    wanted = allowed(demo.agreements, TODAY - dt.timedelta(1))
    surprises = []
    with demo.connect() as connection:
        for role, schema, name, column, verb, may in connection.execute(
            "select r.rolname, n.nspname, c.relname, a.attname, v.verb,"
            " has_column_privilege(r.oid, c.oid, a.attnum, v.verb) and has_schema_privilege(r.oid, n.oid, 'usage')"
            " from pg_roles r, pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped,"
            " unnest(array['select', 'insert', 'update', 'references']) as v(verb)"
            " where r.rolname like 'partner%' and n.nspname !~ '^(pg_|information_schema)'"
            " and c.relkind in ('r', 'v', 'm', 'p', 'f')"
        ):
            should = verb == "select" and schema == role and column in wanted.get(role, {}).get(name, set())
            if may != should:
                surprises.append((role, schema, name, column, verb, may))
        assert not surprises
        tables = connection.execute(
            "select r.rolname, c.oid::regclass, v.verb from pg_roles r, pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace,"
            " unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as v(verb)"
            " where r.rolname like 'partner%' and n.nspname !~ '^(pg_|information_schema)'"
            " and c.relkind in ('r', 'v', 'm', 'p', 'f') and has_table_privilege(r.oid, c.oid, v.verb)"
        ).fetchall()
        assert tables == []  # nothing is granted on a whole table: a column added later is nobody's


@pytest.mark.parametrize(
    "verb",
    [
        "insert into {table} default values",
        "update {table} set {column} = {column}",
        "delete from {table}",
        "alter table {table} rename to mine",
        "comment on column {table}.{column} is 'mine'",
        "grant select on {table} to public",
    ],
)
def test_no_role_writes_anything(demo, relations, verb):
    surprises = []
    for role in allowed(demo.agreements, TODAY - dt.timedelta(1)):
        with demo.as_partner(role.removeprefix("partner_")) as connection:
            for (schema, name, _), columns in relations.items():
                statement = sql.SQL(verb).format(table=named(schema, name), column=sql.Identifier(columns[0]))
                if (found := outcome(connection, statement)) != DENIED:
                    surprises.append((role, schema, name, found))
    assert not surprises


def test_rows_show_on_the_days_of_the_agreement_only(demo):
    today = allowed(demo.agreements, TODAY)
    for role, tables in allowed(demo.agreements, TODAY - dt.timedelta(1)).items():
        with demo.as_partner(role.removeprefix("partner_")) as connection:
            for table in tables:
                (count,) = connection.execute(
                    sql.SQL("select count(*) from {}").format(sql.Identifier(table))
                ).fetchone()
                assert (count > 0) == (role in today or table == "about"), (role, table)


def test_a_new_table_is_nobodys(demo):
    with demo.connect() as admin:
        try:
            admin.execute("set role kinweave_owner")
            for schema in ("partner_court_team", "store_court_team", "serving"):
                admin.execute(f"create table {schema}.brand_new as select 1 as a")
                admin.execute(f"create view {schema}.brand_new_view as select * from {schema}.brand_new")
            for partner in ("court_team", "public"):
                with demo.as_partner(partner) as connection:
                    for schema in ("partner_court_team", "store_court_team", "serving"):
                        assert outcome(connection, f"select * from {schema}.brand_new") == DENIED
                        assert outcome(connection, f"select a from {schema}.brand_new_view") == DENIED
        finally:
            for schema in ("partner_court_team", "store_court_team", "serving"):
                admin.execute(f"drop table if exists {schema}.brand_new cascade")


def test_a_column_added_to_a_table_is_nobodys(demo):
    with demo.connect() as admin, demo.as_partner("public") as connection:
        admin.execute("alter table store_public.dim_site add column added text default 'x'")
        try:
            assert outcome(connection, "select added from dim_site") == "42703"
            assert outcome(connection, "select added from store_public.dim_site") == DENIED
            assert outcome(connection, "select * from dim_site") == "ok"
        finally:
            admin.execute("alter table store_public.dim_site drop column added")


def test_how_everything_is_made(demo, relations):
    with demo.connect() as connection:
        roles = connection.execute(
            "select rolname from pg_roles where rolname ~ '^(partner_|kinweave_)' and (rolsuper or rolcreaterole"
            " or rolcreatedb or rolreplication or rolbypassrls or (rolinherit and rolname ~ '^partner_'))"
        ).fetchall()
        assert roles == []
        members = connection.execute(
            "select member::regrole::text, roleid::regrole::text from pg_auth_members"
            " where member::regrole::text ~ '^(partner_|kinweave_)' or roleid::regrole::text ~ '^(partner_|kinweave_)'"
        ).fetchall()
        assert members == [("kinweave_owner", "pg_signal_backend")]
        for schema, name, kind in relations:
            owner, options, secured, forced = connection.execute(
                "select relowner::regrole::text, coalesce(reloptions, '{}'), relrowsecurity, relforcerowsecurity"
                " from pg_class where oid = format('%%I.%%I', %s::text, %s::text)::regclass",
                [schema, name],
            ).fetchone()
            assert owner == "kinweave_owner"
            if kind == "v":
                assert {"security_barrier=true", "security_invoker=true"} <= set(options), name
            elif schema.startswith("store_"):
                assert secured and forced, name
        functions = connection.execute(
            "select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
            " where n.nspname !~ '^(pg_|information_schema)'"
        ).fetchall()
        assert functions == []  # nothing of ours runs with anybody's rights


def test_what_the_product_says_is_granted_is_what_the_second_reading_says(demo):
    from pipelines.releases.serve import granted

    found = {
        role: {t: set(c) for t, c in tables.items()}
        for role, tables in granted(demo.server.uri(database=demo.database)).items()
    }
    assert found == allowed(demo.agreements, TODAY - dt.timedelta(1))
