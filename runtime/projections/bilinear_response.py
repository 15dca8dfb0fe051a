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
2^-54 in float64. Where squares might overflow or vanish, norms are those of a and w times a power of 2.

Cost: the products, about 40 operations for each site, and where a demand is large 30 more for each digit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.bilinear import Bilinear
from pjc.runtime.projections.select import larger, smaller
from pjc.runtime.projections.sums import in_blocks

SMALL = {32: 0.05, 64: 1e-3}
"""The largest ``u |d|`` for which the series has all digits, by the bits of a float."""

RANGE = {32: (1e-12, 1e15), 64: (1e-130, 1e140)}
"""Between which n leaves squares room, by the bits of a float."""

STRETCH = {32: 2.0**72, 64: 2.0**600}
"""By what all is multiplied or divided where n is outside of that."""

MEDIUM = 0.25
"""The largest ``u |d|`` for which Newton's method alone finds w."""

STEPS = 7
"""Steps of Newton's method, after digits and, from 0, for demands up to :data:`MEDIUM`."""

LARGEST = 2.0**20
"""The first digit of w that is tried beyond; twice that is the bound where there is no root."""

LAST = {32: 2.0**-25, 64: 2.0**-54}
"""The last digit of w that is tried, by the bits of a float."""

FAR = 1e12
"""Demands times u beyond this are all alike: w has reached its bound."""


class Multipliers(NamedTuple):
    """What the responses of both operands are made of, for each site: ``s t R`` and ``s t^2 R``."""

    sigma: Array
    rho: Array


class Norms(NamedTuple):
    """The squared norms of what sites multiply, and what they are like: of operands times a scale.

    ``lhs`` and ``rhs`` are those of both operands, ``inverse`` is ``1 / n``, 0 where n = 0, and ``scale`` a
    power of 2. Each broadcasts against the sites.
    """

    lhs: Array
    rhs: Array
    inverse: Array
    scale: Array


class Sites(NamedTuple):
    """The norms of sites, 1 / n, their values, and what is demanded of them."""

    norms: Norms
    over: Array
    value: Array
    demand: Array


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
        rows, columns = product.lhs_inner(one, one), product.rhs_inner(other, other)
        # With an axis for each of the sites', by which mean tells samples and steps.
        rank = max(rows.ndim, columns.ndim)
        apart = (each.reshape((1,) * (rank - each.ndim) + each.shape) for each in (rows, columns))
        return rows, columns, usual(*(mean(jnp.sqrt(each)) for each in apart))

    bits = jnp.finfo(a.dtype).bits
    low, high = RANGE[bits]
    found = over(1)
    top = jnp.max(found[2])
    scale = jnp.where(top > low, jnp.where(top < high, 1, 1 / STRETCH[bits]), STRETCH[bits]).astype(a.dtype)
    rows, columns, root = lax.cond(scale == 1, lambda found: found, lambda _: over(scale), found)
    moving = root > 0
    # To multiply with: in a quotient XLA would square n, which may vanish.
    inverse = jnp.where(moving, 1 / jnp.where(moving, root, 1), 0)
    return Norms(rows, columns, inverse, jnp.broadcast_to(scale, inverse.shape))


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
    over = norms.inverse * norms.scale
    largest = jnp.max(over)
    farthest = weight * in_blocks(jnp.max, jnp.abs(demand).reshape(-1)) * largest * largest
    sites = Sites(norms, over, value, demand)
    sigma = _by_search(sites, weight, farthest, _by_series(_relative(sites, weight)))
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


def _relative(sites: Sites, weight: Array | float) -> Relative:
    """Return what the multipliers depend on; nothing is demanded where n = 0.

    The weight is in the first product of each, so that where it changes nothing of it stays the same.
    """
    norms, over, value, demand = sites
    near, own = weight * norms.inverse * norms.inverse, weight * over
    p = value * own * over
    return Relative(
        near * norms.lhs + near * norms.rhs,
        jnp.where(jnp.abs(p) < jnp.inf, p, 0),
        demand * own * over,
        demand * jnp.where(own + over > 0, 1 + weight, 0),
    )


def _by_series(scaled: Relative) -> Array:
    """Return sigma where demands are small.

    With ``x = u d / (1 + u q)`` t is the root of ``t (1 + P t + Q t^2 + 5/3 P t^3 + 3/2 Q t^4 ..) = x``.
    """
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


def _by_search(sites: Sites, weight: float, farthest: Array, sigma: Array) -> Array:
    """Return sigma for demands of any size; ``sigma`` as it is if the farthest, times u, is small.

    ``w = |t| / (1 - |t|)`` is where a function that rises vanishes: if some demand is far, digits are kept as
    long as it is not positive. Newton's method goes on from there, where w is at most 1. The loop has w in
    the place of sigma, and beside it the digit alone, which counts on below the last one: every kernel of it
    has to be compiled and every tensor kept, though it hardly ever turns.
    """
    dtype = sigma.dtype
    newton = LAST[jnp.finfo(dtype).bits] / 2
    entered, end = 1.5 * newton, newton * 2.0**-STEPS  # where Newton's method starts without digits; ends

    def advance(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        digit, found = carry
        # XLA is not to know that the weight is the same at all turns: it would make all of this beforehand.
        scaled = _relative(sites, jnp.where(digit > 0, weight, 0).astype(dtype))
        d, p = jnp.abs(scaled.d), jnp.sign(scaled.d) * scaled.p
        plus, minus = larger(scaled.q + 2 * p, 0) / 4, larger(scaled.q - 2 * p, 0) / 4
        w = jnp.where((digit == LARGEST) | (digit == entered), 0, found)
        trying = digit > entered
        x = jnp.where(trying, w + digit, w)
        one, two = 1 / (1 + x), 1 / (1 + 2 * x)
        excess = x * (plus * (2 + x) + one + minus * (2 + 3 * x) * (two * two)) - smaller(d, FAR)
        slope = 2 * plus * (1 + x) + one * one + 2 * minus * (1 + x) * (two * two * two)
        nearer = jnp.where(x <= 1, jnp.clip(x - excess / slope, 0, 1), x)
        w = jnp.where(trying, jnp.where(excess <= 0, x, w), nearer)
        last = digit <= 3 * end
        share = w * (1 + w) / ((1 + 2 * w) * larger(d, float(jnp.finfo(dtype).tiny)))
        return digit / 2, jnp.where(last, scaled.asked * share, w)

    far = jnp.where(farthest > MEDIUM, LARGEST, entered)
    first = jnp.where(farthest > SMALL[jnp.finfo(dtype).bits], far, 0).astype(dtype)
    return lax.while_loop(lambda carry: carry[0] > 1.75 * end, advance, (first, sigma))[1]
