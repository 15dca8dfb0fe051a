"""Sums: the graph of ``f(x_1, ..., x_n) = x_1 + ... + x_n``.

Set: ``{(x, z) : z = sum x_i}``, over all inputs and along the axes; a subspace.

Projection: argmin over ``(x', z')`` in the set of ``|x' - x|^2 + (z' - z)^2``.

Solution: every term moves by ``t = (z - sum x_i) / (n + 1)``, and ``z' = z - t``.

Ties: none, the set is convex.

Source: the projection onto a hyperplane; H. Bauschke and P. Combettes, "Convex Analysis and Monotone
Operator Theory in Hilbert Spaces", example 3.23.

Shapes: n inputs of one shape; z of that shape without the axes.

Exact: to rounding. Terms are divided before they are added, so that no partial sum overflows.

Cost: O(n) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.operator import Operator


@dataclass(frozen=True)
class Sum(Operator):
    """``f(x) = sum of x``, over all inputs and along ``axes``."""

    name: ClassVar[str] = "sum"
    convex: ClassVar[bool] = True

    axes: tuple[int, ...] = ()

    def forward(self, *inputs: Array) -> Array:
        return total(inputs, self.axes)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        parts = count(inputs, self.axes) + 1
        t = z / parts - total(tuple(x / parts for x in inputs), self.axes)
        moved = jnp.expand_dims(t, self.axes)
        return tuple(x + moved for x in inputs), z - t


def count(inputs: tuple[Array, ...], axes: tuple[int, ...]) -> int:
    """Return how many terms are reduced to one value."""
    return len(inputs) * prod(inputs[0].shape[axis] for axis in axes)


def total(inputs: tuple[Array, ...], axes: tuple[int, ...]) -> Array:
    """Return the sum of the inputs and along the axes."""
    added = inputs[0]
    for x in inputs[1:]:
        added = added + x
    return jnp.sum(added, axis=axes)
