"""The block-wise reader agrees with Python's own csv module, record by record and line by line, wherever blocks end."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from expectations.contract import Contract
from pipelines.landing.findings import Refused
from pipelines.landing.readers import Received, read
from pipelines.storage import connect

HEADER = "plate,colour\n"
LINES = st.lists(st.text(alphabet=' a",\né\r', max_size=8), min_size=1, max_size=12)


def _expected(body: str) -> list[tuple[int, str | None, str | None]]:
    """Rows of two cells with their first line, by the rule: a line that does not parse is given up alone."""
    lines = io.StringIO(body.replace("\r\n", "\n"), newline="\n").readlines()
    rows, at = [], 0
    while at < len(lines):
        reader = csv.reader(lines[at:], strict=True)
        used = 1
        bare = lines[at].rstrip("\n")
        if bare and "\r" not in bare:
            try:
                cells = next(reader)
            except csv.Error:
                cells = []
            taken = lines[at : at + reader.line_num]
            # A value most of whose lines are rows of two cells was opened by one stray mark and closed by another.
            are_rows = len(taken) > 1 and 2 * sum("," in t for t in taken) > len(taken)
            if len(cells) == 2 and not are_rows and not any("\r" in t for t in taken):
                used = len(taken)
                rows.append((at + 2, cells[0] or None, cells[1] or None))
        at += used
    return rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=LINES, block=st.integers(1, 40))
@example(pieces=['"a\na",a\n', '"a,a\n', "a,a\n"], block=7)
@example(pieces=["a,a\n", 'a,"a\n'], block=40)
def test_rows_and_lines_are_those_of_the_csv_module(
    pieces: list[str],
    block: int,
    contracts: dict[str, Contract],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    body = "".join(pieces) + "\nz,z\n"
    folder = tmp_path_factory.mktemp("csv")
    path = folder / "cars.csv"
    path.write_bytes((HEADER + body).encode())
    contract = contracts["neighbour"]
    with pytest.MonkeyPatch.context() as patch, connect(threads=1) as connection:
        patch.setattr("pipelines.landing.readers.lines.BLOCK", block)
        received = read(path, contract, [contract.tables["cars"]], folder, connection)["cars"]
        assert isinstance(received, Received)
        rows = connection.execute(f"select _line, plate, colour from {received.relation} order by _line").fetchall()
    assert rows == _expected(body)
    assert received.rows == len(rows)


def test_a_header_may_be_quoted_and_follow_blank_lines(
    contracts: dict[str, Contract], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    path = folder / "cars.csv"
    path.write_text('\n"plate","colour"\nA1,"red, dark"\n')
    contract = contracts["neighbour"]
    with connect() as connection:
        received = read(path, contract, [contract.tables["cars"]], folder, connection)["cars"]
        assert not isinstance(received, Refused)
        assert connection.execute(f"select * from {received.relation}").fetchall() == [(3, "A1", "red, dark")]
