"""One deployment for drawing the graph, and one small demo that really ran, each built once."""

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
