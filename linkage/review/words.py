"""Why a pair is shown, what its two records have in common, and what a decision would change: in plain words.

No name, date or number of a person, and no score: the words may lie in a spreadsheet or a table of pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from linkage.person.comparisons import COMPARISONS

#: Why a pair is in the queue.
REASONS = {
    "decisions_contradict": "decisions on these records and others, or what sources state, cannot all hold",
    "disputed": "reviewers disagree",
    "contradiction": "what sources state about their own records cannot all hold",
    "id_conflict": "a number agrees, and little else does",
    "two_numbers": "one person by names and dates, with two numbers of one kind and no home in common",
    "twin": "could be twins, or one child",
    "refused_by_constraint": "the records look like one person, and a rule or a source keeps them apart",
    "perhaps_one_parent": "two mothers or two fathers are stated for one child, and could be one person",
    "uncertain": "the evidence does not decide",
    "audit": "drawn at random, to measure how good the linkage is",
    "again": "decided before, and to be decided once more",
}
#: A decision, in words.
LEVEL_WORDS = {"must_link": "one person", "cannot_link": "two people", "unsure": "cannot tell"}

#: What in a family cannot be true, or is looked at before it is believed (``family_review``).
FAMILY_REASONS = {
    "parent_of_itself": "somebody is stated as their own parent",
    "impossible_age": "a parent too young or too old for the child; the statement is not believed",
    "foster_parent_as_parent": "a foster parent stated as a parent beside another one; the statement is not believed",
    "many_mothers": "a child with more than three mothers",
    "many_children": "a mother with more than twelve children; she joins no family",
    "perhaps_one_parent": "two mothers or two fathers who could be one person; asked in the queue",
}

#: What a reviewer may give as the ground of a decision with one key; anything else is written out.
GROUNDS = (
    "names and birth date",
    "a number of their own",
    "parents, children or siblings",
    "address or household",
    "twins or siblings",
    "parent and child",
    "looked up in the agency's system",
    "a mistake in one of the records",
)


@dataclass(frozen=True)
class Consequence:
    """Something a decision would change, and what it counts in the order of the queue."""

    name: str
    points: int
    words: str


CONSEQUENCES = (
    Consequence("part2", 5, "substance use treatment records (42 CFR Part 2) would join or leave other records"),
    Consequence("child_in_care", 4, "a child in care is concerned"),
    Consequence("sealed", 4, "a sealed record is concerned"),
    Consequence("family", 3, "who belongs to a family would change"),
    Consequence("published_id", 2, "a published ID would end or split"),
)

_EVIDENCE = {
    "children_of_linked_parents": "a parent of each is already one person",
    "parents_of_linked_children": "a child of each is already one person",
    "members_of_linked_cases": "their cases are one by the agencies' own numbers",
    "generation": "one is a child and the other an adult, or they are a generation apart",
    "birth_dates": "their birth dates are unlike; other records repeat them, or none with a birth date ties the two",
    "mothers": "the mothers their sources name are two people",
    "other_children": "the children their sources name are not the same",
    "perhaps_generation": "a generation seems to lie between them, and it could be a mistake",
    "numbers": "two of their birth dates and numbers have nothing in common, or two numbers of one source and no name",
    "twin": "born together under names that are not the same",
}
_NEAR = {"given_name": ("letters_given", "given name"), "surname": ("letters_surname", "surname")}
_COUNTED = ("no", "one", "two", "three")


def compared_words(row: Mapping[str, Any]) -> str:
    """What agrees and what does not, attribute by attribute, from the comparison levels ``g_*`` of a weighed pair.

    ``row`` also has ``evidence`` and, where known, ``letters_given``, ``letters_surname`` (how many letters differ)
    and ``days_apart`` (birth dates).
    """
    said: list[str] = []
    for comparison in COMPARISONS:
        level = row.get(f"g_{comparison.name}")
        if level is None or level < 0:
            continue
        words = comparison.all_levels[level].words
        if comparison.name in _NEAR and "nearly" in words:
            count, name = row.get(_NEAR[comparison.name][0]), _NEAR[comparison.name][1]
            if count in (1, 2, 3):
                words = f"{name} differs by {_COUNTED[count]} letter{'s' if count > 1 else ''}"
        if comparison.name == "birth_date" and row.get("days_apart") == 1:
            words = "birth dates one day apart"
        said.append(words)
    if row.get("is_unnamed"):
        said.append("one has no name yet")
    if (evidence := _EVIDENCE.get(row.get("evidence") or "")) is not None:
        said.append(evidence)
    return ", ".join(said) if said else "nothing both records have could be compared"


def consequence_words(row: Mapping[str, Any]) -> str:
    """What a decision would change, the weightiest first."""
    said = [c.words for c in CONSEQUENCES if row.get(c.name)]
    moved = row.get("records_moved")
    if moved:
        said.append(f"{moved} record{'s' if moved > 1 else ''} would move")
    return "; ".join(said)
