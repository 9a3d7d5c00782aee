"""A new model beside the one in use: how they differ, before anybody decides to change.

Both are asked about the same records: what their levels weigh, where they join, how many compared pairs that joins, and
which people would merge or split. Counts, and the keys of the records concerned; no names.
"""

from __future__ import annotations

import datetime as dt
import math
import shutil
from pathlib import Path
from typing import Any

import duckdb

from linkage import model as models
from linkage.model import ModelCard, ModelError
from linkage.person import edges as edge_work
from linkage.person import nightly, people
from linkage.person.comparisons import BY_NAME
from linkage.person.scoring import Scorer
from linkage.registry import Registry
from linkage.review import decisions as reviewed
from linkage.store import connect, read_json, write_json, write_parquet
from linkage.train import train

#: What training reads and people are formed from.
_INPUT = (
    "records.parquet",
    "relationships.parquet",
    "constraints.parquet",
    "case_members.parquet",
    "case_links.parquet",
    "record_summary.json",
)
#: Beside ``differences.json``: the records whose company changes.
PEOPLE_CHANGED = "people_changed.parquet"


def train_beside(
    linkage_dir: Path,
    models_dir: Path,
    in_use: Path,
    registry_dir: Path,
    cut: dt.date,
    decisions: Path | None = None,
    name: str | None = None,
) -> tuple[ModelCard, dict[str, Any]]:
    """Train a new model without touching what the nights work with; returns its card and how it differs.

    The model is put under ``models_dir`` whole, with ``differences.json`` and ``people_changed.parquet`` (see
    :func:`compare`). A name that is taken gets a number, and a model equal to one that is there is not kept twice; the
    one in use keeps what it was compared with before it was used. ``cut``, the ledger in ``registry_dir`` and
    ``decisions`` are those of the next night: reviewers are obeyed and published joins kept as it would.

    Raises :class:`ModelError` when ``name`` is given and taken.
    """
    if name and (models_dir / name).exists():
        raise ModelError(f"there is a model {name} already: models are not overwritten, choose another name")
    # Beside the other work, since it holds standardised names, and not in place of it: nights go on with their model.
    beside = linkage_dir / "candidate"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        for file in _INPUT:
            shutil.copyfile(linkage_dir / file, beside / file)
        card = train(beside, beside / "models", name)
        differences = compare(beside, card, in_use, registry_dir, cut, decisions)
        made, card = card.path, _kept(card, models_dir)
        if card.path.resolve() != in_use.resolve():
            write_json(differences, card.path / "differences.json")
            if (made / PEOPLE_CHANGED).exists():
                shutil.copyfile(made / PEOPLE_CHANGED, card.path / PEOPLE_CHANGED)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return card, differences


def _kept(card: ModelCard, models_dir: Path) -> ModelCard:
    """Move a new model under ``models_dir``, under a name nobody has; an equal one that is there is taken instead."""
    base, number = card.name, 1
    while (models_dir / card.name).exists():
        try:
            there = models.load(models_dir / card.name)
            texts = [read_json(c.path / "card.json") for c in (there, card)]
            if {**texts[0], "name": ""} == {**texts[1], "name": ""}:
                return there
        except ModelError:
            pass  # A damaged model is left as it is.
        number += 1
        card.name = f"{base}-{number}"
        card.save()
    # Whole or not at all: nights look for a card.
    part = models_dir / f".{card.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(card.path, part)
    part.rename(models_dir / card.name)
    return models.load(models_dir / card.name)


def compare(
    linkage_dir: Path,
    new: ModelCard,
    in_use: Path,
    registry_dir: Path,
    cut: dt.date,
    decisions: Path | None = None,
) -> dict[str, Any]:
    """How ``new`` differs from the model in the folder ``in_use`` on the records of ``linkage_dir``.

    ``weights``: per model, comparison and level ``old`` and ``new`` log2 weights, None where one of them does not
    compare that attribute. ``models``: of each ``trained_on``, thresholds, library versions, compared pairs, the share
    of them at or above the threshold, and people. ``people``: people of the new model made of several old ones
    (``merged``), old ones that come apart (``split``), those that stay as they are (``unchanged``), and records whose
    company changes (``records_moved``). The latter are written beside the card of ``new``, as
    ``people_changed.parquet``: ``source_system, source_record_id``, the published ``person_id`` (or none),
    ``person_in_use`` and ``person_new``, equal for records that are one person to the model.

    Where the model in use cannot be loaded, ``not_comparable`` says why, and only the new one is described.
    """
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        try:
            old = models.load(in_use)
        except ModelError as error:
            told = {"new": _described(con, linkage_dir, new, registry_dir, cut, decisions, "new")}
            return {"not_comparable": str(error), "models": told, "weights": _weights(None, new), "people": None}
        told = {
            which: _described(con, linkage_dir, card, registry_dir, cut, decisions, which)
            for which, card in (("old", old), ("new", new))
        }
        counts = _people(con)
        write_parquet(con, _CHANGED, new.path / PEOPLE_CHANGED)
        return {"not_comparable": None, "models": told, "weights": _weights(old, new), "people": counts}
    finally:
        con.close()


