"""What Dagster shows: every step, named so that the graph reads as the flow, with nothing hanging in the air."""

from pathlib import Path

import dagster as dg
import pytest

from expectations.contract import load_contracts

REPOSITORY = Path(__file__).parents[2]
MODELS = REPOSITORY / "dbt_project" / "models"


@pytest.fixture(scope="module")
def graph(definitions):
    return definitions.resolve_asset_graph()


def keys_under(graph, *prefix):
    return {k.path[-1] for k in graph.get_all_asset_keys() if tuple(k.path[:-1]) == prefix}


def model_names(*folders):
    return {p.stem for folder in folders for p in (MODELS / folder).rglob("*.sql")}


def test_there_is_one_raw_asset_per_contract_table(graph):
    for system, contract in load_contracts().items():
        assert keys_under(graph, "raw", system) == set(contract.tables)
    assert keys_under(graph, "deliveries") == set(load_contracts())


def test_the_staging_selector_matches_every_generated_model(graph):
    # A selector that matches nothing is silent: linkage would then run before staging.
    assert keys_under(graph, "staging") == model_names("staging")


def test_every_mart_and_measure_is_an_asset(graph):
    assert keys_under(graph, "marts") == model_names("marts/core")
    assert keys_under(graph, "metrics") == model_names("marts/metrics")
    assert keys_under(graph, "intermediate") == model_names("intermediate")


def test_linkage_and_release_are_assets(graph):
    assert keys_under(graph, "linkage") >= {
        "person_records", "person_scores", "person_crosswalk", "person_facts", "match_rates", "parent_child",
        "family_member", "household_member", "family_link",
    }  # fmt: skip
    assert keys_under(graph, "releases") == {"warehouse"}


def test_nothing_depends_on_something_no_step_makes(graph):
    phantoms = [k.to_user_string() for k in graph.get_all_asset_keys() if not graph.get(k).is_materializable]
    assert phantoms == []


def ancestors(graph, *key):
    return {k.to_user_string() for k in graph.get_ancestor_asset_keys(dg.AssetKey(key))}


def test_linkage_waits_for_staging_and_the_marts_wait_for_linkage(graph):
    before_people = ancestors(graph, "linkage", "person_records")
    assert {f"staging/stg_{s}__person_records" for s in load_contracts()} <= before_people
    assert "raw/court/parties" in before_people
    before_release = ancestors(graph, "releases", "warehouse")
    assert {
        "linkage/person_crosswalk",
        "linkage/family_member",
        "marts/dim_person",
        "metrics/met_prm_01",
    } <= before_release


def test_households_stay_in_the_vault(graph):
    # Nothing that leaves it is made from them: neither a model nor a release nor a partner's folder.
    below = {
        k.to_user_string()
        for k in graph.get_all_asset_keys()
        if "linkage/household_member" in ancestors(graph, *k.path)
    }
    assert below == {"linkage/family_link"}
    texts = [p.read_text() for p in MODELS.rglob("*.*") if p.suffix in (".sql", ".yml")]
    assert not [t for t in texts if "household_member" in t or "family_link" in t]


def test_groups_read_as_the_flow_in_alphabetical_order(graph):
    groups = {k.path[0]: graph.get(k).group_name for k in graph.get_all_asset_keys()}
    order = ["deliveries", "raw", "staging", "linkage", "marts", "metrics", "releases"]
    assert [groups[layer] for layer in order] == sorted(groups[layer] for layer in order)
    assert len({groups[layer] for layer in order}) == len(order)


def test_every_raw_table_has_its_balance_and_its_promise_checked(graph):
    checks = {(k.asset_key.to_user_string(), k.name) for k in graph.asset_check_keys}
    for system, contract in load_contracts().items():
        assert (f"deliveries/{system}", "files_accepted") in checks
        for table in contract.tables:
            assert (f"raw/{system}/{table}", "rows_balance") in checks
            assert (f"raw/{system}/{table}", "promise_kept") in checks


def test_dbt_tests_are_asset_checks(graph):
    on_people = {k.name for k in graph.asset_check_keys if k.asset_key == dg.AssetKey(["marts", "dim_person"])}
    assert any("dim_person" in name for name in on_people)
    tested = {k.asset_key.path[0] for k in graph.asset_check_keys}
    assert {"marts", "metrics"} <= tested


def test_each_source_is_as_fresh_as_its_contract_promises(graph):
    for system, contract in load_contracts().items():
        policy = graph.get(dg.AssetKey(["deliveries", system])).freshness_policy
        assert policy.fail_window.to_timedelta().days == contract.delivery.max_age_days


def test_runs_stay_in_one_process(definitions):
    assert definitions.executor is dg.in_process_executor


def test_the_three_jobs_cut_the_night_in_two(definitions):
    def keys(name):
        return set(definitions.resolve_job_def(name).asset_layer.executable_asset_keys)

    assert keys("records") | keys("relink") == keys("night")
    assert not keys("records") & keys("relink")
    assert dg.AssetKey(["linkage", "person_records"]) in keys("records")


def test_the_nightly_schedule_follows_the_deployment(definitions):
    schedule = definitions.resolve_schedule_def("nightly")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 1 * * *", "America/Denver")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_sensors_for_files_failures_checks_and_lateness(definitions):
    names = {s.name for s in definitions.sensors}
    assert names == {"drop_folder", "tell_run_failure", "tell_check_failure", "tell_late_files"}
