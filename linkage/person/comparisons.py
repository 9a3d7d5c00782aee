"""How two records are compared: one comparison per attribute, levels from strongest to "something else".

Conditions are DuckDB SQL on the columns of ``records``; the first that holds decides. Every comparison has a NULL
level, which says nothing either way. Which comparisons a model gets is decided by how often both sides could have
the attribute (:func:`choose`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import duckdb


@dataclass(frozen=True)
class Level:
    """A condition and what it means, in words a reviewer reads. ``start`` is the share of true pairs expected here
    before any data was seen: where training begins and what thin data falls back to."""

    condition: str
    words: str
    start: float
    frequency_of: str | None = None


@dataclass(frozen=True)
class Glance:
    """What a look at single values alone leaves possible: where ``condition`` is the first that holds, the level of
    the pair is one of ``levels`` (positions, -1 for not known)."""

    condition: str
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """One attribute. ``null_when`` holds where the pair says nothing; the last level is always "else".

    ``glances`` are for comparisons that read lists, which are costly to bring together for every pair: see
    :mod:`linkage.person.bound`. Without them the levels themselves are cheap.
    """

    name: str
    needs: str
    null_when: str
    levels: tuple[Level, ...]
    otherwise: Level
    glances: tuple[Glance, ...] = ()

    @property
    def all_levels(self) -> tuple[Level, ...]:
        """Levels from strongest to else; Splink's gamma of the first is ``len - 1``, of else 0."""
        return (*self.levels, self.otherwise)


def _close(column: str, similarity: float) -> str:
    return (
        f"(jaro_winkler_similarity({column}_l, {column}_r) >= {similarity} "
        # One typing mistake leaves the first or the last letter as it was: a cheap test first.
        f"or ((left({column}_l, 1) = left({column}_r, 1) or right({column}_l, 1) = right({column}_r, 1)) "
        f"and abs(length({column}_l) - length({column}_r)) <= 1 "
        f"and greatest(length({column}_l), length({column}_r)) > 2 "
        f"and damerau_levenshtein({column}_l, {column}_r) <= 1))"
    )


# What _SWAPPED needs at the least: a cheap test, as all pairs are asked.
_CROSSWISE = "(left(first_std_l, 1) = left(last_std_r, 1) and left(last_std_l, 1) = left(first_std_r, 1))"
_SWAPPED = (
    f"({_CROSSWISE} and first_std_l <> first_std_r "
    # JANE JONES and JONES JANE are alike, too.
    "and ((first_std_l = last_std_r and last_std_l = first_std_r) "
    "or (jaro_winkler_similarity(first_std_l, first_std_r) < 0.8 "
    "and ((jaro_winkler_similarity(first_std_l, last_std_r) >= 0.88 "
    "and jaro_winkler_similarity(last_std_l, first_std_r) >= 0.88) "
    # One of the two word for word: the other may be a nickname, or a part of a double surname.
    "or (list_contains(last_forms_r, first_std_l) "
    "and (jaro_winkler_similarity(last_std_l, first_std_r) >= 0.7 or list_contains(first_forms_r, last_std_l))) "
    "or (list_contains(last_forms_l, first_std_r) "
    "and (jaro_winkler_similarity(last_std_r, first_std_l) >= 0.7 or list_contains(first_forms_l, last_std_r)))))))"
)
_ANY_SAME = "list_has_any({0}_l, {0}_r)"


def _alike(column: str) -> str:
    """What any level of likeness needs at the least; one mistake in three letters can leave a similarity of .56."""
    return (
        f"(greatest(length({column}_l), length({column}_r)) <= 3 "
        f"or jaro_winkler_similarity({column}_l, {column}_r) >= 0.7)"
    )


def _either(column: str) -> str:
    return f"({column}_l or {column}_r)"


