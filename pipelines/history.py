"""Dagster's run history in SQLite, with one open connection per database instead of a new one per event.

A night writes more than a thousand events. Dagster's own SQLite storage builds an engine, connects, commits with two
disc flushes and closes for every one of them, several times; that took longer than the night's work. Here the engine
stays, and a commit is flushed at SQLite's checkpoints (write-ahead log, ``synchronous = normal``): a killed process
loses nothing, a power cut at most the last events, and the file stays whole.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

from pipelines.settings import dagster_home

_BUSY_SECONDS = 30


class History(SqliteEventLogStorage):
    """Event log storage named in ``dagster.yaml``. ``base_dir`` is relative to Dagster's home."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, sa.Engine] = {}
        # Storing an asset event opens the index while it has it open: the same thread may come in twice.
        self._shard_lock = threading.RLock()
        super().__init__(str(dagster_home() / base_dir), inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> History:
        return cls(inst_data=inst_data, **config_value)

    def _engine(self, shard: str) -> sa.Engine:
        if shard not in self._engines:
            engine = sa.create_engine(
                self.conn_string_for_shard(shard),
                pool_size=2,
                connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
            )

            @sa.event.listens_for(engine, "connect")
            def _flush_at_checkpoints(connection: Any, _record: Any) -> None:
                connection.execute("pragma synchronous = normal")

            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            self._engines[shard] = engine
        return self._engines[shard]

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._shard_lock, self._engine(shard).begin() as connection:
            yield connection

    def _has_asset_key_col_on_connection(self, conn: sa.Connection, column_name: str) -> bool:
        # The database was made by this version: asking for its columns at every event is time for nothing.
        return True

    def dispose(self) -> None:
        """Close all databases."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()
