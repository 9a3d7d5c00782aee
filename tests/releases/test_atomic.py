"""A release appears whole or not at all, whatever dies when; readers of the last one are never disturbed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from pipelines.releases import current_release, open_release, releases, verify
from tests.releases.small_warehouse import build, publish_it

REPOSITORY = Path(__file__).parents[2]

#: Publishes in a process that kills itself at the n-th operation on the disc that a crash could fall between.
KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from tests.releases.small_warehouse import build, publish_it
    home = build(Path(sys.argv[1]), int(sys.argv[2]))
    left = int(sys.argv[3])
    def dying(real):
        def operation(*args, **kwargs):
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        return operation
    for name in ("fsync", "rename", "replace", "chmod", "mkdir", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))
    publish_it(home, keep=2)
    """
)


def publish_and_die(root, cases, step):
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(root), str(cases), str(step)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )


def test_killed_at_every_step_the_pointer_always_names_a_whole_release(tmp_path):
    publish_it(build(tmp_path, cases=3), keep=2)
    releases_dir = tmp_path / "releases"
    pinned = open_release(current_release(releases_dir).folder)
    seen, step, done = set(), 0, False
    while not done:
        step += 1
        # Another number of rows each time, so that each publication is a new release.
        finished = publish_and_die(tmp_path, 3 + step, step)
        assert finished.returncode in (0, -signal.SIGKILL), finished.stderr
        done = finished.returncode == 0
        current = current_release(releases_dir)
        assert verify(current.folder) == []
        seen.add(current.release_id)
        with open_release(current.folder) as database:
            children, cases = database.execute(
                "select (select count(*) from dim_child), (select count(*) from fct_case)"
            ).fetchall()[0]
        assert children == cases
        assert pinned.execute("select count(*) from fct_case").fetchall() == [(3,)]
        assert step < 100
    assert step > 12, "every step of the publication was tried"
    assert len(seen) > 1, "some kills fell after the pointer had moved"
    assert not list(releases_dir.glob(".building-*")), "what killed runs left was removed by the one that finished"
    assert not list(releases_dir.glob(".removing-*"))
    assert len(releases(releases_dir)) == 2
    pinned.close()


def test_readers_that_open_the_pointer_again_and_again_never_see_a_mixed_or_missing_release(tmp_path):
    releases_dir = tmp_path / "releases"
    publish_it(build(tmp_path, cases=3), keep=3)
    stop, problems, reads = threading.Event(), [], []

    def read():
        while not stop.is_set():
            try:
                folder = current_release(releases_dir).folder
                with open_release(folder) as database:
                    counts = database.execute(
                        "select (select count(*) from dim_child), (select count(*) from fct_case)"
                    ).fetchall()[0]
                if counts[0] != counts[1]:
                    problems.append(counts)
                reads.append(counts[0])
            except Exception as error:
                problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for cases in range(4, 10):
        publish_it(build(tmp_path, cases=cases), keep=3)
    stop.set()
    for reader in readers:
        reader.join()
    assert problems == []
    assert reads[-1] in (8, 9)


def test_old_releases_go_and_the_current_one_stays(tmp_path):
    made = [publish_it(build(tmp_path, cases=n), keep=2).release_id for n in (3, 4, 5, 6)]
    assert {p.name for p in releases(tmp_path / "releases")} == set(made[-2:])
    assert current_release(tmp_path / "releases").release_id == made[-1]


def test_published_files_cannot_be_written(tmp_path):
    release = publish_it(build(tmp_path))
    for path in release.folder.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o444


def test_the_pointer_carries_the_hash_of_the_manifest_it_means(tmp_path):
    release = publish_it(build(tmp_path))
    pointer = json.loads((tmp_path / "releases" / "current.json").read_text())
    import hashlib

    assert pointer["manifest_sha256"] == hashlib.sha256((release.folder / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("leftover", [".building-abc", ".removing-2026-01-01-aaaaaaaaaa"])
def test_what_a_killed_run_left_is_no_release(tmp_path, leftover):
    home = build(tmp_path)
    publish_it(home)
    (home.releases_dir / leftover).mkdir()
    assert len(releases(home.releases_dir)) == 1
    publish_it(build(tmp_path, cases=5))
    assert not (home.releases_dir / leftover).exists()
