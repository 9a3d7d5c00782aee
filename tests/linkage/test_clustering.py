"""Clusters from edges and constraints, on graphs small enough to do by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.person.clustering import cluster


def run(
    n: int,
    edges: list[tuple[int, int, float]],
    source: list[int] | None = None,
    must: list[tuple[int, int]] | None = None,
    cannot: list[tuple[int, int]] | None = None,
    apart: list[tuple[int, int]] | None = None,
    before: list[int] | None = None,
) -> list[int]:
    found = cluster(
        n,
        np.array([a for a, _, _ in edges], dtype=np.int64),
        np.array([b for _, b, _ in edges], dtype=np.int64),
        np.array([w for _, _, w in edges], dtype=np.float64),
        0.0,
        np.array(source or [-1] * n, dtype=np.int64),
        np.array(must or [], dtype=np.int64).reshape(-1, 2),
        np.array(cannot or [], dtype=np.int64).reshape(-1, 2),
        np.array(apart or [], dtype=np.int64).reshape(-1, 2),
        np.array([before[a] == before[b] for a, b, _ in edges], dtype=np.bool_) if before else None,
        1.5 if before else 0.0,
    )
    return [int(x) for x in found.label]


def test_a_chain_is_cut_where_the_ends_say_no() -> None:
    assert run(3, [(0, 1, 8.0), (1, 2, 3.0), (0, 2, -6.0)]) == [0, 0, 2]


def test_a_chain_holds_when_the_ends_say_nothing() -> None:
    assert run(3, [(0, 1, 8.0), (1, 2, 3.0)]) == [0, 0, 0]


def test_a_source_without_duplicates_gives_a_person_one_record() -> None:
    assert run(3, [(0, 2, 9.0), (1, 2, 7.0)], source=[0, 0, -1]) == [0, 1, 0]


def test_one_sure_pair_is_heard_before_two_middling_ones() -> None:
    # Two namesakes, each in a source without duplicates (0 and 2) and in another (1 and 3): 3 agrees with 2 in all,
    # and a little with both records of the other.
    sure, middling = [(0, 1, 31.0), (2, 3, 31.0)], [(0, 2, 10.0), (0, 3, 10.0), (1, 2, 10.0), (1, 3, 10.0)]
    assert run(4, sure + middling, source=[0, -1, 0, -1]) == [0, 0, 2, 2]
    # Where nothing is surer, more evidence is.
    assert run(4, [(0, 1, 31.0), (2, 3, 10.0), *middling], source=[0, -1, 0, -1]) == [0, 0, 2, 0]


def test_a_must_link_joins_without_an_edge_and_counts_before_edges() -> None:
    assert run(3, [(0, 1, -5.0)], must=[(0, 1)]) == [0, 0, 2]


def test_a_cannot_link_is_never_overruled_not_even_through_a_third() -> None:
    assert run(3, [(0, 1, 9.0), (1, 2, 8.0)], cannot=[(0, 2)]) == [0, 0, 2]


def test_must_against_cannot_is_reported_and_not_obeyed() -> None:
    found = cluster(
        3,
        np.array([], dtype=np.int64),
        np.array([], dtype=np.int64),
        np.array([], dtype=np.float64),
        0.0,
        np.array([-1, -1, -1], dtype=np.int64),
        np.array([(0, 1), (1, 2)], dtype=np.int64),
        np.array([(0, 2)], dtype=np.int64),
        np.empty((0, 2), dtype=np.int64),
    )
    assert found.contradictions == [(1, 2)]
    assert [int(x) for x in found.label] == [0, 0, 2]


def test_of_musts_that_cannot_all_hold_the_last_yields() -> None:
    assert run(3, [], must=[(0, 1), (1, 2)], cannot=[(0, 2)]) == [0, 0, 2]
    assert run(3, [], must=[(1, 2), (0, 1)], cannot=[(0, 2)]) == [0, 1, 1]


def test_pairs_kept_apart_stay_apart_unless_a_must_says_otherwise() -> None:
    assert run(3, [(0, 1, 9.0), (1, 2, 5.0)], apart=[(0, 2)]) == [0, 0, 2]
    assert run(3, [(0, 1, 9.0), (1, 2, 5.0)], must=[(0, 2)], apart=[(0, 2)]) == [0, 0, 0]


def test_who_could_as_well_be_the_one_as_the_other_is_neither() -> None:
    # 0 and 1 are one mother, 2 is her daughter of the same name, 3 does not say when it was born.
    family = [(0, 1, 12.0), (0, 2, -1.0), (1, 2, -1.0), (0, 3, 7.0), (1, 3, 7.0)]
    assert run(4, [*family, (2, 3, 7.0)], apart=[(0, 2), (1, 2)]) == [0, 0, 2, 3]
    assert run(4, [*family, (2, 3, 6.5)], apart=[(0, 2), (1, 2)]) == [0, 0, 2, 3]
    assert run(4, [*family, (2, 3, 4.0)], apart=[(0, 2), (1, 2)]) == [0, 0, 2, 0], "she is three bits likelier"
    assert run(4, [*family, (2, 3, 7.0)]) == [0, 0, 0, 0], "nobody said that they are two"
    # Two numbers shared are more than a name, although no pair counts more than another when groups are joined.
    assert run(3, [(0, 1, 31.7), (0, 2, 17.6)], apart=[(1, 2)]) == [0, 0, 2]


def test_what_was_together_stays_a_little_longer() -> None:
    assert run(2, [(0, 1, -1.0)], before=[0, 0]) == [0, 0]
    assert run(2, [(0, 1, -1.0)], before=[0, 1]) == [0, 1]
    assert run(2, [(0, 1, -2.0)], before=[0, 0]) == [0, 1], "the bonus is 1.5"


def test_what_only_the_past_ties_together_is_weighed_against_all_that_speaks_against_it() -> None:
    # 2 was with 1: -1 + 1.5 for it, -2 from 0, with whom 1 surely is.
    assert run(3, [(0, 1, 5.0), (1, 2, -1.0), (0, 2, -2.0)], before=[0, 1, 1]) == [0, 0, 2]
    assert run(3, [(0, 1, 5.0), (1, 2, -1.0), (0, 2, -0.2)], before=[0, 1, 1]) == [0, 0, 0]


def test_equal_weights_are_decided_by_the_smaller_key() -> None:
    assert run(3, [(0, 2, 5.0), (1, 2, 5.0)], source=[0, 0, -1]) == [0, 1, 0]


graphs = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.dictionaries(
            st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] < p[1]),
            st.floats(-9, 30, allow_nan=False).map(lambda x: round(x, 2)),
            max_size=16,
        ),
        st.lists(st.integers(-1, 2), min_size=n, max_size=n),
        st.randoms(use_true_random=False),
    )
)


@settings(max_examples=150, deadline=None)
@given(graphs)
def test_the_order_of_edges_never_matters_and_sources_are_respected(case: tuple) -> None:  # type: ignore[type-arg]
    n, weights, source, random = case
    edges = [(a, b, w) for (a, b), w in weights.items()]
    first = run(n, edges, source)
    random.shuffle(edges)
    assert run(n, edges, source) == first
    for label in set(first):
        held = [source[i] for i in range(n) if first[i] == label and source[i] >= 0]
        assert len(held) == len(set(held))


@settings(max_examples=300, deadline=None)
@given(graphs, st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda p: p[0] < p[1]), max_size=3))
def test_the_same_evidence_gives_the_same_clusters_again(
    case: tuple,  # type: ignore[type-arg]
    apart: list[tuple[int, int]],
) -> None:
    n, weights, source, _ = case
    edges = [(a, b, w) for (a, b), w in weights.items()]
    apart = [p for p in apart if p[1] < n]
    first = run(n, edges, source, apart=apart)
    assert run(n, edges, source, apart=apart, before=first) == first
