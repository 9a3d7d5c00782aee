"""The verbs of governance, mounted on ``kinweave`` by the command line.

Imports are made inside the verbs, as everywhere on the command line. What the verbs do lies in ``releases``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipelines.releases.agreements import Book
    from pipelines.storage import Home

HomeOption = Annotated[Path | None, typer.Option("--home", help="The deployment folder; else KINWEAVE_HOME.")]
DayOption = Annotated[
    dt.datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="As of this day; else today.")
]
PersonOption = Annotated[str, typer.Option("--person", help="person_id of the warehouse.")]

agreements = typer.Typer(no_args_is_help=True, help="Who may see what: check agreements, tell what a change does.")
governance = typer.Typer(
    no_args_is_help=True, help="Consents, expunction, protected addresses, destruction, audit, signatures."
)


def _day(given: dt.datetime | None, home: Path | None = None) -> dt.date:
    """The day asked for; else today where the jurisdiction is, as the night has it, wherever this machine is."""
    if given:
        return given.date()
    from pipelines.settings import SettingsError, find_home, load_jurisdiction

    try:
        return load_jurisdiction(find_home(home)).today()
    except SettingsError:
        return dt.date.today()


def _home(given: Path | None) -> Home:
    from pipelines.settings import find_home
    from pipelines.storage import Home

    return Home(find_home(given))


@contextmanager
def _plainly() -> Iterator[None]:
    """Errors written for a person become a line on standard error and exit code 1."""
    from pipelines.night import NightError
    from pipelines.releases.agreements import AgreementError
    from pipelines.releases.manifest import ReleaseError
    from pipelines.releases.people import PeopleError
    from pipelines.settings import SettingsError

    try:
        yield
    except (AgreementError, NightError, ReleaseError, PeopleError, SettingsError) as error:
        typer.secho(f"kinweave: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None


@agreements.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="Folder of agreements; else the deployment's.")] = None,
    home: HomeOption = None,
    on: DayOption = None,
) -> None:
    """Read every agreement and say what is wrong, by file, line and field; then who receives what.

    Where the deployment has a release, tables, columns, classes and values are compared with it too.
    """
    from pipelines.releases.agreements import load

    with _plainly():
        book = load(folder or _home(home).agreements_dir)
        for partner, held in book.partners(_day(on, home)).items():
            for agreement in held:
                columns = sum(len(d.columns) for d in agreement.datasets.values())
                typer.echo(
                    f"{partner}: {agreement.agreement} until {agreement.expires}, {len(agreement.datasets)} tables,"
                    f" {columns} columns, for {', '.join(agreement.purposes)}"
                )
        compared = _compared(book, home, _day(on, home))
        if compared is None:
            typer.echo(f"{len(book.agreements)} agreements can be read; no release here to compare their columns with")
            return
        problems, warnings = compared
        for line in warnings:
            typer.secho(f"note: {line}", fg=typer.colors.YELLOW)
        _report(problems, f"{len(book.agreements)} agreements, no problem found")


def _compared(book: Book, home: Path | None, day: dt.date) -> tuple[list[str], list[str]] | None:
    """The book against the deployment's current release; None where there is no deployment or no release."""
    from pipelines.releases.asking import against_release
    from pipelines.releases.manifest import ReleaseError
    from pipelines.releases.publish import current_release
    from pipelines.settings import SettingsError, load_jurisdiction

    try:
        place = _home(home)
        sites = {s.site_id for s in load_jurisdiction(place.root).sites}
        return against_release(book, current_release(place.releases_dir).folder, sites, day)
    except (ReleaseError, SettingsError):
        return None


@agreements.command()
def diff(
    old: Annotated[Path, typer.Argument(help="Folder of agreements as they are.")],
    new: Annotated[Path, typer.Argument(help="Folder of agreements as they would be.")],
    on: DayOption = None,
) -> None:
    """Say in words what a change of agreements opens and closes, before it takes effect."""
    from pipelines.releases.agreements import load
    from pipelines.releases.changes import differences

    with _plainly():
        for line in differences(load(old), load(new), _day(on)) or ["nothing changes"]:
            typer.echo(line)


