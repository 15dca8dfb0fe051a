"""The responses of dots and convolutions whose copies all agree, without making the copies.

Set: as in dot.py, for all sites of ``z = a * w`` at once (bilinear.py). At rest every site holds the same
``a`` and ``w``, and ``p = a * w`` is its value.

Response: to a demand d with the weight ``u = c / n^2``, where c is the relative weight and ``n^2`` the sum of
the squares of the mean over the sites of ``|a|`` and of that of ``|w|``. The multiplier t of a site (dot.py)
is the root in (-1, 1) of

    (t q + t^2 (3 - t^2) p) / (1 - t^2)^2 + t / u = d,      q = |a|^2 + |w|^2.

Solution: with ``R = 1 / (1 - t^2)``, ``S = t R``, the copies of a site move by ``t^2 R a + S w`` and ``t^2 R
w + S a``. Times the gain ``s = (1 + c) n^2 / c``, that is with ``sigma = s S`` and ``rho = s t^2 R = t
sigma``, summed over copies,

    r_A = A rowsum(rho) + sigma W',        r_W = W colsum(rho) + A' sigma:

the products of backpropagation. Only ``u q``, ``u p`` and ``u d`` enter: the scale of the data does not
matter. Where demands are small beside ``1 / u``, as they usually are, S is a series in ``u d``, times d so
that d keeps its digits even where ``u d`` vanishes. A batch with larger ones, up to :data:`MEDIUM`, takes
some steps of Newton's method for ``w = t / (1 - t)`` there; in one with demands beyond, w is found digit by
digit first.

Ties: where ``n = 0`` nothing moves. Where ``a_k = -w_m`` and the demand is far, as in dot_shared.py: the
multiplier ends near 1, at a large bound for w.

Source: dot.py, in the metric in which values weigh u; the series is its inversion by Lagrange.

Shapes: a and w as the map takes them; all else of z's shape.

Exact: to rounding, relative to the demand; where a demand is large, w is found to 2^-25 in float32, to
2^-54 in float64. Where squares might overflow or vanish, norms are those of a and w over their largest entry.

Cost: the products, about 40 operations for each site, and where a demand is large 30 more for each digit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.bilinear import Bilinear
from pjc.runtime.projections.select import larger, smaller

SMALL = {32: 0.05, 64: 1e-3}
"""The largest ``u |d|`` for which the series has all digits, by the bits of a float."""

RANGE = {32: (1e-12, 1e15), 64: (1e-130, 1e140)}
"""Between which n leaves squares room, by the bits of a float."""

MEDIUM = 0.25
"""The largest ``u |d|`` for which Newton's method alone finds w."""

STEPS = 6
"""Steps of Newton's method, after digits and for demands up to :data:`MEDIUM`."""

LARGEST = 2.0**20
"""The first digit of w that is tried beyond; twice that is the bound where there is no root."""

DIGITS = {32: 46, 64: 75}
"""How many digits of w are tried."""

FAR = 1e12
"""Demands times u beyond this are all alike: w has reached its bound."""


class Multipliers(NamedTuple):
    """What the responses of both operands are made of, for each site: ``s t R`` and ``s t^2 R``."""

    sigma: Array
    rho: Array


class Norms(NamedTuple):
    """The squared norms of what sites multiply, over the square of a scale, and what they usually are.

    ``lhs`` and ``rhs`` are those of both operands, ``inverse`` is ``1 / n^2``: all over the square of the
    scale. ``root`` is n itself. Each broadcasts against the sites.
    """

    lhs: Array
    rhs: Array
    inverse: Array
    root: Array


class Relative(NamedTuple):
    """The norms, values and demands of sites, times u; ``asked`` is the demand times ``1 + c``."""

    q: Array
    p: Array
    d: Array
    asked: Array


