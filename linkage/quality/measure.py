"""How good the night's linkage is, and for whom it is worse: tables without a person's value in them.

Under ``quality/`` of the linkage folder, counts exact (the page hides small ones; the tables stay in the vault):

``population``    what each system sent and how many people it became
``completeness``  how many records have each attribute, by system and age
``match_rates``   share of one system's people found in another, by group of the first system's own records
``accuracy``      precision and recall with intervals and their ground: ``audit`` (reviewers' decisions on the random
                  sample), ``numbers`` (pairs known by a number, weighed without it), ``model`` (the model's own
                  probabilities), ``truth`` (a simulation's)
``recall_ratios`` recall of one group against the largest, with intervals
``missed``        how many matches were not found, two ways
"""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from scipy.cluster.hierarchy import DisjointSet
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

from expectations.contract import load_contracts
from linkage import model as models
from linkage.evaluate import evaluate
from linkage.person.clustering import Floats, Ints
from linkage.person.people import TWO_PEOPLE
from linkage.quality.intervals import Estimate, chapman, kappa, ratio, share_of, stratified, wilson
from linkage.review import decisions as reviewed
from linkage.review.queue import draw_audit, load, without_reviewers
from linkage.store import connect, in_list, quoted, read_json, rows, write_json, write_parquet

#: Groups the linkage is measured by: name -> SQL on ``records``.
BREAKDOWNS = {
    "race or ethnicity": "race",
    "sex": "case sex when 'F' then 'female' when 'M' then 'male' end",
    "age": (
        "case when birth_year is null then null when year_now - birth_year < 3 then 'under 3' "
        "when year_now - birth_year < 7 then '3 to 6' when year_now - birth_year < 18 then '7 to 17' "
        "when year_now - birth_year < 30 then '18 to 29' else '30 and over' end"
    ),
    "county": "county",
    "name": "case when has_placeholder_name then 'placeholder name' else 'named' end",
    "SSN": "case when ssn is not null then 'SSN present' else 'no SSN' end",
}
UNKNOWN = "not recorded"
#: Below this ratio of recalls a group is marked, unless its interval reaches 1: few pairs may fall so by chance.
FAIR_RATIO = 0.9
FIELDS = {
    "given name": "first_std",
    "middle name": "middle_std",
    "surname": "last_std",
    "birth date": "dob",
    "sex": "sex",
    "SSN": "ssn",
    "Medicaid number": "medicaid_id",
    "address": "addr_keys",
    "ZIP": "zip",
    "phone": "phone",
    "mother's name": "mother_first",
    "race or ethnicity": "race_ethnicity",
    "county": "county",
}


def measure(linkage_dir: Path, decisions: Path | None = None, truth_dir: Path | None = None) -> dict[str, Any]:
    """Measure the night in ``linkage_dir`` and write the tables above under ``linkage_dir/quality``.

    Reads what ``resolve`` wrote. ``truth_dir`` as for :func:`linkage.evaluate`: only a simulation has one. Returns
    counts and the leading figures, also written to ``quality/summary.json``.
    """
    card = models.load(Path(read_json(linkage_dir / "scoring.json")["model_dir"]))
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        load(con, linkage_dir)
        # Here people are only told apart, and numbers are told apart for less than their IDs.
        con.execute(
            "create or replace table people as select rid, min(rid) over (partition by person) as person from people"
        )
        _groups(con, linkage_dir)
        _population(con, linkage_dir)
        _match_rates(con, linkage_dir)
        figures: list[dict[str, Any]] = []
        without_reviewers(con, card)
        audit = _audit(con, card, decisions, figures)
        expected = _expected(con)
        _model(figures, *expected)
        missed = _numbers(con, card, figures, expected)
        if truth_dir is not None:
            _truth(con, linkage_dir, truth_dir, figures)
        ratios = _ratios(figures)
        _save(con, figures, _ACCURACY, linkage_dir / "quality" / "accuracy.parquet")
        _save(con, ratios, _RATIOS, linkage_dir / "quality" / "recall_ratios.parquet")
        _save(con, missed, _MISSED, linkage_dir / "quality" / "missed.parquet")
        summary: dict[str, Any] = {
            **audit,
            "groups_below_fair_ratio": sum(bool(r["is_low"]) for r in ratios),
            "groups_compared": len(ratios),
        }
        for line in figures:
            if line["breakdown"] is None and line["estimate"] is not None:
                summary[f"{line['measure']}.{line['basis']}"] = round(line["estimate"], 5)
        write_json(summary, linkage_dir / "quality" / "summary.json")
        return summary
    finally:
        con.close()


