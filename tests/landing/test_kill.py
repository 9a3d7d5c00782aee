"""``kill -9`` at every single step of landing; running again always ends in the same place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Runs in its own process, which forks one child per step. The child is killed at its n-th change to the disc; a second
# child runs to the end; what it leaves is compared with an undisturbed run.
SCRIPT = """
import datetime as dt, hashlib, json, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from expectations.contract import load_contracts
from pipelines.landing import balance, build_current, deliveries, land
from pipelines.storage import Home, read_jsonl
from tests.landing.conftest import PEOPLE

work, day = Path(sys.argv[2]), dt.date(2026, 3, 31)
toy = load_contracts(Path(sys.argv[3]))["toy"]
contracts = {"toy": toy.model_copy(update={"tables": {"people": toy.tables["people"]}})}
# Clearing up temporary files is no step: they are gone already when all went well.
STEPS = [(os, "replace"), (os, "rename"), (deliveries, "append_jsonl"), (Path, "unlink")]

def killed_at(step):
    left = [step]
    def wrap(owner, name):
        real = getattr(owner, name)
        def counted(*args, **kwargs):
            if not str(args[0]).endswith(".tmp") or name != "unlink":
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
            return real(*args, **kwargs)
        setattr(owner, name, counted)
    for owner, name in STEPS:
        wrap(owner, name)

def run(home, step):
    pid = os.fork()
    if pid == 0:
        if step is not None:
            killed_at(step)
        land(home, contracts, day)
        build_current(home, home, contracts, day)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def fresh(name):
    home = Home(work / name)
    inbox = home.inbox("toy")
    inbox.mkdir(parents=True)
    (inbox / "toy_people_20260301.csv").write_text(PEOPLE + "1,a,,,\\n2,b,soon,,\\n3,c,,,\\n1,d,,,\\n")
    (inbox / "notes.txt").write_text("not ours")
    return home

def state(home):
    out = {}
    for folder in ("raw", "quarantine", "inbox"):
        for path in sorted((home.root / folder).rglob("*")):
            if path.is_file() and not path.name.endswith(".tmp"):
                out[str(path.relative_to(home.root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    accepted = [r for r in read_jsonl(home.delivery_log) if r["status"] == "accepted"]
    out["accepted"] = [(r["table"], r["rows_loaded"], r["rows_quarantined"]) for r in accepted]
    out["balanced"] = all(r.is_balanced for r in balance(home))
    return out

whole = fresh("whole")
assert run(whole, None) == 0
expected, wrong, step = state(whole), [], 0
while True:
    home = fresh(f"killed-{step}")
    code = run(home, step)
    if code == 0:
        break
    assert code == -signal.SIGKILL, code
    if run(home, None) != 0 or state(home) != expected:
        wrong.append(step)
    step += 1
print(json.dumps({"steps": step, "wrong": wrong, "expected": expected}))
"""


def test_a_kill_at_any_step_is_harmless(tmp_path: Path, source_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(ROOT), str(tmp_path), str(source_root)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["steps"] >= 10, "the kill switch was not wired to the steps"
    assert result["expected"]["accepted"] == [["people", 2, 2]]
    assert result["expected"]["balanced"]
    assert not any(p.startswith("inbox/toy/toy_") for p in result["expected"])
