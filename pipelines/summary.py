"""What a person reads after a verb: steps as they run, what came in, who was linked, what was measured.

Everything shown is a name of a system, table, rule or measure, or a number.
"""

from __future__ import annotations

import csv
import datetime as dt
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from expectations.contract import Contract, load_contracts
from pipelines.landing import late_files, sentence, validate_files
from pipelines.night import Night, NightError, Outcome, Trained
from pipelines.releases import ReleaseError, current_release, open_release, verify
from pipelines.releases.restatement import read_report
from pipelines.settings import load_jurisdiction
from pipelines.storage import Home, connect, quoted, read_jsonl

#: Dagster step -> what a person calls it.
#: How many refused files a screen shows.
_REFUSALS = 12
_WORDS = {
    "sites_and_freshness": "sites and freshness",
    "staging": "staging (dbt)",
    "person_records": "person records",
    "person_scores": "scoring pairs (Splink)",
    "person_crosswalk": "people and their IDs",
    "families": "families",
    "household_member": "households",
    "family_link": "blended families",
    "warehouse": "warehouse, measures, tests (dbt)",
    "release": "release",
}


class Steps:
    """A spinner with the step at work, and a line with its time when it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: dict[str, float] = {}
        self._status = console.status("starting")

    def __enter__(self) -> Steps:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def on_step(self, step: str, state: str) -> None:
        """Told by the run when ``step`` is started, done or failed."""
        name = _WORDS.get(step, step.replace("land_", "landing ", 1))
        if state == "started":
            self._started[step] = time.monotonic()
            self._status.update(name)
            return
        seconds = time.monotonic() - self._started.get(step, time.monotonic())
        mark = "[green]done[/green]" if state == "done" else "[red]failed[/red]"
        self._console.print(f"  {mark}  {name:<34} {seconds:5.1f} s")


def show_outcome(console: Console, night: Night, outcome: Outcome) -> None:
    """How a run ended: why it failed, or what was published."""
    if not outcome.success:
        what = (
            f"{current_release(night.releases_dir).release_id} is published; what comes beside it is not done."
            if outcome.is_published
            else "Nothing was published; an earlier release is untouched."
        )
        console.print(f"[red bold]The run failed.[/red bold] {what}")
        for step, reason in outcome.failures.items():
            console.print(f"  {_WORDS.get(step, step)}: {reason}", markup=False)
        return
    release = current_release(night.releases_dir)
    verb = "Published" if night.persist else f"Replayed {night.as_of}:"
    console.print(f"[green bold]{verb} {release.release_id}[/green bold], cut-off {release.manifest['cut_off']}.")
    console.print(f"  {release.folder}", soft_wrap=True)
    for check in outcome.failed_checks:
        console.print(f"  [yellow]check did not pass[/yellow]  {escape(check)}")


#: Level weights that differ by less than this (log2) are the same for the console; the file has all.
WEIGHT_SHOWN = 0.5


def show_model(console: Console, trained: Trained) -> None:
    """What was trained, how it differs from the model in use, and whether it is used now."""
    card, found = trained.card, trained.differences
    if found is not None and found["models"].get("old", {}).get("name") == found["models"]["new"]["name"]:
        console.print(f"These records teach the model in use once more ({card.name}): nothing is different.")
        return
    console.print(f"[green bold]Trained {card.name}[/green bold]")
    if found is not None:
        _show_differences(console, found)
        console.print(f"All weights: {card.path / 'differences.json'}", markup=False, soft_wrap=True)
        if (card.path / "people_changed.parquet").exists():
            told = f"Who would be with whom: {card.path / 'people_changed.parquet'}"
            console.print(told, markup=False, soft_wrap=True)
    if trained.is_adopted:
        console.print("Nights use it from now on.")
    else:
        console.print(f"Nights do not use it yet: kinweave train --adopt-model {card.name}")


def _show_differences(console: Console, found: dict[str, Any]) -> None:
    if found["not_comparable"]:
        console.print(f"Not compared: {found['not_comparable']}.", markup=False, soft_wrap=True)
        return
    old, new = found["models"]["old"], found["models"]["new"]
    table = Table(title=f"{old['name']} and {new['name']} on the same records", title_justify="left")
    for heading, side in (("", "left"), ("in use", "right"), ("new", "right")):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    for key in old["thresholds"]:
        words = {"join": "joined from weight", "keep": "a published join kept down to"}
        label = words.get(key, key.replace("_", " "))
        table.add_row(label, f"{old['thresholds'][key]:.2f}", f"{new['thresholds'][key]:.2f}")
    table.add_row("records trained on", *(f"{m['trained_on'].get('records', 0):,}" for m in (old, new)))
    table.add_row("pairs compared", *(f"{m['pairs']:,}" for m in (old, new)))
    table.add_row("of them at or above the threshold", *(f"{m['share_above']:.2%}" for m in (old, new)))
    table.add_row("people", *(f"{m['people']:,}" for m in (old, new)))
    for library in sorted({*old["versions"], *new["versions"]}):
        table.add_row(library, *(m["versions"].get(library, "-") for m in (old, new)))
    console.print(table)
    people = found["people"]
    console.print(
        f"People: {people['unchanged']:,} stay as they are, {people['merged']:,} would be merged from several, "
        f"{people['split']:,} would come apart; {people['records_moved']:,} records change company."
    )
    lines = found["weights"]
    changed = [r for r in lines if r["old"] is None or r["new"] is None or abs(r["new"] - r["old"]) >= WEIGHT_SHOWN]
    console.print(f"{len(changed)} of {len(lines)} weights differ by {WEIGHT_SHOWN} or more.")
    if changed:
        weights = Table()
        for heading in ("model", "comparison", "level", "in use", "new"):
            weights.add_column(heading, justify="right" if heading in ("in use", "new") else "left")
        for r in changed:
            shown = ("-" if r[k] is None else f"{r[k]:+.2f}" for k in ("old", "new"))
            weights.add_row(r["model"], r["comparison"], r["level"], *shown)
        console.print(weights)


# --- what came in ------------------------------------------------------------------------------------------------


def show_deliveries(console: Console, home: Home, contracts: dict[str, Contract]) -> None:
    """Per source: files and rows received, loaded, quarantined, and the rules that were broken most."""
    log = read_jsonl(home.delivery_log)
    table = Table(title="Deliveries", title_justify="left")
    table.add_column("source")
    for heading in ("files", "refused", "duplicates", "rows received", "loaded", "quarantined"):
        table.add_column(heading, justify="right")
    whys: dict[str, Counter[str]] = {}
    for system in contracts:
        lines = [r for r in log if r["system"] == system]
        why = whys.setdefault(system, Counter())
        for r in lines:
            for reason in r["reasons"]:
                # Reasons of a file refused as a whole are no rows; its rows are counted once.
                if r["status"] != "refused":
                    why[reason["rule"]] += reason["rows"]
            if r["status"] == "refused":
                why["in refused files"] += r["rows_quarantined"]
        table.add_row(
            system,
            str(len({(r["file"], r["received_on"]) for r in lines})),
            str(len({(r["file"], r["received_on"]) for r in lines if r["status"] == "refused"})),
            str(len({(r["file"], r["received_on"]) for r in lines if r["status"] == "duplicate"})),
            *(f"{sum(r[c] for r in lines):,}" for c in ("rows_received", "rows_loaded", "rows_quarantined")),
        )
    console.print(table)
    for system, why in whys.items():
        if why.total():
            rules = ", ".join(f"{rule} {count:,}" for rule, count in why.most_common() if count)
            console.print(f"  quarantined from {system}: {rules}", markup=False, soft_wrap=True)
    off = [r for r in log if r["rows_received"] != r["rows_loaded"] + r["rows_quarantined"]]
    console.print(
        f"Received = loaded + quarantined for {len(log) - len(off)} of {len(log)} entries of the log"
        " (one for each table of each file)."
    )
    refused: dict[tuple[str, str, str], set[str]] = {}
    for r in log:
        if r["status"] == "refused":
            rules_of = refused.setdefault((r["received_on"], r["system"], r["file"]), set())
            rules_of.update(reason["rule"] for reason in r["reasons"])
    for (day, system, file), broken in sorted(refused.items(), reverse=True)[:_REFUSALS]:
        console.print(f"  refused on {day}  {system}/{file}: {', '.join(sorted(broken))}", markup=False)
    if len(refused) > _REFUSALS:
        console.print(f"  and {len(refused) - _REFUSALS} refused files before those")
    strange = [p for p in (home.root / "inbox").glob("*/*") if p.parent.name not in contracts]
    if strange:
        console.print(f"  {len(strange)} files lie in inbox folders of no source; sources are {', '.join(contracts)}")


def show_people(console: Console, home: Home) -> None:
    """People, families, and the match rate of every pair of systems."""
    folder = home.linkage_dir
    with connect() as database:

        def one(sql: str) -> Any:
            return database.execute(sql).fetchall()[0][0]

        crosswalk = f"read_parquet({quoted(folder / 'person_crosswalk.parquet')})"
        members = f"read_parquet({quoted(folder / 'family_member.parquet')})"
        people = one(f"select count(distinct person_id) from {crosswalk} where valid_to is null")
        records = one(f"select count(*) from {crosswalk} where valid_to is null")
        shared = one(
            f"select count(*) from (select 1 from {crosswalk} where valid_to is null group by person_id"
            " having count(distinct source_system) > 1)"
        )
        families = one(f"select count(distinct family_id) from {members}")
        rates = {
            (a, b): (n, rate)
            for a, b, n, rate in database.execute(
                "select system_a, system_b, n_a, rate from"
                f" read_parquet({quoted(folder / 'match_rates.parquet')}) where population = 'all' and n_a > 0"
            ).fetchall()
        }
    console.print(
        f"\n[bold]{records:,} records are {people:,} people[/bold]; {shared:,} of them known to more than one system;"
        f" {families:,} families."
    )
    systems = sorted({a for a, _ in rates})
    table = Table(title="Match rates: of the people of (row), found in (column)", title_justify="left")
    table.add_column("people of")
    for heading in ("n", *systems):
        table.add_column(heading, justify="right")
    for a in systems:
        cells = ["" if a == b else (f"{rates[a, b][1]:.1%}" if (a, b) in rates else "-") for b in systems]
        size = max(n for (first, _), (n, _) in rates.items() if first == a)
        table.add_row(a, f"{size:,}", *cells)
    console.print(table)


def show_measures(console: Console, home: Home) -> None:
    """Each measure of the current release for the whole jurisdiction, latest reported period, beside its benchmark.

    Of a measure with many variants the screen shows the one of the house, or those at twelve months.
    """
    release = current_release(home.releases_dir)
    table = Table(title="Measures (whole jurisdiction, latest mature period of a year)", title_justify="left")
    for heading in ("measure", "in plain words", "period to"):
        table.add_column(heading)
    for heading in ("n", "value", "95% interval", "benchmark"):
        table.add_column(heading, justify="right")
    table.add_column("note")
    sources: list[str] = []
    with open_release(release.folder) as database:
        rows = database.execute(
            "with main as (select metric_id, bool_or(variant = 'warehouse') as has_own,"
            " count(distinct variant) > 7 as has_many from measure_rows where stratum_type = 'all' group by all),"
            " names as (select measure_id as metric_id, any_value(name) as name from dim_measure where is_current"
            " group by all)"
            " select metric_id, name, variant, period_end, numerator, denominator, value, ci_low, ci_high,"
            " benchmark_value, benchmark_source, maturity_flag, suppress_reason"
            " from measure_rows join main using (metric_id) left join names using (metric_id)"
            " where stratum_type = 'all'"
            " and (variant = 'warehouse' or not has_own and (not has_many or variant like '%12_months'))"
            " qualify row_number() over (partition by metric_id, variant"
            " order by value is null, maturity_flag = 'not mature', period_end desc) = 1 order by metric_id, variant"
        ).fetchall()
    for row in rows:
        table.add_row(*_measure(row, sources))
    console.print(table)
    for number, source in enumerate(sources, start=1):
        console.print(f"  [{number}] {source}", soft_wrap=True, markup=False)


def _measure(row: tuple[Any, ...], sources: list[str]) -> list[str]:
    """Cells of one measure; ``sources`` collects the benchmarks' sources in the order of their footnotes."""
    metric, name, variant, end, numerator, denominator, value, low, high, benchmark, source, maturity, reason = row
    mark = ""
    if benchmark is not None:
        if source not in sources:
            sources.append(source)
        mark = f"{_number(benchmark)} \\[{sources.index(source) + 1}]"
    notes = [str(n) for n in (reason, maturity if maturity != "mature" else None) if n]
    return [
        f"{metric} {'' if variant == 'warehouse' else variant or ''}".strip(),
        name or "",
        str(end),
        f"{_number(numerator)}/{_number(denominator)}",
        _number(value),
        "" if low is None else f"{_number(low)}-{_number(high)}" if high is not None else f"over {_number(low)}",
        mark,
        "; ".join(notes),
    ]


