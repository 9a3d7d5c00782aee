"""Whose rows a recipient may see: consent, sealing, tribal approval, protected addresses, expunction.

Two sources of consent are read as one: the consents programs deliver (42 CFR Part 2), and the deployment's own ledger,
which holds what no source delivers (IDEA Part C among them). The ledgers are append-only and say when we learnt a
thing and from when it holds, so that an earlier release's decisions can be explained and are never made again.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb

from expectations.vocabulary import Sensitivity
from pipelines.releases.agreements import Agreement, Kind, Party, People, Purpose
from pipelines.storage import Home, Workspace, append_jsonl, connect, quoted, read_jsonl

#: Classes whose rows leave only under the consent of the people they are about.
NEED_CONSENT = (Sensitivity.SUD_P2, Sensitivity.PARTC)

#: What a consent must name for each kind of recipient. Only the court team is reached through the shared warehouse.
_RECIPIENTS: Mapping[Kind, tuple[str, ...]] = {
    "provider": ("treating_provider", "provider"),
    "medicaid": ("payer", "medicaid"),
    "court_team": ("court_team", "warehouse"),
    "child_welfare": ("child_welfare",),
    "court": ("court",),
    "evaluator": ("evaluator",),
    "tribe": ("tribe",),
    "public": (),
}
#: What the programs' consent forms call a purpose. Treatment, payment and operations stand for nothing else (2.31).
_PURPOSES: Mapping[Purpose, tuple[str, ...]] = {
    "treatment_payment_operations": ("tpo", "treatment_payment_operations"),
    "court_team": ("court_team",),
    "child_welfare_case": ("child_welfare_case",),
    "court_oversight": ("court_oversight",),
    "evaluation": ("evaluation",),
    "plan_administration": ("plan_administration",),
    "tribal_governance": ("tribal_governance",),
    "public_reporting": (),
}
#: Scopes of a consent that cover that, and when, somebody is in treatment.
SCOPES = ("full_record", "attendance", "appointments")
#: Scopes that can be recorded: those, and one for why somebody was discharged.
_RECORDED_SCOPES = (*SCOPES, "discharge")
#: The source in which being known at all tells of treatment (42 CFR 2.11, "records").
TREATMENT = "behavioral_health"
#: Purposes for which the rows of a tribe's people may be used without the tribe's approval: their own cases.
_CASEWORK = frozenset({"treatment_payment_operations", "court_team", "child_welfare_case", "court_oversight"})

Regime = Literal["sud_p2", "partc"]


class PeopleError(Exception):
    """A consent, order or protection that cannot be recorded. Names the field; never a person."""


# --- ledgers ---------------------------------------------------------------------------------------------------


def ledger_dir(home: Home) -> Path:
    """Where governance's own ledgers lie: in the vault, because they are about people."""
    return home.root / "vault" / "governance"


def record_consent(
    home: Home,
    *,
    person_id: str,
    regime: Regime,
    recipient: Kind,
    purpose: Purpose,
    scope: str = "full_record",
    effective: dt.date,
    expires: dt.date | None,
    recorded_on: dt.date,
    document_sha256: str = "",
) -> str:
    """Append a consent to the ledger and return its ID. Raises :class:`PeopleError` for what no consent can say."""
    if regime not in get_args(Regime) or recipient not in get_args(Kind) or purpose not in get_args(Purpose):
        raise PeopleError("regime, recipient and purpose are words of closed lists; see docs/governance.md")
    if scope not in _RECORDED_SCOPES:
        raise PeopleError(f"scope: one of {', '.join(_RECORDED_SCOPES)}")
    if expires is not None and expires <= effective:
        raise PeopleError("expires: the consent ends before it holds")
    must_be_known(home, person_id)
    if not _RECIPIENTS[recipient] or not _PURPOSES[purpose]:
        raise PeopleError("nobody can consent to publication of their own rows")
    consent_id = f"C{secrets.token_hex(8)}"
    line = {
        "event": "consent",
        "consent_id": consent_id,
        "person_id": person_id,
        "regime": regime,
        "recipient": recipient,
        "purpose": purpose,
        "scope": scope,
        "effective": effective,
        "expires": expires,
        "recorded_on": recorded_on,
        "document_sha256": document_sha256,
    }
    append_jsonl(ledger_dir(home) / "consents.jsonl", [line])
    return consent_id


