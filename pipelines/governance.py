"""The verbs of governance, mounted on ``kinweave`` by the command line.

Imports are made inside the verbs, as everywhere on the command line. What the verbs do lies in ``releases``.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipelines.storage import Home

HomeOption = Annotated[Path | None, typer.Option("--home", help="The deployment folder; else KINWEAVE_HOME.")]
DayOption = Annotated[
    dt.datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="As of this day; else today.")
]

agreements = typer.Typer(no_args_is_help=True, help="Who may see what: check agreements, tell what a change does.")


def _day(given: dt.datetime | None) -> dt.date:
    return given.date() if given else dt.date.today()


def _home(given: Path | None) -> Home:
    from pipelines.settings import SettingsError, find_home
    from pipelines.storage import Home

    try:
        return Home(find_home(given))
    except SettingsError as error:
        raise _fail(f"kinweave: {error}") from None


def _fail(message: str) -> typer.Exit:
    typer.secho(message, err=True, fg=typer.colors.RED)
    return typer.Exit(1)


@agreements.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="Folder of agreements; else the deployment's.")] = None,
    home: HomeOption = None,
    on: DayOption = None,
) -> None:
    """Read every agreement and say what is wrong, by file, line and field; then who receives what."""
    from pipelines.releases import agreements as rules

    try:
        book = rules.load(folder or _home(home).agreements_dir)
    except rules.AgreementError as error:
        raise _fail(str(error)) from None
    for partner, held in book.partners(_day(on)).items():
        for agreement in held:
            columns = sum(len(d.columns) for d in agreement.datasets.values())
            typer.echo(
                f"{partner}: {agreement.agreement} until {agreement.expires}, {len(agreement.datasets)} tables,"
                f" {columns} columns, for {', '.join(agreement.purposes)}"
            )
    typer.echo(f"{len(book.agreements)} agreements, no problem found")


@agreements.command()
def diff(
    old: Annotated[Path, typer.Argument(help="Folder of agreements as they are.")],
    new: Annotated[Path, typer.Argument(help="Folder of agreements as they would be.")],
    on: DayOption = None,
) -> None:
    """Say in words what a change of agreements opens and closes, before it takes effect."""
    from pipelines.releases import agreements as rules

    try:
        told = rules.differences(rules.load(old), rules.load(new), _day(on))
    except rules.AgreementError as error:
        raise _fail(str(error)) from None
    for line in told or ["nothing changes"]:
        typer.echo(line)
