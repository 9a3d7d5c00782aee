"""Landing as assets: per source its deliveries, and one asset per contract table with its checks. Counts only."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg

from expectations.contract import Contract
from pipelines.defs.resources import GROUPS, Deployment
from pipelines.landing import balance, build_current, land, previous_deliveries
from pipelines.landing.deliveries import Outcome
from pipelines.night import all_contracts
from pipelines.releases.expunction import drop_expunged, forget

BALANCE = "rows_balance"
PROMISE = "promise_kept"
ACCEPTED = "files_accepted"


def _landing(contract: Contract) -> dg.AssetsDefinition:
    """The landing step of one source: a multi-asset, so that one table can be rebuilt alone."""
    system = contract.system
    deliveries = dg.AssetKey(["deliveries", system])
    keys = {name: dg.AssetKey(["raw", system, name]) for name in contract.tables}
    specs = [
        dg.AssetSpec(
            deliveries,
            description=f"{contract.title}: files as received. Materialised when a file was accepted.",
            group_name=GROUPS["deliveries"],
            kinds={"file"},
            # Not on every night a file arrives, and an event without a file would hide that one is late.
            skippable=True,
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=contract.delivery.max_age_days)),
            metadata={"steward": contract.steward.office, "cadence": str(contract.delivery.cadence)},
        )
    ] + [
        dg.AssetSpec(
            keys[name],
            description=f"{table.description} Grain: {table.grain}.",
            deps=[deliveries],
            group_name=GROUPS["raw"],
            kinds={"parquet"},
        )
        for name, table in contract.tables.items()
    ]
    checks = [dg.AssetCheckSpec(ACCEPTED, asset=deliveries, description="No file was refused tonight.")]
    for key in keys.values():
        checks.append(dg.AssetCheckSpec(BALANCE, asset=key, description="Received = loaded + quarantined."))
        checks.append(dg.AssetCheckSpec(PROMISE, asset=key, description="Great Expectations at the door."))

    @dg.multi_asset(name=f"land_{system}", specs=specs, check_specs=checks, can_subset=True)
    def step(
        context: dg.AssetExecutionContext, deployment: Deployment
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from expectations.compile.gx import check_tables

        night = deployment.night
        outcomes: list[Outcome] = []
        trouble: str | None = None
        if night.persist:
            try:
                outcomes = land(night.home, night.contracts, night.received_on, only=[system])
            except Exception as error:
                # Contained: this source stays as it was last night and every other one goes on. The kind of error is
                # shown, its text is not: it may quote a row.
                trouble = type(error).__name__
        if night.persist:
            forget(night.home, {system: contract}, night.secret())
        asked = context.selected_asset_keys
        accepted = [o for o in outcomes if o.status == "accepted"]
        refused = [o for o in outcomes if o.status == "refused"]
        if deliveries in asked:
            if accepted:
                yield dg.MaterializeResult(deliveries, metadata=_counts(outcomes))
            yield dg.AssetCheckResult(
                passed=not refused and trouble is None,
                asset_key=deliveries,
                check_name=ACCEPTED,
                severity=dg.AssetCheckSeverity.ERROR if trouble else dg.AssetCheckSeverity.WARN,
                metadata={
                    "refused": len(refused),
                    "rules": dict(Counter(f.rule for o in refused for f in o.findings)),
                    **({"error": trouble} if trouble else {}),
                },
            )
        current = {
            t.table: t for t in build_current(night.home, night.workspace, {system: contract}, night.as_of or date.max)
        }
        # After every landing, so that no old file brings back whom a court ordered to forget.
        drop_expunged(night.home, night.workspace, {system: contract}, night.secret())
        unbalanced = Counter(r.table for r in balance(night.home) if r.system == system and not r.is_balanced)
        tonight = night.as_of or night.received_on
        before = previous_deliveries(night.home, contract, tonight)
        promises = {p.table: p for p in check_tables(contract, night.workspace.current_dir / system, tonight, before)}
        for name, key in keys.items():
            if key not in asked:
                continue
            mine = [o for o in outcomes if o.table == name]
            yield dg.MaterializeResult(key, metadata={"rows": current[name].rows, **(_counts(mine) if mine else {})})
            yield dg.AssetCheckResult(
                passed=unbalanced[name] == 0,
                asset_key=key,
                check_name=BALANCE,
                metadata={"files_out_of_balance": unbalanced[name]},
            )
            yield dg.AssetCheckResult(
                passed=promises[name].passed,
                asset_key=key,
                check_name=PROMISE,
                severity=dg.AssetCheckSeverity.WARN,
                metadata=promises[name].counts,
            )

    return step


def _counts(outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "files": len({o.file for o in outcomes}),
        "duplicates": sum(o.status == "duplicate" for o in outcomes),
        "rows_received": sum(o.rows_received for o in outcomes),
        "rows_loaded": sum(o.rows_loaded for o in outcomes),
        "rows_quarantined": sum(o.rows_quarantined for o in outcomes),
        "quarantined_by_rule": dict(
            sum((Counter({f.rule: f.count}) for o in outcomes for f in o.reasons), Counter[str]())
        ),
    }


landings = [_landing(contract) for contract in all_contracts().values()]


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            ["config", name],
            description=description,
            deps=[["raw", c.system, t] for c in all_contracts().values() for t in c.tables],
            group_name=GROUPS["config"],
            kinds={"parquet"},
        )
        for name, description in (
            ("sites", "Court-team sites of jurisdiction.yml."),
            ("source_freshness", "When each source last delivered, and since when it is stale."),
        )
    ],
    name="sites_and_freshness",
)
def sites_and_freshness(deployment: Deployment) -> Iterator[dg.MaterializeResult]:
    """What the deployment decides and what the night knows of its sources, for dbt."""
    night = deployment.night
    night.write_config()
    stale = sum(since is not None for _, _, since in night.freshness())
    yield dg.MaterializeResult(["config", "sites"], metadata={"sites": len(night.jurisdiction.sites)})
    yield dg.MaterializeResult(
        ["config", "source_freshness"], metadata={"cut": night.cut().isoformat(), "stale_sources": stale}
    )
