"""Identities: the graph of ``f(x) = x``.

Set: ``{(x, z) : z = x}``, entry by entry; a subspace.

Projection: argmin over ``(x', z')`` in the set of ``(x' - x)^2 + (z' - z)^2``.

Solution: both become the midpoint ``(x + z) / 2``.

Response: x moves by ``u d / (1 + u)``; the gain is ``(1 + u) / u``. No ties.

Ties: none, the set is convex.

Source: the projection onto the diagonal (consensus); N. Parikh and S. Boyd, "Proximal Algorithms" (2014),
section 5.2.

Shapes: x and z of one shape.

Exact: to rounding.

Cost: O(1) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jax import Array

from pjc.runtime.projections.operator import Operator


@dataclass(frozen=True)
class Identity(Operator):
    """``f(x) = x``."""

    name: ClassVar[str] = "identity"

    def forward(self, *inputs: Array) -> Array:
        return inputs[0]

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        middle = inputs[0] / 2 + z / 2
        return (middle,), middle

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        return (demand * (weight / (1 + weight)),)

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        return 1 / weight + 1
