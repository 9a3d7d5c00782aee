"""What only a superuser can do, once and whenever the partners change: roles, and what PostgreSQL opens by default.

The nightly load needs none of these rights. Made for a cluster that serves one deployment and nothing else, because
roles belong to the cluster.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from pipelines.releases.serve.load import GRANTED, OWNER
from pipelines.releases.serve.shares import ServeError, Share, role_of

#: Settings of every partner's session. All but the last are a convenience a partner can change for itself; what it
#: may do does not depend on them.
_SESSION: dict[str, str] = {
    "default_transaction_isolation": "repeatable read",
    "default_transaction_read_only": "on",
    "statement_timeout": "10min",
    "idle_in_transaction_session_timeout": "15min",
    "temp_file_limit": "10GB",
}
#: Functions anybody may call in PostgreSQL and no partner needs: they write (large objects, the log), count the rows of
#: tables one cannot read, tell what other sessions do, or hold locks. Matched against the name in pg_catalog.
_FUNCTIONS = (
    r"^(lo_.*|lo(read|write)|be_lo_.*|pg_stat_get_.*|pg_stat_.*_snapshot.*|pg_.*_size|pg_(try_)?advisory_.*"
    r"|pg_logical_emit_message|pg_notify|pg_get_(shmem|backend).*|pg_export_snapshot"
    r"|(query|table|cursor|schema|database)_to_xml.*|pg_(ls|read|stat)_.*|pg_sequence_last_value|pg_relation_file.*"
    r"|pg_lock_status|pg_prepared_xact|pg_(safe_snapshot_)?blocking_pids)$"
)
#: Views of counters, and of what other sessions do.
_VIEWS = r"^(pg_stat_.*|pg_statio_.*|pg_locks|pg_prepared_xacts|pg_cursors|pg_sequences)$"
#: How many rows and pages a table has: small numbers about people, for a table that one may not read.
_COUNTS = ("reltuples", "relpages", "relallvisible", "relallfrozen")


def prepare(database: str, partners: Iterable[str]) -> list[str]:
    """Make ``database`` (a superuser's connection) ready to be loaded for ``partners``; again changes nothing.

    Returns what the superuser should know, in lines. Raises :class:`ServeError`.
    """
    roles = [role_of(p) for p in partners]
    try:
        with psycopg.connect(database) as connection:
            if not _value(connection, "select rolsuper from pg_roles where rolname = current_user"):
                raise ServeError("prepare needs a superuser")
            if connection.info.server_version < 150_000:
                raise ServeError("PostgreSQL 15 or newer is needed, for views with the rights of who reads them")
            connection.execute("set local search_path = pg_catalog")
            _role(connection, OWNER)
            for role in roles:
                _role(connection, role)
            _close_what_is_open(connection)
            for role in roles:
                _settings(connection, role)
            return _audit(connection, roles) + _ways_around(connection, roles)
    except psycopg.Error as error:
        raise ServeError(_plain(error)) from error


def password(database: str, partner: str) -> str:
    """Give a partner's role a new random password and return it; only its SCRAM verifier reaches the server."""
    role = role_of(partner)
    chosen = secrets.token_urlsafe(24)
    try:
        with psycopg.connect(database) as connection:
            verifier = connection.pgconn.encrypt_password(chosen.encode(), role.encode(), b"scram-sha-256").decode()
            connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(verifier)))
    except psycopg.Error as error:
        raise ServeError(_plain(error)) from error
    return chosen


def _role(connection: psycopg.Connection[Any], role: str) -> None:
    exists = _value(connection, "select count(*) from pg_roles where rolname = %s", role)
    verb = "alter" if exists else "create"
    limit, inherit = ("-1", "inherit") if role == OWNER else ("10", "noinherit")
    _run(
        connection,
        f"{verb} role {{role}} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls {inherit}"
        f" connection limit {limit}",
        role=role,
    )
    for (group,) in connection.execute(
        "select roleid::regrole::text from pg_auth_members where member = to_regrole(%s)", [role]
    ).fetchall():
        _run(connection, "revoke {group} from {role}", group=str(group), role=role)


