"""Vectors whose magnitudes add up to a radius at most.

Set: ``S = {x : sum |x_i| <= radius}`` for each vector.

Projection: argmin over ``x'`` in S of ``|x' - x|^2``.

Solution: x where it is inside; else the signs of x, and for the magnitudes the projection of ``|x|`` onto
the simplex whose total is the radius (simplex in sets.py): all shrink by the same number, and none goes
below 0.

Ties: none, the set is convex. Degenerate: zeros stay zeros.

Source: J. Duchi, S. Shalev-Shwartz, Y. Singer, T. Chandra, "Efficient projections onto the l1-ball for
learning in high dimensions" (2008).

Shapes: any, vectors along axes.

Exact: to rounding, relative to the radius.

Cost: O(n) a step, and a few steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.sets import ConstraintSet, Simplex, unit_of, vectors


@dataclass(frozen=True)
class L1Ball(ConstraintSet):
    """``S = {x : sum |x_i| <= radius}``."""

    name: ClassVar[str] = "l1_ball"

    radius: float
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        sizes = jnp.abs(rows)
        unit = unit_of(rows, 1)  # so that the sum does not overflow
        inside = jnp.sum(sizes * unit, axis=1, keepdims=True) <= self.radius * unit
        shrunk = Simplex(self.radius, (1,)).nearest(sizes)
        return back(jnp.where(inside, rows, jnp.sign(rows) * shrunk))
