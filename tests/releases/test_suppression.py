"""Small cells stay hidden: for themselves, from subtraction, across measures, kinds of group and releases."""

import itertools
import random

import pytest

from pipelines.releases.suppression import HIDDEN, TRIBAL, Row, attack, suppress


def row(value, numerator, denominator=None, *, metric="M-1", kind="county", period="2024-10-01", tribal=False):
    return Row((metric, "warehouse", period, "2025-09-30", kind, value), numerator, denominator, tribal)


def hidden_values(rows, **options):
    return sorted(f"{k[0]} {k[5]}" for k in suppress(rows, **options))


def test_one_to_ten_hidden_zero_and_eleven_shown():
    rows = [row("all", n, kind="all", period=f"2024-{n + 1:02d}-01") for n in range(12)]
    assert {k[2] for k in suppress(rows)} == {f"2024-{n + 1:02d}-01" for n in range(1, 11)}


def test_all_but_a_few_is_as_telling_as_a_few():
    assert hidden_values([row("all", 95, 100, kind="all")]) == ["M-1 all"]
    assert hidden_values([row("all", 100, 100, kind="all")]) == []


def test_a_single_hidden_county_gets_company():
    rows = [row("all", 120, kind="all"), row("a", 5), row("b", 40), row("c", 75)]
    # 120 - 40 - 75 is 5: the smallest other county goes too.
    assert hidden_values(rows) == ["M-1 a", "M-1 b"]


def test_two_small_cells_with_little_between_them_get_company():
    rows = [row("all", 103, kind="all"), row("a", 1), row("b", 2), row("c", 40), row("d", 60)]
    assert hidden_values(rows) == ["M-1 a", "M-1 b", "M-1 c"]


def test_where_nothing_is_left_to_hide_the_total_goes():
    rows = [row("all", 17, kind="all"), row("a", 4), row("b", 13)]
    assert hidden_values(rows) == ["M-1 a", "M-1 b"]
    before = {rows[2].key: (13, None)}
    # b is known already, so the total goes, and with it all its parts.
    assert hidden_values(rows, shown_before=before) == ["M-1 a", "M-1 all", "M-1 b"]


def test_another_measure_of_the_same_people_does_not_give_the_denominator_away():
    # The two measures share denominators; left to itself each would hide another second county.
    rows = []
    for metric, numerators in (("M-1", (3, 30, 30)), ("M-2", (4, 35, 25))):
        rows += [row("all", sum(numerators), 104, metric=metric, kind="all")]
        rows += [row(v, n, d, metric=metric) for v, n, d in zip("abc", numerators, (7, 52, 45), strict=True)]
    hidden = suppress(rows)
    assert attack(rows, hidden) == []
    alone = [k for metric in ("M-1", "M-2") for k in suppress([r for r in rows if r.key[0] == metric])]
    assert {k[1] for k in alone} and set(alone) <= set(hidden)


def test_a_shown_denominator_bounds_a_hidden_numerator():
    # a: 3 of 12, b: 40 of 40. The sum of numerators is 43; b can be no more than 40, so a would be no less than 3.
    rows = [row("all", 143, 252, kind="all"), row("a", 3, 12), row("b", 40, 40), row("c", 100, 200)]
    rows += [row("all", 52, 252, metric="M-2", kind="all"), row("a", 0, 12, metric="M-2")]
    rows += [row("b", 25, 40, metric="M-2"), row("c", 27, 200, metric="M-2")]
    pair = [rows[1].key, rows[2].key]
    assert attack(rows, pair), "hiding a and b is not enough"
    assert attack(rows, suppress(rows)) == []


def test_a_county_and_its_only_site_are_the_same_people():
    rows = [row("all", 60, kind="all"), row("a", 5), row("b", 15), row("c", 40)]
    rows += [row("x", 5, kind="site"), row("y", 15, kind="site"), row("z", 40, kind="site")]
    hidden = suppress(rows)
    assert {k[5] for k in hidden} == {"a", "b", "x", "y"}
    assert attack(rows, [k for k in hidden if k[4] == "county"]), "the sites would tell what the counties hide"


def test_a_number_that_moved_by_a_few_is_hidden():
    shown = row("all", 50, kind="all")
    assert hidden_values([shown], shown_before={shown.key: (47, None)}) == ["M-1 all"]
    assert hidden_values([shown], shown_before={shown.key: (39, None)}) == []


def test_what_an_earlier_release_showed_protects_nothing():
    rows = [row("all", 120, kind="all"), row("a", 5), row("b", 40), row("c", 75)]
    before = {rows[2].key: (40, None), rows[0].key: (120, None)}
    hidden = suppress(rows, shown_before=before)
    assert {k[5] for k in hidden} == {"a", "c"}
    assert attack(rows, hidden, shown_before=before) == []
    assert attack(rows, suppress(rows), shown_before=before), "hiding a and b would give a away to a long memory"


def test_publishing_the_same_again_changes_nothing():
    rows = [row("all", 120, kind="all"), row("a", 5), row("b", 40), row("c", 75)]
    first = suppress(rows)
    again = suppress(rows, shown_before={r.key: (r.numerator, r.denominator) for r in rows if r.key not in first})
    assert again == first


def test_a_tribe_s_rows_are_withheld_and_cannot_be_subtracted():
    rows = [row("all", 200, kind="all"), row("AIAN", 60, kind="race_eth", tribal=True)]
    rows += [row("BLACK", 90, kind="race_eth"), row("WHITE", 50, kind="race_eth")]
    hidden = suppress(rows)
    assert hidden[rows[1].key] == TRIBAL
    assert hidden[rows[3].key] == HIDDEN.format(threshold=11)
    assert attack(rows, hidden) == []


def test_a_reason_does_not_tell_small_from_protecting():
    rows = [row("all", 120, kind="all"), row("a", 5), row("b", 40), row("c", 75)]
    assert len(set(suppress(rows).values())) == 1


def possible(line, shown):
    """Every way to fill the hidden cells, tried one by one: cell -> (least, greatest)."""
    unknown = [c for c in line if c not in shown]
    rest = sum(line.values()) - sum(line[c] for c in shown)
    found = [f for f in itertools.product(range(rest + 1), repeat=len(unknown)) if sum(f) == rest]
    return {c: (min(f[i] for f in found), max(f[i] for f in found)) for i, c in enumerate(unknown)}


@pytest.mark.parametrize("seed", range(40))
def test_against_trying_every_possibility(seed):
    chance = random.Random(seed)
    line = {v: chance.choice([0, chance.randint(1, 10), chance.randint(11, 25)]) for v in "abcd"}
    rows = [row("all", sum(line.values()), kind="all"), *(row(v, n) for v, n in line.items())]
    hidden = suppress(rows)
    if rows[0].key in hidden:
        assert all(r.key in hidden or r.numerator == 0 for r in rows), "a hidden total shows none of its parts"
        return
    shown = [v for v in line if row(v, 0).key not in hidden]
    assert all(line[v] == 0 or line[v] > 10 for v in shown)
    wide = possible(line, shown)
    # The attacker of the tests counts; the one of the product solves. They must agree.
    assert all(high - low >= 10 for v, (low, high) in wide.items() if 0 < line[v] < 11)
    assert attack(rows, hidden) == []


def test_the_attack_finds_what_is_hidden_carelessly():
    rows = [row("all", 120, kind="all"), row("a", 5), row("b", 40), row("c", 75)]
    assert attack(rows, [rows[1].key]) == [(rows[1].key, "numerator")]
