"""Every window moved by one day: which unit test notices?

Run as ``python tests/warehouse/mutations.py [MEASURE …]`` (ids such as CRT-07; five minutes for all). The unit tests
are compiled once; then each number of days or months and each numeric bound in their SQL is moved either way, months
by a day, the rest by one, and the tests of that measure run again on DuckDB alone. Printed is every change that no test
noticed, but for those that cannot change a result: ``cases/equivalent_windows.yml`` has them with the reason. Exit code
1 when anything is printed. ``--target=DIR``: the dbt target of unit tests that ran already.

Not moved: statistics (held against published values), the day on which a period is ripe (held by
``test_measures_wait_for_their_follow_up_to_the_day``), 0 and 1. The 18th birthday, one line for all episodes, is moved
in PRM-02.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.warehouse.conftest import build

EQUIVALENT = Path(__file__).parent / "cases" / "equivalent_windows.yml"

Move = Callable[[re.Match[str], int], str]


def _day_more(found: re.Match[str], by: int) -> str:
    return f"({found[0]} {'+' if by > 0 else '-'} interval 1 day)"


def _one_more(found: re.Match[str], by: int) -> str:
    return f"{found[1]}{int(found[2]) + by}"


#: What is moved, by its look in the compiled SQL, and how.
MOVES: tuple[tuple[re.Pattern[str], Move], ...] = (
    (re.compile(r"cast\(-?[1-9]\d* as bigint\) \* interval 1 month"), _day_more),
    (re.compile(r"\b(?:[a-z]\.)?months \* 30\.4375"), lambda found, by: f"({found[0]} + {by})"),
    (re.compile(r"to_months\((?:[^()]|\([^()]*\))*\)"), _day_more),
    (re.compile(r"(?<!\* )interval '?(?!1 day)\d+ (?:days?|months?)'?(?! preceding)"), _day_more),
    (re.compile(r"(\+ cast\()(-?\d\d+|-?[2-9])(?= as integer\))"), _one_more),
    (re.compile(r"((?<![<>=-])(?:<=|>=|<|>) )([1-9]\d*)(?![\d.\w])"), _one_more),
    (re.compile(r"(\bbetween )(\d+)(?= and \d+\b)"), _one_more),
    (re.compile(r"(\bbetween \d+ and )(\d+)\b"), _one_more),
    (re.compile(r"((?:\+|-) )([2-9]|\d\d+)(?= *(?:>|<|as |,|\)|$))", re.M), _one_more),
)

#: Lines of statistics and of maturity.
LEFT_ALONE = re.compile(
    r"1e-|\(n - 1\)|row_number|greenwood|pow\(|power\(|sqrt|lgamma|exp\(|list_transform|rows between|\bdf\b|10000|"
    r"isodow|is_mature|ci_(low|high)|s\.(numerator|denominator|reference)|then \d"
)


def moved(sql: str) -> Iterator[tuple[str, int, str]]:
    """(the line with the mark at the number, +1 or -1, all of ``sql`` changed there), for each change."""
    end = sql.find("-- Build expected result")
    body = sql[:end] if end > 0 else sql
    for pattern, move in MOVES:
        for found in pattern.finditer(body):
            start = body.rfind("\n", 0, found.start()) + 1
            stop = body.find("\n", found.end())
            # sqlfmt breaks lines: what is compared may stand a line above or below.
            around = " ".join(body[body.rfind("\n", 0, start - 1) + 1 : body.find("\n", stop + 1)].split())
            if LEFT_ALONE.search(around):
                continue
            mark = found.start(2) if found.re.groups else found.start()
            line = " ".join((body[start:mark] + "▸" + body[mark:stop]).split())
            line = re.sub(r"'\d{4}-\d\d-\d\d'", "DATE", line)
            for by in (1, -1):
                yield line, by, sql[: found.start()] + move(found, by) + sql[found.end() :]


def passes(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether a compiled unit test finds what it expects."""
    try:
        cursor = connection.execute(sql)
        side = [column[0] for column in cursor.description or ()].index("actual_or_expected")
        rows = cursor.fetchall()
    except duckdb.Error:
        return False
    seen: dict[str, Counter[str]] = {"actual": Counter(), "expected": Counter()}
    for row in rows:
        cells = [round(cell, 9) if isinstance(cell, float) else cell for i, cell in enumerate(row) if i != side]
        seen[row[side]][str(cells)] += 1
    return seen["actual"] == seen["expected"]


def compiled(target: Path) -> dict[str, list[str]]:
    """The SQL of every unit test of a measure, by the file it stands in: ``met_crt_07.yml`` is CRT-07."""
    tests: dict[str, list[str]] = {}
    for path in sorted((target / "run" / "kinweave" / "models" / "marts" / "metrics").rglob("*.yml/**/*.sql")):
        name = re.search(r"/met_([a-z]+)_(\d\d[a-z]?)\.yml/", path.as_posix())
        sql = path.read_text(encoding="utf-8")
        if name and "dbt_internal_unit_test_actual" in sql:
            tests.setdefault(f"{name[1].upper()}-{name[2]}", []).append(sql)
    return tests


def survivors(target: Path, measures: list[str]) -> Iterator[tuple[str, str, int]]:
    """(measure, line, by) of every change that no unit test of the measure notices; the last one is the count."""
    with duckdb.connect(config={"threads": 1}) as connection:
        for measure, tests in compiled(target).items():
            if measures and measure.upper() not in measures:
                continue
            changes: dict[tuple[str, int, int], list[str]] = {}
            for sql in tests:
                seen: Counter[tuple[str, int]] = Counter()
                for line, by, changed in moved(sql):
                    if "▸cast(216 " in line and measure != "PRM-02":
                        continue
                    seen[line, by] += 1
                    changes.setdefault((line, by, seen[line, by]), []).append(changed)
            for (line, by, _), alternatives in changes.items():
                if all(passes(connection, sql) for sql in alternatives):
                    yield measure, line, by
            print(f"{measure}: {len(changes)} changes, {len(tests)} unit tests", file=sys.stderr, flush=True)


def main() -> None:
    """Build, move, print what nobody noticed."""
    told = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8"))
    excused = {(m, entry["line"], by) for entry in told for m in entry["measures"] for by in entry["by"]}
    asked = [argument.upper() for argument in sys.argv[1:] if not argument.startswith("--")]
    given = [argument.split("=", 1)[1] for argument in sys.argv[1:] if argument.startswith("--target=")]
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(given[0]) if given else build(Path(scratch)).workspace / "target"
        found = [change for change in survivors(target, asked) if change not in excused]
    for measure, line, by in found:
        print(f"{measure} {by:+d} {line}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
