"""When a night runs, and who is told: the nightly schedule, the drop folder, and alerts on failures and late files."""

import datetime as dt
import time
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import dagster as dg

from pipelines.alerts import Alert, late_alerts, send
from pipelines.defs.resources import GROUPS, graph_workspace
from pipelines.night import JOB, LANDING_JOB, RECORDS_JOB, RELINK_JOB, all_contracts, failed_checks
from pipelines.settings import SettingsError, find_home, load_jurisdiction
from pipelines.storage import Home

#: A file younger than this may still be arriving.
SETTLE_SECONDS = 60

_UP_TO_RECORDS = dg.AssetSelection.groups(
    GROUPS["deliveries"], GROUPS["raw"], GROUPS["staging"]
) | dg.AssetSelection.assets(["linkage", "person_records"])

night = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.all(),
    description="Land, stage, link, build, test, release: the whole night.",
)
landing = dg.define_asset_job(
    LANDING_JOB,
    selection=dg.AssetSelection.groups(GROUPS["deliveries"], GROUPS["raw"]),
    description="Only the door: take in what lies in the drop folders and check it.",
)
records = dg.define_asset_job(
    RECORDS_JOB,
    selection=_UP_TO_RECORDS,
    description="The night as far as the person records: what training a linkage model needs.",
)
relink = dg.define_asset_job(
    RELINK_JOB,
    selection=dg.AssetSelection.all() - _UP_TO_RECORDS,
    description="The night from the scoring on: after a new model, nothing needs to land again.",
)


def _when() -> tuple[str, str]:
    """Cron line and time zone of the nightly run, as the deployment at hand decides."""
    try:
        jurisdiction = load_jurisdiction(graph_workspace().root)
    except SettingsError:
        return "0 2 * * *", "UTC"
    hour, minute = jurisdiction.night.at.split(":")
    return f"{int(minute)} {int(hour)} * * *", jurisdiction.time_zone


_CRON, _ZONE = _when()

nightly = dg.ScheduleDefinition(
    name="nightly",
    job=night,
    cron_schedule=_CRON,
    execution_timezone=_ZONE,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night at the hour jurisdiction.yml gives.",
)


@dg.sensor(
    job=night,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run when new files lie in inbox/<system>/ and have stopped growing.",
)
def drop_folder(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run per new state of the drop folders; the run key keeps the same state from running twice."""
    home = Home(find_home())
    files = []
    for system in all_contracts():
        folder = home.inbox(system)
        if folder.is_dir():
            files += [(p, p.stat()) for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]
    if not files:
        return dg.SkipReason("the drop folders are empty")
    if any(time.time() - stat.st_mtime < SETTLE_SECONDS for _, stat in files):
        return dg.SkipReason("files are still arriving")
    from pipelines.releases.manifest import canonical_json, sha256_text

    state = sha256_text(canonical_json([(p.parent.name, p.name, s.st_size, s.st_mtime_ns) for p, s in files]))
    if state == context.cursor:
        return dg.SkipReason("these files were offered to a run before; the delivery log says what became of them")
    context.update_cursor(state)
    return dg.RunRequest(run_key=state)


@dg.run_failure_sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Tells when a run fails.",
)
def tell_run_failure(context: dg.RunFailureSensorContext) -> None:
    """One alert per failed run, naming the steps that failed."""
    steps = sorted({e.step_key for e in context.get_step_failure_events() if e.step_key})
    send(
        Home(find_home()),
        Alert(
            key=f"run:{context.dagster_run.run_id}",
            subject=f"run of {context.dagster_run.job_name} failed",
            lines=tuple(f"Step failed: {step}" for step in steps) or ("It failed before its first step.",),
        ),
    )


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Tells when a run succeeded but checks failed.",
)
def tell_check_failure(context: dg.RunStatusSensorContext) -> None:
    """One alert per run with failed checks, naming them."""
    failed = failed_checks(context.instance, context.dagster_run.run_id)
    if failed:
        send(
            Home(find_home()),
            Alert(f"checks:{context.dagster_run.run_id}", f"{len(failed)} checks failed", tuple(failed)),
        )


@dg.sensor(
    minimum_interval_seconds=3600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells, once, when a source is older than its contract promises.",
)
def tell_late_files(context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
    """Late deliveries by the wall clock, in the jurisdiction's time zone."""
    home = Home(find_home())
    jurisdiction = load_jurisdiction(home.root)
    today = dt.datetime.now(ZoneInfo(jurisdiction.time_zone)).date()
    alerts = late_alerts(home, all_contracts(), today)
    sent = sum(send(home, alert, jurisdiction) for alert in alerts)
    yield dg.SkipReason(f"{len(alerts)} sources late, {sent} new alerts")