def _weights(old: ModelCard | None, new: ModelCard) -> list[dict[str, Any]]:
    def weight(card: ModelCard | None, kind: str, name: str, level: int) -> float | None:
        mixture = card.mixtures.get(kind) if card else None
        if mixture is None or name not in mixture.m:
            return None
        return round(math.log2(mixture.m[name][level] / mixture.u[name][level]), 3)

    lines = []
    for kind in sorted(new.mixtures):
        for name, comparison in BY_NAME.items():
            for level, described in enumerate(comparison.all_levels):
                before, after = weight(old, kind, name, level), weight(new, kind, name, level)
                if before is not None or after is not None:
                    lines.append(
                        {"model": kind, "comparison": name, "level": described.words, "old": before, "new": after}
                    )
    return lines


def _described(
    con: duckdb.DuckDBPyConnection,
    linkage_dir: Path,
    card: ModelCard,
    registry_dir: Path,
    cut: dt.date,
    decisions: Path | None,
    which: str,
) -> dict[str, Any]:
    """What one model makes of the records, as a night would; table ``people_<which>`` holds its people."""
    edge_work.load_all(con, linkage_dir)
    # The new model's pairs were left behind by its training; the old one's are found here.
    done = nightly.score_changes(con, linkage_dir, card) or nightly.score_all(con, card)
    pairs = sum(rule["new_pairs"] for rule in done["rules"])
    join = card.thresholds.join
    above = con.execute(f"select count(*) from edges where evidence = 'pair' and weight >= {join}").fetchall()[0][0]
    scorer = Scorer(con, card.path / "frequencies")
    heard = None if decisions is None else people.hear_sources(con, scorer, card.duplicate_free)
    reviewed.apply(con, decisions)
    Registry(registry_dir, "person").load(con, cut)
    con.execute(
        "create or replace table published as select r.rid, s.id as person_id from registry_state s "
        "join records r on s.member = r.source_system || chr(31) || r.source_record_id"
    )
    is_published = con.execute("select count(*) from published").fetchall()[0][0] > 0
    bonus = join - card.thresholds.keep if is_published else 0.0
    formed = people.link_through_relatives(
        con, scorer, card.mixtures, card.pools, "edges", join,
        people.link(con, scorer, card.mixtures, "edges", join, card.duplicate_free, heard), bonus,
    )  # fmt: skip
    con.execute(f"create or replace table people_{which} as select rid, person from people")
    return {
        "name": card.name,
        "trained_on": card.trained_on,
        "versions": card.versions,
        "thresholds": {k: v for k, v in vars(card.thresholds).items() if isinstance(v, float)},
        "pairs": pairs,
        "pairs_above": above,
        "share_above": round(above / pairs, 6) if pairs else 0.0,
        "people": formed["people"],
    }


_CHANGED = """
select r.source_system, r.source_record_id, p.person_id,
    dense_rank() over (order by b.old) as person_in_use, dense_rank() over (order by b.new) as person_new
from kw_both b join records r using (rid) left join published p using (rid)
where n_old > n_both or n_new > n_both
order by person_new, person_in_use, source_system, source_record_id
"""


def _people(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    con.execute("""
    create or replace temp table kw_both as
    select rid, o.person as old, n.person as new, count(*) over (partition by o.person) as n_old,
        count(*) over (partition by n.person) as n_new, count(*) over (partition by o.person, n.person) as n_both
    from people_old o join people_new n using (rid)
    """)
    merged, split, unchanged, moved = con.execute("""
    select count(distinct new) filter (n_new > n_both), count(distinct old) filter (n_old > n_both),
        count(distinct old) filter (n_old = n_both and n_new = n_both),
        count(*) filter (n_old > n_both or n_new > n_both)
    from kw_both
    """).fetchall()[0]
    return {"merged": merged, "split": split, "unchanged": unchanged, "records_moved": moved}
