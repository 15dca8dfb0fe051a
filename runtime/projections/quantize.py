"""Quantizers: the graph of a step function to given levels, each number going to its nearest level.

Set: ``{(x, z) : z = q(x)}``, entry by entry, with q the nearest level. Not convex: one horizontal piece for
each level, over the cell between the midpoints to its neighbours.

Projection: argmin over ``(x', z')`` of the set's closure of ``(x' - x)^2 + (z' - z)^2``.

Solution: that of a piecewise linear function of slopes 0 (piecewise.py): for each level, x clipped to the
level's cell; the level of least true distance wins.

Response: that of the bridged function, ``clip(x, first level, last level)``, and its gain (piecewise.py).

Ties: the lowest level. At a midpoint q is the lower level; an upper cell is open there, so where x' comes
to rest on its lower edge the infimum is not attained, and the value is q(x'), the lower level, as in the
reference software. (A piecewise function, as sign and step are, has the limit there, the upper level.)

Source: any step function is a union of intervals; A. Bergmeister et al., arXiv 2506.05878, quantization.

Shapes: x and z of one shape.

Exact: yes.

Cost: O(levels) a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import ClassVar

from jax import Array

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.piecewise import Piecewise


@dataclass(frozen=True)
class Quantize(Operator):
    """``f(x) = the level nearest to x``.

    Raises:
        ValueError: if there is no level, or the levels are not finite and strictly increasing.
    """

    name: ClassVar[str] = "quantize"

    levels: tuple[float, ...] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        if not self.levels or not all(map(isfinite, self.levels)):
            raise ValueError(f"levels must be finite numbers, at least one, found {list(self.levels)}")
        if any(a >= b for a, b in pairwise(self.levels)):
            raise ValueError(f"levels must be strictly increasing, found {list(self.levels)}")

    def forward(self, *inputs: Array) -> Array:
        return self._steps().forward(*inputs)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        new, _ = self._steps().project(inputs, z)
        return new, self.forward(*new)

    def bridged(self) -> Piecewise:
        first, last = self.levels[0], self.levels[-1]
        if first == last:
            return Piecewise((), (0.0,), (first,))
        return Piecewise((first, last), (0.0, 1.0, 0.0), (first, 0.0, last))

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        return self.bridged().respond(inputs, demand, weight)

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        return self.bridged().gain(inputs, weight)

    def _steps(self) -> Piecewise:
        """Return the step function: its edges are the midpoints between neighbouring levels."""
        edges = tuple(a / 2 + b / 2 for a, b in pairwise(self.levels))
        return Piecewise(edges, (0.0,) * len(self.levels), self.levels)
