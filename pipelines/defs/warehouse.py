"""dbt as two steps, staging before linkage and the rest after it. Its tests become asset checks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from pipelines import dbt
from pipelines.defs.resources import GROUPS, Deployment, graph_workspace
from pipelines.measures import registry
from pipelines.night import Night
from pipelines.settings import SettingsError, get_settings, load_jurisdiction
from pipelines.storage import write_atomic

STAGING = "fqn:kinweave.staging"
_MANIFEST = dbt.read_manifest(graph_workspace())


class Translator(DagsterDbtTranslator):
    """Asset key = layer/name; group = layer."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            source = dbt_resource_props["source_name"]
            stated = dbt_resource_props.get("meta", {}).get("dagster", {}).get("asset_key")
            return dg.AssetKey(stated or [source, dbt_resource_props["name"]])
        return dg.AssetKey([_layer(dbt_resource_props), dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        if dbt_resource_props["resource_type"] == "source":
            return None
        return GROUPS[_layer(dbt_resource_props)]


def _layer(props: Mapping[str, Any]) -> str:
    if props["resource_type"] == "seed":
        return "reference"
    layers = [part for part in props["fqn"][1:-1] if part in GROUPS]
    return layers[-1] if layers else "marts"


_TRANSLATOR = Translator()


def _run(
    context: dg.AssetExecutionContext, night: Night, command: str, select: list[str], exclude: list[str] | None = None
) -> Iterator[Any]:
    if context.is_subset:
        select = sorted(key.path[-1] for key in context.selected_asset_keys)
    try:
        outcome = dbt.run(command, night.workspace, night.dbt_vars(), select, exclude)
    except dbt.DbtError as error:
        if error.is_locked:
            # Somebody looks at the warehouse with a client: they will be gone soon.
            raise dg.RetryRequested(max_retries=3, seconds_to_wait=20) from error
        raise dg.Failure(str(error)) from error
    for raw in outcome.events:
        message = DbtCoreCliEventMessage(raw_event=raw, event_history_metadata={})
        yield from message.to_default_asset_events(_MANIFEST, _TRANSLATOR, context)
    if outcome.failed_models:
        raise dg.Failure(f"dbt could not build: {', '.join(sorted(outcome.failed_models))}")
    if outcome.failed_tests:
        raise dg.Failure(f"dbt tests failed: {', '.join(sorted(outcome.failed_tests))}")


@dbt_assets(manifest=_MANIFEST, select=STAGING, dagster_dbt_translator=_TRANSLATOR, name="staging")
def staging(context: dg.AssetExecutionContext, deployment: Deployment) -> Iterator[Any]:
    """Typed deliveries as views without names, and what linkage reads as Parquet in the vault."""
    night = deployment.night
    night.workspace.staged_dir.mkdir(parents=True, exist_ok=True)
    stamp = dbt.target_dir(night.workspace) / "views.txt"
    if context.is_subset or not _views_stand(night, stamp):
        stamp.unlink(missing_ok=True)
        yield from _run(context, night, "run", [STAGING])
        if not context.is_subset:
            write_atomic(stamp, _views(night))
        return
    # A view that is there already reads tonight's files: only what is written as Parquet has to be made again.
    made = set()
    for event in _run(context, night, "run", [f"{STAGING},config.materialized:external"]):
        made.add(event.output_name if isinstance(event, dg.Output) else None)
        yield event
    for key in sorted(context.selected_asset_keys):
        if key.to_python_identifier() not in made:
            yield dg.Output(None, output_name=key.to_python_identifier(), metadata={"status": "view stands"})


def _views(night: Night) -> str:
    """What the staging views of this warehouse file were made from."""
    return f"{dbt.project_fingerprint(get_settings().dbt_project)} {night.workspace.warehouse.stat().st_ino}"


def _views_stand(night: Night, stamp: Path) -> bool:
    return night.workspace.warehouse.exists() and stamp.exists() and stamp.read_text() == _views(night)


def _left_out() -> list[str]:
    """Measures that the deployment at hand does not compute, by the tag of their tier: not in its graph."""
    try:
        tiers = load_jurisdiction(graph_workspace().root).parameters.measure_tiers
    except SettingsError:
        return []
    known = {d.tier for d in registry.load().values()}
    # One criterion for each tier: dbt looks at every node for each criterion, three times.
    return sorted(f"tag:{tier}" for tier in known if tiers is not None and tier not in tiers)


_EXCLUDED = [STAGING, *_left_out()]


@dbt_assets(manifest=_MANIFEST, exclude=" ".join(_EXCLUDED), dagster_dbt_translator=_TRANSLATOR, name="warehouse")
def warehouse(context: dg.AssetExecutionContext, deployment: Deployment) -> Iterator[Any]:
    """People, families, events and measures, each tested as it is built."""
    yield from _run(context, deployment.night, "build", ["kinweave"], [*_EXCLUDED, "test_type:unit"])
