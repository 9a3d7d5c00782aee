"""A second reading of the agreements, made by hand and without the product's code, in plain loops over plain rows.

It computes the matrix partner x table x column x row from the YAML, the house's own release and what the warehouse
knows of people. The product's answer, built by SQL, must be the same. Run on any deployment:
``python -m tests.releases.second_reading HOME DAY``.
"""

import datetime as dt
import hashlib
import hmac
import sys
from collections import Counter
from pathlib import Path

import duckdb
import yaml

PEOPLE = {
    "dim_person": ["person_id"], "dim_child": ["person_id"], "brg_family_member": ["person_id"],
    "fct_removal": ["person_id"], "fct_court_case": ["person_id"], "fct_petition": ["person_id"],
    "fct_finding": ["person_id"], "fct_enrollment_sbct": ["person_id"], "fct_need": ["person_id"],
    "fct_referral": ["person_id"], "fct_service": ["person_id"], "fct_bh_episode": ["person_id"],
    "fct_screening": ["person_id"], "fct_elig_span": ["person_id"],
}  # fmt: skip
FAMILY = {"dim_family", "fct_ftm"}
BELONGS = {
    "fct_placement": ("removal_id", "fct_removal"), "fct_goal": ("removal_id", "fct_removal"),
    "fct_hearing": ("case_id", "fct_court_case"), "fct_ftm_attendance": ("ftm_id", "fct_ftm"),
}  # fmt: skip
NOBODY = {"dim_site", "dim_measure"}
CASEWORK = {"treatment_payment_operations", "court_team", "child_welfare_case", "court_oversight"}
RECIPIENT_WORDS = {"provider": {"treating_provider"}, "medicaid": {"payer"}, "court_team": {"court_team", "warehouse"},
                   "child_welfare": {"child_welfare"}, "court": {"court"}, "evaluator": {"evaluator"}}  # fmt: skip
PURPOSE_WORDS = {"treatment_payment_operations": "tpo"}
COVERING = {"full_record", "attendance", "appointments"}
MORE = {"level_of_care": {"full_record"}, "primary_dx": {"full_record"},
        "discharge_reason": {"full_record", "discharge"}}  # fmt: skip
#: Columns that are IDs of people, families or records.
NOT_RECORD_IDS = {"site_id", "first_site_id", "metric_id", "measure_id"}


