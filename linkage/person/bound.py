"""Which pairs can be worth scoring: the most a pair's weight can be, seen from single values alone.

Blocking proposes many times more pairs than matter, and bringing the lists of two records together (other names,
addresses) is what scoring a pair costs. Here each pair is looked at through a narrow table without lists: a comparison
either says its level from that, or which levels are still possible, and the best of those counts. Relatives are left
out, as they only take away. So no pair whose weight reaches the floor is lost, which is tested.
"""

from __future__ import annotations

import duckdb
import numpy as np

from linkage.person.comparisons import BY_NAME, Comparison
from linkage.person.mixture import Mixture
from linkage.person.weights import (
    FREQUENCY_COLUMN,
    FREQUENCY_LEVEL,
    MIN_FREQUENCY,
    level_sql,
    log2_ratios,
    lookup,
    number,
)

#: Columns of ``records`` that are one value.
SINGLE_VALUES = (
    "first_std",
    "last_std",
    "middle_std",
    "dob",
    "birth_date",
    "sex",
    "suffix",
    "ssn",
    "last4",
    "medicaid_id",
    "phone",
    "mother_first",
    "mother_last",
    "house",
    "zip",
    "city",
    "has_placement",
)
#: Of these, the ones that are only asked whether they are the same: a hash is carried and compared for less.
_ONLY_SAME = {"dob", "suffix", "ssn", "last4", "medicaid_id", "phone", "house"}


def _key(value: str) -> str:
    """SQL for four bytes that are the same where ``value`` is: of unlike values one pair in 2 ** 32 shares them."""
    return f"case when {value} is not null then (hash({value}) & {2**32 - 1})::uinteger end"


#: What single values tell of the lists, and of parts of themselves.
_LOOKS = {
    "has_first_forms": "coalesce(len(first_forms) > 1 or first_forms[1] <> first_std, false)",
    "has_last_forms": "coalesce(len(last_forms) > 1 or last_forms[1] <> last_std, false)",
    "has_place": "addr_keys is not null or zips is not null or city is not null",
    "has_places": "coalesce(len(addr_keys) > 1, false) or coalesce(len(bldg_keys) > 1, false) "
    "or coalesce(len(street_keys) > 1, false) or coalesce(len(zips) > 1, false)",
    "key_addr": _key("addr_keys[1]"),
    "key_bldg": _key("bldg_keys[1]"),
    "key_street": _key("street_keys[1]"),
    "key_zip": _key("zips[1]"),
    "key_year": "case when length(dob) = 10 then try_cast(left(dob, 4) as smallint) end",
    "key_month": _key("case when length(dob) = 10 then substr(dob, 6, 2) end"),
    "key_day": _key("case when length(dob) = 10 then substr(dob, 9, 2) end"),
    "key_ssn_head": _key("left(ssn, 4)"),
    "key_ssn_tail": _key("right(ssn, 3)"),
    "key_id_head": _key("left(medicaid_id, 4)"),
    "key_id_tail": _key("right(medicaid_id, 3)"),
}


def _opinion(comparison: Comparison) -> str:
    """SQL for what a pair's single values say of ``comparison``: a level, or the number of a glance."""
    if not comparison.glances:
        return level_sql(comparison)
    whens = " ".join(f"when {g.condition} then {i}" for i, g in enumerate(comparison.glances))
    return f"(case {whens} end)::tinyint"


def _most_sql(mixture: Mixture) -> str:
    """SQL for the most that a pair can weigh, from its opinions ``q_*`` and the frequencies of agreeing names."""
    prior = max(mixture.match_share, 1e-12)
    terms = [number(float(np.log2(prior / (1 - prior))))]
    for name in mixture.comparisons:
        comparison = BY_NAME[name]
        weights = [*log2_ratios(mixture.m[name], mixture.u[name]), 0.0]  # the last is that of not known: -1
        if not comparison.glances:
            terms.append(lookup(f"q_{name}", weights[:-1]))
            continue
        best = [max(weights[i] for i in glance.levels) for glance in comparison.glances]
        terms.append(lookup(f"q_{name}", best))
        position = FREQUENCY_LEVEL[name]
        if position is None:
            continue
        frequency = FREQUENCY_COLUMN[name]
        rare = f"log2({number(mixture.u[name][position])} / greatest({frequency}, {MIN_FREQUENCY}))"
        sure = [str(i) for i, g in enumerate(comparison.glances) if g.levels == (position,)]
        maybe = [str(i) for i, g in enumerate(comparison.glances) if position in g.levels and len(g.levels) > 1]
        for positions, value in ((sure, rare), (maybe, f"greatest({rare}, 0)")):
            if positions:
                held = f"q_{name} in ({', '.join(positions)}) and {frequency} is not null"
                terms.append(f"(case when {held} then {value} else 0e0 end)")
    return " + ".join(terms)


def keep_possible(con: duckdb.DuckDBPyConnection, mixtures: dict[str, Mixture], pairs: str, floor: float) -> None:
    """Table ``kw_possible(rid_l, rid_r)``: the pairs of table ``pairs`` whose weight may reach ``floor``.

    Reads ``records`` and the tables of name frequencies of :class:`linkage.person.scoring.Scorer`.
    """
    names = {n for m in mixtures.values() for n in m.comparisons}
    used = [c for c in BY_NAME.values() if c.name in names]
    opinions = {c.name: _opinion(c) for c in used}
    text = " ".join(opinions.values())
    columns = [c for c in SINGLE_VALUES if f"{c}_l" in text]
    values = {c: f"case when r.{c} is not null then hash(r.{c}) end" if c in _ONLY_SAME else f"r.{c}" for c in columns}
    values |= {c: sql for c, sql in _LOOKS.items() if f"{c}_l" in text}
    chosen = ", ".join(f"{sql} as {c}" for c, sql in values.items())
    con.execute(
        f"create or replace temp table kw_narrow as select rid, is_child, tf_first_std as tf_first, "
        f"tf_last_std as tf_last, {chosen} from records r "
        "left join kw_tf_first_std using (first_std) left join kw_tf_last_std using (last_std)"
    )
    sides = ", ".join(f"l.{c} as {c}_l, r.{c} as {c}_r" for c in values)
    most = f"case when is_child_pair then {_most_sql(mixtures['child'])} else {_most_sql(mixtures['adult'])} end"
    con.execute(f"""
    create or replace temp table kw_possible as
    select rid_l, rid_r from (
        select rid_l, rid_r, is_child_pair, tf_first, tf_last,
            {", ".join(f"{sql} as q_{name}" for name, sql in opinions.items())}
        from (select p.rid_l, p.rid_r, l.is_child or r.is_child as is_child_pair, l.tf_first, l.tf_last, {sides}
              from {pairs} p join kw_narrow l on l.rid = p.rid_l join kw_narrow r on r.rid = p.rid_r))
    -- Sums of fractions in another order may differ in the last digits.
    where {most} >= {floor} - 1e-6
    """)
    con.execute("drop table kw_narrow")
