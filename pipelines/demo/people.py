"""Who lives in the jurisdiction: families with their births, twins, half-siblings, moves and changes of name.

Days are whole numbers counted from 1970-01-01. What does not belong here: agencies and what they do.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from pipelines.demo.chance import Chance

EPOCH = dt.date(1970, 1, 1)


def day(year: int, month: int, dom: int) -> int:
    """The day number of a date."""
    return (dt.date(year, month, dom) - EPOCH).days


def date(number: int) -> dt.date:
    """The date of a day number."""
    return dt.date.fromordinal(number + EPOCH.toordinal())


START = day(2020, 10, 1)
END = day(2026, 9, 30)

STATE = "ZZ"


@dataclass(frozen=True)
class County:
    """A county: its FIPS code (of a state that does not exist), court habits, and its court-team site if any."""

    fips: str
    name: str
    seat: str
    zips: tuple[str, ...]
    share: float
    site: str | None
    launched: int | None
    cases_per_child: bool


COUNTIES = (
    County("99001", "Alder", "Alderton", ("98701", "98702", "98703", "98704"), 0.45, "alder", day(2021, 4, 1), True),
    County("99003", "Birch", "Birch Falls", ("98721", "98722", "98723"), 0.30, "birch", day(2022, 10, 1), False),
    County("99005", "Cedar", "Cedar City", ("98741", "98742"), 0.25, None, None, True),
)

#: Rolled-up race and ethnicity: two-letter words used only inside the simulation.
RACES = ("white", "black", "hispanic", "aian", "asian", "nhpi", "multiple", "unknown")
_RACE_SHARES = (0.54, 0.20, 0.15, 0.03, 0.02, 0.005, 0.045, 0.01)


@dataclass(slots=True)
class Home:
    """Where a family lives from ``start`` until the next home begins."""

    start: int
    line: str
    city: str
    zip: str
    county: int


@dataclass(slots=True)
class Person:
    """One true person."""

    id: int
    role: str
    sex: str
    birth: int
    first: str
    middle: str
    last: str
    race: str
    ssn: str
    suffix: str = ""
    death: int | None = None
    phone: str = ""
    #: (day, new surname), in order of time.
    renamed: list[tuple[int, str]] = field(default_factory=list)

    def surname_on(self, when: int) -> str:
        """The surname in use on a day."""
        name = self.last
        for since, other in self.renamed:
            if since <= when:
                name = other
        return name


@dataclass(slots=True)
class Child:
    """A birth: the child, the father, how sure anyone is of him, and whether it came with a twin."""

    person: Person
    father: Person | None
    father_certainty: str
    twin: str = ""


@dataclass(slots=True)
class Family:
    """A mother, her children, their fathers, and the kin who step in."""

    id: int
    kind: str
    county: int
    mother: Person
    children: list[Child]
    fathers: list[Person]
    kin: list[Person]
    homes: list[Home]
    #: first removal, for families that have one
    removal: int = 0

    def home_on(self, when: int) -> Home:
        """The family's home on a day (the first one before its beginning)."""
        found = self.homes[0]
        for home in self.homes:
            if home.start <= when:
                found = home
        return found


