"""Rectified sums: the graph of ``f(x_1, ..., x_n) = max(0, o + sum c_i x_i)``; plain ones have weights 1.

Set: ``{(x, z) : z = max(0, s(x))}`` with ``s(x) = o + sum c_i x_i``, over all inputs and along the axes. Not
convex: a flat side ``z = 0, s <= 0`` and a linear side ``z = s >= 0``, each convex.

Projection: argmin over ``(x', z')`` in the set of ``|x' - x|^2 + (z' - z)^2``.

Solution: the nearer of the nearest points of the two sides. With ``N = sum c_i^2`` (for plain sums the number
of terms) every term moves by ``c_i t``: on the flat side ``t = -max(s, 0) / N``; on the linear side
``t = max((z - s) / (N + 1), -s / N)``, which stops at ``s(x') = 0``. Each is scored by its true distance, for
negative targets too.

Ties: the flat side.

Source: the union of two convex sets; A. Bergmeister et al., arXiv 2506.05878.

Shapes: n inputs of one shape; z of that shape without the axes.

Exact: to rounding, relative to the largest of |x_i|, |z| and |o|, by which a site is scaled.

Cost: O(n) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.scale import site_scale
from pjc.runtime.projections.sum import Weighted


@dataclass(frozen=True)
class SumRelu(Weighted):
    """``f(x) = max(0, offset + weighted sum of x)``, over all inputs and along ``axes``."""

    name: ClassVar[str] = "sum_relu"
    convex: ClassVar[bool] = False

    def forward(self, *inputs: Array) -> Array:
        total = self.total(inputs)
        return jnp.maximum(total + self.offset if self.offset else total, 0)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        n = self.norm(inputs)
        scale = site_scale(inputs, z, self.axes)
        if self.offset:
            scale = jnp.maximum(scale, abs(self.offset))
        target = z / scale
        wide = jnp.expand_dims(scale, self.axes)
        s = self.total(tuple(x / wide for x in inputs))
        if self.offset:
            s = s + self.offset / scale
        flat = -jnp.maximum(s, 0) / n
        linear = jnp.maximum((target - s) / (n + 1), -s / n)
        value = jnp.maximum(s + n * linear, 0)
        flat_score = n * flat**2 + target**2
        linear_score = n * linear**2 + (value - target) ** 2
        move = jnp.where(linear_score < flat_score, linear, flat)
        value = jnp.where(linear_score < flat_score, value, 0)
        return self.moved(inputs, move * scale), value * scale