FIRST = Comparison(
    "given_name",
    "first_std",
    "first_std_l is null or first_std_r is null",
    (
        Level(
            "(length(first_std_l) = 1 or length(first_std_r) = 1) and left(first_std_l, 1) = left(first_std_r, 1)",
            "only an initial, and it agrees",
            0.02,
        ),
        Level("first_std_l = first_std_r", "given name agrees", 0.80, "first_std"),
        Level("list_has_any(first_forms_l, first_forms_r)", "a nickname or another recorded given name", 0.04),
        Level(_SWAPPED, "given name and surname exchanged", 0.01),
        Level(_close("first_std", 0.92), "given name nearly agrees", 0.07),
        Level(
            "jaro_winkler_similarity(first_std_l, first_std_r) >= 0.8 or first_std_l = middle_std_r "
            "or middle_std_l = first_std_r",
            "given name is similar, or is the other's middle name",
            0.03,
        ),
    ),
    Level("ELSE", "given names differ", 0.03),
    (
        Glance("first_std_l is null or first_std_r is null", (-1,)),
        Glance("first_std_l = first_std_r and length(first_std_l) > 1", (1,)),
        Glance("length(first_std_l) = 1 or length(first_std_r) = 1", (0, 2, 3, 4, 5, 6)),
        Glance(_CROSSWISE, (2, 3, 4, 5, 6)),
        Glance(
            f"{_alike('first_std')} or first_std_l = middle_std_r or middle_std_l = first_std_r",
            (2, 4, 5, 6),
        ),
        Glance(_either("has_first_forms"), (2, 6)),
        Glance("true", (6,)),
    ),
)
LAST = Comparison(
    "surname",
    "last_std",
    f"last_std_l is null or last_std_r is null or {_SWAPPED}",
    (
        Level("last_std_l = last_std_r", "surname agrees", 0.84, "last_std"),
        Level("list_has_any(last_forms_l, last_forms_r)", "a part of the surname or an earlier surname agrees", 0.04),
        Level(_close("last_std", 0.92), "surname nearly agrees", 0.06),
        Level("jaro_winkler_similarity(last_std_l, last_std_r) >= 0.82", "surname is similar", 0.02),
    ),
    Level("ELSE", "surnames differ", 0.04),
    (
        Glance("last_std_l is null or last_std_r is null", (-1,)),
        Glance(f"{_CROSSWISE} and last_std_l = last_std_r", (-1, 0)),
        Glance("last_std_l = last_std_r", (0,)),
        Glance(_CROSSWISE, (-1, 1, 2, 3, 4)),
        Glance(_alike("last_std"), (1, 2, 3, 4)),
        Glance(_either("has_last_forms"), (1, 4)),
        Glance("true", (4,)),
    ),
)
MIDDLE = Comparison(
    "middle_name",
    "middle_std",
    "middle_std_l is null or middle_std_r is null",
    (
        Level("middle_std_l = middle_std_r", "middle name or initial agrees", 0.80),
        # ROBERT and ROMAN are two names, whatever they begin with.
        Level(
            "left(middle_std_l, 1) = left(middle_std_r, 1) and (length(middle_std_l) = 1 or length(middle_std_r) = 1 "
            "or jaro_winkler_similarity(middle_std_l, middle_std_r) >= 0.85)",
            "middle initial agrees, or middle names nearly do",
            0.14,
        ),
    ),
    Level("ELSE", "middle names differ", 0.06),
)
BIRTH = Comparison(
    "birth_date",
    "dob",
    "dob_l is null or dob_r is null",
    (
        Level("length(dob_l) = 10 and dob_l = dob_r", "birth date agrees", 0.88),
        Level(
            "(length(dob_l) = 4 or length(dob_r) = 4) and left(dob_l, 4) = left(dob_r, 4)",
            "only the birth year is known, and it agrees",
            0.01,
        ),
        Level(
            "left(dob_l, 4) = left(dob_r, 4) and substr(dob_l, 6, 2) = substr(dob_r, 9, 2) "
            "and substr(dob_l, 9, 2) = substr(dob_r, 6, 2)",
            "day and month exchanged",
            0.01,
        ),
        # The cheap half first: one wrong digit leaves two of year, month and day as they were.
        Level(
            "((left(dob_l, 4) = left(dob_r, 4))::int + (substr(dob_l, 6, 2) = substr(dob_r, 6, 2))::int "
            "+ (substr(dob_l, 9, 2) = substr(dob_r, 9, 2))::int) = 2 and damerau_levenshtein(dob_l, dob_r) <= 1",
            "one digit of the birth date differs",
            0.05,
        ),
        Level(
            "(left(dob_l, 4) = left(dob_r, 4) and (substr(dob_l, 6, 2) = substr(dob_r, 6, 2) "
            "or substr(dob_l, 9, 2) = substr(dob_r, 9, 2))) or substr(dob_l, 6, 5) = substr(dob_r, 6, 5)",
            "two of year, month and day agree",
            0.02,
        ),
        Level(
            "left(dob_l, 4) = left(dob_r, 4) or abs(date_diff('day', birth_date_l, birth_date_r)) <= 31",
            "birth year agrees, or a month apart",
            0.01,
        ),
        Level(
            "abs(left(dob_l, 4)::int - left(dob_r, 4)::int) between 15 and 50",
            "birth dates a generation apart",
            0.006,
        ),
    ),
    Level("ELSE", "birth dates differ", 0.014),
    (
        Glance("dob_l is null or dob_r is null", (-1,)),
        Glance("dob_l = dob_r and key_day_l is not null", (0,)),
        Glance("key_day_l is null or key_day_r is null", (1, 2, 3, 4, 5, 6, 7)),
        Glance("key_year_l = key_year_r and (key_month_l = key_month_r or key_day_l = key_day_r)", (2, 3, 4)),
        Glance("key_year_l = key_year_r", (2, 5)),
        Glance("key_month_l = key_month_r and key_day_l = key_day_r", (3, 4)),
        Glance("abs(key_year_l - key_year_r) <= 1", (5, 7)),
        Glance("abs(key_year_l - key_year_r) between 15 and 50", (6,)),
        Glance("true", (7,)),
    ),
)
SEX = Comparison(
    "sex",
    "sex",
    "sex_l is null or sex_r is null",
    (Level("sex_l = sex_r", "sex agrees", 0.985),),
    Level("ELSE", "sex differs", 0.015),
)
SUFFIX = Comparison(
    "suffix",
    "suffix",
    "suffix_l is null or suffix_r is null",
    (Level("suffix_l = suffix_r", "JR, SR or number agrees", 0.97),),
    Level("ELSE", "JR, SR or number differs", 0.03),
)
SSN = Comparison(
    "ssn",
    "ssn",
    "(ssn_l is null or ssn_r is null) and (last4_l is null or last4_r is null)",
    (
        Level("ssn_l = ssn_r", "social security number agrees", 0.90),
        Level(
            "(left(ssn_l, 4) = left(ssn_r, 4) or right(ssn_l, 3) = right(ssn_r, 3)) "
            "and damerau_levenshtein(ssn_l, ssn_r) <= 1",
            "one digit of the social security number differs",
            0.06,
        ),
        Level("last4_l = last4_r", "last four digits agree", 0.01),
    ),
    Level("ELSE", "social security numbers differ", 0.03),
    (
        Glance("(ssn_l is null or ssn_r is null) and (last4_l is null or last4_r is null)", (-1,)),
        Glance("ssn_l = ssn_r", (0,)),
        Glance("key_ssn_head_l = key_ssn_head_r or key_ssn_tail_l = key_ssn_tail_r", (1, 2, 3)),
        Glance("last4_l = last4_r", (2,)),
        Glance("true", (3,)),
    ),
)
MEDICAID = Comparison(
    "medicaid_id",
    "medicaid_id",
    "medicaid_id_l is null or medicaid_id_r is null",
    (
        Level("medicaid_id_l = medicaid_id_r", "Medicaid number agrees", 0.93),
        Level(
            "(left(medicaid_id_l, 4) = left(medicaid_id_r, 4) or right(medicaid_id_l, 3) = right(medicaid_id_r, 3)) "
            "and damerau_levenshtein(medicaid_id_l, medicaid_id_r) <= 1",
            "Medicaid number nearly agrees",
            0.02,
        ),
    ),
    Level("ELSE", "Medicaid numbers differ", 0.05),
    (
        Glance("medicaid_id_l is null or medicaid_id_r is null", (-1,)),
        Glance("medicaid_id_l = medicaid_id_r", (0,)),
        Glance("key_id_head_l = key_id_head_r or key_id_tail_l = key_id_tail_r", (1, 2)),
        Glance("true", (2,)),
    ),
)
ADDRESS = Comparison(
    "address",
    "zips",
    "((addr_keys_l is null and zips_l is null and city_l is null) "
    "or (addr_keys_r is null and zips_r is null and city_r is null)) "
    # A child's placement against its parents' home says nothing.
    "or (((has_placement_l and not has_home_l and has_home_r and not has_placement_r) "
    "or (has_placement_r and not has_home_r and has_home_l and not has_placement_l)) "
    "and not coalesce(list_has_any(bldg_keys_l, bldg_keys_r), false))",
    (
        Level(_ANY_SAME.format("addr_keys"), "address agrees", 0.50),
        Level(_ANY_SAME.format("bldg_keys"), "building agrees", 0.06),
        Level(_ANY_SAME.format("street_keys"), "house and street agree", 0.06),
        Level(
            "(house_l = house_r and jaro_winkler_similarity(street_l, street_r) >= 0.85) "
            "or ((house_l = house_r or list_has_any(zips_l, zips_r)) "
            "and list_has_any(street_words_l, street_words_r))",
            "address nearly agrees",
            0.08,
        ),
        Level(_ANY_SAME.format("zips"), "ZIP agrees", 0.10),
        Level("city_l = city_r or damerau_levenshtein(zip_l, zip_r) <= 1", "city agrees, or nearly the ZIP", 0.06),
    ),
    Level("ELSE", "lives elsewhere", 0.14),
    (
        Glance("not has_place_l or not has_place_r", (-1,)),
        Glance(
            f"{_either('has_places')} or key_addr_l = key_addr_r or key_bldg_l = key_bldg_r "
            "or key_street_l = key_street_r",
            (-1, 0, 1, 2, 3, 4, 5, 6),
        ),
        Glance("house_l = house_r or key_zip_l = key_zip_r", (-1, 3, 4, 5, 6)),
        Glance(_either("has_placement"), (-1, 5, 6)),
        Glance("true", (5, 6)),
    ),
)
PHONE = Comparison(
    "phone",
    "phone",
    "phone_l is null or phone_r is null",
    (Level("phone_l = phone_r", "telephone number agrees", 0.6),),
    Level("ELSE", "telephone numbers differ", 0.4),
)
MOTHER = Comparison(
    "mother",
    "mother_first",
    "mother_first_l is null or mother_first_r is null",
    (
        Level("mother_first_l = mother_first_r and mother_last_l = mother_last_r", "mother's name agrees", 0.75),
        Level("mother_first_l = mother_first_r", "mother's given name agrees", 0.12),
        Level("jaro_winkler_similarity(mother_first_l, mother_first_r) >= 0.88", "mother's name nearly agrees", 0.08),
    ),
    Level("ELSE", "mothers' names differ", 0.05),
)
COMPARISONS = (FIRST, LAST, MIDDLE, BIRTH, SEX, SUFFIX, SSN, MEDICAID, ADDRESS, PHONE, MOTHER)
BY_NAME = {c.name: c for c in COMPARISONS}

