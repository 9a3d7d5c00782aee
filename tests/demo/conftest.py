"""One small clean world and one with errors, delivered once for all tests of this room."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from expectations.contract import Contract, load_contracts
from expectations.vocabulary import FileFormat
from pipelines.demo import World, simulate, write_deliveries


@dataclass(frozen=True)
class Delivered:
    """A world and where its deliveries and its truth lie."""

    world: World
    inbox: Path
    truth: Path
    folders: list[tuple[dt.date, Path]]

    def files(self, pattern: str) -> list[Path]:
        """Files of all deliveries whose name fits."""
        return sorted(self.inbox.glob(f"*/*/{pattern}"))


def deliver(world: World, root: Path) -> Delivered:
    """Write a world's deliveries under ``root``."""
    folders = write_deliveries(world, root / "inbox", root / "truth")
    return Delivered(world, root / "inbox", root / "truth", folders)


@pytest.fixture(scope="session")
def contracts() -> dict[str, Contract]:
    """The contracts of the sources."""
    return load_contracts()


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """About sixty families whose agencies make no mistakes."""
    return deliver(simulate(people=260, seed=11, dirt=False), tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="session")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """Enough families for every kind of error to happen."""
    return deliver(simulate(people=1_500, seed=5), tmp_path_factory.mktemp("dirty"))


@pytest.fixture(scope="session")
def sent(
    dirty: Delivered, contracts: dict[str, Contract], tmp_path_factory: pytest.TempPathFactory
) -> duckdb.DuckDBPyConnection:
    """Every delimited file of the dirty deliveries as text, in a table <system>_<table> with column ``delivery``."""
    con = duckdb.connect()
    for system, contract in contracts.items():
        for table in contract.tables.values():
            if table.delivery.format is not FileFormat.DELIMITED:
                continue
            parts = []
            for path in dirty.files(table.file.replace("{date}", "*")):
                try:
                    path.read_text(encoding="utf-8")
                except UnicodeDecodeError:
                    copy = tmp_path_factory.mktemp("utf8") / path.name
                    copy.write_text(path.read_text(encoding="cp1252"), encoding="utf-8")
                    path = copy
                source = con.read_csv(
                    str(path), all_varchar=True, sep=table.delivery.delimiter, strict_mode=False, ignore_errors=True,
                    header=True,
                )  # fmt: skip
                name = f"part_{len(parts)}"
                source.create_view(name, replace=True)
                when = path.stem[-8:]
                con.execute(f"create or replace temp table t_{name} as select *, '{when}' as delivery from {name}")
                parts.append(f"select * from t_{name}")
            con.execute(f"create table {system}_{table.name} as {' union all by name '.join(parts)}")
    return con
