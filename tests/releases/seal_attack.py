"""What a reader of released tables can try on a sealed adoption: join the child to whom it had before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import duckdb

PEOPLE = ("person_id", "parent_id", "mother_id")
#: Keys of places, offices and measures, which thousands share, and of counsel, who has many clients.
NO_ONE_S = ("site_id", "first_site_id", "metric_id", "measure_id", "counsel_id", "provider_id", "judge_id", "org_id")


def before(linkage_dir: Path) -> dict[str, set[str]]:
    """What linkage's own tables say is hidden, for :func:`ties`: who is not of the adoptive family as well."""
    names = ["relationships", "records", "person_crosswalk", "parent_child", "family_member"]
    with duckdb.connect() as database:
        for name in [*names, "restricted/adoption_bridge"]:
            database.execute(f"create view {Path(name).name} as from read_parquet('{linkage_dir / name}.parquet')")
        found = database.execute("""
        with known as (select r.rid, c.person_id from records r
                       join person_crosswalk c using (source_system, source_record_id)),
        of_before as (
            select k.person_id as child, p.person_id as other from relationships s
            join known p on p.rid = s.rid_a join known k on k.rid = s.rid_b
            where s.relationship in ('mother_of', 'father_of', 'putative_father_of', 'parent_of')
            union select b.child_person_id, m.person_id from adoption_bridge b
            join family_member m on m.family_id = b.family_id_before
        )
        select o.child, o.other from of_before o join adoption_bridge b on b.child_person_id = o.child
        where o.other <> o.child
          and (o.child, o.other) not in (select (child_person_id, parent_person_id) from parent_child)
          and (b.family_id_after, o.other) not in (select (family_id, person_id) from family_member)
        union select child_person_id, family_id_before from adoption_bridge where family_id_before is not null
        """).fetchall()
    hidden: dict[str, set[str]] = {}
    for child, other in found:
        hidden.setdefault(child, set()).add(other)
    return hidden


def ties(folder: Path, before: Mapping[str, Collection[str]]) -> set[str]:
    """Ways in which the Parquet files of ``folder`` tie a child to people of before, as "table.column" pairs.

    ``before`` gives for each child of a sealed adoption the parents, brothers and sisters (by person_id) and the
    families of before the decree. Tried are every row that holds both, and every two rows under one key: any column
    of IDs that two tables (or two rows of one) have in common, whatever it is called.
    """
    database = duckdb.connect()
    database.execute("create table hidden (child varchar, other varchar)")
    pairs = [(child, other) for child, others in before.items() for other in others]
    database.executemany("insert into hidden values (?, ?)", pairs)
    columns: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.parquet")):
        found = database.execute(f"describe from read_parquet('{path}')").fetchall()
        columns[path.stem] = [n for n, kind, *_ in found if kind == "VARCHAR" and n.endswith(("_id", "_hash"))]
        if columns[path.stem]:
            ids = ", ".join(columns[path.stem])
            database.execute(f"create table {path.stem} as select distinct {ids} from read_parquet('{path}')")
    told = set()

    def try_it(words: str, query: str) -> None:
        if database.execute(f"select count(*) from ({query})").fetchall() != [(0,)]:
            told.add(words)

    # The mother in an openly adopted sister's own row is hers to have.
    people = {t: [c for c in names if c in PEOPLE] for t, names in columns.items()}
    for table, names in columns.items():
        for child in people[table]:
            for other in names:
                if other != child:
                    try_it(f"{table}.{child} {other}",
                           f"from {table} x join hidden h on x.{child} = h.child and x.{other} = h.other")  # fmt: skip
            for key in set(names) - {*PEOPLE, *NO_ONE_S}:
                for second in (t for t, n in columns.items() if key in n):
                    for other in people[second]:
                        if key != "family_id" or other == "person_id":
                            try_it(f"{table}.{child} {key} {second}.{other}",
                                   f"from {table} x join hidden h on x.{child} = h.child join {second} y"
                                   f" on x.{key} = y.{key} and y.{other} = h.other")  # fmt: skip
    return told