#: An attribute filled in fewer records than this, or in fewer than the count, is left out of the model.
MIN_SHARE = 0.005
MIN_RECORDS = 50


def choose(con: duckdb.DuckDBPyConnection, where: str = "true") -> list[Comparison]:
    """The comparisons the records satisfying ``where`` can support."""
    wanted = ", ".join(f"count({c.needs if c is not ADDRESS else 'coalesce(zip, city)'})" for c in COMPARISONS)
    total, *filled = con.execute(f"select count(*), {wanted} from records where {where}").fetchall()[0]
    least = max(MIN_SHARE * total, min(MIN_RECORDS, total * 0.05))
    # Names are always compared: a model needs something, even where a file is all but empty.
    return [c for c, n in zip(COMPARISONS, filled, strict=True) if c in (FIRST, LAST) or n >= max(least, 2)]


def _distinct(m: list[float], u: list[float]) -> list[float]:
    """``m`` moved by less than a millionth so that no two levels have one weight and none has weight 0."""
    out: list[float] = []
    seen: list[float] = [0.0]
    for value, other in zip(m, u, strict=True):
        while any(abs(math.log2(value / other) - w) < 1e-6 for w in seen):
            value *= 1 - 2e-6
        seen.append(math.log2(value / other))
        out.append(value)
    return out


