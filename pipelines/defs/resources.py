"""What every step of a run is given: the deployment, its lock, and the night at work."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from pipelines.night import Night, NightBusy, night_lock
from pipelines.settings import find_home
from pipelines.storage import Home, Workspace

#: Asset groups, numbered so that an alphabetical list reads as the flow.
GROUPS = {
    "deliveries": "1_deliveries",
    "raw": "2_landing",
    "config": "2_landing",
    "staging": "3_staging",
    "linkage": "4_linkage",
    "reference": "5_warehouse",
    "intermediate": "5_warehouse",
    "marts": "5_warehouse",
    "metrics": "6_measures",
    "quality": "6_measures",
    "releases": "7_release",
}


class Deployment(dg.ConfigurableResource):
    """The deployment a run works on. Without ``home`` it is found as the command line finds it.

    ``full`` scores every pair of records again, whatever has changed. The lock is held from the first step to the last;
    ``is_locked`` says that the caller holds it already.
    """

    home: str = ""
    as_of: str = ""
    received_on: str = ""
    full: bool = False
    is_locked: bool = False

    _night: Night = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["Deployment", None, None]:
        """Take the lock for the run. Fails the run at once when another one is at work."""
        home = Home(find_home(Path(self.home) if self.home else None))
        self._night = Night(home, _day(self.as_of), _day(self.received_on))
        try:
            with nullcontext() if self.is_locked else night_lock(home):
                yield self
        except NightBusy as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    @property
    def night(self) -> Night:
        """The night this run is."""
        return self._night


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def graph_workspace() -> Workspace:
    """Where dbt's manifest for drawing the graph is kept: in the deployment, or beside the project without one."""
    from pipelines.settings import SettingsError, get_settings

    try:
        return Home(find_home())
    except SettingsError:
        return Workspace(get_settings().dbt_project / "target" / "graph")


resources = dg.Definitions(resources={"deployment": Deployment()})
