"""Which table a file is, told by its name. File names come from outside: nothing is believed about them."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote_from_bytes

from expectations.contract import Contract, Table

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()-]{0,149}")


def is_safe(name: str) -> bool:
    """Only letters, digits, blank, ``. _ - ( )``, starting with a letter or digit, at most 150 characters."""
    return _SAFE.fullmatch(name) is not None and ".." not in name


def safe_name(name: str) -> str:
    """``name`` fit for a log, a message or a path: every other character as ``%XX``, at most 150 characters."""
    escaped = quote_from_bytes(os.fsencode(name), safe=" ()")
    return escaped[:150]


@dataclass(frozen=True)
class Match:
    """A file name that a contract knows. A workbook or an XML file holds several tables."""

    contract: Contract
    tables: tuple[Table, ...]
    delivery_date: dt.date | None


@lru_cache(maxsize=4096)
def _pattern(file: str) -> re.Pattern[str]:
    before, marker, after = file.partition("{date}")
    return re.compile(re.escape(before) + (r"(?P<date>[0-9]{8})" if marker else "") + re.escape(after), re.IGNORECASE)


def match(contract: Contract, name: str) -> Match | None:
    """The tables whose files are called ``name``, and the delivery date in it; None when there is none.

    A date that is no day of the calendar does not match.
    """
    tables: list[Table] = []
    day: dt.date | None = None
    for table in contract.tables.values():
        found = _pattern(table.file).fullmatch(name)
        if not found:
            continue
        if "date" in found.groupdict():
            try:
                day = dt.datetime.strptime(found["date"], "%Y%m%d").date()
            except ValueError:
                continue
        tables.append(table)
    return Match(contract, tuple(tables), day) if tables else None


def owner(contracts: Mapping[str, Contract], name: str) -> Match | None:
    """The one source that has files called ``name``; None when no source or more than one has."""
    matches = [m for c in contracts.values() if (m := match(c, name))]
    return matches[0] if len(matches) == 1 else None


def owner_of_header(contracts: Mapping[str, Contract], header: tuple[str, ...]) -> tuple[str, str] | None:
    """System and table whose columns are exactly ``header``, in any order."""
    names = {h.strip().casefold() for h in header}
    for contract in contracts.values():
        for table in contract.tables.values():
            if names == {c.raw.strip().casefold() for c in table.columns}:
                return contract.system, table.name
    return None
