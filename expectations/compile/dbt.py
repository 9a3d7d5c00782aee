"""Staging models and dbt sources, written from a contract.

Per table one view: a delivered row stays a row, and every expression reads a single column. Per system four Parquet
files for linkage, whose columns are the same for every source. Anything that needs two rows or two tables is a
hand-written ``int_`` model. No dbt tests are generated: what a delivery promises is checked at the door.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import duckdb
import yaml

from expectations.compile.sql import identifier, literal, literals
from expectations.contract import (
    CaseLinkRows,
    Code,
    Column,
    Contract,
    ContractError,
    MembershipRows,
    PersonRows,
    RelationshipRows,
    Table,
)
from expectations.vocabulary import PERSON_ATTRIBUTES, SQL_TYPES, ColumnType, Sensitivity

#: Where the files go, from the repository's root.
STAGING = "dbt_project/models/staging"

#: The night's folder, quotes in its name doubled: dbt-duckdb puts the path between single quotes.
_WORKSPACE = "env_var('KINWEAVE_WORKSPACE') | replace(\"'\", \"''\")"

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

#: The four files linkage reads: name -> (what one row is, column -> (type, meaning)).
LINKAGE_INPUTS: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "person_records": (
        "one row per source record, and one per further name or address of it",
        {
            "source_system": ("varchar", "system that delivered the row"),
            "source_record_id": ("varchar", "the source's own person number, parts joined with ~"),
            "row_kind": ("varchar", "primary, alias (another name) or address (another address)"),
            "source_table": ("varchar", "table the row came from"),
            "record_role": ("varchar", "child or adult where the source says so"),
            **PERSON_ATTRIBUTES,
            "valid_from": ("date", "first day the name or address held, where stated"),
            "valid_to": ("date", "day it ended, where stated"),
            "delivered_on": ("date", "date of the delivery the row came with"),
        },
    ),
    "relationships": (
        "one row per stated relationship, read left to right",
        {
            "source_system": ("varchar", "system that delivered the row"),
            "source_record_id": ("varchar", "person on the left"),
            "related_record_id": ("varchar", "person on the right"),
            "relationship": ("varchar", "what the left person is to the right one"),
            "valid_from": ("date", "first day, where stated"),
            "valid_to": ("date", "day it ended, where stated"),
            "source_table": ("varchar", "table the row came from"),
        },
    ),
    "case_members": (
        "one row per person, case and role as the source states them",
        {
            "source_system": ("varchar", "system that delivered the row"),
            "case_key": ("varchar", "the source's own case number, parts joined with ~"),
            "source_record_id": ("varchar", "person in the case"),
            "role": ("varchar", "role in the case"),
            "valid_from": ("date", "first day, where stated"),
            "valid_to": ("date", "day it ended, where stated"),
            "source_table": ("varchar", "table the row came from"),
        },
    ),
    "case_links": (
        "one row per case that quotes another system's case number",
        {
            "source_system": ("varchar", "system that delivered the row"),
            "case_key": ("varchar", "the source's own case number, parts joined with ~"),
            "other_system": ("varchar", "system whose case is quoted"),
            "other_case_key": ("varchar", "that system's case number as quoted"),
        },
    ),
}

#: Sources have tables of their own called relationships, so the model is named apart; the file is not.
_INPUT_MODELS = {"relationships": "person_relationships"}
#: Table names a contract cannot use, because the models of the linkage inputs have them.
TAKEN_NAMES = frozenset(_INPUT_MODELS.get(kind, kind) for kind in LINKAGE_INPUTS)

#: Classes of the linkage inputs' columns that identify a person or a record.
_INPUT_SENSITIVITY = {
    **dict.fromkeys(PERSON_ATTRIBUTES, Sensitivity.DIRECT_ID),
    **dict.fromkeys(
        ("source_record_id", "related_record_id", "case_key", "other_case_key", "merged_into_record_id"),
        Sensitivity.SOURCE_KEY,
    ),
}


def files(contract: Contract) -> dict[str, str]:
    """Every staging file of one system: path from the repository's root -> text.

    Raises :class:`ContractError` where a table's name is one of :data:`TAKEN_NAMES`.
    """
    taken = sorted(TAKEN_NAMES & set(contract.tables))
    if taken:
        raise ContractError(f"{contract.system}/contract.yml: tables.{taken[0]}: the name belongs to a linkage input")
    folder = f"{STAGING}/{contract.system}"
    out = {f"{folder}/_{contract.system}__sources.yml": _sources(contract)}
    models = []
    for table in contract.tables.values():
        name = f"stg_{contract.system}__{table.name}"
        out[f"{folder}/{name}.sql"] = _header(contract, "--") + _staging_sql(contract, table)
        models.append(_staging_yml(contract, table, name))
    tables = contract.tables.values()
    selects = {
        "person_records": [_person_rows(contract, t, p) for t in tables for p in t.persons],
        "relationships": [_relationship_rows(contract, t, r) for t in tables for r in t.relationships],
        "case_members": [_member_rows(contract, t, m) for t in tables for m in t.memberships],
        "case_links": [_case_link_rows(contract, t, c) for t in tables for c in t.case_links],
    }
    for kind, parts in selects.items():
        name = f"stg_{contract.system}__{_INPUT_MODELS.get(kind, kind)}"
        out[f"{folder}/{name}.sql"] = _header(contract, "--") + _external_sql(contract, kind, parts)
        models.append(_external_yml(contract, kind, name))
    out[f"{folder}/_{contract.system}__models.yml"] = _yaml(contract, {"version": 2, "models": models})
    return out


def _header(contract: Contract, mark: str) -> str:
    return (
        f"{mark} Generated by `make generate` from expectations/sources/{contract.system}/contract.yml."
        f" Do not edit: change the contract.\n"
    )


def _yaml(contract: Contract, data: dict[str, Any]) -> str:
    # Both of PyYAML's emitters write the same text as long as no line is folded.
    text = yaml.dump(data, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=10_000)
    return _header(contract, "#") + text


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    rows = duckdb.sql("select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'").fetchall()
    return frozenset(r[0] for r in rows)


def _name(name: str) -> str:
    """A column name, quoted only where SQL would misread it: people read these files."""
    return identifier(name) if name in _reserved() else name


def _meta(**facts: Any) -> dict[str, Any]:
    return {"config": {"meta": {k: v for k, v in facts.items() if v is not None}}}


# --- tables -----------------------------------------------------------------------------------------------------


def _column_yml(column: Column) -> dict[str, Any]:
    meta = _meta(sensitivity=column.sensitivity.value, element=column.element, codes=column.codes)
    return {"name": column.name, "description": column.description, **meta}


def _sources(contract: Contract) -> str:
    # A call, so that dbt-duckdb leaves the quoting of an unusual folder name to us.
    location = f"read_parquet('{{{{ {_WORKSPACE} }}}}/raw/current/{contract.system}/{{name}}.parquet')"
    tables = [
        {
            "name": t.name,
            "description": t.description,
            **_meta(
                grain=t.grain,
                key=t.key,
                cadence=t.delivery.cadence.value,
                mode=t.delivery.mode.value,
                dagster={"asset_key": ["raw", contract.system, t.name]},
            ),
            "columns": [_column_yml(c) for c in t.columns],
        }
        for t in contract.tables.values()
    ]
    source = {
        "name": contract.system,
        "description": contract.description,
        **_meta(external_location=location, contract_version=contract.version),
        "tables": tables,
    }
    return _yaml(contract, {"version": 2, "sources": [source]})


def _kept(table: Table) -> list[Column]:
    return [c for c in table.columns if c.sensitivity is not Sensitivity.DIRECT_ID]


def _codes(contract: Contract, column: Column) -> list[Code]:
    """The column's codes that have a plain word, each code once."""
    codes = contract.code_lists[column.codes] if column.codes else []
    return list({c.code: c for c in codes if c.maps_to}.values())


