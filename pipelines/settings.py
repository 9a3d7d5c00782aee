"""What this machine and this jurisdiction decide: the one reader of the environment.

Nothing is read at import time, so every module imports with nothing set. Paths and secrets of a machine come from
``KINWEAVE_*``; the choices of a jurisdiction from ``jurisdiction.yml`` in its deployment folder; what a source
promises from its contract, never from here.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parent.parent

#: Every switch that keeps the parts from phoning home. Set in this process and inherited by every child.
QUIET = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
    "DBT_VERSION_CHECK": "False",
    "GX_ANALYTICS_ENABLED": "False",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


class SettingsError(Exception):
    """A setting or ``jurisdiction.yml`` that cannot be used. The message says which line to change."""


class Settings(BaseSettings):
    """The machine's settings, read from ``KINWEAVE_*``."""

    model_config = SettingsConfigDict(env_prefix="KINWEAVE_", extra="ignore")

    home: Path | None = Field(default=None, description="the deployment folder")
    dbt_project: Path = Field(default=REPOSITORY / "dbt_project", description="folder of the dbt project")
    smtp_password: str | None = Field(default=None, description="password of the mail account alerts are sent from")
    webhook_token: str | None = Field(default=None, description="sent as a bearer token with webhook alerts")
    postgres: str | None = Field(default=None, description="where releases are served: what libpq takes to connect")


def quiet() -> None:
    """Switch off every telemetry of this process and its children (idempotent)."""
    os.environ.update(QUIET)


@cache
def get_settings() -> Settings:
    """The settings, read once; also switches telemetry off. Raises :class:`SettingsError`."""
    quiet()
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_plain("KINWEAVE_* settings", error)) from error


def child_environment(**extra: str) -> dict[str, str]:
    """Environment for a child process: ours, quiet, plus ``extra``."""
    return {**os.environ, **QUIET, **extra}


def export(**values: str) -> None:
    """Set variables that a part running in this process reads for itself (dbt's profile, Dagster's home)."""
    quiet()
    os.environ.update(values)


def dagster_home() -> Path:
    """Dagster's own folder, as whoever started this process set it. Raises :class:`SettingsError` without one."""
    given = os.environ.get("DAGSTER_HOME")
    if not given:
        raise SettingsError("DAGSTER_HOME is not set: start Dagster with `kinweave ui`")
    return Path(given)


def find_home(given: Path | None = None) -> Path:
    """The deployment folder: ``given``, else ``KINWEAVE_HOME``, else here, else ``./demo-home``.

    Raises :class:`SettingsError` when none of them is a deployment folder.
    """
    asked = given or get_settings().home
    candidates = [asked] if asked else [Path.cwd(), Path.cwd() / "demo-home"]
    for candidate in candidates:
        if (candidate / "jurisdiction.yml").is_file():
            return candidate.resolve()
    raise SettingsError(
        f"there is no jurisdiction.yml in {candidates[0]}: create a deployment with `kinweave init DIR`, "
        "or name one with --home or KINWEAVE_HOME"
    )


