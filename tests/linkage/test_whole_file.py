"""What only the whole file can tell of a record, and what records say of each other: cases worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from linkage_helpers import CUT, write_table

from linkage.records import prepare
from linkage.store import connect, rows

CASES = yaml.safe_load((Path(__file__).parent / "whole_file.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_what_the_whole_file_tells(case: dict[str, Any], tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    for record in case["records"]:
        for _ in range(record.get("times", 1)):
            line: dict[str, Any] = {"source_system": "a", "source_record_id": str(len(lines) + 1), "delivered_on": CUT}
            line |= {k: str(v) for k, v in record.items() if k != "times"}
            if "times" in record:
                # Nobody is to be one with another by the name.
                line["last_name"] = (
                    f"{record['first_name']} {chr(65 + len(lines) % 26)}{chr(65 + len(lines) // 26 % 26)}"
                )
            if case.get("undated"):
                line.pop("delivered_on")
            lines.append(line)
    key = {n: (line["source_system"], line["source_record_id"]) for n, line in enumerate(lines, 1)}
    kin = [
        {
            "source_system": key[a][0],
            "source_record_id": key[a][1],
            "related_record_id": key[b][1],
            "relationship": said,
            "valid_from": since[0] if since else None,
        }
        for a, said, b, *since in case.get("kin", [])
    ]
    with connect() as con:
        persons = f"read_parquet('{write_table(lines, tmp_path / 'in.parquet')}')"
        related = f"read_parquet('{write_table(kin, tmp_path / 'kin.parquet')}')" if kin else None
        prepare(con, persons, related, None, None, tmp_path / "linkage")
        found = {(r["source_system"], r["source_record_id"]): r for r in rows(con, "select * from records")}
        number = {r["rid"]: n for n, k in key.items() for r in (found[k],)}
        told = [
            (kind, sorted([number[a], number[b]]))
            for a, b, kind in con.execute("select distinct rid_a, rid_b, kind from constraints").fetchall()
        ]
        stated = con.execute("select rid_a, relationship, rid_b, evidence from stated").fetchall()
    for n, expected in case.get("expect", {}).items():
        assert {name: found[key[n]][name] for name in expected} == expected, n
    for kind in ("must", "cannot"):
        if "must" in case or "cannot" in case:
            assert sorted(pair for what, pair in told if what == kind) == case.get(kind, [])
    if "stated" in case:
        assert sorted([number[a], said, number[b], how] for a, said, b, how in stated) == case["stated"]
