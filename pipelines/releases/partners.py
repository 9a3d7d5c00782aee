"""The partners' folders: from the house's own release, physically only what each agreement in force allows.

Columns by name, rows by scope, people by reach and consent, counts without the small. What is not allowed is not in the
file: there is no view, no mask and no password between a partner and the rest. ``marts.yml`` says whom each table's
rows are about; a table that it does not know can be in no agreement.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict

from expectations.vocabulary import Sensitivity
from pipelines.releases import people
from pipelines.releases.agreements import Agreement, Book, Party, as_rows, check_tables, write_tables
from pipelines.releases.classes import Lineage, warehouse_columns
from pipelines.releases.gate import GateClosed, Plan, TablePlan, rekeyed
from pipelines.releases.manifest import (
    DATABASE,
    FORMAT,
    MANIFEST,
    canonical_json,
    content_hash,
    sha256_file,
    sha256_text,
)
from pipelines.releases.signing import seal, sign, signing_key
from pipelines.releases.suppression import Key, Row, attack, suppress
from pipelines.storage import Workspace, connect, identifier, quoted, sync_folder, write_json

PARTNERS = "partners"
#: The house's own account of a release: what was shown, about whom, under which agreements.
GOVERNANCE = "governance"
SHOWN = "shown.parquet"
DISCLOSURES = "disclosures.parquet"
CLASSES = "gov_column_class.parquet"
_FIGURES = (
    "numerator", "denominator", "value", "ci_low", "ci_high", "n_excluded_by_rule", "n_not_observable", "match_rate",
)  # fmt: skip
#: Where somebody is: empty for people whose address is protected.
_PLACES = frozenset({"county", "county_fips", "site_id", "first_site_id", "zip3", "provider_id"})
#: IDs that say nothing about a person and are the same for everyone.
_OPEN_IDS = frozenset({"site_id", "first_site_id", "metric_id", "measure_id"})
_ROW_KEY = ("metric_id", "variant", "period_start", "period_end", "stratum_type", "stratum_value")


class RowClass(BaseModel):
    """What a row's presence discloses; ``when`` limits it to rows with one of these values in each column."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    cls: Sensitivity
    when: dict[str, list[str]] = {}


class Mart(BaseModel):
    """What ``marts.yml`` says of one table."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    people: list[str] = []
    also: list[str] = []
    through: dict[str, str] = {}
    family: str | None = None
    nobody: bool = False
    aggregate: bool = False
    classes: list[RowClass] = []
    needs_scope: dict[str, list[str]] = {}
    recount: dict[str, str | None] = {}


@cache
def marts() -> Mapping[str, Mart]:
    """``marts.yml``."""
    data = yaml.safe_load((Path(__file__).parent / "marts.yml").read_text(encoding="utf-8"))
    for mart in data.values():
        for entry in mart.get("classes", []):
            entry["cls"] = entry.pop("class")
    return {name: Mart.model_validate(mart) for name, mart in data.items()}


@dataclass(frozen=True)
class Governance:
    """What decides the partners' files besides the warehouse. ``day`` is the day the decisions are made for."""

    book: Book
    day: dt.date
    workspace: Workspace
    #: The deployment's ledgers of consent and protection, and its vault (secret, signing key).
    ledgers: Path
    vault: Path
    #: dbt's compiled models, for lineage.
    compiled: Path
    #: Figures shown by the release before, or None when this is the first.
    shown_before: Path | None = None
    #: A replayed night discloses nothing to anybody, so it is not accounted for.
    is_replay: bool = False


def column_classes(
    database: duckdb.DuckDBPyConnection,
    catalog: str,
    dbt_manifest: Mapping[str, Any],
    plan: Plan,
    governance: Governance,
    tables: Iterable[str],
) -> dict[str, dict[str, frozenset[Sensitivity]]]:
    """Classes of every released column of ``tables``: declared and inherited."""
    columns = warehouse_columns(database, catalog, governance.workspace.linkage_dir)
    lineage = Lineage(dbt_manifest, governance.compiled, columns)
    planned = {t.name: t for t in plan.tables}
    found: dict[str, dict[str, frozenset[Sensitivity]]] = {}
    for table in sorted(set(tables) & set(planned) & set(marts())):
        # Counts of many people carry no person's class; small ones are hidden instead.
        followed = {} if marts()[table].aggregate else lineage.classes(table)
        found[table] = {}
        for column in planned[table].columns:
            own = frozenset({Sensitivity(column.sensitivity)}) - {Sensitivity.NONE}
            found[table][column.name] = own | followed.get(column.name, frozenset())
    return found


