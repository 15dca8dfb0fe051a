"""Products: the graph of ``f(a, b) = a b``, entry by entry.

Set: ``{(a, b, z) : z = a b}``, a hyperbolic paraboloid for each site. Not convex.

Projection: argmin over ``(a', b', z')`` in the set of ``(a' - a)^2 + (b' - b)^2 + (z' - z)^2``.

Solution: that of a dot product of length 1; its derivation, response, ties, source, exactness and cost are in
dot.py.

Shapes: a, b and z of one shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jax import Array

from pjc.runtime.projections.dot import Dot
from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.rounding import rounded


@dataclass(frozen=True)
class Product(Operator):
    """``f(a, b) = a b``, entry by entry."""

    name: ClassVar[str] = "product"

    def forward(self, *inputs: Array) -> Array:
        a, b = inputs
        return rounded(a * b)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        a, b = inputs
        (a, b), value = Dot().project((a[..., None], b[..., None]), z)
        return (a[..., 0], b[..., 0]), value

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        a, b = inputs
        moves = Dot().respond((a[..., None], b[..., None]), demand, weight)
        return tuple(move[..., 0] for move in moves)

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        a, b = inputs
        return Dot().gain((a[..., None], b[..., None]), weight)
