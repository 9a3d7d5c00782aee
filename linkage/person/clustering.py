"""From weighed pairs to people, without breaking what is known.

Pairs are joined strongest first; joining two groups adds up all the evidence between them, also the evidence against
(greedy additive edge contraction for correlation clustering, Keuper and others 2015), so that a chain of half-good
links does not tie two people together. Statements of the sources and reviewers come first (must), and are never
overruled (cannot); a source that vouches for having no duplicates gives a person at most one record.

The result depends on pairs and constraints only, never on their order, and each connected component is decided by
itself: the ground for incremental nights.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: One pair may not speak louder than this, for or against, when groups are compared.
MOST, LEAST = 14.0, -10.0


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
    must: list[tuple[int, int]],
    cannot: list[tuple[int, int]],
) -> Clustering:
    """Cluster ``n`` nodes.

    ``left``, ``right``, ``weight``: edges in log2 odds, each pair once. Nodes must be numbered in the order of their
    keys: ties are broken by number. ``source``: for each node the number of its duplicate-free source, or -1.
    """
    must_l = np.array([a for a, _ in must], dtype=np.int64)
    must_r = np.array([b for _, b in must], dtype=np.int64)
    strong = weight >= join
    component = _components(n, np.concatenate([left[strong], must_l]), np.concatenate([right[strong], must_r]))
    inside = component[left] == component[right]
    size = np.bincount(component, minlength=component.max() + 1 if n else 0)
    agreeing = np.bincount(component[left[strong]], minlength=len(size))
    # A component needs a decision unless every pair in it agrees and no rule could object.
    simple = agreeing == size * (size - 1) // 2
    unique = source >= 0
    if unique.any():
        key = component[unique] * (int(source.max()) + 1) + source[unique]
        values, counts = np.unique(key, return_counts=True)
        simple[values[counts > 1] // (int(source.max()) + 1)] = False
    for a, b in [*must, *cannot]:
        if component[a] == component[b]:
            simple[component[a]] = False
    first = np.full(len(size), n, dtype=np.int64)
    np.minimum.at(first, component, np.arange(n, dtype=np.int64))
    label = first[component]
    result = Clustering(label)
    undecided = ~simple & (size > 1)
    if not undecided.any():
        return result
    nodes = np.flatnonzero(undecided[component])
    order = np.argsort(component[nodes], kind="stable")
    nodes = nodes[order]
    edge_ids = np.flatnonzero(inside & undecided[component[left]])
    edge_ids = edge_ids[np.argsort(component[left[edge_ids]], kind="stable")]
    node_groups = np.split(nodes, np.flatnonzero(np.diff(component[nodes])) + 1)
    edge_component = component[left[edge_ids]]
    starts = np.searchsorted(edge_component, [component[g[0]] for g in node_groups], side="left")
    ends = np.searchsorted(edge_component, [component[g[0]] for g in node_groups], side="right")
    musts: dict[int, list[tuple[int, int]]] = {}
    cannots: dict[int, list[tuple[int, int]]] = {}
    for pairs, store in ((must, musts), (cannot, cannots)):
        for a, b in pairs:
            if component[a] == component[b]:
                store.setdefault(int(component[a]), []).append((a, b))
    for group, start, end in zip(node_groups, starts, ends, strict=True):
        own = int(component[group[0]])
        ids = edge_ids[start:end]
        _decide(
            group.tolist(),
            left[ids].tolist(),
            right[ids].tolist(),
            weight[ids].tolist(),
            ids.tolist(),
            join,
            source,
            musts.get(own, []),
            cannots.get(own, []),
            result,
        )
    return result


def _decide(
    nodes: list[int],
    left: list[int],
    right: list[int],
    weight: list[float],
    ids: list[int],
    join: float,
    source: Ints,
    must: list[tuple[int, int]],
    cannot: list[tuple[int, int]],
    result: Clustering,
) -> None:
    """Cluster one component; writes its labels into ``result``."""
    parent = {v: v for v in nodes}

    def find(v: int) -> int:
        while parent[v] != v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    sources: dict[int, set[int]] = {v: ({int(source[v])} if source[v] >= 0 else set()) for v in nodes}
    forbidden: dict[int, set[int]] = {v: set() for v in nodes}
    for a, b in cannot:
        forbidden[a].add(b)
        forbidden[b].add(a)
    near: dict[int, dict[int, float]] = {v: {} for v in nodes}
    for a, b, w in zip(left, right, weight, strict=True):
        value = min(max(w - join, LEAST), MOST)
        near[a][b] = near[b][a] = value

    def unite(a: int, b: int) -> int:
        keep, gone = (a, b) if a < b else (b, a)
        parent[gone] = keep
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
        return keep

    for a, b in sorted((min(p), max(p)) for p in must):
        x, y = find(a), find(b)
        if x == y:
            continue
        if y in forbidden[x]:
            result.contradictions.append((a, b))
            continue
        unite(x, y)
    heap = [(-w, a, b) for a, nbrs in near.items() for b, w in nbrs.items() if a < b and w >= 0]
    heapq.heapify(heap)
    while heap:
        minus, a, b = heapq.heappop(heap)
        if parent[a] != a or parent[b] != b or near[a].get(b) != -minus:
            continue
        if b in forbidden[a] or sources[a] & sources[b]:
            del near[a][b]
            del near[b][a]
            continue
        keep = unite(a, b)
        for other, value in near[keep].items():
            if value >= 0:
                heapq.heappush(heap, (-value, min(keep, other), max(keep, other)))
    for v in nodes:
        result.label[v] = find(v)
    for a, b, w, i in zip(left, right, weight, ids, strict=True):
        if w >= join and result.label[a] != result.label[b]:
            result.refused.append(i)
