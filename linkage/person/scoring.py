"""Scoring: the models applied to pairs of records, less what relatives and twins explain.

A pair is scored by the child model when either record is a young child, by the adult model otherwise. Its weight is
Splink's match weight (log2 odds, with frozen name frequencies), minus ``log2(1 + relatives : strangers)``. One SQL
statement made from the Splink models (:mod:`linkage.person.weights`) does both, in pieces that fit in memory; a test
holds its weights against Splink's own prediction.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from linkage.person.comparisons import BY_NAME, Comparison, settings
from linkage.person.mixture import Floats, Ints, Mixture
from linkage.person.weights import FREQUENCY_LEVEL, level_sql
from linkage.store import quoted, write_parquet

#: Columns each comparison reads.
_READS = {
    "given_name": ("first_std", "first_forms", "last_std", "last_forms", "middle_std"),
    "surname": ("last_std", "last_forms", "first_std", "first_forms"),
    "middle_name": ("middle_std",),
    "birth_date": ("dob", "birth_date"),
    "sex": ("sex",),
    "suffix": ("suffix",),
    "ssn": ("ssn", "last4"),
    "medicaid_id": ("medicaid_id",),
    "address": (
        "addr_keys",
        "bldg_keys",
        "street_keys",
        "house",
        "street",
        "street_words",
        "zips",
        "zip",
        "city",
        "has_home",
        "has_placement",
    ),
    "phone": ("phone",),
    "mother": ("mother_first", "mother_last"),
}
FREQUENCIES = ("first_std", "last_std")
#: Edges below this weight can change nothing and are not kept.
FLOOR = -12.0
#: Pairs scored in one piece: what two sides of compared values need of memory.
PIECE = 1_000_000


def quiet() -> None:
    """Splink explains itself on the log at length; the model card says it once."""
    for name in ("splink", "splink.internals"):
        logging.getLogger(name).setLevel(logging.ERROR)


class Scorer:
    """Models at work on a connection that holds ``records``; name frequencies frozen, or counted here."""

    def __init__(self, con: duckdb.DuckDBPyConnection, frequencies: Path | None = None) -> None:
        self.con = con
        for column in FREQUENCIES:
            source = (
                f"select * from read_parquet({quoted(frequencies / (column + '.parquet'))})"
                if frequencies is not None
                else f"select {column}, count(*)::double / sum(count(*)) over () as tf_{column} "
                f"from records where {column} is not null group by {column}"
            )
            con.execute(f"create or replace table kw_tf_{column} as {source}")

    def save_frequencies(self, folder: Path) -> None:
        """Freeze the name frequencies, so that a name becoming commoner changes no score before retraining."""
        for column in FREQUENCIES:
            write_parquet(self.con, f"select * from kw_tf_{column} order by {column}", folder / f"{column}.parquet")

    def levels(self, comparisons: list[Comparison], pairs: str, out: str, select: str = "", where: str = "") -> None:
        """Table ``out``: ``rid_l, rid_r, g_<comparison>`` for table ``pairs``.

        ``select``, instead, is the select list over the levels, ``tf_given_name``, ``tf_surname`` and
        ``is_child_pair``; ``where`` filters what was selected.
        """
        reads = sorted({column for c in comparisons for column in _READS[c.name]})
        n = self.con.execute(f"select count(*) from {pairs}").fetchall()[0][0]
        pieces = max(1, -(-n // PIECE))
        levels = ", ".join(f"{level_sql(c)} as g_{c.name}" for c in comparisons)
        left = ", ".join(f"l.{c} as {c}_l" for c in reads)
        right = ", ".join(f"r.{c} as {c}_r" for c in reads)
        chosen = select or "rid_l, rid_r, " + ", ".join(f"g_{c.name}" for c in comparisons)
        tf = {c.name: FREQUENCY_LEVEL[c.name] for c in comparisons}
        adjusted = [
            f"case when g_{name} = {tf[name]} then {column} end as tf_{name}"
            if tf.get(name) is not None
            else f"null::double as tf_{name}"
            for name, column in (("given_name", "tf_first"), ("surname", "tf_last"))
        ]
        for piece in range(pieces):
            part = pairs
            if pieces > 1:
                part = "kw_piece"
                self.con.execute(
                    f"create or replace temp table kw_piece as select rid_l, rid_r from {pairs} "
                    f"where hash(rid_l) % {pieces} = {piece}"
                )
            head = f"create or replace table {out} as" if piece == 0 else f"insert into {out}"
            self.con.execute(f"""
            {head}
            with sides as (
                select p.rid_l, p.rid_r, l.is_child or r.is_child as is_child_pair, {left}, {right},
                    l.tf_first, l.tf_last
                from {part} p
                join (select rid, is_child, tf_first_std as tf_first, tf_last_std as tf_last, {", ".join(reads)}
                      from records semi join (select rid_l from {part}) on rid_l = rid
                      left join kw_tf_first_std using (first_std) left join kw_tf_last_std using (last_std)) l
                  on l.rid = p.rid_l
                join (select rid, is_child, {", ".join(reads)} from records
                      semi join (select rid_r from {part}) on rid_r = rid) r on r.rid = p.rid_r
            ), seen as (select rid_l, rid_r, is_child_pair, tf_first, tf_last, {levels} from sides),
            known as (select * exclude (tf_first, tf_last), {", ".join(adjusted)} from seen),
            -- Or the weight would be worked out a second time, to be looked at.
            told as {"materialized" if where else ""} (select {chosen} from known)
            from told {where}
            """)
            if pieces > 1:
                self.con.execute("drop table kw_piece")

    def patterns(self, table: str, names: list[str]) -> tuple[Ints, Floats]:
        """Distinct comparison patterns of a table made by :meth:`levels`, and how often each occurs."""
        columns = ", ".join(f"g_{n}" for n in names)
        data = self.con.execute(
            f"select {columns}, count(*) as n from {table} group by {columns} order by {columns}"
        ).fetchnumpy()
        stacked = np.stack([np.asarray(data[f"g_{n}"], dtype=np.int64) for n in names], axis=1)
        return stacked, np.asarray(data["n"], dtype=np.float64)

    def _register_patterns(self, names: list[str], positions: Ints, values: Floats) -> None:
        columns = {f"g_{n}": positions[:, i].astype(np.int8) for i, n in enumerate(names)}
        frame = {**columns, "value": values}
        self.con.register("kw_patterns_in", _as_table(frame))
        self.con.execute("create or replace table kw_patterns as select * from kw_patterns_in")
        self.con.unregister("kw_patterns_in")


def _as_table(columns: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array(values) for name, values in columns.items()})


def splink_settings(mixture: Mixture) -> dict[str, Any]:
    """The Splink settings of a trained mixture."""
    return settings([BY_NAME[n] for n in mixture.comparisons], mixture.m, mixture.u, max(mixture.match_share, 1e-12))


def splink_model(con: duckdb.DuckDBPyConnection, mixture: Mixture) -> dict[str, Any]:
    """The mixture as Splink saves a model: loadable by Splink, for its charts and for other engines."""
    from splink import DuckDBAPI, Linker

    quiet()
    con.execute("create or replace temp view kw_splink as select * exclude (rid), rid from records limit 100")
    linker = Linker(
        DuckDBAPI(con).register("kw_splink", table_name="kw_splink_records"),
        splink_settings(mixture),
        log_level=None,
        validate_settings=False,
    )
    quiet()
    saved: dict[str, Any] = linker.misc.save_model_to_json()
    return saved
