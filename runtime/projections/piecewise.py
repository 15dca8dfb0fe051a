"""Piecewise linear functions of one number, with jumps or without: abs, clip, leaky_relu, step, sign.

Set: ``{(x, z) : z = a_i x + b_i if e_{i-1} < x <= e_i}``, entry by entry, for edges ``e_1 < ... < e_{n-1}``
(``e_0 = -inf``, ``e_n = inf``). With a margin m the pieces end at the distance m from their edges, and no x
between them is allowed. Not convex: a segment or ray for each piece.

Projection: argmin over ``(x', z')`` of the set's closure of ``(x' - x)^2 + (z' - z)^2``.

Solution: on the line of each piece, ``(x + a (z - b)) / (1 + a^2)``, clipped to the piece; the piece of least
true distance wins, and the new value is the one on that piece.

Response: on each piece the nearest displacement, of which the one of least weighted distance is taken;
heights and places are measured from x, by slopes alone, and compared with staying, in units of ``|d|``. A tie
keeps the piece on which x rests, then staying there, then the lowest. The gain is ``(1 + a^2 u) / u`` with
that piece's slope, 1 where it is flat. Where the function jumps that is so of the *bridged* one: in place of
a jump at e from y to y' there is the ramp ``(y' - y) clip((x - e) / h + 1/2, 0, 1)`` with ``h = |y' - y|``;
other slopes stay, and the margin does not count. So sign is taken for ``clip(x, -1, 1)``.

Ties: the lowest piece. At a jump the value is the limit along the winning piece, which is ``f(x')`` only if
the piece ends there: ``f(x')`` itself may be the other side's.

Source: the union of finitely many convex sets; the projection onto a line segment.

Shapes: x and z of one shape.

Exact: to rounding, relative to the largest of |x|, |z| and the pieces' offsets.

Cost: O(pieces) a site.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import copysign, inf, isfinite
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.rounding import scaled
from pjc.runtime.projections.scale import site_scale

ROUNDING = 1e-9
"""Relative heights that count as rounding of the offsets, and not as jumps."""


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
        return jnp.where(jnp.isnan(x), x, value)  # which a level piece would hide

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

    def bridged(self) -> Piecewise:
        heights = [self._height(index, edge) for index, edge in enumerate(self.edges)]
        ramps = [
            (edge - abs(h) / 2, edge + abs(h) / 2, h) for edge, h in zip(self.edges, heights, strict=True)
        ]
        if not any(heights):
            return replace(self, margin=0.0) if self.margin else self
        ends = sorted({*self.edges, *(end for low, high, _ in ramps for end in (low, high))})
        edges, slopes, offsets = [], [self.slopes[0]], [self.offsets[0]]
        for low, high in pairwise((*ends, inf)):
            inside = low + min(high - low, 1.0) / 2
            piece = sum(edge < inside for edge in self.edges)
            climbing = sum(copysign(1.0, h) for a, b, h in ramps if a < inside < b)
            slope = self.slopes[piece] + climbing
            if slope != slopes[-1]:
                edges.append(low)
                offsets.append(offsets[-1] + (slopes[-1] - slope) * low)
                slopes.append(slope)
        return Piecewise(tuple(edges), tuple(slopes), tuple(offsets))

    def _height(self, index: int, edge: float) -> float:
        """Return how far the function jumps at the edge above a piece; 0 where rounding alone says so."""
        below, above = (self.slopes[i] * edge + self.offsets[i] for i in (index, index + 1))
        size = max(abs(self.offsets[i]) + abs(self.slopes[i] * edge) for i in (index, index + 1))
        return above - below if abs(above - below) > ROUNDING * size else 0.0

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        (x,) = inputs
        g = self.bridged()
        found = [g._nearest(index, x, demand, weight) for index in range(len(g.slopes))]
        best, least = jnp.zeros_like(x), jnp.zeros_like(x)
        for index, (move, score) in enumerate(found):
            own = g._rests(index, x) & (score < 0)
            best, least = jnp.where(own, move, best), jnp.where(own, score, least)
        for move, score in found:
            nearer = score < least
            best, least = jnp.where(nearer, move, best), jnp.where(nearer, score, least)
        return (best,)

    def _nearest(self, index: int, x: Array, demand: Array, weight: Array | float) -> tuple[Array, Array]:
        """Return how x best moves onto a piece, and how much farther that is than staying, over d^2."""
        ends = (-inf, *self.edges, inf)
        low, high = ends[index] - x, ends[index + 1] - x
        near = jnp.clip(jnp.zeros_like(x), low, high)
        height = self._climb(index, x)
        slope = self.slopes[index]
        steep = 1 + weight * slope * slope
        along = jnp.zeros_like(x)
        if slope:
            wanted = (demand - height) * (weight * slope / steep) - near / steep
            along = jnp.clip(wanted, low - near, high - near)
        unit = jnp.where(demand == 0, 1, jnp.abs(demand))
        move, rise = (near + along) / unit, (height + slope * along) / unit
        return near + along, move * move + weight * rise * (rise - 2 * jnp.sign(demand))

    def _climb(self, index: int, x: Array) -> Array:
        """Return the height of the point of a piece that is nearest to x over that at x."""
        ends = (-inf, *self.edges, inf)
        right, left = jnp.zeros_like(x), jnp.zeros_like(x)
        for i in range(index):
            right = right + self.slopes[i] * (ends[i + 1] - jnp.clip(x, ends[i], ends[i + 1]))
        for i in range(index + 1, len(self.slopes)):
            left = left + self.slopes[i] * (jnp.clip(x, ends[i], ends[i + 1]) - ends[i])
        return jnp.where(x < ends[index], right, jnp.where(x > ends[index + 1], -left, 0))

    def _rests(self, index: int, x: Array) -> Array:
        """Return where x is on a piece."""
        ends = (-inf, *self.edges, inf)
        return (x > ends[index]) & (x <= ends[index + 1])

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        (x,) = inputs
        g = self.bridged()
        found = jnp.ones_like(x)
        for index, slope in enumerate(g.slopes):
            if slope:
                found = jnp.where(g._rests(index, x), 1 / weight + slope * slope, found)
        return found

    def _line(self, index: int, x: Array) -> Array:
        """Return the value on the line of a piece."""
        slope, offset = self.slopes[index], self.offsets[index]
        if not slope:
            return jnp.full_like(x, offset)
        return scaled(x, slope) + offset if offset else slope * x
