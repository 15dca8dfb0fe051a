"""The multiplier of a site of a dot product, from three sums.

Set, projection, source: as in dot.py. The equation, with ``p = a . b``, is

    w (S (2 + w) + D (2 + 3 w) / (1 + 2 w)^2 + 1 / (1 + w)) = |z - p|,

where S is ``plus = |a + b|^2 / 4`` and D is ``minus = |a - b|^2 / 4`` if z is above p, else the other way
round. The root is ``w = |t| / (1 - |t|)`` with the sign of ``z - p``: t keeps its digits near 0 and near 1.

Solution: for many sites in one fused pass (:func:`multiplier`) Halley's steps, as many as are enough, from a
lower bound. With ``v = 1 / (1 + 2w)``, ``u = 1 / (1 + w)`` the equation is

    S w (2 + w) + D w v (3 + v) / 2 + w u = r

where the parts with D and without a norm increase and are concave. A tangent is above them, so with one in
their place the equation, now quadratic, has a root below w, from which Halley's steps converge with third
order. Which tangent is near w is found by evaluating the left side at a few places. For few sites, with
numbers of any size, bit by bit (:func:`searched`).

Ties: where S is zero and z is far there is no root; w is then at least :data:`ENDLESS`, or as large as is
looked for.

Shapes: all arguments broadcast against each other.

Exact: to rounding; :func:`multiplier` where neither :func:`vanishes` nor :func:`overflows`.

Cost: about 60 operations for each site; the search about 15 for each bit of a float.
"""

from __future__ import annotations

import math
from itertools import pairwise

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.select import larger, smaller

STEPS = {32: 2, 64: 4}
"""Halley's steps by the bits of a float. Two leave t wrong by at most 6e-8, measured on 300,000 sites with
squared norms from 1e-6 to 1e6 and |t| from 1e-6 to 1 - 1e-6."""

TANGENTS = tuple(0.4 * (3.5**index - 1) for index in range(8))
"""Where tangents bound what is concave in the equation for w."""

ENDLESS = 1e9
"""The w from which on S counts as zero."""

VANISHING = 1e-9
"""The squared norm below which the tangents are too far from a large w."""

SWITCH = 0.44
"""From where between two of these points on the higher is taken. All three choices by measurement."""


def multiplier(p: Array, plus: Array, minus: Array, z: Array) -> Array:
    """Return the signed root of each site."""
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


def searched(big: Array, small: Array, unit: Array, r: Array) -> Array:
    """Return w, without a sign, from S, D, what stands for the 1 of the equation, and r.

    Bit by bit: floats that are not negative are ordered as their bits are, so that a bit belongs to w if the
    left side, which increases, is not above r with it. The result is at most :data:`ENDLESS`. It is a loop
    of one kernel, which is what counts where it hardly ever runs.
    """
    kind = jnp.finfo(r.dtype)
    bits = jnp.dtype(f"int{kind.bits}")

    def advance(turn: Array, w: Array) -> Array:
        tried = w | (jnp.ones((), bits) << (kind.bits - 2 - turn).astype(bits))
        x = lax.bitcast_convert_type(tried, r.dtype)
        saturating = small * ((2 + 3 * x) / (1 + 2 * x) / (1 + 2 * x)) + unit / (1 + x)
        return jnp.where((x <= ENDLESS) & (x * (big * (2 + x) + saturating) <= r), tried, w)

    found = lax.fori_loop(0, kind.bits - 1, advance, jnp.zeros(r.shape, bits))
    return jnp.asarray(lax.bitcast_convert_type(found, r.dtype))


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


def largest_root(like: Array) -> float:
    """Return the largest w that is looked for."""
    return max(ENDLESS, float(1 / jnp.finfo(like.dtype).eps))


def _reciprocals(w: Array) -> tuple[Array, Array]:
    """Return ``1 / (1 + w)`` and ``1 / (1 + 2 w)``, by one division."""
    one, two = 1 + w, 1 + 2 * w
    inverse = 1 / (one * two)
    return two * inverse, one * inverse
