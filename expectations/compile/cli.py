"""``python -m expectations.compile.cli generate [--check]``: write, or compare, everything made from contracts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expectations.compile import dbt, dictionary
from expectations.compile.rules import verify_sql
from expectations.contract import ContractError, load_contracts

ROOT = Path(__file__).parents[2]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Compile the contracts of all sources.")


@app.callback()
def _verbs() -> None:
    """Keep ``generate`` a verb of its own even while it is the only one."""


def generated(root: Path = ROOT) -> dict[str, str]:
    """Every generated file of the repository at ``root``: path from there -> text.

    Raises :class:`ContractError` when a contract does not hold.
    """
    out: dict[str, str] = {}
    for contract in load_contracts(root / "expectations" / "sources").values():
        verify_sql(contract)
        out |= dbt.files(contract)
        out |= dictionary.files(contract)
    return out


def stale(root: Path = ROOT) -> dict[str, str | None]:
    """Generated files that differ from their contracts: path -> the text it should have, None for an orphan."""
    wanted = generated(root)
    found = [
        path.relative_to(root).as_posix()
        for pattern in (f"{dbt.STAGING}/*/*", f"{dictionary.FOLDER}/*.md")
        for path in root.glob(pattern)
    ]
    out: dict[str, str | None] = {path: None for path in sorted(found) if path not in wanted}
    for path, text in wanted.items():
        target = root / path
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            out[path] = text
    return out


@app.command()
def generate(
    check: Annotated[bool, typer.Option(help="Write nothing; fail when a file is stale.")] = False,
    root: Annotated[Path, typer.Option(help="The repository to work on.")] = ROOT,
) -> None:
    """Write the staging models, dbt sources and data dictionary that the contracts call for."""
    try:
        changes = stale(root)
    except ContractError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if check:
        for path in changes:
            typer.echo(f"stale: {path} (run `make generate`)", err=True)
        raise typer.Exit(1 if changes else 0)
    for path, text in changes.items():
        target = root / path
        if text is None:
            target.unlink()
            if not any(target.parent.iterdir()):
                target.parent.rmdir()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    typer.echo(f"{len(changes)} file(s) written or removed" if changes else "everything is current")


if __name__ == "__main__":
    app()
