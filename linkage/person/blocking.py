"""Which pairs of records are compared at all.

Each rule is a reason and an SQL expression giving a record one key, or a list of keys; records sharing a key are
compared. Blocks that are too large are dropped, and a rule whose pairs exceed its budget keeps only its smaller
blocks: a very common name then has to be found by another rule, and the report says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import duckdb

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
    Rule("building", "the same building, whatever the names", "bldg_keys", True),
    Rule(
        "house_surname",
        "house number and surname agree, or its start and the ZIP: the street may be wrong",
        "[house || '|' || zip || left(last_std, 2), house || '|' || last_std]",
        True,
    ),
    Rule("surname_zip", "surname and ZIP agree", "list_transform(zips, lambda x: last_std || x)", True),
    Rule("given_zip", "given name and ZIP agree", "list_transform(zips, lambda x: first_std || '|' || x)", True),
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
        "array_to_string(list_sort(string_split(ssn, '')), '') || 's' || left(zip, 3), "
        "array_to_string(list_sort(string_split(ssn, '')), '') || 'd' || dob] end",
        True,
    ),
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


def block(
    con: duckdb.DuckDBPyConnection, duplicate_free: tuple[str, ...] = (), rules: tuple[Rule, ...] = RULES
) -> list[dict[str, Any]]:
    """Fill ``pairs(rid_l, rid_r, rules)`` from ``records``; ``rules`` is a bit mask in the order of the rules.

    Returns one line per rule: reason, keys, pairs, pairs no earlier rule had, largest block, blocks dropped, and the
    block size the budget allowed.
    """
    n = con.execute("select count(*) from records").fetchall()[0][0]
    budget = max(PAIRS_FLOOR, PAIRS_PER_RECORD * n)
    same_source = "and not (l.source_id = r.source_id and l.is_unique)" if duplicate_free else ""
    con.execute(
        "create or replace temp table sources as select source_system, "
        "row_number() over (order by source_system)::smallint as source_id, "
        "list_contains(?::varchar[], source_system) as is_unique "
        "from (select distinct source_system from records)",
        [list(duplicate_free)],
    )
    con.execute("create or replace table candidate (rid_l bigint, rid_r bigint, mask bigint)")
    report: list[dict[str, Any]] = []
    for position, rule in enumerate(rules):
        key = f"unnest(list_distinct({rule.key}))" if rule.is_list else rule.key
        con.execute(f"""
        create or replace temp table keyed as
        select rid, source_id, is_unique, hash(k) as k
        from (select rid, source_system, {key} as k from records) join sources using (source_system)
        where k is not null
        """)
        con.execute("create or replace temp table sizes as select k, count(*) as n from keyed group by k having n > 1")
        spread = con.execute(
            "select n, count(*) * (n * (n - 1) // 2) as pairs, count(*) as blocks from sizes group by n order by n"
        ).fetchall()
        allowed, total = 1, 0
        for size, pairs, _ in spread:
            if size > MAX_BLOCK or total + pairs > budget:
                break
            allowed, total = size, total + pairs
        dropped = sum(blocks for size, _, blocks in spread if size > allowed)
        before = con.execute("select count(*) from candidate").fetchall()[0][0]
        if allowed > 1:
            con.execute(f"""
            insert into candidate
            select distinct l.rid, r.rid, {1 << position}
            from (select keyed.* from keyed semi join (select k from sizes where n <= {allowed}) using (k)) l
            join keyed r on l.k = r.k and l.rid < r.rid {same_source}
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
    con.execute(
        "create or replace table pairs as select rid_l, rid_r, bit_or(mask) as rules from candidate "
        "group by rid_l, rid_r order by rid_l, rid_r"
    )
    con.execute("drop table candidate")
    first = dict(con.execute("select rules & -rules as bit, count(*) from pairs group by bit").fetchall())
    for position, line in enumerate(report):
        line["new_pairs"] = first.get(1 << position, 0)
    return report
