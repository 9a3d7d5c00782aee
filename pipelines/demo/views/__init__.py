"""Each agency's view of the truth: its own keys, its own words, and only what it has learned by a given day.

A view is a DuckDB table per contract table, with the contract's columns and a few hidden ones that start with an
underscore: ``_seen`` (first day the agency's system holds the row), ``_gone`` (first day it no longer does),
``_person`` (whose record it is, for the truth). ``LATE`` says which columns are filled in later than the row.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from pipelines.demo.views import behavioral_health, child_welfare, court, court_team, medicaid

#: system -> table -> column -> (column holding the day it became known, SQL of what stood there before)
Late = dict[str, dict[str, tuple[str, str]]]

SYSTEMS = {
    "child_welfare": child_welfare,
    "court": court,
    "medicaid": medicaid,
    "behavioral_health": behavioral_health,
    "court_team": court_team,
}

_MACROS = """
create or replace macro u(k, salt) as
    (md5_number_lower(k::varchar || '/' || salt || '/{seed}') % 1000003)::double / 1000003;
create or replace macro keyed(n, salt) as ((n::bigint * 48271 + salt * 7919 + {seed} % 1000) % 99999989);
create or replace macro cw_id(n) as 'CL' || lpad(keyed(n, 1)::varchar, 8, '0');
create or replace macro cw_case_id(n) as 'CA' || lpad(keyed(n, 2)::varchar, 8, '0');
create or replace macro msis_of(n) as '7' || lpad(keyed(n, 3)::varchar, 10, '0');
create or replace macro party_id(n) as 'P' || lpad(keyed(n, 4)::varchar, 8, '0');
create or replace macro fips(c) as case c when 0 then '99001' when 1 then '99003' else '99005' end;
create or replace macro at_noon(d) as d::timestamp + interval 12 hour;
create or replace macro plain(s) as strip_accents(s);
create or replace macro docket(n, county, kind, filed) as case county
    when 0 then strftime(filed, '%Y') || '-' || kind || '-' || lpad((n % 100000)::varchar, 6, '0')
    when 1 then kind || strftime(filed, '%y') || lpad((n % 100000)::varchar, 5, '0')
    else strftime(filed, '%y') || kind || (n % 100000)::varchar end;
"""


def build(truth: dict[str, pa.Table], seed: int) -> duckdb.DuckDBPyConnection:
    """All agencies' tables, each in a schema named after its system, and the truth in schema ``truth``.

    Tables keep the order of insertion, so that one seed always gives the same files.
    """
    con = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    con.execute(_MACROS.format(seed=seed))
    con.execute("create schema truth")
    for name, table in truth.items():
        con.register("incoming", table)
        con.execute(f"create table truth.{name} as select * from incoming")
        con.unregister("incoming")
    con.execute("set search_path = 'truth'")
    medicaid.prepare(con)
    for system, view in SYSTEMS.items():
        con.execute(f"create schema {system}")
        for name, query in view.TABLES.items():
            con.execute(f"create table {system}.{name} as {query}")
    return con
