"""The quality report as one page: no script, nothing from elsewhere, no count of one to ten people."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from linkage import model as models
from linkage.records import DATE_FORMS
from linkage.store import connect, quoted, read_json, rows

#: Counts from one to this are not shown, nor a count from which they could be worked out.
SMALL = 10
_HIDDEN = '<td class="quiet">hidden</td>'

_STYLE = """
:root { --ink: #1c2326; --quiet: #5a666b; --line: #d9dedf; --paper: #fbfaf7; --card: #fff; --mark: #a5401f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecec; --quiet: #9aa7ab; --line: #3a4448; --paper: #171c1e;
  --card: #1f2629; --mark: #ef9a78; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .3rem; }
p { max-width: 46rem; margin: .3rem 0 .8rem; } .quiet, caption { color: var(--quiet); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin: 1.2rem 0; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
dt { color: var(--quiet); font-size: .85rem; } dd { margin: 0; font-size: 1.35rem; }
dd small { display: block; font-size: .8rem; color: var(--quiet); }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .4rem 0 1rem; }
td.number, dd { font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .2rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; }
thead th { font-size: .85rem; color: var(--quiet); } td.number, th.number { text-align: right; }
.low { color: var(--mark); font-weight: 600; } summary { cursor: pointer; margin: .6rem 0; }
svg { display: block; } svg line { stroke: var(--quiet); } svg circle { fill: var(--ink); }
svg .at { stroke: var(--line); }
"""


def write_page(linkage_dir: Path, path: Path, is_night: bool) -> None:
    """Write the page for what :func:`linkage.quality.measure.measure` left under ``linkage_dir/quality``.

    ``is_night`` adds what only a deployment has: review, and the people at other thresholds.
    """
    card = models.load(Path(read_json(linkage_dir / "scoring.json")["model_dir"]))
    con = connect(spill_dir=linkage_dir / "spill")
    try:

        def table(name: str) -> list[dict[str, Any]]:
            file = linkage_dir / "quality" / f"{name}.parquet"
            return rows(con, f"select * from read_parquet({quoted(file)})") if file.exists() else []

        parts = [
            _head(linkage_dir, card, table("accuracy")),
            _accuracy(table("accuracy"), is_night),
            _fairness(table("accuracy"), table("recall_ratios")),
            _missed(table("missed")),
            _thresholds(card, table("thresholds") if is_night else []),
            _rates(table("match_rates")),
            _population(linkage_dir, table("population"), table("completeness")),
            _drift(table("drift")) if is_night else "",
            _blocking(linkage_dir),
            _review(linkage_dir) if is_night else "",
        ]
    finally:
        con.close()
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Linkage report</title>'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _e(value: Any) -> str:
    return html.escape("" if value is None else str(value))


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _share(value: float | None, digits: int = 1) -> str:
    """A share as a percentage; 99.97 % is not 100 %."""
    if value is None:
        return ""
    shown = f"{100 * value:.{digits}f}"
    if value < 1 and float(shown) == 100:
        shown = f"{100 - 10**-digits:.{digits}f}"
    return f"{shown} %"


def _between(line: dict[str, Any]) -> str:
    if line["low"] is None or line["high"] is None:
        return ""
    return f"{_share(line['low'])} to {_share(line['high'])}"


def _table(heads: Sequence[str], lines: Iterable[Sequence[str]], caption: str = "", numbers: int = 1) -> str:
    """``lines`` hold finished HTML; cells from number ``numbers`` on stand to the right."""
    body = []
    for line in lines:
        cells = [
            cell if cell.startswith("<td") else f"<td{' class=number' if i >= numbers else ''}>{cell}</td>"
            for i, cell in enumerate(line)
        ]
        body.append("<tr>" + "".join(cells) + "</tr>")
    if not body:
        return ""
    head = "".join(
        f'<th scope="col"{" class=number" if i >= numbers else ""}>{_e(h)}</th>' for i, h in enumerate(heads)
    )
    named = f"<caption>{_e(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{named}<thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _is_small(*counts: int | None) -> bool:
    return any(c is not None and 0 < c <= SMALL for c in counts)


def hidden(groups: Sequence[tuple[int, int]]) -> set[int]:
    """Which lines of one breakdown must not be shown: (people, of them counted) of each, in order.

    Those with one to ten people on either side; and where only one line is hidden the smallest other with it, or it
    could be had by subtraction from the total.
    """
    small = {i for i, (n, part) in enumerate(groups) if _is_small(n, part, n - part)}
    if len(small) == 1 and len(groups) > 1:
        small.add(min((i for i in range(len(groups)) if i not in small), key=lambda i: (groups[i][0], i)))
    return small


def _told(value: int | None) -> str:
    """A count on its own; few are "fewer than 11"."""
    return "fewer than 11" if _is_small(value) else _count(value)


def _plot(line: dict[str, Any], name: str, low: float, high: float, at: float | None = None) -> str:
    """An interval as a drawing, on an axis from ``low`` to ``high``."""

    def x(value: float) -> float:
        return 4 + 152 * (min(max(value, low), high) - low) / ((high - low) or 1)

    if line[name] is None or line["low"] is None:
        return "<td></td>"
    mark = f'<line class="at" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="0" y2="18"/>' if at is not None else ""
    return (
        f'<td><svg width="160" height="18" role="img" aria-label="interval">{mark}'
        f'<line x1="{x(line["low"]):.1f}" x2="{x(line["high"]):.1f}" y1="9" y2="9" stroke-width="2"/>'
        f'<circle cx="{x(line[name]):.1f}" cy="9" r="3.5"/></svg></td>'
    )


_BASIS = {
    "audit": "reviewers, random sample",
    "numbers": "pairs known by number",
    "model": "the model's own probabilities",
    "truth": "the simulation's truth",
}


def _head(linkage_dir: Path, card: models.ModelCard, accuracy: list[dict[str, Any]]) -> str:
    records, people = read_json(linkage_dir / "record_summary.json"), read_json(linkage_dir / "resolve.json")
    families = read_json(linkage_dir / "families.json")
    facts = [("records", _told(records["records"]), ""), ("people", _told(people["people"]), "")]
    for measured, label in (("precision", "precision"), ("recall", "recall")):
        known = [
            line
            for basis in ("truth", "audit", "model")
            for line in accuracy
            if line["basis"] == basis and line["breakdown"] is None and line["measure"].startswith(measured)
            and line["estimate"] is not None
        ]  # fmt: skip
        if known:
            facts.append((label, _share(known[0]["estimate"]), f"by {_BASIS[known[0]['basis']]} {_between(known[0])}"))
    facts.append(("families", _told(families["families"]), ""))
    cards = "".join(f"<div><dt>{_e(n)}</dt><dd>{_e(v)}<small>{_e(s)}</small></dd></div>" for n, v, s in facts)
    newest = records["newest_delivery"]
    told = f"newest delivery {newest}" if newest else "no delivery has a date"
    return f"<h1>Linkage report</h1><p class=quiet>Model {_e(card.name)}; {_e(told)}.</p><dl>{cards}</dl>"


def _accuracy(accuracy: list[dict[str, Any]], is_night: bool) -> str:
    lines = [line for line in accuracy if line["breakdown"] is None]
    shown = _table(
        ("measure", "ground", "estimate", "95 % interval", "rests on"),
        (
            (_e(x["measure"]), _e(_BASIS[x["basis"]]), _share(x["estimate"]) or "not yet", _between(x), _told(x["n"]))
            for x in lines
            if is_night or x["basis"] != "audit"
        ),
        numbers=2,
    )
    note = (
        "Precision: of the pairs of records put into one person, the share that is one person. Recall: of the pairs "
        "that are one person, the share that was put into one."
    )
    if is_night:
        note += (
            " The audit estimate appears once at least one pair of every stratum of the random sample has been decided "
            "(kinweave review --audit). It speaks of the model alone: what reviewers have mended is not counted in its "
            "favour."
        )
    return f"<h2>How good it is</h2><p>{_e(note)}</p>{shown}"


def _fairness(accuracy: list[dict[str, Any]], ratios: list[dict[str, Any]]) -> str:
    parts = [
        "<h2>For whom it is worse</h2><p>Each group against the largest one of its kind; below 0.90, where the "
        "interval stays below 1, a ratio is marked. “Found without numbers” takes linked named pairs whose SSN or "
        "Medicaid number agrees and asks how many of them names, dates and places alone would have joined, pair by "
        "pair: it says who is harder to find by name. Groups with one to ten pairs on either side are hidden.</p>"
    ]
    for measured, basis in (("recall", "truth"), ("precision", "truth"), ("found without numbers", "numbers")):
        lines = [x for x in accuracy if x["breakdown"] and x["measure"] == measured and x["basis"] == basis]
        if not lines:
            continue
        low = min((x["low"] for x in lines if x["low"] is not None), default=0.0)
        by_group = {(r["breakdown"], r["value"]): r for r in ratios if (r["measure"], r["basis"]) == (measured, basis)}
        out: list[tuple[str, ...]] = []
        for breakdown in dict.fromkeys(x["breakdown"] for x in lines):
            group = [x for x in lines if x["breakdown"] == breakdown]
            small = hidden([(x["n"], x["hits"]) for x in group])
            for i, x in enumerate(group):
                against = by_group.get((breakdown, x["value"]))
                if i in small:
                    out.append((_e(breakdown), _e(x["value"]), *[_HIDDEN] * 5))
                    continue
                mark = ' class="number low"' if against and against["is_low"] else " class=number"
                told = (
                    f"{against['ratio']:.2f} ({against['low']:.2f} to {against['high']:.2f})"
                    if against and against["ratio"] is not None
                    else ""
                )
                out.append(
                    (
                        _e(breakdown), _e(x["value"]), _plot(x, "estimate", low, 1.0), _share(x["estimate"]),
                        _between(x), f"<td{mark}>{told}</td>", _count(x["n"]),
                    )
                )  # fmt: skip
        parts.append(
            _table(
                ("", "group", f"{_share(low, 0)} to 100 %", "share", "95 % interval", "ratio to the largest", "pairs"),
                out,
                f"{measured.capitalize()}, by {_BASIS[basis]}",
                numbers=3,
            )
        )
    return "".join(parts) if len(parts) > 1 else ""


def _missed(missed: list[dict[str, Any]]) -> str:
    lines = [
        (
            _e(x["method"]), _told(x["found"]), _told(round(x["total"])),
            *(
                [_HIDDEN] * 2 if _is_small(x["found"], round(x["total"])) else
                [
                    _count(max(0, round(x["total"] - x["found"]))),
                    f"{max(0, round(x['low'] - x['found'])):,} to {round(x['high'] - x['found']):,}"
                    if x["low"] is not None else "",
                ]
            ),
        )
        for x in missed
    ]  # fmt: skip
    return (
        "<h2>What was missed</h2><p>Matches that were found and that are estimated to exist, two ways. "
        "Capture-recapture takes the two ways of finding a pair to be independent; where records with bad numbers also "
        "have bad names it estimates too few. The audit sample below the threshold is the third way: its recall stands "
        "above.</p>" + _table(("estimated by", "pairs found", "pairs there are", "missed", "95 % interval"), lines)
    )


def _thresholds(card: models.ModelCard, thresholds: list[dict[str, Any]]) -> str:
    t = card.thresholds
    return (
        f"<h2>The threshold, and what hangs on it</h2><p>Two records are joined from weight {t.join:.2f} (log2 odds); "
        f"a published join is kept down to {t.keep:.2f}; a person looks between {t.review_low:.2f} and "
        f"{t.review_high:.2f}. {_e(t.how)}</p>"
    ) + _table(
        ("people formed at", "weight", "people", "pairs in one person", "most records of one", "under another ID"),
        (
            (
                {"low": "the lower edge", "high": "the upper edge"}.get(x["threshold"], "the threshold in use"),
                f"{float(x['weight']):.2f}", _told(x["people"]), _told(x["joined_pairs"]), _count(x["largest"]),
                _told(x["records_under_another_id"]),
            )
            for x in thresholds
        ),
    )  # fmt: skip


def _rates(rates: list[dict[str, Any]]) -> str:
    if not rates:
        return ""
    pairs = sorted({(x["system_a"], x["system_b"]) for x in rates})
    all_ = {(x["system_a"], x["system_b"]): x for x in rates if x["breakdown"] == "everybody"}
    systems = sorted({a for a, _ in pairs})

    def cell(a: str, b: str) -> str:
        x = all_.get((a, b))
        if x is None:
            return "<td></td>"
        if _is_small(x["n"], x["linked"], x["n"] - x["linked"]):
            return _HIDDEN
        return f'<td class=number title="{_between(x)}">{_share(x["rate"])}</td>'

    matrix = _table(
        ("of the people in", "number", *(f"in {b}" for b in systems)),
        (
            (
                _e(a),
                next((_told(x["n"]) for (s, _), x in all_.items() if s == a), ""),
                *(cell(a, b) for b in systems),
            )
            for a in systems
        ),
    )
    details = []
    for breakdown in dict.fromkeys(x["breakdown"] for x in rates if x["breakdown"] != "everybody"):
        out: list[tuple[str, ...]] = []
        for a, b in pairs:
            group = [x for x in rates if (x["system_a"], x["system_b"], x["breakdown"]) == (a, b, breakdown)]
            small = hidden([(x["n"], x["linked"]) for x in group])
            for i, x in enumerate(group):
                told = [_HIDDEN] * 3 if i in small else [_count(x["n"]), _share(x["rate"]), _between(x)]
                out.append((_e(a), _e(b), _e(x["value"]), *told))
        table = _table(("of the people in", "found in", "group", "people", "share", "95 % interval"), out, numbers=3)
        details.append(f"<details><summary>By {_e(breakdown)}</summary>{table}</details>")
    return (
        "<h2>Match rates</h2><p>The share of one system's people that were found in another. A low rate is no fault "
        "where few of the people are in both. Groups are those of the first system's own records, so that being linked "
        f"does not decide the group.</p>{matrix}{''.join(details)}"
    )


def _population(linkage_dir: Path, population: list[dict[str, Any]], completeness: list[dict[str, Any]]) -> str:
    summary = read_json(linkage_dir / "record_summary.json")
    names = [n for n in (population[0] if population else {}) if n != "source_system"]

    # The number of all records stands at the top of the page.
    counts = [x["records"] for x in population]
    kept = {i for i in hidden([(n, n) for n in counts]) if not _is_small(counts[i])}
    aside = [
        ("rows received", summary["rows_received"]),
        ("rows without a system or an ID, set aside", summary["rows_without_system_or_id"]),
        ("relationships to nobody", summary["relationship_to_nobody"]),
        ("relationships of a record to itself", summary["relationship_to_itself"]),
        ("parents younger than their child, read the other way round", summary["relationship_reversed"]),
    ]
    fields = list(dict.fromkeys(x["field"] for x in completeness))
    columns = sorted({(x["source_system"], x["population"]) for x in completeness})
    at = {(x["source_system"], x["population"], x["field"]): x for x in completeness}

    def filled(system: str, group: str, field: str) -> str:
        x = at[(system, group, field)]
        small = _is_small(x["records"], x["filled"], x["records"] - x["filled"])
        return _HIDDEN if small else _share(x["rate"], 0)

    heads: Callable[[tuple[str, str]], str] = lambda c: f"{c[0]}, {c[1]}"  # noqa: E731
    return (
        "<h2>Who is in it</h2>"
        + _table(
            ("system", *(n.replace("_", " ") for n in names)),
            (
                (_e(x["source_system"]), *(_HIDDEN if i in kept and n == "records" else _told(x[n]) for n in names))
                for i, x in enumerate(population)
            ),
        )
        + _table(("set aside", "rows"), ((_e(n), _told(v)) for n, v in aside))
        + _birth_dates(summary["birth_dates"])
        + "<h2>How complete the records are</h2><p>After placeholders, impossible numbers and shared values were taken "
        "out.</p>"
        + _table(
            ("attribute", *(heads(c) for c in columns)),
            ((_e(f), *(filled(*c, f) for c in columns)) for f in fields),
        )
    )


def _birth_dates(given: list[dict[str, Any]]) -> str:
    """The systems whose birth dates are not all understood, and a warning where that is so for most of them."""
    odd = [x for x in given if x["not_understood"] or x["no_such_day"]]
    worst = [_e(x["source_system"]) for x in odd if 2 * (x["not_understood"] + x["no_such_day"]) > x["given"]]
    warning = (
        f'<p class="low">More than half of the birth dates of {", ".join(worst)} could not be used: '
        f"they must be written {DATE_FORMS}.</p>"
        if worst
        else ""
    )
    return warning + _table(
        ("birth dates that could not be used: system", "given", "not understood", "no day of the calendar"),
        ((_e(x["source_system"]), *(_told(x[n]) for n in ("given", "not_understood", "no_such_day"))) for x in odd),
    )


_OUTCOMES = {"drifted": "drifted", "watch": "to be watched", "steady": "steady", "too_few": "too few to tell"}


def _drift(drift: list[dict[str, Any]]) -> str:
    """What drifted and what is to be watched in sight; the rest to be opened."""
    if not drift:
        return ""

    def line(x: dict[str, Any]) -> tuple[str, ...]:
        few = x["outcome"] == "too_few"
        mark = ' class="number low"' if x["outcome"] == "drifted" else " class=number"
        counts = (_told(n) for n in (x["n_in_training"], x["n"]))
        return (
            _e(x["subject"].replace("_", " ")), _e(x["detail"].replace("_", " ")), _OUTCOMES[x["outcome"]],
            f"<td{mark}>{'' if few else format(x['psi'], '.2f')}</td>", *counts,
        )  # fmt: skip

    heads = ("what is compared", "of", "", "stability index", "in the training", "tonight")
    order = sorted(drift, key=lambda x: -x["psi"])
    told = [x for outcome in ("drifted", "watch") for x in order if x["outcome"] == outcome]
    rest = [x for outcome in ("steady", "too_few") for x in order if x["outcome"] == outcome]
    said = ", ".join(f"{sum(x['outcome'] == o for x in drift)} {words}" for o, words in _OUTCOMES.items())
    return (
        "<h2>Whether the records still look like the model's</h2><p>Tonight's fields, comparisons and weights against "
        "those the model was trained on. Below 0.1 the index is steady, from 0.25 it has drifted: then ask the agency, "
        f"and train again. {said}.</p>{_table(heads, map(line, told), numbers=3)}"
        f"<details><summary>All others</summary>{_table(heads, map(line, rest), numbers=3)}</details>"
    )


def _blocking(linkage_dir: Path) -> str:
    rules = read_json(linkage_dir / "scoring.json")["rules"]
    return (
        "<h2>Why pairs were compared</h2><details><summary>Rules and pairs</summary>"
        + _table(
            ("rule", "reason", "pairs", "largest block", "blocks left out"),
            (
                (_e(r["name"]), _e(r["reason"]), _told(r["pairs"]), _told(r["largest_block"]),
                 _count(r["blocks_dropped"]))
                for r in rules
            ),
            numbers=2,
        )
        + "</details>"
    )  # fmt: skip


def _review(linkage_dir: Path) -> str:
    people, quality = read_json(linkage_dir / "resolve.json"), read_json(linkage_dir / "quality" / "summary.json")
    lines = [
        ("pairs of the audit sample", quality["audit_pairs"]),
        ("of them decided", quality["audit_decided"]),
        ("of them nobody could tell", quality["audit_unsure"]),
        ("decisions", people.get("decisions", 0)),
        ("decisions about a record that is not there now (kept, idle)", people.get("decisions_on_unknown_records", 0)),
        ("pairs on which reviewers disagree", people.get("decisions_disputed", 0)),
        ("decisions that contradict others or what sources state (set aside)", people.get("decisions_set_aside", 0)),
        ("pairs two reviewers decided", quality["pairs_decided_twice"]),
    ]
    agreement = quality["kappa"]
    told = (
        f"<p>Agreement of reviewers beyond chance (Cohen's kappa): {agreement:.2f}.</p>"
        if agreement is not None
        else ""
    )
    return "<h2>Review</h2>" + _table(("", "number"), ((_e(n), _count(v)) for n, v in lines)) + told