def _number(value: Any) -> str:
    if value is None:
        return "-"
    number = float(value)
    return f"{number:,.0f}" if number == int(number) else f"{number:,.3f}"


def show_places(console: Console, home: Home) -> None:
    """Where the files lie and what to try next."""
    release = current_release(home.releases_dir)
    console.print("\n[bold]Where things lie[/bold]")
    for what, where in (
        ("release", release.folder),
        ("rejected rows", home.root / "quarantine"),
        ("delivery log", home.delivery_log),
        ("alerts", home.root / load_jurisdiction(home.root).alerts.file),
    ):
        console.print(f"  {what:<14} {where}", soft_wrap=True, markup=False)
    console.print("\n[bold]What to try next[/bold]")
    here = f"--home {home.root}"
    for command in (
        f'kinweave query {here} "select table_name, count(*) from data_dictionary group by 1"',
        f"kinweave status {here}",
        f"kinweave run {here}          # no new files: the same release again",
        f"kinweave run {here} --as-of {release.manifest['cut_off']}",
        f"kinweave ui {here}           # the flow in Dagster",
    ):
        console.print(f"  {command}", soft_wrap=True, markup=False)


def show_demo(console: Console, home: Home, truth: Path) -> None:
    """The end of the demo: what came in, who was linked and how well, what was measured, where it lies."""
    import linkage

    show_deliveries(console, home, load_contracts())
    show_people(console, home)
    quality = linkage.evaluate(home.linkage_dir, truth)
    console.print(
        f"Against the simulation's truth, pairs of records joined: {quality.precision:.2%} right,"
        f" {quality.recall:.2%} found."
    )
    # The night measured without the truth; the demo's report shows both.
    linkage.report_quality(home.linkage_dir, home.reviews_dir / "decisions.csv", truth)
    console.print(f"Linkage report: {home.linkage_dir / 'quality' / 'report.html'}", soft_wrap=True)
    show_measures(console, home)
    show_places(console, home)


