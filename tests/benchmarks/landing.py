"""How fast a large claims file lands, beside DuckDB merely copying it to Parquet.

    python -m tests.benchmarks.landing [rows] [share of bad rows]

Prints rows per second for both, their ratio, and the highest memory use. Not part of the tests: nothing is asserted
about time.
"""

from __future__ import annotations

import datetime as dt
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from expectations.contract import Contract, load_contracts
from pipelines.landing import build_current, land
from pipelines.storage import Home, connect, quoted

CONTRACT = """
system: claims
title: Claims
description: Made-up claim lines.
version: "1"
steward: {office: none}
delivery: {format: delimited, delimiter: "|", mode: change}
date_formats: ["%Y%m%d"]
tables:
  lines:
    description: Claim lines.
    grain: claim line
    file: "lines_{date}.txt"
    key: [claim_id, line_num]
    order_by: [adjudicated_on]
    columns:
      - {name: claim_id, required: true, max_length: 50, sensitivity: source_key, description: Claim.}
      - {name: line_num, type: integer, required: true, sensitivity: none, description: Line.}
      - {name: member_id, required: true, sensitivity: source_key, description: Member.}
      - {name: begin_date, type: date, required: true, sensitivity: medicaid, description: From.}
      - {name: end_date, type: date, sensitivity: medicaid, description: To.}
      - {name: adjudicated_on, type: date, sensitivity: none, description: Decided.}
      - {name: procedure_cd, sensitivity: medicaid, max_length: 7, description: Procedure.}
      - {name: diagnosis_1, sensitivity: medicaid, description: Diagnosis.}
      - {name: diagnosis_2, sensitivity: medicaid, description: Diagnosis.}
      - {name: provider_id, sensitivity: none, description: Provider.}
      - {name: paid_amount, type: decimal, sensitivity: none, description: Paid.}
      - {name: status_cd, codes: status, required: true, sensitivity: none, description: Status.}
    checks:
      - rule: ends_before_it_begins
        sql: "end_date >= begin_date"
        fields: [begin_date, end_date]
        action: quarantine
        description: A service ends on or after its first day.
"""
STATUS = "code,label,maps_to,version,valid_from,valid_to\nP,Paid,paid,1,,\nD,Denied,denied,1,,\nV,Voided,voided,1,,\n"


def write_claims(path: Path, rows: int, bad_share: float) -> None:
    """A deterministic file of ``rows`` lines; every 1/``bad_share``-th has an unknown status or one field too few."""
    every = round(1 / bad_share) if bad_share else 0
    with path.open("w", encoding="ascii") as handle:
        names = [c.split(",")[0] for c in CONTRACT.split("{name: ")[1:]]
        handle.write("|".join(names) + "\n")
        for start in range(0, rows, 20_000):
            lines = []
            for i in range(start, min(rows, start + 20_000)):
                month, day = 1 + i % 12, 1 + i % 28
                status = "PDV"[i % 3]
                if every and i % every == 0:
                    status = "?" if i // every % 2 else "P|"
                born = f"2024{month:02d}"
                lines.append(
                    f"C{i // 3:012d}|{i % 3}|M{i * 7919 % 1_000_003:08d}|{born}{day:02d}|{born}28"
                    f"|2025{month:02d}{day:02d}|T{i % 4999:04d}|Z38{i % 10}||P{i % 3001:06d}"
                    f"|{i % 90000 / 100}|{status}\n"
                )
            handle.write("".join(lines))


def main(rows: int, bad_share: float) -> None:
    with tempfile.TemporaryDirectory(prefix="landing-benchmark-") as folder:
        root = Path(folder)
        (root / "sources" / "claims" / "codes").mkdir(parents=True)
        (root / "sources" / "claims" / "contract.yml").write_text(CONTRACT)
        (root / "sources" / "claims" / "codes" / "status.csv").write_text(STATUS)
        contracts: dict[str, Contract] = load_contracts(root / "sources")
        home = Home(root / "home")
        home.inbox("claims").mkdir(parents=True)
        file = home.inbox("claims") / "lines_20260101.txt"
        write_claims(file, rows, bad_share)
        size = file.stat().st_size
        print(f"{rows:,} lines, {size / 1e6:,.0f} MB, {bad_share:.2%} bad")

        options = f"delim = '|', header = true, all_varchar = true{', null_padding = true' if bad_share else ''}"
        copy = (
            f"copy (select * from read_csv({quoted(file)}, {options})) to {quoted(root / 'plain.parquet')}"
            " (format parquet)"
        )

        def plain() -> None:
            with connect(memory_limit="4GB") as connection:
                connection.execute(copy)

        outcomes = []
        wall, cpu = _clocked("DuckDB copy", rows, plain)
        landed = _clocked(
            "land", rows, lambda: outcomes.extend(land(home, contracts, dt.date(2026, 1, 2), memory_limit="4GB"))
        )
        print(f"ratio {landed[0] / wall:.1f} by the clock, {landed[1] / cpu:.1f} in processor time")
        (outcome,) = outcomes
        print(f"{outcome.status}: {outcome.rows_loaded:,} loaded, {outcome.rows_quarantined:,} quarantined")
        with connect() as connection:
            path = home.delivery("claims", "lines", outcome.delivery_id)
            line = "substr(claim_id, 2)::bigint * 3 + line_num + 2"
            wrong = connection.execute(
                f"select count(*) from read_parquet({quoted(path)}) where _line <> {line}"
            ).fetchone()
        print(f"rows with another line number than they have in the file: {wrong and wrong[0]}")
        _clocked(
            "build_current", rows, lambda: build_current(home, home, contracts, dt.date(2026, 1, 2), memory_limit="4GB")
        )
        print(f"highest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:,.1f} GB")


def _clocked(name: str, rows: int, work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:14} {wall:8.1f} s  {cpu:8.1f} s processor  {rows / wall:12,.0f} rows/s")
    return wall, cpu


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000,
        float(sys.argv[2]) if len(sys.argv) > 2 else 0.0,
    )
