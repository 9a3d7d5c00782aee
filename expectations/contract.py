"""The contract of a source, and the only reader of ``contract.yml``.

A contract says once what an agency promises: files, tables, columns, types, codes, keys, cadence, sensitivity
and meaning. Unknown keys are errors, because a misspelt key would otherwise silently promise nothing.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from expectations.vocabulary import (
    CASE_ROLES,
    IDENTIFYING,
    NAMING_ATTRIBUTES,
    PERSON_ATTRIBUTES,
    RELATIONSHIPS,
    SQL_TYPES,
    Cadence,
    ColumnType,
    FileFormat,
    Mode,
    Sensitivity,
)

SOURCES_DIR = Path(__file__).parent / "sources"
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


#: strptime directives that DuckDB reads as Python does.
_DIRECTIVES = frozenset("aAbBdHIjmMpSyYzfZ")


class ContractError(Exception):
    """A contract that cannot be used. The message names the file and the field, in a data lead's words."""


def _known_format(fmt: str) -> str:
    found = re.findall(r"%(.)", fmt)
    if not found or set(found) - _DIRECTIVES:
        raise ValueError(f"'{fmt}' is no date format; write it as in %Y-%m-%d")
    return fmt


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Code(_Strict):
    """One row of a code list. ``maps_to`` is the plain word the warehouse uses for it."""

    code: str
    label: str
    maps_to: str | None = None
    version: str = ""
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None


class Steward(_Strict):
    """Who answers for the source: an office, never a person."""

    office: str
    legal_basis: list[str] = []
    allowed_uses: list[str] = []


class Delivery(_Strict):
    """How files arrive. Given for the whole system and, where a table differs, again on the table."""

    format: FileFormat = FileFormat.DELIMITED
    delimiter: str = ","
    encodings: list[str] = ["utf-8", "cp1252"]
    cadence: Cadence = Cadence.MONTHLY
    max_age_days: int = Field(45, gt=0, description="older than this at the cut-off and the source is stale")
    mode: Mode = Mode.FULL
    max_quarantine_share: float = Field(
        0.2, ge=0, le=1, description="above this share of bad rows the whole file is refused"
    )

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str) -> str:
        if len(value) != 1:
            raise ValueError("a delimiter is one character")
        return value

    @field_validator("encodings")
    @classmethod
    def _known_encodings(cls, value: list[str]) -> list[str]:
        for name in value:
            try:
                codecs.lookup(name)
            except LookupError as error:
                raise ValueError(f"there is no encoding '{name}'") from error
        return value


class Column(_Strict):
    """One delivered field.

    ``raw`` is the header (or tag, or relative XPath) in the file, ``name`` ours, ``element`` the standard's own
    name where it is another one. ``sentinels`` are values that mean something else than themselves:
    ``null`` (not known), ``open`` (an end that has not come), or a word kept for ``<name>_note``.
    """

    name: str
    raw: str = ""
    type: ColumnType = ColumnType.TEXT
    description: str
    sensitivity: Sensitivity
    element: str | None = None
    required: bool = False
    formats: list[str] = []
    codes: str | None = None
    on_unknown_code: Literal["quarantine", "keep"] = "quarantine"
    null_tokens: list[str] = []
    sentinels: dict[str, Literal["null", "open"]] = {}
    not_before: dt.date | None = None
    may_be_future: bool = False
    max_length: int | None = None
    start: int | None = Field(None, ge=1, description="fixed width: first position, counted from 1")
    width: int | None = Field(None, ge=1, description="fixed width: number of positions")
    match_as: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _raw_defaults_to_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and "raw" not in data and "name" in data:
            data = {**data, "raw": data["name"]}
        return data

    @field_validator("name")
    @classmethod
    def _snake(cls, value: str) -> str:
        if not _NAME.match(value):
            raise ValueError("column names are lower snake case")
        return value

    @field_validator("match_as")
    @classmethod
    def _known_attribute(cls, value: str | None) -> str | None:
        if value is not None and value not in PERSON_ATTRIBUTES:
            raise ValueError(f"match_as is none of the person attributes: {', '.join(PERSON_ATTRIBUTES)}")
        return value

    @model_validator(mode="after")
    def _sense(self) -> Column:
        if self.formats and self.type not in (ColumnType.DATE, ColumnType.TIMESTAMP):
            raise ValueError(f"formats are for dates and timestamps; this column is {self.type.value}")
        for fmt in self.formats:
            _known_format(fmt)
        if self.match_as:
            wanted = PERSON_ATTRIBUTES[self.match_as][0]
            if wanted != "varchar" and SQL_TYPES[self.type] != wanted:
                raise ValueError(f"match_as {self.match_as} needs a {wanted} column; this one is {self.type.value}")
            if self.match_as in NAMING_ATTRIBUTES and self.sensitivity not in IDENTIFYING:
                raise ValueError(f"match_as {self.match_as} names a person: its sensitivity is direct_id")
        return self