class Rows:
    """Tables of a DuckDB file as lists of dictionaries, read once."""

    def __init__(self, path):
        self.database = duckdb.connect(str(path), read_only=True)
        self.known = {}

    def __call__(self, table):
        if table not in self.known:
            cursor = self.database.execute(f"from {table}")
            names = [d[0] for d in cursor.description]
            self.known[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return self.known[table]

    @staticmethod
    def read(query):
        return duckdb.connect().execute(query).fetchall()

    def has(self, table):
        return bool(self.database.execute("select 1 from duckdb_tables() where table_name = ?", [table]).fetchall())


def treatment(table, row):
    """Classes that need consent which the presence of this row tells."""
    source = row.get("source") or row.get("source_system")
    found = set()
    if table == "fct_bh_episode" or (
        table in ("fct_referral", "fct_service", "brg_family_member") and source == "behavioral_health"
    ):
        found.add("sud_p2")
    if table == "fct_service" and source == "court_team" and row["service_type"] == "SUD":
        found.add("sud_p2")
    if table == "fct_service" and row["service_type"] == "EARLY_INTERVENTION":
        found.add("partc")
    return found


class Reading:
    """One agreement on one day."""

    def __init__(self, agreement, party, base, consents, sealed, day, key, programs=()):
        kind = party["kind"]
        self.own_clients = {p for p, program in programs if program in party.get("programs", [])}
        self.agreement, self.base, self.day = agreement, base, day
        self.key = hashlib.sha256(f"{key}|{agreement['parties']['recipient']}".encode()).hexdigest()
        words = {PURPOSE_WORDS.get(p, p) for p in agreement["purposes"]}
        self.scopes = {}
        for person, recipient, purpose, scope, start, end in consents:
            if (
                recipient in RECIPIENT_WORDS.get(kind, set())
                and purpose in words
                and start <= day
                and (end is None or day < end)
            ):
                self.scopes.setdefault(person, set()).add(scope)
        approvals = agreement.get("tribal_approvals", [])
        self.approved = any(
            a["date"] <= day
            and not (a.get("until") and a["until"] <= day)
            and not (a.get("withdrawn") and a["withdrawn"] <= day)
            for a in approvals
        )
        self.systems = {}
        for row in base("bridge_source_id"):
            self.systems.setdefault(row["person_id"], set()).add(row["source_system"])
        self.families = {}
        for row in base("brg_family_member"):
            self.families.setdefault(row["family_id"], set()).add(row["person_id"])
        self.people = self._people(sealed)

    def consents_to(self, person, cls, scopes=COVERING):
        return cls == "sud_p2" and bool(self.scopes.get(person, set()) & scopes)

    def may_know_of_treatment(self, person):
        """Its own client, or somebody who consented to its knowing."""
        if person in self.own_clients:
            return True
        return "sud_p2" not in self.agreement.get("classes_denied", []) and self.consents_to(person, "sud_p2")

    def _people(self, sealed):
        everyone = {r["person_id"]: r for r in self.base("dim_person")}
        scope = self.agreement["people"]
        chosen = set(everyone)
        if scope != "everyone":
            if "sites" in scope:
                chosen &= {r["person_id"] for r in self.base("fct_enrollment_sbct") if r["site_id"] in scope["sites"]}
            if "counties" in scope:
                chosen &= {r["person_id"] for r in self.base("fct_removal") if r["county"] in scope["counties"]}
            if "systems" in scope:
                chosen &= {
                    p for p, s in self.systems.items()
                    if s & set(scope["systems"]) - {"behavioral_health"}
                    or ("behavioral_health" in s & set(scope["systems"]) and self.may_know_of_treatment(p))
                }  # fmt: skip
            if "icwa" in scope:
                chosen &= {p for p, r in everyone.items() if r["icwa_status"] in ("APPLIES", "PENDING")}
            if scope.get("family"):
                chosen |= set().union(*(m for m in self.families.values() if m & chosen), set()) & set(everyone)
        found = set()
        for person in chosen:
            row = everyone[person]
            if person in sealed and not self.agreement.get("sealed_records"):
                continue
            is_tribal = row["race_any_aian"] or row["icwa_status"] in ("APPLIES", "PENDING")
            if is_tribal and not set(self.agreement["purposes"]) <= CASEWORK and not self.approved:
                continue
            if self.systems.get(person) == {"behavioral_health"} and not self.may_know_of_treatment(person):
                continue
            found.add(person)
        return found

    def denied(self, table):
        dataset = self.agreement["datasets"].get(table, {})
        return {*self.agreement.get("classes_denied", []), *dataset.get("classes_denied", [])}

    def is_about(self, table, row):
        if table in NOBODY:
            return True
        if table in PEOPLE:
            return all(row[c] in self.people for c in PEOPLE[table])
        if table in FAMILY:
            return bool(self.families.get(row["family_id"], set()) & self.people)
        key, parent = BELONGS[table]
        if (parent, key) not in self.base.known:
            self.base.known[parent, key] = {}
            for other in self.base(parent):
                self.base.known[parent, key].setdefault(other[key], []).append(other)
        return any(self.is_about(parent, other) for other in self.base.known[parent, key].get(row[key], []))

    def is_visible(self, table, row, denied):
        told = treatment(table, row)
        return (
            self.is_about(table, row)
            and not told & denied
            and all(self.consents_to(row[c], cls) for cls in told for c in PEOPLE[table])
        )

    def rows(self, table):
        dataset = self.agreement["datasets"][table]
        sealed_cases = {r["case_id"] for r in self.base("fct_court_case") if r["is_sealed"]}
        columns = [c for c in dataset["columns"] if c != "icwa_status" or self.approved]
        found = Counter()
        for row in self.base(table):
            if not all(str(row[c]) in values for c, values in dataset.get("rows", {}).items()):
                continue
            if row.get("case_id") in sealed_cases and not self.agreement.get("sealed_records"):
                continue
            if self.is_visible(table, row, self.denied(table)):
                found[tuple(self.cell(table, row, c) for c in columns)] += 1
        return columns, found

    def cell(self, table, row, column):
        value = row[column]
        if table == "dim_family" and column in ("member_count", "child_count"):
            members = [
                r for r in self.base("brg_family_member")
                if r["family_id"] == row["family_id"]
                and self.is_visible("brg_family_member", r, set(self.agreement.get("classes_denied", [])))
                and (column == "member_count" or r["role"] == "child")
            ]  # fmt: skip
            return len({r["person_id"] for r in members})
        if (
            column in MORE
            and table == "fct_bh_episode"
            and not self.consents_to(row["person_id"], "sud_p2", MORE[column])
        ):
            return None
        if column in ("mother_id", "parent_id") and value not in self.people:
            return None
        is_id = column.endswith("_id") and column not in NOT_RECORD_IDS and table not in NOBODY
        if is_id and value is not None and self.agreement.get("delivery", {}).get("ids", "separate") == "separate":
            return hashlib.sha256((self.key + value).encode()).hexdigest()[:20]
        return value


def check(root, release, day, secret):
    """Differences between the second reading and every partner's folder; empty when there is none."""
    root = Path(root)
    files = [yaml.safe_load(p.read_text()) for p in sorted((root / "agreements").glob("*.yml"))]
    parties = {p["id"]: p for f in files for p in f.get("parties", []) if isinstance(p, dict)}
    agreements = [f for f in files if "agreement" in f]
    gone = {a.get("supersedes") for a in agreements if a["effective"] <= day}
    force = [
        a for a in agreements
        if a["effective"] <= day < min(a["expires"], a.get("withdrawn", a["expires"])) and a["agreement"] not in gone
    ]  # fmt: skip
    base = Rows(release / "kinweave.duckdb")
    warehouse = duckdb.connect(str(root / "warehouse" / "warehouse.duckdb"), read_only=True)
    consents = warehouse.execute(
        "select person_id, recipient_type, purpose, information_scope, in_force_from, in_force_to"
        " from intermediate.int_consents__in_force"
    ).fetchall()
    warehouse.close()
    facts = root / "vault" / "linkage" / "person_facts.parquet"
    sealed = {r[0] for r in duckdb.connect().execute(f"select person_id from '{facts}' where is_sealed").fetchall()}
    crosswalk = root / "vault" / "linkage" / "person_crosswalk.parquet"
    programs = []
    if crosswalk.exists():
        rows = (
            duckdb.connect().execute(f"select person_id, source_system, source_record_id from '{crosswalk}'").fetchall()
        )
        programs = [(p, record.split("~")[0]) for p, system, record in rows if system == "behavioral_health"]
    key = hmac.new(secret, b"release record keys", hashlib.sha256).hexdigest()
    folders = {p.name for p in (release / "partners").iterdir() if p.is_dir()}
    problems = [f"folders {folders}"] if folders != {a["parties"]["recipient"] for a in force} else []
    compared = 0
    for partner in sorted(folders):
        database = duckdb.connect(str(release / "partners" / partner / "kinweave.duckdb"), read_only=True)
        mine = [a for a in force if a["parties"]["recipient"] == partner]
        present = {r[0] for r in database.execute("select table_name from duckdb_tables()").fetchall()}
        allowed = {t for a in mine for t in a["datasets"]} | {"data_dictionary"}
        if present != allowed:
            problems.append(f"{partner}: tables {present ^ allowed}")
        for agreement in mine:
            reading = Reading(agreement, parties[partner], base, consents, sealed, day, key, programs)
            for table in agreement["datasets"]:
                cursor = database.execute(f"from {table}")
                names = [d[0] for d in cursor.description]
                told = Counter(cursor.fetchall())
                if table == "measure_rows":
                    problems += small_cells(partner, agreement["datasets"][table]["columns"], names, told, base)
                    continue
                columns, expected = reading.rows(table)
                compared += len(names)
                if names != columns:
                    problems.append(f"{partner}.{table}: columns {names} and not {columns}")
                elif told != expected:
                    more, less = told - expected, expected - told
                    problems.append(f"{partner}.{table}: {more.total()} rows too many, {less.total()} too few")
        database.close()
    return problems, compared


def small_cells(partner, columns, names, told, base):
    """Every row of the measures is there; a figure is the true one or empty with a reason; no small one is shown."""
    true = {tuple(r[c] for c in ("metric_id", "variant", "period_start", "stratum_type", "stratum_value")): r
            for r in base("measure_rows")}  # fmt: skip
    problems = [] if names == columns else [f"{partner}.measure_rows: columns"]
    if told.total() != len(true):
        problems.append(f"{partner}.measure_rows: rows")
    for row in told:
        shown = dict(zip(names, row, strict=True))
        was = true[tuple(shown[c] for c in ("metric_id", "variant", "period_start", "stratum_type", "stratum_value"))]
        n, d = shown["numerator"], shown["denominator"]
        counts = [c for c in (n, d, None if None in (n, d) else d - n) if c is not None]
        if any(0 < c < 11 for c in counts):
            problems.append(f"{partner}.measure_rows: a small count is shown")
        if (n, d) not in ((was["numerator"], was["denominator"]), (None, None)):
            problems.append(f"{partner}.measure_rows: a figure that is not the true one")
        if n is None and was["numerator"] is not None and not shown["suppress_reason"]:
            problems.append(f"{partner}.measure_rows: hidden without a reason")
        if shown.get("range_low") is not None and None in (n, shown["range_high"]):
            problems.append(f"{partner}.measure_rows: the range of a hidden count is shown")
        if n is None and was["numerator"] is not None and shown["value"] is not None:
            problems.append(f"{partner}.measure_rows: the value of a hidden count is shown")
    return sorted(set(problems))


if __name__ == "__main__":
    home = Path(sys.argv[1])
    newest = max((p for p in (home / "releases").iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    vault = bytes.fromhex((home / "vault" / "secret.key").read_text().strip())
    print(check(home, newest, dt.date.fromisoformat(sys.argv[2]), vault))
