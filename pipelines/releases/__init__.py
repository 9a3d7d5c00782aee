"""What leaves: the de-identified warehouse, published whole or not at all.

Reads the warehouse, writes ``releases/<release_id>/``, flips ``releases/current.json`` last. Knows nothing of
Dagster, of where rows came from, or of how a measure is computed.
"""

from pipelines.releases.gate import GateClosed, Plan, TablePlan, plan_release
from pipelines.releases.manifest import ReleaseError, open_release, read_manifest, verify
from pipelines.releases.publish import Release, current_release, publish, releases

__all__ = [
    "GateClosed",
    "Plan",
    "Release",
    "ReleaseError",
    "TablePlan",
    "current_release",
    "open_release",
    "plan_release",
    "publish",
    "read_manifest",
    "releases",
    "verify",
]