#: Rules every contract implies; a check of a table needs another name.
COLUMN_RULES = ("required", "type", "unknown_code", "impossible_date", "too_long", "duplicate_key", "duplicate_row")


class Check(_Strict):
    """A promise about one row that no single column can state. ``sql`` is true for a good row."""

    rule: str
    sql: str
    fields: list[str]
    action: Literal["quarantine", "warn"] = "warn"
    description: str


class PersonRows(_Strict):
    """This table's rows describe people.

    ``kind`` is ``primary`` (one row, one person record), ``alias`` (another name of a record) or ``address``
    (another address of a record). ``record_id`` names the columns that together are the source's person number;
    joined with ``~``. ``role`` is fixed, or read from a column through ``roles``; without either it is unknown
    and linkage decides by age. ``valid_from`` and ``valid_to`` name the columns that say since when and until when a
    name or an address held: households are made from the dated homes alone.
    """

    kind: Literal["primary", "alias", "address"] = "primary"
    record_id: list[str]
    where: str | None = Field(None, description="SQL on this table's columns: only these rows")
    role: Literal["child", "adult"] | None = None
    role_column: str | None = None
    roles: dict[str, Literal["child", "adult"]] = {}
    valid_from: str | None = None
    valid_to: str | None = None


class RelationshipRows(_Strict):
    """This table's rows state a relationship, read left to right: ``person`` <relationship> ``related``.

    Without ``person`` they state an adoption by somebody they do not name.
    """

    person: list[str] = []
    related: list[str]
    code: str | None = None
    map: dict[str, str] = {}
    relationship: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    where: str | None = None

    @model_validator(mode="after")
    def _known(self) -> RelationshipRows:
        stated = [*self.map.values(), *([self.relationship] if self.relationship else [])]
        unknown = sorted(set(stated) - set(RELATIONSHIPS))
        if unknown or not stated:
            raise ValueError(f"relationship must be one of {', '.join(RELATIONSHIPS)}; not {unknown}")
        if not self.person and set(stated) != {"adoptive_parent_of"}:
            raise ValueError("a relationship needs a person; only who adopted somebody may be left unnamed")
        return self


class MembershipRows(_Strict):
    """This table's rows put a person record into a case of this source, in a role."""

    case: list[str]
    person: list[str]
    role_column: str | None = None
    roles: dict[str, str] = {}
    role: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    where: str | None = None

    @model_validator(mode="after")
    def _known(self) -> MembershipRows:
        unknown = sorted({*self.roles.values(), *([self.role] if self.role else [])} - set(CASE_ROLES))
        if unknown:
            raise ValueError(f"case roles are {', '.join(CASE_ROLES)}; not {unknown}")
        return self


class CaseLinkRows(_Strict):
    """This table's rows name the same case in another source (a docket that quotes the agency's case number)."""

    case: list[str]
    other_system: str
    other_case: list[str]
    where: str | None = None


