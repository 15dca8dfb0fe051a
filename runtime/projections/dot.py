"""Dot products: the graph of ``f(a, b) = a . b``.

Set: ``{(a, b, z) : z = sum_n a_n b_n}``, one for each site. Not convex.

Projection: argmin over ``(a', b', z')`` in the set of ``|a' - a|^2 + |b' - b|^2 + (z' - z)^2``.

Solution: with the multiplier t of the constraint, ``a' = (a + t b) / (1 - t^2)``,
``b' = (b + t a) / (1 - t^2)``, ``z' = z - t``, and t in (-1, 1) is the root of an increasing function, so
the nearest point is the one stationary point that satisfies the second-order condition. By the symmetry
``b, z -> -b, -z`` let ``r = z - p >= 0`` with ``p = a . b``; then t >= 0. With ``S = |a + b|^2 / 4``,
``D = |a - b|^2 / 4`` and ``w = t / (1 - t)`` in [0, inf) the equation reads

    w (S (2 + w) + D (2 + 3 w) / (1 + 2 w)^2 + 1 / (1 + w)) = r,

in which no terms cancel, so that w is accurate both near t = 0 and near t = 1. Every term on the left
increases with w, and the first two orders give a lower bound, from which a bracketed Newton starts.

Response: to a demand d with the weight u it is the same problem with ``1 / u`` for the 1 above, and ``r =
|d|`` after the mirror. Neither ``z`` nor ``z - p`` is formed, and with ``s = a + b`` the displacements are

    a' - a = w (w s + b) / (1 + 2 w),        b' - b = w (w s + a) / (1 + 2 w).

The gain is ``1 / u`` and the mean of ``|a|^2 + |b|^2`` over the sites. Ties as for the projection.

Ties: for ``a + b = 0`` (S = 0) and ``r >= 3 D / 4 + 1`` there is no root; t = 1, the sum ``a' + b'`` has a
known length and any direction. The direction is that of ``a + b`` if rounding left it one, else the first
axis. (Likewise for ``a = b`` and z far below p.) Where ``z = p`` nothing moves.

Source: V. Elser, "Learning without loss" (2021), section on bilinear constraints; A. Bergmeister et al.,
arXiv 2506.05878; the form in w is derived here.

Shapes: a and b ``[*sites, N]``, z ``[*sites]``.

Exact: to rounding, relative to the largest of |a|, |b| and sqrt|z|.

Cost: O(N) a site, and about 6 Newton steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.operator import Operator

Carry = tuple[Array, Array, Array, Array, Array]
MAX_STEPS = 200
"""Enough bisections for any bracket of floats; Newton needs about 6."""


@dataclass(frozen=True)
class Dot(Operator):
    """``f(a, b) = sum_n a_n b_n`` along the last axis."""

    name: ClassVar[str] = "dot"

    def forward(self, *inputs: Array) -> Array:
        a, b = inputs
        return jnp.sum(a * b, axis=-1)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        a, b = inputs
        site = solved(a, b, z)
        m, w, a, b = site.scale, site.w, site.a, site.b
        s, d = a + b, a - b
        grow, blend = 1 + w, (1 + w) / (1 + 2 * w)
        new_a = blend[..., None] * (a + w[..., None] * s)
        new_b = blend[..., None] * (b + w[..., None] * s)
        t = w / grow

        open_ended = w > limit(w.dtype) / 2
        half = jnp.sqrt(jnp.maximum(site.r - 0.75 * site.small - site.unit, 0))
        along = half[..., None] * direction(s)
        new_a = jnp.where(open_ended[..., None], along + d / 4, new_a)
        new_b = jnp.where(open_ended[..., None], along - d / 4, new_b)
        t = jnp.where(open_ended, 1, t)
        scale = m[..., None]
        return (new_a * scale, new_b * site.sign[..., None] * scale), z - site.sign * t

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        a, b = inputs
        light = 1 / jnp.sqrt(jnp.asarray(weight, demand.dtype))
        largest = jnp.maximum(jnp.max(jnp.abs(a), axis=-1), jnp.max(jnp.abs(b), axis=-1))
        far = jnp.sqrt(jnp.abs(demand))
        m = jnp.maximum(jnp.maximum(largest, far), light)
        m = power_of_two(jnp.where(m > 0, m, 1))
        sign = jnp.where(demand < 0, -1, 1).astype(demand.dtype)
        a, b = a / m[..., None], b / m[..., None] * sign[..., None]
        # Squared after the division: XLA divides by products of divisors, and here these may vanish.
        s, d, r = a + b, a - b, (far / m) ** 2
        big, small = jnp.sum(s * s, axis=-1) / 4, jnp.sum(d * d, axis=-1) / 4
        unit = (light / m) ** 2
        w = root(big, small, unit, r)
        # The linear solution is as good where w is below rounding, also where r has vanished.
        linear = jnp.abs(demand) / m / jnp.maximum(2 * (big + small) + unit, _tiny(r))
        step = jnp.where(w < jnp.finfo(w.dtype).eps / 8, linear, m * w) / (1 + 2 * w)
        move_a = step[..., None] * (w[..., None] * s + b)
        move_b = step[..., None] * (w[..., None] * s + a)

        open_ended = (w > limit(w.dtype) / 2)[..., None]
        half = jnp.sqrt(jnp.maximum(r - 0.75 * small - unit, 0))
        along = half[..., None] * direction(s)
        move_a = jnp.where(open_ended, m[..., None] * (along - 0.75 * a - b / 4), move_a)
        move_b = jnp.where(open_ended, m[..., None] * (along - 0.75 * b - a / 4), move_b)
        return move_a, move_b * sign[..., None]

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        a, b = inputs
        return 1 / weight + jnp.mean(jnp.sum(a * a, axis=-1) + jnp.sum(b * b, axis=-1))


class Site(NamedTuple):
    """A site over its scale, mirrored so that z is at least p, and the w of its root.

    ``small`` is D, ``unit`` the 1 of the equation and r its right side, over the square of the scale.
    """

    a: Array
    b: Array
    scale: Array
    sign: Array
    small: Array
    unit: Array
    r: Array
    w: Array


def solved(a: Array, b: Array, z: Array) -> Site:
    """Return sites with their roots: a and b ``[*sites, N]``, z ``[*sites]``.

    The scale is at most a quarter of the largest entry: its reciprocal, by which XLA multiplies, is normal.
    """
    largest = jnp.maximum(jnp.max(jnp.abs(a), axis=-1), jnp.max(jnp.abs(b), axis=-1))
    m = power_of_two(jnp.maximum(jnp.maximum(largest, jnp.sqrt(jnp.abs(z))), 1) / 4)
    a, b = a / m[..., None], b / m[..., None]
    p = jnp.sum(a * b, axis=-1)
    target = over_square(z, m)
    sign = jnp.where(target < p, -1, 1).astype(z.dtype)
    b = b * sign[..., None]
    s, d, r = a + b, a - b, jnp.abs(target - p)
    big, small = jnp.sum(s * s, axis=-1) / 4, jnp.sum(d * d, axis=-1) / 4
    unit = over_square(jnp.ones_like(m), m)
    return Site(a, b, m, sign, small, unit, r, root(big, small, unit, r))


def root(big: Array, small: Array, unit: Array, r: Array) -> Array:
    """Return w >= 0 with ``w (S (2 + w) + D (2 + 3 w) / (1 + 2 w)^2 + unit / (1 + w)) = r``.

    ``big`` is S, ``small`` is D, all at least 0. Where no w up to :func:`limit` solves it, the result is
    close to that.
    """
    return steps_to_root(big, small, unit, r)[1]


def steps_to_root(big: Array, small: Array, unit: Array, r: Array) -> tuple[Array, Array]:
    """Return after how many steps the last of the sites has its root, and the roots.

    A site is done once a step moves it by rounding alone, or its two sides differ by no more than they are
    rounded by. From there steps go in circles, or out of the bracket; so it rests while others move.
    """
    linear = 2 * (big + small) + unit
    lower = 2 * r / jnp.maximum(linear + jnp.sqrt(linear**2 + 4 * big * r), _tiny(r))
    largest, eps = jnp.asarray(limit(r.dtype), r.dtype), jnp.finfo(r.dtype).eps
    upper = jnp.minimum(jnp.sqrt(1 + r / jnp.maximum(big, _tiny(r))), largest)
    lower = jnp.minimum(lower, upper)

    def unfinished(carry: Carry) -> Array:
        step, _, _, _, moving = carry
        return (step < MAX_STEPS) & jnp.any(moving)

    def advance(carry: Carry) -> Carry:
        step, low, high, w, moving = carry
        spread = 1 + 2 * w
        saturating = small * ((2 + 3 * w) / spread / spread) + unit / (1 + w)
        value = w * big * (2 + w) + w * saturating - r
        slope = 2 * big * (1 + w) + 2 * small * ((1 + w) / spread / spread / spread)
        slope = slope + unit / (1 + w) / (1 + w)
        low, high = jnp.where(value <= 0, w, low), jnp.where(value > 0, w, high)
        newton = w - value / jnp.maximum(slope, _tiny(r))
        inside = (newton >= low) & (newton <= high)
        met = jnp.abs(value) <= 4 * eps * r
        between = jnp.where(met, w, jnp.sqrt(low) * jnp.sqrt(high))
        following = jnp.where(moving, jnp.where(inside, newton, between), w)
        moving = moving & ~met & (jnp.abs(following - w) > 2 * eps * w)
        return step + 1, low, high, following, moving

    start = (jnp.zeros((), jnp.int32), lower, upper, lower, r > 0)
    steps, _, _, found, _ = lax.while_loop(unfinished, advance, start)
    return steps, found


def over_square(x: Array, m: Array) -> Array:
    """Return x over the squares of powers of two; two divisions, made one by m * m by XLA, overflow."""
    over = 1 / m
    return x * over * over


def power_of_two(x: Array) -> Array:
    """Return the largest power of two up to a positive number: divisions by it keep all digits of a + b."""
    kind = jnp.finfo(x.dtype)
    bits = jnp.dtype(f"int{kind.bits}")
    exponent = jnp.asarray(-(1 << kind.nmant), bits)
    power = lax.bitcast_convert_type(lax.bitcast_convert_type(x, bits) & exponent, x.dtype)
    return jnp.where(power > 0, power, x)


def limit(dtype: jnp.dtype) -> float:
    """Return the largest w that is looked for: beyond it S counts as zero."""
    largest = float(jnp.finfo(dtype).max)
    return math.exp(0.45 * math.log(largest))


def _tiny(like: Array) -> Array:
    return jnp.asarray(jnp.finfo(like.dtype).tiny, like.dtype)


def direction(s: Array) -> Array:
    """Return s at unit length; the first axis where s is zero."""
    largest = jnp.max(jnp.abs(s), axis=-1, keepdims=True)
    first = jnp.zeros_like(s).at[..., 0].set(1)
    s = jnp.where(largest > 0, s / jnp.where(largest > 0, largest, 1), first)
    return s / jnp.sqrt(jnp.sum(s * s, axis=-1, keepdims=True))
