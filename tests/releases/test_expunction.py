"""Who must be forgotten is gone from all that was delivered, and does not come back with an old file."""

import datetime as dt
import json
import shutil

import duckdb
import pytest

from expectations.contract import Contract
from linkage.registry import Registry
from pipelines.deployment import TEMPLATES
from pipelines.landing import balance
from pipelines.releases import expunction
from pipelines.storage import Home, append_jsonl, read_jsonl

SECRET = b"a secret of the tests"


def agency():
    """An agency with a child, claims with lines, yearly reports under another number, an allegation, workers."""

    def table(name, columns, key=None, elements=None, **more):
        return {
            "name": name, "description": name, "grain": "row", "file": f"{name}_{{date}}.csv",
            "key": key or [columns[0]], "delivery": {}, **more,
            "columns": [{"name": c, "description": c, "sensitivity": "source_key", "element": (elements or {}).get(c)}
                        for c in columns],
        }  # fmt: skip

    return Contract.model_validate(
        {
            "system": "child_welfare", "title": "Agency", "description": "A small agency.", "version": "1",
            "steward": {"office": "Data"}, "delivery": {},
            "tables": {
                "persons": table("persons", ["person_id", "name", "report_no"], elements={"report_no": "E4"},
                                 persons=[{"record_id": ["person_id"]}]),
                "kin": table("kin", ["kin_id", "person_id", "related_id"], relationships=[
                    {"person": ["person_id"], "related": ["related_id"], "relationship": "mother_of"}]),
                "contacts": table("contacts", ["contact_id", "victim_person_id"]),
                "claims": table("claims", ["claim_id", "person_id", "adjusts"], ["claim_id", "adjusts"]),
                "claim_lines": table("claim_lines", ["claim_id", "adjusts", "line_no"], ["claim_id", "line_no"]),
                "reports": table("reports", ["child_no", "year"], ["child_no", "year"], {"child_no": "E4"}),
                "workers": table("workers", ["worker_id"]),
            },
        }
    )  # fmt: skip


DELIVERED = {
    "persons": [("P-1", "ZQNAME", "R-77"), ("P-2", "Ann", "R-78")],
    "kin": [("K-1", "P-2", "P-1"), ("K-2", "P-2", "P-3")],
    "contacts": [("N-1", "P-1"), ("N-2", "P-3")],
    # A claim that adjusts no other has an empty part in its key.
    "claims": [("C-1", "P-1", None), ("C-2", "P-2", None)],
    "claim_lines": [("C-1", None, "1"), ("C-1", None, "2"), ("C-2", None, "1")],
    "reports": [("R-77", "2025"), ("R-78", "2025")],
    "workers": [("P-1",)],
}
LEFT = {
    "persons": [("P-2", "Ann", "R-78")],
    "kin": [("K-2", "P-2", "P-3")],
    "contacts": [("N-2", "P-3")],
    "claims": [("C-2", "P-2", None)],
    "claim_lines": [("C-2", None, "1")],
    "reports": [("R-78", "2025")],
    # A worker who shares the number is another person.
    "workers": [("P-1",)],
}


def write(path, columns, delivered):
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as database:
        database.execute(f"create table t ({', '.join(f'{c} varchar' for c in columns)})")
        database.executemany(f"insert into t values ({', '.join('?' * len(columns))})", delivered)
        database.execute(f"copy t to '{path}' (format parquet)")


def read(path):
    return duckdb.connect().execute(f"from '{path}' order by all").fetchall()


def land(home, number, quarantined=()):
    """One delivery of every table, each its own file, in the current state too; ``quarantined`` rows of persons."""
    for name, delivered in DELIVERED.items():
        columns = [c.name for c in agency().tables[name].columns]
        delivery = f"20260{number}01-{name}"
        write(home.delivery("child_welfare", name, delivery), columns, delivered)
        write(home.current("child_welfare", name), columns, delivered)
        sha256 = f"{name}{number}"
        home.files_dir.mkdir(parents=True, exist_ok=True)
        (home.files_dir / sha256).write_text(str(delivered))
        bad = [(str(n), "r", "f", raw, None) for n, raw in enumerate(quarantined)] if name == "persons" else []
        if bad:
            path = home.quarantined("child_welfare", name, delivery)
            write(path, ["line", "rule", "field", "raw_row", "also"], bad)
        append_jsonl(home.delivery_log, [{
            "delivery_id": delivery, "system": "child_welfare", "table": name, "file": f"{name}.csv", "sha256": sha256,
            "received_on": "2026-09-01", "delivery_date": "2026-09-01", "status": "accepted",
            "rows_received": len(delivered) + len(bad), "rows_loaded": len(delivered), "rows_quarantined": len(bad),
        }])  # fmt: skip


