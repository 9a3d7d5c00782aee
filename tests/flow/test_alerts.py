"""Alerts arrive in a file, by e-mail and by webhook, once each, and a dead channel never stops a night."""

import datetime as dt
import http.server
import json
import smtplib
import threading
from typing import ClassVar

import dagster as dg
import pytest

from expectations.contract import load_contracts
from pipelines import alerts, settings
from pipelines.alerts import Alert, late_alerts, send
from pipelines.settings import Jurisdiction
from pipelines.storage import Home, append_jsonl, read_jsonl

ALERT = Alert("run:1", "run of night failed", ("Step failed: warehouse",))


def jurisdiction(**channels) -> Jurisdiction:
    return Jurisdiction.model_validate(
        {
            "name": "Test Valley",
            "time_zone": "UTC",
            "counties": [{"fips": "99001", "name": "Alder"}],
            "alerts": channels,
        }
    )


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch):
    settings.get_settings.cache_clear()
    monkeypatch.setattr(alerts.time, "sleep", lambda seconds: None)
    yield
    settings.get_settings.cache_clear()


@pytest.fixture
def hook():
    """A chat server that refuses as often as ``refusals`` says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        received: ClassVar[list] = []
        refusals = 0

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if Handler.refusals:
                Handler.refusals -= 1
                self.send_response(503)
            else:
                Handler.received.append((self.headers.get("Authorization"), json.loads(body)))
                self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    Handler.received, Handler.refusals = [], 0
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Handler.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield Handler
    server.shutdown()


class Post:
    """Stands in for an SMTP server."""

    sent: ClassVar[list] = []
    logins: ClassVar[list] = []

    def __init__(self, host, port, timeout):
        self.where = (host, port)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def starttls(self):
        pass

    def login(self, user, password):
        Post.logins.append((user, password))

    def send_message(self, message):
        Post.sent.append((self.where, message))


def test_the_file_is_always_written(home):
    assert send(home, ALERT, jurisdiction()) is True
    (line,) = read_jsonl(home.log_dir / "alerts.jsonl")
    assert (line["subject"], line["lines"]) == ("run of night failed", ["Step failed: warehouse"])


def test_one_event_is_told_once(home):
    assert [send(home, ALERT, jurisdiction()) for _ in range(3)] == [True, False, False]
    assert len(read_jsonl(home.log_dir / "alerts.jsonl")) == 1


def test_a_webhook_that_stumbles_is_tried_again(home, hook, monkeypatch):
    monkeypatch.setenv("KINWEAVE_WEBHOOK_TOKEN", "t0ken")
    hook.refusals = 2
    send(home, ALERT, jurisdiction(webhook={"url": hook.url}))
    ((authorization, body),) = hook.received
    assert authorization == "Bearer t0ken"
    assert body["text"] == "[Kinweave Test Valley] run of night failed\nStep failed: warehouse"
    assert read_jsonl(home.log_dir / "alerts.jsonl")[0]["webhook"] == "sent"


def test_a_dead_webhook_is_noted_and_does_not_stop_the_night(home, hook):
    hook.refusals = 99
    assert send(home, ALERT, jurisdiction(webhook={"url": hook.url})) is True
    assert read_jsonl(home.log_dir / "alerts.jsonl")[0]["webhook"] == "failed: HTTP 503"


def test_mail_goes_to_everyone_listed_with_the_password_of_the_environment(home, monkeypatch):
    monkeypatch.setattr(smtplib, "SMTP", Post)
    monkeypatch.setenv("KINWEAVE_SMTP_PASSWORD", "pass")
    Post.sent, Post.logins = [], []
    mail = {"host": "mail.test", "user": "kw", "sender": "kw@test", "to": ["a@test", "b@test"]}
    send(home, ALERT, jurisdiction(email=mail))
    ((where, message),) = Post.sent
    assert where == ("mail.test", 587)
    assert message["To"] == "a@test, b@test"
    assert message["Subject"] == "[Kinweave Test Valley] run of night failed"
    assert Post.logins == [("kw", "pass")]
    assert "pass" not in (home.log_dir / "alerts.jsonl").read_text()


def test_a_broken_jurisdiction_file_does_not_silence_the_alert(home):
    home.jurisdiction.write_text("name: [")
    assert send(home, ALERT) is True
    assert len(read_jsonl(home.log_dir / "alerts.jsonl")) == 1


# --- late files -------------------------------------------------------------------------------------------------


def accepted(system, table, day):
    return {
        "system": system,
        "table": table,
        "status": "accepted",
        "received_on": day,
        "delivery_date": day,
        "delivery_id": f"{day}-x",
    }


def test_a_source_past_its_promised_age_is_told_with_the_office_to_ring(home):
    contracts = {"court": load_contracts()["court"]}
    tables = contracts["court"].tables
    append_jsonl(home.delivery_log, [accepted("court", t, "2026-06-01") for t in tables])
    promised = contracts["court"].delivery.max_age_days
    in_time = dt.date(2026, 6, 1) + dt.timedelta(days=promised)
    assert late_alerts(home, contracts, in_time) == []
    (alert,) = late_alerts(home, contracts, in_time + dt.timedelta(days=1))
    assert alert.subject.startswith("court: ")
    assert f"Office to ring: {contracts['court'].steward.office}." in alert.lines
    assert any("last delivered 2026-06-01" in line for line in alert.lines)


def test_the_same_lateness_is_told_once_and_told_again_when_it_happens_again(home):
    contracts = {"court": load_contracts()["court"]}
    tables = contracts["court"].tables
    append_jsonl(home.delivery_log, [accepted("court", t, "2026-01-01") for t in tables])
    first = late_alerts(home, contracts, dt.date(2026, 6, 1))[0].key
    assert late_alerts(home, contracts, dt.date(2026, 6, 2))[0].key == first
    append_jsonl(home.delivery_log, [accepted("court", t, "2026-06-03") for t in tables])
    assert late_alerts(home, contracts, dt.date(2026, 6, 4)) == []
    assert late_alerts(home, contracts, dt.date(2026, 12, 1))[0].key != first


def test_before_the_first_delivery_nobody_is_late(home):
    assert late_alerts(home, load_contracts(), dt.date(2026, 6, 1)) == []


# --- the sensors ------------------------------------------------------------------------------------------------


def test_the_drop_folder_starts_one_run_per_new_state_and_waits_while_files_arrive(at_home, definitions):
    import os
    import time

    sensor = definitions.resolve_sensor_def("drop_folder")
    instance = dg.DagsterInstance.ephemeral()

    def look(cursor=None):
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        return sensor.evaluate_tick(context)

    assert look().skip_message == "the drop folders are empty"
    file = at_home.inbox("court") / "ct_case_20260601.csv"
    file.write_text("x\n")
    try:
        assert look().skip_message == "files are still arriving"
        os.utime(file, (time.time() - 3600,) * 2)
        first = look()
        (request,) = first.run_requests
        assert "were offered to a run before" in look(first.cursor).skip_message
        file.write_text("x\ny\n")
        os.utime(file, (time.time() - 3600,) * 2)
        (again,) = look(first.cursor).run_requests
        assert again.run_key != request.run_key
    finally:
        file.unlink()


def test_a_failed_run_is_told_with_the_names_of_its_steps_and_nothing_else(at_home, definitions):
    @dg.op
    def careless():
        raise ValueError("CANARY, CORA 77 Canary Row")

    @dg.job
    def night_like():
        careless()

    instance = dg.DagsterInstance.ephemeral()
    result = night_like.execute_in_process(instance=instance, raise_on_error=False)
    event = next(e for e in result.all_events if e.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="tell_run_failure",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=result.dagster_run,
    ).for_run_failure()
    definitions.resolve_sensor_def("tell_run_failure")(context)
    line = read_jsonl(at_home.log_dir / "alerts.jsonl")[-1]
    assert line["lines"] == ["Step failed: careless"]
    assert "CANARY" not in json.dumps(line)


def test_a_failed_check_of_a_run_that_succeeded_is_told(at_home, definitions):
    @dg.asset(check_specs=[dg.AssetCheckSpec("adds_up", asset="table")])
    def table():
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(passed=False, check_name="adds_up", metadata={"rows": 3})

    instance = dg.DagsterInstance.ephemeral()
    result = dg.materialize([table], instance=instance)
    event = next(e for e in result.all_events if e.event_type_value == "PIPELINE_SUCCESS")
    context = dg.build_run_status_sensor_context(
        sensor_name="tell_check_failure",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=result.dagster_run,
    )
    definitions.resolve_sensor_def("tell_check_failure")(context)
    assert read_jsonl(at_home.log_dir / "alerts.jsonl")[-1]["lines"] == ["table: adds_up"]
