"""Weighted sums: the graph of ``f(x_1, ..., x_n) = o + c_1 x_1 + ... + c_n x_n``; plain sums have weights 1.

Set: ``{(x, z) : z = o + sum c_i x_i}``, over all inputs and along the axes; a hyperplane.

Projection: argmin over ``(x', z')`` in the set of ``|x' - x|^2 + (z' - z)^2``.

Solution: with ``t = (z - o - sum c_i x_i) / (1 + sum c_i^2)`` every term moves by ``c_i t``, and ``z' = z -
t``.

Response: every term moves by ``c_i t``, with ``t = u d / (1 + u sum c_i^2)``; times the gain
``(1 + u sum c_i^2) / u`` that is ``c_i d``. No ties.

Ties: none, the set is convex.

Source: the projection onto a hyperplane; H. Bauschke and P. Combettes, "Convex Analysis and Monotone
Operator Theory in Hilbert Spaces", example 3.23.

Shapes: n inputs of one shape; z of that shape without the axes.

Exact: to rounding. Plain terms are divided before they are added, weighted ones are scaled by the largest
of a site, so that no partial sum overflows.

Cost: O(n) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.rounding import scaled
from pjc.runtime.projections.scale import site_scale


@dataclass(frozen=True)
class Weighted(Operator):
    """What sums and rectified sums share: a weight for each input, all 1 if none are given, and an offset.

    Raises:
        ValueError: on use, if there are weights for another number of inputs.
    """

    axes: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    offset: float = 0.0

    def weights_of(self, inputs: tuple[Array, ...]) -> tuple[float, ...]:
        """Return a weight for each input."""
        if self.weights and len(self.weights) != len(inputs):
            raise ValueError(f"{len(self.weights)} weights do not fit {len(inputs)} inputs")
        return self.weights or (1.0,) * len(inputs)

    def norm(self, inputs: tuple[Array, ...]) -> float:
        """Return ``sum c_i^2`` over all inputs and along the axes: for plain sums the number of terms."""
        along = prod(inputs[0].shape[axis] for axis in self.axes)
        return along * sum(weight * weight for weight in self.weights_of(inputs))

    def total(self, inputs: tuple[Array, ...]) -> Array:
        """Return ``sum c_i x_i`` over all inputs and along the axes."""
        terms = [scaled(x, weight) for weight, x in zip(self.weights_of(inputs), inputs, strict=True)]
        added = terms[0]
        for term in terms[1:]:
            added = added + term
        return jnp.sum(added, axis=self.axes)

    def moved(self, inputs: tuple[Array, ...], t: Array) -> tuple[Array, ...]:
        """Return the inputs, each moved by its weight times t."""
        wide = jnp.expand_dims(t, self.axes)
        return tuple(
            x + (wide if weight == 1 else weight * wide)
            for weight, x in zip(self.weights_of(inputs), inputs, strict=True)
        )

    def moves(self, inputs: tuple[Array, ...], t: Array) -> tuple[Array, ...]:
        """Return each input's weight times t, of its shape."""
        wide = jnp.expand_dims(t, self.axes)
        return tuple(
            jnp.broadcast_to(weight * wide if weight else jnp.zeros_like(wide), x.shape)
            for weight, x in zip(self.weights_of(inputs), inputs, strict=True)
        )

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        return 1 / weight + self.norm(inputs)

    def spread(self, site: Array, like: Array) -> Array:
        return jnp.expand_dims(site, self.axes)


@dataclass(frozen=True)
class Sum(Weighted):
    """``f(x) = offset + weighted sum of x``, over all inputs and along ``axes``."""

    name: ClassVar[str] = "sum"

    def forward(self, *inputs: Array) -> Array:
        total = self.total(inputs)
        return total + self.offset if self.offset else total

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        parts = self.norm(inputs) + 1
        if not self.weights and not self.offset:
            t = z / parts - self.total(tuple(x / parts for x in inputs))
        else:
            scale = jnp.maximum(site_scale(inputs, z, self.axes), abs(self.offset))
            wide = jnp.expand_dims(scale, self.axes)
            t = scale * (
                (z / scale - self.offset / scale - self.total(tuple(x / wide for x in inputs))) / parts
            )
        return self.moved(inputs, t), z - t

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        return self.moves(inputs, demand * (weight / (1 + weight * self.norm(inputs))))
