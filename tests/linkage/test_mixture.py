"""What is learned without labels, and what is not believed."""

from __future__ import annotations

import numpy as np
import pytest

from linkage.person.comparisons import BY_NAME
from linkage.person.mixture import MOST_UNLIKE, Mixture, fit
from linkage.store import connect
from linkage.train import _draw

NAMES = ("given_name", "surname", "birth_date")
GIVEN, SURNAME, BIRTH = (len(BY_NAME[name].all_levels) - 1 for name in NAMES)
#: Levels of agreement: the given name written out, the surname, the birth date.
SAME = (1, 0, 0)


def learned(pairs: dict[tuple[int, int, int], int]) -> Mixture:
    strangers = {
        (GIVEN, SURNAME, BIRTH): 98_000,
        (1, SURNAME, BIRTH): 1_000,
        (GIVEN, 0, BIRTH): 900,
        (GIVEN, SURNAME, 0): 100,
    }

    def table(counts: dict[tuple[int, int, int], int]) -> tuple[np.ndarray, np.ndarray]:
        return np.array(list(counts), dtype=np.int64), np.array(list(counts.values()), dtype=np.float64)

    return fit([BY_NAME[name] for name in NAMES], table(pairs), table(strangers), 2_000_000)


def test_what_true_pairs_differ_in_is_learned() -> None:
    mixture = learned({SAME: 9_000, (1, SURNAME, 0): 800, (1, 0, 3): 200, (1, SURNAME, BIRTH): 3_000})
    assert mixture.is_learned
    assert mixture.m["surname"][-1] == pytest.approx(0.08, abs=0.02), "800 of 10,000"


@pytest.mark.parametrize("many", [(1, SURNAME, BIRTH), (GIVEN, 0, BIRTH), (GIVEN, SURNAME, 0)])
def test_all_who_have_one_thing_in_common_are_not_taken_for_one_person(many: tuple[int, int, int]) -> None:
    # A file that holds nobody twice, or hardly: what most compared pairs have in common is why they were compared.
    mixture = learned({SAME: 20, many: 30_000})
    assert all(mixture.m[name][-1] <= most for name, most in MOST_UNLIKE.items() if name in mixture.m)
    assert mixture.expected_matches < 100


def test_no_pair_of_several_rules_is_left_out_for_the_many_of_one() -> None:
    # 100 people twice, and 200,000 pairs that only a surname proposed: drawn alike, half of the 100 would be lost.
    con = connect()
    con.execute("create table records as select range as rid, false as is_child from range(500)")
    con.execute("""
    create table pairs as
    select range as rid_l, 1000000 + range as rid_r, false as is_child_pair, range >= 100 as by_one_rule
    from range(200100)
    """)
    assert _draw(con, "adult") == {False: 100, True: 200_000}
    kept = dict(con.execute("select by_one_rule, count(*) from kw_train_adult group by 1").fetchall())
    assert kept[False] == 100
    assert 60_000 < kept[True] < 80_000, "as many as are looked at"
