"""The account: what about whom went to whom, when, why, under which consent; and a log that nobody can quietly change.

Each release carries its own account, so that it appears with the release or not at all; afterwards a copy goes to the
vault, where it outlives the release. The audit log says who did what to which object, and never a value.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.releases.agreements import Book
from pipelines.releases.manifest import ReleaseError, canonical_json, read_manifest
from pipelines.releases.people import lineages
from pipelines.releases.signing import signing_key
from pipelines.storage import (
    Home,
    append_jsonl,
    atomic_path,
    connect,
    identifier,
    locked,
    quoted,
    read_jsonl,
    write_json,
)

if TYPE_CHECKING:
    from pipelines.releases.partners import Governance

_START = "0" * 64


# --- audit log -------------------------------------------------------------------------------------------------


def audit(log: Path, action: str, **facts: Any) -> None:
    """Append one event to the hash-chained log. ``facts`` name objects and counts, never a person or a value."""
    with locked(log.with_suffix(".lock")):
        lines = read_jsonl(log)
        event = {
            "number": len(lines) + 1,
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "who": _who(),
            "action": action,
            **facts,
            "previous": lines[-1]["hash"] if lines else _START,
        }
        append_jsonl(log, [{**event, "hash": _hash(event)}])


def _who() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _hash(event: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(event).encode("utf-8")).hexdigest()


def verify_audit(log: Path) -> list[str]:
    """Lines that were changed, removed or put in between, by number; empty when the chain holds.

    Lines taken off the end cannot be seen from the log alone: the last hash also stands in every published release.
    """
    previous, problems = _START, []
    for number, line in enumerate(read_jsonl(log), start=1):
        event = {k: v for k, v in line.items() if k != "hash"}
        if line.get("previous") != previous or line.get("number") != number or _hash(event) != line.get("hash"):
            problems.append(f"{log.name}, line {number}: the chain is broken")
        previous = str(line.get("hash"))
    return problems


# --- disclosures -----------------------------------------------------------------------------------------------


def _accounts(ledgers: Path) -> Path:
    return ledgers / "disclosures"


def log_of(home: Home) -> Path:
    """Where the audit log of a deployment lies."""
    return home.log_dir / "audit.jsonl"


def _log(governance: Governance) -> Path:
    return log_of(Home(governance.vault.parent))


def settle(releases_dir: Path, governance: Governance) -> None:
    """Copy the account of every published release into the vault, once. Safe to repeat after a kill."""
    log = _log(governance)
    for folder in sorted(p for p in releases_dir.iterdir() if p.is_dir() and not p.name.startswith(".")):
        source = folder / "governance" / "disclosures.parquet"
        target = _accounts(governance.ledgers) / f"{folder.name}.parquet"
        if not source.exists() or target.exists():
            continue
        # The log first: once the copy is there, nobody comes back to it.
        told = {e["partner"] for e in read_jsonl(log) if e["action"] == "published" and e["release_id"] == folder.name}
        for partner, tables in sorted(read_manifest(folder).get("partners", {}).items()):
            if partner not in told:
                audit(log, "published", partner=partner, release_id=folder.name, tables=len(tables))
        with connect() as database, atomic_path(target) as temporary:
            database.execute(
                f"copy (select d.*, a.purposes, a.legal_basis, {quoted(folder.name)} as release_id,"
                f" date {quoted(governance.day.isoformat())} as disclosed_on"
                f" from read_parquet({quoted(source)}) as d inner join"
                f" read_parquet({quoted(folder / 'governance' / 'gov_agreement.parquet')}) as a using (agreement_id)"
                f" order by all) to {quoted(temporary)} (format parquet)"
            )


def disclosures(home: Home, person_id: str, *, since: dt.date | None = None) -> list[dict[str, Any]]:
    """What of this person went to whom: one row per release, partner and table, newest first.

    ``consent_ids`` names the consents that were in force for the recipient where the law wanted one. A release that
    was delivered by no agreement is in nobody's account, because it went to nobody. What was disclosed under an ID that
    linkage has merged into this one, or split it from, counts.
    """
    files = sorted(_accounts(home.root / "vault" / "governance").glob("*.parquet"))
    if not files:
        return []
    under = lineages(home.root / "vault").before(person_id)
    with connect() as database:
        cursor = database.execute(
            f"select disclosed_on, release_id, partner, agreement_id, table_name, row_count, purposes, legal_basis,"
            f" consent_ids from read_parquet([{', '.join(quoted(f) for f in files)}])"
            f" inner join (select unnest($ids) as person_id, unnest($untils::date[]) as until) using (person_id)"
            f" where disclosed_on >= coalesce($since, disclosed_on) and coalesce(disclosed_on < until, true)"
            f" order by disclosed_on desc, release_id desc, partner, table_name",
            {"ids": list(under), "untils": list(under.values()), "since": since},
        )
        names = [str(d[0]) for d in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _about(table: str, present: set[str]) -> str | None:
    """SQL for the rows of a table that are about ``$person``, themselves or through another table's row."""
    from pipelines.releases.partners import marts

    mart = marts()[table]
    parts = [f"{identifier(c)} = $person" for c in [*mart.people, *mart.also]]
    for key, other in mart.through.items():
        if other in present and (inner := _about(other, present)):
            parts.append(f"{identifier(key)} in (select {identifier(key)} from {identifier(other)} where {inner})")
    if mart.family and "brg_family_member" in present:
        parts.append(
            f"{identifier(mart.family)} in (select family_id from brg_family_member where person_id = $person)"
        )
    return " or ".join(parts) or None


