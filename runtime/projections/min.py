"""Minima: the graph of ``f(x_1, ..., x_n) = min x_i``.

Set: ``{(x, z) : z = min x_i}``, over all inputs and along the axes: the mirror image ``(x, z) -> (-x, -z)``
of the graph of the maximum. Not convex.

Projection: argmin over ``(x', z')`` in the set of ``|x' - x|^2 + (z' - z)^2``.

Solution: the mirror image of the projection of ``(-x, -z)`` onto the graph of the maximum (max.py); so are
its response, ties, source, shapes, exactness and cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.max import Max
from pjc.runtime.projections.operator import Operator


@dataclass(frozen=True)
class Min(Operator):
    """``f(x) = the least of x``, over all inputs and along ``axes``."""

    name: ClassVar[str] = "min"

    axes: tuple[int, ...] = ()

    def forward(self, *inputs: Array) -> Array:
        return -Max(self.axes).forward(*(-x for x in inputs))

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        new, value = Max(self.axes).project(tuple(-x for x in inputs), -z)
        return tuple(-x for x in new), -value

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        return tuple(-move for move in Max(self.axes).respond(tuple(-x for x in inputs), -demand, weight))

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        return Max(self.axes).gain(inputs, weight)

    def spread(self, site: Array, like: Array) -> Array:
        return jnp.expand_dims(site, self.axes)