def norms(product: Bilinear, a: Array, w: Array, mean: Callable[[Array], Array]) -> Norms:
    """Return the norms of the sites of ``a * w``.

    Args:
        product: the map.
        a: its left operand.
        w: its right operand.
        mean: returns the mean over the sites of a tensor that has their axes, with length 1 where it is the
            same along one, in a shape that broadcasts against them: one number, or one for each step of a
            loop.
    """
    dtype = jnp.result_type(a, w)
    a, w = a.astype(dtype), w.astype(dtype)

    def over(scale: Array | float) -> tuple[Array, Array, Array]:
        one, other = a * scale, w * scale
        # Once: XLA would add them up for every site.
        rows, columns = lax.optimization_barrier(
            (product.lhs_inner(one, one), product.rhs_inner(other, other))
        )
        # With an axis for each of the sites', by which mean tells samples and steps.
        rank = max(rows.ndim, columns.ndim)
        apart = (each.reshape((1,) * (rank - each.ndim) + each.shape) for each in (rows, columns))
        return rows, columns, usual(*(mean(jnp.sqrt(each)) for each in apart))

    def as_they_are(found: tuple[Array, Array, Array]) -> Norms:
        return _of(*found, jnp.ones((), a.dtype))

    def rescaled(_: tuple[Array, Array, Array]) -> Norms:
        largest = jnp.maximum(jnp.max(jnp.abs(a)), jnp.max(jnp.abs(w)))
        scale = jnp.where(largest > 0, largest, 1)
        return _of(*over(1 / scale), scale)

    found = over(1)
    low, high = RANGE[jnp.finfo(a.dtype).bits]
    usable = jnp.all((found[2] > low) & (found[2] < high))
    return Norms(*lax.cond(usable, as_they_are, rescaled, found))


def _of(rows: Array, columns: Array, root: Array, scale: Array) -> Norms:
    """Return the norms of which the scale was taken."""
    over = _inverse(root)
    return Norms(rows, columns, over * over, scale * root)


def _inverse(root: Array) -> Array:
    """Return 1 / n, 0 where n = 0, to multiply with: in a quotient XLA would square n, which may vanish."""
    moving = root > 0
    return jnp.where(moving, 1 / jnp.where(moving, root, 1), 0)


def usual(one: Array, other: Array) -> Array:
    """Return n, from the means over the sites of the norms of both operands' copies."""
    return jnp.sqrt(one * one + other * other)


def copies_norm(copies: Array, rank: int) -> Array:
    """Return the norms of copies at sites that are counted by the first ``rank`` axes."""
    return jnp.sqrt(jnp.sum(copies * copies, axis=tuple(range(rank, copies.ndim))))


def multipliers(norms: Norms, value: Array, demand: Array, weight: float) -> Multipliers:
    """Return what the responses to a demand on ``value``, which is ``a * w``, are made of.

    Args:
        norms: those of its sites.
        value: its value at a and w.
        demand: what is demanded of it, of its shape.
        weight: c, the weight of values relative to the mean square norm of a site.
    """
    over = _inverse(norms.root)
    farthest = weight * jnp.max(jnp.abs(demand)) * jnp.max(over) * jnp.max(over)
    sigma = lax.cond(
        farthest > SMALL[jnp.finfo(demand.dtype).bits],
        partial(_by_search, weight=weight),
        partial(_by_series, weight=weight),
        *(norms, value, demand),
    )
    # t from S = t / (1 - t^2), which XLA would otherwise find twice.
    s = (weight / (1 + weight)) * ((sigma * over) * over)
    t = 2 * s / (1 + jnp.sqrt(1 + 4 * s * s))
    # By itself: joined to the sums over it XLA is slower at both.
    return Multipliers(sigma, *lax.optimization_barrier((sigma * t,)))


def lhs_response(product: Bilinear, m: Multipliers, a: Array, w: Array) -> Array:
    """Return the sum of the responses of all copies of a, times the gain."""
    return a * product.lhs_sum(m.rho, a) + product.lhs_back(m.sigma, w, a)


