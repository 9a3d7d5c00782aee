"""The world in one object: true people and true events, as Arrow tables."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import pyarrow as pa

from pipelines.demo.chance import Chance
from pipelines.demo.lives import Lives
from pipelines.demo.people import COUNTIES, Family, Person, populate
from pipelines.demo.sheets import Sheet


@dataclass(frozen=True)
class World:
    """True people and events. ``tables`` maps a name to an Arrow table; days are dates, times local without zone."""

    tables: dict[str, pa.Table]
    seed: int
    dirt: bool


def simulate(people: int = 26_000, seed: int = 20_260_930, dirt: bool = True) -> World:
    """A jurisdiction of at least ``people`` people over six years ending 2026-09-30.

    About one person in ten is a child who was ever in care. ``dirt`` decides whether deliveries written from this
    world carry the errors real extracts carry; the truth is the same either way. One seed, one world.
    """
    # Millions of small tuples and no cycles among them: looking for garbage would take almost half of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        chance = Chance(seed)
        families, register = populate(chance, people)
        lives = Lives(chance, register)
        lives.tell(families)
        tables = {**_people(families, register, lives), **lives.tables()}
    finally:
        if collecting:
            gc.enable()
    return World(tables, seed, dirt)


def _people(families: list[Family], register: list[Person], lives: Lives) -> dict[str, pa.Table]:
    people = Sheet(
        "person_id", "role", "sex", "birth_on", "death_on", "first_name", "middle_name", "last_name", "suffix", "race",
        "ssn", "phone", "family_id", "kind", "county", "mother_id", "father_id", "father_certainty", "twin",
        "renamed_on", "renamed_last",
    )  # fmt: skip
    homes = Sheet("family_id", "number", "start_on", "end_on", "line", "city", "zip", "county_fips")
    providers = Sheet("provider_id", "kind", "county", "adult1_id", "adult2_id", "line", "city", "zip")
    family_of: dict[int, Family] = {}
    born: dict[int, tuple[int, int | None, str, str]] = {}
    for family in families:
        for adult in (family.mother, *family.fathers, *family.kin):
            family_of[adult.id] = family
        for child in family.children:
            family_of[child.person.id] = family
            father = child.father.id if child.father else None
            born[child.person.id] = (family.mother.id, father, child.father_certainty, child.twin)
        for i, home in enumerate(family.homes):
            until = family.homes[i + 1].start if i + 1 < len(family.homes) else None
            homes.add((family.id, i, home.start, until, home.line, home.city, home.zip, COUNTIES[home.county].fips))
    for p in register:
        lived = family_of.get(p.id)
        renamed = p.renamed[-1] if p.renamed else (None, None)
        people.add((
            p.id, p.role, p.sex, p.birth, p.death, p.first, p.middle, p.last, p.suffix, p.race, p.ssn, p.phone,
            lived.id if lived else None, lived.kind if lived else "provider", lived.county if lived else None,
            *born.get(p.id, (None, None, "", "")), *renamed,
        ))  # fmt: skip
    for v in lives.providers:
        adults = [a.id for a in v.adults] + [None, None]
        providers.add((v.id, v.kind, v.county, adults[0], adults[1], v.line, COUNTIES[v.county].seat, v.zip))
    return {"people": people.arrow(), "homes": homes.arrow(), "providers": providers.arrow()}
