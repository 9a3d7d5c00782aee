"""The matrix partner x table x column x row, read from the YAML again by other code, is what lies in the files."""

import pytest

from tests.releases import second_reading
from tests.releases.small_governed import AGREEMENTS, CUT, SECRET, build, changed, only, publish_it

#: recipient -> what of its agreement is otherwise. Each case is one release of all partners.
CHANGES = {
    "as agreed": {},
    "other scopes": {
        "team": {"people": {"sites": ["birch"], "family": True}},
        "court": {"people": {"counties": ["99003"]}},
        "agency": {"people": {"sites": ["alder", "birch"], "counties": ["99001"]}},
        "university": {"tribal_approvals": [{"by": "nation", "date": CUT}]},
    },
    "other terms": {
        "team": {"people": {"sites": ["alder"]}},
        "court": {"sealed_records": None},
        "agency": {"delivery": {"ids": "separate"}},
        "university": {"withdrawn": CUT},
    },
}


@pytest.mark.parametrize("case", CHANGES)
def test_both_readings_agree(tmp_path, case):
    agreements = [
        next(a for a in changed(r, **CHANGES[case].get(r, {})) if a["parties"]["recipient"] == r)
        for r in (a["parties"]["recipient"] for a in AGREEMENTS)
    ]
    home = build(tmp_path, agreements=agreements)
    release = publish_it(home)
    problems, compared = second_reading.check(home.root, release.folder, CUT, SECRET)
    assert problems == []
    assert compared > 30


def test_the_second_reading_would_see_a_row_too_many(tmp_path):
    home = build(tmp_path, agreements=only("team"))
    release = publish_it(home)
    stricter = build(tmp_path, agreements=only("team", people={"sites": ["alder"], "family": True}))
    problems, _ = second_reading.check(stricter.root, release.folder, CUT, SECRET)
    assert "team.dim_child: 1 rows too many, 0 too few" in problems
