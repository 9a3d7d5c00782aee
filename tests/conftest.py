"""How the suite is spread over cores: a folder's tests stay together, because they share what is costly to build."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Folders that take minutes come first, so that no core waits for the other at the end.
_LONG = ("flow", "warehouse", "linkage")


# First, because pytest-xdist reads the groups in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test its folder as its group (``make test`` runs groups side by side)."""
    root = Path(__file__).parent

    def room(item: pytest.Item) -> str:
        return item.path.relative_to(root).parts[0]

    for item in items:
        item.add_marker(pytest.mark.xdist_group(room(item)))
    items.sort(key=lambda item: _LONG.index(room(item)) if room(item) in _LONG else len(_LONG))
