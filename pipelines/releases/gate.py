"""The gate: what of the warehouse may leave, and in what form. Closed unless opened.

A column leaves only when a mart's YAML documents it. Agency record numbers are replaced by keys nobody outside can
turn back; birth dates become birth months; a direct identifier anywhere stops the release. After the build the gate
reads the result and compares it with the identifiers in the raw deliveries, because a class can be declared wrongly.

A sealed adoption is sealed here, for every table at once: the warehouse counts with the whole of a child's life, and
what leaves it joins the child to nobody of before the decree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb

from expectations.contract import Contract
from expectations.vocabulary import PERSON_ATTRIBUTES, Sensitivity
from pipelines.storage import identifier, quoted

Treatment = Literal["as is", "re-keyed", "month"]

#: Person attributes that identify by themselves, by the names linkage gives them.
_DIRECT_ATTRIBUTES = frozenset(PERSON_ATTRIBUTES) & frozenset(
    [
        "full_name",
        "first_name",
        "middle_name",
        "last_name",
        "maiden_name",
        "ssn",
        "ssn_last4",
        "medicaid_id",
        "mother_medicaid_id",
        "address_line",
        "address_line_2",
        "phone",
        "mother_first_name",
        "mother_last_name",
        "merged_into_record_id",
    ]
)
_BIRTH = frozenset({"dob", "birth_date", "date_of_birth"})
#: In rows about a child: its parents, and keys that its birth parents, brothers and sisters stand under as well.
_PARENTS = frozenset({"parent_id", "mother_id"})
_SHARED_KEYS = frozenset({"case_id", "petition_id", "report_id"})
_SEALED_PARENT = "Empty where the child's adoption is sealed and the parent is from before it."
_SEALED_KEY = "The child's own, joining with nobody else's rows, where its adoption is sealed."


class GateClosed(Exception):
    """The release would carry something it must not. The message names tables and columns, never a value."""


@dataclass(frozen=True)
class ColumnPlan:
    """One released column: how it leaves and what it means."""

    name: str
    sql_type: str
    description: str
    sensitivity: str
    treatment: Treatment


@dataclass(frozen=True)
class TablePlan:
    """One released table and where its rows lie in the warehouse."""

    name: str
    schema: str
    description: str
    columns: list[ColumnPlan] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """All tables that leave."""

    tables: list[TablePlan]


def _contract_classes(contracts: Mapping[str, Contract]) -> dict[str, set[Sensitivity]]:
    """Every class that any source gives a column of this name."""
    classes: dict[str, set[Sensitivity]] = {}
    for contract in contracts.values():
        for table in contract.tables.values():
            for column in table.columns:
                classes.setdefault(column.name, set()).add(column.sensitivity)
    return classes


def _names_a_person(name: str, classes: Mapping[str, set[Sensitivity]]) -> bool:
    """Whether a column's name alone gives it away, whatever class the mart declares."""
    return name in _DIRECT_ATTRIBUTES or classes.get(name) == {Sensitivity.DIRECT_ID}


def plan_release(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    dbt_manifest: Mapping[str, Any],
    contracts: Mapping[str, Contract],
) -> Plan:
    """Decide for every mart of the warehouse attached as ``catalog`` what leaves and how.

    A mart is a dbt model under ``models/marts``; one with ``meta.released: false`` stays inside. Raises
    :class:`GateClosed` for a column that is undocumented, has no class or an unknown one, or is a direct identifier.
    """
    classes = _contract_classes(contracts)
    physical: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, sql_type in connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() where database_name = ?"
        " order by column_index",
        [catalog],
    ).fetchall():
        physical.setdefault((schema, table), {})[column] = sql_type
    problems: list[str] = []
    tables: list[TablePlan] = []
    for node in sorted(dbt_manifest["nodes"].values(), key=lambda n: str(n["name"])):
        if node["resource_type"] != "model" or "marts" not in node["fqn"]:
            continue
        if node["config"].get("materialized") == "ephemeral" or _meta(node).get("released") is False:
            continue
        relation = (node["schema"], node.get("alias") or node["name"])
        if relation not in physical:
            problems.append(f"{node['name']}: the warehouse does not hold this mart")
            continue
        documented = {str(k).lower(): v for k, v in node["columns"].items()}
        columns = []
        for name, sql_type in physical[relation].items():
            where = f"{node['name']}.{name}"
            doc = documented.get(name.lower())
            if doc is None:
                problems.append(f"{where}: not documented in the mart's YAML")
                continue
            declared = _meta(doc).get("sensitivity")
            if declared is None:
                problems.append(f"{where}: has no sensitivity class")
                continue
            if declared not in set(Sensitivity):
                problems.append(f"{where}: there is no sensitivity class of this name")
                continue
            sensitivity = Sensitivity(declared)
            if sensitivity is Sensitivity.DIRECT_ID or _names_a_person(name.lower(), classes):
                problems.append(f"{where}: a direct identifier may not leave the vault")
                continue
            columns.append(
                ColumnPlan(
                    name=name,
                    sql_type=sql_type,
                    description=_described(name.lower(), str(doc.get("description") or "").strip(), physical[relation]),
                    sensitivity=str(sensitivity),
                    treatment=_treatment(name.lower(), sql_type, sensitivity),
                )
            )
        tables.append(TablePlan(relation[1], relation[0], str(node.get("description") or "").strip(), columns))
    if not tables and not problems:
        problems.append("the warehouse has no marts to release")
    if problems:
        raise GateClosed("the release gate is closed:\n" + "\n".join(f"  {p}" for p in problems))
    return Plan(tables)


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**(node.get("config") or {}).get("meta", {}), **(node.get("meta") or {})}


