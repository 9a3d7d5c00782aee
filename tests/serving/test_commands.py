"""The verbs, from a published release to a partner's query; and the asset, for those who want one."""

import datetime as dt
import shutil

import psycopg
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.releases.accounting import log_of, verify_audit
from pipelines.releases.serve import throwaway
from pipelines.settings import get_settings
from pipelines.storage import read_jsonl
from tests.releases.small_governed import AGREEMENTS, build, publish_it
from tests.serving.partner_folders import DEMO, TODAY


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A deployment with a release, as the demo leaves one behind. One agreement is served."""
    served = {
        "effective": TODAY - dt.timedelta(9),
        "expires": TODAY + dt.timedelta(9),
        "delivery": {"modes": ["postgres"]},
    }
    made = build(tmp_path_factory.mktemp("home"), agreements=[{**AGREEMENTS[-1], **served}])
    shutil.copy(DEMO.parent / "jurisdiction.yml", made.jurisdiction)
    publish_it(made, day=TODAY)
    return made


def run(*arguments):
    done = CliRunner().invoke(app, ["serve", *map(str, arguments)])
    return done.exit_code, done.output


def test_prepare_load_grants_revoke_resume(server, home):
    with psycopg.connect(server.uri(), autocommit=True) as connection:
        connection.execute("create database commands template template0")
    admin, owner = server.uri(database="commands"), server.uri("kinweave_owner", "commands")
    assert run("prepare", "--home", home.root, "--database", admin)[0] == 0
    code, told = run("grants", "--home", home.root, "--database", admin)
    assert (code, "load the release" in told) == (1, True)  # nothing is there yet
    code, told = run("load", "--home", home.root, "--database", owner)
    assert (code, "is served" in told) == (0, True)
    assert [e["action"] for e in read_jsonl(log_of(home))][-1] == "served"
    assert verify_audit(log_of(home)) == []
    code, told = run("grants", "--home", home.root, "--database", admin)
    assert (code, "partner_public dim_site (site_id, site_name)" in told) == (0, True)
    with psycopg.connect(server.uri("partner_public", "commands"), autocommit=True) as public:
        assert public.execute("select count(*) from dim_site").fetchone() == (2,)
        code, told = run("revoke", "pubic", "--home", home.root, "--database", owner)
        assert (code, "knows no partner pubic" in told) == (1, True)
        assert run("revoke", "public", "--home", home.root, "--database", owner)[0] == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            public.execute("select count(*) from dim_site")
        assert run("resume", "public", "--home", home.root, "--database", owner)[0] == 0
        assert run("load", "--home", home.root, "--database", owner)[0] == 0
        assert public.execute("select count(*) from dim_site").fetchone() == (2,)
    assert run("password", "public", "--home", home.root, "--database", admin)[0] == 0
    told = [(e["action"], e.get("partner")) for e in read_jsonl(log_of(home))][-4:]
    assert told == [("serving stopped", "public"), ("serving resumed", "public"), ("served", None),
                    ("password given", "public")]  # fmt: skip


def test_what_is_missing_is_said_in_a_line(server, home, monkeypatch):
    monkeypatch.delenv("KINWEAVE_POSTGRES", raising=False)
    get_settings.cache_clear()
    code, told = run("load", "--home", home.root)
    assert (code, "set KINWEAVE_POSTGRES" in told) == (1, True)
    with psycopg.connect(server.uri(), autocommit=True) as connection:
        connection.execute("create database unprepared template template0")
    code, told = run("revoke", "public", "--home", home.root, "--database", "host=/nowhere user=nobody dbname=none")
    assert (code, "PostgreSQL" in told, "Traceback" in told) == (1, True, False)


def test_without_postgresql_on_the_machine_the_demo_says_what_to_install(home, monkeypatch):
    monkeypatch.setattr(throwaway.Path, "glob", lambda *_: iter(()))
    monkeypatch.setattr(throwaway.shutil, "which", lambda _: None)
    code, told = run("demo", "--home", home.root)
    assert (code, "apt-get install postgresql" in told) == (1, True)


def test_the_demo_starts_tells_how_to_connect_by_password_and_stops(home, unused_port):
    code, told = run("demo", "--home", home.root, "--port", unused_port, "--background")
    try:
        assert code == 0, told
        (address,) = [w for line in told.splitlines() for w in line.split() if "partner_public:" in w]
        with psycopg.connect(address) as connection:
            assert connection.execute("select count(*) from dim_site").fetchone() == (2,)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://partner_public:wrong@127.0.0.1:{unused_port}/kinweave")
        assert run("demo", "--home", home.root)[0] == 1  # one at a time
    finally:
        assert run("demo", "--home", home.root, "--stop")[0] == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address)


def test_a_port_that_is_taken_is_said(home, unused_port):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", unused_port))
        other.listen()
        code, told = run("demo", "--home", home.root, "--port", unused_port)
    assert (code, f"port {unused_port} of this machine is taken" in told) == (1, True)


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_only_a_deployment_that_names_a_database_has_the_asset(server, home, monkeypatch):
    import dagster as dg

    from pipelines.defs.resources import Deployment
    from pipelines.defs.serving import serving

    monkeypatch.delenv("KINWEAVE_POSTGRES", raising=False)
    get_settings.cache_clear()
    assert list(serving().assets or []) == []
    with psycopg.connect(server.uri(), autocommit=True) as connection:
        connection.execute("create database asset template template0")
    assert run("prepare", "--home", home.root, "--database", server.uri(database="asset"))[0] == 0
    monkeypatch.setenv("KINWEAVE_POSTGRES", server.uri("kinweave_owner", "asset"))
    get_settings.cache_clear()
    try:
        (asset,) = serving().assets
        done = dg.materialize([asset], resources={"deployment": Deployment(home=str(home.root))})
        assert done.success
        with psycopg.connect(server.uri("partner_public", "asset")) as public:
            assert public.execute("select count(*) from dim_site").fetchone() == (2,)
    finally:
        get_settings.cache_clear()
