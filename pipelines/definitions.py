"""The one Dagster code location: everything under ``pipelines/defs``, run in one process.

Loading reads contracts and dbt's manifest (parsed when it is old), no data. Nothing else belongs here.
"""

from pathlib import Path

import dagster as dg

from pipelines.settings import quiet


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors."""
    quiet()

    found = dg.load_from_defs_folder(path_within_project=Path(__file__))
    # A process per step would pay the imports of dbt, Great Expectations and Splink at every step.
    return dg.Definitions.merge(found, dg.Definitions(executor=dg.in_process_executor))
