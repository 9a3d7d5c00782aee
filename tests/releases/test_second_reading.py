"""The matrix partner x table x column x row, read from the YAML again by other code, is what lies in the files."""

import pytest

from tests.releases import second_reading
from tests.releases.small_governed import CUT, SECRET, build, changed, publish_it

CHANGES = {
    "as agreed": ("team", {}),
    "another site": ("team", {"people": {"sites": ["birch"], "family": True}}),
    "without families": ("team", {"people": {"sites": ["alder"]}}),
    "a county": ("court", {"people": {"counties": ["99003"]}}),
    "site and county": ("agency", {"people": {"sites": ["alder", "birch"], "counties": ["99001"]}}),
    "no sealed records": ("court", {"sealed_records": None}),
    "own IDs": ("agency", {"delivery": {"ids": "separate"}}),
    "a study a tribe approved": ("university", {"tribal_approvals": [{"by": "nation", "date": CUT}]}),
    "withdrawn": ("university", {"withdrawn": CUT}),
}


@pytest.mark.parametrize("case", CHANGES)
def test_both_readings_agree(tmp_path, case):
    partner, keys = CHANGES[case]
    home = build(tmp_path, agreements=changed(partner, **keys))
    release = publish_it(home)
    problems, compared = second_reading.check(home.root, release.folder, CUT, SECRET)
    assert problems == []
    assert compared > 30


def test_the_second_reading_would_see_a_row_too_many(tmp_path):
    home = build(tmp_path)
    release = publish_it(home)
    stricter = build(tmp_path, agreements=changed("team", people={"sites": ["alder"], "family": True}))
    problems, _ = second_reading.check(stricter.root, release.folder, CUT, SECRET)
    assert "team.dim_child: 1 rows too many, 0 too few" in problems
