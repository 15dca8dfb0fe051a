"""The responses of dots and convolutions whose copies all agree, without making the copies.

Set: as in dot.py, for all sites of ``z = a * w`` at once (bilinear.py). At rest every site holds the same
``a`` and ``w``, and ``p = a * w`` is its value.

Response: to a demand d with the weight ``u = c / mean q``, where c is the relative weight and ``mean q`` the
mean of ``q = |a|^2 + |b|^2`` over the sites. The multiplier t of a site (dot.py) is the root in (-1, 1) of

    (t q + t^2 (3 - t^2) p) / (1 - t^2)^2 + t / u = d.

Solution: with ``R = 1 / (1 - t^2)``, ``S = t R``, the copies of a site move by ``t^2 R a + S b`` and ``t^2 R
b + S a``. Times the gain ``s = (1 + c) mean q / c``, that is with ``sigma = s S`` and ``rho = s t^2 R``,
summed over copies,

    r_A = A rowsum(rho) + sigma W',        r_W = W colsum(rho) + A' sigma:

the products of backpropagation. Since ``t / u = d / (1 + u (q + t (3 - t^2) p) / (1 - t^2)^2)``,

    sigma = (1 + c) d m / (m^2 + u q + t (3 - t^2) u p),    m = 1 - t^2,    rho = t sigma,

in which d keeps its digits, even where t vanishes. Only ``u q``, ``u p`` and ``u d`` enter: the scale of the
data does not matter. Where all demands are small beside ``1 / u``, as they usually are, Newton's method finds
t in :data:`STEPS` steps from ``u d / (1 + u q)``: the error of that is at most ``e = 3 t / 2``, relative to
t, that of n steps ``e^(2^(n + 1) - 1)``. Elsewhere it is solved for w as in dot_shared.py.

Ties: where ``mean q = 0`` nothing moves. Where ``a_k = -w_m`` and the demand is far, as in dot_shared.py: the
multiplier ends near 1, at a large bound for w.

Source: dot.py, in the metric in which values weigh u; the forms in d are derived here.

Shapes: a and w as the map takes them; all else of z's shape.

Exact: to rounding, relative to the demand. Where squares of entries overflow or vanish, a and w are scaled by
the largest entry first, at the cost of another product.

Cost: the products, and about 40 operations for each site, 100 where a demand is large.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.bilinear import Bilinear
from pjc.runtime.projections.dot_shared import stretched
from pjc.runtime.projections.select import larger, smaller

STEPS = {32: 2, 64: 3}
"""Newton's steps by the bits of a float."""

SMALL = 0.05
"""The largest ``u |d|`` for which so many steps are enough."""

FAR = 1e18
"""Demands times u beyond this are all alike: w has reached its bound, and its equation stays finite."""


class Multipliers(NamedTuple):
    """What the responses of both operands are made of, for each site: ``s S`` and ``s t^2 R``."""

    sigma: Array
    rho: Array


class Relative(NamedTuple):
    """The norms, values and demands of the sites, times u."""

    q: Array
    p: Array
    d: Array


def multipliers(
    product: Bilinear,
    a: Array,
    w: Array,
    value: Array,
    demand: Array,
    weight: float,
    mean: Callable[[Array], Array],
) -> Multipliers:
    """Return what the responses to a demand on ``value``, which is ``a * w``, are made of.

    Args:
        product: the map.
        a: its left operand.
        w: its right operand.
        value: its value at a and w.
        demand: what is demanded of it, of its shape.
        weight: c, the weight of values relative to the mean square norm of a site.
        mean: returns the mean over the sites of a tensor that broadcasts against ``value``, in a shape that
            does so too: one number, or one for each step of a loop.
    """
    scaled = _relative(product, (a, w), (value, demand), weight, mean)
    sigma, t = lax.cond(
        jnp.max(jnp.abs(scaled.d)) <= SMALL,
        lambda: _near(scaled, (1 + weight) * demand),
        lambda: _anywhere(scaled, (1 + weight) * demand),
    )
    return Multipliers(sigma, t * sigma)


