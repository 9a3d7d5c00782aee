"""Files are written as the contract says: fixed positions, nested XML, one delimiter, text untouched."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from lxml import etree

from expectations.contract import Contract
from pipelines.demo.render import render

DAY = dt.date(2026, 9, 30)
COLUMN = {"description": "a column", "sensitivity": "none"}


def contract(**table: object) -> Contract:
    delivery = {"format": "delimited", **dict(table.pop("delivery", {}))}  # type: ignore[call-overload]
    columns = [{**COLUMN, **column} for column in table.pop("columns")]  # type: ignore[attr-defined]
    return Contract.model_validate(
        {
            "system": "school", "title": "School", "description": "A school", "version": "1",
            "steward": {"office": "Office"}, "delivery": delivery,
            "tables": {"pupils": {"name": "pupils", "description": "Pupils", "grain": "one row per pupil",
                                  "file": "pupils_{date}.txt", "key": ["pupil_id"], "delivery": delivery,
                                  "columns": columns, **table}},
            "date_formats": ["%m/%d/%Y"], "true_tokens": ["YES"], "false_tokens": ["NO"],
        }
    )  # fmt: skip


COLUMNS = [
    {"name": "pupil_id", "raw": "PUPIL"},
    {"name": "born", "raw": "BORN", "type": "date"},
    {"name": "enrolled", "type": "boolean"},
    {"name": "fee", "type": "decimal"},
    {"name": "note"},
]
ROWS = pa.table(
    {
        "pupil_id": ["1", "2"],
        "born": [dt.date(2020, 2, 29), None],
        "enrolled": [True, False],
        "fee": pa.array([Decimal("12.5000"), None], pa.decimal128(18, 4)),
        "_hidden": ["never", "written"],
    }
)


def test_a_delimited_file_has_the_contracts_headers_dates_and_tokens(tmp_path: Path) -> None:
    (path,) = render(contract(columns=COLUMNS, delivery={"delimiter": "|"}), {"pupils": ROWS}, tmp_path, DAY)
    assert path.name == "pupils_20260930.txt"
    assert path.read_text() == "PUPIL|BORN|enrolled|fee|note\n1|02/29/2020|YES|12.5|\n2||NO||\n"


def test_text_in_a_date_column_is_left_as_it_is(tmp_path: Path) -> None:
    rows = pa.table({"pupil_id": ["1"], "born": ["31/12/2020"]})
    (path,) = render(contract(columns=COLUMNS), {"pupils": rows}, tmp_path, DAY)
    assert path.read_text().splitlines()[1] == "1,31/12/2020,,,"


def test_a_value_with_the_delimiter_in_it_is_quoted(tmp_path: Path) -> None:
    rows = pa.table({"pupil_id": ["1"], "note": ['says "no", often']})
    (path,) = render(contract(columns=COLUMNS), {"pupils": rows}, tmp_path, DAY)
    assert path.read_text().splitlines()[1] == '1,,,,"says ""no"", often"'


def test_fixed_width_fields_stand_at_their_positions(tmp_path: Path) -> None:
    columns = [
        {"name": "pupil_id", "start": 1, "width": 3},
        {"name": "note", "start": 6, "width": 4},
    ]
    rows = pa.table({"pupil_id": ["7", "12345"], "note": ["ab", None]})
    made = contract(columns=columns, delivery={"format": "fixed_width"})
    (path,) = render(made, {"pupils": rows}, tmp_path, DAY)
    assert path.read_text() == "7    ab  \n123      \n"


def test_a_file_is_written_in_the_contracts_encoding(tmp_path: Path) -> None:
    rows = pa.table({"pupil_id": ["1"], "note": ["Peña"]})
    (path,) = render(contract(columns=COLUMNS, delivery={"encodings": ["cp1252"]}), {"pupils": rows}, tmp_path, DAY)
    assert "Peña".encode("cp1252") in path.read_bytes()


def test_a_table_the_contract_does_not_know_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        render(contract(columns=COLUMNS), {"teachers": ROWS}, tmp_path, DAY)


def test_shredded_tables_are_nested_again(tmp_path: Path, contracts: dict[str, Contract]) -> None:
    child = {
        "e1_title_iv_agency": ["99", "99"],
        "e2_report_date": ["202609", "202609"],
        "e4_child_record_number": ["A", "B"],
    }
    born = {"e5_date_of_birth": [dt.date(2025, 1, 2)] * 2, "e6_sex": ["1", "2"]}
    removal = {k: [*v, v[1]] for k, v in child.items()}
    days = [dt.date(2025, 2, 1), dt.date(2021, 3, 1), dt.date(2025, 4, 1)]
    made = render(
        contracts["child_welfare"],
        {
            "afcars_children": pa.table({**child, **born}),
            "afcars_removals": pa.table(
                {
                    **removal,
                    "removal_format": ["removal_2020", "removal_1993", "removal_2020"],
                    "e69_removal_date": days,
                }
            ),
            "afcars_living_arrangements": pa.table(
                {**{k: v[1:] for k, v in child.items()}, "e69_removal_date": days[2:],
                 "e112_date_living_arrangement": [dt.date(2025, 4, 2)]}
            ),
        },
        tmp_path,
        DAY,
    )  # fmt: skip
    root = etree.parse(str(made[0])).getroot()
    assert root.findtext("E2_report_date") == "202609"
    first, second = root.findall("records/record")
    assert first.findtext("E69_E186_removals/removal_2020/E69_removal_date") == "20250201"
    assert second.findtext("E69_E186_removals/removal_1993/E69_removal_date") == "20210301"
    inside = second.find("E69_E186_removals/removal_2020/E112_E146_living_arrangements/living_arrangement")
    assert inside is not None and inside.findtext("E112_date_living_arrangement") == "20250402"
