"""Record numbers taken out of the ledger of people: the one change it ever sees, by an order of expunction."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def forget_members(folder: Path, tombstone: Callable[[str, str], str | None]) -> int:
    """Put ``tombstone(system, record)`` in the place of every member for whom it is not None; returns how many lines.

    Events, IDs and their order stay, so every other ID stays what it was. Safe to repeat after a kill.
    """
    changed = 0
    for path in sorted((folder / "person").glob("*.parquet")):
        table = pq.read_table(path)
        members = table.column("member").to_pylist()
        marks = [tombstone(*m.split("\x1f", 1)) if m and "\x1f" in m else None for m in members]
        if count := sum(mark is not None for mark in marks):
            changed += count
            now = [f"expunged {mark}" if mark else member for member, mark in zip(members, marks, strict=True)]
            place = table.schema.get_field_index("member")
            temporary = path.with_suffix(".tmp")
            pq.write_table(table.set_column(place, "member", pa.array(now, pa.string())), temporary)
            os.replace(temporary, path)
    return changed
