"""Whose rows a recipient may see: consent, sealing, tribal approval, protected addresses, expunction.

Two sources of consent are read as one: the consents programs deliver (42 CFR Part 2), and the deployment's own ledger,
which holds what no source delivers (IDEA Part C among them). The ledgers are append-only and say when we learnt a
thing and from when it holds, so that an earlier release's decisions can be explained and are never made again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import duckdb

from expectations.contract import Contract, Table
from expectations.vocabulary import Sensitivity
from pipelines.releases.agreements import Agreement, Kind, Party, People, Purpose
from pipelines.storage import Home, Workspace, append_jsonl, atomic_path, connect, identifier, quoted, read_jsonl

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
    if expires is not None and expires <= effective:
        raise PeopleError("expires: the consent ends before it holds")
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
    """Hide from every partner where a person lives or is served: counties and sites of their rows."""
    append_jsonl(ledger_dir(home) / "protected_addresses.jsonl", [{"person_id": person_id, "recorded_on": recorded_on}])


def _known_by(lines: Iterable[Mapping[str, Any]], day: dt.date) -> list[Mapping[str, Any]]:
    return [x for x in lines if dt.date.fromisoformat(str(x["recorded_on"])) <= day]


# --- expunction ------------------------------------------------------------------------------------------------


def expunge(home: Home, secret: bytes, system: str, record_id: Sequence[str], *, order_date: dt.date) -> None:
    """Record an order to forget a person's record in ``system``. ``record_id`` has the source's own key parts.

    Only a keyed hash is kept, so the ledger of the forgotten names nobody, and an old file that brings the record
    again is recognised.
    """
    mark = _tombstone(secret, system, record_id)
    append_jsonl(ledger_dir(home) / "expunctions.jsonl", [{"system": system, "mark": mark, "order_date": order_date}])


def _tombstone(secret: bytes, system: str, record_id: Sequence[str]) -> str:
    text = "\x1f".join([system, *record_id])
    return hmac.new(secret, b"expunged\x1f" + text.encode("utf-8"), hashlib.sha256).hexdigest()


def drop_expunged(home: Home, workspace: Workspace, contracts: Mapping[str, Contract], secret: bytes) -> int:
    """Take expunged people out of the current state of every table, and return the number of rows taken out.

    Everything downstream is made from the current state, so nothing made later holds them. Called each night after
    landing, whatever was delivered: an old file cannot bring anyone back.
    """
    marks = {(x["system"], x["mark"]) for x in read_jsonl(ledger_dir(home) / "expunctions.jsonl")}
    dropped = 0
    for system in sorted({s for s, _ in marks}):
        contract = contracts.get(system)
        if contract is None:
            continue
        keys = _person_keys(contract)
        for table in contract.tables.values():
            path = workspace.current(system, table.name)
            if path.exists():
                dropped += _drop_rows(path, table, keys, {m for s, m in marks if s == system}, system, secret)
    return dropped


def _person_keys(contract: Contract) -> set[tuple[str, ...]]:
    """Every way in which a column, or several, of this source name a person."""
    keys: set[tuple[str, ...]] = set()
    for table in contract.tables.values():
        keys |= {tuple(p.record_id) for p in table.persons}
        keys |= {tuple(k) for r in table.relationships for k in (r.person, r.related)}
        keys |= {tuple(m.person) for m in table.memberships}
    # Some keys hold more than the number (a birth date beside it): the number alone is the person's too.
    return keys | {(k[0],) for k in keys if len(k) > 1 and (k[0],) in keys}


def _drop_rows(
    path: Path, table: Table, keys: set[tuple[str, ...]], marks: set[str], system: str, secret: bytes
) -> int:
    found = {k for k in keys if set(k) <= set(table.by_name)}
    # victim_person_id is a person_id too, though no contract says that its rows are about people.
    found |= {
        (c.name,)
        for c in table.columns
        for k in keys
        if len(k) == 1 and c.sensitivity is Sensitivity.SOURCE_KEY and c.name.endswith(f"_{k[0]}")
    }
    with connect() as database:
        source = f"read_parquet({quoted(path)})"
        doomed: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for key in sorted(found):
            names = ", ".join(f"{identifier(c)}::varchar" for c in key)
            for values in database.execute(f"select distinct {names} from {source}").fetchall():
                if None not in values and _tombstone(secret, system, values) in marks:
                    doomed.setdefault(key, []).append(tuple(values))
        if not doomed:
            return 0
        conditions = [
            "(" + " and ".join(f"coalesce({identifier(c)}::varchar = {quoted(v)}, false)" for c, v in
                               zip(key, values, strict=True)) + ")"
            for key, rows in doomed.items()
            for values in rows
        ]  # fmt: skip
        where = " or ".join(conditions)
        count = database.execute(f"select count(*) from {source} where {where}").fetchall()[0][0]
        with atomic_path(path) as temporary:
            database.execute(
                f"copy (select * from {source} where not ({where})) to {quoted(temporary)}"
                " (format parquet, compression zstd)"
            )
    return int(count)


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
    if protected:
        database.executemany("insert into gov_protected values (?)", [[x["person_id"]] for x in protected])
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
    database.execute(
        f"""create or replace temp table gov_person as
        select p.*, coalesce(s.systems, []) as systems,
            coalesce(s.systems = ['behavioral_health'], false) as is_known_by_treatment_only,
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
        [x["consent_id"], x["person_id"], x["regime"], x["recipient"], x["purpose"], x["scope"], x["effective"],
         min(filter(None, [x["expires"], ended.get(x["consent_id"])]), default=None)]
        for x in lines if x["event"] == "consent"
    ]  # fmt: skip
    if rows:
        database.executemany("insert into gov_consent values (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def reach(database: duckdb.DuckDBPyConnection, agreement: Agreement, recipient: Party, day: dt.date) -> None:
    """Make ``reach_consent`` and ``reach_person`` (temporary): whose rows this agreement opens on ``day``.

    Withheld whatever the agreement's scope: people with a sealed record, unless it cites the law that opens them;
    a tribe's people, unless it serves their own case or a tribe approved; people known from treatment alone, unless
    they consent, because that they are known is what may not be told.
    """
    purposes = [p for purpose in agreement.purposes for p in _PURPOSES[purpose]]
    database.execute(
        "create or replace temp table reach_consent as select distinct person_id, class, scope, consent_id, purpose,"
        " valid_from, valid_to from gov_consent where valid_from <= $day and coalesce(valid_to > $day, true)"
        " and list_contains($recipients, recipient) and list_contains($purposes, purpose)",
        {"day": day, "recipients": list(_RECIPIENTS[recipient.kind]), "purposes": purposes},
    )
    conditions = ["true" if agreement.people == "everyone" else _in_scope(agreement.people)]
    if not agreement.sealed_records:
        conditions.append("not is_sealed")
    if not (set(agreement.purposes) <= _CASEWORK or agreement.tribes_approve(day)):
        conditions.append("not is_aian")
    hidden = "is_known_by_treatment_only"
    if Sensitivity.SUD_P2 not in agreement.classes_denied:
        hidden += f" and person_id not in ({consenting(Sensitivity.SUD_P2, SCOPES)})"
    conditions.append(f"not ({hidden})")
    chosen = " and ".join(conditions)
    database.execute(f"create or replace temp table reach_person as select person_id from gov_person where {chosen}")


def _in_scope(people: People) -> str:
    parts = []
    if people.sites:
        parts.append(
            f"person_id in (select person_id from main.fct_enrollment_sbct where site_id in {_list(people.sites)})"
        )
    if people.counties:
        parts.append(f"person_id in (select person_id from main.fct_removal where county in {_list(people.counties)})")
    if people.systems:
        parts.append(f"list_has_any(systems, [{', '.join(quoted(s) for s in people.systems)}])")
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
