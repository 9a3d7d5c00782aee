"""A population with known truth, for linkage tests: households, several systems' views of them, and their mistakes.

``write(folder, shape=...)`` writes ``records.parquet``, ``relationships.parquet`` and the truth. Two shapes:

``survey``    five administrative extracts about everybody: a census (no number), a nutrition programme (mothers and
              children), a number registry (no address), a small survey, and tax returns (number and address, no birth
              date). Noise follows what is known of such files: typing, keyboards, sound, nicknames, swapped day and
              month, borrowed values of household members, moves, blanks.
``agencies``  child welfare, court, Medicaid and behavioral health, around young children and their parents.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nicknames import NickNamer

STREETS = [
    "OAK",
    "MAPLE",
    "CEDAR",
    "PINE",
    "ELM",
    "WALNUT",
    "RIVER",
    "LAKE",
    "HILL",
    "PARK",
    "MAIN",
    "CHURCH",
    "SPRING",
    "RIDGE",
    "MEADOW",
    "SUNSET",
    "HICKORY",
    "WASHINGTON",
    "LINCOLN",
    "JACKSON",
    "MADISON",
    "FRANKLIN",
    "HIGHLAND",
    "FOREST",
    "VALLEY",
    "MILL",
    "BRIDGE",
    "SCHOOL",
    "COLLEGE",
    "PROSPECT",
    "CHESTNUT",
    "DOGWOOD",
    "WILLOW",
    "BIRCH",
    "SYCAMORE",
    "MAGNOLIA",
    "LAUREL",
    "CHERRY",
    "POPLAR",
    "ASPEN",
]
KINDS = ["STREET", "AVENUE", "ROAD", "DRIVE", "LANE", "COURT", "PLACE", "BOULEVARD"]
NEAR = {
    "Q": "WA",
    "W": "QE",
    "E": "WR",
    "R": "ET",
    "T": "RY",
    "Y": "TU",
    "U": "YI",
    "I": "UO",
    "O": "IP",
    "P": "O",
    "A": "SQ",
    "S": "AD",
    "D": "SF",
    "F": "DG",
    "G": "FH",
    "H": "GJ",
    "J": "HK",
    "K": "JL",
    "L": "K",
    "Z": "X",
    "X": "ZC",
    "C": "XV",
    "V": "CB",
    "B": "VN",
    "N": "BM",
    "M": "N",
}
SOUNDS = (
    ("PH", "F"),
    ("CK", "K"),
    ("EE", "EA"),
    ("AI", "AY"),
    ("Y", "IE"),
    ("C", "K"),
    ("S", "Z"),
    ("LL", "L"),
    ("TT", "T"),
    ("NN", "N"),
)


@cache
def _names(kind: str) -> tuple[list[str], np.ndarray]:
    found, share = [], []
    for line in files("names").joinpath(f"dist.{kind}").read_text().splitlines():
        name, percent, *_ = line.split()
        found.append(name)
        share.append(float(percent))
    p = np.maximum(np.asarray(share), 1e-4)
    return found, p / p.sum()


@dataclass
class Person:
    number: int
    first: str
    middle: str
    last: str
    sex: str
    born: dt.date
    ssn: str
    household: int
    medicaid: str = ""
    mother: int | None = None
    father: int | None = None
    maiden: str = ""
    suffix: str = ""


@dataclass
class World:
    people: list[Person] = field(default_factory=list)
    address: dict[int, tuple[str, str, str, str]] = field(default_factory=dict)
    former: dict[int, tuple[str, str, str, str]] = field(default_factory=dict)


class Maker:
    """Draws everything from one seeded generator, so a seed is a population."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nick = NickNamer()
        self._queue: dict[str, list[str]] = {}

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, kind: str) -> str:
        queue = self._queue.setdefault(kind, [])
        if not queue:
            found, p = _names(kind)
            queue.extend(found[i] for i in self.rng.choice(len(found), 4000, p=p))
        return queue.pop()

    def one(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def date(self, low: dt.date, high: dt.date) -> dt.date:
        return low + dt.timedelta(days=int(self.rng.integers((high - low).days)))

    def ssn(self) -> str:
        area = int(self.rng.integers(1, 899))
        area += area == 666
        return f"{area:03d}{int(self.rng.integers(1, 100)):02d}{int(self.rng.integers(1, 10000)):04d}"

    def place(self, zips: list[tuple[str, str]]) -> tuple[str, str, str, str]:
        code, city = self.one(zips)
        unit = f" APT {int(self.rng.integers(1, 60))}" if self.chance(0.2) else ""
        line = f"{int(self.rng.integers(1, 2400))} {self.one(STREETS)} {self.one(KINDS)}{unit}"
        return line, city, "TX", code

    def world(self, households: int, now: dt.date) -> World:
        w = World()
        zips = [
            (f"7{i:04d}", f"{self.one(STREETS)}{self.one(('VILLE', 'TON', 'BURG', ' CITY', ' SPRINGS'))}")
            for i in range(1000, 1000 + max(4, households // 400))
        ]
        for h in range(households):
            w.address[h] = self.place(zips)
            if self.chance(0.25):
                w.former[h] = self.place(zips)
            surname = self.pick("all.last")
            if self.chance(0.08):
                surname = surname + self.one((" ", "-")) + self.pick("all.last")

            def add(sex: str, born: dt.date, last: str, h: int = h) -> Person:
                first = self.pick("female.first" if sex == "F" else "male.first")
                p = Person(
                    len(w.people),
                    first,
                    self.pick("female.first" if sex == "F" else "male.first"),
                    last,
                    sex,
                    born,
                    self.ssn(),
                    h,
                    f"M{int(self.rng.integers(10**8, 10**9))}",
                )
                w.people.append(p)
                return p

            mother = father = None
            kind = self.rng.random()
            if kind < 0.85:
                mother = add("F", self.date(dt.date(now.year - 60, 1, 1), dt.date(now.year - 20, 1, 1)), surname)
                if self.chance(0.6):
                    mother.maiden = self.pick("all.last")
            if kind > 0.30:
                father = add(
                    "M",
                    self.date(dt.date(now.year - 62, 1, 1), dt.date(now.year - 20, 1, 1)),
                    surname if self.chance(0.85) else self.pick("all.last"),
                )
            if mother is not None:
                earliest = max(mother.born.year + 17, now.year - 24)
                n = int(self.rng.choice([0, 1, 2, 3, 4, 5], p=[0.28, 0.25, 0.28, 0.12, 0.05, 0.02]))
                born: list[dt.date] = []
                for _ in range(n):
                    if earliest >= min(now.year, mother.born.year + 44):
                        break
                    day = self.date(dt.date(earliest, 1, 1), min(now, dt.date(mother.born.year + 44, 1, 1)))
                    if any(abs((day - b).days) < 280 for b in born):
                        continue
                    for _ in range(2 if self.chance(0.03) else 1):
                        born.append(day)
                        sex = self.one("FM")
                        c = add(sex, day, surname)
                        c.mother = mother.number
                        c.father = father.number if father is not None and self.chance(0.85) else None
                        if sex == "M" and father is not None and self.chance(0.05):
                            c.first, c.suffix = father.first, "JR"
                            c.last = father.last
            if self.chance(0.12):
                add(
                    self.one("FM"),
                    self.date(dt.date(now.year - 88, 1, 1), dt.date(now.year - 50, 1, 1)),
                    surname if self.chance(0.5) else self.pick("all.last"),
                )
        return w

    # -- noise ---------------------------------------------------------------------------------------------------
    def typo(self, text: str) -> str:
        if len(text) < 2:
            return text
        i = int(self.rng.integers(len(text)))
        kind = self.rng.random()
        c = text[i]
        if kind < 0.3 and c in NEAR:
            return text[:i] + self.one(NEAR[c]) + text[i + 1 :]
        if kind < 0.5:
            return text[:i] + text[i + 1 :]
        if kind < 0.7:
            return text[:i] + c + text[i:]
        if kind < 0.85 and i + 1 < len(text):
            return text[:i] + text[i + 1] + c + text[i + 2 :]
        for a, b in SOUNDS:
            if a in text:
                return text.replace(a, b, 1)
        return text[:i] + text[i + 1 :]

    def digits(self, text: str) -> str:
        spots = [i for i, c in enumerate(text) if c.isdigit()]
        if not spots:
            return text
        i = self.one(spots)
        return text[:i] + str(int(self.rng.integers(10))) + text[i + 1 :]

    def name(self, text: str | None, level: float) -> str | None:
        if text is None or self.chance(0.01 * level):
            return None
        if self.chance(0.02 * level):
            return self.typo(text)
        return text

    def given(self, text: str, level: float) -> str | None:
        if self.chance(0.015 * level):
            nicks = sorted(self.nick.nicknames_of(text.lower()))
            if nicks:
                return str(self.one(nicks)).upper()
        if self.chance(0.003 * level):
            return self.one(("MALE", "FEMALE", "UNKNOWN", "ADULT", "CHILD", "A", "REFUSED"))
        return self.name(text, level)

    def day(self, born: dt.date, level: float) -> str | None:
        if self.chance(0.01 * level):
            return None
        if self.chance(0.006 * level):
            return f"{born.year:04d}-{born.day:02d}-{born.month:02d}"
        text = born.isoformat()
        return self.digits(text) if self.chance(0.012 * level) else text

    def number(self, text: str, level: float) -> str | None:
        if self.chance(0.01 * level):
            return None
        return self.digits(text) if self.chance(0.012 * level) else text

    def line(self, text: str, level: float) -> str | None:
        if self.chance(0.01 * level):
            return None
        if self.chance(0.02 * level):
            return self.digits(text)
        if self.chance(0.03 * level):
            return self.typo(text)
        if self.chance(0.02 * level) and " APT" in text:
            return text.split(" APT")[0]
        return text


def survey(seed: int, households: int, level: float = 1.0) -> tuple[list[dict[str, Any]], list[dict[str, Any]], World]:
    """Records and relationships of the five extracts, and the world they come from."""
    mk = Maker(seed)
    now = dt.date(2020, 4, 1)
    w = mk.world(households, now)
    records: list[dict[str, Any]] = []
    kin: list[dict[str, Any]] = []
    mates: dict[int, list[Person]] = {}
    for p in w.people:
        mates.setdefault(p.household, []).append(p)
    counters: dict[str, int] = {}

    def row(system: str, p: Person, fields: str, place: tuple[str, str, str, str] | None, lv: float) -> str:
        counters[system] = counters.get(system, 0) + 1
        key = f"{system[:1]}{counters[system]:07d}"
        other = mk.one(mates[p.household])
        borrowed = other if mk.chance(0.008 * lv) else p
        r: dict[str, Any] = {
            "source_system": system,
            "source_record_id": key,
            "true_person_id": p.number,
            "first_name": mk.given(p.first, lv),
            "last_name": mk.name(p.last, lv),
        }
        if mk.chance(0.002 * lv):
            r["first_name"], r["last_name"] = r["last_name"], r["first_name"]
        if "m" in fields:
            r["middle_name"] = mk.name(p.middle[:1], lv)
        if "d" in fields:
            r["birth_date"] = mk.day(borrowed.born, lv)
        if "s" in fields:
            r["sex"] = p.sex if not mk.chance(0.01 * lv) else mk.one("FM")
        if "n" in fields:
            r["ssn"] = mk.number((other if mk.chance(0.008 * lv) else p).ssn, lv)
        if "a" in fields and place is not None:
            r["address_line"] = mk.line(place[0], lv)
            r["city"] = mk.name(place[1], lv)
            r["state"] = place[2]
            r["zip"] = mk.number(place[3], lv)
        records.append(r)
        return key

    census: dict[int, str] = {}
    tax: dict[int, str] = {}
    for h, members in mates.items():
        now_at, then = w.address[h], w.former.get(h)
        if mk.chance(0.93):
            for p in members:
                if mk.chance(0.97):
                    census[p.number] = row("census", p, "mdsa", now_at, level)
        if mk.chance(0.18):
            place = then if then is not None and mk.chance(0.5) else now_at
            for p in members:
                days = (now - p.born).days
                if (p.mother is not None and days < 6 * 365) or (p.sex == "F" and days < 45 * 365):
                    row("wic", p, "mdsa", place, level)
                    if mk.chance(0.3):
                        row("wic", p, "mdsa", now_at, level)
        for p in members:
            if mk.chance(0.92):
                row("registry", p, "mdsn", None, level * 0.7)
                if mk.chance(0.01):
                    row("registry", p, "mdsn", None, level * 0.7)
        if mk.chance(0.06):
            for p in members:
                row("panel", p, "mdsa", now_at, level)
        if mk.chance(0.75):
            place = then if then is not None and mk.chance(0.3) else now_at
            for p in members:
                if mk.chance(0.9):
                    tax[p.number] = row("tax", p, "mna", place, level)
    for system, keys in (("census", census), ("tax", tax)):
        for p in w.people:
            for parent, kind in ((p.mother, "mother_of"), (p.father, "father_of")):
                if parent is not None and p.number in keys and parent in keys:
                    kin.append(
                        {
                            "source_system": system,
                            "source_record_id": keys[parent],
                            "related_record_id": keys[p.number],
                            "relationship": "parent_of" if system == "tax" else kind,
                        }
                    )
    return records, kin, w


def agencies(
    seed: int, households: int, level: float = 1.0
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], World]:
    """Records and relationships of four agencies around children under seven and their parents."""
    mk = Maker(seed)
    now = dt.date(2025, 6, 30)
    w = mk.world(households, now)
    records: list[dict[str, Any]] = []
    kin: list[dict[str, Any]] = []
    counters: dict[str, int] = {}

    def row(system: str, p: Person, role: str, lv: float, **given: Any) -> str:
        counters[system] = counters.get(system, 0) + 1
        key = f"{counters[system]:06d}"
        place = w.former[p.household] if p.household in w.former and mk.chance(0.4) else w.address[p.household]
        last = p.maiden if p.maiden and mk.chance(0.12) else p.last
        r: dict[str, Any] = {
            "source_system": system,
            "source_record_id": key,
            "true_person_id": p.number,
            "row_kind": "primary",
            "record_role": role,
            "first_name": mk.given(p.first, lv),
            "last_name": mk.name(last, lv),
            "middle_name": mk.name(p.middle if mk.chance(0.5) else p.middle[:1], lv) if mk.chance(0.7) else None,
            "name_suffix": p.suffix or None,
            "birth_date": mk.day(p.born, lv),
            "sex": p.sex if not mk.chance(0.01) else None,
            "address_line": mk.line(place[0], lv),
            "city": place[1],
            "state": place[2],
            "zip": mk.number(place[3], lv),
            "delivered_on": now,
            **given,
        }
        records.append(r)
        return key

    by_number = {p.number: p for p in w.people}
    children = [p for p in w.people if p.mother is not None and (now - p.born).days < 7 * 365]
    families: dict[int, list[Person]] = {}
    for c in children:
        families.setdefault(c.mother or 0, []).append(c)
    for mother_number, kids in families.items():
        mother = by_number[mother_number]
        father = by_number.get(next((k.father for k in kids if k.father is not None), -1))
        in_care = mk.chance(0.35)
        if mk.chance(0.85):
            mk_m = row(
                "medicaid", mother, "adult", level, ssn=mk.number(mother.ssn, level), medicaid_id=mother.medicaid
            )
            for c in kids:
                unnamed = mk.chance(0.15)
                key = row(
                    "medicaid",
                    c,
                    "child",
                    level,
                    ssn=mk.number(c.ssn, level) if mk.chance(0.7) else None,
                    medicaid_id=mother.medicaid if unnamed and mk.chance(0.5) else c.medicaid,
                    **(
                        {"first_name": "BABY " + ("GIRL" if c.sex == "F" else "BOY"), "middle_name": None}
                        if unnamed
                        else {}
                    ),
                )
                kin.append(
                    {
                        "source_system": "medicaid",
                        "source_record_id": mk_m,
                        "related_record_id": key,
                        "relationship": "mother_of",
                    }
                )
        if in_care:
            m = row(
                "child_welfare",
                mother,
                "adult",
                level,
                ssn=mk.number(mother.ssn, level) if mk.chance(0.6) else None,
                medicaid_id=mother.medicaid if mk.chance(0.5) else None,
            )
            f = (
                row(
                    "child_welfare",
                    father,
                    "adult",
                    level,
                    ssn=mk.number(father.ssn, level) if mk.chance(0.4) else None,
                )
                if father is not None and mk.chance(0.8)
                else None
            )
            foster = mk.one(list(w.address.values()))
            cm = ct_mother = None
            if mk.chance(0.85):
                ct_mother = row(
                    "court",
                    mother,
                    "adult",
                    level,
                    birth_date=None if mk.chance(0.7) else mk.day(mother.born, level),
                    first_name=None,
                    middle_name=None,
                    last_name=None,
                    full_name=f"{mother.last}, {mother.first} {mother.middle[:1]}",
                    address_line=None,
                    zip=None,
                    city=None,
                )
                cm = True
            for c in kids:
                placed = mk.chance(0.6)
                k = row(
                    "child_welfare",
                    c,
                    "child",
                    level,
                    ssn=mk.number(c.ssn, level) if mk.chance(0.5) else None,
                    medicaid_id=c.medicaid if mk.chance(0.6) else None,
                    **(
                        {"address_line": foster[0], "city": foster[1], "zip": foster[3], "address_role": "placement"}
                        if placed
                        else {"address_role": "home"}
                    ),
                )
                for parent, kind in ((m, "mother_of"), (f, "father_of")):
                    if parent is not None:
                        kin.append(
                            {
                                "source_system": "child_welfare",
                                "source_record_id": parent,
                                "related_record_id": k,
                                "relationship": kind,
                            }
                        )
                if cm:
                    k2 = row(
                        "court",
                        c,
                        "child",
                        level,
                        first_name=None,
                        middle_name=None,
                        last_name=None,
                        full_name=f"{c.last}, {mk.given(c.first, level) or 'UNKNOWN'} {c.middle}",
                        address_line=None,
                        zip=None,
                        city=None,
                    )
                    kin.append(
                        {
                            "source_system": "court",
                            "source_record_id": ct_mother,
                            "related_record_id": k2,
                            "relationship": "mother_of",
                        }
                    )
        if mk.chance(0.3 if not in_care else 0.55):
            row(
                "behavioral_health",
                mother,
                "adult",
                level,
                ssn=mk.number(mother.ssn, level) if mk.chance(0.5) else None,
                medicaid_id=mother.medicaid if mk.chance(0.6) else None,
            )
    for p in w.people:  # the wider Medicaid population that makes linking hard
        if p.mother is None and mk.chance(0.15):
            row("medicaid", p, "adult", level, ssn=mk.number(p.ssn, level), medicaid_id=p.medicaid)
    return records, kin, w


DUPLICATE_FREE = {"survey": ("census", "registry"), "agencies": ("medicaid",)}


def write(
    folder: Path, shape: str = "survey", seed: int = 1, households: int = 1500, level: float = 1.0, ssn: bool = True
) -> None:
    """Write ``records.parquet``, ``relationships.parquet`` and ``truth/{person_records,parent_child}.parquet``.

    For the ``agencies`` shape also ``staged/<system>__*.parquet`` in the columns linkage reads at night.
    """
    records, kin, w = (survey if shape == "survey" else agencies)(seed, households, level)
    if not ssn:
        for r in records:
            r.pop("ssn", None)
    names = list(dict.fromkeys(k for r in records for k in r))
    table = pa.table({n: pa.array([r.get(n) for r in records]) for n in names})
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    pq.write_table(table.drop_columns(["true_person_id"]), folder / "records.parquet")
    pq.write_table(
        table.select(["source_system", "source_record_id", "true_person_id"]),
        folder / "truth" / "person_records.parquet",
    )
    relationships = pa.Table.from_pylist(kin)
    pq.write_table(relationships, folder / "relationships.parquet")
    parents = [(p.number, q) for p in w.people for q in (p.mother, p.father) if q is not None]
    stated = {(r["source_system"], r["source_record_id"]): r["true_person_id"] for r in records}
    said = {
        (stated[(k["source_system"], k["related_record_id"])], stated[(k["source_system"], k["source_record_id"])])
        for k in kin
    }
    pq.write_table(
        pa.table(
            {
                "true_child_id": [c for c, p in parents if (c, p) in said],
                "true_parent_id": [p for c, p in parents if (c, p) in said],
            }
        ),
        folder / "truth" / "parent_child.parquet",
    )
    if shape == "agencies":
        staged = folder / "staged"
        staged.mkdir(exist_ok=True)
        for system in sorted({r["source_system"] for r in records}):
            mine = pa.Table.from_pylist(
                [{k: v for k, v in r.items() if k != "true_person_id"} for r in records if r["source_system"] == system]
            )
            pq.write_table(mine, staged / f"{system}__person_records.parquet")
            theirs = [k for k in kin if k["source_system"] == system]
            if theirs:
                pq.write_table(pa.Table.from_pylist(theirs), staged / f"{system}__relationships.parquet")
