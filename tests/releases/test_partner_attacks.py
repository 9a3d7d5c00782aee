"""Attempts to get at what is not allowed: bytes, SQL, links, kills, forgotten people who come back."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from expectations.contract import Contract
from pipelines.releases import current_release, open_release, people, verify
from pipelines.releases.signing import public_key, verify_folder
from pipelines.storage import Home, read_jsonl
from tests.releases.small_governed import TABLES, build, changed, publish_it, rows, tables

REPOSITORY = Path(__file__).parents[2]


# --- canaries --------------------------------------------------------------------------------------------------

#: Whose words may be in whose folder: episodes by person, hearings by docket.
MAY_SEE = {
    "team": {"ZQCAREM1", "ZQHEAR1", "ZQHEAR2"},
    "court": {"ZQHEAR1", "ZQHEAR2", "ZQHEAR3", "ZQHEAR5"},
    "agency": {"ZQHEAR1", "ZQHEAR2", "ZQHEAR3"},
    "clinic": {"ZQCAREM3"},
    "university": set(),
    "nation": set(),
    "public": set(),
}


def texts(path):
    """The bytes of a file, and of what is compressed in it every value."""
    found = [path.read_bytes()]
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        found += [str(table.schema.metadata).encode(), str(table.to_pylist()).encode()]
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as database:
            names = database.execute("select table_name from duckdb_tables()").fetchall()
            found += [str(database.execute(f"from {name}").fetchall()).encode() for (name,) in names]
    return found


def canaries(path):
    import re

    return {m.decode() for text in texts(path) for m in re.findall(rb"ZQCARE[MT][0-9]|ZQHEAR[0-9]", text)}


def test_every_byte_of_every_file_holds_only_whom_its_reader_may_see(tmp_path, capfd):
    home = build(
        tmp_path,
        tables={
            "fct_bh_episode": [(*r[:3], f"ZQCARE{r[1]}") for r in TABLES["fct_bh_episode"][1]],
            "fct_hearing": [(*r[:2], f"ZQHEAR{r[1][-1]}") for r in TABLES["fct_hearing"][1]],
        },
    )
    release = publish_it(home)
    for partner, allowed in MAY_SEE.items():
        found = set()
        for path in (release.folder / "partners" / partner).rglob("*"):
            found |= canaries(path) if path.is_file() else set()
        assert found == allowed, partner
    own = [p for p in release.folder.iterdir() if p.is_file() and p.name != "kinweave.duckdb"]
    logs = [*home.log_dir.iterdir(), *(release.folder / "governance").iterdir()]
    assert not set().union(*(canaries(p) for p in [*own, *logs]))
    assert "ZQ" not in "".join(capfd.readouterr())


# --- SQL and paths ---------------------------------------------------------------------------------------------


NASTY = [
    "x' or '1'='1",
    "'; drop table fct_removal; --",
    "99001\u2019 or true",
    '"',
    "%",
    "../..",
    "alder') or true --",
]


def test_a_value_in_an_agreement_is_a_value_and_no_sql(tmp_path):
    scoped = changed("court", datasets={"fct_removal": {"columns": ["person_id"], "rows": {"county": NASTY}}})
    for agreement in scoped:
        if agreement["parties"]["recipient"] == "team":
            agreement["people"] = {"sites": NASTY}
    release = publish_it(build(tmp_path, agreements=scoped))
    assert tables(release, "court") == {"fct_removal": 0}
    about_people = {t: n for t, n in tables(release, "team").items() if t not in ("measure_rows", "dim_site")}
    assert set(about_people.values()) == {0}


PROBES = [
    "from read_csv('/etc/passwd')",
    "from read_text('/etc/passwd')",
    "from '{other}/kinweave.duckdb'",
    "from read_parquet('{other}/parquet/*.parquet')",
    "from glob('{other}/../*')",
    "attach '{other}/kinweave.duckdb' as o",
    "copy dim_site to '{other}/x.csv'",
    "set enable_external_access = true",
    "install httpfs",
    "create table x as select 1",
    "from fct_bh_episode",
]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return publish_it(build(tmp_path_factory.mktemp("attacked")))


@pytest.mark.parametrize("probe", PROBES)
def test_a_partner_s_file_is_no_way_to_anything_else(published, probe):
    partners = published.folder / "partners"
    with open_release(partners / "public") as database, pytest.raises(duckdb.Error):
        database.execute(probe.format(other=partners / "team")).fetchall()


def test_a_partner_s_folder_holds_no_link_and_nothing_that_can_be_written(published):
    for path in (published.folder / "partners").rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.stat().st_mode & 0o777 == 0o444


# --- pooling and waiting ---------------------------------------------------------------------------------------


def test_all_partners_together_know_no_more_of_a_hidden_count_than_one(published):
    pooled = {}
    for partner in ("team", "university", "public"):
        for stratum, numerator in rows(published, partner, "measure_rows", "stratum_value, numerator"):
            pooled.setdefault(stratum, set()).add(numerator)
    assert pooled == {"all": {60}, "99001": {None}, "99003": {None}, "99005": {30}}


# --- kills -----------------------------------------------------------------------------------------------------

KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from tests.releases.small_governed import AGREEMENTS, TABLES, build, publish_it
    number, left = int(sys.argv[2]), int(sys.argv[3])
    few = [a for a in AGREEMENTS if a["parties"]["recipient"] in ("team", "public")]
    episodes = [(f"B-M1-{n}", "M1", "2025-03-03", "OUTPATIENT") for n in range(number)]
    home = build(Path(sys.argv[1]), agreements=few, tables={"fct_bh_episode": episodes})
    done = 0
    def dying(real):
        def operation(*args, **kwargs):
            global done
            done += 1
            if done == left:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        return operation
    for name in ("fsync", "rename", "replace", "chmod", "mkdir", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))
    publish_it(home, keep=2)
    print(done)
    """
)