def disclosures(
    person: PersonOption,
    home: HomeOption = None,
    years: Annotated[int | None, typer.Option(min=1, help="Only the last so many years.")] = None,
) -> None:
    """What about this person went to whom, when, why, and under which consent."""
    from rich.console import Console
    from rich.table import Table

    from pipelines.releases import accounting
    from pipelines.releases.people import must_be_known

    with _plainly():
        place = _home(home)
        must_be_known(place, person)
        since = _day(None, home) - dt.timedelta(days=366 * years) if years else None
        rows = accounting.disclosures(place, person, since=since)
        accounting.audit(accounting.log_of(place), "account given", rows=len(rows))
        table = Table("when", "release", "to", "agreement", "what", "rows", "why", "ground", "consents")
        for row in rows:
            table.add_row(
                str(row["disclosed_on"]), row["release_id"], row["partner"], row["agreement_id"], row["table_name"],
                str(row["row_count"]), ", ".join(row["purposes"]), "; ".join(row["legal_basis"]),
                ", ".join(row["consent_ids"] or []) or "none needed",
            )  # fmt: skip
        Console(highlight=False, width=200).print(table if rows else "nothing about this person went to anybody")


@governance.command("consent")
def consent(
    person: PersonOption,
    regime: Annotated[str, typer.Option(help="sud_p2 or partc.")],
    recipient: Annotated[str, typer.Option(help="Kind of recipient: court_team, provider, ...")],
    purpose: Annotated[str, typer.Option(help="A purpose of the agreements' list.")],
    effective: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="First day it holds.")],
    expires: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day it no longer holds.")
    ] = None,
    scope: Annotated[str, typer.Option(help="full_record, attendance, appointments, discharge.")] = "full_record",
    home: HomeOption = None,
) -> None:
    """Record a consent that no source delivers. Prints its number."""
    from pipelines.releases import accounting, people

    with _plainly():
        place = _home(home)
        number = people.record_consent(
            place, person_id=person, regime=regime, recipient=recipient, purpose=purpose, scope=scope,  # type: ignore[arg-type]
            effective=effective.date(), expires=expires.date() if expires else None, recorded_on=_day(None, home),
        )  # fmt: skip
        accounting.audit(accounting.log_of(place), "consent recorded", consent=number)
        typer.echo(number)


@governance.command("revoke")
def revoke(
    consent_id: Annotated[str, typer.Argument(help="Number of the consent.")],
    received: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="Day the revocation was received.")],
    home: HomeOption = None,
) -> None:
    """Record that a consent was revoked: the next release is without it."""
    from pipelines.releases import accounting, people

    with _plainly():
        place = _home(home)
        people.revoke_consent(place, consent_id, received_on=received.date(), recorded_on=_day(None, home))
        accounting.audit(accounting.log_of(place), "consent revoked", consent=consent_id)
        typer.echo("recorded: the next release is without it")


@governance.command("protect-address")
def protect_address(person: PersonOption, home: HomeOption = None) -> None:
    """Hide from every partner where this person lives and is served."""
    from pipelines.releases import accounting, people

    with _plainly():
        place = _home(home)
        people.protect_address(place, person, recorded_on=_day(None, home))
        accounting.audit(accounting.log_of(place), "address protected")
        typer.echo("recorded: the next release shows no county, site or provider of theirs")


@governance.command("expunge")
def expunge(
    system: Annotated[str, typer.Option(help="Whose record: child_welfare, court, ...")],
    record: Annotated[list[str], typer.Option(help="The source's own number; once for each part of it.")],
    order_date: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="Date of the order.")],
    home: HomeOption = None,
) -> None:
    """Carry out an order to forget a record: gone from what was delivered and from everything made from now on."""
    from pipelines.night import Night, NightError, night_lock
    from pipelines.releases import accounting, expunction

    with _plainly():
        place = _home(home)
        night = Night(place)
        if system not in night.contracts:
            raise NightError(f"there is no source {system}: {', '.join(night.contracts)}")
        with night_lock(place):
            expunction.order(place, night.secret(), system, record, order_date=order_date.date())
            accounting.audit(accounting.log_of(place), "expunction ordered", system=system)
            found = expunction.forget(place, night.contracts, night.secret())
            expunction.forget_by_name(place, night.secret())
        if not found.rows:
            typer.secho(
                "nothing delivered so far has this number: is it written as the source writes it?",
                fg=typer.colors.YELLOW,
            )
        typer.echo(f"{found.rows} rows taken out of what was delivered, {found.files} original files destroyed")
        for path in expunction.unread_files(place, system, record):
            typer.secho(f"holds the number and was never read: delete {path}", fg=typer.colors.YELLOW)
        typer.echo("now `kinweave run`; earlier releases hold the record until `kinweave governance destroy`")


