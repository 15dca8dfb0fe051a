"""Vectors that solve linear equations, or an inequality.

Set: ``affine`` is ``S = {v : A v = b}``, ``halfspace`` is ``S = {v : a . v <= b}``, for each vector.

Projection: argmin over ``v'`` in S of ``|v' - v|^2``.

Solution: ``v - A^+ (A v - b)`` with the pseudoinverse, and ``v - a max(a . v - b, 0) / |a|^2``. Rows are
scaled to norm 1 first, and equations are solved twice, so that what rounding left of the residual goes.

Ties: none, both are convex. Degenerate: equations that depend on others are harmless; those that contradict
each other, and normals of 0, are refused when the network is read.

Source: H. Bauschke and P. Combettes, "Convex Analysis and Monotone Operator Theory in Hilbert Spaces",
examples 29.17 and 29.20.

Shapes: any, vectors of n entries along axes; A is ``[m, n]`` or ``[n]``, b ``[m]`` or a number, a ``[n]``.

Exact: to rounding, relative to the largest of |v| and |b|.

Cost: O(m n) a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from pjc.runtime.projections.sets import ConstraintSet, bounded, unit_of, vectors


@dataclass(frozen=True)
class Affine(ConstraintSet):
    """``S = {v : A v = b}``; entries of A and b in row-major order, with their shapes."""

    name: ClassVar[str] = "affine"

    matrix: tuple[float, ...]
    matrix_shape: tuple[int, ...]
    value: tuple[float, ...]
    value_shape: tuple[int, ...]
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        equations = np.reshape(np.asarray(self.matrix, np.float64), (-1, rows.shape[1]))
        sizes = np.linalg.norm(equations, axis=1)
        sizes = np.where(sizes > 0, sizes, 1)
        wanted = np.broadcast_to(np.asarray(self.value, np.float64), sizes.shape) / sizes
        scaled = equations / sizes[:, None]
        matrix, inverse = (jnp.asarray(each, x.dtype) for each in (scaled, np.linalg.pinv(scaled)))
        unit = unit_of(rows, 1)
        solved = rows * unit
        for _ in range(2):
            solved = solved - (solved @ matrix.T - jnp.asarray(wanted, x.dtype) * unit) @ inverse.T
        return back(bounded(solved, unit))


@dataclass(frozen=True)
class Halfspace(ConstraintSet):
    """``S = {v : a . v <= b}`` with the normal a and the bound b."""

    name: ClassVar[str] = "halfspace"

    normal: tuple[float, ...]
    normal_shape: tuple[int, ...]
    bound: float
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        normal = np.asarray(self.normal, np.float64)
        size = float(np.linalg.norm(normal))
        direction = jnp.asarray(normal / size, x.dtype)
        unit = unit_of(rows, 1)
        scaled, bound = rows * unit, self.bound / size * unit
        excess = jnp.sum(scaled * direction, axis=1, keepdims=True) - bound
        return back(jnp.where(excess > 0, bounded(scaled - excess * direction, unit), rows))