def _meaning(contract: Contract, column: Column, indent: str) -> str:
    value = _name(column.name) if column.type is ColumnType.TEXT else f"cast({_name(column.name)} as varchar)"
    whens = "".join(
        f"\n{indent}    when {literal(c.code)} then {literal(c.maps_to or '')}" for c in _codes(contract, column)
    )
    return f"case {value}{whens}\n{indent}end"


def _staging_sql(contract: Contract, table: Table) -> str:
    lines = []
    for column in _kept(table):
        # The standard's own name stands beside ours: analysts search for E155 or ELGBLTY_GRP_CD.
        lines.append(f"    {_name(column.name)}," + (f"  -- {column.element}" if column.element else ""))
        if _codes(contract, column):
            lines.append(f"    {_meaning(contract, column, '    ')} as {column.name}_meaning,")
    lines.append("    _delivered_on as delivered_on")
    body = "\n".join(lines)
    return (
        "{{ config(materialized='view') }}\n\n"
        f"select\n{body}\nfrom {{{{ source('{contract.system}', '{table.name}') }}}}\n"
    )


def _staging_yml(contract: Contract, table: Table, name: str) -> dict[str, Any]:
    columns = []
    for column in _kept(table):
        columns.append({**_column_yml(column), "data_type": SQL_TYPES[column.type]})
        if _codes(contract, column):
            columns.append(
                {
                    "name": f"{column.name}_meaning",
                    "description": f"Plain word for {column.name}, from the code list {column.codes}.",
                    **_meta(sensitivity=column.sensitivity.value),
                    "data_type": "varchar",
                }
            )
    columns.append(
        {
            "name": "delivered_on",
            "description": "Date of the delivery the row came with.",
            **_meta(sensitivity=Sensitivity.NONE.value),
            "data_type": "date",
        }
    )
    return {
        "name": name,
        "description": table.description,
        **_meta(grain=table.grain, key=table.key),
        "columns": columns,
    }