@governance.command("destroy")
def destroy(
    releases: Annotated[list[str], typer.Argument(help="IDs of releases; the current one cannot be destroyed.")],
    home: HomeOption = None,
    on: DayOption = None,
) -> None:
    """Destroy earlier releases here, with a signed certificate for each. Partners' own copies are theirs to destroy."""
    from pipelines.night import night_lock
    from pipelines.releases.publish import destroy as destroy_releases

    with _plainly():
        place = _home(home)
        with night_lock(place):
            destroy_releases(place, releases, _day(on, home))
        typer.echo(f"{len(releases)} releases destroyed; certificates in vault/governance/certificates")


@governance.command("register")
def register(
    out: Annotated[Path, typer.Argument(help="The HTML page to write.")], home: HomeOption = None, on: DayOption = None
) -> None:
    """Write the public register of data use: who gets which columns, why, on what ground, until when."""
    from pipelines.releases import accounting
    from pipelines.releases.agreements import load
    from pipelines.settings import load_jurisdiction
    from pipelines.storage import write_atomic

    with _plainly():
        place = _home(home)
        write_atomic(
            out, accounting.register(load(place.agreements_dir), _day(on, home), load_jurisdiction(place.root).name)
        )
        typer.echo(f"written to {out}")


@governance.command("right-to-see")
def right_to_see(
    person: PersonOption,
    out: Annotated[Path, typer.Option(help="The JSON file to write, readable by you alone.")],
    home: HomeOption = None,
) -> None:
    """Write everything the current release holds about one person, and who was told what of it."""
    from pipelines.releases import accounting
    from pipelines.releases.people import must_be_known
    from pipelines.releases.publish import current_release

    with _plainly():
        place = _home(home)
        must_be_known(place, person)
        tables = accounting.right_to_see(place, current_release(place.releases_dir).folder, person, out)
        accounting.audit(accounting.log_of(place), "right to see", tables=len(tables))
        typer.echo(f"{len(tables)} tables written to {out}")


@governance.command("destructions")
def destructions(home: HomeOption = None, on: DayOption = None) -> None:
    """Copies partners may no longer keep, and which proofs of destruction are overdue."""
    from pipelines.releases import accounting
    from pipelines.releases.agreements import load

    with _plainly():
        place = _home(home)
        rows = accounting.destructions_due(place, load(place.agreements_dir), _day(on, home))
        for row in rows:
            late = " OVERDUE" if row["is_overdue"] else ""
            typer.echo(
                f"{row['partner']} {row['release_id']}: to be gone since {row['to_be_gone_since']},"
                f" proof due {row['proof_due']}{late}"
            )
        if not rows:
            typer.echo("nothing is due")


@governance.command("destroyed")
def destroyed(
    partner: str,
    release_id: str,
    proof: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The partner's certificate.")],
    home: HomeOption = None,
    on: DayOption = None,
) -> None:
    """Note that a partner proved it destroyed its copy of a release."""
    from pipelines.releases import accounting

    with _plainly():
        accounting.record_destruction(_home(home), partner, release_id, proof, on=_day(on, home))
        typer.echo("noted")


@governance.command("audit")
def audit(home: HomeOption = None) -> None:
    """Check that no line of the audit log was changed, removed or put in between."""
    from pipelines.releases import accounting

    with _plainly():
        log = accounting.log_of(_home(home))
        _report(accounting.verify_audit(log), f"{log}: the chain holds")


@governance.command("signing-key")
def signing_key(home: HomeOption = None) -> None:
    """The public key partners check our signatures with. Give it to them by another way than the files."""
    from pipelines.releases.signing import public_key

    with _plainly():
        typer.echo(public_key(_home(home).root / "vault"))


@governance.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="A partner's folder, as received.")],
    key: Annotated[str, typer.Option(help="The house's public key.")],
) -> None:
    """Check that a partner's folder is ours, whole and unchanged. Needs nothing but the folder and the key."""
    from pipelines.releases.signing import verify_folder

    with _plainly():
        _report(verify_folder(folder, key), f"{folder.name}: signed by this key, whole and unchanged")


def _report(problems: list[Any], good: str) -> None:
    if problems:
        typer.secho("\n".join(str(p) for p in problems), err=True, fg=typer.colors.RED)
        raise typer.Exit(1)
    typer.echo(good)
