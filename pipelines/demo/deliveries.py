"""Three deliveries of one world: what each agency's files hold on each day, and the truth beside them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from expectations.contract import Contract, Table, load_contracts
from expectations.vocabulary import Mode
from pipelines.demo import dirt
from pipelines.demo.render import render
from pipelines.demo.views import SYSTEMS, build
from pipelines.demo.world import World

DATES = (dt.date(2026, 7, 31), dt.date(2026, 8, 31), dt.date(2026, 9, 30))
#: This agency misses the second delivery; its files of that day come with the third.
LATE_SYSTEM = "behavioral_health"
#: The AFCARS file is half-yearly: it comes with the first delivery and the last.
_AFCARS_ON = (DATES[0], DATES[2])


def write_deliveries(
    world: World,
    inbox_root: Path,
    truth_root: Path,
    dates: Sequence[dt.date] = DATES,
    on_delivery: Callable[[dt.date, Path], None] = lambda day, folder: None,
) -> list[tuple[dt.date, Path]]:
    """Render every delivery into ``inbox_root/delivery-<date>/<system>/`` and the truth into ``truth_root``.

    ``dates``: some of ``DATES``, oldest first; the first delivery of a change file holds everything until then. Returns
    (date, folder), oldest first; the folder holds one folder for each system that sent something. Receive them one
    after the other: a full file replaces what came before, a change file adds to it. ``on_delivery`` is told of each as
    soon as its files are there; the truth is there when all are.

    The truth: ``person_records.parquet`` (source_system, source_record_id, true_person_id), ``people.parquet``,
    ``parent_child.parquet``, ``dirt.parquet``, and ``events/*.parquet`` for :mod:`pipelines.demo.truth_measures`.
    """
    contracts = load_contracts()
    con = build(world.tables, world.seed)
    if world.dirt:
        dirt.spoil(con, contracts)
    records: list[pa.Table] = []
    folders: list[tuple[dt.date, Path]] = []
    before: dt.date | None = None
    for day in dates:
        folder = inbox_root / f"delivery-{day}"
        for system in SYSTEMS:
            tables = _tables(con, contracts[system], day, before, world.dirt)
            records += _person_records(con, contracts[system], tables)
            late = world.dirt and system == LATE_SYSTEM and day == DATES[1]
            place = inbox_root / f"delivery-{DATES[2]}" if late else folder
            files = render(contracts[system], tables, place / system, day)
            if world.dirt:
                _spoil_files(files, day)
        folders.append((day, folder))
        on_delivery(day, folder)
        before = day
    _write_truth(con, records, truth_root, world)
    con.close()
    return folders


def _tables(
    con: duckdb.DuckDBPyConnection, contract: Contract, day: dt.date, before: dt.date | None, spoilt: bool
) -> dict[str, pa.Table]:
    """One agency's tables as its system held them on ``day`` (change tables: what came since ``before``)."""
    view = SYSTEMS[contract.system]
    late = {name: dict(columns) for name, columns in view.LATE.items()}
    if spoilt:
        for name, columns in dirt.LATE.get(contract.system, {}).items():
            late[name] = {**late.get(name, {}), **columns}
    made: dict[str, pa.Table] = {}
    for table in contract.tables.values():
        if table.name.startswith("afcars") and day not in _AFCARS_ON:
            continue
        rows = _slice(con, contract, table, late.get(table.name, {}), day, before)
        # An agency with nothing to report sends no change file; an empty one would be refused.
        if rows.num_rows or table.delivery.mode is Mode.FULL:
            made[table.name] = rows
    return made


def _slice(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    table: Table,
    late: dict[str, tuple[str, str]],
    day: dt.date,
    before: dt.date | None,
) -> pa.Table:
    name = f"{contract.system}.{table.name}"
    have = [row[0] for row in con.execute(f"describe {name}").fetchall()]
    today = f"date '{day}'"
    changes = ", ".join(
        f"case when coalesce({known}, date '1900-01-01') <= {today} then {column} "
        f"else {earlier.format(day=today)} end as {column}"
        for column, (known, earlier) in late.items()
    )
    technical = {
        "source_system": "'CCWIS'",
        "extract_run_id": f"'RUN{day:%Y%m%d}'",
        "extract_ts": f"timestamp '{day} 01:30:00'",
        "record_updated_ts": "at_noon(_seen)",
        "record_status": "'A'",
    }
    added = "".join(
        f", {sql} as {column}" for column, sql in technical.items() if column in table.by_name and column not in have
    )
    since = f"and _seen > date '{before}'" if before and table.delivery.mode is Mode.CHANGE else ""
    return con.execute(
        f"select * {f'replace ({changes})' if changes else ''}{added} from {name} "
        f"where _seen <= {today} and (_gone is null or _gone > {today}) {since} order by rowid"
    ).to_arrow_table()


def _person_records(con: duckdb.DuckDBPyConnection, contract: Contract, tables: dict[str, pa.Table]) -> list[pa.Table]:
    """Who each rendered person record is, by the contract's own statement of what a person record is."""
    found: list[pa.Table] = []
    for name, rows in tables.items():
        if "_person" not in rows.column_names:
            continue
        con.register("sent", rows)
        for persons in contract.tables[name].persons:
            if persons.kind == "primary":
                key = " || '~' || ".join(f"{c}::varchar" for c in persons.record_id)
                found.append(
                    con.execute(
                        f"select distinct '{contract.system}' as source_system, {key} as source_record_id, _person "
                        f"as person "
                        f"from sent where ({persons.where or 'true'}) and {key} is not null"
                    ).to_arrow_table()
                )
        con.unregister("sent")
    return found


def _spoil_files(files: list[Path], day: dt.date) -> None:
    """What is wrong with a file as a whole: a ragged line, and one file in Windows-1252."""
    for path in files:
        if path.name.startswith("ct_hearing_attendance"):
            with path.open("a", encoding="utf-8") as handle:
                handle.write("H99999999,P00000000,Y,P,,one field too many\n")
        if path.name.startswith("bh_client") and day == DATES[0]:
            text = path.read_text(encoding="utf-8")
            path.write_bytes(text.encode("cp1252", errors="replace"))


def _write_truth(con: duckdb.DuckDBPyConnection, records: list[pa.Table], root: Path, world: World) -> None:
    (root / "events").mkdir(parents=True, exist_ok=True)
    con.register("records", pa.concat_tables([t.cast(_RECORDS) for t in records]))
    queries = {
        "person_records": """
            select source_system, source_record_id, coalesce('P' || lpad(min(person)::varchar, 8, '0'),
                'X' || source_system || source_record_id) as true_person_id
            from records group by source_system, source_record_id order by 1, 2""",
        "people": f"select {_TRUE.format('person_id')} as true_person_id, p.* exclude (person_id, mother_id, "
        f"father_id), "
        f"{_TRUE.format('mother_id')} as true_mother_id, {_TRUE.format('father_id')} as true_father_id "
        "from truth.people p order by p.person_id",
        "parent_child": f"""
            select {_TRUE.format("person_id")} as true_child_id, {_TRUE.format("mother_id")} as true_parent_id,
                'mother' as role from truth.people where role = 'child'
            union all
            select {_TRUE.format("person_id")}, {_TRUE.format("father_id")},
                case father_certainty when 'legal' then 'father' else 'putative_father' end
            from truth.people where role = 'child' and father_id is not null order by 1, 3""",
    }
    for name, query in queries.items():
        pq.write_table(con.execute(query).to_arrow_table(), root / f"{name}.parquet")
    if world.dirt:
        found = (
            'select kind, variant, system, table_name as "table", key from truth.dirt '
            "order by kind, variant, system, table_name, key"
        )
        pq.write_table(con.execute(found).to_arrow_table(), root / "dirt.parquet")
    for name, table in world.tables.items():
        pq.write_table(table, root / "events" / f"{name}.parquet")
    # Claims come about where the Medicaid agency's view is made: a service, when the agency knew of it, and when it
    # took the claim back.
    claims = """
        select b.claim_id, b.person_id, b.service_on, b.proc_cd as code, min(v.adjudicated_on + 4) as entered_on,
            min(v.adjudicated_on + 4) filter (where v.adjustment_ind = '1') as voided_on
        from truth.billed b join truth.versions v using (claim_id) group by all order by b.claim_id"""
    pq.write_table(con.execute(claims).to_arrow_table(), root / "events" / "claims.parquet")


_TRUE = "'P' || lpad({0}::varchar, 8, '0')"
_RECORDS = pa.schema([("source_system", pa.string()), ("source_record_id", pa.string()), ("person", pa.int64())])