def publish_and_die(root, number, step):
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(root), str(number), str(step)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )


def test_killed_anywhere_every_partner_s_folder_is_whole_and_readers_are_not_disturbed(tmp_path):
    counted = publish_and_die(tmp_path, 1, 0)
    assert counted.returncode == 0, counted.stderr
    steps, key = int(counted.stdout.split()[-1]), public_key(tmp_path / "vault")
    pinned = open_release(current_release(tmp_path / "releases").folder / "partners" / "team")
    # Spread over the publication, and each of the last steps: pointer, account, certificate, removal.
    tried = sorted({steps // 3, 2 * steps // 3, *range(steps - 3, steps + 1)})
    for number, step in enumerate(tried, start=2):
        finished = publish_and_die(tmp_path, number, step)
        assert finished.returncode in (0, -signal.SIGKILL), finished.stderr
        current = current_release(tmp_path / "releases")
        assert verify(current.folder) == []
        for partner in ("team", "public"):
            assert verify_folder(current.folder / "partners" / partner, key) == []
        told = {t["name"]: t["rows"] for t in json.loads(
            (current.folder / "partners" / "team" / "manifest.json").read_text())["tables"]}  # fmt: skip
        assert len(rows(current, "team", "fct_bh_episode")) == told["fct_bh_episode"] > 0
        assert pinned.execute("select count(*) from fct_bh_episode").fetchall() == [(1,)]
    assert publish_and_die(tmp_path, 99, 0).returncode == 0
    pinned.close()
    accounts = {p.stem for p in (tmp_path / "vault" / "governance" / "disclosures").glob("*.parquet")}
    assert accounts >= {p.name for p in (tmp_path / "releases").iterdir() if p.is_dir()}
    assert not list((tmp_path / "releases").glob(".building-*"))


# --- forgotten people ------------------------------------------------------------------------------------------


def agency():
    """An agency with a child, an allegation that names the child under another column, and a worker's note."""

    def table(name, columns, **more):
        return {
            "name": name, "description": name, "grain": "row", "file": f"{name}_{{date}}.csv", "key": [columns[0]],
            "delivery": {}, **more,
            "columns": [{"name": c, "description": c, "sensitivity": "source_key"} for c in columns],
        }  # fmt: skip

    return Contract.model_validate(
        {
            "system": "child_welfare", "title": "Agency", "description": "A small agency.", "version": "1",
            "steward": {"office": "Data"}, "delivery": {},
            "tables": {
                "persons": table("persons", ["person_id", "name"], persons=[{"record_id": ["person_id"]}]),
                "kin": table("kin", ["kin_id", "person_id", "related_id"], relationships=[
                    {"person": ["person_id"], "related": ["related_id"], "relationship": "mother_of"}]),
                "contacts": table("contacts", ["contact_id", "victim_person_id"]),
                "workers": table("workers", ["worker_id"]),
            },
        }
    )  # fmt: skip


DELIVERED = {
    "persons": [("P-1", "ZQNAME"), ("P-2", "Ann")],
    "kin": [("K-1", "P-2", "P-1"), ("K-2", "P-2", "P-3")],
    "contacts": [("N-1", "P-1"), ("N-2", "P-3")],
    "workers": [("P-1",)],
}


def deliver(home, contract):
    for name, delivered in DELIVERED.items():
        path = home.current("child_welfare", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = [c.name for c in contract.tables[name].columns]
        with duckdb.connect() as database:
            database.execute(f"create table t ({', '.join(f'{c} varchar' for c in columns)})")
            database.executemany(f"insert into t values ({', '.join('?' * len(columns))})", delivered)
            database.execute(f"copy t to '{path}' (format parquet)")


def test_an_expunged_child_is_gone_from_every_table_and_an_old_file_does_not_bring_it_back(tmp_path):
    home, contract, secret = Home(tmp_path), agency(), b"secret"
    people.expunge(home, secret, "child_welfare", ["P-1"], order_date=dt.date(2026, 9, 1))
    for _ in range(2):
        # The second time an old file brought everything again.
        deliver(home, contract)
        assert people.drop_expunged(home, home, {"child_welfare": contract}, secret) == 3
        left = {
            name: duckdb.connect().execute(f"from '{home.current('child_welfare', name)}' order by all").fetchall()
            for name in DELIVERED
        }
        assert left == {
            "persons": [("P-2", "Ann")],
            "kin": [("K-2", "P-2", "P-3")],
            "contacts": [("N-2", "P-3")],
            "workers": [("P-1",)],
        }, "a worker who shares the number is another person"
    assert people.drop_expunged(home, home, {"child_welfare": contract}, secret) == 0
    assert "P-1" not in (tmp_path / "vault" / "governance" / "expunctions.jsonl").read_text()


def test_without_the_secret_the_ledger_of_the_forgotten_names_nobody(tmp_path):
    home, contract = Home(tmp_path), agency()
    people.expunge(home, b"secret", "child_welfare", ["P-1"], order_date=dt.date(2026, 9, 1))
    deliver(home, contract)
    assert people.drop_expunged(home, home, {"child_welfare": contract}, b"another") == 0
    assert len(read_jsonl(tmp_path / "vault" / "governance" / "expunctions.jsonl")) == 1