def _close_what_is_open(connection: psycopg.Connection[Any]) -> None:
    """PostgreSQL gives everybody a good deal by default; here everybody has nothing."""
    here = str(_value(connection, "select current_database()"))
    for (name,) in connection.execute("select datname from pg_database where datallowconn").fetchall():
        # Another database would let a partner make temporary tables and run code.
        _run(connection, "revoke all on database {name} from public", name=str(name))
    _run(connection, "grant connect, create, temporary on database {here} to {owner}", here=here, owner=OWNER)
    _run(connection, "revoke all on schema public from public")
    _run(connection, "revoke usage on language plpgsql, sql from public")
    _run(connection, "grant usage on language plpgsql to {owner}", owner=OWNER)
    for kind in ("functions", "types", "tables", "sequences", "schemas"):
        _run(connection, f"alter default privileges for role {{owner}} revoke all on {kind} from public", owner=OWNER)
    # Whoever watches the server goes on watching it (pg_monitor).
    for (function,) in connection.execute(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'pg_catalog'::regnamespace"
        " and proname ~ %s order by 1",
        [_FUNCTIONS],
    ).fetchall():
        _run(connection, f"revoke execute on function {function} from public")
        if str(function).startswith(("pg_stat_get_", "pg_lock_status", "pg_prepared_xact")):
            _run(connection, f"grant execute on function {function} to pg_monitor")
    _run(connection, "grant execute on function pg_try_advisory_xact_lock(bigint) to {owner}", owner=OWNER)
    # It ends sessions that hold on to what is to be taken away.
    _run(connection, "grant pg_signal_backend to {owner}", owner=OWNER)
    for (view,) in connection.execute(
        "select relname from pg_class where relnamespace = 'pg_catalog'::regnamespace and relkind = 'v'"
        " and relname ~ %s order by 1",
        [_VIEWS],
    ).fetchall():
        _run(connection, "revoke all on pg_catalog.{view} from public", view=str(view))
        _run(connection, "grant select on pg_catalog.{view} to pg_monitor", view=str(view))
    _run(connection, "grant select on pg_catalog.pg_locks to {owner}", owner=OWNER)
    _run(connection, "grant execute on function pg_lock_status() to {owner}", owner=OWNER)
    shown = [
        str(r[0])
        for r in connection.execute(
            "select attname from pg_attribute where attrelid = 'pg_catalog.pg_class'::regclass"
            " and not attisdropped and not attname = any(%s) order by attnum",
            [list(_COUNTS)],
        ).fetchall()
    ]
    _run(connection, "revoke all on pg_catalog.pg_class from public")
    columns = sql.SQL(", ").join(map(sql.Identifier, shown))
    connection.execute(sql.SQL("grant select ({}) on pg_catalog.pg_class to public").format(columns))


def _settings(connection: psycopg.Connection[Any], role: str) -> None:
    here = str(_value(connection, "select current_database()"))
    _run(connection, "grant connect on database {here} to {role}", here=here, role=role)
    for name, value in {**_SESSION, "search_path": role}.items():
        connection.execute(
            sql.SQL("alter role {} set {} = {}").format(sql.Identifier(role), sql.Identifier(name), sql.Literal(value))
        )