class Births:
    """Makes people; keeps the register."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance
        self.people: list[Person] = []

    def person(self, role: str, sex: str, birth: int, race: str, last: str = "") -> Person:
        """A new person. A baby's or namesake's surname is given, anyone else's drawn."""
        c = self.chance
        hispanic = race == "hispanic"
        p = Person(
            id=len(self.people) + 1,
            role=role,
            sex=sex,
            birth=birth,
            first=c.first_name(sex, hispanic),
            middle=c.first_name(sex, hispanic) if c.chance(0.7) else "",
            last=last or c.surname(hispanic),
            race=race,
            ssn=c.ssn(),
        )
        if role not in ("child",):
            p.phone = c.phone()
        self.people.append(p)
        return p

    def home(self, county: int, start: int) -> Home:
        """An address in a county."""
        c = self.chance
        where = COUNTIES[county]
        return Home(start, c.street(), where.seat, c.pick(where.zips), county)

    def family(self, number: int, kind: str) -> Family:
        """One family of a kind: care, cps, medicaid, court or single (an adult without children)."""
        c = self.chance
        county = c.pick((0, 1, 2), [k.share for k in COUNTIES])
        race = c.pick(RACES, _RACE_SHARES)
        removal = 0
        if kind == "care":
            removal = c.between(START, END - 12)
        births = self._birthdays(kind, removal)
        youngest = births[-1] if births else c.between(day(1995, 1, 1), day(2012, 1, 1))
        age = min(max(c.lognormal(25, 0.22), 15.5), 43)
        first_birth = births[0] if births else youngest
        mother_birth = min(first_birth - int(16 * 365.25), youngest - int(age * 365.25)) if births else youngest - 8000
        sex = "F" if births or c.chance(0.5) else "M"
        mother = self.person("mother" if births else "adult", sex, mother_birth, race)
        fathers: list[Person] = []
        children: list[Child] = []
        father: Person | None = None
        certainty = "unknown"
        married = c.chance(0.3)
        previous: Child | None = None
        for when in births:
            if previous is not None and previous.person.birth == when:
                children.append(self._twin(previous, race))
                continue
            if father is None or c.chance(0.35):
                father, certainty = self._father(mother, race, when)
                if father is not None:
                    fathers.append(father)
            carries = father.last if father is not None and (certainty == "legal" or c.chance(0.25)) else mother.last
            child = self.person("child", "F" if c.chance(0.488) else "M", when, race, carries)
            if child.sex == "M" and father is not None and carries == father.last and c.chance(0.06):
                child.first, child.suffix = father.first, "Jr"
            children.append(Child(child, father, certainty))
            previous = children[-1]
        if married and fathers:
            since = c.between(births[0] - 700, END)
            if since > mother_birth + 6500:
                husband = fathers[-1].last
                mother.renamed.append((since, f"{mother.last}-{husband}" if c.chance(0.15) else husband))
        kin = []
        if kind == "care" and c.chance(0.6):
            grandmother = c.chance(0.6)
            kin_birth = mother_birth - c.between(6600, 11000) if grandmother else mother_birth + c.between(-2500, 2500)
            role = "grandmother" if grandmother else "aunt"
            kin.append(self.person(role, "F", kin_birth, race, mother.last if c.chance(0.7) else ""))
        first_home = self.home(county, mother_birth)
        homes = [first_home]
        while c.chance(0.3) and len(homes) < 4:
            elsewhere = c.chance(0.08)
            homes.append(self.home(c.between(0, 2) if elsewhere else county, c.between(START, END)))
        homes.sort(key=lambda h: h.start)
        if c.chance(0.006):
            mother.death = c.between(max(youngest + 5, START), END)
        return Family(number, kind, county, mother, children, fathers, kin, homes, removal)

    def _birthdays(self, kind: str, removal: int) -> list[int]:
        c = self.chance
        if kind == "single":
            return []
        count = c.pick((1, 2, 3, 4, 5), (0.34, 0.33, 0.19, 0.09, 0.05))
        if kind == "care":
            u = c.random()
            if u < 0.26:
                last = removal - c.between(0, 6)
            elif u < 0.70:
                last = removal - c.between(7, 1094)
            else:
                last = removal - c.between(1095, 2900)
            if u > 0.975:
                last = removal - c.between(5300, 6300)
        else:
            last = c.between(day(2014, 1, 1), END - 5)
        births = [last]
        while len(births) < count:
            births.append(births[-1] - c.between(330, 1500))
        births.reverse()
        if kind == "care" and c.chance(0.14):
            later = removal + c.between(200, 1200)
            if later > births[-1] + 300 and later < END - 10:
                births.append(later)
        twins: list[int] = []
        for when in births:
            twins.append(when)
            if c.chance(0.03):
                twins.append(when)
        return twins

    def _twin(self, first: Child, race: str) -> Child:
        c = self.chance
        sex = first.person.sex if c.chance(0.65) else ("M" if first.person.sex == "F" else "F")
        second = self.person("child", sex, first.person.birth, race, first.person.last)
        while second.first == first.person.first:
            second.first = c.first_name(sex, race == "hispanic")
        first.twin = "A"
        return Child(second, first.father, first.father_certainty, "B")

    def _father(self, mother: Person, race: str, birth: int) -> tuple[Person | None, str]:
        c = self.chance
        u = c.random()
        if u < 0.12:
            return None, "unknown"
        certainty = "legal" if u < 0.62 else "putative"
        born = min(mother.birth + c.between(-3650, 1800), birth - 5900)
        father = self.person("father", "M", born, race if c.chance(0.85) else c.pick(RACES, _RACE_SHARES))
        if c.chance(0.04):
            father.suffix = c.pick(("Jr", "III", "Sr"))
        if c.chance(0.008):
            father.death = c.between(max(birth + 30, START), END) if birth + 30 < END else None
        return father, certainty


def populate(chance: Chance, people: int) -> tuple[list[Family], list[Person]]:
    """At least ``people`` people in families; a fixed mix of kinds, then namesakes among the uninvolved.

    Returns the families and the register of people (``id`` is the position counted from 1).
    """
    births = Births(chance)
    families: list[Family] = []
    # A fixed pattern rather than a draw, so that a tiny world holds every kind in its share.
    pattern = ("care", "cps", "medicaid", "single", "care", "cps", "medicaid", "court", "care", "medicaid", "cps",
               "single", "medicaid", "medicaid", "cps", "medicaid", "care", "cps", "single", "medicaid")  # fmt: skip
    while len(births.people) < people:
        families.append(births.family(len(families) + 1, pattern[len(families) % len(pattern)]))
    _namesakes(chance, families)
    return families, births.people


def _namesakes(chance: Chance, families: list[Family]) -> None:
    """Hard negatives: uninvolved people who share name and birthday with someone known to child welfare."""
    known = [p for f in families if f.kind in ("care", "cps") for p in (f.mother, *(k.person for k in f.children))]
    for family in families:
        if family.kind in ("medicaid", "court", "single"):
            for p in (family.mother, *(k.person for k in family.children)):
                if not chance.chance(0.012):
                    continue
                other = chance.pick(known)
                if other.role == p.role and other.sex == p.sex:
                    p.first, p.last = other.first, other.last
                    if chance.chance(0.4) and p.role == "child" and _fits(family, p, other.birth):
                        p.birth = other.birth


def _fits(family: Family, child: Person, birth: int) -> bool:
    """Whether the child could have been born on ``birth`` without upsetting mother, siblings or a twin."""
    others = [k.person.birth for k in family.children if k.person is not child]
    old_enough = birth - family.mother.birth > 5700
    return old_enough and birth < END and all(abs(birth - b) > 300 for b in others) and child.birth not in others
