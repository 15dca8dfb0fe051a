"""Doubly stochastic matrices, in the last two axes.

Set: ``S = {X : X >= 0, rows and columns add up to 1}``, for square matrices: the Birkhoff polytope, whose
corners are the permutations.

Projection: argmin over ``X'`` in S of ``|X' - X|_F^2``.

Solution: ``max(X + u 1^T + 1 v^T, 0)``. Given v, u is such that the rows add up to 1: each row goes to the
simplex (sets.py); likewise v. In turns this climbs the concave dual ``-|max(X + u 1^T + 1 v^T, 0)|^2 / 2 +
sum u + sum v``, and is Dykstra's method on rows and columns with the corrections summed up. It stops when
no column misses 1 by more than rounding, or after 1000 turns; what is missing then is spread (J.
Altschuler, J. Weed, P. Rigollet, 2017), so that the result is in the set to rounding in any case.

Ties: none, the set is convex. Entries that differ by more than 512 are brought nearer to each other by a
power of two: the distance of what is found is the least to rounding, as all points of the set are about as
far away.

Source: J. Boyle and R. Dykstra, "A method for finding projections onto the intersection of convex sets in
Hilbert spaces" (1986).

Shapes: square matrices in the last two axes.

Exact: to about 1e-6 of the entries in float32, and rounding in float64.

Cost: O(n^2) a turn, and usually tens of turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.sets import ConstraintSet, threshold

TURNS = 1000
SPREAD = 512.0


@dataclass(frozen=True)
class Birkhoff(ConstraintSet):
    """``S = {X : X >= 0, rows and columns add up to 1}``."""

    name: ClassVar[str] = "birkhoff"

    def nearest(self, x: Array) -> Array:
        n = x.shape[-1]
        flat = x.reshape(-1, n, n)
        largest = jnp.max(jnp.abs(flat), axis=(1, 2), keepdims=True)
        _, exponent = jnp.frexp(jnp.maximum(largest / SPREAD, 0.5))
        middle = flat * jnp.ldexp(jnp.ones_like(largest), -exponent)
        middle = middle - jnp.mean(middle, axis=(1, 2), keepdims=True)

        def turn(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            v, _, _, turns = carry
            u = _raised(middle + v)
            v = jnp.swapaxes(_raised(jnp.swapaxes(middle + u, 1, 2)), 1, 2)
            rows = jnp.sum(jnp.maximum(middle + u + v, 0), axis=2)
            return v, u, jnp.max(jnp.abs(rows - 1)), turns + 1

        near = 4 * n * float(jnp.finfo(x.dtype).eps)

        def apart(carry: tuple[Array, Array, Array, Array]) -> Array:
            return (carry[2] > near) & (carry[3] < TURNS)

        start = (jnp.zeros_like(middle[:, :1]), jnp.zeros_like(middle[:, :, :1]))
        v, u, _, _ = lax.while_loop(apart, turn, (*start, jnp.full((), jnp.inf, x.dtype), jnp.zeros((), int)))
        return _spread(jnp.maximum(middle + u + v, 0)).reshape(x.shape)


def _raised(rows: Array) -> Array:
    """Return what is added to each row so that what is above 0 adds up to 1."""
    flat = rows.reshape(-1, rows.shape[-1])
    top = jnp.max(flat, axis=1, keepdims=True)
    return (-threshold(flat - top, 1.0) - top).reshape(*rows.shape[:-1], 1)


def _spread(x: Array) -> Array:
    """Return matrices whose rows and columns add up to 1, from nearly such, which are cut and filled."""
    x = x / jnp.maximum(jnp.sum(x, axis=2, keepdims=True), 1)
    x = x / jnp.maximum(jnp.sum(x, axis=1, keepdims=True), 1)
    rows, columns = 1 - jnp.sum(x, axis=2, keepdims=True), 1 - jnp.sum(x, axis=1, keepdims=True)
    missing = jnp.sum(rows, axis=1, keepdims=True)
    filled = jnp.maximum(rows, 0) * jnp.maximum(columns, 0) / jnp.where(missing > 0, missing, 1)
    return jnp.asarray(x + jnp.where(missing > 0, filled, 0))