# --- jurisdiction.yml ------------------------------------------------------------------------------------------


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_text(value: Any) -> Any:
    """FIPS codes are names made of digits; YAML reads an unquoted one as a number and drops its leading zero."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:05d}"
    return value


Fips = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^\d{5}$", description="five-digit county code")]


class County(_Strict):
    """A county the deployment covers."""

    fips: Fips
    name: str


class Site(_Strict):
    """A court-team site."""

    site_id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    site_name: str
    county_fips: Fips
    launched_date: dt.date


class Period(_Strict):
    """One reporting period; both days belong to it."""

    start: dt.date
    end: dt.date

    @model_validator(mode="after")
    def _forwards(self) -> Period:
        if self.end < self.start:
            raise ValueError("the period ends before it starts")
        return self


#: A code or name that goes into SQL: letters, digits, and what codes are written with.
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._&/-]*$")]
Days = Annotated[int, Field(ge=1, le=3650)]


def _adds_up(mix: dict[int, float]) -> dict[int, float]:
    if abs(sum(mix.values()) - 1) > 0.001:
        raise ValueError("the weights of an age mix add up to 1")
    return mix


#: The age in months a group stays under, and the group's weight.
AgeMix = Annotated[
    dict[Annotated[int, Field(ge=1, le=216)], Annotated[float, Field(gt=0, le=1)]], AfterValidator(_adds_up)
]
Stratum = Literal[
    "all", "site", "county", "race_eth", "race_any", "age_band", "sex", "icwa", "entry_year", "prior_removal",
    "substance_use_removal",
]  # fmt: skip


class Parameters(_Strict):
    """Where courts and states differ: dbt variables of the same names. What is left out is dbt's default.

    What each means stands beside its default in ``dbt_project/dbt_project.yml``.
    """

    within_rule: Literal["ANNIV_INCL", "ANNIV_EXCL", "DAYS_365"] | None = None
    metric_periods: list[Period] | None = None
    metric_fiscal_years: int | None = Field(default=None, ge=1, le=50)
    prm_01_thv_adjustment: bool | None = None
    metric_strata: list[Stratum] | None = None
    measure_tiers: list[Literal["core", "second_wave", "extended"]] | None = None
    age_standard: dict[Code, AgeMix] | None = None
    disparity_reference: Code | None = None
    match_rate_floor: float | None = Field(default=None, ge=0, le=1)
    p5_exclude_thv_days: bool | None = None
    shelter_hearing_hours: int | None = Field(default=None, ge=1, le=720)
    court_days: bool | None = None
    adjudication_days: Days | None = None
    disposition_days: Days | None = None
    evl_01_enrolled_within_days: Days | None = None
    evl_01_counties_per_site: int | None = Field(default=None, ge=1, le=50)
    evl_01_svi_caliper: float | None = Field(default=None, gt=0, le=1)
    evl_03_caliper: float | None = Field(default=None, gt=0, le=10)
    sud_look_back_days: Days | None = None
    evidence_based_models: list[Code] | None = None
    developmental_tools: list[Code] | None = None
    survey_item_topics: dict[Code, list[Code]] | None = None
    sud_procedure_codes: list[Code] | None = None
    mh_procedure_codes: list[Code] | None = None
    well_child_codes: list[Code] | None = None
    well_child_diagnoses: list[Code] | None = None
    physical_health_codes: list[Code] | None = None
    primary_care_taxonomies: list[Code] | None = None
    developmental_screening_codes: list[Code] | None = None
    autism_screening_modifiers: list[Code] | None = None
    iet_treatment_codes: list[Code] | None = None
    iet_codes_with_diagnosis: list[Code] | None = None
    delivery_codes: list[Code] | None = None
    live_birth_diagnoses: list[Code] | None = None
    prenatal_visit_codes: list[Code] | None = None
    prenatal_package_codes: list[Code] | None = None
    postpartum_visit_codes: list[Code] | None = None
    postpartum_package_codes: list[Code] | None = None
    postpartum_diagnoses: list[Code] | None = None

    @field_validator("metric_periods")
    @classmethod
    def _one_period_a_day(cls, periods: list[Period] | None) -> list[Period] | None:
        starts = [p.start for p in periods or []]
        if len(set(starts)) < len(starts):
            raise ValueError(
                "two periods start on the same day; rows are told apart by the day their period starts,"
                " so compute one of them on its own (`kinweave measures --period`)"
            )
        return periods

    @field_validator("measure_tiers")
    @classmethod
    def _core_always(cls, tiers: list[str] | None) -> list[str] | None:
        if tiers is not None and "core" not in tiers:
            raise ValueError("the core measures are always computed: other measures are made from them")
        return tiers

    def dbt_vars(self) -> dict[str, Any]:
        """The parameters the jurisdiction decides, in the form dbt's ``--vars`` takes."""
        return self.model_dump(mode="json", exclude_none=True)


class Thresholds(_Strict):
    """Limits that raise an alert when linkage passes them."""

    max_match_rate_drop: float = Field(default=0.05, ge=0, le=1, description="fall of a match rate in one night")
    max_family_size: int = Field(default=40, gt=1, description="a larger family is a linkage error to look at")
    max_person_records: int = Field(default=60, gt=1, description="more records in one person is an error")