class Table(_Strict):
    """One delivered table: its grain, key and columns, and what its rows say about people."""

    name: str
    description: str
    grain: str
    file: str = Field(description="file name pattern; {date} stands for the delivery date, YYYYMMDD")
    sheet: str | None = None
    header_row: int = Field(1, ge=1, description="xlsx: the row that holds the headers")
    rows: str | None = Field(None, description="xml: XPath of the element that is one row")
    key: list[str]
    optional: bool = Field(False, description="a delivery without this file is complete")
    delivery: Delivery
    order_by: list[str] = Field([], description="change deliveries: the later of two rows with one key")
    delete_column: str | None = None
    delete_values: list[str] = []
    columns: list[Column]
    checks: list[Check] = []
    persons: list[PersonRows] = []
    relationships: list[RelationshipRows] = []
    memberships: list[MembershipRows] = []
    case_links: list[CaseLinkRows] = []

    @field_validator("name")
    @classmethod
    def _snake(cls, value: str) -> str:
        if not _NAME.match(value):
            raise ValueError("table names are lower snake case")
        return value

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by our name."""
        return {c.name: c for c in self.columns}

    @model_validator(mode="after")
    def _columns_exist(self) -> Table:
        names = [c.name for c in self.columns]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"columns named twice: {twice}")
        used: list[str] = [*self.key, *self.order_by, *([self.delete_column] if self.delete_column else [])]
        for check in self.checks:
            used += check.fields
        for p in self.persons:
            used += [*p.record_id, *(c for c in (p.role_column, p.valid_from, p.valid_to) if c)]
        for r in self.relationships:
            used += [*r.person, *r.related, *(c for c in (r.code, r.valid_from, r.valid_to) if c)]
        for m in self.memberships:
            used += [*m.case, *m.person, *(c for c in (m.role_column, m.valid_from, m.valid_to) if c)]
        for link in self.case_links:
            used += [*link.case, *link.other_case]
        missing = sorted(set(used) - set(names))
        if missing:
            raise ValueError(f"these columns are used but not declared: {missing}")
        if not self.key:
            raise ValueError("a table needs a key")
        if "{date}" not in self.file or "/" in self.file or "\\" in self.file:
            raise ValueError("file is a plain file name with {date} in it")
        if bool(self.delete_column) != bool(self.delete_values):
            raise ValueError("delete_column and delete_values belong together")
        made = {f"{c.name}_meaning" for c in self.columns if c.codes} | {"delivered_on"}
        if made & set(names):
            raise ValueError(
                f"staging adds columns of these names, so a delivered one needs another: {made & set(names)}"
            )
        headers = [c.raw for c in self.columns]
        twice = sorted({h for h in headers if headers.count(h) > 1})
        if twice and self.delivery.format in (FileFormat.DELIMITED, FileFormat.XLSX):
            raise ValueError(f"headers promised twice: {twice}")
        rules = [check.rule for check in self.checks]
        taken = sorted({r for r in rules if rules.count(r) > 1 or r in COLUMN_RULES})
        if taken:
            raise ValueError(f"rule names must be their own: {taken}")
        if self.delivery.format is FileFormat.XLSX and not self.sheet:
            raise ValueError("a workbook table needs its sheet")
        if self.delivery.format is FileFormat.XML and not self.rows:
            raise ValueError("an XML table needs the XPath of its rows")
        if self.delivery.format is FileFormat.FIXED_WIDTH and any(not (c.start and c.width) for c in self.columns):
            raise ValueError("every fixed-width column needs start and width")
        return self


class Contract(_Strict):
    """Everything one source system promises."""

    system: str
    title: str
    description: str
    version: str
    steward: Steward
    delivery: Delivery
    null_tokens: list[str] = [""]
    date_formats: list[str] = ["%Y-%m-%d"]
    timestamp_formats: list[str] = ["%Y-%m-%d %H:%M:%S"]
    true_tokens: list[str] = ["Y"]
    false_tokens: list[str] = ["N"]
    code_lists: dict[str, list[Code]] = {}
    tables: dict[str, Table]

    @field_validator("date_formats", "timestamp_formats")
    @classmethod
    def _known_formats(cls, value: list[str]) -> list[str]:
        return [_known_format(fmt) for fmt in value]

    @model_validator(mode="after")
    def _hangs_together(self) -> Contract:
        for table in self.tables.values():
            for column in table.columns:
                if column.codes and column.codes not in self.code_lists:
                    raise ValueError(f"{table.name}.{column.name}: there is no code list codes/{column.codes}.csv")
            mapped: list[tuple[str | None, dict[str, Any]]] = [
                *((p.role_column, dict(p.roles)) for p in table.persons),
                *((r.code, dict(r.map)) for r in table.relationships),
                *((m.role_column, dict(m.roles)) for m in table.memberships),
                (table.delete_column, dict.fromkeys(table.delete_values)),
            ]
            for name, words in mapped:
                if name is None:
                    if words:
                        raise ValueError(f"{table.name}: {sorted(words)} are mapped, but from no column")
                    continue
                codes = table.by_name[name].codes
                strange = sorted(set(words) - {c.code for c in self.code_lists[codes]}) if codes else []
                if strange:
                    raise ValueError(f"{table.name}.{name}: {strange} are not in the code list {codes}")
        for name, codes_ in self.code_lists.items():
            meanings: dict[str, str | None] = {}
            for code in codes_:
                if meanings.setdefault(code.code, code.maps_to) != code.maps_to:
                    raise ValueError(f"codes/{name}.csv: code '{code.code}' has two meanings; make it two lists")
        return self

    def formats(self, column: Column) -> list[str]:
        """Date or timestamp formats tried for ``column``, in order (strptime notation)."""
        if column.formats:
            return column.formats
        return self.timestamp_formats if column.type is ColumnType.TIMESTAMP else self.date_formats

    def nulls(self, column: Column) -> list[str]:
        """Texts that mean "no value" in ``column``: the system's, the column's, and null sentinels."""
        return [*self.null_tokens, *column.null_tokens, *(k for k, v in column.sentinels.items() if v == "null")]


class _OneKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML that says the same thing twice is an error: the second would silently win."""


