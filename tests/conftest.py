"""How the suite is spread over cores: by file, the long ones first, so that no core waits for the other at the end."""

from __future__ import annotations

import pytest

_LONG = ("test_three_nights.py", "test_atomic.py", "test_build.py", "test_measures_against_truth.py", "test_people.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first."""
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))
