"""``kinweave review``: the reviewer's queue in the terminal, in a workbook, or as a page on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from linkage.review.desk import Desk


def review(
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", "-r", help="Your name, as it stands beside your decisions.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="The deployment folder; else KINWEAVE_HOME, ., ./demo-home.")
    ] = None,
    page: Annotated[bool, typer.Option("--page", help="Work in a page of this machine's browser.")] = False,
    export: Annotated[Path | None, typer.Option(help="Write the open pairs to this workbook (.xlsx).")] = None,
    take_in: Annotated[Path | None, typer.Option("--import", help="Take in a filled-in workbook.")] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Only the random sample that measures the linkage.")] = False,
    supervisor: Annotated[
        bool, typer.Option("--supervisor", help="Decide as supervisor, also where reviewers disagree.")
    ] = False,
    take_back: Annotated[
        str | None, typer.Option("--take-back", help="Take your decision of this number back, or your 'last' one.")
    ] = None,
    again: Annotated[
        str | None, typer.Option("--again", help="Decide the pair of the decision of this number once more.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Pairs in a workbook.", min=1, max=5000)] = 200,
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.", min=0, max=65535)] = 0,
) -> None:
    """Decide unclear links, most consequential first. Without a name: what is open and decided."""
    from linkage.review import decisions as reviewed
    from linkage.review.decisions import ReviewError
    from linkage.review.desk import Desk
    from pipelines.settings import find_home
    from pipelines.storage import Home

    place, console = Home(find_home(home)), _console()
    decisions = place.reviews_dir / "decisions.csv"
    if sum((page, export is not None, take_in is not None, take_back is not None)) > 1:
        raise ReviewError("choose one of --page, --export, --import and --take-back")
    if again is not None and (audit or export or take_in or take_back):
        raise ReviewError("--again is for the terminal and --page, and not for --audit")
    if reviewer is None:
        if page or export or take_in or take_back or again:
            raise ReviewError("say who you are: --reviewer NAME")
        _status(console, place.linkage_dir, decisions)
        return
    role = "supervisor" if supervisor else "reviewer"
    if take_back is not None:
        number = reviewed.take_back(decisions, take_back, reviewer, role)
        console.print(f"Decision {number} is taken back. The next night goes by what others said, and the evidence.")
        return
    only = "audit" if audit else None
    desk = Desk(place.linkage_dir, decisions, reviewer, role, place.staged_dir, only, again)
    if export is not None:
        from linkage.review.sheet import export as write

        console.print(
            f"{write(desk, export, limit)} pairs in {export}. It holds names: keep it where the vault is kept."
        )
    elif take_in is not None:
        from linkage.review.sheet import take_in as read

        console.print(", ".join(f"{name}: {n}" for name, n in read(desk, take_in).items()))
    elif page:
        _page(console, desk, port)
    else:
        _terminal(console, desk)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _status(console: Console, linkage_dir: Path, decisions: Path) -> None:
    from linkage.review.desk import status

    for name, count in status(linkage_dir, decisions).items():
        console.print(f"{name}: {count:,}")
    console.print("To decide: kinweave review --reviewer NAME, or with --page, --export FILE.xlsx, --import FILE.xlsx")


def _page(console: Console, desk: Desk, port: int) -> None:
    from linkage.review.page import ReviewServer

    with ReviewServer(desk, port) as server:
        console.print(f"Open {server.url}", soft_wrap=True)
        console.print("It is for you alone: who has this address reads names. Stop with Ctrl-C.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("Stopped. Every decision shown as recorded is kept.")


def _terminal(console: Console, desk: Desk) -> None:
    """One pair after the other, until the reviewer stops."""
    from rich.markup import escape
    from rich.table import Table

    from linkage.review.decisions import ReviewError
    from linkage.review.desk import labels
    from linkage.review.words import GROUNDS

    levels = {"s": "must_link", "d": "cannot_link", "u": "unsure"}
    later: set[str] = set()
    while waiting := [q for q in desk.open() if q.item not in later]:
        question = waiting[0]
        records = desk.records([question])
        a, b = (records[key] for key in question.pair)
        shown = Table("", "record A", "record B", title=f"{len(waiting)} open", title_justify="left")
        for label in labels(a, b):
            one, other = a.get(label, ""), b.get(label, "")
            differs = label != "record" and one and other and one.upper() != other.upper()
            shown.add_row(label, escape(one), escape(other), style="bold" if differs else None)
        console.print(shown)
        console.print(f"Why this pair: {question.why}." + (f" {question.words}." if question.words else ""))
        if question.consequence:
            console.print(f"At stake: {question.consequence}.")
        for line in desk.said(question):
            console.print(f"So far: {escape(line)}.")
        try:
            answer = ""
            while answer not in (*levels, "n", "q"):
                answer = console.input(
                    "[b]s[/b]ame person, [b]d[/b]ifferent, [b]u[/b]nsure, [b]n[/b]ext, [b]q[/b]uit: "
                )
                answer = answer.strip().lower()[:1]
            if answer == "q":
                return
            if answer == "n":
                later.add(question.item)
                continue
            for number, ground in enumerate(GROUNDS, start=1):
                console.print(f"  {number} {ground}")
            while True:
                reason = console.input("Because of (a number, or words without names; nothing: later): ").strip()
                if not reason:
                    later.add(question.item)
                    break
                if reason.isdigit():
                    if not 0 < int(reason) <= len(GROUNDS):
                        console.print(f"[red]A number from 1 to {len(GROUNDS)}, or words.[/red]")
                        continue
                    reason = GROUNDS[int(reason) - 1]
                try:
                    told = desk.decide(question.item, levels[answer], reason)
                except ReviewError as error:
                    console.print(f"[red]Not recorded: {error}[/red]")
                    continue
                console.print(f"Recorded. {told.words}\n")
                break
        except EOFError:
            return
    console.print("Nothing more is open for you.")
