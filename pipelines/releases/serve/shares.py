"""What is served to whom: the partners' folders of a release, less everything the agreements of today no longer name.

A folder was made under the agreements of its night. Since then an agreement may have ended or lost a column; nothing
may have been added, because rows that are not in the folder cannot be served.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.releases.agreements import Agreement, Book
from pipelines.releases.manifest import open_release, read_manifest, sha256_text
from pipelines.releases.signing import verify_folder
from pipelines.storage import identifier, quoted

ABOUT = "about"
DICTIONARY = "data_dictionary"
CONSENT_SCOPE = "consent_scope"
#: Tables every partner has besides those its agreements name.
_OURS = frozenset({ABOUT, DICTIONARY, CONSENT_SCOPE})
#: Column of every stored table that says which release a row belongs to. No partner sees it.
RELEASE = "release_id"

#: Raised when tables, policies or views are made in another way, so that the next load makes all of them anew.
_FORM = 1

#: PostgreSQL's name of each DuckDB type that Arrow carries over unchanged.
_TYPES = {
    "BOOLEAN": "boolean",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}
_ABOUT_COLUMNS = {
    "release_id": "What you read. All tables of one transaction are of one release.",
    "cut_off": "Nothing that was received later is in it.",
    "agreement": "The agreement the tables are served under.",
    "purposes": "What they may be used for, and nothing else.",
    "legal_basis": "The law the agreement rests on.",
    "holds_until": "The first day on which its tables are empty.",
    "redisclosure": "Whether they may be passed on.",
    "retention_days": "How long copies may be kept.",
    "tables": "The tables it opens.",
    "notice": "The notice that must accompany records of substance use treatment (42 CFR 2.32).",
}


class ServeError(Exception):
    """A release that cannot be served, or a database that is not as it must be. Never names a value."""


@dataclass(frozen=True)
class Column:
    """A served column; ``sql_type`` is PostgreSQL's."""

    name: str
    sql_type: str
    comment: str


@dataclass(frozen=True)
class Span:
    """The days on which an agreement holds: from ``effective`` until the day before ``ends``."""

    effective: dt.date
    ends: dt.date


