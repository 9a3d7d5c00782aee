"""Intervals against values worked by hand or taken from textbooks."""

from __future__ import annotations

import pytest

from linkage.quality.intervals import Estimate, chapman, kappa, ratio, share_of, stratified, wilson
from linkage.quality.page import hidden


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(9, 10, 0.5958, 0.9821), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson(hits: int, n: int, low: float, high: float) -> None:
    found = wilson(hits, n)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_nothing() -> None:
    assert wilson(0, 0) is None


def test_strata_add_up_by_square_and_add() -> None:
    found = stratified([(100, 9, 10), (900, 10, 10)])
    assert found is not None
    assert found.value == pytest.approx(990)
    # below: (100 x (.9 - .5958))^2 + (900 x (1 - .7225))^2; above: the second stratum can only be full
    assert found.low == pytest.approx(990 - (30.42**2 + 249.75**2) ** 0.5, abs=0.2)
    assert found.high == pytest.approx(990 + 8.21, abs=0.05)


def test_a_stratum_looked_at_whole_is_known() -> None:
    assert stratified([(10, 9, 10)]) == Estimate(9, 9, 9, 10)


def test_a_stratum_nobody_looked_at_leaves_no_estimate() -> None:
    assert stratified([(10, 9, 10), (5, 0, 0)]) is None
    assert stratified([(10, 9, 10), (0, 0, 0)]) is not None


def test_a_share_of_two_sums() -> None:
    sure = share_of(Estimate(90, 90, 90, 10), Estimate(10, 10, 10, 10))
    assert sure is not None and (sure.value, sure.low, sure.high) == pytest.approx((0.9, 0.9, 0.9))
    found = share_of(Estimate(90, 80, 95, 10), Estimate(10, 5, 20, 10))
    assert found is not None and 80 / 100 < found.low < 0.9 < found.high < 95 / 100
    assert share_of(Estimate(0, 0, 5, 10), Estimate(10, 5, 20, 10)) is None


def test_ratio_of_two_shares() -> None:
    found = ratio(15, 100, 30, 100)
    assert found is not None
    # log standard error: sqrt(1/15 - 1/100 + 1/30 - 1/100) = 0.2828
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.2872, 0.8704), abs=5e-4)
    assert ratio(0, 10, 5, 10) is None


def test_capture_and_recapture() -> None:
    found = chapman(20, 15, 5)
    assert found.value == pytest.approx(21 * 16 / 6 - 1)
    assert found.n == 30
    assert 30 < found.low < found.value < found.high
    everything = chapman(10, 10, 10)
    assert (everything.value, everything.low, everything.high) == (10, 10, 10)


def test_kappa() -> None:
    # Two raters agree on 35 of 50, expected 25 by chance: (0.7 - 0.5) / (1 - 0.5).
    assert kappa(20, 5, 10, 15) == pytest.approx(0.4)
    assert kappa(0, 0, 0, 0) is None
    assert kappa(5, 0, 0, 0) is None


def test_a_hidden_group_takes_another_with_it() -> None:
    assert hidden([(100, 50), (5, 2), (40, 20)]) == {1, 2}
    assert hidden([(100, 50), (40, 37)]) == {0, 1}
    assert hidden([(100, 50), (40, 20)]) == set()
    assert hidden([(100, 100), (3, 3), (9, 1)]) == {1, 2}
    assert hidden([(4, 2)]) == {0}
