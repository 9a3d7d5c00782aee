"""The release in PostgreSQL: an asset for a deployment that names a database, and nothing for all others."""

import dagster as dg

from pipelines.defs.resources import GROUPS, Deployment
from pipelines.releases.serve import ServeError, load_current
from pipelines.settings import get_settings


@dg.definitions
def serving() -> dg.Definitions:
    """One asset when KINWEAVE_POSTGRES is set, else none."""
    database = get_settings().postgres
    if not database:
        return dg.Definitions()

    @dg.asset(
        key=["releases", "postgres"],
        deps=[["releases", "warehouse"]],
        group_name=GROUPS["releases"],
        kinds={"postgres"},
        description="The release as each partner's role sees it: rows, grants and row policies from the agreements.",
    )
    def postgres(deployment: Deployment) -> dg.MaterializeResult:
        """Serve tonight's release; a replayed night serves nothing."""
        if not deployment.night.persist:
            return dg.MaterializeResult(metadata={"rows": 0})
        try:
            done = load_current(deployment.night.home, database)
        except ServeError as error:
            raise dg.Failure(str(error)) from error
        return dg.MaterializeResult(
            metadata={
                "release_id": done.release_id,
                "tables": len(done.rows),
                "rows": sum(done.rows.values()),
                "made_anew": done.rebuilt,
                "taken_away": done.dropped,
                "stopped": len(done.stopped),
            }
        )

    return dg.Definitions(assets=[postgres])