# --- what linkage reads -----------------------------------------------------------------------------------------


def _varchar(table: Table, name: str) -> str:
    return _name(name) if table.by_name[name].type is ColumnType.TEXT else f"cast({_name(name)} as varchar)"


def _joined(table: Table, names: list[str]) -> str:
    """The columns as one key; NULL when one of them is, so half a key never meets another half."""
    return " || '~' || ".join(_varchar(table, n) for n in names)


def _day(table: Table, name: str | None) -> str:
    if name is None:
        return "cast(null as date)"
    return _name(name) if table.by_name[name].type is ColumnType.DATE else f"cast({_name(name)} as date)"


def _mapped(table: Table, column: str, words: dict[str, str], otherwise: str | None) -> str:
    whens = "".join(f"\n        when {literal(code)} then {literal(word)}" for code, word in words.items())
    last = f"\n        else {literal(otherwise)}" if otherwise else ""
    return f"case {_varchar(table, column)}{whens}{last}\n    end"


def _select(
    contract: Contract, table: Table, kind: str, values: dict[str, str], needed: list[str], where: str | None
) -> str:
    """One branch of a linkage input; a row without one of the ``needed`` columns says nothing and is left out."""
    given = {"source_system": literal(contract.system), "source_table": literal(table.name), **values}
    lines = []
    for name, (sql_type, _) in LINKAGE_INPUTS[kind][1].items():
        value = given.get(name, f"cast(null as {sql_type})")
        lines.append(f"    {value}" if value == name else f"    {value} as {name}")
    conditions = [f"{_name(n)} is not null" for n in dict.fromkeys(needed)] + ([f"({where})"] if where else [])
    return (
        "select\n"
        + ",\n".join(lines)
        + f"\nfrom {{{{ source('{contract.system}', '{table.name}') }}}}\nwhere\n    "
        + "\n    and ".join(conditions)
    )


def _attribute(contract: Contract, column: Column, sql_type: str) -> str:
    if _codes(contract, column):
        return _meaning(contract, column, "    ")
    return _name(column.name) if SQL_TYPES[column.type] == sql_type else f"cast({_name(column.name)} as {sql_type})"


