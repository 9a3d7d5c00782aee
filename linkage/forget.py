"""Record numbers taken out of the ledger of people: the one change it ever sees, by an order of expunction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from linkage.registry import Registry


def forget_members(folder: Path, tombstone: Callable[[str, str], str | None]) -> int:
    """Put ``tombstone(system, record)`` in the place of every member who has one; returns how many lines."""

    def gone(member: str) -> str | None:
        mark = tombstone(*member.split("\x1f", 1)) if "\x1f" in member else None
        return f"expunged {mark}" if mark else None

    return Registry(folder, "person").rename_members(gone)
