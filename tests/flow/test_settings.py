"""jurisdiction.yml: unknown keys are errors, and the message says which line to change."""

import pytest

from pipelines import settings
from pipelines.deployment import TEMPLATES, create
from pipelines.night import Night, NightError
from pipelines.settings import SettingsError, find_home, load_jurisdiction

GOOD = """
name: Test Valley
time_zone: America/Denver
counties: [{fips: "99001", name: Alder County}]
sites: [{site_id: alder, site_name: Alder, county_fips: "99001", launched_date: 2022-01-01}]
"""


def load(tmp_path, text):
    (tmp_path / "jurisdiction.yml").write_text(text)
    return load_jurisdiction(tmp_path)


def test_defaults_stand_where_the_jurisdiction_is_silent(tmp_path):
    jurisdiction = load(tmp_path, GOOD)
    assert jurisdiction.night.at == "02:00"
    assert jurisdiction.alerts.file == "log/alerts.jsonl"
    assert jurisdiction.parameters.dbt_vars() == {}


def test_parameters_reach_dbt_under_their_own_names(tmp_path):
    jurisdiction = load(
        tmp_path,
        GOOD + "parameters: {within_rule: DAYS_365, metric_periods: [{start: 2024-10-01, end: 2025-09-30}]}\n",
    )
    assert jurisdiction.parameters.dbt_vars() == {
        "within_rule": "DAYS_365",
        "metric_periods": [{"start": "2024-10-01", "end": "2025-09-30"}],
    }


def test_every_parameter_is_a_variable_dbt_knows():
    import yaml

    known = yaml.safe_load((settings.REPOSITORY / "dbt_project" / "dbt_project.yml").read_text())["vars"]
    assert set(settings.Parameters.model_fields) <= set(known)


def test_a_county_code_without_quotes_keeps_its_leading_zero(tmp_path):
    text = GOOD.replace('"99001"', "1001")
    assert load(tmp_path, text).counties[0].fips == "01001"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("treshold: {max_family_size: 3}", "treshold: this key is not known; check its spelling"),
        ("thresholds: {max_familysize: 3}", "thresholds.max_familysize: this key is not known"),
        ("parameters: {within_rule: TWELVE_MONTHS}", "parameters.within_rule: Input should be 'ANNIV_INCL'"),
        ("parameters: {metric_periods: [{start: 2025-01-01, end: 2024-01-01}]}", "the period ends before it starts"),
        (
            "parameters: {metric_periods: [{start: 2024-01-01, end: 2024-12-31},{start: 2024-01-01, end: 2024-03-31}]}",
            "parameters.metric_periods: two periods start on the same day",
        ),
        ("night: {at: '25:00'}", "night.at"),
        ("alerts: {file: ../../etc/passwd}", "alerts.file: the alert file lies inside the deployment folder"),
        ("alerts: {webhook: {url: 'ftp://x'}}", "alerts.webhook.url: a webhook address starts with http"),
        ("alerts: {email: {host: h, sender: a@b, to: []}}", "alerts.email.to"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, said):
    with pytest.raises(SettingsError) as error:
        load(tmp_path, GOOD + line + "\n")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("America/Denver", "Mountain time"), "time_zone: not a time zone name"),
        (('county_fips: "99001"', 'county_fips: "99009"'), "site alder lies in county 99009"),
        (("name: Test Valley\n", ""), "name: is missing"),
        (("counties: [", "counties: {"), "line"),
    ],
)
def test_what_does_not_fit_together_is_named(tmp_path, change, said):
    with pytest.raises(SettingsError) as error:
        load(tmp_path, GOOD.replace(*change))
    assert said in str(error.value)


def test_two_sites_may_not_share_an_id(tmp_path):
    site = '{site_id: alder, site_name: Alder, county_fips: "99001", launched_date: 2022-01-01}'
    with pytest.raises(SettingsError, match="two sites share the site_id alder"):
        load(tmp_path, GOOD.replace(site, f"{site}, {site}"))


def test_the_value_given_is_not_repeated(tmp_path):
    with pytest.raises(SettingsError) as error:
        load(tmp_path, GOOD + "alerts: {webhook: {url: 'secret-token-123'}}\n")
    assert "secret-token-123" not in str(error.value)


def test_init_writes_a_deployment_that_loads_and_is_closed_to_others(tmp_path):
    home = create(tmp_path / "new")
    assert load_jurisdiction(home.root).name == "Example Valley"
    assert (home.root / "vault" / "secret.key").stat().st_mode & 0o777 == 0o600
    assert (home.root / "vault").stat().st_mode & 0o077 == 0
    assert home.inbox("court").is_dir()
    assert "enabled: false" in (home.dagster_dir / "dagster.yaml").read_text()
    assert (TEMPLATES / "workspace.yaml").read_text() == (settings.REPOSITORY / "workspace.yaml").read_text()


def test_init_never_overwrites(tmp_path):
    create(tmp_path / "new")
    with pytest.raises(SettingsError, match="is a deployment already"):
        create(tmp_path / "new")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("mine")
    with pytest.raises(SettingsError, match="is not empty"):
        create(tmp_path / "other")


def test_without_a_deployment_one_is_told_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KINWEAVE_HOME", raising=False)
    settings.get_settings.cache_clear()
    with pytest.raises(SettingsError, match="kinweave init"):
        find_home()
    settings.get_settings.cache_clear()


def test_a_key_given_twice_is_an_error_that_names_its_line(tmp_path):
    with pytest.raises(SettingsError, match="line 6: the key stands there for the second time"):
        load(tmp_path, GOOD + "name: Another Valley\n")


def test_a_day_that_does_not_exist_is_an_error_without_the_value(tmp_path):
    with pytest.raises(SettingsError, match="no day of the calendar") as told:
        load(tmp_path, GOOD.replace("2022-01-01", "2022-13-01"))
    assert "2022" not in str(told.value)


def test_a_night_before_any_delivery_says_that_nothing_was_accepted(tmp_path):
    home = create(tmp_path / "home", TEMPLATES)
    with pytest.raises(NightError, match="no file has been accepted: put deliveries into"):
        Night(home).freshness()
