"""Intervals for the shares, sums and ratios of the quality report; 95 % throughout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; ``n`` is what it rests on."""

    value: float
    low: float
    high: float
    n: int


def wilson(hits: int, n: int) -> Estimate | None:
    """A share and its score interval (Wilson 1927); None of nothing."""
    if n <= 0:
        return None
    p = hits / n
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return Estimate(p, max(0.0, min(middle - half, p)), min(1.0, max(middle + half, p)), n)


def stratified(strata: Sequence[tuple[int, int, int]]) -> Estimate | None:
    """The number of hits in all strata from a random sample of each: (size, hits in the sample, sample size).

    Wilson intervals of the strata are put together by the square-and-add method (Zou and Donner 2008; for strata Yan
    and Su 2010). A stratum looked at whole is known. None when a stratum that is not empty was not looked at.
    """
    total = below = above = 0.0
    seen = 0
    for size, hits, n in strata:
        if size == 0:
            continue
        share = wilson(hits, n)
        if share is None:
            return None
        total += size * share.value
        seen += n
        if n < size:
            below += (size * (share.value - share.low)) ** 2
            above += (size * (share.high - share.value)) ** 2
    return Estimate(total, max(0.0, total - math.sqrt(below)), total + math.sqrt(above), seen)


def share_of(part: Estimate, rest: Estimate) -> Estimate | None:
    """``part / (part + rest)`` for two independent sums.

    From the interval of the ratio rest : part by the same method (Donner and Zou 2012). None when nothing is there.
    """
    if part.value <= 0:
        return None
    a, b = rest, part
    product = a.value * b.value

    def bound(own: float, other: float, sign: int) -> float:
        divisor = other * (2 * b.value - other)
        if divisor <= 0:
            return 0.0 if sign < 0 else math.inf
        inside = product**2 - own * other * (2 * a.value - own) * (2 * b.value - other)
        return max(0.0, (product + sign * math.sqrt(max(0.0, inside))) / divisor)

    low, high = bound(a.low, b.high, -1), bound(a.high, b.low, 1)
    value = part.value / (part.value + rest.value)
    return Estimate(value, min(1 / (1 + high), value), max(1 / (1 + low), value), part.n + rest.n)


def ratio(hits_a: int, n_a: int, hits_b: int, n_b: int) -> Estimate | None:
    """Share a : share b with the interval on the logarithm (Katz and others 1978); None where a share is 0."""
    if min(hits_a, hits_b) <= 0 or min(n_a, n_b) <= 0:
        return None
    value = (hits_a / n_a) / (hits_b / n_b)
    error = math.sqrt(max(0.0, 1 / hits_a - 1 / n_a + 1 / hits_b - 1 / n_b))
    return Estimate(value, value * math.exp(-Z * error), value * math.exp(Z * error), n_a + n_b)


def chapman(first: int, second: int, both: int) -> Estimate:
    """How many there are in all, from two independent ways of finding them (Chapman 1951).

    The interval is on the logarithm of those missed (Burnham and others 1987), so it never falls below those found.
    """
    found = first + second - both
    total = (first + 1) * (second + 1) / (both + 1) - 1
    missed = max(total - found, 0.0)
    variance = (first + 1) * (second + 1) * (first - both) * (second - both) / ((both + 1) ** 2 * (both + 2))
    if missed <= 0 or variance <= 0:
        return Estimate(total, total, total, found)
    spread = math.exp(Z * math.sqrt(math.log(1 + variance / missed**2)))
    return Estimate(total, found + missed / spread, found + missed * spread, found)


def kappa(both_same: int, only_first: int, only_second: int, both_different: int) -> float | None:
    """Agreement of two reviewers beyond chance (Cohen 1960); None where chance alone would always agree."""
    n = both_same + only_first + only_second + both_different
    if n == 0:
        return None
    seen = (both_same + both_different) / n
    first, second = (both_same + only_first) / n, (both_same + only_second) / n
    chance = first * second + (1 - first) * (1 - second)
    return None if chance >= 1 else (seen - chance) / (1 - chance)
