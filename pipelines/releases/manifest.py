"""What a release says about itself, and the check that it is true.

A file's SHA-256 proves that bytes arrived unchanged; a table's content hash proves that two builds hold the same
rows, whatever the file format, row order or software version that wrote them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb

from pipelines.storage import connect, identifier, quoted

MANIFEST = "manifest.json"
DATABASE = "kinweave.duckdb"
FORMAT = 1


class ReleaseError(Exception):
    """A release that is missing, damaged or cannot be built. The message names release, table or file."""


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def canonical_json(value: Any) -> str:
    """``value`` as JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)


def _canonical(column: str, sql_type: str) -> str:
    name = identifier(column)
    if sql_type in ("DOUBLE", "FLOAT"):
        # Ten digits: a sum taken in another order may differ in the sixteenth. Adding 0.0 makes -0.0 plain 0.0.
        return f"printf('%.9e', {name}::double + 0.0)"
    return f"{name}::varchar"


def content_hash(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[str, int]:
    """Hash of a table's rows, independent of row order and of column order, and the number of rows.

    ``relation`` is a SQL table expression. Each row becomes the MD5 of its columns (in name order, each as its
    length and text, NULL told apart from empty text); the sorted row hashes are hashed with SHA-256 together with
    column names and types. Duplicate rows count.
    """
    columns = sorted((row[0], row[1]) for row in connection.execute(f"describe select * from {relation}").fetchall())
    digest = hashlib.sha256(canonical_json(columns).encode("utf-8"))
    texts = [_canonical(name, sql_type) for name, sql_type in columns]
    # The length in front keeps ('ab', 'c') and ('a', 'bc') apart.
    parts = [f"coalesce(length({t}) || ':' || {t}, '-')" for t in texts]
    row_text = " || '|' || ".join(parts) if parts else "''"
    rows = 0
    reader = connection.execute(f"select md5({row_text}) as h from {relation} order by h").to_arrow_reader(100_000)
    for batch in reader:
        rows += batch.num_rows
        digest.update("\n".join(batch.column(0).to_pylist()).encode("ascii"))
        digest.update(b"\n")
    return digest.hexdigest(), rows


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the release in ``folder``. Raises :class:`ReleaseError` when there is none."""
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ReleaseError(f"{folder.name}: there is no {MANIFEST}: not a release") from error
    except ValueError as error:
        raise ReleaseError(f"{folder.name}: {MANIFEST} is damaged") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ReleaseError(f"{folder.name}: {MANIFEST} is not in a form this version reads")
    return data


def open_release(folder: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection to a release that reaches nothing else: no file, no network, no setting to change."""
    return duckdb.connect(
        str(folder / DATABASE),
        read_only=True,
        config={
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_unsigned_extensions": False,
            "allow_persistent_secrets": False,
            "python_enable_replacements": False,
            "lock_configuration": True,
        },
    )


def verify(folder: Path, *, contents: bool = True) -> list[str]:
    """What is wrong with the release in ``folder``; an empty list means nothing is.

    Checks that exactly the listed files exist with the listed hashes and, with ``contents``, that each table in the
    database and its Parquet file hash to the listed content with the listed number of rows.
    """
    try:
        manifest = read_manifest(folder)
    except ReleaseError as error:
        return [str(error)]
    problems = []
    listed: dict[str, Any] = manifest["files"]
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()} - {MANIFEST}
    problems += [f"{name}: in the release but not in its manifest" for name in sorted(present - set(listed))]
    for name, facts in sorted(listed.items()):
        if name not in present:
            problems.append(f"{name}: missing")
        elif sha256_file(folder / name) != facts["sha256"]:
            problems.append(f"{name}: its bytes are not the published ones")
    if manifest["release_id"] != folder.name:
        problems.append("the manifest belongs to another release")
    if manifest["release_id"] != release_id(manifest):
        problems.append("the manifest does not match its release ID")
    if problems or not contents:
        return problems
    # The reader's own way in: a process may have the release open already, and DuckDB wants one way per file.
    with open_release(folder) as database, connect() as files:
        for table in manifest["tables"]:
            parquet = f"read_parquet({quoted(folder / table['file'])})"
            for place, source, relation in (
                (DATABASE, database, identifier(table["name"])),
                (table["file"], files, parquet),
            ):
                if content_hash(source, relation) != (table["content_hash"], table["rows"]):
                    problems.append(f"{place}: table {table['name']} does not hold the published rows")
    return problems


def release_id(manifest: dict[str, Any]) -> str:
    """Cut-off and ten hexadecimal digits over everything that determines the release: tables and provenance.

    Bytes of files do not enter: the same rows give the same ID on another machine.
    """
    core = {key: value for key, value in manifest.items() if key not in ("release_id", "files")}
    return f"{manifest['cut_off']}-{sha256_text(canonical_json(core))[:10]}"
