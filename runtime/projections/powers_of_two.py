"""Powers of two with a sign, and zero: to multiply by them is to shift.

Set: ``S = {x : every entry is 0 or +-2^e, e whole, low <= e <= high}``. Not convex: isolated points.

Projection: argmin over ``x'`` in S of ``|x' - x|^2``.

Solution: the nearest of these levels (levels in sets.py).

Ties: as quantize has them.

Source: A. Zhou et al., "Incremental network quantization" (2017).

Shapes: any.

Exact: yes.

Cost: O(high - low) an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jax import Array

from pjc.runtime.projections.sets import Entries, Levels


@dataclass(frozen=True)
class PowersOfTwo(Entries):
    """``S = {x : 0 or +-2^e, low <= e <= high}``; ``rate`` is that of levels."""

    name: ClassVar[str] = "powers_of_two"

    low: int
    high: int
    rate: float = 100.0

    def nearest(self, x: Array) -> Array:
        return self.levels().nearest(x)

    def keep(self, latent: Array) -> Array:
        return self.levels().keep(latent)

    def resume(self, latent: Array, start: Array, after: Array) -> Array:
        return self.levels().resume(latent, start, after)

    def levels(self) -> Levels:
        """Return the set of these levels."""
        above = [2.0**each for each in range(self.low, self.high + 1)]
        return Levels((*(-each for each in reversed(above)), 0.0, *above), self.rate)
