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

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.bilinear import MATRIX, Bilinear, site_inner
from pjc.runtime.projections.dot_root import multiplier, overflows, vanishes
from pjc.runtime.projections.dot_rows import Row, nearest, over_rows
from pjc.runtime.projections.select import larger

NEAR = 1 / 16
"""The part of ``|a|^2 + |w|^2`` below which ``|a + w|^2`` is not known well from a product."""


def project_shared(
    a: Array, w: Array, z: Array, wanted: Sequence[int], product: Bilinear = MATRIX
) -> tuple[tuple[Array, ...], Array]:
    """Return the means of the new copies of the wanted operands (0 for a, 1 for w), and the new value."""
    q = site_inner(product, (a, w), (a, w))
    p = product.forward(a, w)
    plus, minus = larger(q + 2 * p, 0) / 4, larger(q - 2 * p, 0) / 4

    lost = loses_digits(q, p, plus, minus, z)
    t, r, s = factors(jnp.where(lost, 0, multiplier(p, plus, minus, z)))
    means = []
    if 0 in wanted:
        means.append(a * product.lhs_mean(r, a) + product.lhs_weighted(s, w, a))
    if 1 in wanted:
        means.append(w * product.rhs_mean(r, w) + product.rhs_weighted(s, a, w))

    def advance(row: Row, kept: tuple[tuple[Array, ...], Array]) -> tuple[tuple[Array, ...], Array]:
        means, value = kept
        copies = row.copies(a, w)
        moves, there = nearest(*copies, row.of(z))
        return row.moved(means, wanted, moves), row.put(value, there)

    found: tuple[tuple[Array, ...], Array] = over_rows(product, lost, advance, (tuple(means), z - t))
    return found


def factors(w: Array) -> tuple[Array, Array, Array]:
    """Return t, ``R = 1 / (1 - t^2)`` and ``S = t R`` for a signed ``w = t / (1 - |t|)``, by one division."""
    size = jnp.abs(w)
    one, two = 1 + size, 1 + 2 * size
    inverse = 1 / (one * two)
    return w * two * inverse, one * one * one * inverse, w * one * one * inverse


def loses_digits(q: Array, p: Array, plus: Array, minus: Array, z: Array) -> Array:
    """Whether ``q = |a|^2 + |w|^2`` and p are not enough for the root of some site."""
    return vanishes(p, plus, minus, z, NEAR) | overflows(q, z)
