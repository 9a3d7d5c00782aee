"""Append-only tables of the simulation, turned into Arrow at the end.

A column's type is read off its name: ``_on`` a day number that becomes a date, ``_at`` seconds since 1970-01-01
that become a local timestamp; everything else is what Arrow makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

#: Columns that may be empty in a small world and would then have no type of their own.
_TEXT_WHEN_EMPTY = pa.string()


class Sheet:
    """One table: ``add`` takes a tuple in the order of ``columns``."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.rows: list[tuple[Any, ...]] = []
        self.add: Callable[[tuple[Any, ...]], None] = self.rows.append

    def arrow(self) -> pa.Table:
        """The table, in the order rows were added."""
        values: list[Any] = list(zip(*self.rows, strict=True)) if self.rows else [()] * len(self.columns)
        arrays = []
        for name, column in zip(self.columns, values, strict=True):
            if name.endswith("_on"):
                arrays.append(pa.array(column, pa.int32()).cast(pa.date32()))
            elif name.endswith("_at"):
                arrays.append(pa.array(column, pa.int64()).cast(pa.timestamp("s")))
            else:
                array = pa.array(column)
                arrays.append(array.cast(_TEXT_WHEN_EMPTY) if pa.types.is_null(array.type) else array)
        return pa.table(dict(zip(self.columns, arrays, strict=True)))
