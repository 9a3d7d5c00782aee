"""A synthetic jurisdiction with known truth: what agencies would deliver about families who never lived.

``simulate`` makes the world, ``write_deliveries`` renders what each agency sends of it, through the contracts.
Truth is written apart and is for evaluation and tests alone; no other room reads it.
"""

from __future__ import annotations

from pipelines.demo.deliveries import DATES, write_deliveries
from pipelines.demo.world import World, simulate

__all__ = ["DATES", "World", "simulate", "write_deliveries"]
