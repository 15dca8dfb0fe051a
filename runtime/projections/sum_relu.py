"""Rectified sums: the graph of ``f(x_1, ..., x_n) = max(0, x_1 + ... + x_n)``.

Set: ``{(x, z) : z = max(0, sum x_i)}``, over all inputs and along the axes. Not convex: a flat side
``z = 0, sum x_i <= 0`` and a linear side ``z = sum x_i >= 0``, each convex.

Projection: argmin over ``(x', z')`` in the set of ``|x' - x|^2 + (z' - z)^2``.

Solution: the nearer of the nearest points of the two sides. With ``s = sum x_i``: on the flat side every
term moves by ``-max(s, 0) / n``; on the linear side by ``t = max((z - s) / (n + 1), -s / n)``, which stops
at ``sum x_i' = 0``. Each is scored by its true distance, for negative targets too.

Ties: the flat side.

Source: the union of two convex sets; A. Bergmeister et al., arXiv 2506.05878.

Shapes: n inputs of one shape; z of that shape without the axes.

Exact: to rounding, relative to the largest of |x_i| and |z|, by which a site is scaled.

Cost: O(n) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.sum import count, total


@dataclass(frozen=True)
class SumRelu(Operator):
    """``f(x) = max(0, sum of x)``, over all inputs and along ``axes``; relu is the case of one input."""

    name: ClassVar[str] = "sum_relu"
    convex: ClassVar[bool] = False

    axes: tuple[int, ...] = ()

    def forward(self, *inputs: Array) -> Array:
        return jnp.maximum(total(inputs, self.axes), 0)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        n = count(inputs, self.axes)
        scale = site_scale(inputs, z, self.axes)
        target = z / scale
        wide = jnp.expand_dims(scale, self.axes)
        s = total(tuple(x / wide for x in inputs), self.axes)
        flat = -jnp.maximum(s, 0) / n
        linear = jnp.maximum((target - s) / (n + 1), -s / n)
        value = jnp.maximum(s + n * linear, 0)
        flat_score = n * flat**2 + target**2
        linear_score = n * linear**2 + (value - target) ** 2
        move = jnp.where(linear_score < flat_score, linear, flat)
        value = jnp.where(linear_score < flat_score, value, 0)
        moved = jnp.expand_dims(move * scale, self.axes)
        return tuple(x + moved for x in inputs), value * scale


def site_scale(inputs: tuple[Array, ...], z: Array, axes: tuple[int, ...]) -> Array:
    """Return the largest magnitude of each site, 1 where all is zero, to score distances without overflow."""
    largest = jnp.abs(z)
    for x in inputs:
        largest = jnp.maximum(largest, jnp.max(jnp.abs(x), axis=axes))
    return jnp.where(largest > 0, largest, 1)
