"""What agreements ask for, held against what the newest release holds: before the night finds out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from pathlib import Path

import duckdb

from pipelines.releases.agreements import Agreement, Book, People, check_tables
from pipelines.releases.partners import classes_of, less
from pipelines.storage import connect, identifier, quoted


def against_release(
    book: Book, release: Path, sites: Collection[str], day: dt.date
) -> tuple[list[str], list[str]] | None:
    """Problems that will close the gate, and warnings, of the agreements that have not ended by ``day``.

    ``release`` is the folder of a release, ``sites`` the jurisdiction's. None when the release says nothing of classes.
    """
    if not (found := classes_of(release)):
        return None
    live = [a for a in book.agreements.values() if book.ends(a) > day]
    classes = less(found, book)
    problems = [p for a in live for p in check_tables(a, classes, book.parties)]
    with connect() as database:
        warnings = [w for a in live for w in (*_nowhere(a, sites), *_nothing(database, a, release))]
    return problems, warnings


def _nowhere(agreement: Agreement, sites: Collection[str]) -> Iterator[str]:
    if isinstance(agreement.people, People):
        for site in sorted(set(agreement.people.sites or []) - set(sites)):
            yield f"{agreement.agreement}: people.sites: jurisdiction.yml has no site {site}"


def _nothing(database: duckdb.DuckDBPyConnection, agreement: Agreement, release: Path) -> Iterator[str]:
    """Values of row scopes that no row has: a misspelt one would quietly let nothing through."""
    for table, dataset in agreement.datasets.items():
        path = release / "parquet" / f"{table}.parquet"
        for column, values in dataset.rows.items() if path.exists() else ():
            source = f"read_parquet({quoted(path)})"
            try:
                found = database.execute(f"select distinct {identifier(column)}::varchar from {source}").fetchall()
            except duckdb.BinderException:
                continue  # no such column: told as a problem
            for value in sorted(set(values) - {r[0] for r in found}):
                yield f"{agreement.agreement}: datasets.{table}.rows.{column}: no row has {value}"
