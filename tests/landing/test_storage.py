"""Files are written whole or not at all, and DuckDB asks nobody for anything."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pipelines.storage import append_jsonl, atomic_path, connect, read_jsonl, write_atomic


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    write_atomic(target, "old")
    with pytest.raises(ValueError, match="half way"), atomic_path(target) as temporary:
        temporary.write_text("ne")
        assert target.read_text() == "old"
        raise ValueError("half way")
    assert target.read_text() == "old"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]


def test_a_torn_log_line_is_as_if_it_had_never_been_written(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert read_jsonl(log) == []
    append_jsonl(log, [{"n": 1}])
    with log.open("a") as handle:
        handle.write('{"n": 2, "half')
    assert read_jsonl(log) == [{"n": 1}]
    append_jsonl(log, [{"n": 3}, {"n": 4}])
    assert [r["n"] for r in read_jsonl(log)] == [1, 3, 4]


def test_duckdb_loads_no_extension_by_itself(tmp_path: Path) -> None:
    with connect(spill=tmp_path / "spill") as connection:
        settings = connection.execute(
            "select current_setting('autoload_known_extensions'), current_setting('autoinstall_known_extensions')"
        ).fetchone()
        assert settings == (False, False)
        with pytest.raises(duckdb.Error):
            connection.execute("select * from read_csv('https://example.invalid/x.csv')")
