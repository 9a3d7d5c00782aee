"""``kinweave``: everything a person does with a deployment, one verb each.

Imports are made inside the verbs, so that ``kinweave --help`` answers at once. Errors are one line of cause and, where
there is one, one line of what to do: no traceback, and never a value of a delivered row.
"""

from __future__ import annotations

import datetime as dt
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from pipelines import governance, reviewing, serving

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.storage import Home

app = typer.Typer(
    name="kinweave",
    help="Four agencies' deliveries to one linked, governed warehouse of children and families.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(governance.agreements, name="agreements")
app.add_typer(governance.governance, name="governance")
app.add_typer(serving.serve, name="serve")
app.command()(governance.disclosures)

P = ParamSpec("P")
R = TypeVar("R")

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="The deployment folder; else KINWEAVE_HOME, ., ./demo-home.")
]

#: Errors written for a person to read; any other error is ours and only its kind is shown.
_SPEAKING = {
    "SettingsError", "ContractError", "NightError", "NightBusy", "ReleaseError", "GateClosed", "DbtError",
    "LandingError", "ModelError", "TrainingError", "LinkageError", "MeasuresError", "ReviewError",
}  # fmt: skip


def _plain_errors(verb: Callable[P, R]) -> Callable[P, R]:
    """Run ``verb``; turn what it raises into a line on standard error and exit code 1."""

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from pipelines.settings import quiet

        quiet()
        try:
            return verb(*args, **kwargs)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            _complain("stopped. Nothing half-done is visible; run it again when you like.")
            raise typer.Exit(130) from None
        except PermissionError as error:
            _complain(f"may not write or read {error.filename}: check its owner and permissions.")
        except OSError as error:
            _complain(f"{error.strerror or type(error).__name__}: {error.filename or 'the disc'}.")
        except Exception as error:
            if type(error).__name__ in _SPEAKING:
                _complain(str(error))
            else:
                last = error.__traceback__
                while last is not None and last.tb_next is not None:
                    last = last.tb_next
                where = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else "?"
                _complain(f"unexpected {type(error).__name__} at {where}. Please report this line.")
        raise typer.Exit(1)

    return wrapped


def _complain(message: str) -> None:
    typer.secho(f"kinweave: {message}", err=True, fg=typer.colors.RED)


def _home(given: Path | None) -> Home:
    from pipelines.settings import find_home
    from pipelines.storage import Home

    return Home(find_home(given))


@app.command()
@_plain_errors
def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
) -> None:
    """Create a deployment: a commented jurisdiction.yml, drop folders, a vault and Dagster's settings."""
    from pipelines.deployment import create

    home = create(folder)
    console = _console()
    console.print(f"[bold]Deployment created in {home.root}[/bold]")
    console.print(f"1. Fill in {home.jurisdiction}")
    console.print(f"2. Put files into {home.root / 'inbox'}/<system>/")
    console.print(f"3. kinweave train --home {home.root}     (once, outside the night)")
    console.print(f"4. kinweave run --home {home.root}")


@app.command()
@_plain_errors
def demo(
    people: Annotated[int, typer.Option(help="How many people the simulated jurisdiction has.", min=200)] = 25_000,
    home: Annotated[Path, typer.Option("--home", help="Where to build it.")] = Path("demo-home"),
    every_night: Annotated[
        bool, typer.Option("--every-night", help="Link and publish after each delivery, not only after the last.")
    ] = False,
) -> None:
    """Simulate a jurisdiction, deliver three times, train once, link, measure, publish, show what came out."""
    from pipelines.tour import tour

    tour(home, people, _console(), every_night=every_night)


@app.command("demo-measures")
@_plain_errors
def demo_measures(home: HomeOption = None) -> None:
    """Hold a demo's core measures against the simulation's truth: what records and what linkage got wrong."""
    from pipelines import summary
    from pipelines.demo.compare import by_measure, compare

    place, console = _home(home), _console()
    summary.show_truth(console, by_measure(compare(place)))


@app.command()
@_plain_errors
def run(
    home: HomeOption = None,
    as_of: Annotated[
        dt.datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], help="Replay the night of this day, without publishing."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Score all pairs of records again, not only those that are new or changed.")
    ] = False,
) -> None:
    """Land what lies in the drop folders, link, build, test and publish."""
    from pipelines import summary
    from pipelines.night import Night, run_night

    place, console = _home(home), _console()
    day = as_of.date() if as_of else None
    with _steps(console) as on_step:
        outcome = run_night(place, as_of=day, full=full, on_step=on_step)
    summary.show_outcome(console, Night(place, day), outcome)
    if not outcome.success:
        raise typer.Exit(1)


