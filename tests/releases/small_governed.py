"""A dozen people under eight agreements, small enough to know by name who may see whom.

C1 (mother M1, site alder), C2 (mother M2, site birch), C3 (a tribe's child, no site), C4 (sealed), C5 (site alder; the
docket is sealed). M1 and T1 consented to the court team, M3 to treatment only, M2 to nobody. T1 and T2 are known from
treatment alone; both are fathers in families of enrolled children.
"""

import copy
import datetime as dt
import json

import duckdb
import yaml

from pipelines.releases import agreements as rules
from pipelines.releases import open_release, publish
from pipelines.releases.partners import Governance
from pipelines.storage import Home
from tests.releases.small_warehouse import contract

CUT = dt.date(2026, 9, 30)
SECRET = b"a secret of the tests"

#: table -> column -> (SQL type, class), then its rows.
TABLES = {
    "dim_person": (
        {"person_id": ("varchar", "none"), "dob": ("date", "quasi_id"), "race_any_aian": ("boolean", "quasi_id"),
         "icwa_status": ("varchar", "tribal")},
        [(p, "2024-01-17", p == "C3", "APPLIES" if p == "C3" else "UNKNOWN")
         for p in ("C1", "C2", "C3", "C4", "C5", "M1", "M2", "M3", "T1", "T2")],
    ),
    "dim_child": (
        {"person_id": ("varchar", "none"), "family_id": ("varchar", "none"), "mother_id": ("varchar", "none"),
         "dob": ("date", "quasi_id"), "icwa_status": ("varchar", "tribal"), "first_site_id": ("varchar", "none")},
        [("C1", "F1", "M1", "2024-01-17", "UNKNOWN", "alder"), ("C2", "F2", "M2", "2024-02-17", "UNKNOWN", "birch"),
         ("C3", "F3", "M3", "2024-03-17", "APPLIES", None), ("C4", "F4", None, "2024-04-17", "UNKNOWN", None),
         ("C5", "F5", "M1", "2024-05-17", "UNKNOWN", "alder")],
    ),
    "dim_family": (
        {"family_id": ("varchar", "none"), "member_count": ("bigint", "none"), "child_count": ("bigint", "none")},
        [("F1", 3, 1), ("F2", 3, 1), ("F3", 2, 1), ("F4", 1, 1), ("F5", 2, 1)],
    ),
    "brg_family_member": (
        {"family_id": ("varchar", "none"), "person_id": ("varchar", "none"), "role": ("varchar", "cw_case"),
         "source_system": ("varchar", "none")},
        [("F1", "C1", "child", "child_welfare"), ("F1", "M1", "mother", "child_welfare"),
         ("F1", "T1", "father", "behavioral_health"), ("F2", "C2", "child", "child_welfare"),
         ("F2", "M2", "mother", "child_welfare"), ("F2", "T2", "father", "behavioral_health"),
         ("F3", "C3", "child", "child_welfare"), ("F3", "M3", "mother", "child_welfare"),
         ("F4", "C4", "child", "child_welfare"), ("F5", "C5", "child", "child_welfare"),
         ("F5", "M1", "mother", "child_welfare")],
    ),
    "bridge_source_id": (
        {"person_id": ("varchar", "none"), "source_system": ("varchar", "none"),
         "source_id": ("varchar", "source_key")},
        [(p, s, f"{s[:2]}-{p}-1000") for p, systems in {
            "C1": ["child_welfare", "court"], "C2": ["child_welfare", "court"], "C3": ["child_welfare", "court"],
            "C4": ["child_welfare"], "C5": ["child_welfare", "court"], "M1": ["child_welfare", "behavioral_health"],
            "M2": ["child_welfare", "behavioral_health"], "M3": ["child_welfare", "behavioral_health"],
            "T1": ["behavioral_health"], "T2": ["behavioral_health"]}.items() for s in systems],
    ),
    "fct_removal": (
        {"removal_id": ("varchar", "source_key"), "person_id": ("varchar", "none"), "removal_date": ("date", "cw_case"),
         "county": ("varchar", "cw_case")},
        [(f"R-{c}-77", c, "2025-01-05", county) for c, county in
         [("C1", "99001"), ("C2", "99003"), ("C3", "99001"), ("C4", "99001"), ("C5", "99001")]],
    ),
    "fct_placement": (
        {"removal_id": ("varchar", "source_key"), "seq": ("integer", "cw_case"), "is_kin": ("boolean", "cw_case")},
        [(f"R-{c}-77", n, n == 2) for c in ("C1", "C2", "C3", "C4", "C5") for n in (1, 2)],
    ),
    "fct_court_case": (
        {"case_id": ("varchar", "source_key"), "person_id": ("varchar", "none"),
         "is_sealed": ("boolean", "court_sealed")},
        [("JD-0001", "C1", False), ("JD-0002", "C2", False), ("JD-0003", "C3", False), ("JD-0005", "C5", True)],
    ),
    "fct_hearing": (
        {"hearing_id": ("varchar", "source_key"), "case_id": ("varchar", "source_key"),
         "outcome": ("varchar", "court")},
        [(f"H-{c}-{n}", f"JD-000{c}", "held") for c in (1, 2, 3, 5) for n in (1, 2)],
    ),
    "fct_enrollment_sbct": (
        {"enrollment_id": ("varchar", "source_key"), "person_id": ("varchar", "none"), "site_id": ("varchar", "none")},
        [("E-C1-1", "C1", "alder"), ("E-C2-1", "C2", "birch"), ("E-C5-1", "C5", "alder")],
    ),
    "fct_bh_episode": (
        {"episode_id": ("varchar", "source_key"), "person_id": ("varchar", "none"), "admit_date": ("date", "sud_p2"),
         "level_of_care": ("varchar", "sud_p2")},
        [(f"B-{p}-01", p, "2025-03-03", "OUTPATIENT") for p in ("M1", "M2", "M3", "T1")],
    ),
    "fct_service": (
        {"service_id": ("varchar", "source_key"), "person_id": ("varchar", "none"),
         "service_type": ("varchar", "cw_case"), "source": ("varchar", "none")},
        [("S-1001", "M1", "SUD", "behavioral_health"), ("S-1002", "M2", "SUD", "behavioral_health"),
         ("S-1003", "M2", "SUD", "court_team"), ("S-1004", "M2", "PARENTING", "child_welfare"),
         ("S-1005", "C1", "EARLY_INTERVENTION", "court_team"), ("S-1006", "C2", "EARLY_INTERVENTION", "court_team")],
    ),
    "dim_site": ({"site_id": ("varchar", "none"), "site_name": ("varchar", "none")},
                 [("alder", "=2+5"), ("birch", "Birch Falls")]),
    "measure_rows": (
        {c: (t, "none") for c, t in {
            "metric_id": "varchar", "variant": "varchar", "period_start": "date", "period_end": "date",
            "site_id": "varchar", "stratum_type": "varchar", "stratum_value": "varchar", "numerator": "bigint",
            "denominator": "bigint", "value": "double", "n_excluded_by_rule": "varchar", "n_not_observable": "bigint",
            "match_rate": "double", "suppress_flag": "boolean", "suppress_reason": "varchar", "range_low": "double",
            "range_high": "double"}.items()},
        [("PRM-01", "warehouse", "2024-10-01", "2025-09-30", None, kind, value, n, d, n / d, '{"a":3}', 4, 0.9, False,
          None, 0.39, 0.41)
         for kind, value, n, d in [("all", "all", 60, 150), ("county", "99001", 5, 20), ("county", "99003", 25, 60),
                                   ("county", "99005", 30, 70)]],
    ),
}  # fmt: skip

