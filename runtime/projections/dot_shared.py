"""The projection of a dot product whose copies all agree, without making the copies.

Set, projection, source: as in dot.py, for all (k, m) of ``z[.., k, m] = sum_n a[.., k, n] w[.., n, m]`` at
once. Before the projection every (k, m) holds the same ``a[.., k, :]`` and ``w[.., :, m]``, which is so in
alternating and cyclic projections.

Solution: with ``P = a w``, ``q = |a_k|^2 + |w_m|^2``, T the multipliers, ``R = 1 / (1 - T^2)``,
``S = T R``, the new copies are ``R a_k + S w_m`` and ``R w_m + S a_k``; what their nodes gather is

    mean over m of a-copies = a rowmean(R) + S w' / M        mean over k of w-copies = w colmean(R) + a' S / K

and the new value is ``z - T``: three matrix products, as in backpropagation, two where a mean is not wanted.
A convolution is the same with windows for rows (bilinear.py): the products are it and its two transposes.

Ties: where ``a_k = -w_m`` and z is far (dot.py), the multiplier ends at a large bound instead of 1, so that a
nearby feasible point is found unless the two are zero, where nothing moves and the value stays as it is.

Shapes: a ``[*batch, K, N]``, w ``[*batch, N, M]``, z ``[*batch, K, M]``.

Exact: T is found to rounding; the means are those of dot.py's copies up to rounding.

Cost: the products, and about 60 operations for each (k, m).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.bilinear import MATRIX, Bilinear

STEPS = {32: 5, 64: 11}
"""Halley's steps by the bits of a float. Measured for |t| from 1e-6 to 1 - 1e-6: eleven are exact to rounding
for squared norms from 1e-12 to 1e6; five leave t wrong by at most 2e-6 for those from 1e-3 to 1e3, and by at
most 0.006 beyond, where |t| > 0.96."""


def project_shared(
    a: Array, w: Array, z: Array, wanted: Sequence[int], product: Bilinear = MATRIX
) -> tuple[tuple[Array, ...], Array]:
    """Return the means of the new copies of the wanted operands (0 for a, 1 for w), and the new value."""
    q = product.lhs_inner(a, a) + product.rhs_inner(w, w)
    p = product.forward(a, w)
    t = multiplier(p, jnp.maximum(q + 2 * p, 0) / 4, jnp.maximum(q - 2 * p, 0) / 4, z)
    r = 1 / (1 - t * t)
    s = t * r
    means = []
    if 0 in wanted:
        means.append(a * product.lhs_mean(r, a) + product.lhs_weighted(s, w, a))
    if 1 in wanted:
        means.append(w * product.rhs_mean(r, w) + product.rhs_weighted(s, a, w))
    return tuple(means), z - t


def multiplier(p: Array, plus: Array, minus: Array, z: Array) -> Array:
    """Return the root t in (-1, 1) of ``((1 + t^2) p + t q) / (1 - t^2)^2 = z - t``, entry by entry.

    Solved for ``w = t / (1 - t)`` as in dot.py, here from ``p = a . b``, ``plus = |a + b|^2 / 4`` and
    ``minus = |a - b|^2 / 4`` alone. With S and D of dot.py the left side is at most
    ``w^2 S + 2 w (S + D) + w`` and at most ``w^2 S + 2 w S + 3 D / 4 + 1``: the larger root of the two bounds
    w from below. From there Halley's steps,
    kept in the bracket, converge with third order: four suffice in float32 where ``|t| < 3 / 4``.
    """
    below = z < p
    r = jnp.abs(z - p)
    big, small = jnp.where(below, minus, plus), jnp.where(below, plus, minus)
    linear = 2 * (big + small) + 1
    rest = jnp.maximum(r - 0.75 * small - 1, 0)
    tiny = jnp.finfo(z.dtype).tiny
    w = jnp.maximum(
        2 * r / (linear + jnp.sqrt(linear * linear + 4 * big * r)),
        rest / jnp.maximum(big + jnp.sqrt(big * big + big * rest), tiny),
    )
    upper = jnp.minimum(jnp.sqrt(1 + r / jnp.maximum(big, tiny)), 1 / jnp.finfo(z.dtype).eps)
    w = jnp.minimum(w, upper)
    for _ in range(STEPS[jnp.finfo(z.dtype).bits]):
        w = _advanced(big, small, r, upper, w)
    t = w / (1 + w)
    return jnp.where(below, -t, t)


def _advanced(big: Array, small: Array, r: Array, upper: Array, w: Array) -> Array:
    """Return w after one of Halley's steps, at most ``upper``."""
    value, slope, curve = _equation(big, small, w, r)
    step = value * slope / jnp.maximum(slope * slope - value * curve / 2, slope * slope / 2)
    return jnp.clip(w - step, 0, upper)


def _equation(big: Array, small: Array, w: Array, r: Array) -> tuple[Array, Array, Array]:
    """Return the value, slope and second derivative of the increasing function whose root is w."""
    one, two = 1 + w, 1 + 2 * w
    inverse = 1 / (one * two)
    u, v = two * inverse, one * inverse
    value = w * (big * (2 + w) + small * (2 + 3 * w) * v * v + u) - r
    slope = 2 * (big + small * v * v * v) * (1 + w) + u * u
    curve = 2 * big + 2 * small * v**3 * (1 - 6 * (1 + w) * v) - 2 * u * u * u
    return value, slope, curve
