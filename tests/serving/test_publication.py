"""Releases follow one another under load, and loads are killed: no reader ever sees two releases, or none."""

import os
import signal
import subprocess
import sys
import textwrap

import psycopg
import pytest

from pipelines.releases.serve.shares import ABOUT
from tests.serving.partner_folders import write_release

RELEASES = [f"2026-0{n}-28-aaaaaaaaaa" for n in (1, 2, 3)]
TABLES = ["dim_child", "fct_removal", "fct_elig_span"]

#: Reads, in a process of its own, all tables in one transaction again and again; prints a line for every set of
#: releases seen together. Pinned, it stays in its first transaction.
READER = textwrap.dedent(
    """
    import sys
    import time
    import psycopg

    uri, pinned, *tables = sys.argv[1:]
    connection = psycopg.connect(uri)
    seen, reads = {}, 0
    print("ready", flush=True)
    while True:
        releases = {connection.execute("select release_id from about").fetchone()[0]}
        for table in tables:
            marks = connection.execute(f"select split_part(person_id, ' ', 1) from {table}").fetchall()
            assert len(marks) == 3, "rows are missing"
            releases |= {mark for (mark,) in marks}
        reads += 1
        if tuple(sorted(releases)) not in seen:
            seen[tuple(sorted(releases))] = None
            print("saw", *sorted(releases), flush=True)
        if pinned == "no":
            connection.rollback()
        time.sleep(0.01)
    """
)


@pytest.fixture(scope="module")
def published(new_database, tmp_path_factory):
    """A database with the first of three releases, each of whose rows begins with its release's name."""
    root = tmp_path_factory.mktemp("published")
    served = new_database(root, only=["medicaid_agency", "public"])
    folders = [write_release(root, served.agreements, name, mark=name) for name in RELEASES]
    served.load(folders[0])
    return served, folders


@pytest.fixture
def readers(published):
    """Two readers that begin a new transaction each time, and one that stays in its first."""
    published[0].load(published[1][0])
    uri = published[0].server.uri("partner_medicaid_agency", published[0].database)
    running = [
        subprocess.Popen([sys.executable, "-c", READER, uri, pinned, *TABLES], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for pinned in ("no", "no", "yes")
    ]  # fmt: skip
    for reader in running:
        assert reader.stdout.readline() == "ready\n"
        assert reader.stdout.readline() == f"saw {RELEASES[0]}\n"
    yield running
    for reader in running:
        if reader.poll() is None:
            reader.kill()
        reader.wait()
        reader.stdout.close()
        reader.stderr.close()


def finish(readers):
    """What each reader saw after its first line; none of them may have died."""
    seen = []
    for reader in readers:
        assert reader.poll() is None, reader.stderr.read()
        reader.kill()
        seen.append(reader.stdout.read().split("\n")[:-1])
    return seen


def shown(served):
    """What a reader finds now: the releases of every table of both partners."""
    found = set()
    for partner, tables in (("medicaid_agency", TABLES), ("public", ["dim_site", "measure_rows"])):
        with served.as_partner(partner) as connection:
            found |= set(connection.execute("select release_id from about").fetchall())
            for table in tables:
                column = "site_id" if partner == "public" else "person_id"
                found |= set(connection.execute(f"select split_part({column}, ' ', 1) from {table}").fetchall())
    return {release for (release,) in found}


def load_and_die(served, folder, step):
    """Load in a child that kills itself at its n-th step at the database. True when it lived to the end."""
    child = os.fork()
    if child == 0:
        try:
            import adbc_driver_manager.dbapi as client

            left = step

            def dying(real):
                def operation(*args, **kwargs):
                    nonlocal left
                    left -= 1
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*args, **kwargs)

                return operation

            for owner, name in (
                (client.Cursor, "execute"),
                (client.Cursor, "adbc_ingest"),
                (client.Connection, "commit"),
            ):
                setattr(owner, name, dying(getattr(owner, name)))
            served.load(folder)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        # The server has not noticed yet that the one before died, and refuses a second load.
        return load_and_die(served, folder, step)
    return not os.WIFSIGNALED(status)


def test_killed_at_its_steps_a_load_leaves_the_release_before_and_the_next_one_works(published, readers):
    served, folders = published
    step, done, kills = 1, False, 0
    while not done:
        done = load_and_die(served, folders[1], step)
        kills += not done
        assert shown(served) == {RELEASES[1] if done else RELEASES[0]}
        step += 14
        assert step < 2000
    assert kills > 5
    served.load(folders[2])
    assert shown(served) == {RELEASES[2]}
    again, other, pinned = finish(readers)
    assert pinned == []
    for seen in (again, other):
        assert set(seen) <= {f"saw {name}" for name in RELEASES}


def test_readers_through_many_publications_see_whole_releases(published, readers):
    served, folders = published
    for number in (1, 2, 0, 1):
        served.load(folders[number])
        assert shown(served) == {RELEASES[number]}
    again, other, pinned = finish(readers)
    assert pinned == []
    for seen in (again, other):
        assert set(seen) <= {f"saw {name}" for name in RELEASES}
    assert len({*again, *other}) > 1, "the readers slept through it"


def test_without_repeatable_read_only_statements_are_whole(published):
    # Why it is every partner's default: at read committed each statement meets the release of its own moment.
    served, folders = published
    served.load(folders[0])
    with psycopg.connect(served.server.uri("partner_medicaid_agency", served.database)) as connection:
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        before = connection.execute(f"select release_id from {ABOUT}").fetchone()
        served.load(folders[1])
        after = connection.execute(f"select release_id from {ABOUT}").fetchone()
    assert (before, after) == ((RELEASES[0],), (RELEASES[1],))


def test_old_releases_do_not_stay_behind(published):
    served, folders = published
    served.load(folders[0])
    served.load(folders[1])
    with served.connect() as admin:
        for table in TABLES:
            assert admin.execute(f"select distinct release_id from store_medicaid_agency.{table}").fetchall() == [
                (RELEASES[1],)
            ]
