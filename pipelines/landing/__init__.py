"""The door: agencies' files in, immutable typed deliveries and the current state of every table out.

It judges whether a file keeps its contract and accounts for every row. What the rows mean is the warehouse's business.
"""

from pipelines.landing.accounts import BalanceRow, LateTable, balance, late_files
from pipelines.landing.current import CurrentTable, build_current, latest_cut, previous_deliveries
from pipelines.landing.deliveries import Outcome, land
from pipelines.landing.findings import Finding, sentence
from pipelines.landing.validate import FileReport, validate_files

__all__ = [
    "BalanceRow",
    "CurrentTable",
    "FileReport",
    "Finding",
    "LateTable",
    "Outcome",
    "balance",
    "build_current",
    "land",
    "late_files",
    "latest_cut",
    "previous_deliveries",
    "sentence",
    "validate_files",
]
