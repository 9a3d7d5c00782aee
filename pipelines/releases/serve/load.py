"""A release into PostgreSQL: rows, views, policies, grants and the pointer, in one transaction.

A reader sees all of one release or all of the next. Nothing is renamed under a reader: names are looked up outside its
snapshot, so two statements of one transaction could meet two releases. Instead rows carry their release, a pointer row
names the one that shows, and the old rows are deleted in the transaction that moves the pointer. Killed anywhere, the
server takes the whole transaction back.

Each partner's rows lie in tables of their own (``store_<partner>``), which only the owner can name. What the partner
names are views (``partner_<partner>``) with a security barrier and the partner's own rights, over row policies that
compare the agreement's days with today's date where the jurisdiction is.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

from adbc_driver_manager import Error
from adbc_driver_postgresql import dbapi

from pipelines.releases import agreements
from pipelines.releases.accounting import audit, log_of
from pipelines.releases.manifest import open_release
from pipelines.releases.partners import PARTNERS
from pipelines.releases.publish import current_release
from pipelines.releases.serve.shares import (
    RELEASE,
    ServeError,
    Share,
    SharedTable,
    Span,
    digest,
    role_of,
    rows,
    shares,
)
from pipelines.releases.signing import public_key
from pipelines.settings import load_jurisdiction
from pipelines.storage import Home, identifier, quoted

OWNER = "kinweave_owner"
POINTER = "serving.release"
#: One number for every load of any deployment: two in one database never run at once.
_LOCK = 5_417_905_231
#: Partner's role, table and column, of everything a partner can select and has a name for.
GRANTED: LiteralString = (
    "select r.rolname, c.relname, a.attname from pg_roles r join pg_namespace n on n.nspname = r.rolname"
    " join pg_class c on c.relnamespace = n.oid join pg_attribute a on a.attrelid = c.oid and a.attnum > 0"
    r" where r.rolname like 'partner\_%' and c.relkind in ('r', 'v', 'p', 'm', 'f')"
    " and has_schema_privilege(r.oid, n.oid, 'usage') and has_column_privilege(r.oid, c.oid, a.attnum, 'select')"
    " order by r.rolname, c.relname, a.attnum"
)
_BOOKKEEPING = [
    "create schema if not exists serving",
    f"create table if not exists {POINTER} (only_one boolean primary key default true check (only_one),"
    " load_no bigint not null, release_id text not null, loaded_at timestamptz not null)",
    "create table if not exists serving.made (partner text, table_name text, digest text not null,"
    " primary key (partner, table_name))",
    "create table if not exists serving.stopped (partner text primary key, since timestamptz not null)",
]


@dataclass(frozen=True)
class Loaded:
    """What a load did: ``rebuilt`` tables are those whose columns, grants or days changed, or that are new."""

    release_id: str
    load_no: int
    rows: dict[str, int]
    rebuilt: int
    dropped: int
    stopped: tuple[str, ...]


def today(zone: str) -> dt.date:
    """The date where the jurisdiction is."""
    return dt.datetime.now(ZoneInfo(zone)).date()


def load(
    database: str,
    partners_dir: Path,
    book: agreements.Book,
    *,
    zone: str,
    verified_by: str,
    day: dt.date | None = None,
    patience: float = 60.0,
) -> Loaded:
    """Serve the release whose partners' folders lie in ``partners_dir``, as the agreements of ``day`` allow.

    ``database`` is what libpq takes to connect (URI or ``key=value``), as :data:`OWNER`; ``zone`` the jurisdiction's
    time zone, in which agreements begin and end; ``verified_by`` its public key; ``day`` is today there. Loading the
    same release again brings the database to the agreements as they are now. Where a table's form changes, open
    transactions that read it are waited for, ``patience`` seconds; then their sessions are ended. Raises
    :class:`ServeError`; the database is then as before, but for what no agreement gives any more: that is revoked
    first, whatever happens after.
    """
    return _load(database, shares(partners_dir, book, day or today(zone), verified_by), zone, patience)


def _load(database: str, found: Sequence[Share], zone: str, patience: float = 60.0) -> Loaded:
    with _transaction(database) as cursor:
        _take_back(cursor, found)
    with _transaction(database) as cursor:
        return _Load(cursor, zone, patience).run(found)


def current_shares(home: Home) -> list[Share]:
    """What the deployment's current release serves today. Raises :class:`ServeError` and what reading it raises."""
    zone = load_jurisdiction(home.root).time_zone
    partners_dir = current_release(home.releases_dir).folder / PARTNERS
    if not partners_dir.is_dir():
        raise ServeError("the current release has no partners' folders: write agreements and run `kinweave run`")
    return shares(partners_dir, agreements.load(home.agreements_dir), today(zone), public_key(home.root / "vault"))


