"""The weight of a pair as SQL: from the levels of its comparisons and the frequencies of its names."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from linkage.person.comparisons import BY_NAME, Comparison
from linkage.person.mixture import Mixture

#: The comparison and level whose weight depends on how frequent the agreeing value is, and the column that says it.
FREQUENCY_LEVEL = {
    name: next((i for i, level in enumerate(c.levels) if level.frequency_of), None) for name, c in BY_NAME.items()
}
FREQUENCY_COLUMN = {"given_name": "tf_first", "surname": "tf_last"}
#: Two people sharing a name held by one record in a million must not outweigh everything else.
MIN_FREQUENCY = 1e-5


def level_sql(comparison: Comparison) -> str:
    """SQL giving the level position of a pair: 0 strongest, -1 not known."""
    whens = " ".join(f"when {level.condition} then {i}" for i, level in enumerate(comparison.levels))
    return f"(case when {comparison.null_when} then -1 {whens} else {len(comparison.levels)} end)::tinyint"


def number(value: float) -> str:
    """``value`` as an SQL double."""
    return f"{value:.17e}"  # with an exponent it is a double, not a decimal


def lookup(column: str, values: Iterable[float]) -> str:
    """SQL giving the value at the position in ``column``; 0 where there is none."""
    return f"(case {column} " + " ".join(f"when {i} then {number(v)}" for i, v in enumerate(values)) + " else 0e0 end)"


def log2_ratios(values: Iterable[float], by: Iterable[float]) -> list[float]:
    """log2 of each value by its counterpart."""
    return [float(np.log2(max(a, 1e-12) / b)) for a, b in zip(values, by, strict=True)]


def weight_sql(mixture: Mixture) -> str:
    """SQL for the weight of a pair from its levels ``g_*`` and frequencies ``tf_given_name``, ``tf_surname``."""
    prior = max(mixture.match_share, 1e-12)
    terms = [number(float(np.log2(prior / (1 - prior))))]
    for name in mixture.comparisons:
        terms.append(lookup(f"g_{name}", log2_ratios(mixture.m[name], mixture.u[name])))
        position = FREQUENCY_LEVEL[name]
        if position is not None:
            # greatest() passes over a NULL: without a frequency there is nothing to add.
            rare = f"log2({number(mixture.u[name][position])} / greatest(tf_{name}, {MIN_FREQUENCY}))"
            terms.append(f"(case when tf_{name} is null then 0e0 else {rare} end)")
    if not mixture.kin:
        return " + ".join(terms)
    strangers = max(1 - mixture.match_share - sum(k.share for k in mixture.kin.values()), 1e-9)
    kinds = []
    for kind in mixture.kin.values():
        parts = [number(float(np.log2(max(kind.share, 1e-15) / strangers)))]
        parts += [lookup(f"g_{n}", log2_ratios(kind.levels[n], mixture.u[n])) for n in mixture.comparisons]
        kinds.append(f"pow(2, least({' + '.join(parts)}, 200))")
    position = FREQUENCY_LEVEL["surname"]
    if "surname" in mixture.comparisons and position is not None:
        # Relatives share a rare surname as one person does.
        by = f"{number(mixture.u['surname'][position])} / greatest(tf_surname, {MIN_FREQUENCY})"
        rare = f"(case when tf_surname is null then 1e0 else {by} end)"
    else:
        rare = "1e0"
    return f"{' + '.join(terms)} - log2(1 + ({' + '.join(kinds)}) * {rare})"