#: person, recipient type, purpose, scope, from, to. Spans as the warehouse judged them.
CONSENTS = [
    ("N1", "M1", "court_team", "court_team", "full_record", "2025-01-01", None),
    ("N2", "T1", "court_team", "court_team", "attendance", "2025-01-01", "2027-01-01"),
    ("N3", "M3", "treating_provider", "tpo", "full_record", "2025-01-01", None),
    # What must not count: for another purpose, ended, not begun, revoked today, to another recipient.
    ("N4", "M2", "court_team", "tpo", "full_record", "2025-01-01", None),
    ("N5", "M2", "court_team", "court_team", "full_record", "2025-01-01", "2026-01-01"),
    ("N6", "M2", "court_team", "court_team", "full_record", "2026-10-01", None),
    ("N7", "M2", "court_team", "court_team", "full_record", "2025-01-01", "2026-09-30"),
    ("N8", "M2", "court", "court_team", "full_record", "2025-01-01", None),
    ("N9", "M2", "court_team", "court_team", "enrollment_only", "2025-01-01", None),
]

PARTIES = [
    {"id": "agency", "name": "Agency", "kind": "child_welfare", "systems": ["child_welfare"]},
    {"id": "court", "name": "Court", "kind": "court", "systems": ["court"]},
    {"id": "clinic", "name": "Clinic", "kind": "provider", "systems": ["behavioral_health"]},
    {"id": "team", "name": "Team", "kind": "court_team"},
    {"id": "university", "name": "University", "kind": "evaluator"},
    {"id": "nation", "name": "Nation", "kind": "tribe"},
    {"id": "public", "name": "Public", "kind": "public"},
]


