"""The projection of a dot product in Douglas-Rachford, from one iteration's copies to the next's.

Set and source: as in dot.py, for all (k, m) of ``z[.., k, m] = sum_n a[.., k, n] w[.., n, m]`` at once; the
iteration is ``x := x + P_B(2 P_A x - x) - P_A x``. First for a dot in part B.

Solution: let part A have agreed on c, d (rows of a, columns of w) one iteration ago and on c', d' now, so
that it wrote these into every copy. In sums and differences of the two copies of a (k, m) the projection
decouples: with the old copies ``c + d + sigma`` and ``c - d + delta``, ``f' = 2c' - c`` and ``e' = 2d' - d``,
what is projected is ``y = f' + e' - sigma`` and ``v = f' - e' - delta``, its multiplier t solves the
equation of dot.py with ``S = |y|^2 / 4`` and ``D = |v|^2 / 4``, and the next copies are

    sum        = c' + d' + sigma',    sigma' = t / (1 - t) y
    difference = c' - d' + delta',    delta' = -t / (1 + t) v.

:func:`project_held` holds sigma and delta: nothing is dropped, and each is updated in place.

:func:`project_factored` holds them as ``alpha (f + e)`` and ``beta (f - e)``, with scalars alpha, beta for
each (k, m), so that the copies never exist. Then ``y = f' + e' - alpha (f + e)``, and with f + e replaced
by f' + e' in the result (likewise f - e),

    alpha' = t / (1 - t) (1 - alpha)        beta' = -t / (1 + t) (1 - beta).

Dropped: ``t / (1 - t) alpha (f' + e' - f - e)`` and its mirror image, of second order in t and of first in
how far the consensus still moves. The norms need one new product, ``f' e'``; in the cross term
``f' e + f e'`` the sum of both products stands in, an error ``(f' - f)(e' - e)`` times alpha. What the nodes
gather costs two products.

A dot in part A projects x itself, and part B agrees on c', d' afterwards. With sums ``c + d - sigma`` and
differences ``c - d - delta`` of the old copies, where c, d is what part B agreed on last, the projection
scales them by ``1 / (1 - t)`` and ``1 / (1 + t)``, and ``x + c' - P_A x`` leaves the sum ``c' + d' -
sigma'`` and the difference ``c' - d' - delta'`` with sigma', delta' as above, for ``f' = c`` and ``e' =
d``: the same with nothing reflected, which is what results where c', d' are given for c, d too.

A convolution (bilinear.py) is factored likewise, with windows for rows: f e is then a convolution, and its
two transposes give what the nodes gather.

Shapes: c ``[*batch, K, N]``, d ``[*batch, N, M]``, sigma and delta ``[*batch, K, M, N]``, all else and z
``[*batch, K, M]``.

Exact: to rounding of the multiplier (dot_shared.py), but for what is dropped. Ties as in dot.py; factors
leave copies where they are at ties, and hold w up to 1e9.

Cost: held, about 12 operations for each (k, m, n); factored, three products (two where a mean is not wanted)
and about 100 operations for each (k, m).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.bilinear import MATRIX, Bilinear, site_inner, transposed
from pjc.runtime.projections.dot_rows import Copies, Sums, means_of_rows, moved, sites_by_rows, sums
from pjc.runtime.projections.dot_shared import loses_digits, multiplier, overflows, polished, vanishes
from pjc.runtime.projections.select import larger
from pjc.runtime.projections.sums import column_sums, row_sums

BLOCK_BYTES = 2**17
"""The largest block of copies: XLA makes about ten tensors of that size, and a core's cache has 1 MiB."""


class Held(NamedTuple):
    """All copies, as what they deviate by from what was last agreed on."""

    c: Array
    d: Array
    sigma: Array
    delta: Array


class Factors(NamedTuple):
    """What the copies deviate by as rank-one terms; ``product`` is ``f e`` of the last iteration."""

    c: Array
    d: Array
    f: Array
    e: Array
    alpha: Array
    beta: Array
    product: Array


class Projected(NamedTuple):
    """The means of the next copies of the wanted operands, what is held of them, the new value, and t."""

    means: tuple[Array, ...]
    held: Held | Factors
    value: Array
    t: Array


def project_held(agreed: tuple[Array, Array], old: Held, z: Array, wanted: Sequence[int]) -> Projected:
    """Project with all copies held. ``agreed`` is c', d'; ``wanted`` are 0 for a, 1 for w.

    On CPUs it goes through them in blocks of rows, which stay in a processor's cache.
    """
    c, d = agreed
    f, e = reflected(c, old.c), _written_out(transposed(reflected(d, old.d)))
    given = (f, e, old.sigma, old.delta, z)
    rows = _rows_at_once(old.sigma)
    if rows == z.shape[-2] or _split_by_xla():
        moved_a, moved_w, sigma, delta, t = _project_all(*given)
    else:
        in_blocks = partial(_project_blocks, rows)
        moved_a, moved_w, sigma, delta, t = lax.platform_dependent(
            *given, cpu=in_blocks, default=_project_all
        )
    means = (c + moved_a, d + transposed(moved_w))
    return Projected(tuple(means[index] for index in wanted), Held(c, d, sigma, delta), z - t, t)


