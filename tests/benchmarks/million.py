"""Records of four agencies by the million, in seconds: the population of the linkage benchmark.

Families of a mother, mostly a father, and children under seven; four systems that know overlapping parts of them, with
typing mistakes, missing numbers, unnamed newborns, changed surnames, moves and foster addresses. Numpy, no loops over
people: a seed and a size are a population.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

#: Records one family leaves in the four systems, on average.
RECORDS_PER_FAMILY = 5.07
NOW = np.datetime64("2025-06-30")
STREETS = np.array(
    [
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
        "MILL",
        "FOREST",
    ],
    dtype=object,
)
KINDS = np.array(["STREET", "AVENUE", "ROAD", "DRIVE", "LANE", "COURT"], dtype=object)


def _names(kind: str) -> tuple[np.ndarray, np.ndarray]:
    lines = [line.split() for line in files("names").joinpath(f"dist.{kind}").read_text().splitlines()]
    share = np.maximum(np.array([float(line[1]) for line in lines]), 1e-4)
    return np.array([line[0] for line in lines], dtype=object), share / share.sum()


def _typo(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    out = values.copy()
    for i in np.flatnonzero(rng.random(len(values)) < share):
        text = out[i]
        if text is None or len(text) < 3:
            continue
        at = int(rng.integers(len(text) - 1))
        kind = rng.random()
        if kind < 0.35:
            out[i] = text[:at] + text[at + 1 :]
        elif kind < 0.65:
            out[i] = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        else:
            letter = str(rng.integers(10)) if text[at].isdigit() else chr(65 + int(rng.integers(26)))
            out[i] = text[:at] + letter + text[at + 1 :]
    return out


def _blank(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    out = values.copy()
    out[rng.random(len(values)) < share] = None
    return out


def write(folder: Path, records: int, seed: int = 1) -> int:
    """Write ``records.parquet``, ``relationships.parquet`` and ``truth/``; returns the number of records."""
    rng = np.random.default_rng(seed)
    families = int(records / RECORDS_PER_FAMILY)
    last_names, last_share = _names("all.last")
    n_kids = rng.choice([1, 2, 3, 4], families, p=[0.55, 0.3, 0.11, 0.04])
    fathers = np.flatnonzero(rng.random(families) < 0.8)
    family = np.concatenate([np.arange(families), fathers, np.repeat(np.arange(families), n_kids)])
    n, first_child = len(family), families + len(fathers)
    is_child = np.arange(n) >= first_child
    sex = np.where(rng.random(n) < 0.5, "F", "M").astype(object)
    sex[:families], sex[families:first_child] = "F", "M"
    first = np.empty(n, dtype=object)
    middle = np.empty(n, dtype=object)
    for letter, kind in (("F", "female.first"), ("M", "male.first")):
        names, share = _names(kind)
        mine = sex == letter
        first[mine] = rng.choice(names, int(mine.sum()), p=share)
        middle[mine] = rng.choice(names, int(mine.sum()), p=share)
    surname = rng.choice(last_names, families, p=last_share)
    last = surname[family]
    other = rng.choice(last_names, n, p=last_share)
    differs = np.zeros(n, dtype=bool)
    differs[families:first_child] = rng.random(len(fathers)) < 0.4
    last = np.where(differs, other, last)
    maiden = rng.choice(last_names, n, p=last_share)
    age = np.where(is_child, rng.integers(1, 7 * 365, n), rng.integers(18 * 365, 42 * 365, n))
    born = NOW - age.astype("timedelta64[D]")
    kids = np.flatnonzero(is_child)
    twin = kids[1:][(family[kids[1:]] == family[kids[:-1]]) & (rng.random(len(kids) - 1) < 0.04)]
    born[twin] = born[twin - 1]
    ssn = np.char.zfill(rng.integers(1_01_0001, 665_99_9999, n).astype(str), 9).astype(object)
    medicaid = np.char.add("M", np.char.zfill(rng.permutation(10**7)[:n].astype(str) if n <= 10**7 else "", 8)).astype(
        object
    )

    def places(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        code = rng.integers(0, max(8, families // 900), count)
        house = rng.integers(1, 9000, count).astype(str).astype(object)
        line = house + " " + rng.choice(STREETS, count) + " " + rng.choice(KINDS, count)
        city = np.array([f"{s}{e}" for s in STREETS for e in ("VILLE", "TON", "BURG", "FIELD")], dtype=object)
        return line, city[code % len(city)], np.char.zfill((70000 + code).astype(str), 5).astype(object)

    home, former, foster = places(families), places(families), places(families // 8 + 1)
    in_care = rng.random(families) < 0.45
    in_court = in_care & (rng.random(families) < 0.75)
    in_medicaid = rng.random(families) < 0.85
    treated = rng.random(families) < np.where(in_care, 0.5, 0.2)
    born_text = np.datetime_as_string(born, unit="D").astype(object)
    tables: list[dict[str, Any]] = []
    kin: list[dict[str, Any]] = []
    systems = {
        "child_welfare": in_care[family] & (rng.random(n) < 0.93),
        "court": in_court[family] & (rng.random(n) < np.where(is_child | (np.arange(n) < families), 0.95, 0.6)),
        "medicaid": in_medicaid[family] & (is_child | (np.arange(n) < families) | (rng.random(n) < 0.35)),
        "behavioral_health": treated[family] & (np.arange(n) < families) | ((rng.random(n) < 0.05) & ~is_child),
    }
    blanks = {"child_welfare": 0.45, "court": 1.0, "medicaid": 0.12, "behavioral_health": 0.4}
    for system, known in systems.items():
        who = np.flatnonzero(known)
        m = len(who)
        keys = np.char.add(system[:2], np.char.zfill(rng.permutation(m).astype(str), 8)).astype(object)
        moved = rng.random(m) < 0.25
        line, city, code = (np.where(moved, b[family[who]], a[family[who]]) for a, b in zip(home, former, strict=True))
        given = _typo(rng, first[who], 0.02)
        mid = np.where(rng.random(m) < 0.5, np.array([v[:1] for v in middle[who]], dtype=object), middle[who])
        role = np.where(is_child[who], "child", "adult").astype(object)
        number = _blank(rng, _typo(rng, ssn[who], 0.01), blanks[system])
        mine = medicaid[who].copy()
        if system != "medicaid":
            mine = _blank(rng, mine, {"child_welfare": 0.5, "court": 1.0, "behavioral_health": 0.4}[system])
        name = np.where(~is_child[who] & (sex[who] == "F") & (rng.random(m) < 0.1), maiden[who], last[who])
        if system == "medicaid":
            unnamed = is_child[who] & (rng.random(m) < 0.15)
            given = np.where(unnamed, np.where(sex[who] == "F", "BABY GIRL", "BABY BOY"), given)
            mid = np.where(unnamed, None, mid)
        address_role = np.full(m, "home", dtype=object)
        if system == "child_welfare":
            placed = is_child[who] & (rng.random(m) < 0.4)
            at = family[who] % len(foster[0])
            line, city, code = (np.where(placed, f[at], h) for f, h in zip(foster, (line, city, code), strict=True))
            address_role[placed] = "placement"
        if system == "court":
            line = city = code = np.full(m, None, dtype=object)
        dob = _typo(rng, born_text[who], 0.012)
        dob = _blank(rng, dob, 0.35 if system == "court" else 0.01)
        tables.append(
            {
                "source_system": np.full(m, system, dtype=object),
                "source_record_id": keys,
                "true_person_id": who,
                "record_role": role,
                "first_name": _blank(rng, given, 0.004),
                "middle_name": _blank(rng, mid, 0.3),
                "last_name": _typo(rng, name, 0.02),
                "birth_date": dob,
                "sex": _blank(rng, sex[who], 0.01),
                "ssn": number,
                "medicaid_id": mine,
                "address_line": _typo(rng, line, 0.03),
                "city": city,
                "state": np.full(m, "TX", dtype=object),
                "zip": _typo(rng, code, 0.01),
                "address_role": address_role,
            }
        )
        key_of = np.full(n, None, dtype=object)
        key_of[who] = keys
        for child in (kids[known[kids]],):
            for parent, relationship in ((family[child], "mother_of"),):
                both = known[parent]
                kin.append(
                    {
                        "source_system": np.full(int(both.sum()), system, dtype=object),
                        "source_record_id": key_of[parent[both]],
                        "related_record_id": key_of[child[both]],
                        "relationship": np.full(int(both.sum()), relationship, dtype=object),
                        "child": child[both],
                        "parent": parent[both],
                    }
                )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "truth").mkdir(exist_ok=True)
    together = {c: np.concatenate([t[c] for t in tables]) for c in tables[0]}
    table = pa.table({c: pa.array(v, from_pandas=True) for c, v in together.items()})
    pq.write_table(table.drop_columns(["true_person_id"]), folder / "records.parquet")
    pq.write_table(
        table.select(["source_system", "source_record_id", "true_person_id"]),
        folder / "truth" / "person_records.parquet",
    )
    said = {c: np.concatenate([t[c] for t in kin]) for c in kin[0]}
    pq.write_table(
        pa.table({c: said[c] for c in list(said)[:4]}),
        folder / "relationships.parquet",
    )
    pairs = np.unique(np.stack([said["child"], said["parent"]]).astype(np.int64), axis=1)
    pq.write_table(
        pa.table({"true_child_id": pairs[0], "true_parent_id": pairs[1]}), folder / "truth" / "parent_child.parquet"
    )
    return table.num_rows