def less(
    found: Mapping[str, Mapping[str, frozenset[Sensitivity]]], book: Book
) -> dict[str, dict[str, frozenset[Sensitivity]]]:
    """The classes without those that were signed away."""
    signed = book.declassified()
    return {
        table: {column: classes - signed.get((table, column), frozenset()) for column, classes in columns.items()}
        for table, columns in found.items()
    }


def _write_classes(
    database: duckdb.DuckDBPyConnection, found: Mapping[str, Mapping[str, frozenset[Sensitivity]]], target: Path
) -> None:
    rows = [(t, c, sorted(map(str, classes))) for t, columns in found.items() for c, classes in columns.items()]
    tables, columns, classes = ([r[n] for r in rows] for n in range(3))
    database.execute(
        "copy (select unnest($1) as table_name, unnest($2) as column_name, unnest($3::varchar[][]) as classes"
        f" order by all) to {quoted(target)} (format parquet)",
        [tables, columns, classes],
    )


def classes_of(release: Path) -> dict[str, dict[str, frozenset[Sensitivity]]]:
    """Table -> column -> classes of a published release, before anything is signed away. Empty for one without."""
    path = release / GOVERNANCE / CLASSES
    found: dict[str, dict[str, frozenset[Sensitivity]]] = {}
    if path.exists():
        with connect() as database:
            for table, column, classes in database.execute(f"from read_parquet({quoted(path)})").fetchall():
                found.setdefault(table, {})[column] = frozenset(Sensitivity(c) for c in classes)
    return found


@dataclass
class Built:
    """One partner's tables, before the manifest that names the release."""

    partner: str
    folder: Path
    agreements: list[Agreement]
    tables: list[dict[str, Any]]
    has_treatment: bool


def build(
    database: duckdb.DuckDBPyConnection,
    folder: Path,
    warehouse: str,
    dbt_manifest: Mapping[str, Any],
    plan: Plan,
    governance: Governance,
    secret: str,
) -> list[Built]:
    """Build every partner's tables under ``folder``/partners from the release in ``database``.

    ``warehouse`` is the catalog the warehouse is attached as. Raises :class:`GateClosed` when an agreement
    asks for what may not be given, or when the attack on the small cells succeeds.
    """
    book = governance.book
    held = book.partners(governance.day)
    found = column_classes(database, warehouse, dbt_manifest, plan, governance, marts())
    classes = less(found, book)
    problems = [p for agreements in held.values() for a in agreements for p in check_tables(a, classes, book.parties)]
    if problems:
        raise GateClosed("an agreement asks for what may not be given:\n" + "\n".join(f"  {p}" for p in problems))
    own = folder / GOVERNANCE
    own.mkdir()
    write_tables(book, own)
    _write_classes(database, found, own / CLASSES)
    people.prepare(database, warehouse, governance.workspace, governance.ledgers, governance.day)
    database.execute(
        "create or replace temp table gov_disclosed (person_id varchar, partner varchar, agreement_id varchar,"
        " table_name varchar, row_count bigint, consent_ids varchar[])"
    )
    _suppress(database, held, governance, own / SHOWN)
    planned = {t.name: t for t in plan.tables}
    if docket := planned.get("fct_court_case"):
        # Under the docket's own key, too: a child of a sealed adoption has one of its own in the release.
        court = f"{warehouse}.{identifier(docket.schema)}.{identifier(docket.name)}"
        database.execute(
            "create or replace temp table gov_sealed_docket as select case_id from main.fct_court_case where is_sealed"
            f" union select {rekeyed('case_id')} from {court} where is_sealed", {"key": secret},
        )  # fmt: skip
    (folder / PARTNERS).mkdir()
    built = [
        _build_partner(database, folder / PARTNERS / partner, governance.book.parties[partner], agreements, planned,
                       classes, governance, secret)
        for partner, agreements in held.items()
    ]  # fmt: skip
    database.execute(f"copy (from gov_disclosed order by all) to {quoted(own / DISCLOSURES)} (format parquet)")
    return built


# --- small cells -----------------------------------------------------------------------------------------------


