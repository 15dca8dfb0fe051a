"""Vectors that rise, or fall: isotonic regression.

Set: ``S = {x : x_1 <= x_2 <= ... <= x_n}`` for each vector; with order -1 ``x_1 >= ... >= x_n``. A convex
cone.

Projection: argmin over ``x'`` in S of ``|x' - x|^2``.

Solution: pool adjacent violators. Entries are taken one after the other as blocks of their own; while the
last block's mean is not above that of the block before it, the two become one. Every entry becomes its
block's mean. Each vector is a machine that either takes an entry or joins two blocks in a step, so that all
vectors are done after at most ``2 n`` steps, under jit and vmap too.

Ties: none, the set is convex. Blocks of one mean join, which changes nothing.

Source: M. Ayer et al., "An empirical distribution function for sampling with incomplete information" (1955);
R. Barlow et al., "Statistical Inference under Order Restrictions" (1972).

Shapes: any, vectors along axes.

Exact: in the set exactly, nearest to rounding: a mean is corrected rather than summed up.

Cost: at most 2 n steps for all vectors at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.sets import ConstraintSet, vectors

Blocks = tuple[Array, Array, Array, Array]
"""Means and sizes of the blocks of each vector, how many there are, and how many entries were taken."""


@dataclass(frozen=True)
class Monotone(ConstraintSet):
    """``S = {x : x_1 <= ... <= x_n}``, or ``>=`` for order -1."""

    name: ClassVar[str] = "monotone"

    axes: tuple[int, ...]
    order: float = 1.0

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        # Halved, so that differences of the largest numbers are numbers.
        return back(pooled(rows * (self.order / 2)) * (2 * self.order))


def pooled(rows: Array) -> Array:
    """Return the nearest rows that do not fall."""
    count, n = rows.shape
    at = jnp.arange(count)

    def step(blocks: Blocks) -> Blocks:
        means, sizes, used, taken = blocks
        last, before = jnp.maximum(used - 1, 0), jnp.maximum(used - 2, 0)
        upper, lower = means[at, last], means[at, before]
        joins = (used > 1) & (lower >= upper)
        both = sizes[at, before] + sizes[at, last]
        mean = lower + (upper - lower) * (sizes[at, last] / jnp.maximum(both, 1))
        takes = ~joins & (taken < n)
        place = jnp.where(joins, before, jnp.minimum(used, n - 1))
        entry = rows[at, jnp.minimum(taken, n - 1)]
        moves = joins | takes
        means = means.at[at, place].set(jnp.where(joins, mean, jnp.where(takes, entry, means[at, place])))
        sizes = sizes.at[at, place].set(jnp.where(joins, both, jnp.where(takes, 1, sizes[at, place])))
        used = jnp.where(moves, place + 1, used)
        return means, sizes, used, taken + takes

    def unfinished(blocks: Blocks) -> Array:
        means, _, used, taken = blocks
        last, before = jnp.maximum(used - 1, 0), jnp.maximum(used - 2, 0)
        return jnp.any((taken < n) | ((used > 1) & (means[at, before] >= means[at, last])))

    none = jnp.zeros(count, jnp.int32)
    empty = (jnp.zeros_like(rows), jnp.zeros_like(rows), none, none)
    means, sizes, used, _ = lax.while_loop(unfinished, step, empty)
    ends = jnp.cumsum(jnp.where(jnp.arange(n) < used[:, None], sizes, 0), axis=1)
    block = jnp.sum(ends[:, None, :] <= jnp.arange(n)[None, :, None], axis=2) if n <= 64 else _found(ends)
    return jnp.take_along_axis(means, jnp.minimum(block, n - 1), axis=1)


def _found(ends: Array) -> Array:
    """Return for each place of a row how many blocks end at it or before it."""
    count, n = ends.shape
    marks = jnp.zeros((count, n + 1), jnp.int32)
    marks = marks.at[jnp.arange(count)[:, None], ends.astype(jnp.int32)].add(1)
    return jnp.cumsum(marks, axis=1)[:, :n]
