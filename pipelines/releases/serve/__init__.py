"""Releases in PostgreSQL: each partner a role that can select exactly what its folder of the release holds.

Reads a published release and the agreements, writes one database in one transaction. Decides nothing about rows: what a
partner may see was decided when its folder was made. Knows nothing of Dagster.
"""

from pipelines.releases.serve.load import Loaded, current_shares, load, load_current, resume, stop
from pipelines.releases.serve.prepare import differences, granted, password, prepare
from pipelines.releases.serve.shares import ServeError, Share, SharedTable, role_of, shares

__all__ = [
    "Loaded",
    "ServeError",
    "Share",
    "SharedTable",
    "current_shares",
    "differences",
    "granted",
    "load",
    "load_current",
    "password",
    "prepare",
    "resume",
    "role_of",
    "shares",
    "stop",
]
