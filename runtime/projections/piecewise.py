"""Piecewise linear functions of one number, with jumps or without: abs, clip, leaky_relu, step, sign.

Set: ``{(x, z) : z = a_i x + b_i if e_{i-1} < x <= e_i}``, entry by entry, for edges ``e_1 < ... < e_{n-1}``
(``e_0 = -inf``, ``e_n = inf``). With a margin m the pieces end at the distance m from their edges, and no x
between them is allowed. Not convex: a segment or ray for each piece.

Projection: argmin over ``(x', z')`` of the set's closure of ``(x' - x)^2 + (z' - z)^2``.

Solution: on the line of each piece, ``(x + a (z - b)) / (1 + a^2)``, clipped to the piece; the piece of least
true distance wins, and the new value is the one on that piece.

Ties: the lowest piece. At a jump the value is the limit along the winning piece, which is ``f(x')`` only if
the piece ends there: ``f(x')`` itself may be the other side's.

Source: the union of finitely many convex sets; the projection onto a line segment.

Shapes: x and z of one shape.

Exact: to rounding, relative to the largest of |x|, |z| and the pieces' offsets.

Cost: O(pieces) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.scale import site_scale


@dataclass(frozen=True)
class Piecewise(Operator):
    """``f(x) = slopes[i] x + offsets[i]`` for x above ``edges[i - 1]`` and at most ``edges[i]``.

    The constraint asks for x to keep away from the edges by ``margin``.

    Raises:
        ValueError: unless there is one more slope and offset than edges, all finite, edges increase, and the
            margin is at least 0 and leaves something of every piece.
    """

    name: ClassVar[str] = "piecewise"

    edges: tuple[float, ...] = (0.0,)
    slopes: tuple[float, ...] = (-1.0, 1.0)
    offsets: tuple[float, ...] = (0.0, 0.0)
    margin: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.edges) + 1 == len(self.slopes) == len(self.offsets):
            raise ValueError(
                f"{len(self.edges)} edges need one more slope and offset, found {len(self.slopes)} slopes "
                f"and {len(self.offsets)} offsets"
            )
        if not all(map(isfinite, (*self.edges, *self.slopes, *self.offsets))):
            raise ValueError("edges, slopes and offsets must be finite")
        if any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError(f"edges must be strictly increasing, found {list(self.edges)}")
        if self.margin < 0 or any(b - a < 2 * self.margin for a, b in pairwise(self.edges)):
            raise ValueError(f"a margin of {self.margin} does not fit between the edges {list(self.edges)}")

    def forward(self, *inputs: Array) -> Array:
        (x,) = inputs
        value = self._line(0, x)
        for index, edge in enumerate(self.edges, 1):
            value = jnp.where(x > edge, self._line(index, x), value)
        return value

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        (x,) = inputs
        scale = jnp.maximum(site_scale(inputs, z, ()), max(map(abs, (*self.offsets, self.margin))))
        best, value, least = x, z, jnp.full_like(x, jnp.inf)
        ends = (-inf, *self.edges, inf)
        for index, (low, high) in enumerate(pairwise(ends)):
            slope, offset = self.slopes[index], self.offsets[index]
            steep = 1 + slope * slope
            on_line = scale * ((x / scale) / steep + (z / scale - offset / scale) * (slope / steep))
            moved = jnp.clip(on_line if slope else x, low + self.margin, high - self.margin)
            reached = self._line(index, moved)
            score = (moved / scale - x / scale) ** 2 + (reached / scale - z / scale) ** 2
            nearer = score < least
            best, value = jnp.where(nearer, moved, best), jnp.where(nearer, reached, value)
            least = jnp.where(nearer, score, least)
        return (best,), value

    def _line(self, index: int, x: Array) -> Array:
        """Return the value on the line of a piece."""
        slope, offset = self.slopes[index], self.offsets[index]
        if not slope:
            return jnp.full_like(x, offset)
        return slope * x + offset if offset else slope * x
