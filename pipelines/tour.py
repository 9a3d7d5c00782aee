"""``kinweave demo``: a simulated jurisdiction from three deliveries of its agencies' files to a published release.

The simulation's truth is used for one line at the end, to say how good the linkage was; no night reads it.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console

from pipelines import demo, summary
from pipelines.deployment import create
from pipelines.night import JOB, LANDING_JOB, RELINK_JOB, Night, NightError, run_night, train_model, warm_up
from pipelines.settings import SettingsError
from pipelines.storage import Home, write_atomic

_MARK = ".kinweave-demo"
_EXAMPLE = Path(demo.__file__).parent / "deployment"


def tour(folder: Path, people: int, console: Console, *, every_night: bool = False) -> None:
    """Build the demo deployment in ``folder`` and show what came out.

    The first two deliveries are landed on their days and the third night is run whole, which keeps the demo short;
    ``every_night`` links and publishes after each, so that IDs merge and published numbers move. An earlier demo there
    is replaced; any other deployment is left alone. Raises :class:`NightError` when a night fails.
    """
    began = time.monotonic()
    home = _fresh(folder)
    simulation = home.root / "simulation"
    with summary.Steps(console) as steps, _agencies(people, simulation) as received:
        console.print(f"[bold]A jurisdiction of {people:,} people[/bold]")
        steps.on_step("simulating families and agencies", "started")
        warm_up(home)
        trained = False
        for number, day in enumerate(demo.DATES, start=1):
            sent = received(day)
            if number == 1:
                steps.on_step("simulating families and agencies", "done")
            console.print(f"[bold]Night {number}: the files of {day}[/bold]")
            _deliver(sent, home)
            job = JOB if every_night or number == len(demo.DATES) else LANDING_JOB
            if job == JOB and not trained:
                # A night needs a trained model, and training needs files: once, outside the night.
                train_model(home, received_on=day, on_step=steps.on_step)
                trained, job = True, RELINK_JOB
            outcome = run_night(home, received_on=day, job=job, on_step=steps.on_step)
            if not outcome.success:
                summary.show_outcome(console, Night(home), outcome)
                raise NightError("the demo stopped; `kinweave status` says more")
    summary.show_demo(console, home, simulation / "truth")
    console.print(f"\nThe demo took {time.monotonic() - began:.0f} seconds.")


@contextmanager
def _agencies(people: int, simulation: Path) -> Iterator[Callable[[dt.date], Path]]:
    """The agencies at work in a process of their own, since later files can be written while the first are landed.

    Gives a function that waits for the files of a day and returns their folder; at the end the truth is there too.
    Raises :class:`NightError` when they stop early.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_write, args=(people, simulation, there), daemon=True)
    process.start()
    there.close()
    stopped = NightError("the simulation of the agencies stopped before its files were written")

    def received(day: dt.date) -> Path:
        try:
            sent, folder = here.recv()
        except EOFError:
            raise stopped from None
        assert sent == day
        return Path(folder)

    try:
        yield received
        process.join()
        if process.exitcode:
            raise stopped
    finally:
        process.terminate()


def _write(people: int, simulation: Path, sent: Connection) -> None:
    world = demo.simulate(people)
    demo.write_deliveries(
        world,
        simulation / "agencies",
        simulation / "truth",
        on_delivery=lambda day, folder: sent.send((day, str(folder))),
    )


def _fresh(folder: Path) -> Home:
    """A new demo deployment in ``folder``; an earlier demo there is removed first."""
    folder = folder.expanduser().resolve()
    if (folder / _MARK).exists():
        shutil.rmtree(folder)
    elif (folder / "jurisdiction.yml").exists():
        raise SettingsError(f"{folder} is a deployment, not a demo: choose another folder with --home")
    home = create(folder, _EXAMPLE)
    write_atomic(folder / _MARK, "made by `kinweave demo`, which may replace this folder\n")
    return home


def _deliver(sent: Path, home: Home) -> None:
    """Put the agencies' files into the drop folders, as agencies would."""
    for system in sorted(p for p in sent.iterdir() if p.is_dir()):
        inbox = home.inbox(system.name)
        inbox.mkdir(parents=True, exist_ok=True)
        for file in sorted(system.iterdir()):
            shutil.copy2(file, inbox / file.name)