def _audit(connection: psycopg.Connection[Any], roles: Sequence[str]) -> list[str]:
    """Have every read of a partner logged: by pgaudit without the statement's text, else with it."""
    loaded = "pgaudit" in str(_value(connection, "show shared_preload_libraries"))
    wanted: dict[str, str]
    if loaded:
        connection.execute("create extension if not exists pgaudit with schema pg_catalog")
        wanted = {
            "pgaudit.log": "all, -misc",
            "pgaudit.log_catalog": "off",
            "pgaudit.log_relation": "on",
            "pgaudit.log_rows": "on",
            "pgaudit.log_statement": "off",
            "log_statement": "none",
        }
        told = []
    else:
        wanted = {"log_statement": "all"}
        told = [
            "pgaudit is not loaded: reads are logged by log_statement, with the statements' text, which can hold what"
            " a partner typed. Keep the server's log as the vault is kept, or install pgaudit and run this again."
        ]
    for role in roles:
        for name, value in wanted.items():
            connection.execute(
                sql.SQL("alter role {} set {} = {}").format(
                    sql.Identifier(role), sql.SQL(".").join(map(sql.Identifier, name.split("."))), sql.Literal(value)
                )
            )
    prefix = str(_value(connection, "show log_line_prefix"))
    if not all(mark in prefix for mark in ("%u", "%m")) and "%t" not in prefix:
        told.append("log_line_prefix names no role or no time: set it to '%m [%p] %q%u@%d '")
    return told


def _ways_around(connection: psycopg.Connection[Any], roles: Sequence[str]) -> list[str]:
    """Ways into the data past the grants that the database has and that prepare does not take away."""
    told = [
        f"extension {name} is installed: know what it lets a role without any grant do"
        for (name,) in connection.execute(
            "select extname from pg_extension where extname not in ('plpgsql', 'pgaudit', 'pg_stat_statements')"
        ).fetchall()
    ]
    told += [
        f"role {role} may connect to database {name}"
        for role, name in connection.execute(
            "select r.rolname, d.datname from pg_roles r cross join pg_database d where r.rolname = any(%s)"
            " and d.datallowconn and d.datname <> current_database()"
            " and has_database_privilege(r.oid, d.oid, 'connect')",
            [list(roles)],
        ).fetchall()
    ]
    return told


# --- what is granted -------------------------------------------------------------------------------------------


def granted(database: str) -> dict[str, dict[str, list[str]]]:
    """Partner's role -> table -> columns that the database lets it select today, as the catalog says."""
    try:
        with psycopg.connect(database) as connection:
            found: dict[str, dict[str, list[str]]] = {}
            for role, table, column in connection.execute(GRANTED).fetchall():
                found.setdefault(role, {}).setdefault(table, []).append(column)
            return found
    except psycopg.Error as error:
        raise ServeError(_plain(error)) from error


def differences(wanted: Sequence[Share], found: dict[str, dict[str, list[str]]]) -> list[str]:
    """Where the database's grants are not what the shares ask for; one line each."""
    told = []
    asked = {s.role: {t.name: {c.name for c in t.columns} for t in s.tables} for s in wanted}
    for role in sorted({*asked, *found}):
        for table in sorted({*asked.get(role, {}), *found.get(role, {})}):
            want, have = asked.get(role, {}).get(table, set()), set(found.get(role, {}).get(table, []))
            if have - want:
                told.append(
                    f"{role} can select {table}.{{{', '.join(sorted(have - want))}}}, which no agreement gives it"
                )
            if want - have:
                told.append(f"{role} cannot select {table}.{{{', '.join(sorted(want - have))}}} yet: load the release")
    return told


def _run(connection: psycopg.Connection[Any], statement: Any, **names: str) -> None:
    """Run a statement of ours in which ``{placeholders}`` stand for identifiers."""
    connection.execute(sql.SQL(statement).format(**{k: sql.Identifier(v) for k, v in names.items()}))


def _value(connection: psycopg.Connection[Any], statement: LiteralString, *values: Any) -> Any:
    row = connection.execute(statement, values or None).fetchone()
    return row[0] if row else None


def _plain(error: psycopg.Error) -> str:
    first = error.diag.message_primary or str(error).split("\n", 1)[0]
    return f"PostgreSQL: {first} ({error.sqlstate or 'no connection'})"
