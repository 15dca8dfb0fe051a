"""Quantizers: the graph of a step function to given levels, each number going to its nearest level.

Set: ``{(x, z) : z = q(x)}``, entry by entry, with q the nearest level. Not convex: one horizontal piece for
each level, over the cell between the midpoints to its neighbours.

Projection: argmin over ``(x', z')`` of the set's closure of ``(x' - x)^2 + (z' - z)^2``.

Solution: for each level, x clipped to the level's cell; the level of least true distance wins. The value
returned is ``q(x')``.

Ties: the lowest level. At a midpoint q is the lower level; an upper cell is open there, so where x' comes
to rest on its lower edge the infimum is not attained, and the value is the lower level.

Source: any step function is a union of intervals; A. Bergmeister et al., arXiv 2506.05878, quantization.

Shapes: x and z of one shape.

Exact: yes.

Cost: O(levels) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.sum_relu import site_scale


@dataclass(frozen=True)
class Quantize(Operator):
    """``f(x) = the level nearest to x``.

    Raises:
        ValueError: if there is no level, or the levels are not finite and strictly increasing.
    """

    name: ClassVar[str] = "quantize"
    convex: ClassVar[bool] = False

    levels: tuple[float, ...] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        if not self.levels or not all(map(isfinite, self.levels)):
            raise ValueError(f"levels must be finite numbers, at least one, found {list(self.levels)}")
        if any(a >= b for a, b in pairwise(self.levels)):
            raise ValueError(f"levels must be strictly increasing, found {list(self.levels)}")

    def forward(self, *inputs: Array) -> Array:
        (x,) = inputs
        value = jnp.full_like(x, self.levels[0])
        for edge, level in zip(self._edges(), self.levels[1:], strict=True):
            value = jnp.where(x > edge, jnp.asarray(level, x.dtype), value)
        return value

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        (x,) = inputs
        widest = max(map(abs, self.levels))
        scale = jnp.maximum(site_scale(inputs, z, ()), widest)
        best, least = x, jnp.full_like(x, jnp.inf)
        edges = (-inf, *self._edges(), inf)
        for level, low, high in zip(self.levels, edges, edges[1:], strict=False):
            clipped = jnp.clip(x, low, high)
            score = (clipped / scale - x / scale) ** 2 + (level / scale - z / scale) ** 2
            best = jnp.where(score < least, clipped, best)
            least = jnp.minimum(score, least)
        return (best,), self.forward(best)

    def _edges(self) -> tuple[float, ...]:
        """Return the midpoints between neighbouring levels."""
        return tuple(a / 2 + b / 2 for a, b in pairwise(self.levels))
