"""The projection of a dot product whose copies all agree, without making the copies.

Set, projection, source: as in dot.py, for all (k, m) of ``z[.., k, m] = sum_n a[.., k, n] w[.., n, m]`` at
once. Before the projection every (k, m) holds the same ``a[.., k, :]`` and ``w[.., :, m]``, which is so in
alternating and cyclic projections.

Solution: with ``P = a w``, ``q = |a_k|^2 + |w_m|^2``, T the multipliers, ``R = 1 / (1 - T^2)``,
``S = T R``, the new copies are ``R a_k + S w_m`` and ``R w_m + S a_k``; what their nodes gather is

    mean over m of a-copies = a rowmean(R) + S w' / M        mean over k of w-copies = w colmean(R) + a' S / K

and the new value is ``z - T``: three matrix products, as in backpropagation, two where a mean is not wanted.

Ties: where ``a_k = -w_m`` and z is far (dot.py), the multiplier ends at a large bound instead of 1, so that a
nearby feasible point is found unless the two are zero, where nothing moves and the value stays as it is.

Shapes: a ``[*batch, K, N]``, w ``[*batch, N, M]``, z ``[*batch, K, M]``.

Exact: T is found to rounding; the means are those of dot.py's copies up to rounding.

Cost: the products, and about 60 operations for each (k, m).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

FUSED_STEPS = 3
"""Halley steps that are always taken; they fuse into one pass and suffice where |t| < 0.3."""
MAX_STEPS = 60


def transposed(x: Array) -> Array:
    """Return x with its last two axes swapped."""
    return jnp.swapaxes(x, -1, -2)


def project_shared(a: Array, w: Array, z: Array, wanted: Sequence[int]) -> tuple[tuple[Array, ...], Array]:
    """Return the means of the new copies of the wanted operands (0 for a, 1 for w), and the new value."""
    q = jnp.sum(a * a, axis=-1)[..., :, None] + jnp.sum(w * w, axis=-2)[..., None, :]
    t = multiplier(jnp.matmul(a, w), q, z)
    r = 1 / (1 - t * t)
    s = t * r
    means = []
    if 0 in wanted:
        shared = a * jnp.mean(r, axis=-1, keepdims=True)
        means.append(shared + jnp.matmul(s, transposed(w)) / w.shape[-1])
    if 1 in wanted:
        shared = w * jnp.mean(r, axis=-2, keepdims=True)
        means.append(shared + jnp.matmul(transposed(a), s) / a.shape[-2])
    return tuple(means), z - t


def multiplier(p: Array, q: Array, z: Array) -> Array:
    """Return the root t in (-1, 1) of ``((1 + t^2) p + t q) / (1 - t^2)^2 = z - t``, entry by entry.

    Solved for ``w = t / (1 - t)`` as in dot.py, here from ``p = a . b`` and ``q = |a|^2 + |b|^2`` alone: a
    few Halley steps from a lower bound, then bracketed ones while some entry has not arrived.
    """
    below = z < p
    r = jnp.abs(z - p)
    p = jnp.where(below, -p, p)
    big, small = jnp.maximum(q + 2 * p, 0) / 4, jnp.maximum(q - 2 * p, 0) / 4
    linear = 2 * (big + small) + 1
    w = 2 * r / (linear + jnp.sqrt(linear * linear + 4 * big * r))
    for _ in range(FUSED_STEPS):
        value, slope, curve = _equation(big, small, w, r)
        w = jnp.maximum(
            w - value * slope / jnp.maximum(slope * slope - value * curve / 2, slope * slope / 2), 0
        )
    w = _finished(big, small, w, r)
    t = w / (1 + w)
    return jnp.where(below, -t, t)


def _equation(big: Array, small: Array, w: Array, r: Array) -> tuple[Array, Array, Array]:
    """Return the value, slope and second derivative of the increasing function whose root is w."""
    u = 1 / (1 + w)
    v = 1 / (1 + 2 * w)
    value = w * (big * (2 + w) + small * (2 + 3 * w) * v * v + u) - r
    slope = 2 * (big + small * v * v * v) * (1 + w) + u * u
    curve = 2 * big + 2 * small * v**3 * (1 - 6 * (1 + w) * v) - 2 * u * u * u
    return value, slope, curve


def _finished(big: Array, small: Array, w: Array, r: Array) -> Array:
    """Return w after bracketed Newton steps, taken only while some entry has not arrived."""
    eps = jnp.finfo(w.dtype).eps
    largest = jnp.asarray(1 / eps, w.dtype)
    upper = jnp.minimum(jnp.sqrt(1 + r / jnp.maximum(big, jnp.finfo(w.dtype).tiny)), largest)

    def arrived(w: Array) -> Array:
        value, slope, _ = _equation(big, small, w, r)
        return jnp.abs(value) <= 8 * eps * (slope * w + r)

    def unfinished(carry: tuple[Array, Array, Array, Array]) -> Array:
        step, _, _, w = carry
        return (step < MAX_STEPS) & ~jnp.all(arrived(w))

    def advance(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        step, low, high, w = carry
        value, slope, _ = _equation(big, small, w, r)
        low, high = jnp.where(value <= 0, w, low), jnp.where(value > 0, w, high)
        newton = w - value / slope
        inside = (newton >= low) & (newton <= high)
        return step + 1, low, high, jnp.where(inside, newton, (low + high) / 2)

    w = jnp.minimum(w, upper)
    return lax.while_loop(unfinished, advance, (jnp.zeros((), jnp.int32), jnp.zeros_like(w), upper, w))[3]