def _race_words(values: list[tuple[str, str]]) -> list[str]:
    """Plain words for what (system, value) says of race: code lists first, several races are "more than one"."""
    contracts = load_contracts()
    out = []
    for system, value in values:
        lists = contracts[system].code_lists if system in contracts else {}
        words = {c.code: c.maps_to for c in lists.get("race", []) if c.maps_to}
        parts = {words.get(p.strip(), p.strip().lower()) for p in value.split(";") if p.strip()}
        parts -= {"unknown", "declined"}
        out.append(UNKNOWN if not parts else parts.pop() if len(parts) == 1 else "more than one")
    return out


def _groups(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    """Table ``wide(rid, source_system, person, is_child, …)``: a column per breakdown, NULL where nothing is
    recorded."""
    year = read_json(linkage_dir / "record_summary.json")["reference_year"] or 1970
    said = con.execute(
        "select distinct source_system, race_ethnicity from records where race_ethnicity is not null order by all"
    ).fetchall()
    words = _race_words(said)
    con.register(
        "kw_race",
        pa.table(
            {
                "source_system": pa.array([s for s, _ in said], pa.string()),
                "race_ethnicity": pa.array([v for _, v in said], pa.string()),
                "race": pa.array([None if w == UNKNOWN else w for w in words], pa.string()),
            }
        ),
    )
    columns = ", ".join(f'{sql} as "{name}"' for name, sql in BREAKDOWNS.items())
    con.execute(f"""
    create table wide as
    select rid, source_system, p.person, is_child, {columns}
    from (select r.*, w.race, {int(year)} as year_now from records r
          left join kw_race w using (source_system, race_ethnicity)) join people p using (rid)
    """)
    con.unregister("kw_race")


def _pair_groups(left: str, right: str) -> str:
    """SQL list of (breakdown, value) of a pair: the first record's group, or the second's where that is not known."""
    each = ", ".join(
        f"""{{'breakdown': '{name}', 'value': coalesce({left}."{name}", {right}."{name}")}}""" for name in BREAKDOWNS
    )
    return f"unnest([{each}])"


def _population(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    write_parquet(
        con,
        """
        with held as (
            select r.source_system, p.person, count(*) as records, count(*) filter (r.is_child) as under_seven,
                count(*) filter (r.has_placeholder_name) as placeholder, count(*) filter (r.is_sealed) as sealed
            from records r join people p using (rid) group by r.source_system, p.person),
        in_one as (select person from held group by person having count(*) = 1)
        select h.source_system, sum(h.records)::bigint as records, count(*) as people,
            sum(h.under_seven)::bigint as records_under_seven,
            sum(h.placeholder)::bigint as records_with_placeholder_name,
            sum(h.sealed)::bigint as sealed_records,
            coalesce(sum(h.records) filter (o.person is not null), 0)::bigint as records_of_people_in_no_other_system
        from held h left join in_one o using (person) group by h.source_system order by h.source_system""",
        linkage_dir / "quality" / "population.parquet",
    )
    counts = ", ".join(f'count({sql}) as "{name}"' for name, sql in FIELDS.items())
    names = ", ".join(f'"{name}"' for name in FIELDS)
    write_parquet(
        con,
        f"""select source_system, population, field, records, filled, round(filled / records, 6) as rate
        from (unpivot (
            select source_system, case when is_child then 'under seven' else 'seven and over' end as population,
                count(*) as records, {counts} from records group by all
        ) on {names} into name field value filled) order by all""",
        linkage_dir / "quality" / "completeness.parquet",
    )


def _match_rates(con: duckdb.DuckDBPyConnection, linkage_dir: Path) -> None:
    # A person's systems as bits: then every group is counted once, not once per other system.
    con.execute("""
    create table systems as
    select source_system, row_number() over (order by source_system) - 1 as bit
    from (select distinct source_system from wide)
    """)
    con.execute("""
    create table placed_in as
    select person, bit_or(1::bigint << bit) as mask from wide join systems using (source_system) group by person
    """)
    con.execute("create table located as select w.*, p.mask from wide w join placed_in p using (person)")
    each = " union all ".join(
        f"""select source_system, mask, '{name}' as breakdown, {value} as value, count(distinct person) as n
        from located group by all"""
        for name, value in [("everybody", "'everybody'")]
        + [(name, f"""coalesce("{name}", '{UNKNOWN}')""") for name in BREAKDOWNS]
    )
    found = rows(
        con,
        f"""
        select g.source_system as system_a, s.source_system as system_b, g.breakdown, g.value,
            sum(g.n)::bigint as n, coalesce(sum(g.n) filter ((g.mask >> s.bit) & 1 = 1), 0)::bigint as linked
        from ({each}) g join systems s on s.source_system <> g.source_system
        group by all order by all
        """,
    )
    for table in ("located", "placed_in", "systems"):
        con.execute(f"drop table {table}")
    for line in found:
        share = wilson(line["linked"], line["n"])
        line |= {"rate": share.value if share else None, "low": share.low if share else None}
        line["high"] = share.high if share else None
    _save(con, found, _RATES, linkage_dir / "quality" / "match_rates.parquet")


def _figure(
    measured: str, basis: str, estimate: Estimate | None, method: str, group: tuple[str, str] | None = None,
    hits: int | None = None, n: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "measure": measured,
        "basis": basis,
        "breakdown": group[0] if group else None,
        "value": group[1] if group else None,
        "estimate": estimate.value if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "hits": hits,
        "n": n if n is not None else (estimate.n if estimate else 0),
        "method": method,
    }


def _audit(
    con: duckdb.DuckDBPyConnection, card: models.ModelCard, decisions: Path | None, figures: list[dict[str, Any]]
) -> dict[str, Any]:
    """Precision and recall of the model's own people, from reviewers' decisions on the random sample."""
    draw_audit(con, card.thresholds.join)
    lines = reviewed.read(decisions).lines
    found = reviewed.verdicts(lines)
    sample = rows(
        con,
        """select stratum, is_linked, nth, l.source_system as sa, l.source_record_id as ra, r.source_system as sb,
            r.source_record_id as rb
        from audit join records l on l.rid = rid_l join records r on r.rid = rid_r order by stratum, nth""",
    )
    sizes = {r[0]: (r[1], r[2]) for r in con.execute("select stratum, is_linked, pairs from strata").fetchall()}
    hits: dict[str, int] = defaultdict(int)
    seen: dict[str, int] = defaultdict(int)
    decided = unsure = 0
    ended: set[str] = set()
    for row in sample:
        verdict = found.get(reviewed.pair_of((row["sa"], row["ra"]), (row["sb"], row["rb"])))
        settled = verdict is not None and verdict.state == "settled"
        decided += settled
        unsure += verdict is not None and verdict.state == "unsure"
        if row["stratum"] in ended:
            continue
        if settled and verdict is not None:
            hits[row["stratum"]] += verdict.level == "must_link"
            seen[row["stratum"]] += 1
        elif verdict is None or verdict.state != "unsure":
            # Pairs behind the first open one were decided for some other reason than having been drawn.
            ended.add(row["stratum"])

    def of(linked: bool) -> Estimate | None:
        return stratified([(n, hits[s], seen[s]) for s, (is_linked, n) in sizes.items() if is_linked is linked])

    right, overlooked = of(True), of(False)
    joined = sum(n for is_linked, n in sizes.values() if is_linked)
    method = "audit sample; stratified, Wilson intervals put together by square-and-add"
    precision = (
        Estimate(right.value / joined, right.low / joined, min(1.0, right.high / joined), right.n)
        if right and joined
        else None
    )
    figures.append(_figure("precision", "audit", precision, method))
    recall = share_of(right, overlooked) if right and overlooked else None
    figures.append(_figure("recall among compared pairs", "audit", recall, method))
    table = _agreement(lines)
    agreement = kappa(*table)
    return {
        "audit_pairs": len(sample),
        "audit_decided": decided,
        "audit_unsure": unsure,
        "pairs_decided_twice": sum(table),
        "kappa": round(agreement, 4) if agreement is not None else None,
    }


def _agreement(lines: list[reviewed.Decision]) -> tuple[int, int, int, int]:
    """How often the first two reviewers of a pair agreed: same-same, same-different, different-same, both different."""
    votes: dict[reviewed.Pair, dict[str, str]] = defaultdict(dict)
    for d in lines:
        # The first word counts here: a reviewer who was overruled may have said otherwise since.
        if d.role == "reviewer" and d.level != "unsure":
            votes[d.pair].setdefault(d.reviewer.casefold(), d.level)
    table = [0, 0, 0, 0]
    for by in votes.values():
        if len(by) >= 2:
            first, second = list(by.values())[:2]
            table[2 * (first == "cannot_link") + (second == "cannot_link")] += 1
    return table[0], table[1], table[2], table[3]


def chained(left: Ints, right: Ints, weight: Floats) -> tuple[int, float]:
    """How many pairs of nodes edges tie together, directly or not, and how many of them are one person to the model.

    A pair's probability is that of the weakest edge on the strongest chain between the two, ``weight`` being log2 odds:
    a badly written record disagrees with most of its person, and hangs on the one record it agrees with. ``left`` and
    ``right`` are node numbers from 0. The edges of the strongest chains are those of a maximum spanning tree (Hu 1961,
    Operations Research 9).
    """
    if not len(weight):
        return 0, 0.0
    size = int(max(left.max(), right.max())) + 1
    highest = float(weight.max())
    # The least distance is the highest weight; 0 would be no edge at all.
    tree = minimum_spanning_tree(coo_matrix((highest + 1 - weight, (left, right)), shape=(size, size))).tocoo()
    order = np.argsort(tree.data, kind="stable")
    probability = (1 / (1 + np.exp2(np.clip(tree.data[order] - highest - 1, -60, 60)))).tolist()
    tied, pairs, right_ones = DisjointSet(range(size)), 0, 0.0
    for one, other, p in zip(tree.row[order].tolist(), tree.col[order].tolist(), probability, strict=True):
        made = tied.subset_size(one) * tied.subset_size(other)
        pairs, right_ones = pairs + made, right_ones + made * p
        tied.merge(one, other)
    return pairs, right_ones


def _expected(con: duckdb.DuckDBPyConnection) -> tuple[int, float, float]:
    """By the model's own probabilities: pairs tied together, how many of them are one person, and how many compared
    pairs that were not joined are. Whom a rule takes for two people the model has no say about."""
    data = con.execute("select rid_l, rid_r, weight from framed where is_linked order by 1, 2").fetchnumpy()
    ends = np.concatenate([data["rid_l"], data["rid_r"]]).astype(np.int64)
    place = np.unique(ends, return_inverse=True)[1].reshape(2, -1)
    pairs, right = chained(place[0], place[1], np.asarray(data["weight"], dtype=np.float64))
    overlooked = con.execute(f"""
    select coalesce(sum(1 / (1 + pow(2, -least(greatest(f.weight, -60), 60)))), 0)
    from framed f join edges e using (rid_l, rid_r) where not is_linked and e.evidence not in {in_list(TWO_PEOPLE)}
    """).fetchall()[0][0]
    return pairs, right, overlooked


def _model(figures: list[dict[str, Any]], pairs: int, right: float, overlooked: float) -> None:
    """What the model itself expects: as good as its probabilities, so no interval."""
    method = "the model's own probabilities, along the strongest chain of pairs between two records"
    for name, whole in (("precision", pairs), ("recall among compared pairs", right + overlooked)):
        figures.append(_figure(name, "model", None, method, n=int(whole)))
        figures[-1]["estimate"] = right / whole if whole else None


def _without_numbers(card: models.ModelCard) -> str:
    """SQL for a pair's weight less what SSN and Medicaid number added."""
    whens = []
    for kind, mixture in card.mixtures.items():
        # A pair weighed among those who share a relative was compared with that pool's others, not with strangers.
        against = {"": mixture.u} | {k.split("/")[0]: p.others for k, p in card.pools.items() if k.endswith("/" + kind)}
        for evidence, others in against.items():
            where = f"e.model = '{kind}'" + (f" and e.evidence = '{evidence}'" if evidence else "")
            added = ["0"]
            for name in ("ssn", "medicaid_id"):
                if name in mixture.comparisons:
                    levels = zip(mixture.m[name], others[name], strict=True)
                    weights = [math.log2(max(m, 1e-12) / max(u, 1e-12)) for m, u in levels]
                    each = " ".join(f"when {level} then {weight!r}" for level, weight in enumerate(weights))
                    added.append(f"coalesce(case e.g_{name} {each} end, 0)")
            whens.append((bool(evidence), f"when {where} then {' + '.join(added)}"))
    ordered = " ".join(text for _, text in sorted(whens, key=lambda w: not w[0]))
    return f"e.weight - (case {ordered} else 0 end)"


def _numbers(
    con: duckdb.DuckDBPyConnection,
    card: models.ModelCard,
    figures: list[dict[str, Any]],
    expected: tuple[int, float, float],
) -> list[dict[str, Any]]:
    """Pairs known by a number tell how well names and dates alone do, and how many pairs nothing found.

    Pair by pair, so it says who is harder to find by name, not how many are lost: third records and relatives help.
    Two ways of finding a pair, taken to be independent: its number agrees; or names, dates and places alone weigh
    enough to join it. Where both records carry a number, the two ways are compared (capture-recapture).
    """
    rest = _without_numbers(card)
    con.execute(f"""
    create table ways as
    select e.rid_l, e.rid_r, coalesce(e.g_ssn = 0 or e.g_medicaid_id = 0, false) as by_number,
        {rest} >= {card.thresholds.join} as by_names,
        (l.ssn is not null and r.ssn is not null) or (l.medicaid_id is not null and r.medicaid_id is not null)
            as has_numbers
    from edges e join records l on l.rid = e.rid_l join records r on r.rid = e.rid_r
    join alone a on a.rid = e.rid_l join alone b on b.rid = e.rid_r
    -- What a source states of its own numbers is no achievement of a comparison.
    anti join (select least(rid_a, rid_b) as rid_l, greatest(rid_a, rid_b) as rid_r from constraints
               where kind = 'must') c on c.rid_l = e.rid_l and c.rid_r = e.rid_r
    -- A record without a name can only be found by its number: it tells nothing about names.
    where a.person = b.person and e.g_given_name >= 0 and e.g_surname >= 0
    """)
    method = "linked named records whose number agrees: share that names, dates and places alone would have joined"
    both, number = con.execute(
        "select count(*) filter (by_names), count(*) from ways where by_number"
    ).fetchall()[0]  # fmt: skip
    figures.append(_figure("found without numbers", "numbers", wilson(both, number), method, None, both, number))
    for breakdown, value, hits, n in con.execute(f"""
    select g.breakdown, g.value, count(*) filter (by_names), count(*) from (
        select w.by_names, {_pair_groups("l", "r")} as g
        from ways w join wide l on l.rid = w.rid_l join wide r on r.rid = w.rid_r where w.by_number)
    where g.value is not null and g.breakdown <> 'SSN' group by all order by all
    """).fetchall():
        figures.append(
            _figure("found without numbers", "numbers", wilson(hits, n), method, (breakdown, value), hits, n)
        )
    first, second, twice = con.execute("""
    select count(*) filter (by_number and has_numbers), count(*) filter (by_names and has_numbers),
        count(*) filter (by_number and by_names and has_numbers)
    from ways""").fetchall()[0]
    missed: list[dict[str, Any]] = []
    if twice:
        inside = chapman(first, second, twice)
        missed.append(
            {
                "method": "capture-recapture by number and by names, both records with a number (Chapman 1951)",
                "found": inside.n, "total": inside.value, "low": inside.low, "high": inside.high,
            }
        )  # fmt: skip
    _, right, overlooked = expected
    missed.append(
        {
            "method": "compared but not joined, by the model's own probabilities",
            "found": round(right), "total": right + overlooked, "low": None, "high": None,
        }
    )  # fmt: skip
    return missed


def _truth(con: duckdb.DuckDBPyConnection, linkage_dir: Path, truth_dir: Path, figures: list[dict[str, Any]]) -> None:
    """Precision and recall against a simulation's truth, whole and by group."""
    con.execute(f"""
    create table placed as
    select p.rid, p.person as found, t.true_person_id::varchar as truth from people p join records r using (rid)
    join read_parquet({quoted(truth_dir / "person_records.parquet")}) t using (source_system, source_record_id)
    """)
    con.execute("""
    create table judged as
    select a.rid as rid_l, b.rid as rid_r, a.found = b.found as is_found, a.truth = b.truth as is_true
    from placed a join placed b on a.truth = b.truth and a.rid < b.rid
    union all
    select a.rid, b.rid, true, false
    from placed a join placed b on a.found = b.found and a.rid < b.rid and a.truth <> b.truth
    """)
    method = "pairs of records against the simulation's truth; Wilson intervals take pairs to be independent"
    for breakdown, value, right, found, true in con.execute(f"""
    select breakdown, value, count(*) filter (is_found and is_true), count(*) filter (is_found),
        count(*) filter (is_true)
    from (
        select null as breakdown, null as value, is_found, is_true from judged
        union all
        select g.breakdown, g.value, is_found, is_true from (
            select j.is_found, j.is_true, {_pair_groups("l", "r")} as g
            from judged j join wide l on l.rid = j.rid_l join wide r on r.rid = j.rid_r)
        where g.value is not null
    ) group by all order by breakdown nulls first, value
    """).fetchall():
        group = (breakdown, value) if breakdown else None
        figures.append(_figure("precision", "truth", wilson(right, found), method, group, right, found))
        figures.append(_figure("recall", "truth", wilson(right, true), method, group, right, true))
    whole = evaluate(linkage_dir, truth_dir)
    for name, share in (
        ("people exactly right", whole.exact),
        ("parent-child precision", whole.parent_precision),
        ("parent-child recall", whole.parent_recall),
    ):
        if share is not None:
            figures.append(_figure(name, "truth", None, "against the simulation's truth", n=whole.people_true))
            figures[-1]["estimate"] = share


def _ratios(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Recall of each group against the largest of its breakdown."""
    out = []
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in figures:
        if line["breakdown"] and line["measure"] != "precision":
            groups[(line["measure"], line["basis"], line["breakdown"])].append(line)
    for (measured, basis, breakdown), lines in sorted(groups.items()):
        largest = max(lines, key=lambda line: (line["n"], line["value"]))
        for line in lines:
            if line is largest:
                continue
            found = ratio(line["hits"], line["n"], largest["hits"], largest["n"])
            out.append(
                {
                    "measure": measured,
                    "basis": basis,
                    "breakdown": breakdown,
                    "value": line["value"],
                    "against": largest["value"],
                    "ratio": found.value if found else None,
                    "low": found.low if found else None,
                    "high": found.high if found else None,
                    "n": line["n"],
                    "is_low": found is not None and found.value < FAIR_RATIO and found.high < 1,
                }
            )
    return out


def _schema(**columns: str) -> pa.Schema:
    kinds = {"text": pa.string(), "number": pa.float64(), "count": pa.int64(), "flag": pa.bool_()}
    return pa.schema([(name, kinds[kind]) for name, kind in columns.items()])


_RATES = _schema(
    system_a="text", system_b="text", breakdown="text", value="text", n="count", linked="count", rate="number",
    low="number", high="number",
)  # fmt: skip
_ACCURACY = _schema(
    measure="text", basis="text", breakdown="text", value="text", estimate="number", low="number", high="number",
    hits="count", n="count", method="text",
)  # fmt: skip
_RATIOS = _schema(
    measure="text", basis="text", breakdown="text", value="text", against="text", ratio="number", low="number",
    high="number", n="count", is_low="flag",
)  # fmt: skip
_MISSED = _schema(method="text", found="count", total="number", low="number", high="number")


def _save(con: duckdb.DuckDBPyConnection, lines: list[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    columns = {name: [line[name] for line in lines] for name in schema.names}
    con.register("kw_lines", pa.table(columns, schema=schema))
    write_parquet(con, "select * from kw_lines", path)
    con.unregister("kw_lines")
