"""Agreements: who may see what, written as YAML by people who are no programmers, read here and nowhere else.

``agreements/parties.yml`` lists the parties; every other ``agreements/*.yml`` is one agreement. Default deny: a column,
a row or a table that no agreement in force names is in nobody's file. Unknown keys are errors, because a misspelt
restriction would otherwise silently restrict nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from expectations.vocabulary import Sensitivity
from pipelines.settings import keys_given_twice
from pipelines.storage import atomic_path, connect, identifier, quoted

PARTIES = "parties.yml"
DECLASSIFICATIONS = "declassifications.yml"
#: No agreement is longer; a file that is was not written by a person.
_MAX_BYTES = 1_000_000

#: What a party is. Consent and the small-cell rule depend on it, so the list is closed.
Kind = Literal["child_welfare", "court", "medicaid", "provider", "court_team", "evaluator", "tribe", "public"]

#: What a disclosure is for. A purpose never stands for another one (42 CFR 2.31, 2.33).
Purpose = Literal[
    "treatment_payment_operations",
    "plan_administration",
    "court_team",
    "child_welfare_case",
    "court_oversight",
    "evaluation",
    "tribal_governance",
    "public_reporting",
]

#: The regulation an agreement must cite to name a column of the class. Sources: 42 CFR part 2; 42 CFR 431.300-306;
#: 34 CFR part 303 subpart E.
REGIMES: Mapping[Sensitivity, str] = {
    Sensitivity.SUD_P2: "42 CFR 2",
    Sensitivity.MEDICAID: "42 CFR 431",
    Sensitivity.PARTC: "34 CFR 303",
}


#: Whose rows a class comes from: a party of this kind must be among the disclosers, or get its own back.
OWNERS: Mapping[Sensitivity, Kind] = {
    Sensitivity.CW_CASE: "child_welfare",
    Sensitivity.COURT: "court",
    Sensitivity.COURT_SEALED: "court",
    Sensitivity.MEDICAID: "medicaid",
    Sensitivity.SUD_P2: "provider",
}


T = TypeVar("T", bound=BaseModel)


class AgreementError(Exception):
    """Agreements that cannot be used. One line per problem: file, line, field, rule."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one file."""

    file: str
    line: int | None
    field: str
    rule: str

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{place}: {self.field}: {self.rule}"


def _plain_text(value: str) -> str:
    if not value.strip() or any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError("a line of plain text, without control characters")
    return value