def _suppress(
    database: duckdb.DuckDBPyConnection, held: Mapping[str, list[Agreement]], governance: Governance, shown: Path
) -> None:
    """Make ``gov_measures``, the one suppressed copy all partners get their parts of, and the file of what is shown."""
    database.execute("create or replace temp table gov_measures (dummy integer)")
    if not any("measure_rows" in a.datasets for agreements in held.values() for a in agreements):
        database.execute(f"copy (select null as none where false) to {quoted(shown)} (format parquet)")
        return
    threshold = max(a.suppression.threshold for agreements in held.values() for a in agreements)
    key = ", ".join(f"{c}::varchar as {c}" for c in _ROW_KEY)
    rows = [
        Row((r[0], r[1], r[2], r[3], r[4], r[5]), r[6], r[7], is_tribal=_is_tribal(r[4], r[5]))
        for r in database.execute(f"select {key}, numerator, denominator from main.measure_rows").fetchall()
    ]
    before = _shown_before(database, governance.shown_before)
    hidden = suppress(rows, threshold, shown_before=before)
    if found := attack(rows, hidden, threshold, shown_before=before):
        raise GateClosed(f"{len(found)} hidden counts could be worked out from what is shown")
    database.execute(
        f"create or replace temp table gov_hidden ({', '.join(f'{c} varchar' for c in _ROW_KEY)}, reason varchar)"
    )
    if hidden:
        places = ", ".join(f"unnest(${n})" for n in range(1, 8))
        database.execute(f"insert into gov_hidden select {places}",
                         [list(c) for c in zip(*((*k, why) for k, why in hidden.items()), strict=True)])  # fmt: skip
    match = " and ".join(f"m.{c}::varchar is not distinct from h.{c}" for c in _ROW_KEY)
    columns = [d[0] for d in database.execute("describe main.measure_rows").fetchall()]
    database.execute(
        f"create or replace temp table gov_measures as select {', '.join(_figure(c, threshold) for c in columns)}"
        f" from main.measure_rows as m left join gov_hidden as h on {match}"
    )
    # What readers know afterwards: what is shown now, and what was shown before of rows not shown now.
    now = {row.key: (row.numerator, row.denominator) for row in rows if row.key not in hidden}
    known: dict[Key, tuple[int | None, int | None]] = {**before, **now}
    database.execute(f"create or replace temp table gov_shown ({', '.join(f'{c} varchar' for c in _ROW_KEY)},"
                     " numerator bigint, denominator bigint)")  # fmt: skip
    if known:
        places = ", ".join(f"unnest(${n})" for n in range(1, 9))
        database.execute(f"insert into gov_shown select {places}",
                         [list(c) for c in zip(*((*k, *v) for k, v in known.items()), strict=True)])  # fmt: skip
    database.execute(f"copy (from gov_shown order by all) to {quoted(shown)} (format parquet)")


def _is_tribal(kind: str, value: str) -> bool:
    """Breakdowns that single out a tribe's people: shown to nobody."""
    return (kind == "icwa" and value != "all") or (
        kind in ("race_eth", "race_any") and value.upper().startswith("AIAN")
    )


def _figure(column: str, threshold: int) -> str:
    small = f"m.n_not_observable between 1 and {threshold - 1} or m.stratum_type <> 'all'"
    if column == "suppress_reason":
        return "coalesce(h.reason, m.suppress_reason) as suppress_reason"
    if column == "suppress_flag":
        return "h.reason is not null or m.suppress_flag as suppress_flag"
    if column == "n_excluded_by_rule":
        # Counts of the left out, by rule: a margin nobody audits, so it is shown for everybody only and never small.
        few = "regexp_matches(m.n_excluded_by_rule, ':\\s*([1-9]|10)\\s*[,}]') or m.stratum_type <> 'all'"
        return f"case when h.reason is null and not ({few}) then m.n_excluded_by_rule end as n_excluded_by_rule"
    if column in ("n_not_observable", "match_rate"):
        return f"case when h.reason is null and not ({small}) then m.{column} end as {column}"
    if column in ("range_low", "range_high"):
        # What the other thresholds would show beside a hidden cell tells something of it.
        table = "m.metric_id, m.variant, m.period_start, m.period_end"
        return (
            f"case when not bool_or(h.reason is not null) over (partition by {table}) then m.{column} end as {column}"
        )
    if column in _FIGURES:
        return f"case when h.reason is null then m.{identifier(column)} end as {identifier(column)}"
    return f"m.{identifier(column)}"