def lhs_response(product: Bilinear, m: Multipliers, a: Array, w: Array) -> Array:
    """Return the sum of the responses of all copies of a, times the gain."""
    return a * product.lhs_sum(m.rho, a) + product.lhs_back(m.sigma, w, a)


def rhs_response(product: Bilinear, m: Multipliers, a: Array, w: Array) -> Array:
    """Return the sum of the responses of all copies of w, times the gain."""
    return w * product.rhs_sum(m.rho, w) + product.rhs_back(m.sigma, a, w)


def _relative(
    product: Bilinear,
    operands: tuple[Array, Array],
    sites: tuple[Array, Array],
    weight: float,
    mean: Callable[[Array], Array],
) -> Relative:
    """Return norms, values and demands times ``weight / mean q``; all 0 where that mean is."""
    (a, w), (value, demand) = operands, sites
    rows, columns = product.lhs_inner(a, a), product.rhs_inner(w, w)
    middle = mean(rows) + mean(columns)
    info = jnp.finfo(demand.dtype)
    safe = jnp.all((middle > float(info.tiny) ** 0.75) & (middle < float(info.max) ** 0.75))

    def usual() -> Relative:
        u = weight / middle
        return Relative(
            *(jnp.broadcast_to(u * each, demand.shape) for each in (rows + columns, value, demand))
        )

    def rescaled() -> Relative:
        largest = jnp.maximum(jnp.max(jnp.abs(a)), jnp.max(jnp.abs(w)))
        scale = jnp.where(largest > 0, largest, 1)
        one, other = a / scale, w / scale
        rows, columns = product.lhs_inner(one, one), product.rhs_inner(other, other)
        middle = mean(rows) + mean(columns)
        u = jnp.where(middle > 0, weight / jnp.where(middle > 0, middle, 1), 0)
        q, p = u * (rows + columns), u * product.forward(one, other)
        # Squared after the division: XLA would divide by the square of the scale, which may vanish.
        d = u * jnp.sign(demand) * (jnp.sqrt(jnp.abs(demand)) / scale) ** 2
        return Relative(*(jnp.broadcast_to(each, demand.shape) for each in (q, p, d)))

    return Relative(*lax.cond(safe, usual, rescaled))


def _near(scaled: Relative, wanted: Array) -> tuple[Array, Array]:
    """Return sigma and t where demands are small, by Newton's method."""
    q, p, d = scaled
    t = d / (1 + q)
    for _ in range(STEPS[jnp.finfo(t.dtype).bits]):
        square = t * t
        m = 1 - square
        left = t * (q + t * (3 - square) * p)
        excess = m * (left + (t - d) * (m * m))
        t = t - excess / (m * (q + 2 * t * (3 - 2 * square) * p) + 4 * t * left + m * m * m)
    return _sigma(scaled, wanted, t), t


def _sigma(scaled: Relative, wanted: Array, t: Array) -> Array:
    """Return sigma at t, from ``(1 + c) d``."""
    square = t * t
    m = 1 - square
    return wanted * (m / (m * m + scaled.q + t * (3 - square) * scaled.p))


def _anywhere(scaled: Relative, wanted: Array) -> tuple[Array, Array]:
    """Return sigma and t, solved for ``w = t / (1 - t)``."""
    q, p, d = scaled
    far = jnp.clip(d, -FAR, FAR)
    w = stretched(larger(q + 2 * p, 0) / 4, larger(q - 2 * p, 0) / 4, far)
    t = jnp.sign(d) * (w / (1 + w))
    # Near 1 the terms of sigma's denominator cancel: there S over u |d| times the demand.
    steep = w * ((1 + w) / (1 + 2 * w)) / larger(jnp.abs(d), SMALL)
    return jnp.where(w > SMALL, wanted * steep, _sigma(scaled, wanted, smaller(t, 1) * (w <= SMALL))), t
