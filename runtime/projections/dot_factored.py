"""The projection of a dot product in Douglas-Rachford, with copies held as rank-one corrections.

Set and source: as in dot.py, for all (k, m) at once; the iteration is
``x := x + P_B(2 P_A x - x) - P_A x``, and the dot is in part B.

Solution: let the copies be, for each (k, m),

    a-copies = c_k + T e_m + U f_k        w-copies = d_m + T f_k + U e_m

with scalars ``T, U`` for each (k, m). Part A writes the consensus c', d'. With ``f' = 2c' - c`` and
``e' = 2d' - d`` the reflected copies are ``y_a = f'_k - T e_m - U f_k`` and ``y_w = e'_m - T f_k - U e_m``;
with t the multiplier of their projection, ``R = 1 / (1 - t^2)``, ``S = t R``, the next copies are exactly

    a-copies = c' + S (y_w + t y_a)        w-copies = d' + S (y_a + t y_w).

In terms of second order e and f are replaced by e' and f', which gives the same form again:

    T' = S (1 - U - t T)        U' = S (t - T - t U)

and the two scalars that the multiplier needs, ``y_a . y_w`` and ``|y_a|^2 + |y_w|^2``, need one new product,
``f' e'``: the other inner products are row norms, the last iteration's product, or (in ``f'.e + f.e'``, where
it is multiplied by T or U) the sum of both products. What their nodes gather costs two products more.

Dropped: ``S (T (f' - f) + (U + t T) (e' - e))`` and its mirror image, third order where the consensus
settles. :func:`dropped` bounds it.

Shapes: c, f ``[*batch, K, N]``, d, e ``[*batch, N, M]``, T, U, P, z ``[*batch, K, M]``.

Cost: three matrix products (two where a mean is not wanted) and about 90 operations for each (k, m).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.dot_shared import multiplier, transposed


class Factors(NamedTuple):
    """How the copies differ from what was last agreed on. ``product`` is ``f e`` of the last iteration."""

    c: Array
    d: Array
    f: Array
    e: Array
    t: Array
    u: Array
    product: Array


def start(c: Array, d: Array) -> Factors:
    """Return the factors of copies that all agree."""
    product = jnp.matmul(c, d)
    none = jnp.zeros_like(product)
    return Factors(c, d, c, d, none, none, product)


def project_factored(
    agreed: tuple[Array, Array], old: Factors, z: Array, wanted: Sequence[int]
) -> tuple[tuple[Array, ...], Factors, Array]:
    """Return the means of the next copies of the wanted operands, the new factors, and the new value.

    ``agreed`` is what the nodes that the dot reads have just written, c' and d'.
    """
    c, d = agreed
    f, e = 2 * c - old.c, 2 * d - old.d
    product = jnp.matmul(f, e)
    t, u = old.t, old.u
    overlap = _rows(f, old.f) + _columns(e, old.e)
    new_norms = _rows(f, f) + _columns(e, e)
    old_norms = _rows(old.f, old.f) + _columns(old.e, old.e)
    crossed = product + old.product
    p = product - t * overlap - u * crossed + (t * t + u * u) * old.product + t * u * old_norms
    q = new_norms - 2 * t * crossed - 2 * u * overlap + (t * t + u * u) * old_norms + 4 * t * u * old.product
    root = multiplier(p, jnp.maximum(q, 2 * jnp.abs(p)), z)
    s = root / (1 - root * root)
    new_t = s * (1 - u - root * t)
    new_u = s * (root - t - root * u)
    means = []
    if 0 in wanted:
        own = c + f * jnp.mean(new_u, axis=-1, keepdims=True)
        means.append(own + jnp.matmul(new_t, transposed(e)) / d.shape[-1])
    if 1 in wanted:
        own = d + e * jnp.mean(new_u, axis=-2, keepdims=True)
        means.append(own + jnp.matmul(transposed(f), new_t) / c.shape[-2])
    return tuple(means), Factors(c, d, f, e, new_t, new_u, product), z - root


def _rows(one: Array, other: Array) -> Array:
    """Return the inner products of rows, ``[*batch, K, 1]``."""
    return jnp.sum(one * other, axis=-1)[..., :, None]


def _columns(one: Array, other: Array) -> Array:
    """Return the inner products of columns, ``[*batch, 1, M]``."""
    return jnp.sum(one * other, axis=-2)[..., None, :]