def load_current(home: Home, database: str) -> Loaded:
    """:func:`load` the deployment's current release, as its agreements of today allow, and note it in the audit log."""
    done = _load(database, current_shares(home), load_jurisdiction(home.root).time_zone)
    audit(
        log_of(home),
        "served",
        release_id=done.release_id,
        tables=sorted(done.rows),
        rows=sum(done.rows.values()),
        stopped=list(done.stopped),
    )
    return done


def stop(database: str, partner: str) -> None:
    """Take everything from a partner at once, until :func:`resume` and the next load. Raises :class:`ServeError`.

    Its open sessions are refused from their next statement on; its rows go with the next load.
    """
    with _transaction(database) as cursor:
        _known(cursor, partner)
        cursor.execute(
            f"insert into serving.stopped values ({quoted(partner)}, now()) on conflict (partner) do nothing"
        )
        _take_back(cursor, [], only=role_of(partner))


def resume(database: str, partner: str) -> None:
    """Let the next load serve a stopped partner again. Raises :class:`ServeError`."""
    with _transaction(database) as cursor:
        _known(cursor, partner)
        cursor.execute(f"delete from serving.stopped where partner = {quoted(partner)}")


def _known(cursor: Any, partner: str) -> None:
    """A misspelt name must not look as if somebody had been stopped."""
    if not _all(cursor, f"select 1 from pg_catalog.pg_roles where rolname = {quoted(role_of(partner))}"):
        raise ServeError(f"the database knows no partner {partner}")


@contextmanager
def _transaction(database: str) -> Iterator[Any]:
    """A cursor of the owner's, never with more rights, in one transaction; the only one in this database."""
    try:
        with dbapi.connect(database) as connection, connection.cursor() as cursor:
            if _all(cursor, f"select count(*) from pg_catalog.pg_roles where rolname = {quoted(OWNER)}")[0][0] != 1:
                raise ServeError("the database is not prepared: run `kinweave serve prepare` as a superuser")
            cursor.execute(f"set local role {OWNER}")
            cursor.execute("set local standard_conforming_strings = on")
            cursor.execute("set local search_path = pg_catalog")
            if not _all(cursor, f"select pg_try_advisory_xact_lock({_LOCK})")[0][0]:
                raise ServeError("another load is under way")
            for statement in _BOOKKEEPING:
                cursor.execute(statement)
            yield cursor
            connection.commit()
    except Error as error:
        raise ServeError(_plain(error)) from error


def _take_back(cursor: Any, found: Sequence[Share], only: str | None = None) -> None:
    """Revoke what no agreement gives any more. Waits for nobody: an open transaction cannot put it off."""
    wanted = {(s.role, t.name, c.name) for s in found for t in s.tables for c in t.columns}
    made = set(_all(cursor, "select partner, table_name from serving.made"))
    for role, table, column in _all(cursor, GRANTED):
        if (role, table, column) not in wanted and only in (None, role):
            partner = str(role).removeprefix("partner_")
            stored = [_stored(partner, table)] if (partner, table) in made else []
            for place in [f"{identifier(role)}.{identifier(table)}", *stored]:
                cursor.execute(f"revoke select ({identifier(column)}) on {place} from {identifier(role)}")


