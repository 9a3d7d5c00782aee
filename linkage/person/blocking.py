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
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from linkage.store import quoted

Numbers = NDArray[np.uint64]

#: Pairs a single rule may add, per record; smaller files are allowed the floor.
PAIRS_PER_RECORD = 1
PAIRS_FLOOR = 400_000
#: No block is compared beyond this size, whatever the budget.
MAX_BLOCK = 300
#: Bits of a packed key that hold the row of its record; the others hold a hash. Rows of more records than these hold
#: take more. Two unlike keys that share what is left of their hashes, one in 2 ** 40, propose a pair too many.
ROW_BITS = 24


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
_DIGITS = " + ".join(f"(1::bigint << (4 * (try_cast(ssn as bigint) // {10**i} % 10)))" for i in range(9))

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


def _packed(con: duckdb.DuckDBPyConnection, rule: Rule, records: str, bits: int, row: str = "rowid") -> Numbers:
    """The keys of table ``records`` under ``rule``, sorted: a hash, and in the low ``bits`` the row of the record."""
    source = f"(select *, {row} as row, unnest({rule.each}) as x from {records})" if rule.each else records
    row = "row" if rule.each else row
    # Every part once: several keys share them, and the digits of a number are dear to count.
    parts = {part: f"part_{i}" for i, part in enumerate(dict.fromkeys(part for key in rule.keys for part in key))}
    listed = ", ".join(f"{part} as {name}" for part, name in parts.items())
    keys = []
    for key in rule.keys:
        names = [parts[part] for part in key]
        packed = f"(hash({', '.join(names)}) & {2**64 - 2**bits}::ubigint) | row::ubigint"
        keys.append(f"case when {' is not null and '.join(names)} is not null then {packed} end")
    each = keys[0] if len(keys) == 1 else f"unnest([{', '.join(keys)}])"
    found = con.execute(
        f"select k from (select {each} as k from (select {row} as row, {listed} from {source})) where k is not null"
    ).fetchnumpy()["k"]
    keyed: Numbers = np.asarray(found, dtype=np.uint64)
    keyed.sort()
    return keyed