# --- status, validate, query -------------------------------------------------------------------------------------


def show_status(console: Console, home: Home) -> None:
    """The state of a deployment on one screen."""
    jurisdiction = load_jurisdiction(home.root)
    console.print(f"[bold]{jurisdiction.name}[/bold]  {home.root}", soft_wrap=True)
    try:
        release = current_release(home.releases_dir)
        problems = verify(release.folder, contents=False)
        state = "[green]verified[/green]" if not problems else f"[red]{len(problems)} problems[/red]"
        console.print(f"Current release: {release.release_id}, cut-off {release.manifest['cut_off']}, {state}")
        for problem in problems:
            console.print(f"  {problem}", markup=False)
        moved = read_report(home, release.release_id)
        if moved is not None:
            console.print(f"Numbers it says otherwise than the release before: {len(moved)} (kinweave restatements)")
    except ReleaseError as error:
        console.print(f"Current release: {error}", markup=False)
    night = Night(home)
    try:
        freshness = night.freshness()
    except (NightError, ValueError):
        console.print("No file has been accepted yet.")
        return
    table = Table(title="Sources", title_justify="left")
    for heading in ("source", "last delivery", "stale since", "because of", "promised"):
        table.add_column(heading)
    late = late_files(home, night.contracts, night.cut())
    for system, last, since in freshness:
        delivery = night.contracts[system].delivery
        tables = [x.table for x in late if x.system == system and x.stale_since == since] if since else []
        because = ", ".join(tables[:3]) + (f" and {len(tables) - 3} more" if len(tables) > 3 else "")
        promised = f"{delivery.cadence}, within {delivery.max_age_days} days"
        table.add_row(system, str(last or "never"), str(since or ""), because, promised)
    console.print(table)
    show_deliveries(console, home, dict(night.contracts))
    alerts = read_jsonl(home.root / jurisdiction.alerts.file)
    console.print(f"Alerts so far: {len(alerts)}")
    for alert in alerts[-5:]:
        console.print(f"  {alert['at']}  {alert['subject']}: {'; '.join(alert['lines'])}", markup=False, soft_wrap=True)


