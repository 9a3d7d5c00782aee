"""XML deliveries: shredded by the contract's XPaths; whatever tries to be more than data is refused."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.landing.conftest import Agency, rules

NAME = "toy_care_20260301.xml"
GOOD = """<?xml version="1.0" encoding="UTF-8"?>
<a:data xmlns:a="urn:a">
  <period>202603</period>
  <records>
    <record>
      <id>K1</id>
      <tribes><tribe>T1</tribe><tribe>T2</tribe></tribes>
      <stays>
        <stay><from>20260101</from></stay>
        <stay><from>20260201</from></stay>
      </stays>
    </record>
    <record>
      <id>K2</id>
      <tribes/>
      <stays><stay><from>20260105</from></stay></stays>
    </record>
  </records>
</a:data>
"""


def test_one_file_fills_several_tables(agency: Agency) -> None:
    agency.drop(NAME, GOOD)
    children, stays = agency.land()
    assert agency.loaded(children, "period, child_id, tribes, _line") == [
        ("202603", "K1", "T1;T2", 5),
        ("202603", "K2", None, 13),
    ]
    assert agency.loaded(stays, "child_id, stay_number, began_on, _line") == [
        ("K1", 1, dt.date(2026, 1, 1), 9),
        ("K1", 2, dt.date(2026, 2, 1), 10),
        ("K2", 1, dt.date(2026, 1, 5), 16),
    ]


def test_many_records_do_not_bring_earlier_ones_back(agency: Agency) -> None:
    records = "".join(f"<record><id>K{i}</id></record>\n" for i in range(5000))
    agency.drop(NAME, f"<r><period>1</period><records>{records}</records></r>")
    children, stays = agency.land()
    assert (children.rows_loaded, stays.rows_loaded) == (5000, 0)
    assert agency.loaded(children, "period, child_id, _line")[-1] == ("1", "K4999", 5000)


def test_a_file_without_line_ends_counts_rows_instead(agency: Agency) -> None:
    agency.drop(NAME, "".join(line.strip() for line in GOOD.splitlines()))
    children, stays = agency.land()
    assert agency.loaded(children, "child_id, _line") == [("K1", 1), ("K2", 2)]
    assert agency.loaded(stays, "began_on, _line")[2] == (dt.date(2026, 1, 5), 3)


def test_a_bad_value_is_quarantined_in_its_table_only(agency: Agency) -> None:
    agency.drop(NAME, GOOD.replace("20260201", "soon"))
    children, stays = agency.land()
    assert (children.rows_quarantined, stays.rows_quarantined) == (0, 1)
    assert agency.quarantined(stays) == [(10, "type", "began_on")]


@pytest.mark.parametrize("cut", [30, 200, len(GOOD) - 5])
def test_a_truncated_file_is_refused_with_its_line(agency: Agency, cut: int) -> None:
    agency.drop(NAME, GOOD[:cut])
    outcomes = agency.land()
    assert {o.status for o in outcomes} == {"refused"}
    assert rules(outcomes[0]) == [("malformed_xml", None)]
    assert outcomes[0].findings[0].line


RECORD = "<r><records><record><id>&b;</id></record></records></r>"
BOMB = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>' + RECORD
THIEF = '<!DOCTYPE r [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + RECORD


@pytest.mark.parametrize(
    "content",
    [BOMB.encode(), THIEF.encode(), THIEF.encode("utf-16")],
    ids=["bomb", "file", "utf-16"],
)
def test_entities_are_forbidden(agency: Agency, content: bytes) -> None:
    agency.drop(NAME, content)
    outcomes = agency.land()
    assert {r for o in outcomes for r in rules(o)} == {("forbidden_entity", None)}


def test_an_unknown_element_with_text_is_refused_by_name(agency: Agency) -> None:
    agency.drop(NAME, GOOD.replace("<id>K2</id>", "<id>K2</id><nickname>Canary</nickname>"))
    outcomes = agency.land()
    assert rules(outcomes[0]) == [("extra_column", "nickname")]
    assert outcomes[0].findings[0].line == 14
    assert "Canary" not in repr(outcomes) + agency.letter(NAME)


def test_windows_1252_without_declaration_is_read(agency: Agency) -> None:
    text = GOOD.replace('<?xml version="1.0" encoding="UTF-8"?>\n', "").replace("T2", "Ñ")
    agency.drop(NAME, text.encode("cp1252"))
    children, _ = agency.land()
    assert agency.loaded(children, "tribes")[0] == ("T1;Ñ",)


def test_a_file_with_no_records_is_empty(agency: Agency) -> None:
    agency.drop(NAME, "<r><records/></r>")
    assert {r for o in agency.land() for r in rules(o)} == {("empty_file", None)}
