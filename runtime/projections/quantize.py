"""Quantizers: the graph of a step function to given levels, each number going to its nearest level.

Set: ``{(x, z) : z = q(x)}``, entry by entry, with q the nearest level. Not convex: one horizontal piece for
each level, over the cell between the midpoints to its neighbours.

Projection: argmin over ``(x', z')`` of the set's closure of ``(x' - x)^2 + (z' - z)^2``.

Solution: that of a piecewise linear function of slopes 0 (piecewise.py): for each level, x clipped to the
level's cell; the level of least true distance wins.

Response: that of the bridged function, ``clip(x, first level, last level)``, and its gain (piecewise.py).

Ties: of two pieces the lower. At a midpoint q is the lower level; for evenly spaced levels that hold 0 it
is the even multiple of the spacing, as ONNX's QuantizeLinear and ``round`` have it. The other cell is open
there, so where x' comes to rest on that edge of it the infimum is not attained, and the value is q(x'), as
in the reference software. (A piecewise function, as sign and step are, has the limit there.)

Source: any step function is a union of intervals; A. Bergmeister et al., arXiv 2506.05878, quantization.

Shapes: x and z of one shape.

Exact: yes.

Cost: O(levels) a site.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from typing import ClassVar

import numpy as np
from jax import Array

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.piecewise import Piecewise


def even_ups(levels: tuple[float, ...]) -> frozenset[int]:
    """Return which midpoints go to the upper level: the even multiple, where levels are those around 0."""
    if len(levels) < 2 or 0 not in levels:
        return frozenset()
    spacing = (levels[-1] / 2 - levels[0] / 2) / (len(levels) - 1) * 2
    first = -levels.index(0)
    wanted = (spacing * (first + i) for i in range(len(levels)))
    if any(abs(level - each) > 1e-9 * spacing for level, each in zip(levels, wanted, strict=True)):
        return frozenset()
    return frozenset(i for i in range(len(levels) - 1) if (first + i + 1) % 2 == 0)


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
        (x,) = inputs
        steps = self._steps()
        if not (ups := even_ups(self.levels)):
            return steps.forward(x)
        down = np.nextafter(np.asarray(steps.edges, x.dtype), -np.inf)
        edges = tuple(float(down[i]) if i in ups else edge for i, edge in enumerate(steps.edges))
        return replace(steps, edges=edges).forward(x)

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
