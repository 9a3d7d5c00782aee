"""Who is who, who is family: the linkage room's steps as assets, its results as checks. Counts only."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.defs.resources import GROUPS, Deployment
from pipelines.defs.warehouse import staging

_OFFERED = ("person_records", "person_relationships", "case_members", "case_links")


def _spec(name: str, description: str, deps: list[Any]) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["linkage", name], description=description, deps=deps, group_name=GROUPS["linkage"], kinds={"python", "duckdb"}
    )


def counts(summary: Any) -> dict[str, Any]:
    """The numbers of a summary, nested names joined with a dot: what may be shown of it."""
    data = summary if isinstance(summary, Mapping) else vars(summary)
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= {f"{key}.{inner}": v for inner, v in counts(value).items()}
        elif isinstance(value, bool | int | float):
            found[str(key)] = value
    return found


_STAGED = [key for key in sorted(staging.keys) if key.path[-1].split("__")[-1] in _OFFERED]


@dg.multi_asset(
    specs=[
        _spec("person_records", "One standardised row per person record of any source; placeholders nulled.", _STAGED)
    ],
    name="person_records",
)
def person_records(deployment: Deployment) -> Iterator[dg.MaterializeResult]:
    """Standardise what the sources say about people."""
    import linkage

    night = deployment.night
    summary = linkage.build_records(night.workspace.staged_dir, night.workspace.linkage_dir)
    yield dg.MaterializeResult(["linkage", "person_records"], metadata=counts(summary))


@dg.multi_asset(
    specs=[
        _spec("person_scores", "Scored pairs of person records, by the trained model.", [["linkage", "person_records"]])
    ],
    check_specs=[dg.AssetCheckSpec("records_still_look_like_the_models", asset=["linkage", "person_scores"])],
    name="person_scores",
)
def person_scores(deployment: Deployment) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Score pairs with the model in use; nothing is trained at night. Say when it no longer fits what comes in."""
    import linkage

    night = deployment.night
    folder, model = night.workspace.linkage_dir, night.model_dir()
    summary = linkage.score(folder, model, full=deployment.full)
    yield dg.MaterializeResult(["linkage", "person_scores"], metadata=counts(summary))
    drift = linkage.check_drift(folder, model)
    told = list(drift["drifted_names"])
    if not drift["has_reference"]:
        told.append("the model's card has nothing to compare with: train a new one")
    told += [f"the model was made with other {library}" for library in drift["other_libraries"]]
    yield dg.AssetCheckResult(
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(told),
        metadata=counts(drift),
    )


@dg.multi_asset(
    specs=[
        _spec("person_crosswalk", "Source record to person_id.", [["linkage", "person_scores"]]),
        _spec(
            "person_facts",
            "What each record says of its person, without direct identifiers.",
            [["linkage", "person_scores"]],
        ),
        _spec(
            "match_rates", "Share of each system's people found in each other system.", [["linkage", "person_scores"]]
        ),
    ],
    check_specs=[
        dg.AssetCheckSpec("every_record_has_one_person", asset=["linkage", "person_crosswalk"]),
        dg.AssetCheckSpec("no_person_too_large", asset=["linkage", "person_crosswalk"]),
        dg.AssetCheckSpec("match_rates_hold", asset=["linkage", "match_rates"]),
    ],
    name="person_crosswalk",
)
def person_crosswalk(deployment: Deployment) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Resolve scored pairs to people and give them their stable IDs."""
    import linkage
    from pipelines.storage import connect, quoted

    night = deployment.night
    folder, limits = night.workspace.linkage_dir, night.jurisdiction.thresholds
    before = _match_rates(folder)
    summary = linkage.resolve(
        folder, night.home.registry_dir, night.cut(), night.secret(), night.decisions(), persist=night.persist
    )
    for name in ("person_crosswalk", "person_facts", "match_rates"):
        yield dg.MaterializeResult(["linkage", name], metadata=counts(summary) if name == "person_crosswalk" else None)
    with connect() as database:
        crosswalk = f"read_parquet({quoted(folder / 'person_crosswalk.parquet')})"
        open_rows = f"(select * from {crosswalk} where valid_to is null)"
        twice, largest = database.execute(
            f"select (select count(*) from (select 1 from {open_rows} group by source_system, source_record_id"
            " having count(distinct person_id) > 1)),"
            f" (select coalesce(max(n), 0) from (select count(*) as n from {open_rows} group by person_id))"
        ).fetchall()[0]
    rates = _match_rates(folder)
    fallen = [pair for pair, rate in before.items() if rates.get(pair, 0.0) < rate - limits.max_match_rate_drop]
    yield dg.AssetCheckResult(
        passed=twice == 0,
        check_name="every_record_has_one_person",
        asset_key=["linkage", "person_crosswalk"],
        metadata={"records_with_two_people": twice},
    )
    yield dg.AssetCheckResult(
        passed=largest <= limits.max_person_records,
        check_name="no_person_too_large",
        asset_key=["linkage", "person_crosswalk"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"records_in_largest_person": largest, "limit": limits.max_person_records},
    )
    yield dg.AssetCheckResult(
        passed=not fallen,
        check_name="match_rates_hold",
        asset_key=["linkage", "match_rates"],
        severity=dg.AssetCheckSeverity.WARN,
        description=", ".join(" in ".join(pair) for pair in sorted(fallen)),
        metadata={"pairs_fallen": len(fallen), "pairs": len(rates), "limit": limits.max_match_rate_drop},
    )


def _match_rates(folder: Path) -> dict[tuple[str, str], float]:
    """Share of each system's people found in each other system, as last computed; empty before the first night."""
    from pipelines.storage import connect, quoted

    path = folder / "match_rates.parquet"
    if not path.exists():
        return {}
    with connect() as database:
        rows = database.execute(
            f"select system_a, system_b, rate from read_parquet({quoted(path)}) where population = 'all' and n_a > 0"
        ).fetchall()
    return {(system_a, system_b): rate for system_a, system_b, rate in rows}