#: IDs become folder names, role names and file names: nothing but letters, digits and underscores.
PARTY_ID = r"^[a-z][a-z0-9_]{0,39}$"
AGREEMENT_ID = r"^[A-Za-z][A-Za-z0-9-]{0,39}$"
NAME = r"^[a-z][a-z0-9_]{0,62}$"
PUBLIC_KEY = r"^age1[0-9a-z]{58}$"
PartyId = Annotated[str, Field(pattern=PARTY_ID)]
AgreementId = Annotated[str, Field(pattern=AGREEMENT_ID)]
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(max_length=500), AfterValidator(_plain_text)]
Value = Annotated[str, Field(max_length=100), AfterValidator(_plain_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Party(_Strict):
    """An organisation that gives or receives.

    ``systems`` are the sources whose records are its own; ``programs`` its own numbers where several programs of
    treatment share one source (the first part of its clients' record numbers).
    """

    id: PartyId
    name: Text
    kind: Kind
    systems: list[Name] = []
    programs: list[Value] = []
    public_key: str | None = Field(None, pattern=PUBLIC_KEY, description="age recipient for its files")


class Parties(_Strict):
    """``parties.yml``."""

    parties: list[Party] = Field(min_length=1)

    @model_validator(mode="after")
    def _once(self) -> Parties:
        ids = [p.id for p in self.parties]
        if len(set(ids)) < len(ids):
            raise ValueError("parties: two share an id")
        return self


class Between(_Strict):
    """The two sides. Rows of a class that belongs to one kind of party need a discloser of that kind."""

    disclosers: list[PartyId] = Field(min_length=1)
    recipient: PartyId


class People(_Strict):
    """Whose rows: everyone who meets all that is given; with ``family``, the rest of their families too.

    ``sites``: children enrolled with one of these sites. ``counties``: children removed in one of them. ``systems``:
    people these sources know; of those whom treatment knows, the recipient's own clients and whoever consents.
    ``icwa``: people with an ICWA status of yes or pending.
    """

    sites: list[Value] | None = Field(None, min_length=1)
    counties: list[Value] | None = Field(None, min_length=1)
    systems: list[Name] | None = Field(None, min_length=1)
    icwa: Literal[True] | None = None
    family: bool = False

    @model_validator(mode="after")
    def _something(self) -> People:
        if not (self.sites or self.counties or self.systems or self.icwa):
            raise ValueError("say whose rows: sites, counties, systems or icwa; or write `people: everyone`")
        return self


class Dataset(_Strict):
    """One table: its columns by name, and rows by the values a column may have (all named columns must fit)."""

    columns: list[Name] = Field(min_length=1)
    rows: dict[Name, list[Value]] = {}
    classes_denied: list[Sensitivity] = []

    @field_validator("columns")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("a column is named twice")
        return value

    @field_validator("rows")
    @classmethod
    def _some(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        if any(not values for values in value.values()):
            raise ValueError("an empty list of values lets no row through: leave the table out instead")
        return value


class Suppression(_Strict):
    """Small cells. ``threshold`` is the smallest count that may be shown; 0 may always be shown."""

    threshold: int = Field(default=11, ge=11, le=1000)
    complementary: Literal[True] = True


class Delivery(_Strict):
    """How the recipient gets it, and how many releases it may keep. ``ids``: its own, or shared with other partners."""

    modes: list[Literal["files", "postgres"]] = Field(default=["files"], min_length=1)
    encrypted: bool = False
    ids: Literal["separate", "shared"] = "separate"


class Approval(_Strict):
    """An office that approved, and when."""

    by: Text
    date: dt.date


class TribalApproval(_Strict):
    """A tribe's approval of this disclosure: without one, rows and columns about its people are withheld."""

    by: PartyId
    date: dt.date
    until: dt.date | None = None
    withdrawn: dt.date | None = None

    def holds(self, day: dt.date) -> bool:
        return (
            self.date <= day
            and not (self.until and self.until <= day)
            and not (self.withdrawn and self.withdrawn <= day)
        )


class Agreement(_Strict):
    """One agreement. ``expires`` and ``withdrawn`` are the first days on which it no longer holds."""

    agreement: AgreementId
    title: Text
    parties: Between
    legal_basis: list[Text] = Field(min_length=1)
    purposes: list[Purpose] = Field(min_length=1)
    effective: dt.date
    expires: dt.date
    withdrawn: dt.date | None = None
    supersedes: AgreementId | None = None
    people: Literal["everyone"] | People
    datasets: dict[Name, Dataset] = Field(min_length=1)
    classes_denied: list[Sensitivity] = []
    sealed_records: Text | None = Field(None, description="the law that lets the recipient see sealed records")
    suppression: Suppression = Suppression()
    delivery: Delivery = Delivery()
    redisclosure: Literal["prohibited", "with_written_permission", "as_the_consent_allows"]
    retention_days: int = Field(ge=1, le=36500)
    destruction_proof_due_days: int = Field(30, ge=1, le=365)
    requested_by: Text
    approvals: list[Approval] = Field(min_length=1)
    tribal_approvals: list[TribalApproval] = []

    @model_validator(mode="after")
    def _sense(self) -> Agreement:
        if self.expires <= self.effective:
            raise ValueError("expires: the agreement ends before it starts")
        if self.expires > self.effective + dt.timedelta(days=3660):
            raise ValueError("expires: no agreement runs longer than ten years")
        offices = {a.by.casefold().strip() for a in self.approvals}
        if self.requested_by.casefold().strip() in offices:
            raise ValueError("approvals: whoever requested an agreement does not approve it")
        if self.parties.recipient in {o.replace(" ", "_") for o in offices}:
            raise ValueError("approvals: the recipient does not approve its own agreement")
        if self.parties.recipient in self.parties.disclosers and len(self.parties.disclosers) == 1:
            raise ValueError("parties: discloser and recipient are the same party")
        if self.supersedes == self.agreement:
            raise ValueError("supersedes: an agreement does not supersede itself")
        return self

    @property
    def recipient(self) -> str:
        """Party that receives: its ID names the partner's folder and its database role."""
        return self.parties.recipient

    def denied(self, table: str) -> frozenset[Sensitivity]:
        """Classes that may not be in the recipient's copy of ``table``."""
        return frozenset([*self.classes_denied, *self.datasets[table].classes_denied])

    def tribes_approve(self, day: dt.date) -> bool:
        """Whether a tribe's approval of this disclosure holds on ``day``."""
        return any(a.holds(day) for a in self.tribal_approvals)


class Declassification(_Strict):
    """A column that no longer carries what it was computed from, in the judgement of a named office."""

    table: Name
    column: Name
    classes: list[Sensitivity] = Field(min_length=1)
    because: Text
    signed_by: Text
    date: dt.date


class Declassifications(_Strict):
    """``declassifications.yml``."""

    declassifications: list[Declassification]


@dataclass(frozen=True)
class Book:
    """All parties and agreements of a deployment, checked against each other."""

    parties: Mapping[str, Party]
    agreements: Mapping[str, Agreement]
    declassifications: tuple[Declassification, ...] = ()

    def declassified(self) -> dict[tuple[str, str], frozenset[Sensitivity]]:
        """Classes signed away, by table and column."""
        return {(d.table, d.column): frozenset(d.classes) for d in self.declassifications}

    def ends(self, agreement: Agreement) -> dt.date:
        """The first day on which ``agreement`` no longer holds: expired, withdrawn or superseded."""
        later = [a.effective for a in self.agreements.values() if a.supersedes == agreement.agreement]
        return min([agreement.expires, *([agreement.withdrawn] if agreement.withdrawn else []), *later])

    def in_force(self, day: dt.date) -> list[Agreement]:
        """Agreements that hold on ``day``: begun, not ended, not withdrawn, not superseded. In order of their IDs."""
        begun = [a for a in self.agreements.values() if a.effective <= day]
        superseded = {a.supersedes for a in begun}
        return sorted(
            (
                a
                for a in begun
                if day < a.expires and not (a.withdrawn and a.withdrawn <= day) and a.agreement not in superseded
            ),
            key=lambda a: a.agreement,
        )

    def partners(self, day: dt.date) -> dict[str, list[Agreement]]:
        """Agreements in force on ``day`` by recipient."""
        found: dict[str, list[Agreement]] = {}
        for agreement in self.in_force(day):
            found.setdefault(agreement.recipient, []).append(agreement)
        return dict(sorted(found.items()))


# --- reading ---------------------------------------------------------------------------------------------------


def load(folder: Path) -> Book:
    """Read every agreement in ``folder``. Raises :class:`AgreementError` with everything that is wrong.

    A folder without ``parties.yml`` and without agreements is an empty book: nobody gets anything.
    """
    problems: list[Problem] = []
    files = sorted(p for p in folder.glob("*") if p.suffix in (".yml", ".yaml")) if folder.is_dir() else []
    if not files:
        return Book({}, {})
    parties: dict[str, Party] = {}
    agreements: dict[str, Agreement] = {}
    places: dict[str, tuple[str, yaml.Node]] = {}
    declassified: tuple[Declassification, ...] = ()
    for path in files:
        node = _read(path, problems)
        if node is None:
            continue
        if path.name == PARTIES:
            made = _validated(Parties, path.name, node, problems)
            parties = {p.id: p for p in made.parties} if made else {}
            continue
        if path.name == DECLASSIFICATIONS:
            signed = _validated(Declassifications, path.name, node, problems)
            declassified = tuple(signed.declassifications) if signed else ()
            continue
        agreement = _validated(Agreement, path.name, node, problems)
        if agreement is None:
            continue
        if agreement.agreement in agreements:
            other = places[agreement.agreement][0]
            problems.append(Problem(path.name, _line(node, ("agreement",)), "agreement", f"{other} has the same ID"))
            continue
        agreements[agreement.agreement] = agreement
        places[agreement.agreement] = (path.name, node)
    if not (folder / PARTIES).exists():
        problems.append(Problem(PARTIES, None, "the file", "is missing: list the parties there"))
    elif parties:
        problems += _against_each_other(parties, agreements, places)
    if problems:
        raise AgreementError(problems)
    return Book(parties, agreements, declassified)


def _against_each_other(
    parties: Mapping[str, Party], agreements: Mapping[str, Agreement], places: Mapping[str, tuple[str, yaml.Node]]
) -> list[Problem]:
    problems = []

    def wrong(agreement: Agreement, loc: tuple[Any, ...], rule: str) -> None:
        file, node = places[agreement.agreement]
        problems.append(Problem(file, _line(node, loc), ".".join(map(str, loc)), rule))

    for a in agreements.values():
        for loc, party in [
            (("parties", "recipient"), a.recipient),
            *((("parties", "disclosers", i), d) for i, d in enumerate(a.parties.disclosers)),
            *((("tribal_approvals", i, "by"), t.by) for i, t in enumerate(a.tribal_approvals)),
        ]:
            if party not in parties:
                wrong(a, loc, f"{PARTIES} lists no such party")
        for i, approval in enumerate(a.tribal_approvals):
            if approval.by in parties and parties[approval.by].kind != "tribe":
                wrong(a, ("tribal_approvals", i, "by"), "only a tribe gives a tribe's approval")
        if a.supersedes and a.supersedes not in agreements:
            wrong(a, ("supersedes",), "there is no agreement of this ID")
        elif a.supersedes and agreements[a.supersedes].recipient != a.recipient:
            wrong(a, ("supersedes",), "the agreement it supersedes has another recipient")
        recipient = parties.get(a.recipient)
        if recipient and a.delivery.encrypted and recipient.public_key is None:
            wrong(a, ("delivery", "encrypted"), f"{PARTIES} has no public_key for the recipient")
    ordered = sorted(agreements.values(), key=lambda a: a.agreement)
    for number, a in enumerate(ordered):
        for b in ordered[number + 1 :]:
            both = sorted(set(a.datasets) & set(b.datasets))
            replaces = a.agreement == b.supersedes or b.agreement == a.supersedes
            if a.recipient == b.recipient and both and not replaces and _overlap(a, b):
                wrong(b, ("datasets", both[0]), f"{a.agreement} gives the recipient this table on the same days")
    return problems


def _overlap(a: Agreement, b: Agreement) -> bool:
    end_a = min(a.expires, a.withdrawn or a.expires)
    end_b = min(b.expires, b.withdrawn or b.expires)
    return a.effective < end_b and b.effective < end_a


def _read(path: Path, problems: list[Problem]) -> yaml.Node | None:
    """The file as YAML nodes, which know their lines. Links, aliases and keys given twice are refused."""
    if path.is_symlink() or not path.is_file():
        problems.append(Problem(path.name, None, "the file", "is a link or no file: agreements are plain files"))
        return None
    try:
        if path.stat().st_size > _MAX_BYTES:
            problems.append(Problem(path.name, None, "the file", "is larger than a megabyte"))
            return None
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            problems.append(Problem(path.name, None, "the file", "uses & and *: write what it stands for instead"))
            return None
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        problems.append(Problem(path.name, None, "the file", "is not UTF-8: save it with that encoding"))
        return None
    except yaml.YAMLError as error:
        mark, why = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        rule = f"is not readable as YAML ({why}): indent with spaces, put a text with a colon in quotes"
        problems.append(Problem(path.name, mark.line + 1 if mark else None, "the file", rule))
        return None
    if not isinstance(node, yaml.MappingNode):
        problems.append(Problem(path.name, None, "the file", "is empty, or no list of `key: value` lines"))
        return None
    twice = list(keys_given_twice(node))
    problems += [Problem(path.name, k.start_mark.line + 1, str(k.value)[:60], "is given twice") for k in twice]
    return None if twice else node


def _line(node: yaml.Node, loc: Iterable[Any]) -> int:
    """Line of the deepest part of ``loc`` that the file has."""
    line = node.start_mark.line + 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


#: pydantic's kinds of error in plain words; ``{...}`` are its own facts about the rule, never what was given.
_WORDS = {
    "extra_forbidden": "this key is not known; check its spelling",
    "missing": "is missing",
    "literal_error": "is none of {expected}",
    "enum": "is none of {expected}",
    "date_from_datetime_parsing": "is no date: write 2026-01-31",
    "date_from_datetime_inexact": "is no date: write 2026-01-31",
    "date_parsing": "is no date: write 2026-01-31",
    "date_type": "is no date: write 2026-01-31",
    "too_short": "is empty",
    "string_type": "is no text: put it in quotes",
    "string_too_long": "is longer than {max_length} characters",
    "list_type": "is no list: write [one, two]",
    "dict_type": "is no list of `key: value`",
    "model_type": "is no list of `key: value`",
    "model_attributes_type": "is no list of `key: value`",
    "int_type": "is no whole number",
    "int_parsing": "is no whole number",
    "int_from_float": "is no whole number",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le}",
}
_PATTERNS = {
    PARTY_ID: "letters, digits and underscores only, small ones, beginning with a letter, 40 at most",
    AGREEMENT_ID: "letters, digits and dashes only, beginning with a letter, 40 at most",
    NAME: "letters, digits and underscores only, small ones, beginning with a letter",
    PUBLIC_KEY: "is no public key of age: it begins with age1 and has 62 characters",
}


def _in_words(item: Any) -> str:
    kind, facts = item["type"], item.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return _PATTERNS[facts["pattern"]]
    if kind in _WORDS:
        return _WORDS[kind].format(**facts)
    return re.sub(r"\s+", " ", str(item["msg"]).removeprefix("Value error, "))


def _validated(model: type[T], file: str, node: yaml.Node, problems: list[Problem]) -> T | None:
    if impossible := list(_impossible(node)):
        problems += [Problem(file, line, "the file", "holds a date that no calendar has") for line in impossible]
        return None
    try:
        return model.model_validate(yaml.SafeLoader("").construct_document(node))
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            # A union's branches name themselves in the place; they are no part of the file.
            loc = tuple(p for p in item["loc"] if p not in ("People", "literal['everyone']", "[key]"))
            rule = _in_words(item)
            # What concerns several keys begins with the one to look at.
            first, _, rest = rule.partition(": ")
            if not loc and first in model.model_fields:
                loc, rule = (first,), rest
            problems.append(Problem(file, _line(node, loc), ".".join(map(str, loc)) or "the file", rule))
    except (yaml.YAMLError, ValueError):
        problems.append(Problem(file, None, "the file", "holds a value that cannot be read"))
    return None


def _impossible(node: yaml.Node) -> Iterator[int]:
    """Lines of dates like 2026-02-31."""
    if isinstance(node, yaml.ScalarNode):
        try:
            yaml.SafeLoader("").construct_document(node)
        except ValueError:
            yield node.start_mark.line + 1
    elif isinstance(node, yaml.CollectionNode):
        for part in node.value:
            for inner in part if isinstance(part, tuple) else (part,):
                yield from _impossible(inner)


# --- what the tables must hold for the agreements to be kept ---------------------------------------------------


def check_tables(
    agreement: Agreement,
    columns: Mapping[str, Mapping[str, frozenset[Sensitivity]]],
    parties: Mapping[str, Party],
) -> list[str]:
    """What an agreement asks of the tables that cannot be given: one line each, without a value.

    ``columns`` holds table -> column -> classes, for every table that may leave at all. A class counts for a column
    however it came to it; a denied class is an error here, not a silent gap in the file. Rows of a class that belongs
    to one kind of party are given by such a party, or go back to it.
    """
    problems = []
    where = agreement.agreement
    kinds = {parties[p].kind for p in [*agreement.parties.disclosers, agreement.recipient]}
    unowned: dict[Sensitivity, str] = {}
    for table, dataset in agreement.datasets.items():
        if table not in columns:
            problems.append(f"{where}: datasets.{table}: there is no such released table")
            continue
        for column in [*dataset.columns, *dataset.rows]:
            if column not in columns[table]:
                problems.append(f"{where}: datasets.{table}.{column}: there is no such column")
        for column in dataset.columns:
            classes = columns[table].get(column, frozenset())
            for found in sorted(classes & agreement.denied(table)):
                problems.append(f"{where}: datasets.{table}.{column}: carries class {found}, which is denied")
            for found in sorted(c for c in classes if c in REGIMES):
                if not any(_cites(basis, REGIMES[found]) for basis in agreement.legal_basis):
                    problems.append(
                        f"{where}: datasets.{table}.{column}: class {found} needs {REGIMES[found]} in legal_basis"
                    )
            for found in sorted(c for c in classes if c in OWNERS and OWNERS[c] not in kinds):
                unowned.setdefault(found, f"{table}.{column}")
    problems += [
        f"{where}: parties.disclosers: class {found} (as in {place}) is given by a party of kind {OWNERS[found]},"
        " and none is among them"
        for found, place in unowned.items()
    ]
    return problems


def _cites(basis: str, regime: str) -> bool:
    """Whether ``basis`` cites ``regime`` itself or a section of it: 42 CFR 2.31 is 42 CFR 2, 42 CFR 431 is not."""
    return re.match(re.escape(regime) + r"(?!\d)", " ".join(basis.split())) is not None


# --- agreements as tables --------------------------------------------------------------------------------------

_TABLES = {
    "gov_party": (
        "party_id varchar, name varchar, kind varchar, systems varchar[], programs varchar[], public_key varchar"
    ),
    "gov_agreement": (
        "agreement_id varchar, title varchar, recipient varchar, disclosers varchar[], purposes varchar[],"
        " legal_basis varchar[], effective date, expires date, withdrawn date, supersedes varchar, superseded_on date,"
        " everyone boolean, classes_denied varchar[], sealed_records varchar, suppression_threshold integer,"
        " modes varchar[], encrypted boolean, ids varchar, redisclosure varchar, retention_days integer,"
        " destruction_proof_due_days integer, requested_by varchar"
    ),
    "gov_agreement_column": (
        "agreement_id varchar, recipient varchar, table_name varchar, column_name varchar, place integer"
    ),
    "gov_agreement_rows": "agreement_id varchar, table_name varchar, column_name varchar, allowed_value varchar",
    "gov_agreement_people": "agreement_id varchar, condition varchar, allowed_value varchar, with_family boolean",
    "gov_agreement_denied": "agreement_id varchar, table_name varchar, class varchar",
    "gov_approval": "agreement_id varchar, approved_by varchar, approved_on date",
    "gov_tribal_approval": "agreement_id varchar, tribe varchar, approved_on date, until date, withdrawn date",
}  # fmt: skip


def as_rows(book: Book) -> dict[str, list[tuple[Any, ...]]]:
    """The book as the rows of the ``gov_*`` tables, all agreements whether in force or not.

    ``superseded_on`` is the day the superseding agreement begins, so that "in force on D" is plain arithmetic:
    ``effective <= D < least(expires, withdrawn, superseded_on)``.
    """
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _TABLES}
    rows["gov_party"] = [(p.id, p.name, p.kind, p.systems, p.programs, p.public_key) for p in book.parties.values()]
    for a in sorted(book.agreements.values(), key=lambda a: a.agreement):
        later = [b.effective for b in book.agreements.values() if b.supersedes == a.agreement]
        rows["gov_agreement"].append(
            (a.agreement, a.title, a.recipient, a.parties.disclosers, list(a.purposes), a.legal_basis, a.effective,
             a.expires, a.withdrawn, a.supersedes, min(later, default=None), a.people == "everyone",
             [str(c) for c in a.classes_denied], a.sealed_records, a.suppression.threshold, list(a.delivery.modes),
             a.delivery.encrypted, a.delivery.ids, a.redisclosure, a.retention_days, a.destruction_proof_due_days,
             a.requested_by)
        )  # fmt: skip
        for table, dataset in a.datasets.items():
            rows["gov_agreement_column"] += [
                (a.agreement, a.recipient, table, column, place) for place, column in enumerate(dataset.columns)
            ]
            rows["gov_agreement_rows"] += [
                (a.agreement, table, column, value) for column, values in dataset.rows.items() for value in values
            ]
            rows["gov_agreement_denied"] += [(a.agreement, table, str(c)) for c in sorted(a.denied(table))]
        if isinstance(a.people, People):
            conditions: list[tuple[str, list[str]]] = [
                ("sites", a.people.sites or []),
                ("counties", a.people.counties or []),
                ("systems", a.people.systems or []),
                ("icwa", ["true"] if a.people.icwa else []),
            ]
            rows["gov_agreement_people"] += [
                (a.agreement, condition, value, a.people.family) for condition, values in conditions for value in values
            ]
        rows["gov_approval"] += [(a.agreement, x.by, x.date) for x in a.approvals]
        rows["gov_tribal_approval"] += [(a.agreement, t.by, t.date, t.until, t.withdrawn) for t in a.tribal_approvals]
    return rows


def write_tables(book: Book, folder: Path) -> None:
    """Write the ``gov_*`` tables into ``folder``, one Parquet file each; empty tables are written too."""
    with connect() as database:
        for name, rows in as_rows(book).items():
            database.execute(f"create table {identifier(name)} ({_TABLES[name]})")
            if rows:
                places = ", ".join(f"unnest(${n})" for n in range(1, len(rows[0]) + 1))
                columns = [list(c) for c in zip(*rows, strict=True)]
                database.execute(f"insert into {identifier(name)} select {places}", columns)
            with atomic_path(folder / f"{name}.parquet") as temporary:
                database.execute(
                    f"copy (select * from {identifier(name)} order by all) to {quoted(temporary)} (format parquet)"
                )
