"""Sensitivity classes of every mart's column: what its YAML declares, and what its SQL inherits, whichever is more.

A column is as sensitive as everything it was computed from. The classes begin in the contracts, stand on the staging
models, and are followed here through the SQL that dbt compiled, column by column. Only a signed declassification takes
one away again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from expectations.vocabulary import Sensitivity

Classes = frozenset[Sensitivity]
Ledger = dict[str, dict[str, Classes]]

#: What linkage writes carries no contract; these of its columns say something about a person.
LINKAGE: Mapping[str, Mapping[str, Sensitivity]] = {
    "person_facts": {
        "birth_date": Sensitivity.QUASI_ID,
        "death_date": Sensitivity.QUASI_ID,
        "sex": Sensitivity.QUASI_ID,
        "county": Sensitivity.QUASI_ID,
        "zip3": Sensitivity.QUASI_ID,
    },
    "person_crosswalk": {"source_record_id": Sensitivity.SOURCE_KEY},
    "family_member": {"role": Sensitivity.CW_CASE, "evidence": Sensitivity.CW_CASE},
    "parent_child": {"role": Sensitivity.CW_CASE},
}


class ClassesError(Exception):
    """A column without a class, or SQL whose lineage cannot be followed. Names models and columns."""


@dataclass
class Lineage:
    """Where the columns of dbt's models come from.

    ``manifest`` is dbt's; ``compiled`` the folder ``compiled/kinweave`` of its target; ``columns`` the columns of every
    relation in the warehouse by its bare name, from which stars are expanded.
    """

    manifest: Mapping[str, Any]
    compiled: Path
    columns: Mapping[str, list[str]]
    _known: Ledger = field(default_factory=dict)

    @cached_property
    def _models(self) -> dict[str, Mapping[str, Any]]:
        nodes = self.manifest["nodes"].values()
        return {str(n.get("alias") or n["name"]): n for n in nodes if n["resource_type"] == "model"}

    def classes(self, model: str) -> dict[str, Classes]:
        """Column -> classes of a model. Raises :class:`ClassesError`."""
        if model not in self._known:
            node = self._models.get(model)
            if node is None:
                return {name: frozenset({cls}) for name, cls in LINKAGE.get(model, {}).items()}
            self._known[model] = {}
            declared = {str(k).lower(): _declared(v) for k, v in node["columns"].items()}
            if "staging" in node["fqn"]:
                # The contract speaks: nothing lies before it.
                self._known[model] = {k: v or frozenset() for k, v in declared.items()}
            else:
                inherited = self._inherited(model, node)
                self._known[model] = {c: _real((declared.get(c) or frozenset()) | v) for c, v in inherited.items()}
        return self._known[model]

    def _inherited(self, model: str, node: Mapping[str, Any]) -> dict[str, Classes]:
        path = self.compiled / node["original_file_path"]
        try:
            tree = sqlglot.parse_one(path.read_text(encoding="utf-8"), dialect="duckdb")
            read = list(tree.find_all(exp.Table))
            for table in read:
                _bare(table)
            schema: dict[str, object] = {
                name: dict.fromkeys(self.columns[name], "varchar")
                for name in {t.name for t in read} & set(self.columns)
            }
            qualified = qualify(tree, dialect="duckdb", schema=schema, validate_qualify_columns=False)
            root = build_scope(qualified)
        except (SqlglotError, OSError) as error:
            raise ClassesError(f"{model}: its SQL cannot be read for lineage ({type(error).__name__})") from error
        if root is None:
            raise ClassesError(f"{model}: its SQL is no query")
        found: dict[str, Classes] = {}
        for name in _query(root).named_selects:
            leaves = set(_leaves(root, name, set()))
            found[name.lower()] = frozenset().union(*(self._leaf(t, c) for t, c in leaves))
        return found

    def _leaf(self, table: str, column: str) -> Classes:
        classes = self.classes(table)
        if column == "*":
            return frozenset().union(*classes.values())
        return classes.get(column.lower(), frozenset())


def _declared(column: Mapping[str, Any]) -> Classes | None:
    """Classes a column's YAML names; None when it names none."""
    meta = {**((column.get("config") or {}).get("meta") or {}), **(column.get("meta") or {})}
    named = meta.get("sensitivity")
    if named is None:
        return None
    return frozenset(Sensitivity(n) for n in ([named] if isinstance(named, str) else named))


def _real(classes: Classes) -> Classes:
    return classes - {Sensitivity.NONE}


def _bare(table: exp.Table) -> None:
    """Reduce a relation to its bare name: ``read_parquet('…/person_facts.parquet')`` is ``person_facts``."""
    if not isinstance(table.this, exp.Identifier):
        literal = table.find(exp.Literal)
        name = Path(literal.this).stem if literal is not None else "unknown"
        table.set("this", exp.to_identifier(name))
    table.set("db", None)
    table.set("catalog", None)


def _query(scope: Scope) -> Any:
    return scope.expression


def _leaves(scope: Scope, column: str, seen: set[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """Relations' columns that an output column of ``scope`` is computed from; column ``*`` means any of them."""
    if (id(scope), column) in seen:
        return
    seen.add((id(scope), column))
    if scope.set_operation_scopes:
        names = [s.lower() for s in _query(scope.set_operation_scopes[0]).named_selects]
        place = names.index(column.lower()) if column.lower() in names else None
        for branch in scope.set_operation_scopes:
            branch_names = _query(branch).named_selects
            if place is None or place >= len(branch_names):
                yield from _everything(branch, seen)
            else:
                yield from _leaves(branch, branch_names[place], seen)
        return
    chosen = [s for s in _query(scope).selects if s.alias_or_name.lower() == column.lower()]
    if not chosen or any(s.is_star for s in chosen):
        yield from _everything(scope, seen)
        return
    for projection in chosen:
        for reference in projection.find_all(exp.Column):
            source = _source(scope, reference.table)
            if isinstance(source, exp.Table):
                yield source.name, reference.name
            elif isinstance(source, Scope):
                yield from _leaves(source, reference.name, seen)
            else:
                # An unnested list, a lateral alias: what it stands for cannot be told apart, so all of it counts.
                yield from _everything(scope, seen)


def _source(scope: Scope, alias: str) -> Any:
    if alias in scope.sources:
        return scope.sources[alias]
    for inner in scope.traverse():
        if alias in inner.sources:
            return inner.sources[alias]
    outer = scope.parent
    return outer.sources.get(alias) if outer is not None else None


def _everything(scope: Scope, seen: set[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """Every relation that ``scope`` reads, wherever in it."""
    for inner in scope.traverse():
        for source in inner.sources.values():
            if isinstance(source, exp.Table):
                yield source.name, "*"


def warehouse_columns(
    database: duckdb.DuckDBPyConnection, catalog: str, linkage_dir: Path | None
) -> dict[str, list[str]]:
    """Columns of every relation in the attached warehouse, and of the files linkage wrote, by bare name."""
    found: dict[str, list[str]] = {}
    for table, column in database.execute(
        "select table_name, column_name from duckdb_columns() where database_name = ? order by column_index", [catalog]
    ).fetchall():
        found.setdefault(str(table), []).append(str(column))
    for path in sorted(linkage_dir.glob("*.parquet")) if linkage_dir else []:
        rows = database.execute("select name from parquet_schema(?) where num_children is null", [str(path)]).fetchall()
        found[path.stem] = [str(r[0]) for r in rows]
    return found