def rhs_response(product: Bilinear, m: Multipliers, a: Array, w: Array) -> Array:
    """Return the sum of the responses of all copies of w, times the gain."""
    return w * product.rhs_sum(m.rho, w) + product.rhs_back(m.sigma, a, w)


def _relative(norms: Norms, value: Array, demand: Array, weight: float) -> Relative:
    """Return what the multipliers depend on; nothing is demanded where n = 0."""
    over = _inverse(norms.root)
    finite = jnp.where(jnp.abs(value) < jnp.inf, value, 0)
    return Relative(
        weight * norms.inverse * (norms.lhs + norms.rhs),
        weight * ((finite * over) * over),
        weight * ((demand * over) * over),
        jnp.where(norms.root > 0, (1 + weight) * demand, 0),
    )


def _by_series(norms: Norms, value: Array, demand: Array, weight: float) -> Array:
    """Return sigma where demands are small.

    With ``x = u d / (1 + u q)`` t is the root of ``t (1 + P t + Q t^2 + 5/3 P t^3 + 3/2 Q t^4 ..) = x``.
    """
    scaled = _relative(norms, value, demand, weight)
    share = 1 / (1 + scaled.q)
    x = scaled.d * share
    p, q = 3 * scaled.p * share, 2 * scaled.q * share
    square = p * p
    second = 2 * square - q
    third = p * (5 * (square - q) + 5 / 3)
    fourth = square * (14 * square - 21 * q + 10) + q * (3 * q - 1.5)
    t_over_x = 1 - x * (p - x * (second - x * (third - x * fourth)))
    t = x * t_over_x
    return scaled.asked * share * t_over_x * (1 + t * t * (1 + t * t))


def _by_search(norms: Norms, value: Array, demand: Array, weight: float) -> Array:
    """Return sigma for demands of any size.

    ``w = |t| / (1 - |t|)`` is where a function that rises vanishes: if some demand is far, digits are kept as
    long as it is not positive. Newton's method goes on from there, where w is at most 1.
    """
    digits = DIGITS[jnp.finfo(demand.dtype).bits]

    def advance(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        # All of this here: beside the loop XLA would keep it in memory.
        step, digit, w = carry
        scaled = _relative(norms, value, demand, weight)
        p = jnp.sign(scaled.d) * scaled.p
        plus, minus = larger(scaled.q + 2 * p, 0) / 4, larger(scaled.q - 2 * p, 0) / 4
        r = smaller(jnp.abs(scaled.d), FAR)
        trying = step < digits
        x = jnp.where(trying, w + digit, w)
        one, two = 1 / (1 + x), 1 / (1 + 2 * x)
        excess = x * (plus * (2 + x) + one + minus * (2 + 3 * x) * (two * two)) - r
        slope = 2 * plus * (1 + x) + one * one + 2 * minus * (1 + x) * (two * two * two)
        nearer = jnp.where(x <= 1, jnp.clip(x - excess / slope, 0, 1), x)
        return step + 1, digit / 2, jnp.where(trying, jnp.where(excess <= 0, x, w), nearer)

    scaled = _relative(norms, value, demand, weight)
    farthest, share = jnp.max(jnp.abs(scaled.d)), 1 / (1 + scaled.q)
    x = jnp.abs(scaled.d) * share
    near = x * (1 - jnp.sign(scaled.d) * 3 * scaled.p * share * x)
    far = farthest > MEDIUM
    start = (
        jnp.where(far, 0, digits),
        jnp.asarray(LARGEST, demand.dtype),
        jnp.where(far, 0, jnp.clip(near, 0, 1)),
    )
    _, _, w = lax.while_loop(lambda carry: carry[0] < digits + STEPS, advance, start)
    d = larger(jnp.abs(scaled.d), float(jnp.finfo(w.dtype).tiny))
    return scaled.asked * (w * (1 + w) / ((1 + 2 * w) * d))
