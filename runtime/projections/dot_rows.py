"""The projection of the sites of a product one row after another, each as dot.py has it.

Set, projection, solution, ties, source: as in dot.py, for all sites of ``z = a * w`` (bilinear.py).

What compressed forms compute from ``q = |a|^2 + |w|^2`` and ``p = a . w`` loses digits where ``|a + w|^2``,
which is ``q + 2 p``, is small beside q and z is far from p, and all of them where squares overflow. There the
copies of a row are made, projected, and forgotten: a row is as many sites as a row of a has, of a convolution
those of all samples at one place.

Shapes: as the map takes them; what stands at the sites has z's shape.

Exact: to rounding of the means over copies, relative to the largest of |a|, |w| and sqrt|z|.

Cost: what dot.py takes for every site, in memory for the copies of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from pjc.runtime.projections.bilinear import Bilinear
from pjc.runtime.projections.dot import direction, over_square, power_of_two

Copies = tuple[Array, Array]
"""The copies of both operands in a row, which broadcast against each other; the last axis counts entries."""

LARGE = 2.0**20
"""Entries up to this are not scaled: squares of what is may have any number of them added up."""

ENDLESS = 1e9
"""The w from which on S counts as zero."""


class Sums(NamedTuple):
    """What the root of a site depends on: p, S, D (dot.py) and z, over the square of the site's scale."""

    p: Array
    plus: Array
    minus: Array
    z: Array


def sums(a: Array, b: Array, z: Array) -> Sums:
    """Return the sums of sites, a and b ``[*sites, N]``, z ``[*sites]``, each without cancellation.

    Scales are 1 but where entries are beyond :data:`LARGE`; there the 1 of the equation is below rounding.
    """
    m = scale_of(a, b, z)
    a, b, target = a / m[..., None], b / m[..., None], over_square(z, m)
    total, difference = a + b, a - b
    p, plus, minus = (
        jnp.sum(each, axis=-1) for each in (a * b, total * total / 4, difference * difference / 4)
    )
    return Sums(p, plus, minus, target)


def scale_of(a: Array, b: Array, z: Array) -> Array:
    """Return the scales of sites, powers of two."""
    largest = jnp.maximum(jnp.max(jnp.abs(a), axis=-1), jnp.max(jnp.abs(b), axis=-1))
    largest = jnp.maximum(largest, jnp.sqrt(jnp.abs(z)))
    return power_of_two(jnp.maximum(largest / LARGE, 1))


def moved(a: Array, b: Array, z: Array, w: Array) -> Copies:
    """Return by how much the copies of sites move, for signed w; along a direction where w has no bound."""
    sign = jnp.where(w < 0, -1, 1).astype(w.dtype)[..., None]
    m, size = scale_of(a, b, z)[..., None], jnp.abs(w)[..., None]
    a, b = a / m, b / m * sign
    s = a + b
    step = size / (1 + 2 * size)
    one, other = step * (size * s + b), step * (size * s + a)
    difference = a - b
    rest = jnp.abs(over_square(z[..., None], m) - sign * jnp.sum(a * b, axis=-1, keepdims=True))
    rest = (
        rest
        - 0.1875 * jnp.sum(difference * difference, axis=-1, keepdims=True)
        - over_square(jnp.ones_like(m), m)
    )
    along = jnp.sqrt(jnp.maximum(rest, 0)) * direction(s)
    endless = size >= ENDLESS
    one = jnp.where(endless, along - 0.75 * a - b / 4, one)
    other = jnp.where(endless, along - 0.75 * b - a / 4, other)
    return one * m, other * m * sign


def spread(copies: Copies, target: Array) -> Copies:
    """Return the copies of a row at each of its sites."""
    shape = (*target.shape, copies[0].shape[-1])
    return jnp.broadcast_to(copies[0], shape), jnp.broadcast_to(copies[1], shape)


def _copies_of_row(framed: Sequence[Copies], target: Array, index: Array, product: Bilinear) -> list[Copies]:
    """Return the copies of each pair of operands in a row, at each of the sites that a target stands for."""
    return [spread((product.lhs_row(one, index), product.rhs_row(other)), target) for one, other in framed]


def sites_by_rows(
    operands: Sequence[Copies],
    sites: Sequence[Array],
    each: Callable[..., tuple[Array, ...]],
    product: Bilinear,
) -> tuple[Array, ...]:
    """Return what ``each`` gives for the sites of every row, from its copies and what stands at its sites."""
    w = operands[0][1]
    framed = [(product.framed(one), other) for one, other in operands]

    def advance(index: Array, kept: tuple[Array, ...]) -> tuple[Array, ...]:
        rows = [product.site_row(x, index) for x in sites]
        copies = _copies_of_row(framed, rows[0], index, product)
        return tuple(product.site_put(x, row, index) for x, row in zip(kept, each(copies, rows), strict=True))

    start = tuple(jnp.zeros(sites[0].shape, w.dtype) for _ in Sums._fields)
    found: tuple[Array, ...] = lax.fori_loop(0, product.rows(sites[0]), advance, start)
    return found


def means_of_rows(
    operands: Sequence[Copies], sites: Sequence[Array], each: Callable[..., Copies], product: Bilinear
) -> Copies:
    """Return the means over all copies of what ``each`` gives for the copies of every row."""
    a, w = operands[0]
    shares = [product.lhs_copies(sites[0], a), product.rhs_copies(sites[0], w)]
    most = [float(np.max(share)) for share in shares]
    framed = [(product.framed(one), other) for one, other in operands]

    def advance(index: Array, means: Copies) -> Copies:
        rows = [product.site_row(x, index) for x in sites]
        copies = _copies_of_row(framed, rows[0], index, product)
        one, other = each(copies, rows)
        # Divided before they are added up, so that sums of the largest floats do not overflow.
        lhs = product.lhs_put(means[0], one / most[0], index)
        return lhs, product.rhs_put(means[1], other / most[1])

    start = jnp.zeros_like(framed[0][0]), jnp.zeros_like(w)
    lhs, rhs = lax.fori_loop(0, product.rows(sites[0]), advance, start)
    return product.unframed(lhs) * (most[0] / shares[0]), rhs * (most[1] / shares[1])