def revoke_consent(home: Home, consent_id: str, *, received_on: dt.date, recorded_on: dt.date) -> None:
    """Append a revocation: the consent covers nothing from ``received_on`` on. Raises :class:`PeopleError`."""
    path = ledger_dir(home) / "consents.jsonl"
    if not any(x["consent_id"] == consent_id for x in read_jsonl(path) if x["event"] == "consent"):
        raise PeopleError("there is no consent of this ID in the ledger; a program's own consents it revokes itself")
    append_jsonl(
        path,
        [{"event": "revoked", "consent_id": consent_id, "received_on": received_on, "recorded_on": recorded_on}],
    )


def protect_address(home: Home, person_id: str, *, recorded_on: dt.date) -> None:
    """Hide from every partner where a person lives or is served: counties and sites of their rows.

    Raises :class:`PeopleError` for an ID that linkage never gave out.
    """
    must_be_known(home, person_id)
    append_jsonl(ledger_dir(home) / "protected_addresses.jsonl", [{"person_id": person_id, "recorded_on": recorded_on}])


def must_be_known(home: Home, person_id: str) -> None:
    """Raise :class:`PeopleError` for an ID that linkage never gave out: a misspelt one would protect nobody."""
    ledger = home.registry_dir / "person"
    if not any(ledger.glob("*.parquet")):
        return
    with connect() as database:
        source = f"read_parquet({quoted(ledger / '*.parquet')})"
        found = database.execute(
            f"select count(*) from {source} where id = $person or into_id = $person", {"person": person_id}
        ).fetchall()
    if found == [(0,)]:
        raise PeopleError("there never was a person of this ID")


def _known_by(lines: Iterable[Mapping[str, Any]], day: dt.date) -> list[Mapping[str, Any]]:
    return [x for x in lines if dt.date.fromisoformat(str(x["recorded_on"])) <= day]


# --- what became of an ID ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lineages:
    """How linkage's IDs of people followed each other: what was recorded about one holds for its heirs."""

    merged: Mapping[str, str]
    split: Mapping[str, Sequence[tuple[str, dt.date]]]

    def heirs(self, person_id: str) -> set[str]:
        """The ID and every ID that has, or may have, its people now: when in doubt, somebody is protected too much."""
        found, waiting = set(), [person_id]
        while waiting:
            if (one := waiting.pop()) not in found:
                found.add(one)
                waiting += [self.merged[one]] if one in self.merged else []
                waiting += [into for into, _ in self.split.get(one, ())]
        return found

    def living(self, person_id: str) -> str:
        """The ID that has this one's people now."""
        seen = {person_id}
        while (person_id := self.merged.get(person_id, person_id)) not in seen:
            seen.add(person_id)
        return person_id

    def before(self, person_id: str) -> dict[str, dt.date | None]:
        """The ID and those it was under before, each with the first day on which it no longer was (None: still)."""
        found: dict[str, dt.date | None] = {person_id: None}
        waiting = [person_id]
        while waiting:
            one = waiting.pop()
            was: list[tuple[str, dt.date | None]] = [(old, None) for old, new in self.merged.items() if new == one]
            was += [(old, cut) for old, parts in self.split.items() for new, cut in parts if new == one]
            for old, until in was:
                if old not in found:
                    found[old] = until
                    waiting.append(old)
        return found


