"""Vectors with a given sum.

Set: ``S = {v : sum v_i = total}`` for each vector, a hyperplane.

Projection: argmin over ``v'`` in S of ``|v' - v|^2``.

Solution: all entries move by the same number, ``(total - sum v_i) / n``; twice, for what rounding left.

Ties: none, the set is convex.

Source: H. Bauschke and P. Combettes, "Convex Analysis and Monotone Operator Theory in Hilbert Spaces",
example 3.23.

Shapes: any, vectors along axes.

Exact: to rounding, relative to the largest of |v_i| and |total|.

Cost: O(n) a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.sets import ConstraintSet, bounded, unit_of, vectors


@dataclass(frozen=True)
class FixedSum(ConstraintSet):
    """``S = {v : sum v_i = total}``."""

    name: ClassVar[str] = "fixed_sum"

    total: float
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        unit = unit_of(rows, 1)
        moved = rows * unit
        for _ in range(2):
            moved = moved + (self.total / rows.shape[1] * unit - jnp.mean(moved, axis=1, keepdims=True))
        return back(bounded(moved, unit))