def _shown_before(database: duckdb.DuckDBPyConnection, path: Path | None) -> dict[Key, tuple[int | None, int | None]]:
    if path is None or not path.exists():
        return {}
    names = {d[0] for d in database.execute(f"describe from read_parquet({quoted(path)})").fetchall()}
    if "metric_id" not in names:
        return {}
    columns = ", ".join(_ROW_KEY)
    rows = database.execute(f"select {columns}, numerator, denominator from read_parquet({quoted(path)})").fetchall()
    return {(r[0], r[1], r[2], r[3], r[4], r[5]): (r[6], r[7]) for r in rows}


# --- one partner -----------------------------------------------------------------------------------------------


def _build_partner(
    database: duckdb.DuckDBPyConnection,
    folder: Path,
    recipient: Party,
    agreements: list[Agreement],
    planned: Mapping[str, TablePlan],
    classes: Mapping[str, Mapping[str, frozenset[Sensitivity]]],
    governance: Governance,
    secret: str,
) -> Built:
    (folder / "parquet").mkdir(parents=True)
    tables: list[dict[str, Any]] = []
    has_treatment = False
    dictionary: list[tuple[str, ...]] = []
    database.execute(f"attach {quoted(folder / DATABASE)} as partner")
    # One transaction: a hundred small ones would each wait for the disc.
    database.execute("begin")
    for agreement in agreements:
        people.reach(database, agreement, recipient, governance.day)
        for table in sorted(agreement.datasets):
            made = _Query(agreement, planned[table], classes[table], governance.day, secret)
            database.execute(f"create table partner.main.{identifier(table)} as {made.sql()}")
            tables.append(_describe(database, folder, table, made))
            for column in made.columns:
                named = ", ".join(sorted(classes[table][column.name])) or "none"
                dictionary.append((table, column.name, column.sql_type, named, column.description))
            database.execute(made.disclosed(), {"partner": recipient.id, "agreement": agreement.agreement})
            has_treatment |= made.carries_treatment()
        if has_treatment:
            _consent_scope(database, folder, agreement, secret)
    _dictionary(database, folder, dictionary)
    database.execute("commit")
    database.execute("detach partner")
    _documents(folder, recipient, agreements, tables, has_treatment, governance)
    return Built(recipient.id, folder, agreements, tables, has_treatment)


