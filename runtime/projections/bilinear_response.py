"""The responses of dots and convolutions whose copies all agree, without making the copies.

Set: as in dot.py, for all sites of ``z = a * w`` at once (bilinear.py). At rest every site holds the same
``a`` and ``w``, and ``p = a * w`` is its value.

Response: to a demand d with the weight ``u = c / n^2``, where c is the relative weight and n the mean over
the sites of sqrt q, with ``q = |a|^2 + |b|^2``. The multiplier t of a site (dot.py) is the root in (-1, 1) of

    (t q + t^2 (3 - t^2) p) / (1 - t^2)^2 + t / u = d.

Solution: with ``R = 1 / (1 - t^2)``, ``S = t R``, the copies of a site move by ``t^2 R a + S b`` and ``t^2 R
b + S a``. Times the gain ``s = (1 + c) n^2 / c``, that is with ``sigma = s S`` and ``rho = s t^2 R``,
summed over copies,

    r_A = A rowsum(rho) + sigma W',        r_W = W colsum(rho) + A' sigma:

the products of backpropagation. Since ``t / u = d / (1 + u (q + t (3 - t^2) p) / (1 - t^2)^2)``,

    sigma = (1 + c) d m / (m^2 + u q + t (3 - t^2) u p),    m = 1 - t^2,    rho = t sigma,

in which d keeps its digits, even where t vanishes. Only ``u q``, ``u p`` and ``u d`` enter: the scale of the
data does not matter. Where a demand is small beside ``1 / u``, as demands usually are, :data:`STEPS` steps of
Newton's method from ``u d / (1 + u q)`` find t, with a series in the place of one over the slope. Elsewhere
``w = t / (1 - t)`` is found digit by digit, from the sign of a polynomial; a batch without such demands makes
no turn of that loop.

Ties: where ``n = 0`` nothing moves. Where ``a_k = -w_m`` and the demand is far, as in dot_shared.py: the
multiplier ends near 1, at a large bound for w.

Source: dot.py, in the metric in which values weigh u; the forms in d are derived here.

Shapes: a and w as the map takes them; all else of z's shape.

Exact: to rounding, relative to the demand; where a demand is large, w is found to 2^-25 in float32, to
2^-54 in float64. Norms are those
of a and w over their largest entry, so that squares neither overflow nor vanish.

Cost: the products, about 50 operations for each site, and where a demand is large 20 more for each digit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.bilinear import Bilinear
from pjc.runtime.projections.select import larger, smaller

STEPS = {32: 2, 64: 5}
"""Steps for small demands by the bits of a float."""

SMALL = 0.05
"""The largest ``u |d|`` for which so many steps are enough."""

LARGEST = 2.0**20
"""The first digit of w that is tried elsewhere; twice that is the bound where there is no root."""

DIGITS = {32: 46, 64: 75}
"""How many digits of w are tried."""

FAR = 1e12
"""Demands times u beyond this are all alike: w has reached its bound."""


class Multipliers(NamedTuple):
    """What the responses of both operands are made of, for each site: ``sigma = s t R``, and t."""

    sigma: Array
    t: Array

    @property
    def rho(self) -> Array:
        """``s t^2 R``, by which an operand itself is multiplied."""
        return self.sigma * self.t


class Norms(NamedTuple):
    """The squared norms of what sites multiply, over the square of a scale, and what they are on average.

    ``lhs`` and ``rhs`` are the parts of both operands, ``inverse`` one over the mean of their sum: all over
    the square of the scale. ``root`` is the root of that mean itself. Each broadcasts against the sites.
    """

    lhs: Array
    rhs: Array
    inverse: Array
    root: Array


class Relative(NamedTuple):
    """The norms, values and demands of the sites, times u."""

    q: Array
    p: Array
    d: Array


def norms(product: Bilinear, a: Array, w: Array, mean: Callable[[Array], Array]) -> Norms:
    """Return the norms of the sites of ``a * w``.

    Args:
        product: the map.
        a: its left operand.
        w: its right operand.
        mean: returns the mean over the sites of a tensor that broadcasts against them, in a shape that does
        so
            too: one number, or one for each step of a loop.
    """
    largest = jnp.maximum(jnp.max(jnp.abs(a)), jnp.max(jnp.abs(w)))
    scale = jnp.where(largest > 0, largest, 1)
    one, other = a * (1 / scale), w * (1 / scale)
    # Once: XLA would add them up for every site.
    rows, columns = lax.optimization_barrier((product.lhs_inner(one, one), product.rhs_inner(other, other)))
    root = mean(jnp.sqrt(rows + columns) * scale)
    over = jnp.where(root > 0, scale / jnp.where(root > 0, root, 1), 0)
    return Norms(rows, columns, over * over, root)


def site_norm(a: Array, b: Array, rank: int) -> Array:
    """Return the norms ``sqrt(|a|^2 + |b|^2)`` of sites that are counted by the first ``rank`` axes."""
    return jnp.sqrt(jnp.sum(a * a + b * b, axis=tuple(range(rank, a.ndim))))


def multipliers(norms: Norms, value: Array, demand: Array, weight: float) -> Multipliers:
    """Return what the responses to a demand on ``value``, which is ``a * w``, are made of.

    Args:
        norms: those of its sites.
        value: its value at a and w.
        demand: what is demanded of it, of its shape.
        weight: c, the weight of values relative to the mean square norm of a site.
    """
    moving = norms.root > 0
    # A product, not a quotient: XLA would divide by the square of the root, which may vanish.
    over = jnp.where(moving, 1 / jnp.where(moving, norms.root, 1), 0)
    scaled = Relative(
        jnp.broadcast_to(weight * norms.inverse * (norms.lhs + norms.rhs), demand.shape),
        weight * ((jnp.where(jnp.abs(value) < jnp.inf, value, 0) * over) * over),
        weight * ((demand * over) * over),
    )
    wanted = jnp.where(moving, (1 + weight) * demand, 0)
    t, share = _solved(scaled)
    return Multipliers(wanted * share, t)


def lhs_response(product: Bilinear, m: Multipliers, a: Array, w: Array) -> Array:
    """Return the sum of the responses of all copies of a, times the gain."""
    return a * product.lhs_sum(m.rho, a) + product.lhs_back(m.sigma, w, a)


def rhs_response(product: Bilinear, m: Multipliers, a: Array, w: Array) -> Array:
    """Return the sum of the responses of all copies of w, times the gain."""
    return w * product.rhs_sum(m.rho, w) + product.rhs_back(m.sigma, a, w)


def _near(scaled: Relative) -> Array:
    """Return t where demands are small: Newton's method, with a series for one over the slope.

    All but the first step is made of sums and products, which XLA does in one pass.
    """
    q, p, d = scaled
    inverse = 1 / (1 + q)
    t = d * inverse
    for _ in range(STEPS[jnp.finfo(t.dtype).bits]):
        square = t * t
        m = 1 - square
        excess = t * (q + t * (3 - square) * p) + (t - d) * (m * m)
        steeper = inverse * t * (6 * p + 4 * (d - t) - 2 * t)
        t = t - excess * inverse * (1 - steeper * (1 - steeper))
    return t


def _far(scaled: Relative) -> Array:
    """Return ``w = |t| / (1 - |t|)`` where a demand is not small, digit by digit; 0 if all are.

    The sign of the equation times ``(1 + 2 w)^2 (1 + w)``, a polynomial, says whether a digit is too much.
    """
    p = jnp.sign(scaled.d) * scaled.p
    plus, minus = larger(scaled.q + 2 * p, 0) / 4, larger(scaled.q - 2 * p, 0) / 4
    r = smaller(jnp.abs(scaled.d), FAR)
    digits = DIGITS[jnp.finfo(r.dtype).bits]

    def advance(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        step, digit, w = carry
        more = w + digit
        one, two = 1 + more, 1 + 2 * more
        rest = more * (plus * (2 + more)) - r
        reached = (rest * one + more) * (two * two) + minus * (more * (2 + 3 * more)) * one
        return step + 1, digit / 2, jnp.where(reached <= 0, more, w)

    last = jnp.where(jnp.max(r) > SMALL, digits, 0)
    start = jnp.zeros((), jnp.int32), jnp.asarray(LARGEST, r.dtype), jnp.zeros_like(r)
    return lax.while_loop(lambda carry: carry[0] < last, advance, start)[2]


def _solved(scaled: Relative) -> tuple[Array, Array]:
    """Return t, and sigma over ``(1 + c) d``."""
    q, p, d = scaled
    w = _far(scaled)
    small = jnp.abs(d) <= SMALL
    t = jnp.where(small, _near(scaled), jnp.sign(d) * (w / (1 + w)))
    t = lax.optimization_barrier(t)
    square = t * t
    m = 1 - square
    # Near 1 the terms of the second cancel.
    steep = w * (1 + w) / ((1 + 2 * w) * larger(jnp.abs(d), SMALL))
    return t, jnp.where(small, m / (m * m + q + t * (3 - square) * p), steep)
