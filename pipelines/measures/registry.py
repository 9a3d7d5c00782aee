"""The registry: what each measure means, read from the one YAML beside its SQL.

From it come the methodology pages in ``docs/measures``, the reference table ``ref_measure`` that dbt releases, and the
guard against two bases on one axis. ``python -m pipelines.measures generate`` writes them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.measures import RANGE_KEY, STANDARD_COLUMNS
from pipelines.settings import REPOSITORY
from pipelines.storage import write_atomic

METRICS_DIR = REPOSITORY / "dbt_project" / "models" / "marts" / "metrics"
SEED = REPOSITORY / "dbt_project" / "seeds" / "ref_measure.csv"
BENCHMARKS = REPOSITORY / "dbt_project" / "seeds" / "ref_benchmark.csv"
UNION = REPOSITORY / "dbt_project" / "models" / "marts" / "quality" / "measure_rows.sql"
DOCS_DIR = REPOSITORY / "docs" / "measures"
CATALOGUE = Path(__file__).with_name("not_built.yml")
_ENDING = ".measure.yml"


class RegistryError(Exception):
    """A definition that does not hold. The message names the file and the key."""


class MixedBases(ValueError):
    """Measures of different bases were to share one axis."""


class Basis(StrEnum):
    """Who is in the denominator, by when they entered it. Numbers of two bases are not comparable."""

    ENTRY_COHORT = "entry_cohort"
    EXIT_COHORT = "exit_cohort"
    ENROLLMENT_COHORT = "enrollment_cohort"
    EVENT_COHORT = "event_cohort"
    STOCK = "stock"
    EVENT_RATE = "event_rate"
    SURVEY = "survey"
    COMPARISON = "comparison"


#: Each basis in the words of a chart's subtitle.
BASIS_WORDS: Mapping[Basis, str] = {
    Basis.ENTRY_COHORT: "everyone who entered care in the period, followed from entry",
    Basis.EXIT_COHORT: "everyone who left in the period, looking back; short stays are over-represented",
    Basis.ENROLLMENT_COHORT: "everyone enrolled with the team in the period, followed from enrolment",
    Basis.EVENT_COHORT: "everyone with the starting event in the period, followed from that event",
    Basis.STOCK: "everyone present on a day or during the period; long stays are over-represented",
    Basis.EVENT_RATE: "events or time inside the period",
    Basis.SURVEY: "answers to a survey wave in the period",
    Basis.COMPARISON: "groups of another measure, compared",
}


class Definition(BaseModel):
    """One measure. Every field is required unless it has a natural empty value; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Z]{3}-\d\d[a-z]?$")
    also: tuple[str, ...] = Field(default=(), description="further ids whose rows the same model writes")
    name: str = Field(min_length=5)
    why: str = Field(min_length=5)
    population: str = Field(min_length=5)
    numerator: str = Field(min_length=5, description="what counts, or the statistic")
    exclusions: tuple[str, ...] = ()
    window: str = Field(min_length=3)
    basis: Basis
    direction: Literal["up", "down", "none"]
    unit: str
    linkage_scope: Literal["all", "linked"]
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    sources: tuple[str, ...] = Field(min_length=1)
    tier: Literal["core", "second_wave", "extended"]
    parameters: tuple[str, ...] = Field(default=(), description="dbt variables that change what it counts")
    variants: dict[str, str] = Field(default={}, description="readings published side by side, in plain words")

    @property
    def model(self) -> str:
        """Name of its dbt model."""
        return "met_" + self.id.lower().replace("-", "_")

    @property
    def ids(self) -> tuple[str, ...]:
        """All measure ids its rows carry."""
        return (self.id, *self.also)

    def meaning_hash(self) -> str:
        """Hash over all that decides what is counted: another hash needs another version."""
        meaning = self.model_dump(
            mode="json", include={"population", "numerator", "exclusions", "window", "basis", "direction", "unit"}
        )
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:12]


