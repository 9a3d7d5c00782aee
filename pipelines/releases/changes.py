"""What a change of agreements opens or closes, in words, before it takes effect.

Compared are not two texts but what holds: for the day asked, and for every later day on which an agreement of either
side begins or ends. What is neither opened nor closed (a legal basis, an approval) is told as changed.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from pipelines.releases.agreements import Agreement, Book, People

#: (sentence with ``{table}`` where it is about one, table or nothing).
_Told = tuple[str, str | None]


def differences(old: Book, new: Book, day: dt.date) -> list[str]:
    """What ``new`` opens or closes compared with ``old``, one sentence each, from ``day`` on."""
    lines: list[str] = []
    said: set[str] = set()
    for now in sorted({day, *(d for book in (old, new) for d in _turns(book) if d > day)}):
        told = _on(old, new, now)
        when = "" if now == day else f"from {now} on: "
        lines += [when + line for line in told if line not in said]
        said |= set(told)
    return lines


def _turns(book: Book) -> list[dt.date]:
    """Days on which something begins or ends."""
    found = []
    for agreement in book.agreements.values():
        found += [agreement.effective, agreement.expires]
        found += [d for d in (agreement.withdrawn,) if d]
        found += [d for a in agreement.tribal_approvals for d in (a.date, a.until, a.withdrawn) if d]
    return found


def _on(old: Book, new: Book, day: dt.date) -> list[str]:
    before, after = old.partners(day), new.partners(day)
    told: list[str] = []
    for partner in sorted({*before, *after}):
        told += _partner(partner, before.get(partner, []), after.get(partner, []), old, new, day)
    signed_before, signed_now = old.declassified(), new.declassified()
    for table, column in sorted({*signed_before, *signed_now}):
        was, is_ = (side.get((table, column), frozenset()) for side in (signed_before, signed_now))
        told += [f"opens: {table}.{column} no longer counts as {c}" for c in sorted(is_ - was)]
        told += [f"closes: {table}.{column} counts as {c} again" for c in sorted(was - is_)]
    return told


def _partner(
    partner: str, before: list[Agreement], after: list[Agreement], old: Book, new: Book, day: dt.date
) -> list[str]:
    if not before:
        tables = sorted({t for a in after for t in a.datasets})
        return [f"opens: {partner} begins to receive {len(tables)} tables: {', '.join(tables)}"]
    if not after:
        return [f"closes: {partner} receives nothing any more; destruction is due"]
    was, is_ = ({t: a for a in side for t in a.datasets} for side in (before, after))
    told: list[_Told] = []
    for table in sorted({*was, *is_}):
        told += _table(partner, table, was.get(table), is_.get(table), day)
    lines = _together(told, len(is_))
    purposes_before, purposes_now = ({p for a in side for p in a.purposes} for side in (before, after))
    lines += [f"opens: {partner}: purpose {p}" for p in sorted(purposes_now - purposes_before)]
    lines += [f"closes: {partner}: purpose {p}" for p in sorted(purposes_before - purposes_now)]
    pairs = {(was[t].agreement, is_[t].agreement) for t in sorted(set(was) & set(is_))}
    terms = [line for x, y in sorted(pairs) for line in _terms(partner, old, new, x, y)]
    lines += list(dict.fromkeys(terms))
    a, b = old.parties[partner], new.parties[partner]
    if a.kind != b.kind:
        lines.append(f"opens: {partner} counts as {b.kind} instead of {a.kind}: other people's consents cover it")
    if set(a.systems) != set(b.systems):
        named = ", ".join(b.systems) or "none"
        lines.append(f"changes: {partner}: its own sources are {named} instead of {', '.join(a.systems) or 'none'}")
    lines += [f"opens: {partner}: {p} is its own program" for p in sorted(set(b.programs) - set(a.programs))]
    lines += [f"closes: {partner}: {p} is not its program" for p in sorted(set(a.programs) - set(b.programs))]
    if a.public_key != b.public_key:
        lines.append(f"changes: {partner}: another key opens its sealed files" if b.public_key else
                     f"opens: {partner}: it has no key any more")  # fmt: skip
    return lines


def _together(told: list[_Told], tables: int) -> list[str]:
    """One line for one sentence, whatever number of tables it is true of."""
    of: dict[str, list[str]] = defaultdict(list)
    for sentence, table in told:
        of[sentence] += [table] if table else []
    lines = []
    for sentence, named in of.items():
        words = "all its tables" if len(named) == tables > 1 else ", ".join(named)
        lines.append(sentence.replace("{table}", words))
    return lines


def _table(partner: str, table: str, x: Agreement | None, y: Agreement | None, day: dt.date) -> list[_Told]:
    if x is None and y is not None:
        return [(f"opens: {partner} sees table {table} ({', '.join(y.datasets[table].columns)})", None)]
    if y is None:
        return [(f"closes: {partner} no longer sees table {table}", None)]
    assert x is not None
    told: list[_Told] = []
    a, b = x.datasets[table], y.datasets[table]
    if added := sorted(set(b.columns) - set(a.columns)):
        told.append((f"opens: {partner} sees {table}.{{{', '.join(added)}}}", None))
    if removed := sorted(set(a.columns) - set(b.columns)):
        told.append((f"closes: {partner} no longer sees {table}.{{{', '.join(removed)}}}", None))
    for column in sorted({*a.rows, *b.rows}):
        if column not in b.rows:
            told.append((f"opens: {partner} sees rows of {table} whatever their {column}", None))
        elif column not in a.rows:
            values = ", ".join(b.rows[column])
            told.append((f"closes: {partner} sees only rows of {table} with {column} in {values}", None))
        else:
            for value in sorted(set(b.rows[column]) - set(a.rows[column])):
                told.append((f"opens: {partner} sees rows of {table} with {column} = {value}", None))
            for value in sorted(set(a.rows[column]) - set(b.rows[column])):
                told.append((f"closes: {partner} no longer sees rows of {table} with {column} = {value}", None))
    if x.people != y.people:
        told.append((_people(partner, x.people, y.people), table))
    for found in sorted(x.denied(table) - y.denied(table)):
        told.append((f"opens: {partner}: class {found} is no longer denied in {{table}}", table))
    for found in sorted(y.denied(table) - x.denied(table)):
        told.append((f"closes: {partner}: class {found} is denied in {{table}}", table))
    for mode, words in (("files", "as files"), ("postgres", "from PostgreSQL")):
        if (mode in x.delivery.modes) != (mode in y.delivery.modes):
            verb = "opens" if mode in y.delivery.modes else "closes"
            told.append((f"{verb}: {partner} gets {{table}} {words}", table))
    if x.tribes_approve(day) != y.tribes_approve(day):
        verb, words = ("opens", "holds") if y.tribes_approve(day) else ("closes", "no longer holds")
        told.append((f"{verb}: {partner}: a tribe's approval {words} for {{table}}", table))
    return told


def _people(partner: str, x: People | str, y: People | str) -> str:
    if isinstance(y, str):
        return f"opens: {partner} sees {{table}} for everyone"
    if isinstance(x, str):
        return f"closes: {partner} sees {{table}} only for people chosen by {_conditions(y)}"
    return f"changes: {partner} sees {{table}} for people chosen by {_conditions(y)} instead of {_conditions(x)}"


def _conditions(people: People) -> str:
    given = people.model_dump(exclude_none=True, exclude={"family"})
    words = [f"{k} {', '.join(v) if isinstance(v, list) else ''}".strip() for k, v in given.items()]
    return " and ".join(words) + (", with their families" if people.family else "")


def _terms(partner: str, old: Book, new: Book, before: str, after: str) -> list[str]:
    x, y = old.agreements[before], new.agreements[after]
    told = []
    if x.suppression.threshold != y.suppression.threshold:
        verb = "opens" if y.suppression.threshold < x.suppression.threshold else "closes"
        told.append(
            f"{verb}: {partner}: counts from {y.suppression.threshold} on are shown,"
            f" before from {x.suppression.threshold}"
        )
    was, now = old.ends(x), new.ends(y)
    if was != now:
        told.append(f"{'opens' if now > was else 'closes'}: {partner}: holds until {now} instead of {was}")
    if bool(x.sealed_records) != bool(y.sealed_records):
        told.append(f"{'opens' if y.sealed_records else 'closes'}: {partner}: sealed records")
    if x.delivery.ids != y.delivery.ids:
        verb = "opens" if y.delivery.ids == "shared" else "closes"
        told.append(f"{verb}: {partner}: IDs that join with other partners' files")
    if x.delivery.encrypted != y.delivery.encrypted:
        verb, words = ("closes", "sealed to its key") if y.delivery.encrypted else ("opens", "no longer sealed")
        told.append(f"{verb}: {partner}: its files are {words}")
    told += [
        f"changes: {partner}: {field} is {_said(y, field)} instead of {_said(x, field)}"
        for field in ("agreement", "title", "redisclosure", "retention_days", "destruction_proof_due_days",
                      "legal_basis", "disclosers", "requested_by", "approvals")
        if _said(x, field) != _said(y, field)
    ]  # fmt: skip
    return told


def _said(agreement: Agreement, field: str) -> str:
    if field == "disclosers":
        return ", ".join(agreement.parties.disclosers)
    if field == "approvals":
        return ", ".join(f"{a.by} ({a.date})" for a in agreement.approvals)
    value = getattr(agreement, field)
    return "; ".join(value) if isinstance(value, list) else str(value)