def show_validation(console: Console, files: list[Path], system: str | None) -> bool:
    """Check ``files`` and say what the load would do with each. Returns whether all would load without a loss."""
    contracts = load_contracts()
    if system is not None:
        if system not in contracts:
            raise NightError(f"there is no source called {system}; there are {', '.join(contracts)}")
        contracts = {system: contracts[system]}
    good = True
    for report in validate_files(files, contracts, dt.date.today()):
        is_clean = report.would_load and not report.quarantined
        good = good and is_clean
        mark = "[green]good[/green]" if is_clean else "[yellow]loses rows[/yellow]"
        mark = mark if report.would_load else "[red]would be refused[/red]"
        rows = f"{report.received:,} rows, {report.quarantined:,} would be quarantined" if report.received else ""
        where = f"{report.system}.{report.table}" if report.table else ""
        console.print(f"{mark}  {report.file}  {where}  {rows}")
        for finding in report.findings:
            console.print(f"    {sentence(finding)}", markup=False, soft_wrap=True)
    return good


def show_query(console: Console, home: Home, sql: str, as_csv: bool, limit: int) -> bool:
    """Run ``sql`` on the current release and print the rows. Returns False, having said why, when it is refused."""
    if not sql.strip(" \n\t;"):
        console.print("Nothing was asked: give one SQL statement.")
        return False
    release = current_release(home.releases_dir)
    with open_release(release.folder) as database:
        try:
            result = database.execute(sql)
            names = [d[0] for d in result.description or []]
            rows = result.fetchall() if as_csv else result.fetchmany(limit + 1)
        except duckdb.Error as error:
            # The database holds only what may be shown, so its own words may be shown too.
            console.print(f"[red]{type(error).__name__}[/red]", end=": ")
            console.print(str(error).split("\n\n")[0], markup=False)
            return False
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows(rows)
        return True
    table = Table()
    for name in names:
        table.add_column(name)
    for row in rows[:limit]:
        table.add_row(*("" if value is None else str(value) for value in row))
    if console.measure(table, options=console.options.update(max_width=10_000)).maximum <= console.width:
        console.print(table)
    else:
        # Too wide for the screen: one record under the other, a column on a line.
        width = max(len(name) for name in names)
        for number, row in enumerate(rows[:limit], start=1):
            console.print(f"[bold]row {number}[/bold]")
            for name, value in zip(names, row, strict=True):
                console.print(f"  {name:<{width}}  {'' if value is None else value}", markup=False, soft_wrap=True)
    if len(rows) > limit:
        console.print(f"The first {limit} rows; ask for more with --rows or --csv.")
    return True


def show_truth(console: Console, rows: list[tuple[str, int, float, float, float]]) -> None:
    """Core measures of a demo against its truth: mean absolute differences, and what they come from."""
    table = Table(title="Measures against the simulation's truth (mean absolute difference)")
    for name in ("measure", "numbers", "whole", "by records", "by linkage"):
        table.add_column(name, justify="left" if name == "measure" else "right")
    for metric_id, count, *differences in rows:
        table.add_row(metric_id, str(count), *(f"{d:.4f}" if d else "0" for d in differences))
    console.print(table)
    console.print("Number by number: quality/measures_vs_truth.parquet")
