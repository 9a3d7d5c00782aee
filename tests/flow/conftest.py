"""One deployment for drawing the graph, and one small demo that really ran, each built once."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines import settings
from pipelines.deployment import create
from pipelines.storage import Home

JURISDICTION = """
name: Test Valley
time_zone: America/Denver
counties: [{fips: "99001", name: Alder County}]
sites: [{site_id: alder, site_name: Alder, county_fips: "99001", launched_date: 2022-01-01}]
night: {at: "01:30"}
"""


@pytest.fixture(scope="session")
def graph_home(tmp_path_factory) -> Home:
    """A deployment without deliveries."""
    home = create(tmp_path_factory.mktemp("graph") / "home")
    home.jurisdiction.write_text(JURISDICTION)
    return home


@pytest.fixture(scope="session")
def definitions(graph_home):
    """All Dagster definitions, loaded once, as the deployment ``graph_home`` sees them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINWEAVE_HOME", str(graph_home.root))
        settings.get_settings.cache_clear()
        from pipelines.definitions import defs

        loaded = defs()
    settings.get_settings.cache_clear()
    return loaded


@pytest.fixture
def at_home(graph_home, monkeypatch):
    """Make ``graph_home`` the deployment that sensors find."""
    monkeypatch.setenv("KINWEAVE_HOME", str(graph_home.root))
    settings.get_settings.cache_clear()
    yield graph_home
    settings.get_settings.cache_clear()


@dataclass(frozen=True)
class Lived:
    """What :mod:`three_nights` left: the deployment, what happened as data, and the look-ups that were refused."""

    home: Home
    told: dict[str, Any]
    lookups: list[str]
    printed: str


@pytest.fixture(scope="session")
def lived(tmp_path_factory) -> Lived:
    """Two nights, a repetition and a replay of a small deployment, cut off from every network."""
    root = tmp_path_factory.mktemp("lived")
    notes, result = root / "lookups.txt", root / "result.json"
    here = Path(__file__).parent
    command = [sys.executable, str(here / "three_nights.py"), str(root / "home"), str(root / "agencies"), str(result)]
    if shutil.which("unshare") and subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0:
        # No interface at all, where the system lets us: also code that does not ask Python for names is cut off.
        command = ["unshare", "-rn", *command]
    done = subprocess.run(
        command,
        cwd=here.parents[1],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("KINWEAVE_")},
            "PYTHONPATH": os.pathsep.join([str(here / "no_network"), str(here.parents[1])]),
            "KINWEAVE_TEST_LOOKUPS": str(notes),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Lived(
        Home(root / "home"),
        json.loads(result.read_text()),
        notes.read_text().splitlines() if notes.exists() else [],
        done.stdout + done.stderr,
    )
