"""One night: its cut, its workspace, its lock, and what determines it. Starts the Dagster job in this process.

What each step does lies in the rooms; in which order, in ``defs``. Here is what all steps of a night share.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import os
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from expectations.contract import SOURCES_DIR, Contract, load_contracts
from pipelines.alerts import Alert, send
from pipelines.releases.manifest import canonical_json, sha256_text
from pipelines.settings import REPOSITORY, Jurisdiction, export, load_jurisdiction
from pipelines.storage import Home, Workspace, append_jsonl, atomic_path, connect, quoted, read_jsonl, write_atomic

if TYPE_CHECKING:
    import dagster as dg

    from linkage import ModelCard
    from pipelines.releases.partners import Governance

JOB = "night"
LANDING_JOB = "landing"
RECORDS_JOB = "records"
RELINK_JOB = "relink"
#: Beside the models: which one was adopted when.
ADOPTIONS = "adopted.jsonl"


class NightError(Exception):
    """A night that cannot start or did not finish. The message says which step and what to do."""


class NightBusy(NightError):
    """Another run holds the deployment."""


@contextmanager
def night_lock(home: Home) -> Iterator[None]:
    """Hold the deployment for one run. Raises :class:`NightBusy` at once when another process has it.

    The operating system frees the lock when a process dies, so a killed night never blocks the next one.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    with (home.root / ".night.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            holder = handle.read().strip()
            who = f" (process {holder})" if holder.isdigit() else ""
            raise NightBusy(f"another run{who} is at work in {home.root}: wait until it has ended") from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


@cache
def code_version() -> str:
    """Version of the package and a hash over the code and configuration of all rooms."""
    from importlib.metadata import PackageNotFoundError, version

    digest = hashlib.sha256()
    for room in ("expectations", "linkage", "pipelines", "dbt_project"):
        for path in sorted((REPOSITORY / room).rglob("*")):
            inside = path.relative_to(REPOSITORY)
            if path.suffix in (".py", ".sql", ".yml", ".yaml", ".csv", ".json") and "target" not in inside.parts:
                digest.update(inside.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    try:
        number = version("kinweave")
    except PackageNotFoundError:
        number = "0"
    return f"{number}+{digest.hexdigest()[:12]}"


@cache
def all_contracts() -> Mapping[str, Contract]:
    """Every source's contract, read once per process."""
    return load_contracts(SOURCES_DIR)


@dataclass
class Night:
    """What the steps of one night share. ``as_of`` replays the night of that day in a workspace of its own."""

    home: Home
    as_of: dt.date | None = None
    received: dt.date | None = None

    @cached_property
    def workspace(self) -> Workspace:
        return self.home.workspace(self.as_of)

    @cached_property
    def contracts(self) -> Mapping[str, Contract]:
        return all_contracts()

    @cached_property
    def jurisdiction(self) -> Jurisdiction:
        return load_jurisdiction(self.home.root)

    @property
    def persist(self) -> bool:
        """Whether new IDs enter the ledgers and the release becomes the current one."""
        return self.as_of is None

    @property
    def releases_dir(self) -> Path:
        return self.home.releases_dir if self.persist else self.workspace.root / "releases"

    def deliveries(self) -> list[dict[str, Any]]:
        """Accepted deliveries up to the cut, one per file and table, in the order they were logged."""
        return [
            line
            for line in read_jsonl(self.home.delivery_log)
            if line["status"] == "accepted"
            and (self.as_of is None or dt.date.fromisoformat(line["received_on"]) <= self.as_of)
        ]

    def cut(self) -> dt.date:
        """The night's cut: the latest day an accepted file was received. Raises :class:`NightError` before any."""
        days = [dt.date.fromisoformat(line["received_on"]) for line in self.deliveries()]
        if not days:
            until = f" up to {self.as_of}" if self.as_of else ""
            raise NightError(f"no file has been accepted{until}: put deliveries into {self.home.root}/inbox/<system>/")
        return max(days)

    @cached_property
    def received_on(self) -> dt.date:
        """The day tonight's files count as received: today where the jurisdiction is, unless the caller says."""
        return self.received or self.jurisdiction.today()

    def freshness(self) -> list[tuple[str, dt.date | None, dt.date | None]]:
        """Per source: system, date of its last accepted delivery, and the day since when it is stale (or None).

        A source is stale at the cut when a table of its usual cadence is older than the contract promises, or when
        it never delivered. A side delivery on a slower cadence does not make the whole source stale.
        """
        from pipelines.landing import late_files

        self.cut()  # says so where nothing was accepted yet
        last: dict[str, dt.date] = {}
        first_night = min(dt.date.fromisoformat(line["received_on"]) for line in self.deliveries())
        for line in self.deliveries():
            day = dt.date.fromisoformat(line["delivery_date"])
            last[line["system"]] = max(day, last.get(line["system"], day))
        since: dict[str, dt.date] = {}
        for late in late_files(self.home, self.contracts, self.cut()):
            contract = self.contracts[late.system]
            usual = contract.tables[late.table].delivery.cadence is contract.delivery.cadence
            if usual and late.stale_since and late.stale_since < self.cut():
                since[late.system] = min(late.stale_since, since.get(late.system, late.stale_since))
        return [(s, last.get(s), since.get(s) if s in last else first_night) for s in self.contracts]

    def write_config(self) -> None:
        """Write the jurisdiction's own lists for dbt: ``config/sites.parquet``, ``config/source_freshness.parquet``."""
        sites = [(s.site_id, s.site_name, s.county_fips, s.launched_date) for s in self.jurisdiction.sites]
        _write_rows(
            self.workspace.config_dir / "sites.parquet",
            "site_id varchar, site_name varchar, county_fips varchar, launched_date date",
            sites,
        )
        _write_rows(
            self.workspace.config_dir / "source_freshness.parquet",
            "system varchar, last_delivered_on date, stale_since date",
            self.freshness(),
        )

    def dbt_vars(self) -> dict[str, Any]:
        """Variables of a dbt run: the cut, stale sources, and the jurisdiction's parameters."""
        stale = {system: since.isoformat() for system, _, since in self.freshness() if since}
        return {"cutoff": self.cut().isoformat(), "stale_sources": stale, **self.jurisdiction.parameters.dbt_vars()}

    def secret(self) -> bytes:
        """The deployment's secret, from which opaque IDs and keys are made; created on first use, kept in the vault."""
        path = self.home.root / "vault" / "secret.key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(path, secrets.token_hex(32), mode=0o600)
        return bytes.fromhex(path.read_text().strip())

    def model_dir(self) -> Path:
        """The linkage model in use: ``vault/models/current`` names it, else the newest. A replay uses the one in use at
        the end of its day, by ``adopted.jsonl`` beside it; before the first, the first. Raises :class:`NightError`."""
        # A folder without a card is a training that was stopped.
        models = sorted(p.parent for p in self.home.models_dir.glob("*/card.json") if not p.parent.name.startswith("."))
        if not models:
            raise NightError("no linkage model has been trained: run `kinweave train`")
        chosen = self.home.models_dir / "current"
        name = chosen.read_text(encoding="utf-8").strip() if chosen.is_file() else None
        adopted = read_jsonl(self.home.models_dir / ADOPTIONS)
        if self.as_of and adopted:
            known = [line["model"] for line in adopted if dt.date.fromisoformat(line["adopted_on"]) <= self.as_of]
            name = known[-1] if known else adopted[0]["model"]
        if name is None:
            return max(models, key=lambda p: p.stat().st_mtime_ns)
        if (named := self.home.models_dir / name) not in models:
            if self.as_of:
                raise NightError(f"{name}, the model in use that day, is no longer in {self.home.models_dir}")
            raise NightError(f"{chosen} names a model that is not there: run `kinweave train --adopt-model NAME`")
        return named

    def decisions(self) -> Path | None:
        """The reviewers' decisions, when there are any; for a replay, a copy without those made after its day."""
        path = self.home.reviews_dir / "decisions.csv"
        if not path.exists() or self.as_of is None:
            return path if path.exists() else None
        from linkage.review.decisions import decided_by

        known = decided_by(path, self.as_of, ZoneInfo(self.jurisdiction.time_zone))
        if known is None:
            return None
        kept = self.workspace.linkage_dir.parent / path.name
        write_atomic(kept, known, mode=0o600)
        return kept

    def governance(self) -> Governance:
        """What decides the partners' files tonight. Decisions are made for today, or for the day that is replayed.

        Raises ``AgreementError`` when an agreement cannot be read: then nobody gets anything.
        """
        from pipelines import dbt
        from pipelines.releases.agreements import load
        from pipelines.releases.partners import Governance
        from pipelines.releases.people import ledger_dir

        book = load(self.home.agreements_dir)
        return Governance(
            book=book,
            day=self.as_of or max(self.cut(), self.received_on),
            workspace=self.workspace,
            ledgers=ledger_dir(self.home),
            vault=self.home.root / "vault",
            compiled=dbt.target_dir(self.workspace) / "compiled" / "kinweave",
            is_replay=not self.persist,
        )

    def provenance(self) -> dict[str, Any]:
        """What determines the release: inputs, decisions, configuration, model, contracts and code (law 3)."""
        decisions = self.decisions()
        return {
            "inputs": sorted(
                (
                    {k: line[k] for k in ("system", "table", "delivery_id", "sha256", "received_on", "rows_loaded")}
                    for line in self.deliveries()
                ),
                key=canonical_json,
            ),
            "code_version": code_version(),
            "contract_versions": {system: c.version for system, c in self.contracts.items()},
            "linkage_model": self.model_dir().name,
            "configuration_hash": sha256_text(canonical_json(self.jurisdiction.model_dump(mode="json"))),
            "decisions_hash": hashlib.sha256(decisions.read_bytes()).hexdigest() if decisions else None,
            "stale_since": {s: since.isoformat() for s, _, since in self.freshness() if since},
        }


def _write_rows(target: Path, columns: str, rows: list[Any]) -> None:
    with connect() as database, atomic_path(target) as temporary:
        database.execute(f"create table t ({columns})")
        if rows:
            database.executemany(f"insert into t values ({', '.join('?' * len(rows[0]))})", rows)
        database.execute(f"copy (select * from t order by all) to {quoted(temporary)} (format parquet)")


# --- running it ------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """How a run ended. ``failures`` maps a step to the kind of error and its message; ``is_published``: the release
    stands, whatever else failed."""

    run_id: str
    success: bool
    failures: dict[str, str] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)
    is_published: bool = False


def open_instance(home: Home) -> dg.DagsterInstance:
    """The deployment's Dagster instance, kept in ``<home>/dagster``."""
    import dagster as dg

    prepare_dagster_home(home)
    export(DAGSTER_HOME=str(home.dagster_dir), KINWEAVE_HOME=str(home.root))
    return dg.DagsterInstance.from_config(str(home.dagster_dir))


def prepare_dagster_home(home: Home) -> None:
    """Write ``dagster.yaml`` and ``workspace.yaml`` into ``<home>/dagster`` where they are missing."""
    home.dagster_dir.mkdir(parents=True, exist_ok=True)
    for name in ("dagster.yaml", "workspace.yaml"):
        if not (home.dagster_dir / name).exists():
            template = Path(__file__).parent / "templates" / name
            write_atomic(home.dagster_dir / name, template.read_text(encoding="utf-8"))


def run_night(
    home: Home,
    *,
    as_of: dt.date | None = None,
    received_on: dt.date | None = None,
    job: str = JOB,
    full: bool = False,
    on_step: Callable[[str, str], None] | None = None,
) -> Outcome:
    """Run the night as a Dagster job in this process and wait for it.

    ``as_of`` replays an earlier night without publishing; ``received_on`` is the day new files count as received
    (today, unless said); ``full`` scores every pair of records again, instead of those that are new or changed.
    ``on_step(step, state)`` is called as steps start, succeed or fail.
    Raises :class:`NightBusy` when another run holds the deployment and :class:`SettingsError` when the
    deployment cannot be read; a failed step is reported in the outcome, and told to whom alerts go.
    """
    import dagster as dg

    from pipelines.defs.resources import Deployment

    with night_lock(home), open_instance(home) as kept:
        load_jurisdiction(home.root)
        definition = _definitions(home).resolve_job_def(job)
        # A replay's events would show as tonight's assets: they go to an instance that is thrown away.
        with nullcontext(kept) if as_of is None else dg.DagsterInstance.ephemeral() as instance:
            run_id = str(uuid.uuid4())
            if on_step:
                instance.add_event_listener(run_id, lambda entry: _tell(entry, on_step))
            result = definition.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                resources={
                    "deployment": Deployment(
                        home=str(home.root),
                        as_of=as_of.isoformat() if as_of else "",
                        received_on=received_on.isoformat() if received_on else "",
                        full=full,
                        is_locked=True,
                    )
                },
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
            outcome = Outcome(
                run_id,
                result.success,
                {e.step_key: _reason(e) for e in result.all_events if e.is_step_failure and e.step_key},
                failed_checks(instance, run_id),
                any(e.is_step_success and e.step_key == "release" for e in result.all_events),
            )
    if as_of is None:
        _tell_outcome(home, job, outcome)
    return outcome


@dataclass(frozen=True)
class Trained:
    """A new model, whether the nights use it from now on, and how it differs from the one they used (see
    :func:`linkage.compare.compare`; None for the first)."""

    card: ModelCard
    is_adopted: bool
    differences: dict[str, Any] | None


def train_model(
    home: Home,
    name: str | None = None,
    *,
    adopt: bool = False,
    received_on: dt.date | None = None,
    on_step: Callable[[str, str], None] | None = None,
) -> Trained:
    """Bring the person records up to date and train a linkage model on them. Publishes nothing.

    The first model is used from now on; a later one only with ``adopt``, or when :func:`adopt_model` is called.

    Raises :class:`NightError` when the records could not be made, :class:`NightBusy` when another run is at work,
    :class:`linkage.ModelError` when ``name`` is taken or no plain name.
    """
    import linkage

    if name:
        _plain_name(name)
        if (home.models_dir / name / "card.json").exists():
            raise linkage.ModelError(f"there is a model {name} already: models are not overwritten")
    outcome = run_night(home, received_on=received_on, job=RECORDS_JOB, on_step=on_step)
    if not outcome.success:
        reasons = "; ".join(f"{step}: {reason}" for step, reason in outcome.failures.items())
        raise NightError(f"the records to train on could not be made ({reasons})")
    tell = on_step or (lambda step, state: None)
    with night_lock(home):
        night, differences, current = Night(home), None, home.models_dir / "current"
        is_first = not any(home.models_dir.glob("*/card.json"))
        tell("training", "started")
        if is_first:
            card = linkage.train(home.linkage_dir, home.models_dir, name)
        else:
            # Said outright before there is a second one: the newest is not what nights use.
            if not current.is_file():
                write_atomic(current, night.model_dir().name + "\n")
            in_use = home.models_dir / current.read_text(encoding="utf-8").strip()
            card, differences = linkage.train_beside(
                home.linkage_dir, home.models_dir, in_use, home.registry_dir, night.cut(), night.decisions(), name
            )
        linkage.write_charts(home.linkage_dir, card.path)
        tell("training", "done")
        if is_first or adopt:
            _use(home, card.path.name, received_on)
        return Trained(card, current.read_text(encoding="utf-8").strip() == card.path.name, differences)


def _plain_name(name: str) -> None:
    import linkage

    if Path(name).name != name or name.startswith(".") or name == "current":
        raise linkage.ModelError("a model's name is that of a folder in vault/models: no path, no leading dot")


def adopt_model(home: Home, name: str) -> ModelCard:
    """Let the nights use the trained model ``name`` from now on.

    Raises :class:`linkage.ModelError` when there is no such model or it cannot be used with the installed libraries:
    then the one in use stays.
    """
    import linkage

    _plain_name(name)
    with night_lock(home):
        if not (home.models_dir / name / "card.json").exists():
            raise linkage.ModelError(f"vault/models holds no trained model {name}")
        card = linkage.load(home.models_dir / name)
        _use(home, name)
        return card


def _use(home: Home, name: str, day: dt.date | None = None) -> None:
    """Let the nights use the model ``name``, and note since which day: replays of earlier days use the one before."""
    current, log = home.models_dir / "current", home.models_dir / ADOPTIONS
    lines = [{"model": name, "adopted_on": Night(home, received=day).received_on}]
    if not log.exists() and current.is_file():
        # Adopted before there was a log of it.
        lines.insert(0, {"model": current.read_text(encoding="utf-8").strip(), "adopted_on": dt.date.min})
    append_jsonl(log, lines)
    write_atomic(current, name + "\n")


@cache
def _definitions_of(root: Path) -> dg.Definitions:
    from pipelines.definitions import defs

    return defs()


def _definitions(home: Home) -> dg.Definitions:
    return _definitions_of(home.root)


def warm_up(home: Home) -> None:
    """Import the parts and parse the models, which takes seconds, while the caller waits for something else anyway."""
    import linkage.train  # noqa: F401
    from expectations.compile.gx import open_door

    open_door()
    export(DAGSTER_HOME=str(home.dagster_dir), KINWEAVE_HOME=str(home.root))
    _definitions(home)


def _tell(entry: Any, on_step: Callable[[str, str], None]) -> None:
    event = entry.dagster_event
    if event is None or event.step_key is None:
        return
    state = {"STEP_START": "started", "STEP_SUCCESS": "done", "STEP_FAILURE": "failed"}.get(event.event_type_value)
    if state:
        on_step(event.step_key, state)


def _reason(event: Any) -> str:
    """Why a step failed. Our own errors speak plainly and carry no value; of any other only its kind is shown."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    chain = [data.error] if data.error else []
    while chain and chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    for error in chain:
        if error.cls_name in _PLAIN_ERRORS:
            return str(error.message).strip().removeprefix(f"{error.cls_name}: ").split(": ", 1)[-1]
    return f"unexpected {chain[-1].cls_name}" if chain else "no reason recorded"


#: Errors whose messages were written for a person and never carry a value.
_PLAIN_ERRORS = {
    "NightError", "NightBusy", "SettingsError", "ContractError", "ModelError", "ReleaseError", "GateClosed", "DbtError",
}  # fmt: skip


def failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Checks of a run that did not pass, as ``asset/key: check (what it says of it)``."""
    import dagster as dg

    found = []
    for record in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        evaluation = record.get_dagster_event().asset_check_evaluation_data
        if not evaluation.passed:
            told = f" ({evaluation.description})" if evaluation.description else ""
            found.append(f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}{told}")
    return sorted(set(found))


def _tell_outcome(home: Home, job: str, outcome: Outcome) -> None:
    """The same alerts that the daemon's sensors send, under the same keys: who starts a run does not matter."""
    if not outcome.success:
        lines = tuple(f"Step failed: {step}" for step in sorted(outcome.failures))
        send(
            home, Alert(f"run:{outcome.run_id}", f"run of {job} failed", lines or ("It failed before its first step.",))
        )
    elif outcome.failed_checks:
        count = len(outcome.failed_checks)
        send(home, Alert(f"checks:{outcome.run_id}", f"{count} checks failed", tuple(outcome.failed_checks)))
