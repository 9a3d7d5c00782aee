"""Telling someone: a line in a file, and an e-mail or a webhook where the jurisdiction wants one.

No service and no paid tier is needed. An alert carries names of systems, checks and files, and counts; never a value.
A channel that fails is written to the alert file and never stops a night.
"""

from __future__ import annotations

import datetime as dt
import json
import smtplib
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from expectations.contract import Contract
from pipelines.landing import LateTable, late_files
from pipelines.settings import Email, Jurisdiction, SettingsError, Webhook, get_settings, load_jurisdiction
from pipelines.storage import Home, append_jsonl, read_jsonl

_ATTEMPTS = 3
_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Alert:
    """One thing to tell. ``key`` names the event: an alert with a key that was sent before is not sent again."""

    key: str
    subject: str
    lines: tuple[str, ...] = ()


def send(home: Home, alert: Alert, jurisdiction: Jurisdiction | None = None) -> bool:
    """Send ``alert`` on every configured channel, once per key. Returns whether it was new."""
    try:
        jurisdiction = jurisdiction or load_jurisdiction(home.root)
        channels, file = jurisdiction.alerts, home.root / jurisdiction.alerts.file
        name = jurisdiction.name
    except SettingsError:
        # The broken configuration may be the very thing to tell.
        channels, file, name = None, home.log_dir / "alerts.jsonl", home.root.name
    if any(line.get("key") == alert.key for line in read_jsonl(file)):
        return False
    record: dict[str, Any] = {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "key": alert.key,
        "subject": alert.subject,
        "lines": list(alert.lines),
    }
    subject = f"[Kinweave {name}] {alert.subject}"
    if channels and channels.email:
        record["email"] = _attempt(lambda: _email(channels.email, subject, alert))
    if channels and channels.webhook:
        record["webhook"] = _attempt(lambda: _webhook(channels.webhook, subject, alert))
    append_jsonl(file, [record])
    return True


def _attempt(deliver: Any) -> str:
    """Call ``deliver`` up to three times. Returns ``sent`` or why not (the kind of error, never its text)."""
    reason = ""
    for attempt in range(_ATTEMPTS):
        try:
            deliver()
            return "sent"
        except (OSError, smtplib.SMTPException, ValueError) as error:
            reason = type(error).__name__
            if isinstance(error, urllib.error.HTTPError):
                reason = f"HTTP {error.code}"
            if attempt + 1 < _ATTEMPTS:
                time.sleep(2**attempt)
    return f"failed: {reason}"


def _email(email: Email | None, subject: str, alert: Alert) -> None:
    assert email is not None
    message = EmailMessage()
    message["Subject"] = subject.replace("\n", " ").replace("\r", " ")
    message["From"] = email.sender
    message["To"] = ", ".join(email.to)
    message.set_content("\n".join(alert.lines) or alert.subject)
    with smtplib.SMTP(email.host, email.port, timeout=_TIMEOUT_SECONDS) as server:
        if email.starttls:
            server.starttls()
        password = get_settings().smtp_password
        if email.user and password:
            server.login(email.user, password)
        server.send_message(message)


def _webhook(webhook: Webhook | None, subject: str, alert: Alert) -> None:
    assert webhook is not None
    headers = {"Content-Type": "application/json"}
    token = get_settings().webhook_token
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps({"text": "\n".join([subject, *alert.lines]), "key": alert.key}).encode("utf-8")
    request = urllib.request.Request(webhook.url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):
        pass


def late_alerts(home: Home, contracts: Mapping[str, Contract], today: dt.date) -> list[Alert]:
    """An alert for every source with a table that is late on ``today`` by its contract (none before any delivery)."""
    if not any(line["status"] == "accepted" for line in read_jsonl(home.delivery_log)):
        return []
    late: dict[str, list[LateTable]] = {}
    for table in late_files(home, contracts, today):
        late.setdefault(table.system, []).append(table)
    return [
        Alert(
            key="late:" + system + ":" + ",".join(f"{t.table}={t.last_delivered_on}" for t in tables),
            subject=f"{system}: {len(tables)} tables are late",
            lines=(
                *(f"{t.file}: {t.finding.rule}, last delivered {t.last_delivered_on or 'never'}." for t in tables),
                f"Office to ring: {contracts[system].steward.office}.",
            ),
        )
        for system, tables in late.items()
    ]