@dataclass
class _Query:
    """The SELECT of one table for one agreement, over the temporary tables of :mod:`people`."""

    agreement: Agreement
    plan: TablePlan
    classes: Mapping[str, frozenset[Sensitivity]]
    day: dt.date
    secret: str

    @property
    def mart(self) -> Mart:
        return marts()[self.plan.name]

    @property
    def columns(self) -> list[Any]:
        """Columns that leave, in the agreement's order. Without a tribe's approval its class leaves with nobody."""
        planned = {c.name: c for c in self.plan.columns}
        approved = self.agreement.tribes_approve(self.day)
        return [
            planned[name]
            for name in self.agreement.datasets[self.plan.name].columns
            if approved or Sensitivity.TRIBAL not in self.classes[name]
        ]

    def sql(self) -> str:
        source = "temp.gov_measures" if self.mart.aggregate else f"main.{identifier(self.plan.name)}"
        chosen = ", ".join(f"{self._value(c)} as {identifier(c.name)}" for c in self.columns)
        return f"select {chosen} from {source} as t where {self._where()} order by all"

    def _where(self) -> str:
        parts = [
            f"t.{identifier(column)}::varchar in ({', '.join(quoted(v) for v in values)})"
            for column, values in self.agreement.datasets[self.plan.name].rows.items()
        ]
        parts += _about(self.plan.name, "t")
        parts += _row_classes(self.mart, "t", self.agreement.denied(self.plan.name))
        names = {c.name for c in self.plan.columns}
        if "case_id" in names and not self.agreement.sealed_records:
            parts.append("coalesce(t.case_id not in (select case_id from temp.gov_sealed_docket), true)")
        return " and ".join(parts) or "true"

    def _value(self, column: Any) -> str:
        name = f"t.{identifier(column.name)}"
        mart = self.mart
        if column.name in mart.recount:
            role = mart.recount[column.name]
            only = f" and b.role = {quoted(role)}" if role else ""
            return (
                f"(select count(distinct b.person_id) from main.brg_family_member as b where b.family_id ="
                f" t.{identifier(mart.family or '')} and {' and '.join(self._visible_members('b'))}{only})"
            )
        value = own_id(self.agreement, self.secret, name) if self._is_id(column) else name
        if column.name in mart.also:
            value = f"case when {name} in ({people.WITHIN_REACH}) then {value} end"
        if column.name in mart.needs_scope:
            covered = people.consenting(Sensitivity.SUD_P2, mart.needs_scope[column.name])
            value = f"case when t.person_id in ({covered}) then {value} end"
        if column.name in _PLACES and not (mart.nobody or mart.aggregate):
            value = f"case when not ({self._is_protected()}) then {value} end"
        return value

    def _visible_members(self, alias: str) -> list[str]:
        bridge = marts()["brg_family_member"]
        denied = frozenset(self.agreement.classes_denied)
        return [*_about("brg_family_member", alias), *_row_classes(bridge, alias, denied)]

    def _is_protected(self) -> str:
        protected = "select person_id from temp.gov_protected"
        if self.mart.people:
            return " or ".join(f"t.{identifier(p)} in ({protected})" for p in self.mart.people)
        if self.mart.family:
            return (
                f"t.{identifier(self.mart.family)} in (select family_id from main.brg_family_member"
                f" where person_id in ({protected}))"
            )
        return " or ".join(
            f"t.{identifier(key)} in (select o.{identifier(key)} from main.{identifier(other)} as o"
            f" where o.person_id in ({protected}))"
            for key, other in self.mart.through.items()
            if marts()[other].people
        ) or "false"  # fmt: skip

    def _is_id(self, column: Any) -> bool:
        if column.name in _OPEN_IDS or self.mart.nobody or self.mart.aggregate:
            return False
        known = {*self.mart.people, *self.mart.also, "person_id", "family_id", "parent_id", "mother_id"}
        return column.treatment == "re-keyed" or column.name in known

    def carries_treatment(self) -> bool:
        """Whether a row or a column of it speaks of substance use treatment, so that the notice must travel."""
        if self.mart.nobody or self.mart.aggregate:
            return False
        columns = any(Sensitivity.SUD_P2 in self.classes[c.name] for c in self.columns)
        rows = any(c.cls is Sensitivity.SUD_P2 for c in self.mart.classes)
        return columns or (rows and Sensitivity.SUD_P2 not in self.agreement.denied(self.plan.name))

    def disclosed(self) -> str:
        """INSERT of who is in the rows, for the account every person may ask for. Parameters $partner, $agreement."""
        name = self.plan.name
        mart = self.mart
        if mart.nobody or mart.aggregate:
            return "select $partner, $agreement"
        if mart.people:
            subjects = f"select t.{identifier(mart.people[0])} as person_id from main.{identifier(name)} as t"
            for other in mart.people[1:]:
                subjects += (
                    f" where {self._where()} union all select t.{identifier(other)} from main.{identifier(name)} as t"
                )
            subjects += f" where {self._where()}"
        elif mart.family:
            subjects = (
                f"select b.person_id from main.{identifier(name)} as t inner join main.brg_family_member as b"
                f" on b.family_id = t.{identifier(mart.family)} where {self._where()}"
                f" and {' and '.join(self._visible_members('b'))}"
            )
        else:
            key, other = next(iter(mart.through.items()))
            if marts()[other].people:
                subjects = (
                    f"select o.{identifier(marts()[other].people[0])} as person_id from main.{identifier(name)} as t"
                    f" inner join main.{identifier(other)} as o on o.{identifier(key)} = t.{identifier(key)}"
                    f" where {self._where()} and {' and '.join(_about(other, 'o'))}"
                )
            else:
                subjects = (
                    f"select b.person_id from main.{identifier(name)} as t"
                    f" inner join main.{identifier(other)} as o on o.{identifier(key)} = t.{identifier(key)}"
                    f" inner join main.brg_family_member as b on b.family_id = o.family_id"
                    f" where {self._where()} and {' and '.join(self._visible_members('b'))}"
                )
        consents = (
            "(select list(distinct c.consent_id order by c.consent_id) from temp.reach_consent as c"
            " where c.person_id = s.person_id)"
            if self.carries_treatment() or mart.classes
            else "null"
        )
        return (
            f"insert into gov_disclosed select s.person_id, $partner, $agreement, {quoted(name)}, count(*),"
            f" {consents} from ({subjects}) as s group by s.person_id"
        )


