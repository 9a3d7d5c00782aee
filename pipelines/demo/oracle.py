"""Perfect linkage, read off the truth: what the warehouse would say if nobody were ever mistaken for somebody else.

Written beside or instead of what the linkage room writes, it separates two causes of a wrong number: records joined to
the wrong person, and events that no agency told of. For the demo and tests alone.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from pipelines.storage import connect, quoted

#: No record is older: the crosswalk holds on every night.
_ALWAYS = "date '1900-01-01'"


def link_by_truth(truth_root: Path, linkage_dir: Path) -> None:
    """Write the tables of ``linkage_dir`` that dbt reads from the truth below ``truth_root``.

    ``truth_root`` is the folder :func:`pipelines.demo.write_deliveries` wrote. A person's ID is the true one, a
    family is the true one: its mother, her children, their fathers and kin.
    """
    linkage_dir.mkdir(parents=True, exist_ok=True)
    with connect() as database:
        for name in ("person_records", "people", "parent_child"):
            database.execute(f"create view {name} as from read_parquet({quoted(truth_root / f'{name}.parquet')})")
        for name, query in _TABLES.items():
            _copy(database, query, linkage_dir / f"{name}.parquet")


def _copy(database: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    database.execute(f"copy (select * from ({query}) order by all) to {quoted(target)} (format parquet)")


_TABLES = {
    "person_crosswalk": f"""
        select source_system, source_record_id, true_person_id as person_id, 1.0::double as match_probability,
            {_ALWAYS} as valid_from, null::date as valid_to
        from person_records""",
    "person_facts": """
        select r.source_system, r.source_record_id, r.true_person_id as person_id,
            case p.role when 'child' then 'child' else 'adult' end as record_role, p.birth_on as birth_date,
            false as is_birth_date_estimated, p.death_on as death_date, p.sex, p.county::varchar as county,
            null::varchar as zip3, false as is_sealed, p.ssn is not null as has_ssn, false as has_placeholder_name,
            null::varchar as race_ethnicity
        from person_records as r join people as p using (true_person_id)""",
    "parent_child": """
        select true_child_id as child_person_id, true_parent_id as parent_person_id, role, 'truth' as evidence,
            null::varchar as source_system, null::date as valid_from, null::date as valid_to, 1.0::double as confidence
        from parent_child""",
    "family_member": """
        with certain as (
            select true_parent_id, bool_or(role = 'father') as is_legal
            from parent_child where role <> 'mother' group by true_parent_id
        )
        select 'F' || lpad(p.family_id::varchar, 8, '0') as family_id, p.true_person_id as person_id,
            case
                when p.role in ('child', 'mother') then p.role
                when p.role = 'father' and c.is_legal then 'father'
                when p.role = 'father' then 'putative_father'
                else 'grandparent'
            end as role,
            null::date as valid_from, null::date as valid_to, 'truth' as evidence, null::varchar as source_system,
            1.0::double as confidence
        from people as p left join certain as c on p.true_person_id = c.true_parent_id
        where p.family_id is not null""",
    "match_rates": """
        select null::varchar as system_a, null::varchar as system_b, null::varchar as population, 0 as n_a,
            0 as n_linked, null::double as rate where false""",
}
