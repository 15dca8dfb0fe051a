"""Rectified sums: the graph of ``f(x_1, ..., x_n) = max(0, o + sum c_i x_i)``; plain ones have weights 1.

Set: ``{(x, z) : z = max(0, s(x))}`` with ``s(x) = o + sum c_i x_i``, over all inputs and along the axes. Not
convex: a flat side ``z = 0, s <= 0`` and a linear side ``z = s >= 0``, each convex.

Projection: argmin over ``(x', z')`` in the set of ``|x' - x|^2 + (z' - z)^2``.

Solution: the nearer of the nearest points of the two sides. With ``N = sum c_i^2`` (for plain sums the number
of terms) every term moves by ``c_i t``. On the flat side ``t = -max(s, 0) / N`` and ``z' = 0``; on the linear
side ``t = (z - s) / (N + 1)`` and ``z' = z - t``, where that is at least 0, which is ``s + N z >= 0``. There
the distances have the squares ``max(s, 0)^2 / N + z^2`` and ``(z - s)^2 / (N + 1)``, so that the linear side
is nearer where

    s + N z > 0   for s >= 0,        s + (sqrt(N + 1) - 1) z > 0   for s < 0;

the second implies z > 0 and the first. Elsewhere the linear side ends at its corner, a point of the flat one.

Response: to a demand d at the point of rest ``z = max(0, s)``, every term moves by ``c_i t``. From ``s > 0``,
``t = u d / (1 + N u)``, at least ``-s / N``, which is the corner. From ``s <= 0`` the distances of the two
sides have the squares ``u d^2`` and ``u (d - s)^2 / (1 + N u)``, so that ``t = u (d - s) / (1 + N u)`` where
``s + (sqrt(1 + N u) - 1) d > 0``, and 0 elsewhere. The gain is that of a sum.

Ties: the flat side; in a response, from which nothing moves.

Source: the union of two convex sets; A. Bergmeister et al., arXiv 2506.05878.

Shapes: n inputs of one shape; z of that shape without the axes.

Exact: to rounding, relative to the largest of |x_i|, |z| and |o|. Nothing is squared, and terms are divided
by N + 1 before they are added, so that no partial sum overflows where the result does not.

Cost: O(n) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.select import larger
from pjc.runtime.projections.sum import Weighted


@dataclass(frozen=True)
class SumRelu(Weighted):
    """``f(x) = max(0, offset + weighted sum of x)``, over all inputs and along ``axes``."""

    name: ClassVar[str] = "sum_relu"

    def forward(self, *inputs: Array) -> Array:
        total = self.total(inputs)
        return jnp.maximum(total + self.offset if self.offset else total, 0)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        n = self.norm(inputs)
        # Products with reciprocals: XLA makes a pass of its own for a division.
        part = 1 / (n + 1)
        s = self.total(tuple(x * part for x in inputs))
        if self.offset:
            s = s + self.offset * part
        target = z * part
        steepness = jnp.where(s < 0, sqrt(n + 1) - 1, n)
        linear = s + steepness * target > 0
        move = jnp.where(linear, target - s, -larger(s, 0) * ((n + 1) / n))
        value = jnp.where(linear, larger(z - (target - s), 0), 0)
        return self.moved(inputs, move), value

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        n = self.norm(inputs)
        part, share = 1 / (n + 1), weight / (1 + n * weight)
        s = self.total(tuple(x * part for x in inputs))
        if self.offset:
            s = s + self.offset * part
        steepness = n * weight / (1 + jnp.sqrt(1 + n * weight))
        rising = larger(demand * share, -s * ((n + 1) / n))
        crossing = demand * share - s * (share * (n + 1))
        crosses = s + steepness * (demand * part) > 0
        return self.moves(inputs, jnp.where(s > 0, rising, jnp.where(crosses, crossing, 0)))
