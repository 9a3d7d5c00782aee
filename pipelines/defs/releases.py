"""The release as an asset: the gate, the publication, and the proof that what lies there is what was built."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from pipelines import dbt
from pipelines.defs.resources import GROUPS, Deployment
from pipelines.defs.warehouse import warehouse
from pipelines.releases import GateClosed, Release, ReleaseError, current_release, publish
from pipelines.releases.agreements import AgreementError
from pipelines.releases.restatement import write_report

_PUBLISHED = [key for key in sorted(warehouse.keys) if key.path[0] in ("marts", "metrics", "quality")]


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            ["releases", "warehouse"],
            description="The de-identified warehouse: one DuckDB file, Parquet, data dictionary and manifest.",
            deps=_PUBLISHED,
            group_name=GROUPS["releases"],
            kinds={"duckdb", "parquet"},
        )
    ],
    check_specs=[
        dg.AssetCheckSpec("gate_passed", asset=["releases", "warehouse"], description="No identifier leaves."),
        dg.AssetCheckSpec("verified", asset=["releases", "warehouse"], description="Hashes and rows as published."),
    ],
    name="release",
)
def release(deployment: Deployment) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Publish tonight's marts atomically; a replayed night stays in its own folder."""
    night, key = deployment.night, ["releases", "warehouse"]
    try:
        before = current_release(night.releases_dir)
    except ReleaseError:
        # Nothing was published yet, or what was is damaged: tonight's release is the way out.
        before = None
    try:
        done = publish(
            night.workspace,
            night.releases_dir,
            cut=night.cut(),
            dbt_manifest=dbt.read_manifest(night.workspace),
            contracts=night.contracts,
            secret=night.secret(),
            provenance=night.provenance(),
            keep=night.jurisdiction.night.keep_releases,
            governance=night.governance(),
        )
    except (GateClosed, AgreementError) as error:
        yield dg.AssetCheckResult(passed=False, check_name="gate_passed", asset_key=key)
        raise dg.Failure(str(error)) from error
    except ReleaseError as error:
        yield dg.AssetCheckResult(passed=False, check_name="verified", asset_key=key)
        raise dg.Failure(str(error)) from error
    moved = []
    if night.persist and before and done.is_new:
        moved = write_report(night.home, night.contracts, before.folder, done.folder)
    yield dg.MaterializeResult(
        key,
        metadata={
            "release_id": done.release_id,
            "numbers_restated": len(moved),
            "tables": len(done.table_hashes),
            "rows": sum(t["rows"] for t in done.manifest["tables"]),
            "is_new": done.is_new,
            "partners": len(done.manifest.get("partners", {})),
        },
    )
    yield dg.AssetCheckResult(passed=True, check_name="gate_passed", asset_key=key)
    yield dg.AssetCheckResult(passed=True, check_name="verified", asset_key=key)


def _published(releases_dir: Path) -> Release | None:
    """The release before tonight's. None before the first, and when the pointer is damaged: publishing mends it."""
    try:
        return current_release(releases_dir)
    except ReleaseError:
        return None
