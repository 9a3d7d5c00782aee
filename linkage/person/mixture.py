"""What agreement means, learned without labels.

Every compared pair is either the same person, two unrelated people, two relatives, or twins (any two people born
together into one household). Plain record linkage knows only the first two, and so takes a father and son of one name
at one address for one man. The four kinds are separated by expectation maximisation (Fellegi and Sunter's model with
more than two latent classes) on the counts of comparison patterns, so that the cost does not depend on the number of
pairs. ``m`` (same person) and ``u`` (unrelated) go into the Splink model; the two other kinds stay beside it, and
lower a pair's weight in :mod:`linkage.person.scoring`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkage.person.comparisons import BY_NAME, Comparison

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: No single agreement may count for more than this against chance: a number can be borrowed, copied or mistyped.
MIN_U = 2e-6
#: The most pairs of one person that may differ in this. Where more seem to, no person was found but a household,
#: or all who have a name or a birthday in common: in a file with few true pairs there are more of those.
MOST_UNLIKE = {"given_name": 0.3, "surname": 0.45, "birth_date": 0.3, "ssn": 0.3, "medicaid_id": 0.3}
#: Where relatives and twins are expected to agree before the data was seen, as shares per level (strongest first).
_KIN_START: dict[str, dict[str, list[float]]] = {
    "relatives": {
        "given_name": [0.02, 0.02, 0.02, 0.002, 0.02, 0.10, 0.818],
        "surname": [0.76, 0.04, 0.02, 0.02, 0.16],
        "birth_date": [0.004, 0.001, 0.001, 0.002, 0.03, 0.062, 0.42, 0.48],
        "address": [0.70, 0.05, 0.03, 0.05, 0.07, 0.04, 0.06],
        "ssn": [0.01, 0.01, 0.001, 0.979],
        "medicaid_id": [0.02, 0.01, 0.97],
        "suffix": [0.3, 0.7],
    },
    "twins": {
        "given_name": [0.02, 0.01, 0.01, 0.001, 0.03, 0.16, 0.769],
        "surname": [0.93, 0.02, 0.02, 0.01, 0.02],
        "birth_date": [0.94, 0.005, 0.005, 0.03, 0.01, 0.005, 0.002, 0.003],
        "address": [0.70, 0.05, 0.03, 0.05, 0.07, 0.04, 0.06],
        "ssn": [0.01, 0.02, 0.001, 0.969],
        "medicaid_id": [0.02, 0.02, 0.96],
        "mother": [0.9, 0.04, 0.03, 0.03],
    },
}
#: What makes relatives different people is not learned: else the kind would come to mean "one person, badly written".
_KIN_FIXED = frozenset({"given_name", "birth_date", "ssn", "medicaid_id", "suffix"})


@dataclass
class Kind:
    """One kind of pair that is not one person: its share of all pairs and its level shares per comparison."""

    share: float
    levels: dict[str, list[float]]


@dataclass
class Mixture:
    """A trained model: level probabilities from strongest to else, and the share of each kind among all pairs."""

    comparisons: list[str]
    match_share: float
    m: dict[str, list[float]]
    u: dict[str, list[float]]
    kin: dict[str, Kind] = field(default_factory=dict)
    rounds: int = 0
    pairs: int = 0
    expected_matches: float = 0.0
    #: False where the pairs showed no person (:data:`MOST_UNLIKE`), and ``m`` is what is usual elsewhere.
    is_learned: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the model card."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Mixture:
        """The inverse of :meth:`as_dict`."""
        return cls(**{**data, "kin": {name: Kind(**kind) for name, kind in data["kin"].items()}})


def _log_likelihood(positions: Ints, names: list[str], levels: dict[str, list[float]]) -> Floats:
    """log P(pattern) under one kind. ``positions`` is patterns x comparisons; -1 where nothing is known."""
    out = np.zeros(len(positions))
    for column, name in enumerate(names):
        table = np.log(np.append(np.maximum(levels[name], 1e-12), 1.0))
        out += table[positions[:, column]]  # -1 reads the appended 1.0: no evidence
    return out


def _shares(
    positions: Ints, weight: Floats, size: int, column: int, start: list[float], strength: float
) -> list[float]:
    """Level shares of one comparison under one kind: weighted counts plus ``strength`` pseudo-pairs at ``start``."""
    known = positions[:, column] >= 0
    counts = np.bincount(positions[known, column], weights=weight[known], minlength=size)
    prior = np.asarray(start) / np.sum(start) * strength
    out = (counts + prior) / (counts.sum() + strength)
    return [float(x) for x in out]


def start_of(comparison: Comparison) -> list[float]:
    """Level shares of true pairs before any data was seen."""
    return [level.start for level in comparison.all_levels]


def kin_start(kind: str, comparison: Comparison) -> list[float] | None:
    """Level shares of a kind of relatives before any data was seen; None where relatives are like strangers."""
    return _KIN_START[kind].get(comparison.name)


def fit(
    comparisons: list[Comparison],
    pairs: tuple[Ints, Floats],
    random_pairs: tuple[Ints, Floats],
    total_pairs: float,
) -> Mixture:
    """Fit the mixture (:func:`_fit`). Where what it takes for one person is none, ``m`` stays what is usual."""
    learned = _fit(comparisons, pairs, random_pairs, total_pairs, True)
    generation = next(i for i, level in enumerate(BY_NAME["birth_date"].all_levels) if "generation" in level.words)
    for name, most in MOST_UNLIKE.items():
        if sum(learned.m.get(name, [])[generation if name == "birth_date" else -1 :]) > most:
            return _fit(comparisons, pairs, random_pairs, total_pairs, False)
    return learned


def _fit(
    comparisons: list[Comparison],
    pairs: tuple[Ints, Floats],
    random_pairs: tuple[Ints, Floats],
    total_pairs: float,
    is_learned: bool,
    max_rounds: int = 200,
) -> Mixture:
    """Expectation maximisation; ``m`` is learned only if ``is_learned``.

    ``pairs`` and ``random_pairs`` are (patterns x comparisons level positions, count of each pattern) of the blocked
    pairs and of a random sample; ``total_pairs`` is the number of pairs there are in all. Blocked pairs are taken to
    hold practically all matches; pairs outside are strangers. Deterministic.
    """
    names = [c.name for c in comparisons]
    positions, counts = pairs
    sampled, sampled_counts = random_pairs
    sizes = [len(c.all_levels) for c in comparisons]
    m = {c.name: start_of(c) for c in comparisons}
    m = {name: [x / sum(values) for x in values] for name, values in m.items()}
    start = {name: list(values) for name, values in m.items()}

    def strangers(weight: Floats) -> dict[str, list[float]]:
        found = {}
        for i, c in enumerate(comparisons):
            share = _shares(sampled, weight, sizes[i], i, [1.0] * sizes[i], 0.2)
            share = [max(x, MIN_U) for x in share]
            found[c.name] = [x / sum(share) for x in share]
        return found

    u = strangers(sampled_counts)
    kin_levels = {kind: {c.name: kin_start(kind, c) or list(u[c.name]) for c in comparisons} for kind in _KIN_START}
    kin_begin = {kind: {n: list(v) for n, v in levels.items()} for kind, levels in kin_levels.items()}
    match_share = max(counts.sum() * 0.1, 1.0) / total_pairs
    kin_share = {"relatives": match_share, "twins": match_share / 20}
    before = -np.inf
    rounds = 0
    responsible = np.zeros(len(positions))
    for rounds in range(1, max_rounds + 1):  # noqa: B007
        log_kinds = [
            np.log(match_share) + _log_likelihood(positions, names, m),
            np.log(max(1 - match_share - sum(kin_share.values()), 1e-9)) + _log_likelihood(positions, names, u),
            *(np.log(kin_share[k]) + _log_likelihood(positions, names, kin_levels[k]) for k in _KIN_START),
        ]
        stacked = np.stack(log_kinds)
        top = stacked.max(axis=0)
        total = top + np.log(np.exp(stacked - top).sum(axis=0))
        responsibility = np.exp(stacked - total) * counts
        responsible = responsibility[0]
        mass = float(responsible.sum())
        match_share = max(mass, 0.5) / total_pairs
        for i, c in enumerate(comparisons if is_learned else []):
            m[c.name] = _shares(positions, responsible, sizes[i], i, start[c.name], max(5.0, 0.01 * mass))
        for position, kind in enumerate(_KIN_START):
            weight = responsibility[2 + position]
            kin_share[kind] = max(float(weight.sum()), 0.01) / total_pairs
            for i, c in enumerate(comparisons):
                if c.name not in _KIN_FIXED:
                    kin_levels[kind][c.name] = _shares(
                        positions, weight, sizes[i], i, kin_begin[kind][c.name], max(50.0, 0.05 * float(weight.sum()))
                    )
        # The random sample holds a few true pairs; without them it shows strangers.
        logs = np.stack(
            [
                np.log(match_share) + _log_likelihood(sampled, names, m),
                np.log(max(1 - match_share - sum(kin_share.values()), 1e-9)) + _log_likelihood(sampled, names, u),
                *(np.log(kin_share[k]) + _log_likelihood(sampled, names, kin_levels[k]) for k in _KIN_START),
            ]
        )
        peak = logs.max(axis=0)
        stranger = np.exp(logs[1] - peak) / np.exp(logs - peak).sum(axis=0)
        u = strangers(sampled_counts * stranger)
        now = float((total * counts).sum())
        if abs(now - before) < 1e-7 * abs(now):
            break
        before = now
    return Mixture(
        comparisons=names,
        match_share=match_share,
        m=m,
        u=u,
        kin={k: Kind(kin_share[k], kin_levels[k]) for k in _KIN_START},
        rounds=rounds,
        pairs=int(counts.sum()),
        expected_matches=float(responsible.sum()),
        is_learned=is_learned,
    )


def kin_log_odds(mixture: Mixture, positions: Ints) -> Floats:
    """log2 of (relatives or twins : strangers) for each pattern, before name frequencies. Shape: patterns."""
    names = mixture.comparisons
    stranger_share = max(1 - mixture.match_share - sum(k.share for k in mixture.kin.values()), 1e-9)
    base = np.log(stranger_share) + _log_likelihood(positions, names, mixture.u)
    kin = [np.log(max(k.share, 1e-15)) + _log_likelihood(positions, names, k.levels) for k in mixture.kin.values()]
    if not kin:
        return np.full(len(positions), -60.0)
    joined = np.logaddexp.reduce(np.stack(kin), axis=0)
    out: Floats = (joined - base) / np.log(2)
    return out


def fit_pool(
    mixture: Mixture, positions: Ints, counts: Floats, max_rounds: int = 100
) -> tuple[float, dict[str, list[float]]]:
    """Within a pool of pairs that share a linked relative: the share of true pairs, and how the others look.

    The others are siblings (or a mother and a father), nothing like strangers, so their level shares are learned
    inside the pool, starting from the relatives of the model; ``m`` is kept.
    """
    names = mixture.comparisons
    others = {n: list(v) for n, v in mixture.kin["relatives"].levels.items()}
    begin = {n: list(v) for n, v in others.items()}
    sizes = [len(BY_NAME[n].all_levels) for n in names]
    share = 0.5
    log_m = _log_likelihood(positions, names, mixture.m)
    total = float(counts.sum())
    for _ in range(max_rounds):
        a = np.log(share) + log_m
        b = np.log(1 - share) + _log_likelihood(positions, names, others)
        match = np.exp(a - np.logaddexp(a, b)) * counts
        new_share = float(min(max((match.sum() + 1) / (total + 2), 0.01), 0.99))
        rest = counts - match
        for i, n in enumerate(names):
            others[n] = _shares(positions, rest, sizes[i], i, begin[n], max(20.0, 0.02 * float(rest.sum())))
        if abs(new_share - share) < 1e-6:
            break
        share = new_share
    return share, others


def pool_weight(mixture: Mixture, share: float, others: dict[str, list[float]], positions: Ints) -> Floats:
    """log2 odds of "one person" for patterns of a pool fitted by :func:`fit_pool`."""
    names = mixture.comparisons
    a = np.log(share) + _log_likelihood(positions, names, mixture.m)
    b = np.log(1 - share) + _log_likelihood(positions, names, others)
    out: Floats = (a - b) / np.log(2)
    return out
