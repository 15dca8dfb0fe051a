"""Doubly stochastic matrices, in the last two axes.

Set: ``S = {X : X >= 0, rows and columns add up to 1}``, for square matrices: the Birkhoff polytope, whose
corners are the permutations.

Projection: argmin over ``X'`` in S of ``|X' - X|_F^2``.

Solution: ``max(X + u 1^T + 1 v^T, 0)``. Given v, u is such that the rows add up to 1: each row goes to the
simplex (sets.py); likewise v. In turns this climbs the concave dual ``-|max(X + u 1^T + 1 v^T, 0)|^2 / 2 +
sum u + sum v``, and is Dykstra's method on rows and columns with the corrections summed up. It stops when
no row misses 1 by more than rounding, or after 1000 turns at a power of two; what is missing then is spread
(J. Altschuler, J. Weed, P. Rigollet, 2017), so that the result is in the set to rounding in any case.

A turn moves u and v by about 1, and they are as large as X is. So X is divided by a power of two first, so
that entries are 4 at most, and doubled until it is itself, u and v with it: the larger X is, the nearer is
twice the solution of one to that of the next, which the linear assignment problem of X gives in the limit.

Ties: none, the set is convex. Entries beyond ``2^-8`` over the type's rounding error, which is ``2^15`` in
float32, leave no digits to numbers between 0 and 1: they are brought nearer to each other by a power of
two, and the distance of what is found is the least to rounding, as all points of the set are about as far
away.

Source: J. Boyle and R. Dykstra, "A method for finding projections onto the intersection of convex sets in
Hilbert spaces" (1986).

Shapes: square matrices in the last two axes.

Exact: to about 1e-6 of the largest entry in float32, and 1e-12 of it in float64.

Cost: O(n^2) a turn, and usually tens of turns; for large entries hundreds, and thousands where many
assignments are equally good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.sets import MATRIX, ConstraintSet, threshold

TURNS = 1000
START, SPARE = 4.0, 8
"""How large entries are at first, and how many binary digits numbers up to 1 keep beside the largest."""


@dataclass(frozen=True)
class Birkhoff(ConstraintSet):
    """``S = {X : X >= 0, rows and columns add up to 1}``."""

    name: ClassVar[str] = "birkhoff"

    def joined(self) -> tuple[int, ...]:
        return MATRIX

    def nearest(self, x: Array) -> Array:
        flat = x.reshape(-1, *x.shape[-2:])
        largest = jnp.max(jnp.abs(flat), axis=(1, 2), keepdims=True)
        bound = 2.0 ** (max(jnp.finfo(x.dtype).nmant, SPARE) - SPARE)
        first, last = (_halvings(largest, least) for least in (START, max(bound, START)))

        def doubled(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            at, _, v = carry
            before, now = jnp.clip(at + 1, last, first), jnp.clip(at, last, first)
            u, v = _climbed(_middle(flat, now), _times(v, before - now))
            return at - 1, u, v

        start = (jnp.max(first), jnp.zeros_like(flat[:, :, :1]), jnp.zeros_like(flat[:, :1]))
        _, u, v = lax.while_loop(lambda carry: carry[0] >= jnp.min(last), doubled, start)
        return _spread(jnp.maximum(_middle(flat, last) + u + v, 0)).reshape(x.shape)


def _halvings(largest: Array, bound: float) -> Array:
    """Return how often numbers are halved until they are at most a bound."""
    exponent: Array = jnp.frexp(jnp.maximum(largest / bound, 0.5))[1]
    return exponent


def _times(x: Array, exponent: Array) -> Array:
    """Return x times a power of two, which need not be a normal number."""
    return x * jnp.ldexp(jnp.ones((), x.dtype), exponent)


def _middle(flat: Array, halvings: Array) -> Array:
    """Return matrices halved so often, and around 0: what is added to all entries does not count."""
    small = _times(flat, -halvings)
    return small - jnp.mean(small, axis=(1, 2), keepdims=True)


def _climbed(middle: Array, v: Array) -> tuple[Array, Array]:
    """Return u and v, from a first v on, with which what is above 0 adds up to 1 in rows and columns."""
    size = jnp.maximum(jnp.max(jnp.abs(middle), axis=(1, 2)), middle.shape[-1])
    near = 4 * jnp.finfo(middle.dtype).eps * size

    def turn(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        _, v, _, turns = carry
        u = _raised(middle + v)
        v = jnp.swapaxes(_raised(jnp.swapaxes(middle + u, 1, 2)), 1, 2)
        missing = jnp.max(jnp.abs(jnp.sum(jnp.maximum(middle + u + v, 0), axis=2) - 1), axis=1)
        return u, v, missing, turns + 1

    def apart(carry: tuple[Array, Array, Array, Array]) -> Array:
        return jnp.any(carry[2] > near) & (carry[3] < TURNS)

    start = (jnp.zeros_like(middle[:, :, :1]), v, jnp.full_like(near, jnp.inf), jnp.zeros((), int))
    u, v, _, _ = lax.while_loop(apart, turn, start)
    return u, v


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
