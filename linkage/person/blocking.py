"""Which pairs of records are compared at all.

Each rule is a reason and the keys a record has for it; records sharing a key are compared. Blocks that are too large
are dropped, and a rule whose pairs exceed its budget keeps only its smaller blocks: a very common name then has to be
found by another rule, and the report says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from linkage.store import quoted

#: Pairs a single rule may add, per record; smaller files are allowed the floor.
PAIRS_PER_RECORD = 2
PAIRS_FLOOR = 400_000
#: No block is compared beyond this size, whatever the budget.
MAX_BLOCK = 300


@dataclass(frozen=True)
class Rule:
    """One reason to compare two records: they agree on all parts of one of the ``keys``, each part SQL on a record.

    A key with a NULL part does not apply. ``each`` names a list column; ``x`` in a part stands for each of its values.
    """

    name: str
    reason: str
    keys: tuple[tuple[str, ...], ...]
    each: str = ""
    #: One reason alone: only where it costs little, so its pairs do not grow with the file.
    is_loose: bool = False


_BORN = "case when length(dob) = 10 then dob end"
#: Day and month whichever is which.
_DAY_MONTH = "case when length(dob) = 10 then least(dob[6:7], dob[9:10]) || greatest(dob[6:7], dob[9:10]) end"
_SEX = "coalesce(sex, '')"
# How often each digit occurs, four bits each, whatever their order. Nine places are all of a social security number.
_DIGITS = " + ".join(f"(1::bigint << (4 * (ascii(substr(rpad(ssn, 9, '0'), {i}, 1)) & 15)))" for i in range(1, 10))

RULES: tuple[Rule, ...] = (
    Rule("ssn", "the same social security number", (("ssn",),)),
    Rule("medicaid_id", "the same Medicaid number", (("medicaid_id",),)),
    Rule(
        "names_birth_year",
        "given name, any surname and birth year agree",
        (("first_std", "x", "birth_year"),),
        "last_forms",
    ),
    Rule(
        "birth_date_name_start",
        "birth date and the start of a name agree, whichever name it was written as",
        ((_BORN, "left(first_std, 3)"), (_BORN, "left(last_std, 3)")),
    ),
    Rule(
        "birth_date_given_sound",
        "birth date and consonants of the given name agree",
        ((_BORN, "case when length(first_std) > 2 then first_sound end"),),
    ),
    Rule("birth_date_surname", "birth date and any surname agree", ((_BORN, "x"),), "last_forms"),
    Rule("birth_date_address", "birth date and building agree", ((_BORN, "x"),), "bldg_keys"),
    Rule("birth_date_zip", "birth date, sex and ZIP agree: both names may be wrong", ((_BORN, _SEX, "x"),), "zips"),
    Rule("address_given", "building and start of the given name agree", (("x", "left(first_std, 2)"),), "bldg_keys"),
    Rule(
        "street_given_surname",
        "house, street and initials agree: the ZIP may be wrong",
        (("x", "left(first_std, 1)", "left(last_std, 1)"),),
        "street_keys",
    ),
    Rule("building", "the same building, whatever the names", (("x",),), "bldg_keys", is_loose=True),
    Rule(
        "house_surname",
        "house number and surname agree, or its start and the ZIP: the street may be wrong",
        (("house", "zip", "left(last_std, 2)"), ("house", "last_std")),
    ),
    Rule("surname_zip", "surname and ZIP agree", (("last_std", "x"),), "zips", is_loose=True),
    Rule("given_zip", "given name and ZIP agree", (("first_std", "x"),), "zips", is_loose=True),
    Rule("names_zip", "given name, surname and ZIP agree", (("first_std", "last_std", "x"),), "zips"),
    Rule("names_city", "given name, surname and city agree", (("first_std", "last_std", "city"),)),
    Rule(
        "names_middle",
        "given name, middle initial and surname agree",
        (("first_std", "left(middle_std, 1)", "last_std"),),
    ),
    Rule("full_name", "a full name few people have", (("first_std", "last_std"),)),
    Rule(
        "sounding_names_zip",
        "consonants of both names and ZIP agree",
        (("first_sound", "last_sound", "x"),),
        "zips",
    ),
    Rule(
        "swapped_names",
        "given name and surname are exchanged; birth year or ZIP agrees",
        tuple(
            (
                "case when length(first_std) > 1 and length(last_std) > 1 then least(first_std, last_std) end",
                "greatest(first_std, last_std)",
                part,
            )
            for part in ("birth_year", "zip")
        ),
    ),
    Rule(
        "swapped_day_month",
        "day and month are exchanged, the rest agrees",
        (("birth_year", _DAY_MONTH, "left(first_std, 2)", "left(last_std, 1)"),),
    ),
    Rule(
        "birth_day_names",
        "birth day and month and the starts of both names agree: the year may be wrong",
        ((f"({_BORN})[6:10]", "left(first_std, 3)", "left(last_std, 4)"),),
    ),
    Rule(
        "birth_month_names",
        "birth year and month, given name and start of the surname agree",
        ((f"left({_BORN}, 7)", "first_std", "left(last_std, 2)"),),
    ),
    Rule(
        "surname_birth_month",
        "surname, sex, birth year and month agree: given name and day may be wrong",
        (("last_std", f"left({_BORN}, 7)", _SEX),),
    ),
    Rule(
        "surname_birth_day",
        "surname, sex, birth month and day agree: given name and year may be wrong",
        (("last_std", f"({_BORN})[6:10]", _SEX),),
    ),
    Rule(
        "surname_middle_birth_year",
        "surname, sex, middle initial and birth year agree",
        (("last_std", "left(middle_std, 1)", "birth_year", _SEX),),
    ),
    Rule(
        "ssn_last4",
        "last four digits and birth date, or names, agree",
        (("last4", "dob"), ("last4", "first_std", "left(last_std, 2)"), ("last4", "last_std")),
    ),
    Rule(
        "ssn_parts",
        "part of the social security number agrees, or all digits in another order, and something else does",
        (
            ("left(ssn, 5)", "left(first_std, 3)"),
            ("left(ssn, 5)", "last_std"),
            ("substr(ssn, 4)", "left(first_std, 2)"),
            ("substr(ssn, 4)", "left(last_std, 2)"),
            ("left(ssn, 4)", "zip"),
            (_DIGITS, "zip"),
            (_DIGITS, "dob"),
        ),
    ),
    Rule("birth_date", "the same birth date", ((_BORN,),), is_loose=True),
    Rule(
        "surname",
        "the same surname, or the same given name in its place",
        (("x",),),
        "list_append(last_forms, case when length(first_std) > 1 "
        "and not coalesce(list_contains(last_forms, first_std), false) then first_std end)",
        is_loose=True,
    ),
    Rule("given_birth_year", "given name and birth year agree", (("first_std", "birth_year"),), is_loose=True),
    Rule("given_city", "given name and city agree", (("first_std", "city"),), is_loose=True),
    Rule("surname_city", "surname and city agree", (("last_std", "city"),), is_loose=True),
    Rule("phone_given", "telephone number and initial agree", (("phone", "left(first_std, 1)"),)),
    Rule(
        "mother_birth_date",
        "mother's name and the child's birth date agree: the child may be unnamed",
        ((f"case when is_child then {_BORN} end", "left(mother_first, 3)", "coalesce(left(mother_last, 2), '')"),),
    ),
    Rule(
        "unnamed_newborn",
        "an unnamed child: surname, birth date and sex agree",
        ((f"case when is_child then {_BORN} end", "x", _SEX),),
        "last_forms",
    ),
    Rule(
        "mothers_number", "a child under its mother's Medicaid number and birth date", (("mother_medicaid_id", "dob"),)
    ),
    Rule(
        "case_given",
        "the same case of the same source and the same initial",
        (("source_system", "case_key", "left(first_std, 1)"),),
    ),
)


def fingerprint() -> str:
    """Of the rules and limits: pairs found under other rules are not comparable."""
    return hashlib.sha256(repr((RULES, PAIRS_PER_RECORD, PAIRS_FLOOR, MAX_BLOCK)).encode()).hexdigest()[:16]


def _keyed(con: duckdb.DuckDBPyConnection, rule: Rule, records: str, out: str, own: str = "", semi: str = "") -> None:
    """Temporary table ``out(rid, k)``: the keys of ``records`` under ``rule``, hashed; with ``own``, SQL, also that."""
    source = f"(select *, unnest({rule.each}) as x from {records})" if rule.each else records
    # Every part once: several keys share them, and the digits of a number are dear to sort.
    parts = {part: f"part_{i}" for i, part in enumerate(dict.fromkeys(part for key in rule.keys for part in key))}
    listed = ", ".join(f"{part} as {name}" for part, name in parts.items())
    keys = []
    for key in rule.keys:
        names = [parts[part] for part in key]
        keys.append(f"case when {' is not null and '.join(names)} is not null then hash({', '.join(names)}) end")
    hashed = keys[0] if len(keys) == 1 else f"unnest([{', '.join(keys)}])"
    con.execute(
        f"create or replace temp table {out} as "
        f"select * from (select rid, {hashed} as k {', own' if own else ''} "
        f"from (select rid, {listed} {own} from {source})) {semi} where k is not null"
    )


def block(
    con: duckdb.DuckDBPyConnection,
    duplicate_free: tuple[str, ...] = (),
    limits: Mapping[str, int] | None = None,
    touched: str | None = None,
    rules: tuple[Rule, ...] = RULES,
) -> list[dict[str, Any]]:
    """Fill ``pairs(rid_l, rid_r, rules)`` from ``records``; ``rules`` is a bit mask in the order of the rules.

    ``limits`` names the largest block compared per rule, as a model froze it; without, the budget decides. With
    ``touched``, a table of ``rid``, only pairs with one of those records are found.

    Returns one line per rule: reason, keys, pairs, pairs no earlier rule had, largest block, blocks dropped, and the
    block size the budget allowed.
    """
    n = con.execute("select count(*) from records").fetchall()[0][0]
    budget = max(PAIRS_FLOOR, PAIRS_PER_RECORD * n)
    own, apart, new, semi = "", "", "", ""
    if duplicate_free:
        # A number is cheaper to carry and to compare than a name.
        own = f", nullif(list_position([{', '.join(map(quoted, duplicate_free))}], source_system), 0)::utinyint as own"
        apart = "and coalesce(l.own <> r.own, true)"
    if touched:
        new = f"and (l.rid in (select rid from {touched}) or r.rid in (select rid from {touched}))"
        semi = "semi join kw_hot using (k)"
    con.execute("create or replace table candidate (rid_l bigint, rid_r bigint, mask bigint)")
    report: list[dict[str, Any]] = []
    for position, rule in enumerate(rules):
        if touched:
            _keyed(con, rule, f"(select * from records semi join {touched} using (rid))", "kw_hot")
        _keyed(con, rule, "records", "keyed", own, semi)
        con.execute("create or replace temp table sizes as select k, count(*) as n from keyed group by k having n > 1")
        spread = con.execute(
            "select n, count(*) * (n * (n - 1) // 2) as pairs, count(*) as blocks from sizes group by n order by n"
        ).fetchall()
        allowed, total = 1, 0
        if limits is not None:
            allowed = limits.get(rule.name, 1)
        else:
            for size, pairs, _ in spread:
                if size > MAX_BLOCK or total + pairs > (PAIRS_FLOOR if rule.is_loose else budget):
                    break
                allowed, total = size, total + pairs
            # Nothing was left out: later blocks may grow to what the budget was made for.
            if not spread or allowed == spread[-1][0]:
                allowed = max(allowed, min(MAX_BLOCK, 2 * allowed))
        dropped = sum(blocks for size, _, blocks in spread if size > allowed)
        if allowed > 1 and spread:
            con.execute(f"""
            insert into candidate
            with near as (select * from keyed semi join (select k from sizes where n <= {allowed}) using (k))
            select l.rid, r.rid, {1 << position} from near l join near r on l.k = r.k and l.rid < r.rid {apart} {new}
            """)
        report.append(
            {
                "name": rule.name,
                "reason": rule.reason,
                "largest_block": spread[-1][0] if spread else 0,
                "block_limit": allowed,
                "blocks_dropped": dropped,
                "is_limited": dropped > 0,
            }
        )
    for table in ("keyed", "sizes", "kw_hot"):
        con.execute(f"drop table if exists {table}")
    con.execute(
        "create or replace table pairs as select rid_l, rid_r, bit_or(mask) as rules from candidate "
        "group by rid_l, rid_r"
    )
    con.execute("drop table candidate")
    # The same few sets of rules propose most pairs.
    found = con.execute("select rules, count(*) from pairs group by rules").fetchall()
    for position, line in enumerate(report):
        bit = 1 << position
        line["pairs"] = sum(n for mask, n in found if mask & bit)
        line["new_pairs"] = sum(n for mask, n in found if mask & -mask == bit)
    return report


def crossings(
    con: duckdb.DuckDBPyConnection,
    limits: Mapping[str, int],
    before: str,
    changed: str,
    gone: str,
    rules: tuple[Rule, ...] = RULES,
) -> None:
    """Table ``crossed(rid)``: members of blocks that grew beyond their rule's limit, or came back within it.

    ``before`` is the table of yesterday's records, ``changed`` the records that are new or different today, ``gone``
    those that are different or deleted (tables of ``rid``). The pairs of such a block appear or vanish as a whole.
    """
    con.execute("create or replace table crossed (rid bigint)")
    con.execute(f"create or replace temp view kw_now as select * from records semi join {changed} using (rid)")
    con.execute(f"create or replace temp view kw_was as select * from {before} semi join {gone} using (rid)")
    for rule in rules:
        limit = limits.get(rule.name, 1)
        _keyed(con, rule, "kw_now", "kw_added")
        _keyed(con, rule, "kw_was", "kw_removed")
        con.execute("""
        create or replace temp table kw_moved as
        select k, sum(n) as n from (select k, 1 as n from kw_added union all select k, -1 from kw_removed)
        group by k having sum(n) <> 0
        """)
        _keyed(con, rule, "records", "keyed", semi="semi join kw_moved using (k)")
        con.execute(f"""
        insert into crossed
        select c.rid from keyed c join (
            select k from (select k, count(*) as now from keyed group by k) join kw_moved using (k)
            where (now > {limit}) <> (now - n > {limit})) using (k)
        """)