def _blocks(keyed: Numbers, bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each block of packed keys starts, and how many keys it has."""
    hashes = keyed >> np.uint64(bits)
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(keyed)), dtype=bool), hashes[1:] != hashes[:-1]]))
    return starts, np.diff(np.append(starts, len(keyed)))


def _rows(keyed: Numbers, bits: int) -> NDArray[np.int64]:
    return (keyed & np.uint64(2**bits - 1)).astype(np.int64)


def _counted(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Each value and how often it occurs, in order."""
    return [(int(value), int(n)) for value, n in np.column_stack(np.unique(values, return_counts=True))]


def _row_bits(con: duckdb.DuckDBPyConnection) -> int:
    last = con.execute("select coalesce(max(rowid), 0) from records").fetchall()[0][0]
    return max(ROW_BITS, int(last).bit_length())


def _is_in(con: duckdb.DuckDBPyConnection, table: str, size: int) -> NDArray[np.bool_]:
    """For each row of ``records``: is its ``rid`` in ``table``?"""
    marks = np.zeros(size, dtype=bool)
    marks[con.execute(f"select r.rowid as i from records r semi join {table} using (rid)").fetchnumpy()["i"]] = True
    return marks


def block(
    con: duckdb.DuckDBPyConnection,
    duplicate_free: tuple[str, ...] = (),
    limits: Mapping[str, int] | None = None,
    touched: str | None = None,
    rules: tuple[Rule, ...] = RULES,
) -> list[dict[str, Any]]:
    """Fill ``pairs(rid_l, rid_r, is_child_pair, by_one_rule)``: each pair of ``records`` once, whoever found it.

    ``limits`` names the largest block compared per rule, as a model froze it; without, the budget decides. With
    ``touched``, a table of ``rid``, only pairs with one of those records are found.

    Returns one line per rule: reason, keys, pairs, pairs no earlier rule had, largest block, blocks dropped, and the
    block size the budget allowed.
    """
    bits, rule_bits = _row_bits(con), len(rules).bit_length()
    if 2 * bits + rule_bits > 63:
        raise ValueError("more records than blocking can number")
    # The number of a source without duplicates; 0 for the others.
    vouching = f"[{', '.join(map(quoted, duplicate_free))}]::varchar[]"
    known = con.execute(
        f"select rowid as i, rid, is_child, coalesce(list_position({vouching}, source_system), 0)::utinyint as own "
        "from records"
    ).fetchnumpy()
    size = int(known["i"].max()) + 1 if len(known["i"]) else 0
    rids, own, is_child = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.uint8), np.zeros(size, dtype=bool)
    for column, values in ((rids, "rid"), (own, "own"), (is_child, "is_child")):
        column[known["i"]] = known[values]
    is_touched = _is_in(con, touched, size) if touched else None
    budget = max(PAIRS_FLOOR, PAIRS_PER_RECORD * len(known["i"]))
    # A pair and the rule that found it are one number: its rows, then the place of the rule.
    found: list[NDArray[np.int64]] = []
    report: list[dict[str, Any]] = []
    for position, rule in enumerate(rules):
        keyed = _packed(con, rule, "records", bits)
        starts, sizes = _blocks(keyed, bits)
        spread = [(n, blocks) for n, blocks in _counted(sizes) if n > 1]
        if is_touched is not None and len(starts):
            hot = np.logical_or.reduceat(is_touched[_rows(keyed, bits)], starts)
            starts, sizes = starts[hot], sizes[hot]
        allowed, total = 1, 0
        if limits is not None:
            allowed = limits.get(rule.name, 1)
        else:
            for n, blocks in spread:
                pairs = blocks * (n * (n - 1) // 2)
                if n > MAX_BLOCK or total + pairs > (PAIRS_FLOOR if rule.is_loose else budget):
                    break
                allowed, total = n, total + pairs
            # Nothing was left out: later blocks may grow to what the budget was made for.
            if not spread or allowed == spread[-1][0]:
                allowed = max(allowed, min(MAX_BLOCK, 2 * allowed))
        dropped = sum(blocks for n, blocks in spread if n > allowed)
        for n, _ in spread:
            if n > allowed:
                break
            members = _rows(keyed[starts[sizes == n][:, None] + np.arange(n)], bits)
            one, other = (members[:, side].ravel() for side in np.triu_indices(n, 1))
            is_new = (one != other) & ((own[one] != own[other]) | (own[one] == 0))
            if is_touched is not None:
                is_new &= is_touched[one] | is_touched[other]
            one, other = one[is_new], other[is_new]
            rows = (np.minimum(one, other) << bits) | np.maximum(one, other)
            found.append((rows << rule_bits) | position)
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
    every = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
    found.clear()
    every.sort()
    rows = every >> rule_bits
    firsts = np.flatnonzero(np.concatenate([np.ones(min(1, len(rows)), dtype=bool), rows[1:] != rows[:-1]]))
    rows = rows[firsts]
    bit = np.int64(1) << (every & (2**rule_bits - 1))
    masks = np.bitwise_or.reduceat(bit, firsts) if len(firsts) else bit
    del every, bit
    one, other = rows >> bits, rows & (2**bits - 1)
    ends = rids[one], rids[other]
    con.register(
        "kw_found",
        pa.table(
            {
                "rid_l": np.minimum(*ends),
                "rid_r": np.maximum(*ends),
                "is_child_pair": is_child[one] | is_child[other],
                "by_one_rule": (masks & (masks - 1)) == 0,
            }
        ),
    )
    con.execute("create or replace table pairs as select * from kw_found")
    con.unregister("kw_found")
    # The same few sets of rules propose most pairs.
    sets = _counted(masks)
    for position, line in enumerate(report):
        own_bit = 1 << position
        line["pairs"] = sum(n for mask, n in sets if mask & own_bit)
        line["new_pairs"] = sum(n for mask, n in sets if mask & -mask == own_bit)
    return report


def crossings(
    con: duckdb.DuckDBPyConnection,
    limits: Mapping[str, int],
    before: str,
    changed: str,
    gone: str,
    largest: Mapping[str, int],
    rules: tuple[Rule, ...] = RULES,
) -> None:
    """Table ``crossed(rid)``: members of blocks that grew beyond their rule's limit, or came back within it.

    ``before`` is the table of yesterday's records, ``changed`` the records that are new or different today, ``gone``
    those that are different or deleted (tables of ``rid``); ``largest`` names yesterday's largest block per rule. The
    pairs of such a block appear or vanish as a whole.
    """
    bits = _row_bits(con)
    size = con.execute("select coalesce(max(rowid), -1) + 1 from records").fetchall()[0][0]
    is_changed, is_crossed = _is_in(con, changed, size), np.zeros(size, dtype=bool)
    was = f"(select * from {before} semi join {gone} using (rid))"
    now_new = f"(select * from records semi join {changed} using (rid))"
    for rule in rules:
        limit = limits.get(rule.name, 1)
        growth = _blocks(_packed(con, rule, now_new, bits, row="0"), bits)[1].max(initial=0)
        # Most rules have no block near their limit: then none was beyond it, and none can be.
        if largest[rule.name] + growth <= limit:
            continue
        keyed = _packed(con, rule, "records", bits)
        if not len(keyed):
            continue
        starts, now = _blocks(keyed, bits)
        rows = _rows(keyed, bits)
        added = np.add.reduceat(is_changed[rows].astype(np.int64), starts)
        # What a block that is still there has lost.
        left = _packed(con, rule, was, bits, row="0")
        removed = np.searchsorted(left, keyed[starts] | np.uint64(2**bits - 1), side="right") - np.searchsorted(
            left, keyed[starts] & ~np.uint64(2**bits - 1)
        )
        crossed = (now > limit) != (now - added + removed > limit)
        is_crossed[rows[np.repeat(crossed, now)]] = True
    con.register("kw_crossed", pa.table({"row": np.flatnonzero(is_crossed)}))
    con.execute("create or replace table crossed as select rid from records r join kw_crossed c on c.row = r.rowid")
    con.unregister("kw_crossed")