@dg.multi_asset(
    specs=[
        _spec(
            "parent_child", "Who is whose parent, in which role, with the evidence.", [["linkage", "person_crosswalk"]]
        ),
        _spec("family_member", "Dated membership of people in families.", [["linkage", "person_crosswalk"]]),
    ],
    check_specs=[dg.AssetCheckSpec("no_family_too_large", asset=["linkage", "family_member"])],
    name="families",
)
def families(deployment: Deployment) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Group children by their mother, with whoever belongs to them, under stable family IDs."""
    import linkage
    from pipelines.storage import connect, quoted

    night = deployment.night
    folder, limits = night.workspace.linkage_dir, night.jurisdiction.thresholds
    summary = linkage.build_families(
        folder, night.home.registry_dir, night.cut(), night.secret(), persist=night.persist
    )
    yield dg.MaterializeResult(["linkage", "parent_child"])
    yield dg.MaterializeResult(["linkage", "family_member"], metadata=counts(summary))
    with connect() as database:
        largest = database.execute(
            "select coalesce(max(n), 0) from (select count(distinct person_id) as n from"
            f" read_parquet({quoted(folder / 'family_member.parquet')}) group by family_id)"
        ).fetchall()[0][0]
    yield dg.AssetCheckResult(
        passed=largest <= limits.max_family_size,
        check_name="no_family_too_large",
        asset_key=["linkage", "family_member"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"people_in_largest_family": largest, "limit": limits.max_family_size},
    )


@dg.multi_asset(
    specs=[
        _spec(
            "household_member",
            "Who lived at one home address, and when; for description, never for identity or family.",
            [["linkage", "person_crosswalk"]],
        )
    ],
    name="household_member",
)
def household_member(deployment: Deployment) -> Iterator[dg.MaterializeResult]:
    """Slice the dated homes into households. The table stays in the vault: no model and no release reads it."""
    import linkage

    night = deployment.night
    summary = linkage.build_households(night.workspace.staged_dir, night.workspace.linkage_dir, night.secret())
    yield dg.MaterializeResult(["linkage", "household_member"], metadata=counts(summary))


@dg.multi_asset(
    specs=[
        _spec(
            "family_link",
            "Families that share a parent, a case or a home; they stay two families.",
            [["linkage", "family_member"], ["linkage", "household_member"]],
        )
    ],
    name="family_link",
)
def family_link(deployment: Deployment) -> Iterator[dg.MaterializeResult]:
    """Tell which families are blended. The table stays in the vault, as the households it is made from."""
    import linkage

    yield dg.MaterializeResult(
        ["linkage", "family_link"], metadata=counts(linkage.link_families(deployment.night.workspace.linkage_dir))
    )


@dg.multi_asset(
    specs=[
        _spec(
            "person_crosswalk_alternates",
            "Source record to person at a lower and a higher threshold, for one night's ranges.",
            [["linkage", "person_crosswalk"]],
        )
    ],
    check_specs=[
        dg.AssetCheckSpec("every_record_at_every_threshold", asset=["linkage", "person_crosswalk_alternates"])
    ],
    name="person_crosswalk_alternates",
)
def person_crosswalk_alternates(deployment: Deployment) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Form people once more at the edges of the doubtful band; the ledger hears nothing of it."""
    import linkage
    from pipelines.storage import connect, quoted

    folder = deployment.night.workspace.linkage_dir
    people = linkage.write_alternates(folder)
    yield dg.MaterializeResult(["linkage", "person_crosswalk_alternates"], metadata=counts(people))
    with connect() as database:
        missing = database.execute(
            "select count(*) from (values ('low'), ('high')) t(threshold) cross join"
            f" read_parquet({quoted(folder / 'person_crosswalk.parquet')}) c anti join"
            f" read_parquet({quoted(folder / 'person_crosswalk_alternates.parquet')}) a"
            " using (threshold, source_system, source_record_id)"
        ).fetchall()[0][0]
    yield dg.AssetCheckResult(passed=missing == 0, metadata={"records_missing": missing})