@app.command()
@_plain_errors
def train(
    home: HomeOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; else the cut and a number.")] = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Use the new model from the next night on.")] = False,
    adopt_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Train nothing: use this trained model from the next night on.")
    ] = None,
) -> None:
    """Train a linkage model on the people at hand and show how it differs from the one in use.

    The first model is used at once. A later one is used when it is adopted.
    """
    from pipelines import summary
    from pipelines.night import adopt_model as use
    from pipelines.night import train_model

    place, console = _home(home), _console()
    if adopt_model:
        console.print(f"[green bold]Nights use {use(place, adopt_model).name} from now on.[/green bold]")
        return
    with _steps(console) as on_step:
        trained = train_model(place, name, adopt=adopt, on_step=on_step)
    summary.show_model(console, trained)


@app.command()
@_plain_errors
def status(home: HomeOption = None) -> None:
    """Current release, sources and their freshness, what was loaded and quarantined, open alerts."""
    from pipelines import summary

    summary.show_status(_console(), _home(home))


@app.command()
@_plain_errors
def restatements(
    home: HomeOption = None,
    rows: Annotated[int, typer.Option(help="How many rows the table shows.", min=1)] = 50,
) -> None:
    """Published numbers that the current release says otherwise than the one before, and why."""
    from rich.table import Table

    from pipelines.releases import current_release
    from pipelines.releases.restatement import read_report, report_path

    place, console = _home(home), _console()
    release = current_release(place.releases_dir).release_id
    report = read_report(place, release)
    if not report:
        console.print(f"{release}: no published number has moved" + ("" if report == [] else " (it is the first)"))
        return
    shown = Table("measure", "period", "of", "before", "now", "cause")
    shown.columns[-1].overflow = "fold"
    for row in report[:rows]:
        stratum = "" if row["stratum_type"] == "all" else f"{row['stratum_type']} {row['stratum_value']}"
        figures = (
            f"{row[f'numerator_{when}'] or '-'}/{row[f'denominator_{when}'] or '-'} = {row[f'value_{when}'][:8] or '-'}"
            for when in ("before", "now")
        )
        period = f"{row['period_start']} to {row['period_end']}"
        shown.add_row(f"{row['metric_id']} {row['variant']}", period, stratum, *figures, row["cause"])
    console.print(shown)
    console.print(
        f"{len(report)} numbers moved since {report[0]['release_before']}. All: {report_path(place, release)}"
    )


@app.command()
@_plain_errors
def validate(
    files: Annotated[list[Path], typer.Argument(help="Files as they would be delivered.")],
    system: Annotated[str | None, typer.Option(help="The source, when the file name does not tell.")] = None,
) -> None:
    """Check files against their contract with the rules of the load, offline, before they are sent."""
    from pipelines import summary

    if not summary.show_validation(_console(), files, system):
        raise typer.Exit(1)


@app.command()
@_plain_errors
def query(
    sql: Annotated[str, typer.Argument(help="One SQL statement; try: from data_dictionary")],
    home: HomeOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    rows: Annotated[int, typer.Option(help="How many rows the table shows.", min=1)] = 50,
) -> None:
    """Ask the current release. Read-only: the connection reaches no file, no network and no setting."""
    from pipelines import summary

    if not summary.show_query(_console(), _home(home), sql, as_csv, rows):
        raise typer.Exit(1)


@app.command()
@_plain_errors
def link(
    records: Annotated[list[Path], typer.Option(help="Parquet or CSV of person records; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder for the crosswalk, families, scores and report.")],
    relationships: Annotated[
        list[Path] | None, typer.Option(help="Parquet or CSV of who is whose mother, father and so on.")
    ] = None,
    duplicate_free: Annotated[
        str, typer.Option(help="Systems that hold each person once, separated by commas.", metavar="SYSTEM,…")
    ] = "",
) -> None:
    """Link any person records, with nothing but the files: the steps of the night, without a deployment.

    Columns of records: source_system, source_record_id, and any of first_name, middle_name, last_name, name_suffix,
    birth_date, sex, ssn, medicaid_id, address_line, city, state, zip, phone, record_role, case_key. Columns of
    relationships: source_system, source_record_id, related_record_id, relationship (mother_of, father_of, parent_of,
    guardian_of, spouse_of, sibling_of, foster_parent_of, read left to right). More: docs/linkage.md.
    """
    import linkage

    systems = [s.strip() for s in duplicate_free.split(",") if s.strip()]
    try:
        counts = linkage.link_files(records, out, relationships=relationships, duplicate_free=systems)
    except FileNotFoundError as error:
        if error.errno is not None:  # not one of the files given: a folder that cannot be made
            raise
        _complain(str(error))
        raise typer.Exit(1) from None
    console = _console()
    read, people, families = counts["records"], counts["people"], counts["families"]
    console.print(
        f"{read['records']:,} records of {read['rows_received']:,} rows: {people['people']:,} people, "
        f"{families['families']:,} families"
    )
    words = {
        "rows_without_system_or_id": "rows without a system or an ID, left out",
        "relationship_to_nobody": "relationships to nobody, left out",
        "relationship_to_itself": "relationships of a record to itself, left out",
        "lines_unreadable": "lines that could not be read, left out",
        "relationship_of_unknown_kind": "relationships of an unknown kind, left out",
        "relationship_reversed": "parents younger than their children, read the other way round",
    }
    for name, text in words.items():
        if read.get(name):
            console.print(f"  {read[name]:,} {text}")
    for dates in read["birth_dates"]:
        if lost := dates["not_understood"] + dates["no_such_day"]:
            told = (
                f"birth_date of {dates['source_system']}: {lost:,} of {dates['given']:,} values could not be understood"
            )
            style = "yellow" if 2 * lost > dates["given"] else None
            hint = f"; they must be written {linkage.DATE_FORMS}" if style else ""
            console.print(f"  {'warning: ' if style else ''}{told}{hint}", style=style, markup=False)
    for system in counts["duplicate_free_unknown"]:
        console.print(f"  --duplicate-free {system}: no record is of this system", style="yellow", markup=False)
    for reason, count in sorted(people["review"].items()):
        console.print(f"  {count:,} pairs worth a look: {reason.replace('_', ' ')}")
    console.print("  " + ", ".join(f"{step} {taken:g} s" for step, taken in counts["seconds"].items()))
    console.print(f"Written to {out}", soft_wrap=True)