class NotBuilt(BaseModel):
    """A measure of the catalogue that has no model of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    status: Literal["parameterised", "not built", "not measured"]
    reason: str


def load(folder: Path = METRICS_DIR) -> dict[str, Definition]:
    """All definitions under ``folder`` by id. Raises :class:`RegistryError` naming the file and the key."""
    found: dict[str, Definition] = {}
    for path in sorted(folder.rglob(f"*{_ENDING}")):
        try:
            definition = Definition.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except yaml.YAMLError as error:
            raise RegistryError(f"{path.name}: not readable as YAML") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            key = ".".join(map(str, first["loc"])) or "the file"
            why = "this key is not known" if first["type"] == "extra_forbidden" else first["msg"]
            raise RegistryError(f"{path.name}: {key}: {why}") from error
        if path.name != definition.model + _ENDING:
            raise RegistryError(f"{path.name}: id: {definition.id} belongs in {definition.model}{_ENDING}")
        found[definition.id] = definition
    return dict(sorted(found.items()))


def find(measure_id: str, registry: Mapping[str, Definition]) -> Definition:
    """The definition whose rows carry ``measure_id`` (STB-02a lies in STB-02). Raises :class:`RegistryError`."""
    for definition in registry.values():
        if measure_id in definition.ids:
            return definition
    raise RegistryError(f"there is no measure {measure_id}")


def one_axis(measure_ids: Iterable[str], registry: Mapping[str, Definition] | None = None) -> Basis:
    """The basis that all ``measure_ids`` share; call it before drawing them on one axis.

    Raises :class:`MixedBases` when they have more than one: an exit cohort beside an entry cohort makes a slower
    system look better. Raises :class:`RegistryError` for an unknown measure and for none at all.
    """
    known = registry if registry is not None else load()
    bases: dict[Basis, list[str]] = {}
    for measure_id in measure_ids:
        bases.setdefault(find(measure_id, known).basis, []).append(measure_id)
    if not bases:
        raise RegistryError("no measure was named")
    if len(bases) > 1:
        told = "; ".join(f"{', '.join(ids)}: {BASIS_WORDS[basis]}" for basis, ids in bases.items())
        raise MixedBases(f"these measures count different people and cannot share an axis. {told}")
    return next(iter(bases))


# --- what is generated -----------------------------------------------------------------------------------------

_SEED_COLUMNS = (
    "measure_id", "version", "is_current", "name", "why", "population", "numerator", "exclusions", "time_window",
    "basis", "direction", "unit", "linkage_scope", "sources", "tier", "parameters", "model", "meaning_hash",
)  # fmt: skip


def _seed_row(measure_id: str, d: Definition) -> dict[str, str]:
    texts = (d.name, d.why, d.population, d.numerator, "; ".join(d.exclusions), d.window)
    rest = (d.basis.value, d.direction, d.unit, d.linkage_scope, " ".join(d.sources), d.tier, " ".join(d.parameters))
    values = (measure_id, d.version, "true", *texts, *rest, d.model, d.meaning_hash())
    return dict(zip(_SEED_COLUMNS, values, strict=True))


def seed_rows(registry: Mapping[str, Definition], before: Iterable[Mapping[str, str]] = ()) -> list[dict[str, str]]:
    """Rows of ``ref_measure``: each measure's definition now, and every earlier version as it stood.

    ``before`` is the table as committed. Raises :class:`RegistryError` when what a measure counts has changed and its
    version has not: numbers of two meanings must never carry one version.
    """
    now = {(i, d.version): _seed_row(i, d) for d in registry.values() for i in d.ids}
    rows = dict(now)
    for old in before:
        key = (old["measure_id"], old["version"])
        if key not in now:
            rows[key] = {**old, "is_current": "false"}
        elif old["meaning_hash"] != now[key]["meaning_hash"]:
            raise RegistryError(f"{key[0]}: what it counts has changed: raise its version above {key[1]}")
    return [rows[key] for key in sorted(rows)]


def read_seed(path: Path) -> list[dict[str, str]]:
    """The committed table, or no rows where there is none yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _csv_text(rows: Iterable[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _SEED_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def load_not_built(path: Path = CATALOGUE) -> list[NotBuilt]:
    """The catalogue's measures without a model of their own, each with the reason."""
    try:
        return [NotBuilt.model_validate(row) for row in yaml.safe_load(path.read_text(encoding="utf-8"))]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise RegistryError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


_DIRECTION = {"up": "more is better", "down": "less is better", "none": "context; neither is better"}
_TIER = {"core": "core", "second_wave": "second wave", "extended": "extended"}
_MARK = "<!-- Generated by `make generate` from the definitions beside the SQL; edit those. -->\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def page(definition: Definition, benchmarks: Iterable[Mapping[str, str]], earlier: Iterable[Mapping[str, str]]) -> str:
    """The methodology page of one measure, as Markdown."""
    d = definition
    lines = [_MARK, f"# {d.id}: {d.name}\n", f"{d.why}\n"]
    facts = [
        ("Who is counted", d.population),
        ("What counts", d.numerator),
        ("Left out, and counted apart", "; ".join(d.exclusions) or "nobody"),
        ("Time", d.window),
        ("Basis", f"{d.basis.value.replace('_', ' ')}: {BASIS_WORDS[d.basis]}"),
        ("Direction", _DIRECTION[d.direction]),
        ("Unit", d.unit),
        ("Sources", ", ".join(d.sources)),
        (
            "Linkage",
            "linked across systems: each row shows the share that could be seen; those who could not are not counted."
            " How far the number hangs on the linkage threshold: `range_low` and `range_high` of `measure_rows`"
            if d.linkage_scope == "linked"
            else "within one system's own numbers, or joined through the child alone",
        ),
        ("Set by the jurisdiction", ", ".join(f"`{p}`" for p in d.parameters) or "nothing"),
        ("Version", d.version),
        ("Model", f"`{d.model}` in `dbt_project/models/marts/metrics`"),
    ]
    if d.also:
        facts.insert(-1, ("Carries as well", ", ".join(d.also)))
    lines += ["| | |", "|---|---|", *(f"| {name} | {_cell(text)} |" for name, text in facts), ""]
    if d.variants:
        lines += ["## Variants\n", *(f"- `{name}`: {text}" for name, text in d.variants.items()), ""]
    rows = sorted(benchmarks, key=lambda r: (r["metric_id"], r["variant"], r["period"], r["source"], r["population"]))
    if rows:
        lines += ["## Held against\n", "| figure | of | source | comparability |", "|---|---|---|---|"]
        for row in rows:
            figure = f"{row['value']} {row['unit']}".strip()
            who = ", ".join(filter(None, (row["metric_id"], row["variant"], row["period"], row["population"])))
            lines.append(f"| {figure} | {_cell(who)} | {_cell(row['source'])} | {_cell(row['comparability'])} |")
        lines.append("")
    for row in earlier:
        lines += [
            f"## Version {row['version']}, until replaced\n",
            f"Counted: {row['population']} What counted: {row['numerator']}"
            f" Left out: {row['exclusions'] or 'nobody'}. Time: {row['time_window']}.\n",
        ]
    return "\n".join(lines).rstrip() + "\n"


def overview(registry: Mapping[str, Definition], not_built: Iterable[NotBuilt]) -> str:
    """The table of all measures of the catalogue, as Markdown."""
    rows = []
    for d in registry.values():
        linked = ", linked" if d.linkage_scope == "linked" else ""
        note = f"{_TIER[d.tier]}{linked}; {d.basis.value.replace('_', ' ')}"
        rows.append((d.id, f"| [{d.id}]({d.id}.md) | {_cell(d.name)} | built | {note} |"))
        rows += [(i, f"| [{i}]({d.id}.md) | {_cell(d.name)} | built | in {d.id} |") for i in d.also]
    rows += [(n.id, f"| {n.id} | {_cell(n.name)} | {n.status} | {_cell(n.reason)} |") for n in not_built]
    counted = {"built": sum("| built |" in row for _, row in rows), "all": len(rows)}
    return "\n".join(
        [
            _MARK,
            "# Measures\n",
            f"{counted['built']} of {counted['all']} measures of the catalogue are built. Each has a page with who is"
            " counted, what counts and what is left out. Every number carries its denominator, interval, exclusions,"
            " maturity, match rate and data cut-off; a person whose events cannot be seen is never counted as no.\n",
            "- **parameterised**: a variant or a parameter of another measure.",
            "- **not built**: the reason says what is missing.",
            "- **not measured**: outside what this warehouse is for.\n",
            "Numbers of two bases (entry cohort, exit cohort, stock …) are never drawn on one axis.\n",
            "How far the linked measures hang on the linkage threshold stands in `range_low` and `range_high` of"
            " `measure_rows`: the least and the greatest value at the night's threshold, a lower and a higher one."
            " Empty where the measure is not linked, has no value at one of them, or is a small cell at any; and"
            " everywhere with `linkage_ranges: false` in `jurisdiction.yml`, for it takes two more builds of the linked"
            " measures. In partners' files a table with a hidden cell has no range. How near a demo's"
            " numbers are to the simulation's truth, and why not nearer: [the measures against the truth]"
            "(../measures-against-truth.md). The catalogue's worked answers and the tests that hold them:"
            " `tests/warehouse/cases/worked_answers.yml`.\n",
            "Whoever changes a measure can ask whether its unit tests hold every window to the day: `python"
            " tests/warehouse/mutations.py PRM-01` moves each of them by one and prints what no test noticed.\n",
            "An agency can compute any of them over its own tables, without a deployment:\n",
            "```\nkinweave measures --tables DIR --measure PRM-01 --cutoff 2026-09-30 \\\n"
            "    --period 2023-10-01 2024-09-30 --out prm_01.csv\n```\n",
            "`DIR` holds the core tables as `.csv` or `.parquet` files (`fct_removal.csv`, `dim_person.csv` …). A table"
            " or column that is not there counts as empty; reports and enrollments without a county take that of the"
            " child's removal. Words such as discharge reasons and kinds of hearing are the catalogue's, in any case"
            " (source systems also as CW, CT, MED and BH); the command tells how many rows of a column hold another."
            " A key of a table (`person_id` of `dim_person`, `removal_id` of `fct_removal`) that stands twice, and"
            " a file of which no column is known, are errors. Rows are told apart by the day their period starts: of a"
            " year and its first quarter each is computed in a call of its own.\n",
            "Over a simulated state (a million people, a hundred thousand removals, ten million claim lines) all"
            " measures in all groups take 65 seconds of processor time on a busy machine, on which reading every table"
            " once takes 1.8, and about 50 on a quiet one: 37 times such a reading, two fifths of one for each of the"
            " 94 models, and 1.9 times what reading each model's own tables once comes to. The versions before took 48"
            " readings. EVL-02 with its risk sets and EVL-03 with its matching take half a second each. Loading the"
            " tables (49 seconds) and dbt's own start are not in it."
            " `python tests/benchmarks/measures.py` measures it.\n",
            "| measure | in plain words | status | |",
            "|---|---|---|---|",
            *(row for _, row in sorted(rows)),
            "",
        ]
    )


#: The rows of all measures with their range over the linkage thresholds, outwards to three decimals, so that no count
#: can be worked out of it. A small cell has none.
RANGED = """\
select
    m.*,
    -- least() passes over null, and a measure without a range must not get one.
    case
        when r.value_low is not null then floor(round(least(m.value, r.value_low) * 1000, 6)) / 1000
    end as range_low,
    case
        when r.value_high is not null then ceil(round(greatest(m.value, r.value_high) * 1000, 6)) / 1000
    end as range_high
from rows_of_all as m
left join
    {{ source("quality", "linkage_ranges") }} as r
    on m.value is not null
    and not m.suppress_flag
""" + "".join(f"    and m.{column} = r.{column}\n" for column in RANGE_KEY)


def union_sql(registry: Mapping[str, Definition]) -> str:
    """The dbt model that holds the standard rows of every measure."""
    models = "".join(f'    ["{d.model}", "{d.tier}"],\n' for d in registry.values())
    # Sums of fractions differ in their last digits with the order of adding; a release must not.
    fractions = ("value", "ci_low", "ci_high", "match_rate")
    columns = ",\n                ".join(f"round({c}, 9) as {c}" if c in fractions else c for c in STANDARD_COLUMNS)
    return (
        "-- Generated by `make generate` from the definitions beside the measures' SQL. Do not edit.\n"
        f"{{%- set models = [\n{models}] %}}\n"
        "with\n    rows_of_all as (\n"
        '        {%- for model, tier in models if tier in var("measure_tiers") %}\n'
        f"            select\n                {columns}\n"
        '            from {{ ref(model) }} {{ "union all" if not loop.last }}\n'
        "        {%- endfor %}\n    )\n\n" + RANGED
    )


def generated(
    metrics: Path = METRICS_DIR,
    seed: Path = SEED,
    union: Path = UNION,
    docs: Path = DOCS_DIR,
    benchmarks: Path = BENCHMARKS,
) -> dict[Path, str]:
    """Every generated file and its content. Raises :class:`RegistryError`."""
    registry, not_built = load(metrics), load_not_built()
    taken = {i for d in registry.values() for i in d.ids}
    if twice := sorted(n.id for n in not_built if n.id in taken):
        raise RegistryError(f"{CATALOGUE.name}: {', '.join(twice)}: built, so strike it from the list")
    problems = []
    for sql in sorted(metrics.rglob("met_*.sql")):
        if not sql.with_name(sql.stem + _ENDING).exists():
            problems.append(f"{sql.name}: has no {sql.stem}{_ENDING} beside it")
    for path in sorted(metrics.rglob(f"*{_ENDING}")):
        sql = path.with_name(path.name.removesuffix(_ENDING) + ".sql")
        stated = set(re.findall(r"version=\"([^\"]+)\"", sql.read_text(encoding="utf-8"))) if sql.exists() else set()
        definition = next(d for d in registry.values() if d.model + _ENDING == path.name)
        if not sql.exists():
            problems.append(f"{path.name}: there is no {sql.name}")
        elif stated and stated != {definition.version}:
            written = ", ".join(sorted(stated))
            problems.append(f"{path.name}: version {definition.version}, but its SQL writes {written}")
    if problems:
        raise RegistryError("\n".join(problems))
    rows = seed_rows(registry, read_seed(seed))
    figures = read_seed(benchmarks)
    files = {seed: _csv_text(rows), union: union_sql(registry), docs / "README.md": overview(registry, not_built)}
    for d in registry.values():
        earlier = [r for r in rows if r["measure_id"] == d.id and r["is_current"] == "false"]
        files[docs / f"{d.id}.md"] = page(d, [f for f in figures if f["metric_id"] in d.ids], earlier)
    return files


def generate(*, check: bool = False) -> list[Path]:
    """Write the generated files, or with ``check`` only tell which are not current. Returns those that differed."""
    files = generated()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    left_over = [path for path in DOCS_DIR.glob("*.md") if path not in files] if DOCS_DIR.exists() else []
    if not check:
        for path in stale:
            write_atomic(path, files[path], mode=0o644)
        for path in left_over:
            path.unlink()
    return [*stale, *left_over]