def _rows_at_once(copies: Array) -> int:
    """Return how many rows a block has, as near as can be below :data:`BLOCK_BYTES`; all blocks are alike."""
    rows, row = copies.shape[-3], copies.nbytes // copies.shape[-3]
    return max(
        size for size in range(1, rows + 1) if rows % size == 0 and (size == 1 or size * row <= BLOCK_BYTES)
    )


def _project_all(f: Array, e: Array, sigma: Array, delta: Array, z: Array) -> tuple[Array, ...]:
    """Return by how much the means of a and w move, the new sigma and delta, and t, of all rows at once."""
    moved_a, moved_w, sigma, delta, t = _project_rows(f, e, lambda: (sigma, delta), z)
    return moved_a, moved_w / z.shape[-2], sigma, delta, t


def _project_blocks(rows: int, f: Array, e: Array, sigma: Array, delta: Array, z: Array) -> tuple[Array, ...]:
    """Return what :func:`_project_all` does, in a loop over blocks of so many rows."""
    count = z.shape[-2]

    def advance(index: Array, kept: tuple[Array, ...]) -> tuple[Array, ...]:
        def cut(x: Array, axis: int) -> Array:
            return lax.dynamic_slice_in_dim(x, index * rows, rows, x.ndim + axis)

        def put(x: Array, block: Array, axis: int) -> Array:
            return jnp.asarray(lax.dynamic_update_slice_in_dim(x, block, index * rows, x.ndim + axis))

        moved_a, moved_w, sigma, delta, t = kept
        new = _project_rows(cut(f, -2), e, lambda: (cut(sigma, -3), cut(delta, -3)), cut(z, -2))
        moved_w = moved_w + new[1] / count
        return (
            put(moved_a, new[0], -2),
            moved_w,
            put(sigma, new[2], -3),
            put(delta, new[3], -3),
            put(t, new[4], -2),
        )

    start = (jnp.zeros_like(f), jnp.zeros_like(e), sigma, delta, jnp.zeros_like(z))
    found: tuple[Array, ...] = lax.fori_loop(0, count // rows, advance, start)
    return found


def _project_rows(f: Array, e: Array, before: Callable[[], Copies], z: Array) -> tuple[Array, ...]:
    """Return what :func:`_project_all` does, for some rows; of w not the mean over rows, but the sum.

    ``before`` gives sigma and delta. It is called where they are read, since XLA writes to memory what a
    branch of a conditional is given.
    """
    f, e, columns = f[..., :, None, :], e[..., None, :, :], z.shape[-1]

    def copies() -> Copies:
        sigma, delta = before()
        return f - (sigma + delta) / 2, e - (sigma - delta) / 2

    sigma, delta = before()
    y, v = f + e - sigma, f - e - delta
    plus, minus = (row_sums(each * each)[..., 0] / 4 for each in (y, v))
    # Not plus - minus, of which little is left where one operand is much longer than the other.
    p = row_sums(jnp.multiply(*copies()))[..., 0]
    far = out_of_reach(plus, minus, p, z)
    known = lax.cond(far, lambda: sums(*copies(), z), lambda: Sums(p, plus, minus, z))

    def plain(w: Array) -> tuple[Array, ...]:
        along, across = scales(w)
        sigma, delta = along[..., None] * y, across[..., None] * v
        one = (_weighted(along, y) + _weighted(across, v)) / (2 * columns)
        flat = ((sigma - delta) / 2).reshape(*z.shape[:-1], -1)
        other = column_sums(flat).reshape(*z.shape[:-2], columns, -1)
        return one, other, sigma, delta, w / (1 + jnp.abs(w))

    def exactly(w: Array) -> tuple[Array, ...]:
        w = polished(known, w)
        move_a, move_b = moved(*copies(), z, w)
        one, other = jnp.sum(move_a / columns, axis=-2), jnp.sum(move_b, axis=-3)
        return one, other, move_a + move_b, move_a - move_b, w / (1 + jnp.abs(w))

    found: tuple[Array, ...] = lax.cond(far, exactly, plain, multiplier(*known))
    return found


def _weighted(weights: Array, copies: Array) -> Array:
    """Return the sums over m of copies ``[.., K, M, N]`` times weights ``[.., K, M]``."""
    found = jnp.matmul(weights[..., None, :], copies, precision=lax.Precision.HIGHEST)
    return jnp.asarray(found[..., 0, :])


def project_factored(
    agreed: tuple[Array, Array], old: Factors, z: Array, wanted: Sequence[int], product: Bilinear = MATRIX
) -> Projected:
    """Project with copies held as rank-one terms; arguments as :func:`project_held`."""
    c, d = agreed
    f, e = reflected(c, old.c), reflected(d, old.d)
    value = product.forward(f, e)
    norms = site_inner(product, (f, e), (f, e))
    old_norms = site_inner(product, (old.f, old.e), (old.f, old.e))
    overlap = site_inner(product, (f, e), (old.f, old.e))
    crossed = value + old.product
    plus = norms + 2 * value
    plus = plus - 2 * old.alpha * (overlap + crossed) + old.alpha**2 * (old_norms + 2 * old.product)
    minus = norms - 2 * value
    minus = minus - 2 * old.beta * (overlap - crossed) + old.beta**2 * (old_norms - 2 * old.product)
    plus, minus = larger(plus, 0) / 4, larger(minus, 0) / 4

    close = loses_digits(norms, plus - minus, plus, minus, z)
    pairs = [(f, e), (old.f, old.e)]

    def sums_of_rows() -> Sums:
        return Sums(*sites_by_rows(pairs, [z, old.alpha, old.beta], _factored_sums, product))

    known = lax.cond(close, sums_of_rows, lambda: Sums(plus - minus, plus, minus, z))

    def compressed(w: Array) -> tuple[tuple[Array, ...], Array, Array, Array]:
        along, across = scales(w)
        alpha, beta = along * (1 - old.alpha), across * (1 - old.beta)
        same, crosswise = (alpha + beta) / 2, (alpha - beta) / 2
        means = []
        if 0 in wanted:
            means.append(f * product.lhs_mean(same, f) + product.lhs_weighted(crosswise, e, f))
        if 1 in wanted:
            means.append(e * product.rhs_mean(same, e) + product.rhs_weighted(crosswise, f, e))
        return tuple(means), alpha, beta, w / (1 + jnp.abs(w))

    def by_rows(w: Array) -> tuple[tuple[Array, ...], Array, Array, Array]:
        w = polished(known, w)
        along, across = scales(w)
        alpha, beta = along * (1 - old.alpha), across * (1 - old.beta)
        moves = means_of_rows([(f, e)], [alpha, beta], _factored_moves, product)
        return tuple(moves[index] for index in wanted), alpha, beta, w / (1 + jnp.abs(w))

    moves, alpha, beta, t = lax.cond(close, by_rows, compressed, multiplier(*known))
    means = tuple(agreed[index] + move for index, move in zip(wanted, moves, strict=True))
    return Projected(means, Factors(c, d, f, e, alpha, beta, value), z - t, t)


def _factored_sums(operands: Sequence[Copies], sites: Sequence[Array]) -> Sums:
    """Return the sums of the sites of a row, from f, e and those before, and from z, alpha and beta."""
    (f, e), (old_f, old_e) = operands
    z, alpha, beta = sites
    same, crosswise = ((alpha + beta) / 2)[..., None], ((alpha - beta) / 2)[..., None]
    return sums(f - same * old_f - crosswise * old_e, e - same * old_e - crosswise * old_f, z)


def _factored_moves(operands: Sequence[Copies], sites: Sequence[Array]) -> Copies:
    """Return by how much the copies in a row move from what was agreed on, from alpha' and beta' there."""
    ((f, e),) = operands
    alpha, beta = sites
    one, other = (alpha / 2)[..., None] * (f + e), (beta / 2)[..., None] * (f - e)
    return one + other, one - other


def scales(w: Array) -> tuple[Array, Array]:
    """Return ``t / (1 - t)`` and ``-t / (1 + t)`` for a signed ``w = t / (1 - |t|)``."""
    size = jnp.abs(w)
    other = -size / (1 + 2 * size)
    return jnp.where(w > 0, size, other), jnp.where(w > 0, other, size)


def out_of_reach(plus: Array, minus: Array, p: Array, z: Array) -> Array:
    """Whether squares of some site are too large for a float, or its root for :func:`multiplier`."""
    return jnp.any(overflows(plus + minus, z) | vanishes(p, plus, minus, z))


def reflected(now: Array, before: Array) -> Array:
    """Return ``2 now - before``; the same array if both are, so that what data need is computed once."""
    return now if now is before else 2 * now - before


def _split_by_xla() -> bool:
    """Whether a mesh's devices may split the axes of arrays: then a loop over one is none for each device."""
    return not jax.sharding.get_abstract_mesh().empty


def _written_out(x: Array) -> Array:
    """Return x as XLA keeps it in memory: else its CPU compiler reads a transpose with strides, K times.

    On a mesh that would be a product over an axis that devices split.
    """
    if _split_by_xla():
        return x
    return jnp.matmul(jnp.eye(x.shape[-2], dtype=x.dtype), x, precision=lax.Precision.HIGHEST)