def settings(
    comparisons: list[Comparison],
    m: dict[str, list[float]] | None = None,
    u: dict[str, list[float]] | None = None,
    prior: float = 1e-4,
) -> dict[str, Any]:
    """A Splink settings dictionary. ``m`` and ``u`` list probabilities from the strongest level to else."""
    described = []
    for comparison in comparisons:
        size = len(comparison.all_levels)
        # Untrained settings give level i the weight -(i + 1), so that levels can be told apart before training.
        own_u = (u or {}).get(comparison.name) or [0.5] * size
        own_m = (m or {}).get(comparison.name) or [0.5 * 2.0 ** -(i + 1) for i in range(size)]
        own_m = _distinct(own_m, own_u)
        levels: list[dict[str, Any]] = [
            {"sql_condition": comparison.null_when, "label_for_charts": "not known", "is_null_level": True}
        ]
        for position, level in enumerate(comparison.all_levels):
            entry: dict[str, Any] = {"sql_condition": level.condition, "label_for_charts": level.words}
            if level.frequency_of:
                entry["tf_adjustment_column"] = level.frequency_of
                # Two people sharing a name held by one record in a million must not outweigh everything else.
                entry["tf_minimum_u_value"] = 1e-5
            entry["m_probability"], entry["u_probability"] = own_m[position], own_u[position]
            levels.append(entry)
        described.append({"output_column_name": comparison.name, "comparison_levels": levels})
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "rid",
        "comparisons": described,
        "blocking_rules_to_generate_predictions": [],
        "probability_two_random_records_match": prior,
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
    }
