"""Scoring: the Splink models applied to blocked pairs, less what relatives and twins explain.

A pair is scored by the child model when either record is a young child, by the adult model otherwise. Its weight is
Splink's match weight (log2 odds, with frozen name frequencies), minus ``log2(1 + relatives : strangers)``.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from splink import DuckDBAPI, Linker

from linkage.person.comparisons import BY_NAME, settings
from linkage.person.mixture import Floats, Ints, Mixture, kin_log_odds
from linkage.store import quoted, write_parquet

#: Columns the comparisons read; nothing else is handed to Splink.
COMPARED = [
    "rid",
    "first_std",
    "first_forms",
    "last_std",
    "last_forms",
    "middle_std",
    "suffix",
    "dob",
    "birth_date",
    "sex",
    "ssn",
    "last4",
    "medicaid_id",
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
    "phone",
    "mother_first",
    "mother_last",
    "is_child",
]
FREQUENCIES = ("first_std", "last_std")
#: Edges below this weight can change nothing and are not kept.
FLOOR = -12.0


def quiet() -> None:
    """Splink explains itself on the log at length; the model card says it once."""
    for name in ("splink", "splink.internals"):
        logging.getLogger(name).setLevel(logging.ERROR)


class Scorer:
    """Models loaded against a connection that holds ``records``."""

    def __init__(self, con: duckdb.DuckDBPyConnection, frequencies: Path | None = None) -> None:
        self.con = con
        con.execute(f"create or replace temp view compared as select {', '.join(COMPARED)} from records")
        self.api = DuckDBAPI(con)
        self.frequencies = frequencies
        self._table = self.api.register("compared", table_name="kw_records")
        self._frequency_tables: dict[str, Any] = {}
        for column in FREQUENCIES:
            name = f"kw_tf_{column}"
            source = (
                f"select * from read_parquet({quoted(frequencies / (column + '.parquet'))})"
                if frequencies is not None
                else f"select {column}, count(*)::double / sum(count(*)) over () as tf_{column} "
                f"from records where {column} is not null group by {column}"
            )
            con.execute(f"create or replace table {name} as {source}")
            self._frequency_tables[column] = self.api.register(name, table_name=f"kw_frequency_{column}")
        quiet()

    def save_frequencies(self, folder: Path) -> None:
        """Freeze the name frequencies, so that a name becoming commoner changes no score before retraining."""
        for column in FREQUENCIES:
            write_parquet(self.con, f"select * from kw_tf_{column} order by {column}", folder / f"{column}.parquet")

    def linker(self, model: dict[str, Any]) -> Linker:
        """A Splink linker for the settings ``model``, with the name frequencies registered."""
        linker = Linker(self._table, model, log_level=None, validate_settings=False)
        quiet()
        for column, table in self._frequency_tables.items():
            linker.table_management.register_term_frequency_lookup(table, column)
        return linker

    def compare(self, model: dict[str, Any], pairs: str, out: str) -> None:
        """Table ``out``: ``rid_l, rid_r, match_weight, tf_surname, g_<comparison>`` for the pairs in table ``pairs``.

        ``g_`` is the level position: 0 strongest, -1 not known.
        """
        self.con.execute(
            f"create or replace table kw_to_score as "
            f"select '0' as match_key, rid_l as join_key_l, rid_r as join_key_r from {pairs}"
        )
        linker = self.linker(model)
        registered = self.api.register("kw_to_score")
        linker.table_management.register_blocked_pairs_for_predict(registered)
        predicted = linker.inference.predict(warning_mode="never")
        present = {r[0] for r in self.con.execute(f"describe {predicted.physical_name}").fetchall()}
        tf = "mw_tf_adj_surname" if "mw_tf_adj_surname" in present else "0.0"
        # Splink keeps the levels only beside the compared values, and names have no business in a table of pairs.
        # The partial weight of a comparison tells its level: settings() makes all weights of one comparison differ.
        gammas = ", ".join(_level_from_weight(c) + f" as g_{c['output_column_name']}" for c in model["comparisons"])
        self.con.execute(
            f"create or replace table {out} as "
            f"select rid_l, rid_r, match_weight, {tf} as tf_surname, {gammas} from {predicted.physical_name}"
        )
        predicted.drop_table_from_database_and_remove_from_cache()
        self.con.execute("drop table kw_to_score")

    def patterns(self, table: str, names: list[str]) -> tuple[Ints, Floats]:
        """Distinct comparison patterns of a table made by :meth:`compare`, and how often each occurs."""
        columns = ", ".join(f"g_{n}" for n in names)
        data = self.con.execute(
            f"select {columns}, count(*) as n from {table} group by {columns} order by {columns}"
        ).fetchnumpy()
        stacked = np.stack([np.asarray(data[f"g_{n}"], dtype=np.int64) for n in names], axis=1)
        return stacked, np.asarray(data["n"], dtype=np.float64)

    def weigh(self, table: str, mixture: Mixture, out: str, extra: str = "") -> None:
        """Table ``out``: the rows of ``table`` with ``weight``, relatives taken into account."""
        names = mixture.comparisons
        positions, _ = self.patterns(table, names)
        self._register_patterns(names, positions, kin_log_odds(mixture, positions))
        same = " and ".join(f"t.g_{n} = p.g_{n}" for n in names)
        self.con.execute(
            f"create or replace table {out} as select t.rid_l, t.rid_r, "
            f"t.match_weight - log2(1 + pow(2, least(p.value + t.tf_surname, 200))) as weight, "
            f"{', '.join(f't.g_{n}' for n in names)} {extra} from {table} t join kw_patterns p on {same}"
        )

    def _register_patterns(self, names: list[str], positions: Ints, values: Floats) -> None:
        columns = {f"g_{n}": positions[:, i].astype(np.int8) for i, n in enumerate(names)}
        frame = {**columns, "value": values}
        self.con.register("kw_patterns_in", _as_table(frame))
        self.con.execute("create or replace table kw_patterns as select * from kw_patterns_in")
        self.con.unregister("kw_patterns_in")


def _level_from_weight(comparison: dict[str, Any]) -> str:
    """SQL giving the level position (0 strongest, -1 not known) from the partial match weight."""
    column = f"mw_{comparison['output_column_name']}"
    levels = [v for v in comparison["comparison_levels"] if not v.get("is_null_level")]
    weights = [float(np.log2(v["m_probability"] / v["u_probability"])) for v in levels]
    whens = " ".join(f"when abs({column} - ({w!r})) < 1e-7 then {i}" for i, w in enumerate(weights))
    return f"(case when {column} = 0 then -1 {whens} end)::tinyint"


def _as_table(columns: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array(values) for name, values in columns.items()})


def splink_settings(mixture: Mixture) -> dict[str, Any]:
    """The Splink settings of a trained mixture."""
    return settings([BY_NAME[n] for n in mixture.comparisons], mixture.m, mixture.u, max(mixture.match_share, 1e-12))