@dataclass(frozen=True)
class SharedTable:
    """A table of one partner. Its rows show on the days on which all ``spans`` hold; without a span, always."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Share:
    """All that is served to one partner."""

    partner: str
    folder: Path
    release_id: str
    cut_off: str
    tables: tuple[SharedTable, ...]
    agreements: tuple[Agreement, ...]

    @property
    def role(self) -> str:
        return role_of(self.partner)


def role_of(partner: str) -> str:
    """The partner's database role, which is its schema's name too. Its own word in front: ``public`` is taken."""
    return f"partner_{partner}"


def span_of(agreement: Agreement, book: Book) -> Span:
    """The days on which ``agreement`` holds, its withdrawal and its successor counted in."""
    return Span(agreement.effective, book.ends(agreement))


def recipients(book: Book) -> list[str]:
    """Parties that any agreement, in force or not, serves through PostgreSQL."""
    return sorted({a.recipient for a in book.agreements.values() if "postgres" in a.delivery.modes})


def shares(partners_dir: Path, book: Book, day: dt.date, public_key: str) -> list[Share]:
    """What to serve on ``day`` of the partners' folders in ``partners_dir``, in order of partners.

    ``public_key`` (hexadecimal) is the deployment's own: a folder it did not sign, or that changed since, is refused
    with :class:`ServeError`.
    """
    found = []
    for partner, held in book.partners(day).items():
        served = [a for a in held if "postgres" in a.delivery.modes]
        folder = partners_dir / partner
        if not served or not folder.is_dir():
            continue
        if folder.is_symlink():
            raise ServeError(f"{partner}: its folder is a link")
        if problems := verify_folder(folder, public_key):
            raise ServeError(f"{partner}: its folder does not verify:\n" + "\n".join(f"  {p}" for p in problems))
        manifest = read_manifest(folder)
        if manifest["partner"] != partner:
            raise ServeError(f"{partner}: its folder was made for another partner")
        if share := _share(partner, folder, manifest, served, book):
            found.append(share)
    if len({s.release_id for s in found}) > 1:
        raise ServeError("the partners' folders are of different releases")
    return found


def _share(
    partner: str, folder: Path, manifest: Mapping[str, Any], served: list[Agreement], book: Book
) -> Share | None:
    by_id = {a.agreement: a for a in served}
    tables = []
    used = []
    with open_release(folder) as database:
        held = _columns(database)
        comments = dict(database.execute("select table_name, comment from duckdb_tables()").fetchall())
    for table in manifest["tables"]:
        # Made under an agreement that holds no more, or by another that replaced it: not until the next release.
        agreement, name = by_id.get(str(table["agreement"])), str(table["name"])
        if agreement is None or name not in agreement.datasets:
            continue
        if name in _OURS:
            raise ServeError(f"{partner}: {name} is a name of our own")
        named = set(agreement.datasets[name].columns)
        columns = tuple(c for c in held.get(name, ()) if c.name in named)
        if any(c.name == RELEASE for c in columns):
            raise ServeError(f"{partner}: {name}: {RELEASE} is a name of our own")
        if columns:
            tables.append(SharedTable(name, comments.get(name) or "", columns, (span_of(agreement, book),)))
            used.append(agreement)
    if not tables:
        return None
    agreements = tuple(sorted({a.agreement: a for a in used}.values(), key=lambda a: a.agreement))
    every = tuple(span_of(a, book) for a in agreements)
    tables.append(SharedTable(DICTIONARY, "What every column means.", held[DICTIONARY], every))
    scoped = [a for a in agreements if _scope_file(folder, a).exists()]
    if scoped:
        with _scope_file(folder, scoped[0]).open(encoding="utf-8", newline="") as handle:
            columns = tuple(Column(name, "text", "") for name in ("agreement", *next(csv.reader(handle))))
        spans = tuple(span_of(a, book) for a in scoped)
        tables.append(SharedTable(CONSENT_SCOPE, "The consents these records are disclosed under.", columns, spans))
    about = tuple(Column(n, "text", comment) for n, comment in _ABOUT_COLUMNS.items())
    tables.append(SharedTable(ABOUT, "What you read, and what it may be used for.", about, ()))
    return Share(
        partner, folder, str(manifest["release_id"]), str(manifest["cut_off"]), tuple(tables), agreements
    )  # fmt: skip


def _columns(database: Any) -> dict[str, tuple[Column, ...]]:
    found: dict[str, list[Column]] = {}
    for table, column, sql_type, comment in database.execute(
        "select table_name, column_name, data_type, comment from duckdb_columns() where not internal"
        " and database_name = current_database() order by column_index"
    ).fetchall():
        served_as = "numeric" if sql_type.startswith("DECIMAL(") else _TYPES.get(sql_type)
        if served_as is None:
            raise ServeError(f"{table}.{column}: columns of type {sql_type} are not served")
        found.setdefault(table, []).append(Column(column, served_as, comment or ""))
    return {t: tuple(c) for t, c in found.items()}


def _scope_file(folder: Path, agreement: Agreement) -> Path:
    return folder / f"{CONSENT_SCOPE}_{agreement.agreement}.csv"


def digest(table: SharedTable, zone: str) -> str:
    """Changes when anything about the table but its rows does."""
    return sha256_text(repr((_FORM, table, zone)))


def rows(share: Share, table: SharedTable, database: duckdb.DuckDBPyConnection) -> pa.RecordBatchReader:
    """The table's rows in batches, each with its release. ``database`` is the folder's, from ``open_release``."""
    if table.name == ABOUT:
        return pa.Table.from_pylist(
            _about(share), schema=pa.schema([(c.name, pa.string()) for c in table.columns])
        ).to_reader()
    if table.name == CONSENT_SCOPE:
        lines = []
        for agreement in share.agreements:
            if (path := _scope_file(share.folder, agreement)).exists():
                with path.open(encoding="utf-8", newline="") as handle:
                    added = {"agreement": agreement.agreement, RELEASE: share.release_id}
                    lines += [{**added, **line} for line in csv.DictReader(handle)]
        text = pa.schema([(name, pa.string()) for name in [*(c.name for c in table.columns), RELEASE]])
        return pa.Table.from_pylist(lines, schema=text).to_reader()
    chosen = ", ".join(identifier(c.name) for c in table.columns)
    where = ""
    if table.name == DICTIONARY:
        names = ", ".join(f"({quoted(t.name)}, {quoted(c.name)})" for t in share.tables for c in t.columns)
        where = f" where (table_name, column_name) in ({names})"
    return database.execute(
        f"select {chosen}, {quoted(share.release_id)} as {identifier(RELEASE)} from {identifier(table.name)}{where}"
    ).to_arrow_reader(100_000)


def _about(share: Share) -> list[dict[str, str | None]]:
    notice = share.folder / "NOTICE_42CFR2.txt"
    text = notice.read_text(encoding="utf-8") if notice.exists() else None
    lines: list[dict[str, str | None]] = []
    for agreement in share.agreements:
        own = [t for t in share.tables if t.name in agreement.datasets]
        lines.append(
            {
                "release_id": share.release_id,
                "cut_off": share.cut_off,
                "agreement": agreement.agreement,
                "purposes": ", ".join(agreement.purposes),
                "legal_basis": "; ".join(agreement.legal_basis),
                "holds_until": min(s.ends for t in own for s in t.spans).isoformat(),
                "redisclosure": agreement.redisclosure.replace("_", " "),
                "retention_days": str(agreement.retention_days),
                "tables": ", ".join(sorted(t.name for t in own)),
                "notice": text,
            }
        )
    return lines