class Email(_Strict):
    """Alerts by e-mail over SMTP; the password comes from KINWEAVE_SMTP_PASSWORD."""

    host: str
    port: int = 587
    starttls: bool = True
    user: str | None = None
    sender: str
    to: list[str] = Field(min_length=1)


class Webhook(_Strict):
    """Alerts as a JSON POST, in the shape Slack, Teams and Mattermost accept (``text``)."""

    url: str

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not re.match(r"^https?://", value):
            raise ValueError("a webhook address starts with http:// or https://")
        return value


class Alerts(_Strict):
    """Where alerts go. The file is always written; the others when given."""

    file: str = Field(default="log/alerts.jsonl", description="inside the deployment folder")
    email: Email | None = None
    webhook: Webhook | None = None

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str) -> str:
        if Path(value).is_absolute() or ".." in Path(value).parts:
            raise ValueError("the alert file lies inside the deployment folder: give a path relative to it")
        return value


class Night(_Strict):
    """When the nightly run starts, in the jurisdiction's own time zone, and how many releases it keeps."""

    at: str = Field(default="02:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    keep_releases: int = Field(default=14, ge=2)


class Jurisdiction(_Strict):
    """``jurisdiction.yml``: everything a deployment decides."""

    name: str
    time_zone: str
    counties: list[County] = Field(min_length=1)
    sites: list[Site] = []
    parameters: Parameters = Parameters()
    thresholds: Thresholds = Thresholds()
    linkage_ranges: bool = Field(
        default=True, description="build the linked measures at two more thresholds each night"
    )
    night: Night = Night()
    alerts: Alerts = Alerts()

    def today(self) -> dt.date:
        """The day it is where the jurisdiction is, wherever this machine stands."""
        return dt.datetime.now(ZoneInfo(self.time_zone)).date()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("not a time zone name; write one like America/Chicago") from error
        return value

    @model_validator(mode="after")
    def _sites_fit(self) -> Jurisdiction:
        counties = {c.fips for c in self.counties}
        ids = [s.site_id for s in self.sites]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"two sites share the site_id {', '.join(twice)}")
        for site in self.sites:
            if site.county_fips not in counties:
                raise ValueError(f"site {site.site_id} lies in county {site.county_fips}, which counties does not list")
        return self


def _plain(where: str, error: ValidationError) -> str:
    """A pydantic error as lines a data lead understands: place, then what is wrong. Never the value given."""
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=True):
        place = ".".join(str(p) for p in item["loc"]) or "the file"
        message = {
            "extra_forbidden": "this key is not known; check its spelling",
            "missing": "is missing",
        }.get(item["type"], item["msg"].removeprefix("Value error, "))
        lines.append(f"  {place}: {message}")
    return "\n".join([f"{where}:", *lines])


def keys_given_twice(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Keys that a mapping has once more, at any depth: YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from keys_given_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from keys_given_twice(item)


def load_jurisdiction(home: Path) -> Jurisdiction:
    """Read ``<home>/jurisdiction.yml``, or ``home`` where it is that file itself.

    Raises :class:`SettingsError` naming each key that does not hold.
    """
    path = home if home.is_file() else home / "jurisdiction.yml"
    try:
        text = path.read_text(encoding="utf-8")
        twice = next(keys_given_twice(yaml.compose(text, Loader=yaml.SafeLoader)), None)
        data = yaml.safe_load(text)
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist: create a deployment with `kinweave init DIR`") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise SettingsError(f"{path}{f', line {mark.line + 1}' if mark else ''}: not readable as YAML") from error
    except ValueError as error:
        # YAML takes 2022-13-01 for a day.
        raise SettingsError(f"{path}: a date in it is no day of the calendar") from error
    if twice is not None:
        raise SettingsError(f"{path}, line {twice.start_mark.line + 1}: the key stands there for the second time")
    if not isinstance(data, dict):
        raise SettingsError(f"{path}: empty, or not a list of `key: value` lines")
    try:
        return Jurisdiction.model_validate(data)
    except ValidationError as error:
        raise SettingsError(_plain(str(path), error)) from error