def own_id(agreement: Agreement, secret: str, value: str) -> str:
    """SQL for an ID as the recipient gets it: its own, unless the agreement shares IDs.

    Made with a secret from an ID that is random itself, never from anything about a person (45 CFR 164.514(c)).
    """
    if agreement.delivery.ids == "shared":
        return value
    key = sha256_text(f"{secret}|{agreement.recipient}")
    return f"left(sha256({quoted(key)} || {value}::varchar), 20)"


def _about(table: str, alias: str) -> list[str]:
    """Conditions that keep rows about people within reach."""
    mart = marts()[table]
    parts = [f"{alias}.{identifier(p)} in ({people.WITHIN_REACH})" for p in mart.people]
    if mart.family:
        parts.append(
            f"{alias}.{identifier(mart.family)} in (select family_id from main.brg_family_member"
            f" where person_id in ({people.WITHIN_REACH}))"
        )
    for key, other in mart.through.items():
        inner = " and ".join(_about(other, "o"))
        parts.append(
            f"{alias}.{identifier(key)} in"
            f" (select o.{identifier(key)} from main.{identifier(other)} as o where {inner})"
        )
    return parts


def _row_classes(mart: Mart, alias: str, denied: frozenset[Sensitivity]) -> list[str]:
    """Conditions that keep rows whose presence may be told: of no denied class, and consented to where law wants it."""
    parts = []
    for row in mart.classes:
        matches = [
            f"coalesce({alias}.{identifier(c)}::varchar in ({', '.join(quoted(v) for v in values)}), false)"
            for c, values in row.when.items()
        ]
        is_such = " and ".join(matches) or "true"
        if row.cls in denied:
            parts.append(f"not ({is_such})")
        elif row.cls in people.NEED_CONSENT:
            covered = people.consenting(row.cls, people.SCOPES)
            agreed = " and ".join(f"{alias}.{identifier(p)} in ({covered})" for p in mart.people)
            parts.append(f"(not ({is_such}) or ({agreed}))")
    return parts


def _describe(database: duckdb.DuckDBPyConnection, folder: Path, table: str, made: _Query) -> dict[str, Any]:
    name = f"partner.main.{identifier(table)}"
    database.execute(f"comment on table {name} is {quoted(made.plan.description)}")
    for column in made.columns:
        database.execute(f"comment on column {name}.{identifier(column.name)} is {quoted(column.description)}")
    file = f"parquet/{table}.parquet"
    database.execute(f"copy {name} to {quoted(folder / file)} (format parquet, compression zstd)")
    digest, count = content_hash(database, name)
    return {"name": table, "file": file, "rows": count, "content_hash": digest, "columns": len(made.columns),
            "agreement": made.agreement.agreement}  # fmt: skip


# --- what travels with the rows --------------------------------------------------------------------------------

#: 42 CFR 2.32(a)(1).
NOTICE_PART2 = """\
This record which has been disclosed to you is protected by federal confidentiality rules (42 CFR part 2). These
rules prohibit you from using or disclosing this record, or testimony that describes the information contained in
this record, in any civil, criminal, administrative, or legislative proceedings by any Federal, State, or local
authority, against the patient, unless authorized by the consent of the patient, except as provided at 42 CFR
2.12(c)(5) or as authorized by a court in accordance with 42 CFR 2.64 or 2.65. In addition, the Federal rules
prohibit you from making any other use or disclosure of this record unless at least one of the following applies:
(1) Further use or disclosure is expressly permitted by the written consent of the individual whose information is
being disclosed in this record or as otherwise permitted by 42 CFR part 2. (2) You are a covered entity or business
associate and have received the record pursuant to a consent for treatment, payment, and health care operations, or
(3) You have received the record from a covered entity or business associate as permitted by 45 CFR part 164,
subparts A and E. A general authorization for the release of medical or other information is NOT sufficient to meet
the required elements of written consent to further use or redisclose the record (see 42 CFR 2.31).
"""


def safe_cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front; everything else stays."""
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@"):
        return "'" + value
    return value


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(header)
        writer.writerows([safe_cell(v) for v in row] for row in rows)


def _consent_scope(database: duckdb.DuckDBPyConnection, folder: Path, agreement: Agreement, secret: str) -> None:
    """The explanation of each consent's scope that must accompany the records (42 CFR 2.32)."""
    who = own_id(agreement, secret, "person_id")
    rows = database.execute(
        f"select {who}, class, purpose, scope, valid_from, valid_to from temp.reach_consent"
        f" where person_id in ({people.WITHIN_REACH}) order by all"
    ).fetchall()
    _write_csv(
        folder / f"consent_scope_{agreement.agreement}.csv",
        ("person_id", "class", "purpose", "scope", "valid_from", "valid_to"),
        rows,
    )