def _mapping(loader: _OneKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key, _ in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else id(key)
        if name in seen:
            raise yaml.MarkedYAMLError(problem=f"the key '{name}' is there twice", problem_mark=key.start_mark)
        seen.add(name)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_OneKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _read_codes(folder: Path) -> dict[str, list[dict[str, Any]]]:
    lists: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((folder / "codes").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            if list(reader.fieldnames or []) != list(Code.model_fields):
                raise ContractError(f"{folder.name}/codes/{path.name}: the header is {','.join(Code.model_fields)}")
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise ContractError(
                        f"{folder.name}/codes/{path.name}, line {reader.line_num}: wrong number of cells"
                    )
                rows.append({k: v for k, v in row.items() if v != ""})
        lists[path.stem] = rows
    return lists


def _place(data: Any, loc: tuple[int | str, ...]) -> str:
    """Where in the contract an error is, list positions told by the name of what stands there."""
    parts: list[str] = []
    for step in loc:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            data = None
        name = next((data[k] for k in ("name", "rule", "label") if k in data), None) if isinstance(data, dict) else None
        parts.append(str(name) if isinstance(step, int) and isinstance(name, str) else str(step))
    return ".".join(parts) or "contract"


def load_contract(folder: Path) -> Contract:
    """Read one source's folder (``contract.yml`` and ``codes/*.csv``).

    Raises :class:`ContractError` naming file and field.
    """
    path = folder / "contract.yml"
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_OneKeyLoader)
    except FileNotFoundError as error:
        raise ContractError(f"{folder.name}: there is no contract.yml") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"{folder.name}/contract.yml: not UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not readable as YAML"
        raise ContractError(f"{folder.name}/contract.yml{where}: {problem}") from error
    if not isinstance(data, dict):
        raise ContractError(f"{folder.name}/contract.yml: empty, or not a mapping")
    default, tables = data.get("delivery") or {}, data.get("tables") or {}
    if not isinstance(default, dict) or not isinstance(tables, dict):
        raise ContractError(f"{folder.name}/contract.yml: delivery and tables are mappings")
    for name, table in tables.items():
        if isinstance(table, dict):
            if table.setdefault("name", name) != name:
                raise ContractError(f"{folder.name}/contract.yml: tables.{name}.name: is '{table['name']}'")
            table["delivery"] = {**default, **(table.get("delivery") or {})}
    data["code_lists"] = _read_codes(folder)
    try:
        contract = Contract.model_validate(data)
    except ValidationError as error:
        lines = [
            f"  {_place(data, e['loc'])}: "
            + ("no such key" if e["type"] == "extra_forbidden" else e["msg"].removeprefix("Value error, "))
            for e in error.errors()
        ]
        raise ContractError("\n".join([f"{folder.name}/contract.yml does not hold:", *lines])) from error
    if contract.system != folder.name:
        raise ContractError(f"{folder.name}/contract.yml: system: is '{contract.system}', but the folder's name counts")
    return contract


def load_contracts(root: Path = SOURCES_DIR) -> dict[str, Contract]:
    """All contracts under ``root``, by system name, in alphabetical order.

    Raises :class:`ContractError` naming file and field, also where one contract quotes a system that is not there.
    """
    folders = sorted(p.parent for p in root.glob("*/contract.yml"))
    contracts = {folder.name: load_contract(folder) for folder in folders}
    for contract in contracts.values():
        for table in contract.tables.values():
            for link in table.case_links:
                if link.other_system not in contracts:
                    raise ContractError(
                        f"{contract.system}/contract.yml: tables.{table.name}.case_links: "
                        f"there is no system '{link.other_system}'"
                    )
    return contracts