class _Load:
    """One load, inside one transaction of ``cursor``."""

    def __init__(self, cursor: Any, zone: str, patience: float) -> None:
        self.cursor = cursor
        self.zone = zone
        self.patience = patience

    def run(self, found: Sequence[Share]) -> Loaded:
        cursor = self.cursor
        stopped = [str(r[0]) for r in _all(cursor, "select partner from serving.stopped order by 1")]
        served = [s for s in found if s.partner not in stopped]
        made = {
            (str(p), str(t)): str(d) for p, t, d in _all(cursor, "select partner, table_name, digest from serving.made")
        }
        before = _all(cursor, f"select load_no, release_id from {POINTER}")
        if not found and not before:
            raise ServeError("no agreement in force today serves anything of this release through PostgreSQL")
        load_no = int(before[0][0]) + 1 if before else 1
        release = served[0].release_id if served else (found[0].release_id if found else str(before[0][1]))
        counts: dict[str, int] = {}
        incoming: list[tuple[Share, SharedTable, str]] = []
        for share in served:
            self._schemas(share)
            self.files = open_release(share.folder)
            for table in share.tables:
                name = table.name
                if made.get((share.partner, name)) == digest(table, self.zone):
                    cursor.execute(f"delete from {_stored(share.partner, name)}")
                else:
                    # A dot cannot be in a name from an agreement, so this meets no other table.
                    name = f"incoming.{len(incoming)}"
                    self._create(share, table, name)
                    incoming.append((share, table, name))
                counts[f"{share.partner}.{table.name}"] = self._fill(share, table, _stored(share.partner, name))
            self.files.close()
        rebuilt = {(share.partner, table.name) for share, table, _ in incoming}
        kept = {(share.partner, t.name) for share in served for t in share.tables}
        leaving = sorted((set(made) - kept) | (set(made) & rebuilt))
        self._wait_for(leaving)
        for partner, table_name in leaving:
            _drop(cursor, partner, table_name)
        for share, table, name in incoming:
            self._show(share, table, name, load_no)
        for share in served:
            for table in share.tables:
                # Each time, in case a right was taken by `stop` or by hand; a grant waits for nobody.
                for place in (f"{identifier(share.role)}.{identifier(table.name)}", _stored(share.partner, table.name)):
                    cursor.execute(f"grant select ({_names(table)}) on {place} to {identifier(share.role)}")
        cursor.execute(
            f"insert into {POINTER} values (true, {load_no}, {quoted(release)}, now()) on conflict (only_one) do update"
            " set load_no = excluded.load_no, release_id = excluded.release_id, loaded_at = excluded.loaded_at"
        )
        dropped = len(set(made) - kept)
        return Loaded(release, load_no, counts, len(incoming), dropped, tuple(stopped))

    def _schemas(self, share: Share) -> None:
        role = identifier(share.role)
        if not _all(self.cursor, f"select 1 from pg_catalog.pg_roles where rolname = {quoted(share.role)}"):
            raise ServeError(f"there is no role {share.role}: run `kinweave serve prepare` as a superuser")
        self.cursor.execute(f"create schema if not exists {identifier(f'store_{share.partner}')}")
        self.cursor.execute(f"create schema if not exists {role}")
        self.cursor.execute(f"grant usage on schema {role} to {role}")
        self.cursor.execute(f"grant select (load_no, release_id) on {POINTER} to {role}")

    def _fill(self, share: Share, table: SharedTable, stored: str) -> int:
        """Rows by way of a temporary table: COPY does not go where row policies bind the owner too."""
        cursor = self.cursor
        count = cursor.adbc_ingest("incoming", rows(share, table, self.files), mode="create", temporary=True)
        names = ", ".join(dict.fromkeys([*(identifier(c.name) for c in table.columns), identifier(RELEASE)]))
        cursor.execute(f"insert into {stored} ({names}) select {names} from pg_temp.incoming")
        cursor.execute("drop table pg_temp.incoming")
        cursor.execute(f"analyze {stored}")
        return int(count)

    def _create(self, share: Share, table: SharedTable, name: str) -> None:
        """An empty table with its policies and grants; nobody can see it before the transaction ends."""
        stored, role = _stored(share.partner, name), identifier(share.role)
        columns = [f"{identifier(c.name)} {c.sql_type}" for c in table.columns if c.name != RELEASE]
        self.cursor.execute(f"create table {stored} ({', '.join([*columns, f'{RELEASE} text not null'])})")
        self.cursor.execute(f"alter table {stored} enable row level security")
        self.cursor.execute(f"alter table {stored} force row level security")
        # The owner fills and empties it and reads nothing, so a view with the owner's rights would show nothing.
        self.cursor.execute(f"create policy filled on {stored} for insert to {OWNER} with check (true)")
        self.cursor.execute(f"create policy emptied on {stored} for delete to {OWNER} using (true)")
        self.cursor.execute(
            f"create policy read on {stored} for select to {role} using ({_policy(table.spans, self.zone)})"
        )

    def _show(self, share: Share, table: SharedTable, incoming: str, load_no: int) -> None:
        """Give the incoming table its name, and the partner its view."""
        stored, role = _stored(share.partner, table.name), identifier(share.role)
        self.cursor.execute(f"alter table {_stored(share.partner, incoming)} rename to {identifier(table.name)}")
        view = f"{role}.{identifier(table.name)}"
        self.cursor.execute(
            f"create view {view} with (security_barrier = true, security_invoker = true)"
            f" as select {_names(table)} from {stored} where {_began_after(load_no)}"
        )
        self.cursor.execute(f"comment on view {view} is {quoted(table.comment)}")
        for column in table.columns:
            self.cursor.execute(f"comment on column {view}.{identifier(column.name)} is {quoted(column.comment)}")
        self.cursor.execute(
            f"insert into serving.made values ({quoted(share.partner)}, {quoted(table.name)},"
            f" {quoted(digest(table, self.zone))})"
        )

    def _end_sessions(self, tables: Sequence[tuple[str, str]]) -> None:
        """End the sessions that still hold one of ``tables``: one partner cannot keep the others from a release."""
        held = ", ".join(f"({quoted(schema)}, {quoted(table)})" for schema, table in tables)
        self.cursor.execute(
            "select pg_terminate_backend(pid) from (select distinct l.pid from pg_locks l"
            " join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace"
            f" where (n.nspname, c.relname) in ({held}) and l.pid <> pg_backend_pid()) as holding"
        )
        self.cursor.fetchall()

    def _wait_for(self, leaving: Sequence[tuple[str, str]]) -> None:
        """Lock what is about to be dropped, while nobody reads it.

        Takes all locks or none and tries again: a load that waited with some in hand could deadlock with a reader, and
        the server might end the reader. When patience is over, the sessions that hold on are ended instead.
        """
        if not leaving:
            return
        lock = f"lock table {', '.join(_stored(p, t) for p, t in leaving)} in access exclusive mode"
        attempt = (
            f"begin {lock} nowait; perform set_config('kinweave.locked', 'yes', true);"
            " exception when lock_not_available then perform set_config('kinweave.locked', 'no', true); end"
        )
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            self.cursor.execute(f"do {quoted(attempt)}")
            if _all(self.cursor, "select current_setting('kinweave.locked')")[0][0] == "yes":
                return
            time.sleep(0.05)
        self._end_sessions([(f"store_{p}", t) for p, t in leaving])
        self.cursor.execute("set local lock_timeout = '30s'")
        self.cursor.execute(lock)