def _dictionary(database: duckdb.DuckDBPyConnection, folder: Path, rows: list[tuple[str, ...]]) -> None:
    header = ("table_name", "column_name", "data_type", "classes", "description")
    database.execute(f"create table partner.main.data_dictionary ({', '.join(f'{h} varchar' for h in header)})")
    if rows:
        places = ", ".join(f"unnest(${n})" for n in range(1, len(header) + 1))
        database.execute(f"insert into partner.main.data_dictionary select {places}",
                         [list(c) for c in zip(*rows, strict=True)])  # fmt: skip
    _write_csv(folder / "data_dictionary.csv", header, rows)


def _documents(
    folder: Path,
    recipient: Party,
    agreements: list[Agreement],
    tables: list[dict[str, Any]],
    has_treatment: bool,
    governance: Governance,
) -> None:
    lines = [
        f"# {recipient.name}",
        "",
        f"Decided for {governance.day}. A file that was delivered cannot be called back:",
        "delete it when its agreement ends.",
        "",
    ]
    for a in agreements:
        lines += [
            f"## {a.agreement}: {a.title}",
            "",
            f"- Purposes: {', '.join(a.purposes)}. No other use.",
            f"- Legal basis: {'; '.join(a.legal_basis)}",
            f"- Holds until the day before {a.expires}. Keep a release for {a.retention_days} days at most,"
            f" then delete it and send the proof within {a.destruction_proof_due_days} days.",
            f"- Redisclosure: {a.redisclosure.replace('_', ' ')}.",
            "- Do not link these rows with other files to find out who somebody is; tell us if it happens by accident.",
            "",
        ]
    lines += ["## Tables", "", "| table | rows | columns |", "|---|---|---|"]
    lines += [f"| {t['name']} | {t['rows']} | {t['columns']} |" for t in tables]
    lines += [
        "",
        "Rows and columns that the agreement does not name are not here. In measures, an empty figure with a",
        "`suppress_reason` is hidden, never 0. Dates of birth are months. What every column means is in",
        "`data_dictionary.csv` and in the comments of the database.",
        "",
    ]
    (folder / "CODEBOOK.md").write_text("\n".join(lines), encoding="utf-8")
    if has_treatment:
        (folder / "NOTICE_42CFR2.txt").write_text(NOTICE_PART2, encoding="utf-8")


def finish(built: list[Built], folder: Path, release_id: str, cut: dt.date, governance: Governance) -> None:
    """Write and sign each partner's manifest, and its envelope where the agreement wants one; all read-only after."""
    key = signing_key(governance.vault)
    for partner in built:
        files = sorted(p for p in partner.folder.rglob("*") if p.is_file())
        manifest = {
            "format": FORMAT,
            "release_id": release_id,
            "partner": partner.partner,
            "cut_off": cut.isoformat(),
            "decided_for": governance.day.isoformat(),
            "not_after": min(a.expires for a in partner.agreements).isoformat(),
            "agreements": [a.model_dump(mode="json", include={"agreement", "purposes", "legal_basis", "effective",
                           "expires", "redisclosure", "retention_days"}) for a in partner.agreements],
            "tables": partner.tables,
            "files": {p.relative_to(partner.folder).as_posix(): {"sha256": sha256_file(p), "bytes": p.stat().st_size}
                      for p in files},
        }  # fmt: skip
        write_json(partner.folder / MANIFEST, manifest)
        sign(partner.folder, key)
        party = governance.book.parties[partner.partner]
        if party.public_key and any(a.delivery.encrypted for a in partner.agreements):
            seal(partner.folder, party.public_key, partner.folder.with_suffix(".tar.age"))
        sync_folder(partner.folder / "parquet")
        sync_folder(partner.folder)
        os.chmod(partner.folder, 0o750)
    sync_folder(folder / PARTNERS)
    sync_folder(folder / GOVERNANCE)


def summary(built: list[Built], book: Book) -> dict[str, Any]:
    """What the release's own manifest says of its partners: it enters the release's ID."""
    return {
        "agreements_hash": sha256_text(canonical_json(as_rows(book))),
        "partners": {b.partner: {t["name"]: t["content_hash"] for t in b.tables} for b in built},
    }
