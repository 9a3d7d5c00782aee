"""dbt's command line, with one shortcut for the unit tests.

dbt puts every given table into a test's SQL as a CTE. To find where that SQL's first ``with`` stands it lets sqlparse
group all of it into a tree: two fifths of a unit test's time. The ungrouped tokens tell the same.
"""

from __future__ import annotations

import sys

import sqlparse
from dbt.cli.main import cli
from sqlparse.engine import FilterStack


def flat(sql: str, encoding: str | None = None) -> tuple[sqlparse.sql.Statement, ...]:
    """The statements of ``sql``, tokens not grouped."""
    return tuple(FilterStack().run(sql, encoding))


if __name__ == "__main__":
    sqlparse.parse = flat
    cli(sys.argv[1:])
