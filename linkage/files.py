"""Linking any files of person records, with nothing but the files: the night's own steps, one after the other."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from expectations.vocabulary import RELATIONSHIPS
from linkage import model
from linkage.family.families import build_families
from linkage.person.resolve import resolve_on, tell_scoring
from linkage.quality import write_report
from linkage.reading import LinkageError, is_view, read_tables
from linkage.records import prepare
from linkage.store import connect, in_list, quoted, write_parquet
from linkage.train import train_on

_KEY = ("source_system", "source_record_id")
_KIN = (*_KEY, "related_record_id", "relationship")
_WRITTEN = (
    "person_crosswalk.parquet", "parent_child.parquet", "family_member.parquet", "scores.parquet", "report.html",
)  # fmt: skip


def _count(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(query).fetchall()[0][0])


def link_files(
    records: Sequence[Path],
    out: Path,
    relationships: Sequence[Path] | Path | None = None,
    duplicate_free: Iterable[str] = (),
    secret: bytes | None = None,
) -> dict[str, Any]:
    """Link the person records of Parquet or CSV files: no labels, no tuning.

    Columns: ``source_system, source_record_id`` and any of ``first_name, middle_name, last_name, name_suffix,
    birth_date`` (ISO)``, sex`` (F/M)``, ssn, medicaid_id, address_line, city, state, zip, phone, record_role``
    (child/adult)``, case_key``, and the rest of the canonical person record. Relationships: ``source_system,
    source_record_id, related_record_id, relationship``, read left to right. ``duplicate_free`` names systems that hold
    each person once.

    Writes to ``out``: ``person_crosswalk.parquet (source_system, source_record_id, person_id)``,
    ``parent_child.parquet (child_person_id, parent_person_id, role, evidence)``, ``family_member.parquet
    (family_id, person_id, role)``, ``scores.parquet``, ``report.html``, and the work under ``work/``. Returns counts,
    and the seconds of each step.

    Raises :class:`FileNotFoundError` for a missing file, :class:`~linkage.reading.LinkageError` for one that cannot be
    read, lacks a key column, or would be written over.
    """
    work = out / "work"
    seconds: dict[str, float] = {}
    began = time.perf_counter()

    def done(step: str) -> None:
        seconds[step] = round(time.perf_counter() - began - sum(seconds.values()), 1)

    duplicate_free = tuple(duplicate_free)
    related = [relationships] if isinstance(relationships, Path) else list(relationships or [])
    for file in (*records, *related):
        place = file.resolve()
        if work.resolve() in place.parents or place in {(out / name).resolve() for name in _WRITTEN}:
            raise LinkageError(f"{file.name} lies where the result is written: give another folder for that")
    out.mkdir(parents=True, exist_ok=True)
    con = connect(spill_dir=work / "spill")
    try:
        persons, kin = "given_records", "given_relationships" if related else None
        aside = read_tables(con, list(records), persons, _KEY)
        unknown_words = 0
        if kin:
            aside += read_tables(con, related, kin, _KIN)
            unknown_words = _count(
                con, f"select count(*) from {kin} where lower(trim(relationship)) not in {in_list(RELATIONSHIPS)}"
            )
        systems = {r[0] for r in con.execute(f"select distinct trim(source_system) from {persons}").fetchall()}
        summary: dict[str, Any] = {"records": prepare(con, persons, kin, None, None, work)}
        for given in filter(None, (persons, kin)):
            con.execute(f"drop {'view' if is_view(con, given) else 'table'} {given}")
        summary["records"] |= {"lines_unreadable": aside, "relationship_of_unknown_kind": unknown_words}
        summary["duplicate_free_unknown"] = sorted(set(duplicate_free) - systems)
        done("records")
        card, completed, first_look = train_on(con, work, work / "models", "model", duplicate_free)
        summary["scoring"] = tell_scoring(con, work, card, card.blocking, completed, is_full=True)
        done("training and scoring")
        # Without a deployment there is no secret to keep: the IDs follow from the data, and are the same every time.
        secret = secret or hashlib.sha256(card.fingerprint.encode()).digest()
        newest, year = (summary["records"][name] for name in ("newest_delivery", "reference_year"))
        cut = dt.date.fromisoformat(newest) if newest else dt.date(year or 1970, 12, 31)
        summary["people"] = resolve_on(con, work, work / "registry", cut, secret, persist=False, first_look=first_look)
    finally:
        con.close()
    done("people")
    summary["families"] = build_families(work, work / "registry", cut, secret, persist=False)
    done("families")
    summary["model"] = card.name
    con = connect(spill_dir=work / "spill")
    try:

        def source(name: str) -> str:
            return f"read_parquet({quoted(work / (name + '.parquet'))})"

        write_parquet(
            con,
            # It is in order there.
            f"select source_system, source_record_id, person_id from {source('person_crosswalk')}",
            out / "person_crosswalk.parquet",
        )
        write_parquet(
            con,
            f"""select child_person_id, parent_person_id,
                coalesce(min(role) filter (role <> 'parent'), 'parent') as role,
                array_to_string(list_sort(list_distinct(list(evidence || ':' || source_system))), ', ') as evidence
            from {source("parent_child")} group by child_person_id, parent_person_id
            order by child_person_id, parent_person_id""",
            out / "parent_child.parquet",
        )
        write_parquet(
            con,
            f"select distinct family_id, person_id, role from {source('family_member')} "
            "order by family_id, person_id, role",
            out / "family_member.parquet",
        )
        write_parquet(
            con,
            f"""select l.source_system as source_system_a, l.source_record_id as source_record_id_a,
                r.source_system as source_system_b, r.source_record_id as source_record_id_b,
                e.weight as match_weight, 1 / (1 + pow(2, -greatest(least(e.weight, 50), -50))) as match_probability,
                e.model, e.evidence
            from {source("edges")} e join {source("records")} l on l.rid = e.rid_l
            join {source("records")} r on r.rid = e.rid_r order by e.rid_l, e.rid_r""",
            out / "scores.parquet",
        )
    finally:
        con.close()
    write_report(work, model.load(card.path), out / "report.html")
    done("files and report")
    summary["seconds"] = seconds
    return summary
