"""Rounding: the graph of ``f(x)`` = the whole number nearest to x.

Set: ``{(x, z) : z = k, |x - k| <= 1/2, k whole}``, entry by entry. Not convex: a horizontal piece for each k.

Projection: argmin over ``(x', z')`` in the set of ``(x' - x)^2 + (z' - z)^2``.

Solution: for a given k the nearest x' is x clipped to ``[k - 1/2, k + 1/2]``, at the square distance
``max(0, |x - k| - 1/2)^2 + (k - z)^2``, which is convex in k. Over all real k it is least at z where
``|x - z| <= 1/2``, and at ``(x + z -+ 1/2) / 2`` for x above or below that; so the best whole k is one of the
two around it.

Response: that of the bridged function, which is the identity, and its gain (identity.py).

Ties: the lower k. Halfway between two whole numbers ``f`` is the even one; where x' comes to rest there, the
value is the k that was chosen.

Source: derived here; the same argument as for a quantizer of finitely many levels (piecewise.py).

Shapes: x and z of one shape.

Exact: to rounding.

Cost: O(1) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.identity import Identity
from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.scale import site_scale


@dataclass(frozen=True)
class Round(Operator):
    """``f(x) = the whole number nearest to x``."""

    name: ClassVar[str] = "round"

    def forward(self, *inputs: Array) -> Array:
        (x,) = inputs
        return jnp.round(x)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        (x,) = inputs
        scale = jnp.maximum(site_scale(inputs, z, ()), 1)
        middle = x / 2 + z / 2
        apart = x / 2 - z / 2
        best = jnp.where(apart > 0.25, middle - 0.25, jnp.where(apart < -0.25, middle + 0.25, z))
        low, high = jnp.floor(best), jnp.ceil(best)

        def reached(k: Array) -> tuple[Array, Array]:
            moved = jnp.clip(x, k - 0.5, k + 0.5)
            return moved, ((moved - x) / scale) ** 2 + ((k - z) / scale) ** 2

        (one, one_score), (other, other_score) = reached(low), reached(high)
        upper = other_score < one_score
        return (jnp.where(upper, other, one),), jnp.where(upper, high, low)

    def bridged(self) -> Identity:
        return Identity()

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        return self.bridged().respond(inputs, demand, weight)

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        return self.bridged().gain(inputs, weight)