def right_to_see(home: Home, folder: Path, person_id: str, target: Path) -> list[str]:
    """Everything the release in ``folder`` holds about one person, as one readable JSON file; returns its tables.

    For the person, not for a partner: rows about them by any of a table's person columns, rows that belong to these,
    their families, what was disclosed, and the consents on record.
    """
    from pipelines.releases.manifest import open_release
    from pipelines.releases.partners import marts

    told: dict[str, Any] = {}
    with open_release(folder) as database:
        present = {r[0] for r in database.execute("select table_name from duckdb_tables()").fetchall()}
        for name in sorted(set(marts()) & present):
            if (where := _about(name, present)) is None:
                continue
            cursor = database.execute(f"from {identifier(name)} where {where} order by all", {"person": person_id})
            names = [str(d[0]) for d in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            if rows:
                told[name] = rows
    ledger = read_jsonl(home.root / "vault" / "governance" / "consents.jsonl")
    ids = lineages(home.root / "vault").before(person_id)
    mine = {x["consent_id"] for x in ledger if x.get("person_id") in ids}
    write_json(
        target,
        {
            "release_id": folder.name,
            "records": told,
            "disclosures": disclosures(home, person_id),
            "consents": [x for x in ledger if x["consent_id"] in mine],
        },
        mode=0o600,
    )
    return sorted(told)


# --- retention and destruction ---------------------------------------------------------------------------------


def certify_destruction(home: Home, folder: Path, day: dt.date) -> None:
    """Write a signed certificate that this release's files are destroyed here on ``day``, before they are."""
    manifest = read_manifest(folder)
    target = home.root / "vault" / "governance" / "certificates" / f"{folder.name}.json"
    if target.exists():
        return
    statement = {
        "release_id": folder.name,
        "destroyed_on": day.isoformat(),
        "where": "the house's own copy",
        "files": {name: facts["sha256"] for name, facts in manifest["files"].items()},
    }
    signature = signing_key(home.root / "vault").sign(canonical_json(statement).encode("utf-8")).hex()
    log = log_of(home)
    if not any(e["action"] == "destroyed" and e["release_id"] == folder.name for e in read_jsonl(log)):
        audit(log, "destroyed", release_id=folder.name, files=len(statement["files"]))
    write_json(target, {**statement, "signature": signature})


def record_destruction(home: Home, partner: str, release_id: str, proof: Path, *, on: dt.date) -> None:
    """Note that a partner proved the destruction of its copy of a release. The proof's hash is kept, not the proof.

    Raises :class:`ReleaseError` when the account knows of no such copy.
    """
    account = _accounts(home.root / "vault" / "governance") / f"{release_id}.parquet"
    copies: list[Any] = []
    if Path(release_id).name == release_id and account.exists():
        with connect() as database:
            copies = database.execute(
                f"select 1 from read_parquet({quoted(account)}) where partner = $partner limit 1", {"partner": partner}
            ).fetchall()
    if not copies:
        raise ReleaseError(f"nothing of release {release_id} about anybody went to {partner}")
    digest = hashlib.sha256(proof.read_bytes()).hexdigest()
    append_jsonl(
        home.root / "vault" / "governance" / "destructions.jsonl",
        [{"partner": partner, "release_id": release_id, "on": on, "proof_sha256": digest}],
    )
    audit(log_of(home), "destruction proved", partner=partner, release_id=release_id)


def destructions_due(home: Home, book: Book, day: dt.date) -> list[dict[str, Any]]:
    """Copies partners may no longer keep: past retention, or of an agreement that no longer holds, without proof.

    One row per partner and release: since when it should be gone, when its proof is due, and whether that has passed.
    """
    proved = {
        (x["partner"], x["release_id"]) for x in read_jsonl(home.root / "vault" / "governance" / "destructions.jsonl")
    }
    files = sorted(_accounts(home.root / "vault" / "governance").glob("*.parquet"))
    if not files:
        return []
    with connect() as database:
        rows = database.execute(
            "select distinct partner, release_id, agreement_id, disclosed_on from"
            f" read_parquet([{', '.join(quoted(f) for f in files)}]) order by all"
        ).fetchall()
    due: dict[tuple[str, str], dict[str, Any]] = {}
    for partner, release_id, agreement_id, disclosed_on in rows:
        agreement = book.agreements.get(agreement_id)
        if (partner, release_id) in proved:
            continue
        # An agreement whose file was taken away holds no more: its copies are due like those of one that ended.
        gone_since, days = day, 30
        if agreement is not None:
            ends = [disclosed_on + dt.timedelta(days=agreement.retention_days), agreement.expires]
            gone_since = min([*ends, *([agreement.withdrawn] if agreement.withdrawn else [])])
            days = agreement.destruction_proof_due_days
        if gone_since <= day:
            proof_due = gone_since + dt.timedelta(days=days)
            due[partner, release_id] = {
                "partner": partner,
                "release_id": release_id,
                "to_be_gone_since": gone_since,
                "proof_due": proof_due,
                "is_overdue": proof_due < day,
            }
    return [due[k] for k in sorted(due)]


# --- the register ----------------------------------------------------------------------------------------------


def register(book: Book, day: dt.date, jurisdiction: str) -> str:
    """The public register of data use as one HTML page: who gets which tables, why, on what ground, until when."""

    def cell(text: Any) -> str:
        return f"<td>{html.escape(str(text))}</td>"

    rows = []
    for agreement in book.in_force(day):
        party = book.parties[agreement.recipient]
        asked = f"{agreement.requested_by}; approved by {', '.join(a.by for a in agreement.approvals)}"
        rows.append(
            "<tr>"
            + cell(party.name)
            + cell(agreement.title)
            + cell(", ".join(p.replace("_", " ") for p in agreement.purposes))
            + cell("; ".join(f"{t} ({', '.join(d.columns)})" for t, d in agreement.datasets.items()))
            + cell("; ".join(agreement.legal_basis))
            + cell(", ".join(agreement.classes_denied) or "none")
            + cell(asked)
            + cell(f"{agreement.effective} to the day before {agreement.expires}")
            + "</tr>"
        )
    heads = ("Who", "What", "What for", "Tables and columns", "Legal basis", "Never", "Asked for by", "When")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Register of data use</title><style>'
        "body{font:16px/1.5 sans-serif;margin:2rem;max-width:110rem}table{border-collapse:collapse}"
        "td,th{border:1px solid #999;padding:.4rem;vertical-align:top;text-align:left}</style></head><body>"
        f"<h1>Register of data use: {html.escape(jurisdiction)}</h1><p>As of {day}. Nobody gets anything that is not"
        " listed here. In counts, numbers under eleven are hidden.</p><table><thead><tr>"
        + "".join(f"<th>{h}</th>" for h in heads)
        + "</tr></thead><tbody>"
        + "".join(rows)
        + "</tbody></table></body></html>\n"
    )
