"""The projection of a dot product whose copies all agree, without making the copies.

Set, projection, source: as in dot.py, for all (k, m) of ``z[.., k, m] = sum_n a[.., k, n] w[.., n, m]`` at
once. Before the projection every (k, m) holds the same ``a[.., k, :]`` and ``w[.., :, m]``, which is so in
alternating and cyclic projections.

Solution: with ``P = a w``, ``q = |a_k|^2 + |w_m|^2``, T the multipliers, ``R = 1 / (1 - T^2)``,
``S = T R``, the new copies are ``R a_k + S w_m`` and ``R w_m + S a_k``; what their nodes gather is

    mean over m of a-copies = a rowmean(R) + S w' / M        mean over k of w-copies = w colmean(R) + a' S / K

and the new value is ``z - T``: three matrix products, as in backpropagation, two where a mean is not wanted.
A convolution is the same with windows for rows (bilinear.py): the products are it and its two transposes.

``R = (1 + w)^2 / (1 + 2 w)`` comes from ``w = |t| / (1 - |t|)``, and keeps its digits where |t| is near 1.
Where p and q have too few digits for the root, or squares overflow, sites are taken row by row (dot_rows.py).

Ties: as in dot.py.

Shapes: a ``[*batch, K, N]``, w ``[*batch, N, M]``, z ``[*batch, K, M]``.

Exact: T is found to rounding; the means are those of dot.py's copies up to rounding.

Cost: the products, and about 60 operations for each (k, m).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.bilinear import MATRIX, Bilinear, site_inner
from pjc.runtime.projections.dot_rows import (
    ENDLESS,
    Copies,
    Sums,
    means_of_rows,
    moved,
    sites_by_rows,
    sums,
)
from pjc.runtime.projections.select import larger, smaller

STEPS = {32: 2, 64: 4}
"""Halley's steps by the bits of a float. Two leave t wrong by at most 6e-8, measured on 300,000 sites with
squared norms from 1e-6 to 1e6 and |t| from 1e-6 to 1 - 1e-6."""

TANGENTS = tuple(0.4 * (3.5**index - 1) for index in range(8))
"""Where tangents bound what is concave in the equation for w."""

NEAR = 1 / 16
"""The part of ``|a|^2 + |w|^2`` below which ``|a + w|^2`` is not known well from a product."""

VANISHING = 1e-9
"""The squared norm below which the tangents are too far from a large w."""

SWITCH = 0.44
"""From where between two of these points on the higher is taken. All three choices by measurement."""


def project_shared(
    a: Array, w: Array, z: Array, wanted: Sequence[int], product: Bilinear = MATRIX
) -> tuple[tuple[Array, ...], Array]:
    """Return the means of the new copies of the wanted operands (0 for a, 1 for w), and the new value."""
    q = site_inner(product, (a, w), (a, w))
    p = product.forward(a, w)
    plus, minus = larger(q + 2 * p, 0) / 4, larger(q - 2 * p, 0) / 4

    close = loses_digits(q, p, plus, minus, z)

    def compressed(root: Array) -> tuple[tuple[Array, ...], Array]:
        t, r, s = factors(root)
        means = []
        if 0 in wanted:
            means.append(a * product.lhs_mean(r, a) + product.lhs_weighted(s, w, a))
        if 1 in wanted:
            means.append(w * product.rhs_mean(r, w) + product.rhs_weighted(s, a, w))
        return tuple(means), z - t

    def by_rows(root: Array) -> tuple[tuple[Array, ...], Array]:
        root = polished(known, root)
        means = means_of_rows([(a, w)], [z, root], _moved_row, product)
        return tuple(means[index] for index in wanted), z - root / (1 + jnp.abs(root))

    def sums_of_rows() -> Sums:
        return Sums(*sites_by_rows([(a, w)], [z], lambda copies, rows: sums(*copies[0], *rows), product))

    known = lax.cond(close, sums_of_rows, lambda: Sums(p, plus, minus, z))
    found: tuple[tuple[Array, ...], Array] = lax.cond(close, by_rows, compressed, multiplier(*known))
    return found


def _moved_row(copies: Sequence[Copies], rows: Sequence[Array]) -> Copies:
    """Return the new copies in a row, for its z and roots."""
    one, other = copies[0]
    moves = moved(one, other, *rows)
    return one + moves[0], other + moves[1]


def polished(known: Sums, root: Array) -> Array:
    """Return signed roots after two more of Halley's steps: tangents are far from the largest.

    For those ``S w (2 + w) = r - 3 D / 4 - 1`` is a better bound.
    """
    above = root >= 0
    big, small = jnp.where(above, known.plus, known.minus), jnp.where(above, known.minus, known.plus)
    r = jnp.abs(known.z - known.p)
    ratio = larger(r - 0.75 * small - 1, 0) / larger(big, float(jnp.finfo(big.dtype).tiny))
    bound = smaller(ratio / (1 + jnp.sqrt(1 + ratio)), ENDLESS)
    w = larger(jnp.abs(root), bound)
    for _ in range(2):
        w = _advanced(big, small, r, w)
    return jnp.where(above, w, -w)


def factors(w: Array) -> tuple[Array, Array, Array]:
    """Return t, ``R = 1 / (1 - t^2)`` and ``S = t R`` for a signed ``w = t / (1 - |t|)``, by one division."""
    size = jnp.abs(w)
    one, two = 1 + size, 1 + 2 * size
    inverse = 1 / (one * two)
    return w * two * inverse, one * one * one * inverse, w * one * one * inverse


def loses_digits(q: Array, p: Array, plus: Array, minus: Array, z: Array) -> Array:
    """Whether ``q = |a|^2 + |w|^2`` and p are not enough for the root of some site."""
    return jnp.any(vanishes(p, plus, minus, z, NEAR) | overflows(q, z))


def vanishes(p: Array, plus: Array, minus: Array, z: Array, near: float = 0.0) -> Array:
    """Whether z is so far that w is above 1, and S so small that it is not known well, or w not found.

    ``near`` is the part of ``S + D`` below which S is not known well.
    """
    above = z > p
    big, small = jnp.where(above, plus, minus), jnp.where(above, minus, plus)
    far = jnp.abs(z - p) > 3 * big + 5 / 9 * small + 0.5
    return far & (big < near * (plus + minus) + VANISHING)


def overflows(q: Array, z: Array) -> Array:
    """Whether squares of q or of z are too large for a float."""
    most = math.exp(0.4 * math.log(float(jnp.finfo(z.dtype).max)))
    return (q > most) | (jnp.abs(z) > most)


def multiplier(p: Array, plus: Array, minus: Array, z: Array) -> Array:
    """Return ``t / (1 - |t|)`` for the root t in (-1, 1) of ``((1 + t^2) p + t q) / (1 - t^2)^2 = z - t``.

    Entry by entry. Solved for ``w = |t| / (1 - |t|)`` as in dot.py, here from ``p = a . b``,
    ``plus = |a + b|^2 / 4`` and ``minus = |a - b|^2 / 4`` alone. With S and D of dot.py,
    ``v = 1 / (1 + 2w)``, ``u = 1 / (1 + w)`` it is

        S w (2 + w) + D w v (3 + v) / 2 + w u = r

    where the parts with D and without a norm increase and are concave. A tangent is above them, so with one
    in their place the equation, now quadratic, has a root below w, from which Halley's steps converge with
    third order. Which tangent is near w is found by evaluating the left side at a few places.
    """
    # By the sign's arithmetic rather than by selection: XLA would make the comparison a pass of its own.
    sign, r = jnp.sign(z - p), jnp.abs(z - p)
    above, below = (1 + sign) / 2, (1 - sign) / 2
    big, small = above * plus + below * minus, above * minus + below * plus
    at = jnp.zeros_like(r)
    for low, high in pairwise(TANGENTS):
        o = low + SWITCH * (high - low)
        u, v = 1 / (1 + o), 1 / (1 + 2 * o)
        reached = big * (o * (2 + o)) + (small * (o * v * (3 + v) / 2) + o * u)
        at = at + jnp.where(r > reached, high - low, 0)
    w = smaller(_bound(big, small, r, at), largest_root(z))
    for _ in range(STEPS[jnp.finfo(z.dtype).bits]):
        w = _advanced(big, small, r, w)
    return sign * w


def _bound(big: Array, small: Array, r: Array, at: Array) -> Array:
    """Return the root with the tangents at ``at``; 0 where that is negative."""
    u, v = _reciprocals(at)
    linear = 2 * big + (1 + v) * v * v * small + u * u
    rest = larger(r - at * v * ((3 + v) / 2 - (1 + v) * v) * small - at * u * (1 - u), 0)
    return 2 * rest / (linear + jnp.sqrt(linear * linear + 4 * big * rest))


def _advanced(big: Array, small: Array, r: Array, w: Array) -> Array:
    """Return w after one of Halley's steps.

    Where both norms are zero and z is far there is no root: w ends at a number that is large enough.
    """
    u, v = _reciprocals(w)
    value = w * (big * (2 + w) + small * v * (3 + v) / 2 + u) - r
    slope = 2 * big * (1 + w) + small * v * v * (1 + v) + u * u
    half_curve = big - small * v * v * v * (2 + 3 * v) - u * u * u
    step = value * slope / larger(slope * slope - value * half_curve, slope * slope / 2)
    return smaller(larger(w - step, 0), largest_root(w))


def largest_root(like: Array) -> float:
    """Return the largest w that is looked for."""
    return max(ENDLESS, float(1 / jnp.finfo(like.dtype).eps))


def _reciprocals(w: Array) -> tuple[Array, Array]:
    """Return ``1 / (1 + w)`` and ``1 / (1 + 2 w)``, by one division."""
    one, two = 1 + w, 1 + 2 * w
    inverse = 1 / (one * two)
    return two * inverse, one * inverse
