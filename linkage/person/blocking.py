"""Which pairs of records are compared at all.

Each rule is a reason and an SQL expression giving a record one key, or a list of keys; records sharing a key are
compared. Blocks that are too large are dropped, and a rule whose pairs exceed its budget keeps only its smaller
blocks: a very common name then has to be found by another rule, and the report says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from linkage.store import in_list

#: Pairs a single rule may add, per record; smaller files are allowed the floor.
PAIRS_PER_RECORD = 2
PAIRS_FLOOR = 400_000
#: No block is compared beyond this size, whatever the budget.
MAX_BLOCK = 300


@dataclass(frozen=True)
class Rule:
    """One reason to compare two records. ``key`` gives NULL where the rule does not apply."""

    name: str
    reason: str
    key: str
    is_list: bool = False
    #: One reason alone: only where it costs little, so its pairs do not grow with the file.
    is_loose: bool = False


_MONTH_DAY = "case when length(dob) = 10 then least(dob[6:7], dob[9:10]) || greatest(dob[6:7], dob[9:10]) end"
_SKELETON = "left({0}, 1) || regexp_replace(substr({0}, 2), '[AEIOUYHW]', '', 'g')"

RULES: tuple[Rule, ...] = (
    Rule("ssn", "the same social security number", "ssn"),
    Rule("medicaid_id", "the same Medicaid number", "medicaid_id"),
    Rule(
        "names_birth_year",
        "given name, any surname and birth year agree",
        "list_transform(last_forms, lambda x: first_std || '|' || x || '|' || birth_year)",
        True,
    ),
    Rule(
        "birth_date_name_start",
        "birth date and the start of a name agree, whichever name it was written as",
        "case when length(dob) = 10 then [dob || left(first_std, 3), dob || left(last_std, 3)] end",
        True,
    ),
    Rule(
        "birth_date_given_sound",
        "birth date and consonants of the given name agree",
        f"case when length(dob) = 10 and length(first_std) > 2 then dob || {_SKELETON.format('first_std')} end",
    ),
    Rule(
        "birth_date_surname",
        "birth date and any surname agree",
        "case when length(dob) = 10 then list_transform(last_forms, lambda x: dob || x) end",
        True,
    ),
    Rule(
        "birth_date_address",
        "birth date and building agree",
        "case when length(dob) = 10 then list_transform(bldg_keys, lambda x: dob || x) end",
        True,
    ),
    Rule(
        "birth_date_zip",
        "birth date, sex and ZIP agree: both names may be wrong",
        "case when length(dob) = 10 then list_transform(zips, lambda x: dob || coalesce(sex, '') || x) end",
        True,
    ),
    Rule(
        "address_given",
        "building and start of the given name agree",
        "list_transform(bldg_keys, lambda x: x || '|' || left(first_std, 2))",
        True,
    ),
    Rule(
        "street_given_surname",
        "house, street and initials agree: the ZIP may be wrong",
        "list_transform(street_keys, lambda x: x || left(first_std, 1) || left(last_std, 1))",
        True,
    ),
    Rule("building", "the same building, whatever the names", "bldg_keys", True, True),
    Rule(
        "house_surname",
        "house number and surname agree, or its start and the ZIP: the street may be wrong",
        "[house || '|' || zip || left(last_std, 2), house || '|' || last_std]",
        True,
    ),
    Rule("surname_zip", "surname and ZIP agree", "list_transform(zips, lambda x: last_std || x)", True, True),
    Rule("given_zip", "given name and ZIP agree", "list_transform(zips, lambda x: first_std || '|' || x)", True, True),
    Rule(
        "names_zip",
        "given name, surname and ZIP agree",
        "list_transform(zips, lambda x: first_std || '|' || last_std || x)",
        True,
    ),
    Rule("names_city", "given name, surname and city agree", "first_std || '|' || last_std || '|' || city"),
    Rule(
        "names_middle",
        "given name, middle initial and surname agree",
        "first_std || '|' || left(middle_std, 1) || '|' || last_std",
    ),
    Rule("full_name", "a full name few people have", "first_std || '|' || last_std"),
    Rule(
        "sounding_names_zip",
        "consonants of both names and ZIP agree",
        f"list_transform(zips, lambda x: {_SKELETON.format('first_std')} || '|' || {_SKELETON.format('last_std')}"
        " || x)",
        True,
    ),
    Rule(
        "swapped_names",
        "given name and surname are exchanged; birth year or ZIP agrees",
        "case when length(first_std) > 1 and length(last_std) > 1 then "
        "[least(first_std, last_std) || '|' || greatest(first_std, last_std) || coalesce(birth_year::varchar, zip), "
        "least(first_std, last_std) || '|' || greatest(first_std, last_std) || zip] end",
        True,
    ),
    Rule(
        "swapped_day_month",
        "day and month are exchanged, the rest agrees",
        f"birth_year || {_MONTH_DAY} || left(first_std, 2) || left(last_std, 1)",
    ),
    Rule(
        "birth_day_names",
        "birth day and month and the starts of both names agree: the year may be wrong",
        "case when length(dob) = 10 then dob[6:10] || left(first_std, 3) || left(last_std, 4) end",
    ),
    Rule(
        "birth_month_names",
        "birth year and month, given name and start of the surname agree",
        "case when length(dob) = 10 then left(dob, 7) || first_std || left(last_std, 2) end",
    ),
    Rule(
        "surname_birth_month",
        "surname, sex, birth year and month agree: given name and day may be wrong",
        "case when length(dob) = 10 then last_std || left(dob, 7) || coalesce(sex, '') end",
    ),
    Rule(
        "surname_birth_day",
        "surname, sex, birth month and day agree: given name and year may be wrong",
        "case when length(dob) = 10 then last_std || dob[6:10] || coalesce(sex, '') end",
    ),
    Rule(
        "surname_middle_birth_year",
        "surname, sex, middle initial and birth year agree",
        "last_std || left(middle_std, 1) || birth_year || coalesce(sex, '')",
    ),
    Rule(
        "ssn_last4",
        "last four digits and birth date, or names, agree",
        "list_filter([last4 || dob, last4 || first_std || left(last_std, 2)], lambda x: x is not null)",
        True,
    ),
    Rule(
        "ssn_parts",
        "part of the social security number agrees, or all digits in another order, and something else does",
        "case when ssn is not null then [left(ssn, 5) || 'f' || left(first_std, 3) || left(last_std, 2), "
        "substr(ssn, 4) || 'b' || left(first_std, 2), left(ssn, 4) || 'z' || zip, "
        "array_to_string(list_sort(string_split(ssn, '')), '') || 's' || zip, "
        "array_to_string(list_sort(string_split(ssn, '')), '') || 'd' || dob] end",
        True,
    ),
    Rule("birth_date", "the same birth date", "case when length(dob) = 10 then dob end", is_loose=True),
    Rule(
        "surname",
        "the same surname, or the same given name in its place",
        "list_distinct(list_append(last_forms, case when length(first_std) > 1 then first_std end))",
        True,
        True,
    ),
    Rule("given_birth_year", "given name and birth year agree", "first_std || birth_year", is_loose=True),
    Rule("given_city", "given name and city agree", "first_std || '|' || city", is_loose=True),
    Rule("surname_city", "surname and city agree", "last_std || '|' || city", is_loose=True),
    Rule("phone_given", "telephone number and initial agree", "phone || left(first_std, 1)"),
    Rule(
        "mother_birth_date",
        "mother's name and the child's birth date agree: the child may be unnamed",
        "case when is_child and length(dob) = 10 then dob || left(mother_first, 3) || coalesce(left(mother_last, 2), "
        "'') end",
    ),
    Rule(
        "unnamed_newborn",
        "an unnamed child: surname, birth date and sex agree",
        "case when is_child and length(dob) = 10 then list_transform(last_forms, lambda x: x || dob "
        "|| coalesce(sex, '')) end",
        True,
    ),
    Rule(
        "mothers_number",
        "a child under its mother's Medicaid number and birth date",
        "mother_medicaid_id || dob",
    ),
    Rule(
        "case_given",
        "the same case of the same source and the same initial",
        "source_system || '|' || case_key || '|' || left(first_std, 1)",
    ),
)


def fingerprint() -> str:
    """Of the rules and limits: pairs found under other rules are not comparable."""
    return hashlib.sha256(repr((RULES, PAIRS_PER_RECORD, PAIRS_FLOOR, MAX_BLOCK)).encode()).hexdigest()[:16]


def _keyed(con: duckdb.DuckDBPyConnection, rule: Rule, records: str, out: str, semi: str = "") -> None:
    key = f"unnest(list_distinct({rule.key}))" if rule.is_list else rule.key
    con.execute(
        f"create or replace temp table {out} as select rid, source_system, hash(k) as k "
        f"from (select rid, source_system, {key} as k from {records}) {semi} where k is not null"
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
    apart = ""
    if duplicate_free:
        apart = f"and not (l.source_system = r.source_system and l.source_system in {in_list(duplicate_free)})"
    con.execute("create or replace table candidate (rid_l bigint, rid_r bigint, mask bigint)")
    report: list[dict[str, Any]] = []
    for position, rule in enumerate(rules):
        _keyed(con, rule, "records", "keyed")
        if touched:
            con.execute(
                "create or replace temp table keyed as select * from keyed "
                f"semi join (select k from keyed semi join {touched} using (rid)) using (k)"
            )
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
        before = con.execute("select count(*) from candidate").fetchall()[0][0]
        if allowed > 1 and spread:
            new = (
                f"and (l.rid in (select rid from {touched}) or r.rid in (select rid from {touched}))" if touched else ""
            )
            con.execute(f"""
            insert into candidate
            select {"distinct" if rule.is_list else ""} l.rid, r.rid, {1 << position}
            from (select keyed.* from keyed semi join (select k from sizes where n <= {allowed}) using (k)) l
            join keyed r on l.k = r.k and l.rid < r.rid {apart} {new}
            """)
        after = con.execute("select count(*) from candidate").fetchall()[0][0]
        report.append(
            {
                **{k: v for k, v in asdict(rule).items() if k in ("name", "reason")},
                "pairs": after - before,
                "largest_block": spread[-1][0] if spread else 0,
                "block_limit": allowed,
                "blocks_dropped": dropped,
                "is_limited": dropped > 0,
            }
        )
    con.execute("drop table if exists keyed")
    con.execute(
        "create or replace table pairs as select rid_l, rid_r, bit_or(mask) as rules from candidate "
        "group by rid_l, rid_r"
    )
    con.execute("drop table candidate")
    first = dict(con.execute("select rules & -rules as bit, count(*) from pairs group by bit").fetchall())
    for position, line in enumerate(report):
        line["new_pairs"] = first.get(1 << position, 0)
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
        _keyed(
            con,
            rule,
            "records",
            "keyed",
            "semi join (select hash_k from (select k as hash_k from kw_moved)) on hash_k = hash(k)",
        )
        con.execute(f"""
        insert into crossed
        select c.rid from keyed c join (
            select k from (select k, count(*) as now from keyed group by k) join kw_moved using (k)
            where (now > {limit}) <> (now - n > {limit})) using (k)
        """)