def _person_rows(contract: Contract, table: Table, rows: PersonRows) -> str:
    values = {
        "source_record_id": _joined(table, rows.record_id),
        "row_kind": literal(rows.kind),
        "valid_from": _day(table, rows.valid_from),
        "valid_to": _day(table, rows.valid_to),
        "delivered_on": "_delivered_on",
    }
    if rows.role_column:
        values["record_role"] = _mapped(table, rows.role_column, dict(rows.roles), rows.role)
    elif rows.role:
        values["record_role"] = literal(rows.role)
    for name, (sql_type, _) in PERSON_ATTRIBUTES.items():
        given = [_attribute(contract, c, sql_type) for c in table.columns if c.match_as == name]
        if given:
            values[name] = given[0] if len(given) == 1 else f"coalesce({', '.join(given)})"
    return _select(contract, table, "person_records", values, rows.record_id, rows.where)


def _relationship_rows(contract: Contract, table: Table, rows: RelationshipRows) -> str:
    where = rows.where
    if not rows.code:
        word = literal(rows.relationship or "")
    else:
        word = _mapped(table, rows.code, rows.map, rows.relationship)
        if not rows.relationship:
            # A code without a word states no relationship.
            stated = f"{_varchar(table, rows.code)} in {literals(rows.map)}"
            where = f"{stated} and ({where})" if where else stated
    values = {
        "source_record_id": _joined(table, rows.person) if rows.person else "cast(null as varchar)",
        "related_record_id": _joined(table, rows.related),
        "relationship": word,
        "valid_from": _day(table, rows.valid_from),
        "valid_to": _day(table, rows.valid_to),
    }
    return _select(contract, table, "relationships", values, [*rows.person, *rows.related], where)


def _member_rows(contract: Contract, table: Table, rows: MembershipRows) -> str:
    # A member whose role has no word of ours is still a member.
    role = literal(rows.role or "other")
    if rows.role_column:
        role = _mapped(table, rows.role_column, rows.roles, rows.role or "other")
    values = {
        "case_key": _joined(table, rows.case),
        "source_record_id": _joined(table, rows.person),
        "role": role,
        "valid_from": _day(table, rows.valid_from),
        "valid_to": _day(table, rows.valid_to),
    }
    return _select(contract, table, "case_members", values, [*rows.case, *rows.person], rows.where)


def _case_link_rows(contract: Contract, table: Table, rows: CaseLinkRows) -> str:
    values = {
        "case_key": _joined(table, rows.case),
        "other_system": literal(rows.other_system),
        "other_case_key": _joined(table, rows.other_case),
    }
    return _select(contract, table, "case_links", values, [*rows.case, *rows.other_case], rows.where)


def _external_sql(contract: Contract, kind: str, parts: list[str]) -> str:
    location = f"{_WORKSPACE} ~ '/vault/staged/{contract.system}__{kind}.parquet'"
    config = f"{{{{ config(materialized='external', location={location}) }}}}\n\n"
    if not parts:
        nothing = ",\n".join(
            f"    cast(null as {sql_type}) as {name}" for name, (sql_type, _) in LINKAGE_INPUTS[kind][1].items()
        )
        parts = [f"select\n{nothing}\nwhere false"]
    return config + "\nunion all\n\n".join(part + "\n" for part in parts)


def _external_yml(contract: Contract, kind: str, name: str) -> dict[str, Any]:
    grain, columns = LINKAGE_INPUTS[kind]
    return {
        "name": name,
        "description": f"What {contract.system} offers to linkage: {grain}."
        " A file without rows holds one row of nulls, which readers drop.",
        **_meta(grain=grain),
        "columns": [
            {
                "name": column,
                "description": meaning,
                **_meta(sensitivity=_INPUT_SENSITIVITY.get(column, Sensitivity.NONE).value),
                "data_type": sql_type,
            }
            for column, (sql_type, meaning) in columns.items()
        ],
    }