def _described(name: str, description: str, columns: Iterable[str]) -> str:
    """The mart's words and, where a sealed adoption changes the column, those that say so."""
    if "person_id" not in columns or name not in _PARENTS | _SHARED_KEYS:
        return description
    return f"{description} {_SEALED_PARENT if name in _PARENTS else _SEALED_KEY}".strip()


def _treatment(name: str, sql_type: str, sensitivity: Sensitivity) -> Treatment:
    if sensitivity is Sensitivity.SOURCE_KEY:
        return "re-keyed"
    if name in _BIRTH or (sensitivity is Sensitivity.QUASI_ID and sql_type in ("DATE", "TIMESTAMP")):
        return "month"
    return "as is"


def prepare_seal(connection: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    """Make ``sealed_child (person_id, parents)``, temporary: children of sealed adoptions and who may stand by them.

    Those are the parents that linkage shows, none of whom is from before the decree.
    """
    bridge, shown = linkage_dir / "restricted" / "adoption_bridge.parquet", linkage_dir / "parent_child.parquet"
    sealed = f"select distinct child_person_id as person_id from read_parquet({quoted(bridge)})"
    parents = f"select child_person_id as person_id, parent_person_id as parent_id from read_parquet({quoted(shown)})"
    nobody = "select null::varchar as person_id, null::varchar as parent_id where false"
    connection.execute(
        f"""create or replace temp table sealed_child as
        select c.person_id, coalesce(list(distinct p.parent_id) filter (p.parent_id is not null), []) as parents
        from ({sealed if bridge.exists() else nobody}) as c
        left join ({parents if shown.exists() else nobody}) as p on c.person_id = p.person_id
        group by c.person_id"""
    )


def rekeyed(key: str) -> str:
    """SQL for a record number as it leaves. Keyed with ``$key``: a plain hash of a short one can be found by trying."""
    return f"left(sha256($key || {key}::varchar), 20)"


def released_sql(table: TablePlan, catalog: str) -> str:
    """SELECT that gives the table as it may leave, after :func:`prepare_seal`.

    Takes one parameter, ``$key``: the secret of re-keyed numbers.
    """
    is_about_somebody = "person_id" in {c.name for c in table.columns}
    parts = []
    is_sealed_here = False
    for column in table.columns:
        name = f"t.{identifier(column.name)}"
        value = name
        if column.treatment == "re-keyed":
            value = rekeyed(name)
        elif column.treatment == "month":
            value = f"date_trunc('month', {name})::date"
        if is_about_somebody and column.name in _PARENTS:
            is_sealed_here = True
            value = f"case when s.person_id is null or list_contains(s.parents, {name}) then {value} end"
        elif is_about_somebody and column.name in _SHARED_KEYS:
            is_sealed_here = True
            value = f"case when s.person_id is null then {value} else {rekeyed(f't.person_id || {name}')} end"
        parts.append(f"{value} as {identifier(column.name)}")
    source = f"{identifier(catalog)}.{identifier(table.schema)}.{identifier(table.name)} as t"
    if is_sealed_here:
        source += " left join temp.sealed_child as s on t.person_id = s.person_id"
    return f"select {', '.join(parts)} from {source} order by all"


def scan_values(
    connection: duckdb.DuckDBPyConnection,
    tables: Iterable[TablePlan],
    contracts: Mapping[str, Contract],
    current_dir: Path,
) -> list[str]:
    """Columns of the built release that hold a value some source delivered as an identifier.

    Compares every text of six characters or more that carries a digit or a space (so that a town named like a
    surname is no alarm) with the raw deliveries' columns of class ``direct_id`` and ``source_key``. Re-keyed columns
    are hashes and are not looked at. Returns one line per released column, naming the delivered column; never a value.
    """
    texts = [
        f"select {quoted(t.name + '.' + c.name)} as place, {identifier(c.name)}::varchar as v from {identifier(t.name)}"
        for t in tables
        for c in t.columns
        if c.sql_type.startswith("VARCHAR") and c.treatment != "re-keyed" and c.name not in ("person_id", "family_id")
    ]
    if not texts:
        return []
    connection.execute(
        "create or replace temp table scanned as select distinct place, v from ("
        + " union all ".join(texts)
        + ") where length(v) >= 6 and regexp_matches(v, '[0-9 ]')"
    )
    problems: dict[str, str] = {}
    for system, contract in contracts.items():
        for table in contract.tables.values():
            path = current_dir / system / f"{table.name}.parquet"
            names = [
                c.name
                for c in table.columns
                if c.sensitivity in (Sensitivity.DIRECT_ID, Sensitivity.SOURCE_KEY) and c.type.value == "text"
            ]
            if not path.exists() or not names:
                continue
            values = " union all ".join(
                f"select {quoted(n)} as field, {identifier(n)} as v from read_parquet({quoted(path)})" for n in names
            )
            for place, fieldname in connection.execute(
                f"select distinct s.place, i.field from scanned s join ({values}) i on s.v = i.v"
            ).fetchall():
                problems.setdefault(place, f"{place}: holds values of {system}.{table.name}.{fieldname}")
    connection.execute("drop table scanned")
    return [problems[place] for place in sorted(problems)]
