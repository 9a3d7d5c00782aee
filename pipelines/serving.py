"""The verbs of serving releases from PostgreSQL, mounted on ``kinweave`` by the command line.

Imports are made inside the verbs, as everywhere on the command line. What the verbs do lies in ``releases.serve``.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipelines.storage import Home

HomeOption = Annotated[Path | None, typer.Option("--home", help="The deployment folder; else KINWEAVE_HOME.")]
DatabaseOption = Annotated[
    str | None,
    typer.Option("--database", help="What libpq takes to connect (URI or key=value); else KINWEAVE_POSTGRES."),
]
PartnerArgument = Annotated[str, typer.Argument(help="ID of the party in agreements/parties.yml.")]

serve = typer.Typer(
    no_args_is_help=True, help="Serve the current release from PostgreSQL: a role for each partner, grants from YAML."
)


@contextmanager
def _plainly() -> Iterator[None]:
    """Errors written for a person become a line on standard error and exit code 1."""
    from pipelines.releases.agreements import AgreementError
    from pipelines.releases.manifest import ReleaseError
    from pipelines.releases.serve import ServeError
    from pipelines.settings import SettingsError

    try:
        yield
    except (AgreementError, ReleaseError, ServeError, SettingsError) as error:
        typer.secho(f"kinweave: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None


def _home(given: Path | None) -> Home:
    from pipelines.settings import find_home
    from pipelines.storage import Home

    return Home(find_home(given))


def _database(given: str | None) -> str:
    from pipelines.settings import SettingsError, get_settings

    found = given or get_settings().postgres
    if not found:
        raise SettingsError("which database? Give --database, or set KINWEAVE_POSTGRES")
    return found


@serve.command()
def prepare(home: HomeOption = None, database: DatabaseOption = None) -> None:
    """Make the roles and close what PostgreSQL opens to everybody. As a superuser; again after parties changed."""
    from pipelines.releases import agreements as rules
    from pipelines.releases import serve as serving
    from pipelines.releases.serve.shares import recipients

    with _plainly():
        partners = recipients(rules.load(_home(home).agreements_dir))
        for line in serving.prepare(_database(database), partners):
            typer.secho(line, fg=typer.colors.YELLOW)
        typer.echo(f"{len(partners)} partners' roles are ready: {', '.join(map(serving.role_of, partners))}")


@serve.command()
def load(home: HomeOption = None, database: DatabaseOption = None) -> None:
    """Serve the current release as the agreements of today allow; again brings grants to the agreements as they are."""
    from pipelines.releases import serve as serving

    with _plainly():
        told = serving.load_current(_home(home), _database(database))
        typer.echo(
            f"{told.release_id} is served: {sum(told.rows.values())} rows in {len(told.rows)} tables,"
            f" {told.rebuilt} of them made anew, {told.dropped} taken away"
        )
        for partner in told.stopped:
            typer.secho(f"{partner} is stopped and gets nothing", fg=typer.colors.YELLOW)


@serve.command()
def grants(home: HomeOption = None, database: DatabaseOption = None) -> None:
    """Show what each role can select, as the database says; exit code 1 where the agreements say otherwise."""
    from pipelines.releases import serve as serving

    with _plainly():
        found = serving.granted(_database(database))
        for role, tables in found.items():
            for table, columns in tables.items():
                typer.echo(f"{role} {table} ({', '.join(columns)})")
        told = serving.differences(serving.current_shares(_home(home)), found)
        for line in told:
            typer.secho(line, err=True, fg=typer.colors.RED)
        if told:
            raise typer.Exit(1)


@serve.command()
def revoke(partner: PartnerArgument, home: HomeOption = None, database: DatabaseOption = None) -> None:
    """Take everything from a partner at once, and keep it so until `resume`. Its agreement is not changed."""
    from pipelines.releases import accounting
    from pipelines.releases import serve as serving

    with _plainly():
        place = _home(home)
        serving.stop(_database(database), partner)
        accounting.audit(accounting.log_of(place), "serving stopped", partner=partner)
        typer.echo(f"{partner} can select nothing from now on")


@serve.command()
def resume(partner: PartnerArgument, home: HomeOption = None, database: DatabaseOption = None) -> None:
    """Let the next load serve a partner again whose rights were taken by `revoke`."""
    from pipelines.releases import accounting
    from pipelines.releases import serve as serving

    with _plainly():
        place = _home(home)
        serving.resume(_database(database), partner)
        accounting.audit(accounting.log_of(place), "serving resumed", partner=partner)
        typer.echo(f"the next `kinweave serve load` serves {partner} again")


@serve.command()
def password(partner: PartnerArgument, home: HomeOption = None, database: DatabaseOption = None) -> None:
    """Give a partner a new random password and print it, once. As a superuser."""
    from pipelines.releases import accounting
    from pipelines.releases import serve as serving

    with _plainly():
        place = _home(home)
        secret = serving.password(_database(database), partner)
        accounting.audit(accounting.log_of(place), "password given", partner=partner)
        typer.echo(secret)


@serve.command()
def demo(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(help="On this machine only.", min=1024, max=65535)] = 54329,
    stop: Annotated[bool, typer.Option("--stop", help="End the one that runs in the background.")] = False,
    background: Annotated[bool, typer.Option("--background", help="Do not wait; end it with --stop.")] = False,
) -> None:
    """Start a PostgreSQL of its own with the current release, and tell how to connect as each partner."""
    from pipelines.releases import agreements as rules
    from pipelines.releases import serve as serving
    from pipelines.releases.serve import throwaway
    from pipelines.releases.serve.shares import recipients

    with _plainly():
        place = _home(home)
        note = place.scratch_dir / "serve-demo"
        if stop:
            if not note.exists():
                raise serving.ServeError("no demo server is known to run")
            throwaway.Server(Path(note.read_text().strip())).stop()
            note.unlink()
            typer.echo("stopped")
            return
        if note.exists():
            raise serving.ServeError("a demo server runs already: end it with --stop")
        server = throwaway.start(port=port)
        try:
            partners = recipients(rules.load(place.agreements_dir))
            for line in serving.prepare(server.uri(), partners):
                typer.secho(line, fg=typer.colors.YELLOW)
            told = serving.load_current(place, server.uri("kinweave_owner"))
            typer.echo(f"{told.release_id}: {sum(told.rows.values())} rows in {len(told.rows)} tables. Connect as:")
            for partner in partners:
                secret = serving.password(server.uri(), partner)
                address = f"{serving.role_of(partner)}:{secret}@127.0.0.1:{port}/{throwaway.DATABASE}"
                typer.echo(f"  psql postgresql://{address}")
            typer.echo(f"  psql '{server.uri()}'  (everything; only whoever may open that folder)")
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(str(server.folder))
            if background:
                typer.echo("It runs in the background: end it with --stop.")
                return
            typer.echo("Stop with Ctrl-C.")
            for kind in (signal.SIGTERM, signal.SIGINT):
                signal.signal(kind, _interrupt)
            signal.pause()
        except KeyboardInterrupt:
            typer.echo("stopped")
        except BaseException:
            server.stop()
            raise
        server.stop()
        note.unlink(missing_ok=True)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
