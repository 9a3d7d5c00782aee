"""Fixtures of the linkage tests."""

from __future__ import annotations

from pathlib import Path

import linkage_population
import pytest

import linkage


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small population of four agencies, trained once: ``staged/``, ``linkage/``, ``models/``, the truth."""
    home = tmp_path_factory.mktemp("agencies")
    linkage_population.write(home, "agencies", seed=7, households=1500)
    linkage.build_records(home / "staged", home / "linkage")
    linkage.train(home / "linkage", home / "models", "first")
    return home
