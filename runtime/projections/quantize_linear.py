"""Rounding to the whole numbers of a few bits: the graph of ``f(x) = clip(round(x / s), low, high)``.

Set: ``{(x, z) : z = k, x in the cell of k, k whole, low <= k <= high}``, entry by entry, for a step s above
0. Cells are ``[s (k - 1/2), s (k + 1/2)]``, the first and the last without their outer end. Not convex: a
horizontal piece for each k.

Projection: argmin over ``(x', z')`` in the set of ``(x' - x)^2 + (z' - z)^2``.

Solution: for a given k the nearest x' is x clipped to the cell. If no cell had an outer end missing the
square distance would be ``max(0, |x - s k| - s/2)^2 + (k - z)^2``, convex in k: over real k it is least at z
where ``|x - s z| <= s/2``, else at ``(s (x -+ s/2) + z) / (1 + s^2)`` for x above or below that; of whole
numbers one of the two around it is best. The first and the last cell are nearer than that says, so these two
are tried as well: four points in all, whatever the bits.

Response: that of the bridged function, ``clip(x / s, low, high)``, and its gain (piecewise.py).

Ties: the lower k. Halfway between two whole numbers ``f`` is the even one, as ONNX's QuantizeLinear has it;
where x' comes to rest there, the value is the k that was chosen.

Source: derived here; ONNX operator schemas, QuantizeLinear; the argument is that of round.py.

Shapes: x and z of one shape.

Exact: to rounding. The forward function divides and rounds as IEEE 754 says (rounding.py).

Cost: O(1) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.piecewise import Piecewise
from pjc.runtime.projections.rounding import quotient
from pjc.runtime.projections.scale import site_scale


@dataclass(frozen=True)
class QuantizeLinear(Operator):
    """``f(x) = clip(round(x / scale), low, high)``.

    Raises:
        ValueError: if the scale is not positive and finite, or the ends are not whole numbers, low < high.
    """

    name: ClassVar[str] = "quantize_linear"

    scale: float = 1.0
    low: float = -8.0
    high: float = 7.0

    def __post_init__(self) -> None:
        if not self.scale > 0 or not isfinite(self.scale):
            raise ValueError(f"the scale must be positive and finite, found {self.scale}")
        if not self.low < self.high or self.low % 1 or self.high % 1:
            raise ValueError(f"whole numbers low < high are needed, found {self.low} and {self.high}")

    def forward(self, *inputs: Array) -> Array:
        (x,) = inputs
        return jnp.clip(jnp.round(quotient(x, self.scale)), self.low, self.high)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        (x,) = inputs
        step = self.scale
        unit = jnp.maximum(site_scale(inputs, z, ()), max(abs(self.low), abs(self.high)))
        half, steep = step / 2, 1 + step * step
        above, below = (x - half) * (step / steep) + z / steep, (x + half) * (step / steep) + z / steep
        best = jnp.where(x - step * z > half, above, jnp.where(x - step * z < -half, below, z))
        best = jnp.clip(best, self.low, self.high)
        ends = jnp.full_like(x, self.low), jnp.full_like(x, self.high)
        moved, value, least = x, z, jnp.full_like(x, jnp.inf)
        for k in (ends[0], jnp.floor(best), jnp.ceil(best), ends[1]):
            start = jnp.where(k > self.low, step * (k - 0.5), -jnp.inf)
            end = jnp.where(k < self.high, step * (k + 0.5), jnp.inf)
            there = jnp.clip(x, start, end)
            score = ((there - x) / unit) ** 2 + ((k - z) / unit) ** 2
            nearer = score < least
            moved, value = jnp.where(nearer, there, moved), jnp.where(nearer, k, value)
            least = jnp.where(nearer, score, least)
        return (moved,), value

    def bridged(self) -> Piecewise:
        edges = (self.scale * self.low, self.scale * self.high)
        return Piecewise(edges, (0.0, 1 / self.scale, 0.0), (self.low, 0.0, self.high))

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        return self.bridged().respond(inputs, demand, weight)

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        return self.bridged().gain(inputs, weight)
