"""Where linkage keeps its work: DuckDB connections without network, and Parquet files that appear whole.

Nothing here knows what a person is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

#: Two threads are what the smallest supported machine has; more would change nothing but the speed.
THREADS = 2


def connect(memory_limit: str = "1300MB", spill_dir: Path | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory connection that never reaches for the network.

    ``memory_limit`` bounds DuckDB's own buffers (DuckDB notation); ``spill_dir`` is where it puts what does not fit.
    """
    if spill_dir:
        spill_dir.parent.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "threads": str(THREADS),
            "memory_limit": memory_limit,
            **({"temp_directory": str(spill_dir)} if spill_dir else {}),
        },
    )
    con.execute("set enable_progress_bar = false")
    return con


def quoted(text: str | Path) -> str:
    """``text`` as an SQL string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def in_list(values: Iterable[str]) -> str:
    """An SQL list for ``in``; an empty one holds a value nothing equals."""
    return "(" + (", ".join(quoted(v) for v in values) or "chr(0)") + ")"


def write_parquet(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Write the rows of ``query`` to ``path``; the file appears whole or not at all. Returns the number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    counted = con.execute(f"copy ({query}) to {quoted(part)} (format parquet, compression zstd)").fetchall()
    os.replace(part, path)
    return int(counted[0][0])


def write_json(data: Any, path: Path) -> None:
    """Write ``data`` as JSON with sorted keys, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(data, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")
    os.replace(part, path)


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    """Hash of a file's bytes, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """The rows of ``query`` as dictionaries."""
    cursor = con.execute(query)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
