"""Seeded chance: the only source of randomness of the simulation, and names at their real frequencies.

Names come from the United States census frequency files bundled with the PyPI package ``names``; nothing here
is a short list of names. What does not belong here: what happens to people.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import names
import numpy as np

T = TypeVar("T")

#: Spanish surnames the census file writes without accents, as families write them; frequencies are the file's.
_SPANISH_SURNAME_LIST = (
    "García Martínez Rodríguez Hernández López González Pérez Sánchez Ramírez Torres Flores Rivera Gómez Díaz Reyes "
    "Cruz Morales Ortiz Gutiérrez Chávez Ramos Ruiz Álvarez Mendoza Vásquez Castillo Jiménez Moreno Romero Herrera "
    "Medina Aguilar Garza Castro Vargas Fernández Guzmán Muñoz Méndez Salazar Soto Delgado Peña Ríos Núñez Guerrero "
    "Sandoval Contreras Domínguez Cabrera Estrada Luna Padilla Espinoza Acosta Velásquez Cárdenas Ibarra Zúñiga"
)
_SPANISH_SURNAMES = _SPANISH_SURNAME_LIST.split()
_SPANISH_FIRST = {
    "F": "María Ana Rosa Gloria Carmen Teresa Elena Sofía Lucía Inés Verónica Mónica Raquel Esperanza Beatriz Dolores "
    "Yolanda Silvia Irene Marisol Belén Concepción",
    "M": "José Juan Luis Carlos Jesús Antonio Miguel Ángel Jorge Pedro Manuel Francisco Ramón Andrés Héctor Raúl Rubén "
    "Óscar Julio César Víctor Tomás",
}
_UNACCENT = str.maketrans("ÁÉÍÓÚÜÑáéíóúüñ", "AEIOUUNaeiouun")
_STREETS = (
    "Alder Ash Aspen Bayview Beech Birch Bluff Bridge Broad Canal Carver Cedar Center Cherry Chestnut Church Clay "
    "Clearwater College Cottonwood Creek Depot Division Douglas Elm Fairview Ferry Forest Front Garden Grand Grant "
    "Hickory High Hill Jackson Jefferson Juniper Lake Larch Laurel Liberty Lincoln Linden Locust Madison Magnolia Main "
    "Maple Market Meadow Mill Monroe Mulberry Oak Orchard Park Pearl Pine Plum Poplar Prairie Prospect Quarry Railroad "
    "Ridge River Rose School Second Spring Spruce State Summit Sycamore Third Union Valley View Vine Walnut Washington "
    "Water Willow Wilson Winter Wood"
)
_STREET_KINDS = ("St", "Ave", "Rd", "Dr", "Ln", "Ct", "Way", "Pl")


@lru_cache(maxsize=3)
def _frequencies(file: str) -> tuple[list[str], np.ndarray]:
    """Names of one census file and their cumulative share of the listed population."""
    words: list[str] = []
    shares: list[float] = []
    with (Path(names.__file__).parent / file).open(encoding="ascii") as lines:
        for line in lines:
            word, share, _, _ = line.split()
            words.append(word)
            # The file rounds the rare half of its surnames to 0.000; they are real people all the same.
            shares.append(float(share) or 0.0002)
    total = np.cumsum(np.array(shares))
    return words, total / total[-1]


def _cased(word: str) -> str:
    if word.startswith("MC") and len(word) > 4:
        return "Mc" + word[2:].capitalize()
    return word.capitalize()


class Chance:
    """Draws, in one fixed order for one seed."""

    def __init__(self, seed: int) -> None:
        self._plain = random.Random(seed)
        self._bulk = np.random.default_rng(seed)
        self.random = self._plain.random
        self.randint = self._plain.randint
        self._stock = {
            "F": self._names("dist.female.first"),
            "M": self._names("dist.male.first"),
            "last": self._names("dist.all.last"),
        }
        surnames, cumulative = _frequencies("dist.all.last")
        share = dict(zip(surnames, np.diff(cumulative, prepend=0.0), strict=True))
        weights = [float(share.get(n.translate(_UNACCENT).upper(), 1e-5)) for n in _SPANISH_SURNAMES]
        self._spanish = list(accumulate(weights))
        self._spanish_first = {sex: listed.split() for sex, listed in _SPANISH_FIRST.items()}
        self._streets = _STREETS.split()
        self._ssns: set[int] = set()

    def _names(self, file: str) -> Iterator[str]:
        words, cumulative = _frequencies(file)
        while True:
            for i in np.searchsorted(cumulative, self._bulk.random(20_000)).tolist():
                yield _cased(words[i])

    def chance(self, share: float) -> bool:
        """True in ``share`` of draws."""
        return self.random() < share

    def pick(self, values: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of ``values``; ``weights`` need not add up to one."""
        if weights is None:
            return values[int(self.random() * len(values))]
        cumulative = list(accumulate(weights))
        return values[bisect(cumulative, self.random() * cumulative[-1], 0, len(values) - 1)]

    def between(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both possible; ``low`` when the range is empty."""
        return low if high <= low else low + int(self.random() * (high - low + 1))

    def lognormal(self, median: float, sigma: float) -> float:
        """A positive, right-skewed duration."""
        return median * self._plain.lognormvariate(0.0, sigma)

    def exponential(self, mean: float) -> float:
        """A waiting time."""
        return self._plain.expovariate(1.0 / mean)

    def first_name(self, sex: str, hispanic: bool) -> str:
        """A given name at census frequency; half of Hispanic people carry a Spanish one, accents and all."""
        if hispanic and self.random() < 0.5:
            return self.pick(self._spanish_first[sex])
        return next(self._stock[sex])

    def surname(self, hispanic: bool) -> str:
        """A surname at census frequency; compound with a space or a hyphen in the shares one meets in files."""
        if hispanic and self.random() < 0.85:
            one = self._spanish_surname()
            u = self.random()
            if u < 0.35:
                other = self._spanish_surname()
                if other != one:
                    return f"{one}{'-' if u < 0.08 else ' '}{other}"
            return one
        name = next(self._stock["last"])
        if self.random() < 0.02:
            return f"{name}-{next(self._stock['last'])}"
        return name

    def _spanish_surname(self) -> str:
        return _SPANISH_SURNAMES[bisect(self._spanish, self.random() * self._spanish[-1], 0, len(self._spanish) - 1)]

    def ssn(self) -> str:
        """A number of the issued kind (no 000, 666 or 9xx area), never the same twice."""
        while True:
            n = self.randint(1_01_0001, 899_99_9999)
            area, group, serial = n // 1_000_000, n // 10_000 % 100, n % 10_000
            if area and area != 666 and group and serial and n not in self._ssns:
                self._ssns.add(n)
                return f"{n:09d}"

    def street(self) -> str:
        """A street line."""
        line = f"{self.randint(1, 4999)} {self.pick(self._streets)} {self.pick(_STREET_KINDS)}"
        return f"{line} Apt {self.randint(1, 40)}" if self.random() < 0.3 else line

    def phone(self) -> str:
        """A telephone number of the range kept for fiction, widened by area code."""
        return f"{self.randint(201, 989)}-555-{self.randint(0, 9999):04d}"