def _agreement(number, recipient, purpose, people, datasets, **more):
    return {
        "agreement": f"A-{number}",
        "title": f"Rows for {recipient}",
        "parties": {"disclosers": ["agency", "clinic", "court"], "recipient": recipient},
        "legal_basis": ["42 USC 671(a)(8)", *(["42 CFR 2.31"] if recipient in ("team", "clinic") else [])],
        "purposes": [purpose],
        "effective": dt.date(2026, 1, 1),
        "expires": dt.date(2027, 1, 1),
        "people": people,
        "datasets": {t: c if isinstance(c, dict) else {"columns": c.split()} for t, c in datasets.items()},
        "redisclosure": "prohibited",
        "retention_days": 100,
        "requested_by": "Somebody's office",
        "approvals": [{"by": "Privacy officer", "date": dt.date(2025, 12, 1)}],
        **more,
    }


_CASES = {"fct_court_case": "case_id person_id", "fct_hearing": "hearing_id case_id outcome"}
_CARE = {"fct_removal": "removal_id person_id removal_date county", "fct_placement": "removal_id seq is_kin"}
_MEASURES = {"measure_rows": " ".join(TABLES["measure_rows"][0]), "dim_site": "site_id site_name"}
AGREEMENTS = [
    _agreement(1, "team", "court_team", {"sites": ["alder", "birch"], "family": True}, {
        "dim_child": "person_id family_id mother_id dob first_site_id",
        "dim_family": "family_id member_count child_count", "brg_family_member": "family_id person_id role",
        "fct_bh_episode": "episode_id person_id admit_date level_of_care",
        "fct_service": "service_id person_id service_type source",
        "fct_enrollment_sbct": "enrollment_id person_id site_id",
        **_CARE, **_CASES, **_MEASURES}, classes_denied=["tribal"], delivery={"ids": "shared"}),
    _agreement(2, "court", "court_oversight", {"systems": ["court"]}, {
        "dim_child": "person_id dob", **_CARE, **_CASES}, classes_denied=["sud_p2", "tribal"],
        delivery={"ids": "shared"}, sealed_records="Rule 12 of the court"),
    _agreement(3, "agency", "child_welfare_case", {"systems": ["child_welfare"]}, {
        "dim_child": "person_id family_id mother_id", "dim_family": "family_id member_count child_count",
        "brg_family_member": "family_id person_id role", "fct_service": "service_id person_id service_type",
        "fct_removal": {"columns": ["removal_id", "person_id", "county"], "rows": {"county": ["99001"]}}, **_CASES},
        classes_denied=["sud_p2", "partc", "tribal"], delivery={"ids": "shared"}),
    _agreement(4, "clinic", "treatment_payment_operations", {"systems": ["behavioral_health"]}, {
        "fct_bh_episode": "episode_id person_id admit_date level_of_care"}),
    _agreement(5, "university", "evaluation", "everyone", {
        "dim_child": "person_id family_id dob", **_CARE, **_MEASURES}, classes_denied=["sud_p2", "tribal"]),
    _agreement(6, "nation", "tribal_governance", {"icwa": True}, {
        "dim_child": "person_id dob icwa_status", **_CARE},
        tribal_approvals=[{"by": "nation", "date": dt.date(2025, 12, 1)}]),
    _agreement(7, "public", "public_reporting", "everyone", _MEASURES),
]  # fmt: skip


def only(recipient, **keys):
    """The agreement of one recipient alone: enough, and cheaper, where the others do not matter."""
    return [a for a in changed(recipient, **keys) if a["parties"]["recipient"] == recipient]


def manifest(of=TABLES):
    """What dbt says of the marts named in ``of``."""
    return {
        "nodes": {
            f"model.kinweave.{name}": {
                "name": name, "resource_type": "model", "schema": "core", "fqn": ["kinweave", "marts", "core", name],
                "config": {"materialized": "table"}, "description": f"Grain of {name}.",
                "original_file_path": f"{name}.sql",
                "columns": {
                    c: {"description": f"The {c}.", "meta": {"sensitivity": s}} for c, (_, s) in columns.items()
                },
            }
            for name, (columns, _) in TABLES.items()
            if name in of
        }
    }  # fmt: skip


