"""Hand-written promises, beside the ones that follow from a contract's columns.

A promise is one Great Expectations expectation; :mod:`expectations.compile.gx` runs it. Promises about a single row
belong in the contract (``checks``), not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Promise:
    """One expectation: several rules of one severity, looked at in one pass.

    ``query`` reads ``{batch}`` and returns a row ``(rule, field, broken)`` for each of ``rules`` that is broken;
    ``broken`` is a count, and no column of it holds a cell value.
    """

    rules: tuple[str, ...]
    severity: Severity
    query: str


def as_template(query: str) -> str:
    """``query``, with § for the rows looked at, as Great Expectations and SQLAlchemy want it.

    The one formats the text, so braces are doubled; the other reads :name in it as a parameter.
    """
    return query.replace("{", "{{").replace("}", "}}").replace(":", "\\:").replace("§", "{batch}")