def order(home, number="P-1"):
    expunction.order(home, SECRET, "child_welfare", [number], order_date=dt.date(2026, 9, 1))


def forget(home):
    return expunction.forget(home, {"child_welfare": agency()}, SECRET)


def deliveries(home, number):
    return {t: read(home.delivery("child_welfare", t, f"20260{number}01-{t}")) for t in DELIVERED}


@pytest.fixture
def home(tmp_path):
    shutil.copy(TEMPLATES / "jurisdiction.yml", tmp_path)
    return Home(tmp_path)


def test_gone_from_every_delivery_and_its_original_files_destroyed_with_a_certificate(home):
    land(home, 1)
    land(home, 2, quarantined=['{"person_id":"P-1","name":"x"}', "P-2;Ann;too;many"])
    order(home)
    # persons, kin, contacts, claims, two lines and a report, twice; and the row that broke a rule.
    assert forget(home) == expunction.Found(rows=15, files=12)
    assert deliveries(home, 1) == deliveries(home, 2) == LEFT
    unread = home.quarantined("child_welfare", "persons", "20260201-persons")
    assert [r[3] for r in read(unread)] == ["P-2;Ann;too;many"]
    assert {p.name for p in home.files_dir.iterdir()} == {"workers1", "workers2"}
    (certificate,) = (home.root / "vault" / "governance" / "certificates").iterdir()
    told = json.loads(certificate.read_text())
    assert len(told["files"]) == 12 and told["signature"] and "P-1" not in certificate.read_text()
    assert all(row.is_balanced for row in balance(home)), "the account says how many rows were taken out"
    assert forget(home) == expunction.Found(rows=0, files=0)


def test_an_old_file_delivered_again_brings_nobody_back(home):
    land(home, 1)
    order(home)
    forget(home)
    # The same bytes again, which landing keeps before it knows them; and an old file with another hash.
    (home.files_dir / "persons1").write_text(str(DELIVERED["persons"]))
    land(home, 3)
    assert forget(home) == expunction.Found(rows=7, files=7)
    assert deliveries(home, 3) == LEFT
    assert {p.name for p in home.files_dir.iterdir()} == {"workers1", "workers3"}


def test_the_current_state_is_cleared_whatever_was_delivered(home):
    land(home, 1)
    order(home)
    forget(home)
    for _ in range(2):
        for name, delivered in DELIVERED.items():
            columns = [c.name for c in agency().tables[name].columns]
            write(home.current("child_welfare", name), columns, delivered)
        assert expunction.drop_expunged(home, home, {"child_welfare": agency()}, SECRET) == 7
        assert {t: read(home.current("child_welfare", t)) for t in DELIVERED} == LEFT
    assert expunction.drop_expunged(home, home, {"child_welfare": agency()}, SECRET) == 0


def test_a_second_order_goes_through_the_same_deliveries_again(home):
    land(home, 1)
    order(home)
    forget(home)
    order(home, "P-2")
    assert forget(home).rows == 5  # person, the kin that is left, claim, line, report
    assert all(row.is_balanced for row in balance(home))


def test_killed_between_the_rows_and_the_log_it_goes_on(home, monkeypatch):
    land(home, 1)
    order(home)
    real = expunction.append_jsonl

    def killed(path, lines):
        if path == home.expunged_log:
            raise KeyboardInterrupt
        real(path, lines)

    monkeypatch.setattr(expunction, "append_jsonl", killed)
    with pytest.raises(KeyboardInterrupt):
        forget(home)
    monkeypatch.undo()
    assert forget(home).files == 6
    assert deliveries(home, 1) == LEFT
    assert all(row.is_balanced for row in balance(home))


