"""From weighed pairs to people, without breaking what is known.

Pairs are joined strongest first; joining two groups adds up all the evidence between them, also the evidence against
(greedy additive edge contraction for correlation clustering, Keuper and others 2015), so that a chain of half-good
links does not tie two people together. Where somebody cannot be of two groups, the one a pair speaks for more surely is
heard first. Statements of the sources and reviewers come first (must), and are never overruled (cannot); a source that
vouches for having no duplicates gives a person at most one record. What could as well be the one as the other of two
people is left alone.

The result depends on pairs and constraints only, never on their order (but for musts that cannot all hold), and each
connected component is decided by itself: the ground for incremental nights.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: One pair may not speak louder than this, for or against, when groups are compared.
MOST, LEAST = 14.0, -10.0


#: Somebody who could be either of two people that are surely two is neither, unless the mean pair with one of them
#: weighs this much more (log2 odds).
TOSS_UP = 1.0


@dataclass
class Clustering:
    """``label``: for each node the smallest node index of its cluster. ``refused``: edges at or above the threshold
    whose ends stayed apart because of a constraint (indices into the edge arrays). ``contradictions``: must-link pairs
    that a cannot-link forbids."""

    label: Ints
    refused: list[int] = field(default_factory=list)
    contradictions: list[tuple[int, int]] = field(default_factory=list)


def _components(n: int, left: Ints, right: Ints) -> Ints:
    graph = coo_matrix((np.ones(len(left), dtype=np.int8), (left, right)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def cluster(
    n: int,
    left: Ints,
    right: Ints,
    weight: Floats,
    join: float,
    source: Ints,
    must: Ints,
    cannot: Ints,
    apart: Ints,
    held: NDArray[np.bool_] | None = None,
    bonus: float = 0.0,
) -> Clustering:
    """Cluster ``n`` nodes.

    ``left``, ``right``, ``weight``: edges in log2 odds, each pair once. Nodes must be numbered in the order of their
    keys: ties are broken by number. ``source``: for each node the number of its duplicate-free source, or -1.
    ``must``, ``cannot``: pairs of nodes, shape (k, 2), the smaller first; a must that cannot hold beside those before
    it yields. ``apart``: the same, of pairs that are kept apart unless a must says otherwise. ``held``: edges whose
    ends were together before; each weighs ``bonus`` more.
    """
    held = np.zeros(len(weight), dtype=np.bool_) if held is None else held
    strong = weight + bonus * held >= join
    component = _components(n, np.concatenate([left[strong], must[:, 0]]), np.concatenate([right[strong], must[:, 1]]))
    size = np.bincount(component, minlength=component.max() + 1 if n else 0)
    agreeing = np.bincount(component[left[strong]], minlength=len(size))
    # A component needs a decision unless every pair in it agrees and no rule could object.
    simple = agreeing == size * (size - 1) // 2
    # Or unless all that disagrees in it weighs less than the weakest pair that ties it together: however it is cut in
    # two, one such pair at least is cut. The margin is for sums in another order.
    at, value = component[left], np.clip(weight - join, LEAST, MOST)
    ties = value >= 0
    weakest = np.full(len(size), np.inf)
    np.minimum.at(weakest, at[ties], value[ties])
    odd = ~ties & (at == component[right])
    against = np.bincount(at[odd], -value[odd], minlength=len(size))
    agrees = weakest > against + 1e-9
    agrees[at[strong & ~ties]] = False  # what was held together is decided twice
    simple |= agrees
    unique = source >= 0
    if unique.any():
        key = component[unique] * (int(source.max()) + 1) + source[unique]
        values, counts = np.unique(key, return_counts=True)
        simple[values[counts > 1] // (int(source.max()) + 1)] = False
    cannot, apart = (pairs[component[pairs[:, 0]] == component[pairs[:, 1]]] for pairs in (cannot, apart))
    for pairs in (must, cannot, apart):
        simple[component[pairs[:, 0]]] = False
    first = np.full(len(size), n, dtype=np.int64)
    np.minimum.at(first, component, np.arange(n, dtype=np.int64))
    result = Clustering(first[component])
    undecided = ~simple & (size > 1)
    own = np.flatnonzero(undecided)
    nodes = np.flatnonzero(undecided[component])
    edges = np.flatnonzero(undecided[component[left]] & (component[left] == component[right]))
    node_groups = _grouped(nodes, component[nodes], own)
    edge_groups = _grouped(edges, component[left[edges]], own)
    said = [_grouped(pairs, component[pairs[:, 0]], own) for pairs in (must, cannot, apart)]
    for group, ids, *rules in zip(node_groups, edge_groups, *said, strict=True):
        arrays = (group, source[group], left[ids], right[ids], weight[ids], *rules)
        given = [x.tobytes() for x in arrays]
        labels, refused, contradictions = _decide(join, 0.0, b"", *given)
        result.label[group] = labels
        kept = held[ids]
        # What the evidence alone says again needs no bonus. So the same evidence never changes anything.
        if bonus and np.any(kept != (result.label[left[ids]] == result.label[right[ids]])):
            labels, refused, contradictions = _decide(join, bonus, kept.tobytes(), *given)
            result.label[group] = labels
        result.refused += ids[refused].tolist()
        result.contradictions += contradictions
    return result


def _grouped(rows: Ints, component: Ints, wanted: Ints) -> list[Ints]:
    """The ``rows`` of each ``wanted`` component, in the order they have."""
    order = np.argsort(component, kind="stable")
    starts, ends = np.searchsorted(component[order], wanted), np.searchsorted(component[order], wanted, side="right")
    return [rows[order[start:end]] for start, end in zip(starts, ends, strict=True)]


# A night clusters several times, and most components are the same each time: the pairs relatives raise are few.
@lru_cache(maxsize=1 << 15)
def _decide(
    join: float,
    bonus: float,
    held: bytes,
    group: bytes,
    source: bytes,
    left: bytes,
    right: bytes,
    weight: bytes,
    must: bytes,
    cannot: bytes,
    apart: bytes,
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Cluster one component, given as the bytes of its arrays.

    Returns the label of each node, the positions of the edges that were refused, and the contradictions.
    """
    nodes, a_of, b_of = (np.frombuffer(x, dtype=np.int64).tolist() for x in (group, left, right))
    w_of = np.frombuffer(weight, dtype=np.float64).tolist()
    held_of = np.frombuffer(held, dtype=np.bool_).tolist() if held else [False] * len(w_of)
    musts, cannots, aparts = (np.frombuffer(x, dtype=np.int64).reshape(-1, 2).tolist() for x in (must, cannot, apart))
    contradictions: list[tuple[int, int]] = []
    parent = {v: v for v in nodes}

    def find(v: int) -> int:
        while parent[v] != v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    own = np.frombuffer(source, dtype=np.int64).tolist()
    sources: dict[int, set[int]] = {v: ({s} if s >= 0 else set()) for v, s in zip(nodes, own, strict=True)}
    forbidden: dict[int, set[int]] = {v: set() for v in nodes}
    size = dict.fromkeys(nodes, 1)
    for a, b in cannots:
        forbidden[a].add(b)
        forbidden[b].add(a)
    near: dict[int, dict[int, float]] = {v: {} for v in nodes}
    # The same as loud as it can be, sum and best pair: two numbers shared are more than a name.
    loud: dict[int, dict[int, tuple[float, float]]] = {v: {} for v in nodes}
    for a, b, w, is_held in zip(a_of, b_of, w_of, held_of, strict=True):
        loud[a][b] = loud[b][a] = (w - join, w)
        # The bonus comes on top of the most a pair may say: what is sure differs from what is surer.
        near[a][b] = near[b][a] = min(max(w - join, LEAST), MOST) + bonus * is_held

    def unite(a: int, b: int) -> int:
        keep, gone = (a, b) if a < b else (b, a)
        parent[gone] = keep
        size[keep] += size.pop(gone)
        sources[keep] |= sources.pop(gone)
        for other in forbidden.pop(gone):
            forbidden[other].discard(gone)
            forbidden[other].add(keep)
            forbidden[keep].add(other)
        mine = near[keep]
        mine.pop(gone, None)
        for other, value in near.pop(gone).items():
            if other == keep:
                continue
            del near[other][gone]
            near[other][keep] = mine[other] = mine.get(other, 0.0) + value
        mine_loud = loud[keep]
        mine_loud.pop(gone, None)
        for other, (total, best) in loud.pop(gone).items():
            if other == keep:
                continue
            del loud[other][gone]
            so_far, best_so_far = mine_loud.get(other, (0.0, best))
            loud[other][keep] = mine_loud[other] = (so_far + total, max(best_so_far, best))
        return keep

    for a, b in musts:
        x, y = find(a), find(b)
        if x == y:
            continue
        if y in forbidden[x]:
            contradictions.append((a, b))
            continue
        unite(x, y)
    for a, b in aparts:
        x, y = find(a), find(b)
        if x != y:
            forbidden[x].add(y)
            forbidden[y].add(x)

    def clash(a: int, b: int) -> bool:
        return b in forbidden[a] or bool(sources[a] & sources[b])

    def mean(a: int, b: int) -> float:
        """The weight of the mean pair between two groups."""
        return loud[a][b][0] / (size[a] * size[b])

    def is_toss_up(a: int, b: int) -> bool:
        """Is there somebody else whom ``a`` is as likely to be as ``b``, and who is said not to be ``b``?"""
        others = [other for other in forbidden[b] if other in near[a] and not clash(a, other)]
        return bool(others) and max(mean(a, other) for other in others) > mean(a, b) - TOSS_UP

    def surest(a: int, b: int) -> float:
        """The weight of the best pair between two groups."""
        return loud[a][b][1]

    def comes_first(a: int, b: int) -> list[float]:
        """What ties ``a`` to others it cannot share with ``b``, and to whom a clearly surer pair ties it: two middling
        pairs add up to more than one sure one, but the sure one is heard first."""
        rivals = [c for c, value in near[a].items() if c != b and value >= 0 and clash(b, c) and not clash(a, c)]
        least = surest(a, b) + TOSS_UP if rivals else 0.0
        return [near[a][c] for c in rivals if surest(a, c) > least]

    heap = [(-v, False, a, b, v) for a, nbrs in near.items() for b, v in nbrs.items() if a < b and v >= 0]
    heapq.heapify(heap)
    while heap:
        _, has_waited, a, b, value = heapq.heappop(heap)
        if parent[a] != a or parent[b] != b or near[a].get(b) != value:
            continue
        if clash(a, b):
            del near[a][b]
            del near[b][a]
            continue
        if is_toss_up(a, b) or is_toss_up(b, a):
            continue
        if not has_waited and (before := comes_first(a, b) + comes_first(b, a)):
            heapq.heappush(heap, (-min(before), True, a, b, value))
            continue
        keep = unite(a, b)
        for other, value in near[keep].items():
            if value >= 0:
                heapq.heappush(heap, (-value, False, min(keep, other), max(keep, other), value))
    refused = [
        position
        for position, (a, b, w, is_held) in enumerate(zip(a_of, b_of, w_of, held_of, strict=True))
        if w + bonus * is_held >= join and find(a) != find(b)
    ]
    return [find(v) for v in nodes], refused, contradictions
