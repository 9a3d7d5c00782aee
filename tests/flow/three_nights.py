"""A small deployment lived through in a process of its own, with name look-ups forbidden: what the flow tests look at.

Run as ``python three_nights.py HOME AGENCIES RESULT``. First night: every source delivers, with canary people among
the rows, and the linked measures have their ranges. Second night, two deliveries later, without ranges: the court sends
only rubbish, all others deliver. Then the same night again without new files, reviewers who decide the day after, and
the first night replayed. RESULT is what happened, as JSON.
"""

import csv
import json
import shutil
import sys
from datetime import date, timedelta
from pathlib import Path

import duckdb

from expectations.contract import load_contracts
from expectations.vocabulary import ColumnType, FileFormat, Sensitivity
from linkage.review.decisions import FIELDS
from pipelines import demo
from pipelines.deployment import create
from pipelines.night import RELINK_JOB, Night, run_night, train_model
from pipelines.releases import current_release
from pipelines.storage import Home

#: In the names and in the agency numbers of nobody else, and in no word of the code.
CANARY = "ZQNAME"
CANARY_NUMBER = "ZQNUMBER"
PEOPLE = 600

#: A number and its range, as JSON keeps it.
RANGED = "select metric_id, variant, cast(period_start as varchar), stratum_value, value, range_low, range_high"
WITH_RANGE = "where range_low is not null or range_high is not null order by all"


def main(root: Path, agencies: Path, result: Path) -> None:
    home = create(root, Path(demo.__file__).parent / "deployment")
    sent = demo.write_deliveries(demo.simulate(PEOPLE), agencies / "files", agencies / "truth")
    told: dict[str, object] = {"nights": [str(day) for day, _ in sent]}
    (first, files), (_, second_files), (last, last_files) = sent

    # Of so few people only measures of the second wave are large enough to have a range.
    said = home.jurisdiction.read_text().replace("measure_tiers: [core]", "measure_tiers: [core, second_wave]")
    home.jurisdiction.write_text(said.replace("linkage_ranges: false", "linkage_ranges: true"))
    deliver(home, files, without=())
    train_model(home, received_on=first)
    told["first"] = night(home, run_night(home, received_on=first, job=RELINK_JOB))
    with duckdb.connect(str(home.warehouse), read_only=True) as database:
        told["ranged"] = database.execute(f"{RANGED} from quality.measure_rows {WITH_RANGE}").fetchall()
    home.jurisdiction.write_text(said)

    deliver(home, second_files, without=("court",))
    deliver(home, last_files, without=("court",))
    rubbish(home.inbox("court"))
    told["second"] = night(home, run_night(home, received_on=last))
    told["again"] = night(home, run_night(home, received_on=last))

    told["decided"] = decide(home, last)
    replayed = run_night(home, as_of=first)
    release = current_release(Night(home, first).releases_dir)
    told["replay"] = {
        "success": replayed.success,
        "failures": replayed.failures,
        "release_id": release.release_id,
        "hashes": release.table_hashes,
        "current_is_still": current_release(home.releases_dir).release_id,
    }
    result.write_text(json.dumps(told))


def night(home: Home, outcome) -> dict[str, object]:
    release = current_release(home.releases_dir) if outcome.success else None
    return {
        "success": outcome.success,
        "failures": outcome.failures,
        "failed_checks": outcome.failed_checks,
        "release_id": release.release_id if release else None,
        "hashes": release.table_hashes if release else {},
        "freshness": [[s, str(d) if d else None, str(x) if x else None] for s, d, x in Night(home).freshness()],
    }


def deliver(home: Home, folder: Path, without: tuple[str, ...]) -> None:
    for system in sorted(p for p in folder.iterdir() if p.is_dir() and p.name not in without):
        for file in sorted(system.iterdir()):
            shutil.copy(file, home.inbox(system.name) / file.name)
            plant(system.name, home.inbox(system.name) / file.name)


def decide(home: Home, last: date) -> int:
    """Reviewers say of forty pairs of the agency's people that they are one; how many pairs."""
    with duckdb.connect() as database:
        pairs = database.execute(
            "with one as (select source_record_id as record, row_number() over (order by source_record_id) - 1 as n"
            f" from '{home.linkage_dir / 'person_crosswalk.parquet'}' where source_system = 'child_welfare')"
            " select a.record, b.record from one a join one b on b.n = a.n + 1 where a.n % 2 = 0 order by a.n limit 40"
        ).fetchall()
    home.reviews_dir.mkdir(exist_ok=True)
    with (home.reviews_dir / "decisions.csv").open("w", newline="") as handle:
        lines = csv.writer(handle)
        lines.writerow(FIELDS)
        for n, (a, b) in enumerate(pairs):
            when = f"{last + timedelta(days=1)}T12:00:00+00:00"
            lines.writerow([n, when, "Ann", "reviewer", "must_link", "child_welfare", a, "child_welfare", b, "known"])
    return len(pairs)


def plant(system: str, path: Path) -> None:
    """Add a canary to a file of people: a copy of its last good row with every name, number and street replaced."""
    contract = load_contracts()[system]
    for table in contract.tables.values():
        before, _, after = table.file.partition("{date}")
        is_people = any(p.kind == "primary" for p in table.persons) and table.name != "claim_headers"
        if table.delivery.format is not FileFormat.DELIMITED or not is_people:
            continue
        if not (path.name.startswith(before) and path.name[len(before) : -len(after)].isdigit()):
            continue
        # Latin-1 gives every byte back as it was, whichever encoding the file is in.
        with path.open(encoding="latin-1", newline="") as handle:
            rows = list(csv.reader(handle, delimiter=table.delivery.delimiter))
        header, row = rows[0], list(rows[-1])
        by_raw = {c.raw: c for c in table.columns}
        for i, raw in enumerate(header):
            column = by_raw[raw]
            if column.type is not ColumnType.TEXT or column.codes:
                continue
            if column.sensitivity is Sensitivity.DIRECT_ID:
                row[i] = f"{CANARY}{i}"[: column.max_length or 40]
            elif column.name in table.key and (column.max_length or 40) > len(CANARY_NUMBER) + 2:
                row[i] = f"{CANARY_NUMBER}{i}"
        with path.open("a", encoding="latin-1", newline="") as handle:
            csv.writer(handle, delimiter=table.delivery.delimiter).writerow(row)


def rubbish(inbox: Path) -> None:
    """What a court might send by mistake, and what somebody might try."""
    (inbox / "ct_case_20260930.csv").write_bytes(b"")
    (inbox / "cw_person_20260930.csv").write_text(f"person_id\n{CANARY}\n")
    (inbox / "ct_party_20260930.csv").write_bytes(b"\xff\xfe\x00garbage;;;" * 50)
    (inbox / "'; drop table parties; --.csv").write_text("a\n1\n")
    (inbox / "ct_hearing_20260930.csv").symlink_to("/etc/passwd")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