def _drop(cursor: Any, partner: str, table: str) -> None:
    cursor.execute(f"drop view {identifier(role_of(partner))}.{identifier(table)}")
    cursor.execute(f"drop table {_stored(partner, table)}")
    cursor.execute(f"delete from serving.made where partner = {quoted(partner)} and table_name = {quoted(table)}")


def _all(cursor: Any, sql: str) -> list[tuple[Any, ...]]:
    cursor.execute(sql)
    return list(cursor.fetchall())


def _stored(partner: str, table: str) -> str:
    return f"{identifier(f'store_{partner}')}.{identifier(table)}"


def _names(table: SharedTable) -> str:
    return ", ".join(identifier(c.name) for c in table.columns)


def _policy(spans: Sequence[Span], zone: str) -> str:
    """Which rows a partner sees: of the release the pointer names, on days on which the agreement holds.

    The day is the statement's, not the transaction's: a transaction held open does not outlive an agreement.
    """
    here = f"(statement_timestamp() at time zone {quoted(zone)})::date"
    parts = [f"{RELEASE} = (select release_id from {POINTER})"]
    parts += [f"{here} >= date {quoted(str(s.effective))} and {here} < date {quoted(str(s.ends))}" for s in spans]
    return " and ".join(parts)


def _began_after(load_no: int) -> str:
    """Fails for a transaction that began before the table was made: it would find the table empty, without a word.

    Planned as a condition of its own, before any row is looked at.
    """
    told = "'the tables have changed since this transaction began, begin it again: ' || release_id"
    return f"(select case when load_no >= {load_no} then true else ({told})::integer = 0 end from {POINTER})"


def _plain(error: Error) -> str:
    """The server's first line without the statement: a statement could hold a value."""
    first = str(error).split("\n", 1)[0]
    return f"PostgreSQL: {first} ({error.sqlstate or 'no connection'})"
