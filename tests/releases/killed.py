"""Publications that kill themselves at a chosen step, and readers that watch.

``python -m tests.releases.killed publish ROOT`` forks a child for every line ``NUMBER STEP`` it is given. The child
makes a warehouse whose tables tell its number, publishes it, and sends itself SIGKILL at the STEP-th change of the disc
after the new release's folder was begun (0: never; negative: counted from the first change of all, the removal of what
an earlier kill left). A change is what Python announces to audit hooks (a file opened for writing, a folder made, a
name given or taken, rights changed) and every fsync; nothing has to be listed. What DuckDB writes by itself lies in the
folder being built, between two of these steps.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import duckdb

from pipelines.releases import current_release, open_release, verify
from pipelines.releases.signing import public_key, verify_folder

REPOSITORY = Path(__file__).parents[2]
PARTNERS = ("team", "public")
#: Folder -> tables that hold as many rows as the number of the publication.
TOLD_BY = {"": ("fct_bh_episode", "dim_site"), "team": ("fct_bh_episode", "dim_site"), "public": ("dim_site",)}
_CHANGES = frozenset(
    f"os.{name}" for name in ["rename", "remove", "mkdir", "rmdir", "chmod", "truncate", "link", "symlink"]
)


# --- in the child ----------------------------------------------------------------------------------------------


def publish_number(root, number):
    """Publish a release that tells ``number``, to the house itself and to two partners."""
    from tests.releases import small_governed as governed

    agreements = [*governed.only("team", people="everyone"), *governed.only("public")]
    for agreement, partner in zip(agreements, PARTNERS, strict=True):
        agreement["datasets"] = {t: agreement["datasets"][t] for t in TOLD_BY[partner]}
    of = ("dim_person", "fct_bh_episode", "dim_site")
    tables = {
        "fct_bh_episode": [(f"B-M1-{n}", "M1", "2025-03-03", "OUTPATIENT") for n in range(number)],
        "dim_site": [(f"site{n}", "Site") for n in range(number)],
    }
    home = governed.build(root, agreements=agreements, tables=tables, of=of)
    return governed.publish_it(home, of=of, keep=2)


def _publish_and_die(root, number, step):
    """Publish and die at ``step``; else the number of steps, and of those before the new folder got its name.

    Until then every single change of the releases must lie in the folder being built: whatever dies there, no reader
    can notice.
    """
    done, named, counting = 0, 0, False
    first = str(root / "releases") if step < 0 else ".building-"

    def change(event, where):
        nonlocal done, named, counting
        counting = counting or (event == "os.mkdir" and first in where)
        done += counting
        if counting and not named:
            name = Path(where).name
            if (event == "os.rename" and name.startswith(".building-")) or name.startswith(".current.json."):
                # The second when a release of this content is there already.
                named = done
            elif step >= 0 and f"{root}/releases/" in where and ".building-" not in where:
                os.write(2, f"{event} of {where} before the release had its name\n".encode())
                os._exit(1)
        if counting and done == abs(step):
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, details):
        is_change = event in _CHANGES
        if event == "open" and (details[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            is_change = True
        if is_change:
            where = details[0]
            change(event, os.fsdecode(where) if isinstance(where, str | bytes | os.PathLike) else _path(where))

    # The tables are tiny: starting threads for them is most of the work.
    connect = duckdb.connect
    duckdb.connect = lambda *a, **more: connect(*a, **{**more, "config": {**more.get("config", {}), "threads": 1}})
    # A kill is no power cut: what was written stays written, so waiting for the disc would only take time.
    os.fsync = lambda descriptor: change("fsync", _path(descriptor))
    sys.addaudithook(hook)
    publish_number(root, number)
    return f"{done} {named}"


def _path(descriptor):
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _serve(root):
    """Answer lines ``NUMBER STEP`` with ``killed``, ``done STEPS NAMED`` or ``failed``."""
    # Imported once, here; no DuckDB is opened before the fork.
    import pandas  # noqa: F401
    import pyarrow  # noqa: F401

    import pipelines.releases.suppression  # noqa: F401
    from tests.releases import small_governed  # noqa: F401

    for line in sys.stdin:
        number, step = map(int, line.split())
        inside, outside = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(inside)
            code = 1
            try:
                os.write(outside, _publish_and_die(root, number, step).encode())
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(outside)
        _, status = os.waitpid(child, 0)
        steps = os.read(inside, 20).decode()
        os.close(inside)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            print("killed", flush=True)
        else:
            print(f"done {steps}" if status == 0 else "failed", flush=True)


class Publisher:
    """Publications in processes that may die, one after the other."""

    def __init__(self, root):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.releases.killed", "publish", str(root)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def publish(self, number, step=0):
        """Publish ``number`` and die at ``step``: None; else the number of steps, and the step that gave the name."""
        self.process.stdin.write(f"{number} {step}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer and answer[0] in ("killed", "done"), "the publication failed by itself"
        return (int(answer[1]), int(answer[2])) if answer[0] == "done" else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


# --- readers ---------------------------------------------------------------------------------------------------


def places(release):
    """What a reader may open of a release: folder -> tables."""
    return {release / "partners" / name if name else release: tables for name, tables in TOLD_BY.items()}


def number_of(folder, tables, database):
    """The number a folder tells; raises when its tables or its manifest tell different ones."""
    numbers = {database.execute(f"select count(*) from {t}").fetchall()[0][0] for t in tables}
    told = json.loads((folder / "manifest.json").read_text())["tables"]
    numbers |= {t["rows"] for t in told if t["name"] in tables}
    assert len(numbers) == 1, f"{folder.name} is mixed: {numbers}"
    return numbers.pop()


def read_current(releases_dir):
    """Open all that the pointer names and read it. A reader so slow that its release was removed begins again."""
    while True:
        pointer = (releases_dir / "current.json").read_text()
        release = releases_dir / json.loads(pointer)["release_id"]
        try:
            manifest = (release / "manifest.json").read_bytes()
            assert hashlib.sha256(manifest).hexdigest() == json.loads(pointer)["manifest_sha256"]
            numbers = set()
            for folder, tables in places(release).items():
                with open_release(folder) as database:
                    numbers.add(number_of(folder, tables, database))
            assert len(numbers) == 1, f"the folders are of different releases: {numbers}"
            return numbers.pop()
        except Exception:
            if (releases_dir / "current.json").read_text() == pointer:
                raise


def check_current(root):
    """Every hash and signature of what the pointer names. Returns its number."""
    release = current_release(root / "releases").folder
    assert verify(release, contents=False) == []
    for partner in PARTNERS:
        assert verify_folder(release / "partners" / partner, public_key(root / "vault")) == []
    return read_current(root / "releases")


class Pinned:
    """Readers that opened the current release and keep it open, whatever is published or removed after."""

    def __init__(self, releases_dir):
        release = current_release(releases_dir).folder
        self.open = {open_release(folder): tables for folder, tables in places(release).items()}
        self.first = self.read()

    def read(self):
        return [d.execute(f"select count(*) from {t}").fetchall() for d, tables in self.open.items() for t in tables]

    def check(self):
        assert self.read() == self.first

    def close(self):
        for database in self.open:
            database.close()


class Readers:
    """Threads that open the current release again and again, and one that keeps the first one open."""

    def __init__(self, releases_dir):
        self.stop, self.problems, self.seen = threading.Event(), [], set()
        self.pinned = Pinned(releases_dir)
        reads = [lambda: self.seen.add(read_current(releases_dir)), self.pinned.check]
        self.threads = [threading.Thread(target=self._watch, args=[read]) for read in reads]

    def _watch(self, read):
        while not self.stop.is_set() and not self.problems:
            try:
                read()
            except Exception as error:
                self.problems.append(repr(error))
            # Leaves the machine to whoever publishes.
            time.sleep(0.4)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.pinned.close()


class ReadersElsewhere:
    """The same readers in a process of their own: it tells what went wrong and which numbers it saw."""

    def __init__(self, releases_dir):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.releases.killed", "read", str(releases_dir)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self):
        assert self.process.stdout.readline().strip() == "reading"
        return self

    def __exit__(self, *_):
        answer = json.loads(self.process.communicate("stop\n")[0])
        self.problems, self.seen = answer["problems"], set(answer["seen"])


def _read(releases_dir):
    with Readers(releases_dir) as readers:
        print("reading", flush=True)
        sys.stdin.readline()
    print(json.dumps({"problems": readers.problems, "seen": sorted(readers.seen)}))


if __name__ == "__main__":
    {"publish": _serve, "read": _read}[sys.argv[1]](Path(sys.argv[2]))
