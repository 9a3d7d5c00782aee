"""The agency's own check before sending: the rules of the load, with nothing but the contract. Writes nothing."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from expectations.contract import Contract, load_contract
from pipelines.landing.deliveries import judge_file
from pipelines.landing.findings import Finding, Refused, refuse
from pipelines.landing.names import Match, is_safe, match, safe_name
from pipelines.storage import connect


@dataclass(frozen=True)
class FileReport:
    """One table of one checked file; ``table`` is None when the file as a whole was refused.

    ``would_load``: the load would accept it, leaving out ``quarantined`` of its ``received`` rows.
    """

    file: str
    system: str | None
    table: str | None
    would_load: bool
    received: int
    quarantined: int
    findings: tuple[Finding, ...]


def validate_files(
    paths: Iterable[Path],
    contracts: Mapping[str, Contract] | Path,
    delivered_on: dt.date,
) -> list[FileReport]:
    """Check files against ``contracts``, or against the one in the folder (or ``contract.yml``) ``contracts``.

    The delivery date is the one in the file's name; ``delivered_on`` is the day of sending, which it may not exceed.
    Asks no network and leaves nothing behind. Raises ContractError for a contract that does not hold.
    """
    if isinstance(contracts, Path):
        contract = load_contract(contracts.parent if contracts.is_file() else contracts)
        contracts = {contract.system: contract}
    reports: list[FileReport] = []
    for path in paths:
        reports += _validate(path, contracts, delivered_on)
    return reports


def _validate(path: Path, contracts: Mapping[str, Contract], delivered_on: dt.date) -> list[FileReport]:
    name = safe_name(path.name)
    try:
        found = _identify(path, contracts, delivered_on)
    except Refused as refusal:
        return [FileReport(name, None, None, False, 0, 0, tuple(refusal.findings))]
    reports: list[FileReport] = []
    day = found.delivery_date or delivered_on
    with tempfile.TemporaryDirectory(prefix="kinweave-") as folder:
        scratch = Path(folder)
        with connect(spill=scratch / "spill") as connection:
            for table, (rows, _, refusals) in judge_file(
                connection, contracts, found.contract, found.tables, path, day, "validate", scratch
            ):
                received, quarantined = (rows.received, rows.quarantined) if rows else (0, 0)
                findings = (*refusals, *(rows.findings if rows else ()))
                reports.append(
                    FileReport(name, found.contract.system, table.name, not refusals, received, quarantined, findings)
                )
    return reports


def _identify(path: Path, contracts: Mapping[str, Contract], delivered_on: dt.date) -> Match:
    if not path.is_file():
        raise refuse("missing_file")
    if not is_safe(path.name):
        raise refuse("unsafe_name")
    matches = [m for c in contracts.values() if (m := match(c, path.name))]
    if not matches:
        raise refuse("unknown_file")
    found = matches[0]
    if found.delivery_date is not None and found.delivery_date > delivered_on:
        raise refuse("future_delivery")
    return found