@dg.multi_asset(
    specs=[
        _spec(
            "linkage_ranges",
            "Values of the linked measures at a lower and a higher threshold, which the measures' rows carry.",
            [["linkage", "person_crosswalk_alternates"], ["linkage", "family_member"], ["config", "sites"]],
        )
    ],
    name="linkage_ranges",
)
def linkage_ranges(deployment: Deployment) -> Iterator[dg.MaterializeResult]:
    """Build the linked measures with the people of two other thresholds; nothing of it stays but the values."""
    from pipelines.measures.ranges import write_ranges

    night = deployment.night
    rows = write_ranges(night, empty=not night.jurisdiction.linkage_ranges)
    yield dg.MaterializeResult(["linkage", "linkage_ranges"], metadata={"numbers": rows})


@dg.multi_asset(
    specs=[
        _spec(
            "review_queue",
            "Pairs a reviewer should decide, most consequential first, and the random audit sample.",
            [["linkage", "person_crosswalk"], ["linkage", "family_member"]],
        )
    ],
    check_specs=[dg.AssetCheckSpec("decisions_hold", asset=["linkage", "review_queue"])],
    name="review_queue",
)
def review_queue(deployment: Deployment) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Rank what reviewers should look at; say which of their decisions could not be followed."""
    import json

    import linkage

    night = deployment.night
    folder = night.workspace.linkage_dir
    part2 = tuple(s for s, c in night.contracts.items() if any("Part 2" in basis for basis in c.steward.legal_basis))
    queue = linkage.build_queue(folder, night.decisions(), part2)
    yield dg.MaterializeResult(["linkage", "review_queue"], metadata=counts(queue))
    people = json.loads((folder / "resolve.json").read_text(encoding="utf-8"))
    clashes, lines = people["contradicting_decisions"], people["unreadable_decision_lines"]
    told = [
        f"decisions {', '.join(ids)} cannot all hold, with each other or with what sources state, and were set aside"
        for ids in clashes
    ]
    told += [f"line {line} is no decision" for line in lines]
    yield dg.AssetCheckResult(
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(told),
        metadata={
            "contradictions": len(clashes),
            "contradicting_statements": people["review"].get("contradiction", 0),
            "unreadable_lines": len(lines),
            "disputed_pairs": people["decisions_disputed"],
            "idle_decisions": people["decisions_on_unknown_records"],
        },
    )


@dg.multi_asset(
    specs=[
        _spec(
            "linkage_quality",
            "Completeness, match rates, precision, recall, missed matches, and for whom they are worse.",
            [["linkage", "review_queue"], ["linkage", "person_crosswalk_alternates"]],
        )
    ],
    check_specs=[dg.AssetCheckSpec("no_group_falls_behind", asset=["linkage", "linkage_quality"])],
    name="linkage_quality",
)
def linkage_quality(deployment: Deployment) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Measure the night's linkage; the page lies beside the tables."""
    import json

    import linkage

    night = deployment.night
    last = night.workspace.linkage_dir / "quality" / "summary.json"
    before = json.loads(last.read_text(encoding="utf-8"))["groups_below_fair_ratio"] if last.exists() else None
    summary = linkage.report_quality(night.workspace.linkage_dir, night.decisions())
    yield dg.MaterializeResult(["linkage", "linkage_quality"], metadata=counts(summary))
    behind = summary["groups_below_fair_ratio"]
    yield dg.AssetCheckResult(
        # The report says every night who is behind; told is who has newly fallen behind.
        passed=before is None or behind <= before,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "groups_behind": behind,
            "groups_behind_before": before or 0,
            "groups_compared": summary["groups_compared"],
        },
    )
