"""Sparsity with a structure: whole groups, and so many of so many neighbours.

Set: ``group_sparse`` is ``S = {x : of the groups of so many neighbours along the axes at most k are not 0}``;
``nm_sparse`` is ``S = {x : of each m neighbours along the axes at most n are not 0}``, as 2 of 4, which
accelerators compute with. The rows of a matrix are the groups of as many neighbours as it has columns.

Projection: argmin over ``x'`` in S of ``|x' - x|^2``.

Solution: the k groups of largest norm stay, the others become 0; of each m neighbours the n of largest
magnitude.

Ties: of equal norms or magnitudes the first ones stay. Neither is convex.

Source: M. Yuan and Y. Lin, "Model selection and estimation in regression with grouped variables" (2006), for
groups; A. Mishra et al., "Accelerating sparse deep neural networks" (2021), for 2 of 4.

Shapes: any; vectors along axes, those of ``nm_sparse`` of a multiple of m entries.

Exact: yes, up to norms that are equal to rounding.

Cost: O(n log n).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.sets import Pieces, Sparse, unit_of, vectors


@dataclass(frozen=True)
class GroupSparse(Pieces):
    """``S = {x : of the groups of neighbours along the axes at most k are not 0}``."""

    name: ClassVar[str] = "group_sparse"

    k: int
    group: int
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        groups = rows.reshape(len(rows), -1, self.group)
        norms = jnp.sum((groups * unit_of(groups, (1, 2))) ** 2, axis=2)
        order = jnp.argsort(-norms, axis=1, stable=True)
        rank = jnp.argsort(order, axis=1)
        return back(jnp.where(rank[..., None] < self.k, groups, 0).reshape(rows.shape))


@dataclass(frozen=True)
class NmSparse(Pieces):
    """``S = {x : of each m neighbours along the axes at most n are not 0}``."""

    name: ClassVar[str] = "nm_sparse"

    n: int
    m: int
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        return back(Sparse(self.n, (1,)).nearest(rows.reshape(-1, self.m)).reshape(rows.shape))