def build(root, *, tables=None, consents=CONSENTS, agreements=AGREEMENTS, sealed=("C4",), of=TABLES):
    """Fill ``root`` with the warehouse, the consents and the agreements.

    ``tables`` replaces rows of some; ``of`` names the tables there are, where a few are enough.
    """
    home = Home(root)
    for folder in (home.warehouse.parent, home.linkage_dir, home.agreements_dir, home.log_dir, root / "compiled"):
        folder.mkdir(parents=True, exist_ok=True)
    home.warehouse.unlink(missing_ok=True)
    with duckdb.connect(str(home.warehouse)) as database:
        database.execute("create schema core")
        database.execute("create schema intermediate")
        for name in of:
            columns, rows = TABLES[name]
            database.execute(f"create table core.{name} ({', '.join(f'{c} {t}' for c, (t, _) in columns.items())})")
            filled = (tables or {}).get(name, rows)
            if filled:
                line = f"({', '.join('?' * len(columns))})"
                database.execute(
                    f"insert into core.{name} values {', '.join([line] * len(filled))}",
                    [v for row in filled for v in row],
                )
            (root / "compiled" / f"{name}.sql").write_text(f"select {', '.join(columns)} from delivered_{name}")
        database.execute(
            "create table intermediate.int_consents__in_force (consent_id varchar, person_id varchar, recipient_type"
            " varchar, purpose varchar, information_scope varchar, in_force_from date, in_force_to date)"
        )
        if consents:
            database.executemany(
                "insert into intermediate.int_consents__in_force values (?, ?, ?, ?, ?, ?, ?)", consents
            )
        names = ", ".join(f"'{p}'" for p in sealed)
        database.execute(
            f"copy (select person_id, person_id in ({names or 'null'}) as is_sealed from core.dim_person)"
            f" to '{home.linkage_dir / 'person_facts.parquet'}' (format parquet)"
        )
    for old in home.agreements_dir.glob("*.yml"):
        old.unlink()
    (home.agreements_dir / "parties.yml").write_text(yaml.safe_dump({"parties": PARTIES}))
    for agreement in agreements:
        (home.agreements_dir / f"{agreement['agreement']}.yml").write_text(yaml.safe_dump(agreement, sort_keys=False))
    return home


def renamed(home, *events):
    """Write linkage's ledger of people: (event, ID, the ID that follows it), on the day of the cut."""
    folder = home.registry_dir / "person"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ", ".join(f"({n}, date '{CUT}', '{e}', '{one}', '{other}')" for n, (e, one, other) in enumerate(events))
    with duckdb.connect() as database:
        source = f"(values {lines}) as t(sequence, cut, event, id, into_id)"
        database.execute(f"copy (from {source}) to '{folder}/0.parquet' (format parquet)")


def changed(recipient, **keys):
    """The agreements with some keys of one of them changed (None takes a key away)."""
    found = copy.deepcopy(AGREEMENTS)
    for agreement in found:
        if agreement["parties"]["recipient"] == recipient:
            for key, value in keys.items():
                agreement[key] = value
                if value is None:
                    agreement.pop(key)
    return found


def governance(home, day=CUT):
    return Governance(rules.load(home.agreements_dir), day, home, home.root / "vault" / "governance",
                      home.root / "vault", home.root / "compiled")  # fmt: skip


def publish_it(home, day=CUT, of=TABLES, **more):
    return publish(
        home, home.releases_dir, cut=CUT, dbt_manifest=manifest(of), contracts={"court": contract()}, secret=SECRET,
        provenance={"code_version": "test"}, governance=governance(home, day), **more,
    )  # fmt: skip


def rows(release, partner, table, columns="*"):
    """Rows of a partner's table from its database, checked to be those of its Parquet file."""
    folder = release.folder / "partners" / partner
    with open_release(folder) as database:
        told = database.execute(f"select {columns} from {table} order by all").fetchall()
        other = f"select {columns} from read_parquet('{folder}/parquet/{table}.parquet') order by all"
        assert duckdb.connect().execute(other).fetchall() == told
    return told


def ids(release, partner, table, column="person_id"):
    return {r[0] for r in rows(release, partner, table, column)}


def tables(release, partner):
    found = json.loads((release.folder / "partners" / partner / "manifest.json").read_text())["tables"]
    return {t["name"]: t["rows"] for t in found}