@app.command("linkage-range")
@_plain_errors
def linkage_range(home: HomeOption = None) -> None:
    """Compute the linked measures at a lower and a higher linkage threshold: how far they hang on it."""
    from pipelines.measures.ranges import FILE, write_ranges
    from pipelines.night import Night

    place = _home(home)
    count = write_ranges(Night(place))
    _console().print(f"{count:,} numbers with their range: {place.quality_dir / FILE}", soft_wrap=True)


@app.command()
@_plain_errors
def measures(
    tables: Annotated[Path, typer.Option(help="Folder of core tables, one .parquet or .csv each: fct_removal.csv …")],
    cutoff: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="Nothing later is known.")],
    out: Annotated[Path, typer.Option(help="Where the rows go, .csv or .parquet.")],
    period: Annotated[
        tuple[dt.datetime, dt.datetime] | None,
        typer.Option(formats=["%Y-%m-%d"], help="First and last day; else the jurisdiction's or federal fiscal years."),
    ] = None,
    measure: Annotated[list[str] | None, typer.Option(help="PRM-01, …; may be repeated; else all.")] = None,
    jurisdiction: Annotated[Path | None, typer.Option(help="A jurisdiction.yml, for its parameters and sites.")] = None,
) -> None:
    """Compute measures over any folder of tables, with the models of the night and without a deployment."""
    from pipelines.measures.alone import compute
    from pipelines.settings import load_jurisdiction

    done = compute(
        tables,
        out,
        cutoff=cutoff.date(),
        period=(period[0].date(), period[1].date()) if period else None,
        jurisdiction=load_jurisdiction(jurisdiction) if jurisdiction else None,
        measures=measure or [],
    )
    console = _console()
    for name in done.ignored:
        console.print(f"[yellow]not used: {name} is no table or column of the catalogue[/yellow]")
    for told in done.unknown_words:
        console.print(f"[yellow]not a word of the catalogue: {told}[/yellow]")
    if done.missing_columns:
        console.print(f"counted as empty: {', '.join(done.missing_columns)}")
    console.print(f"{done.rows} rows in {done.out}, from {len(done.tables_read)} tables")


@app.command()
@_plain_errors
def ui(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(help="On this machine only.", min=1, max=65535)] = 3000,
) -> None:
    """Open Dagster on the deployment: the flow, its checks, the schedule and the drop-folder sensor."""
    import subprocess

    from pipelines.night import prepare_dagster_home
    from pipelines.settings import child_environment

    place = _home(home)
    prepare_dagster_home(place)
    workspace = place.dagster_dir / "workspace.yaml"
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "--host", "127.0.0.1", "--port", str(port)]
    environment = child_environment(KINWEAVE_HOME=str(place.root), DAGSTER_HOME=str(place.dagster_dir))
    _console().print(f"Dagster at http://127.0.0.1:{port} for {place.root}. Stop with Ctrl-C.")
    raise typer.Exit(subprocess.call(command, env=environment))


app.command()(_plain_errors(reviewing.review))


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        # In a log or a pipe there is no screen to fit; 80 columns would break every table.
        console.width = max(console.width, 140)
    return console


@contextmanager
def _steps(console: Console) -> Iterator[Callable[[str, str], None]]:
    """Show a line per step while it runs and how long it took when it is done."""
    from pipelines.summary import Steps

    with Steps(console) as steps:
        yield steps.on_step


def main() -> Any:
    """Entry point of ``python -m pipelines.cli``."""
    return app()


if __name__ == "__main__":
    main()