def lineages(vault: Path) -> Lineages:
    """Read from linkage's ledger of people."""
    merged: dict[str, str] = {}
    split: dict[str, list[tuple[str, dt.date]]] = {}
    ledger = vault / "registry" / "person"
    if any(ledger.glob("*.parquet")):
        with connect() as database:
            for event, one, other, cut in database.execute(
                f"select event, id, into_id, cut from read_parquet({quoted(ledger / '*.parquet')})"
                " where event in ('merge', 'split', 'reactivate') order by sequence"
            ).fetchall():
                if event == "merge":
                    merged[one] = other
                elif event == "split":
                    split.setdefault(one, []).append((other, cut))
                else:
                    merged.pop(one, None)
    return Lineages(merged, split)


# --- who may be seen -------------------------------------------------------------------------------------------


#: People whose rows the agreement at hand opens, after :func:`reach`.
WITHIN_REACH = "select person_id from temp.reach_person"


def consenting(cls: Sensitivity, scopes: Sequence[str] | None = None) -> str:
    """SQL for the people whose consent covers the agreement at hand, this class and one of these scopes."""
    words = f" and scope in {_list(scopes)}" if scopes is not None else ""
    return f"select person_id from temp.reach_consent where class = {quoted(str(cls))}{words}"


def prepare(
    database: duckdb.DuckDBPyConnection, warehouse: str, workspace: Workspace, ledgers: Path, day: dt.date
) -> None:
    """Make ``gov_person`` and ``gov_consent`` (temporary) from the release in ``main`` and the attached warehouse.

    ``gov_consent`` holds every consent with its span and its recipient, purpose and scope; a revocation ends it on the
    day it was received. What was recorded after ``day`` is not known yet.
    """
    facts = workspace.linkage_dir / "person_facts.parquet"
    has = {
        r[0]
        for r in database.execute(
            "select table_name from duckdb_tables() where database_name = current_database()"
        ).fetchall()
    }
    database.execute("create or replace temp table gov_protected (person_id varchar)")
    protected = _known_by(read_jsonl(ledgers / "protected_addresses.jsonl"), day)
    known = lineages(ledgers.parent)
    if protected:
        heirs = {heir for x in protected for heir in known.heirs(str(x["person_id"]))}
        database.executemany("insert into gov_protected values (?)", [[heir] for heir in sorted(heirs)])
    sealed = (
        f"select person_id from read_parquet({quoted(facts)}) where is_sealed and person_id is not null"
        if facts.exists()
        else "select null where false"
    )
    systems = (
        "select person_id, list(distinct source_system) as systems from main.bridge_source_id group by all"
        if "bridge_source_id" in has
        else "select null::varchar as person_id, []::varchar[] as systems where false"
    )
    tribal = (
        "select person_id, coalesce(icwa_status in ('APPLIES', 'PENDING'), false) as is_icwa,"
        " coalesce(race_any_aian, false) or coalesce(icwa_status in ('APPLIES', 'PENDING'), false) as is_aian"
        " from main.dim_person"
        if "dim_person" in has
        else "select person_id, false as is_icwa, false as is_aian from main.dim_child"
    )
    crosswalk = workspace.linkage_dir / "person_crosswalk.parquet"
    database.execute(
        "create or replace temp table gov_program as "
        + (
            f"select distinct person_id, split_part(source_record_id, '~', 1) as program"
            f" from read_parquet({quoted(crosswalk)}) where source_system = {quoted(TREATMENT)}"
            if crosswalk.exists()
            else "select null::varchar as person_id, null::varchar as program where false"
        )
    )
    database.execute(
        f"""create or replace temp table gov_person as
        select p.*, coalesce(s.systems, []) as systems,
            coalesce(s.systems = [{quoted(TREATMENT)}], false) as is_known_by_treatment_only,
            coalesce(p.person_id in ({sealed}), false) as is_sealed
        from ({tribal}) as p left join ({systems}) as s using (person_id)"""
    )
    database.execute(
        "create or replace temp table gov_consent (consent_id varchar, person_id varchar, class varchar,"
        " recipient varchar, purpose varchar, scope varchar, valid_from date, valid_to date)"
    )
    delivered = database.execute(
        "select count(*) from information_schema.tables where table_catalog = ? and table_name ="
        " 'int_consents__in_force'",
        [warehouse],
    ).fetchall()[0][0]
    if delivered:
        database.execute(
            "insert into gov_consent select consent_id, person_id, 'sud_p2', recipient_type, purpose,"
            f" information_scope, in_force_from, in_force_to from {warehouse}.intermediate.int_consents__in_force"
        )
    lines = _known_by(read_jsonl(ledgers / "consents.jsonl"), day)
    ended = {x["consent_id"]: str(x["received_on"]) for x in reversed(lines) if x["event"] == "revoked"}
    rows = [
        [x["consent_id"], known.living(str(x["person_id"])), x["regime"], x["recipient"], x["purpose"], x["scope"],
         x["effective"], min(filter(None, [x["expires"], ended.get(x["consent_id"])]), default=None)]
        for x in lines if x["event"] == "consent"
    ]  # fmt: skip
    if rows:
        database.executemany("insert into gov_consent values (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def reach(database: duckdb.DuckDBPyConnection, agreement: Agreement, recipient: Party, day: dt.date) -> None:
    """Make ``reach_consent`` and ``reach_person`` (temporary): whose rows this agreement opens on ``day``.

    Withheld whatever the agreement's scope: people with a sealed record, unless it cites the law that opens them;
    a tribe's people, unless it serves their own case or a tribe approved; people known from treatment alone, and those
    chosen because treatment knows them, unless they consent or are the recipient's own clients: that they are known is
    what may not be told.
    """
    purposes = [p for purpose in agreement.purposes for p in _PURPOSES[purpose]]
    database.execute(
        "create or replace temp table reach_consent as select distinct person_id, class, scope, consent_id, purpose,"
        " valid_from, valid_to from gov_consent where valid_from <= $day and coalesce(valid_to > $day, true)"
        " and list_contains($recipients, recipient) and list_contains($purposes, purpose)",
        {"day": day, "recipients": list(_RECIPIENTS[recipient.kind]), "purposes": purposes},
    )
    own = f"person_id in (select person_id from gov_program where program in {_list(recipient.programs or [''])})"
    may_be_told = own
    if Sensitivity.SUD_P2 not in agreement.classes_denied:
        may_be_told += f" or person_id in ({consenting(Sensitivity.SUD_P2, SCOPES)})"
    conditions = ["true" if agreement.people == "everyone" else _in_scope(agreement.people, may_be_told)]
    if not agreement.sealed_records:
        conditions.append("not is_sealed")
    if not (set(agreement.purposes) <= _CASEWORK or agreement.tribes_approve(day)):
        conditions.append("not is_aian")
    conditions.append(f"(not is_known_by_treatment_only or {may_be_told})")
    chosen = " and ".join(conditions)
    database.execute(f"create or replace temp table reach_person as select person_id from gov_person where {chosen}")


def _in_scope(people: People, may_be_told: str) -> str:
    parts = []
    if people.sites:
        parts.append(
            f"person_id in (select person_id from main.fct_enrollment_sbct where site_id in {_list(people.sites)})"
        )
    if people.counties:
        parts.append(f"person_id in (select person_id from main.fct_removal where county in {_list(people.counties)})")
    if people.systems:
        open_ = [s for s in people.systems if s != TREATMENT]
        known = [f"list_has_any(systems, [{', '.join(quoted(s) for s in open_)}])"] if open_ else []
        if TREATMENT in people.systems:
            known.append(f"list_contains(systems, {quoted(TREATMENT)}) and ({may_be_told})")
        parts.append(f"({' or '.join(known)})")
    if people.icwa:
        parts.append("is_icwa")
    chosen = " and ".join(parts)
    if not people.family:
        return f"({chosen})"
    members = "main.brg_family_member"
    return (
        f"(({chosen}) or person_id in (select o.person_id from {members} as o inner join {members} as m"
        f" using (family_id) where m.person_id in (select person_id from gov_person where {chosen})))"
    )


def _list(values: Iterable[str]) -> str:
    return f"({', '.join(quoted(v) for v in values)})"
