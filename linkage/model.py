"""A trained model as a dated folder: what it holds, and when it may be used.

``adult.json`` and ``child.json`` are Splink models; ``frequencies/`` the name frequencies frozen with them;
``card.json`` everything else: the kinds of relatives, thresholds, versions, the fingerprint of the training data,
blocking counts, metrics. ``card.md`` says the same to a person.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from linkage.person.comparisons import BY_NAME, COMPARISONS
from linkage.person.mixture import Mixture
from linkage.person.scoring import FREQUENCIES
from linkage.store import read_json, write_json


class ModelError(Exception):
    """A model that cannot be used here. The message says why and what to do."""


@dataclass
class Pool:
    """Pairs that share a linked relative: share of true pairs among them, and how the others look."""

    share: float
    others: dict[str, list[float]]


@dataclass
class Thresholds:
    """log2 odds. ``join``: two records become one person. ``keep``: a join already published is kept down to here.
    ``review_low``/``review_high``: a person should look."""

    join: float
    keep: float
    review_low: float
    review_high: float
    how: str


@dataclass
class ModelCard:
    """What a model is and how good it looked when it was trained."""

    name: str
    path: Path
    mixtures: dict[str, Mixture]
    thresholds: Thresholds
    pools: dict[str, Pool] = field(default_factory=dict)
    duplicate_free: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    trained_on: dict[str, Any] = field(default_factory=dict)
    blocking: list[dict[str, Any]] = field(default_factory=list)
    #: What :func:`linkage.drift.profile` counted in training: nights are held against it.
    reference: dict[str, Any] = field(default_factory=dict)

    def save(self) -> None:
        """Write ``card.json`` and ``card.md`` into the model's folder."""
        write_json(
            {
                "name": self.name,
                "mixtures": {k: v.as_dict() for k, v in self.mixtures.items()},
                "thresholds": self.thresholds.__dict__,
                "pools": {k: v.__dict__ for k, v in self.pools.items()},
                "duplicate_free": list(self.duplicate_free),
                "versions": self.versions,
                "fingerprint": self.fingerprint,
                "trained_on": self.trained_on,
                "blocking": self.blocking,
                "reference": self.reference,
            },
            self.path / "card.json",
        )
        (self.path / "card.md").write_text(self._page(), encoding="utf-8")

    def _page(self) -> str:
        lines = [
            f"# Linkage model {self.name}",
            "",
            f"Trained on {self.trained_on.get('records', 0):,} records without labels; data fingerprint "
            f"`{self.fingerprint}`. " + ", ".join(f"{k} {v}" for k, v in sorted(self.versions.items())) + ".",
            "",
            f"Joined from weight {self.thresholds.join:.2f}; a published join is kept down to "
            f"{self.thresholds.keep:.2f}; reviewed between {self.thresholds.review_low:.2f} and "
            f"{self.thresholds.review_high:.2f}. {self.thresholds.how}",
            "",
        ]
        for kind, mixture in sorted(self.mixtures.items()):
            lines += [
                f"## The {kind} model",
                "",
                f"{mixture.pairs:,} pairs compared, about {mixture.expected_matches:,.0f} of them one person."
                + (
                    "" if mixture.is_learned else " What could be learned here was no person: the shares are the usual."
                ),
                "",
                "| comparison | level (strongest first) | same person | strangers |",
                "|---|---|---|---|",
            ]
            for name in mixture.comparisons:
                for position, (m, u) in enumerate(zip(mixture.m[name], mixture.u[name], strict=True)):
                    lines.append(f"| {name} | {position} | {m:.4f} | {u:.2e} |")
            lines.append("")
        lines += ["## Why pairs were compared", "", "| rule | reason | pairs | largest block |", "|---|---|---|---|"]
        for rule in self.blocking:
            lines.append(f"| {rule['name']} | {rule['reason']} | {rule['pairs']:,} | {rule['largest_block']:,} |")
        return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    """What can change a score beside the model: libraries, and our own comparisons (a hash of their conditions)."""
    libraries = {name: importlib.metadata.version(name) for name in ("splink", "duckdb", "numpy")}
    conditions = [(c.name, c.null_when, [level.condition for level in c.all_levels]) for c in COMPARISONS]
    return {**libraries, "comparisons": hashlib.sha256(repr(conditions).encode()).hexdigest()[:8]}


def load(path: Path) -> ModelCard:
    """Read a model folder: the card, and that everything else a night needs is there and can be read.

    Raises :class:`ModelError` when the folder holds no model, a damaged one, or one made by another major version of
    Splink or for other levels of comparison than there are now.
    """
    try:
        data = read_json(path / "card.json")
    except FileNotFoundError as error:
        raise ModelError("this folder holds no trained model; run the training first") from error
    except (OSError, ValueError) as error:
        raise _damaged(path, "card.json") from error
    try:
        card = _card(path, data)
        numbers = [getattr(card.thresholds, name) for name in ("join", "keep", "review_low", "review_high")]
        numbers += [pool.share for pool in card.pools.values()]
        numbers += [int(rule["block_limit"]) for rule in card.blocking if rule["name"]]
        for mixture in card.mixtures.values():
            shares = [s for name in mixture.comparisons for s in (*mixture.m[name], *mixture.u[name])]
            # Weights are logarithms of these.
            numbers += [math.log(share) for share in (mixture.match_share, *shares)]
            numbers += [kind.share for kind in mixture.kin.values()]
        if not card.mixtures or not all(math.isfinite(number) for number in numbers):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _damaged(path, "card.json") from error
    for kind in card.mixtures:
        # The weights are in the card, too; but what an engineer opens in Splink is to be what nights used.
        try:
            read_json(path / f"{kind}.json")
        except (OSError, ValueError) as error:
            raise _damaged(path, f"{kind}.json") from error
    for column in FREQUENCIES:
        file = path / "frequencies" / f"{column}.parquet"
        try:
            pq.read_table(file, columns=[column, f"tf_{column}"])
        except (OSError, ValueError, KeyError) as error:
            raise _damaged(path, f"frequencies/{file.name}") from error
    return card


def _damaged(path: Path, file: str) -> ModelError:
    return ModelError(
        f"{file} of the model {path.name} is missing or damaged: adopt another model, or train a new one and adopt it"
    )


def _card(path: Path, data: dict[str, Any]) -> ModelCard:
    here = versions()
    made, now = data["versions"].get("splink", "?"), here["splink"]
    if made.split(".")[0] != now.split(".")[0]:
        raise ModelError(f"the model was made with splink {made}, installed is {now}: train a new model")
    mixtures = {k: Mixture.from_dict(v) for k, v in data["mixtures"].items()}
    for mixture in mixtures.values():
        levels = {name: len(BY_NAME[name].all_levels) if name in BY_NAME else 0 for name in mixture.comparisons}
        if levels != {name: len(m) for name, m in mixture.m.items()}:
            raise ModelError("the model was made for other comparisons than there are now: train a new model")
    return ModelCard(
        name=data["name"],
        path=path,
        mixtures=mixtures,
        thresholds=Thresholds(**data["thresholds"]),
        pools={k: Pool(**v) for k, v in data["pools"].items()},
        duplicate_free=tuple(data["duplicate_free"]),
        versions=data["versions"],
        fingerprint=data["fingerprint"],
        trained_on=data["trained_on"],
        blocking=data["blocking"],
        reference=data.get("reference", {}),
    )