def test_without_the_secret_the_ledger_of_the_forgotten_names_nobody(home):
    land(home, 1)
    order(home)
    forget(home)
    ledger = home.root / "vault" / "governance" / "expunctions.jsonl"
    assert not any(word in ledger.read_text() for word in ("P-1", "C-1", "R-77", "ZQ"))
    assert len(read_jsonl(ledger)) == 3, "the order, the claim and the report's number"
    assert expunction.drop_expunged(home, home, {"child_welfare": agency()}, b"another") == 0


def test_linkage_s_ledger_and_the_reviewers_decisions_keep_no_number(home):
    events = [("mint", "ID1", None), ("assign", "ID1", "child_welfare\x1fP-1"), ("assign", "ID1", "court\x1fP-1"),
              ("assign", "ID1", "child_welfare\x1fP-1~2024-01-01")]  # fmt: skip
    folder = home.registry_dir / "person"
    folder.mkdir(parents=True)
    lines = ", ".join(
        f"({n}::bigint, date '2026-09-01', '{e}', '{one}', null::varchar, {repr(m) if m else 'null::varchar'}, 'x')"
        for n, (e, one, m) in enumerate(events)
    ).replace("\\x1f", "\x1f")
    duckdb.sql(
        f"copy (from (values {lines}) as t(sequence, cut, event, id, into_id, member, cause)) to '{folder}/0.parquet'"
    )
    (home.reviews_dir).mkdir()
    header = "decision_id,level,source_system_a,source_record_id_a,source_system_b,source_record_id_b"
    kept = "D2,must_link,court,P-1,court,P-9"
    # Of the file's lines, one is in another encoding, and one is no decision: a quotation mark is not closed.
    kept = "D0,unsure,court,P-1,court,P-8,Jos\xe9\n" + kept
    lines = [header, "D1,must_link,child_welfare,P-1,court,P-9", 'D3,must_link,"child_welfare,P-1,court,P-9', kept]
    (home.reviews_dir / "decisions.csv").write_text("\n".join([*lines, ""]), encoding="latin-1")
    order(home)
    expunction.forget_by_name(home, SECRET)
    members = [e.member for e in Registry(home.registry_dir, "person").events()]
    assert members[0] is None and members[2] == "court\x1fP-1"
    assert members[1].startswith("expunged ") and members[3] == members[1]
    assert (home.reviews_dir / "decisions.csv").read_text(encoding="latin-1") == "\n".join([header, kept, ""])


def test_files_that_were_never_read_are_named(home):
    order(home)
    for name, text in (("refused/cw.csv", "P-1,x"), ("new.csv", "P-9")):
        path = home.inbox("child_welfare") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert [p.name for p in expunction.unread_files(home, "child_welfare", ["P-1"])] == ["cw.csv"]


def test_the_command(home, monkeypatch):
    from typer.testing import CliRunner

    from pipelines.cli import app
    from pipelines.night import Night

    monkeypatch.setattr(Night, "contracts", {"child_welfare": agency()})
    home.jurisdiction.write_text(
        "name: Small\ntime_zone: America/Chicago\ncounties: [{fips: '99001', name: Alder}]\n", encoding="utf-8"
    )
    land(home, 1)

    def expunge(system, number):
        given = ["--home", str(home.root), "--system", system, "--record", number, "--order-date", "2026-09-01"]
        return CliRunner().invoke(app, ["governance", "expunge", *given])

    assert "there is no source chld" in expunge("chld", "P-1").output
    done = expunge("child_welfare", "P-1")
    assert "7 rows taken out of what was delivered, 6 original files destroyed" in done.output, done.output
    assert "is it written as the source writes it?" in expunge("child_welfare", "p-1").output
    actions = [e["action"] for e in read_jsonl(home.log_dir / "audit.jsonl")]
    assert actions == ["expunction ordered", "original files destroyed", "expunction ordered"]
    assert "P-1" not in (home.log_dir / "audit.jsonl").read_text()
