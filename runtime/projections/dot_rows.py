"""The projection of the sites of a product that lose digits, one row after another.

Set, projection, solution, ties, source: as in dot.py, for chosen sites of ``z = a * w`` (bilinear.py).

What compressed forms compute from ``q = |a|^2 + |w|^2`` and ``p = a . w`` loses digits where ``|a + w|^2``,
which is ``q + 2 p``, is small beside q and z is far from p, and all of them where squares overflow. There a
compressed form leaves the copies where they are. Here they move: the copies of a row are made, projected, and
forgotten. A row is as many sites as a row of a has, of a convolution those of all samples at one place.
Rows without such a site are not looked at. It is a loop that need not turn rather than a branch: of networks
side by side (``jax.vmap``) all would take both sides of that.

Shapes: as the map takes them; what stands at the sites has z's shape.

Exact: to rounding of the means over copies, relative to the largest of |a|, |w| and sqrt|z|.

Cost: in time, what dot.py takes for the sites of the rows; in memory, the copies of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.bilinear import Bilinear
from pjc.runtime.projections.dot import power_of_two
from pjc.runtime.projections.dot_root import ENDLESS, searched
from pjc.runtime.projections.select import larger
from pjc.runtime.projections.sums import in_blocks

Copies = tuple[Array, Array]
"""The copies of both operands in a row, which broadcast against each other; the last axis counts entries."""


class Site(NamedTuple):
    """Sites, what their roots depend on, and the roots. Copies, sums and rest are over the scales.

    Attributes:
        scale: powers of two.
        copies: a and b.
        directions: ``a + b`` and ``a - b`` over powers of two, the first axis where they are zero,
            ``[2, *sites, N]``.
        squares: the sums of their squares.
        small: D, of a and b mirrored so that z is not below p.
        rest: how far z is from p.
        above: whether it is above.
        w: ``|t| / (1 - |t|)`` for the root t.
    """

    scale: Array
    copies: Copies
    directions: Array
    squares: Array
    small: Array
    rest: Array
    above: Array
    w: Array


def solved(a: Array, b: Array, z: Array) -> Site:
    """Return sites ``[*sites]`` with copies a and b ``[*sites, N]``, each sum without cancellation."""
    scale = scale_of(jnp.max(jnp.maximum(jnp.abs(a), jnp.abs(b)), axis=-1), z)
    over = reciprocal(scale)
    a, b, target = a * over[..., None], b * over[..., None], z * over * over
    both = a + jnp.asarray([1, -1], a.dtype).reshape(2, *(1 for _ in a.shape)) * b
    most = power_of_two(jnp.max(jnp.abs(both), axis=-1))
    first = (jnp.arange(a.shape[-1]) == 0).astype(a.dtype)
    directions = jnp.where(most[..., None] > 0, both * reciprocal(most)[..., None], first)
    squares = jnp.sum(directions * directions, axis=-1)
    rest = target - jnp.sum(a * b, axis=-1)
    above = rest >= 0
    plus, minus = most * most * squares / 4
    big, small = jnp.where(above, plus, minus), jnp.where(above, minus, plus)
    w = searched(big, small, over * over, jnp.abs(rest))
    return Site(scale, (a, b), directions, squares, small, jnp.abs(rest), above, w)


def nearest(a: Array, b: Array, z: Array) -> tuple[Copies, Array]:
    """Return by how much the copies of sites move, and their new values."""
    site = solved(a, b, z)
    scale, w, above = site.scale[..., None], site.w[..., None], site.above[..., None]
    sign = jnp.where(above, 1, -1).astype(a.dtype)
    a, b = site.copies[0], site.copies[1] * sign
    step = w / (1 + 2 * w)
    far = larger(site.rest - 0.75 * site.small - reciprocal(site.scale) ** 2, 0)
    squares = jnp.where(site.above, site.squares[0], site.squares[1])
    direction = jnp.where(above, site.directions[0], site.directions[1])
    along = jnp.sqrt(far / squares)[..., None] * direction
    one = jnp.where(w >= ENDLESS, along - 0.75 * a - b / 4, step * (w * (a + b) + b))
    other = jnp.where(w >= ENDLESS, along - 0.75 * b - a / 4, step * (w * (a + b) + a))
    t = jnp.where(site.above, site.w, -site.w) / (1 + site.w)
    return (one * scale, other * scale * sign), z - t


def scale_of(largest: Array, z: Array) -> Array:
    """Return powers of two that are near a quarter of the largest entry, of sqrt|z| and of 1, or above."""
    kind = jnp.finfo(z.dtype)
    bits = jnp.dtype(f"int{kind.bits}")
    bias = kind.maxexp - 1
    own, far = (lax.bitcast_convert_type(jnp.abs(x), bits) >> kind.nmant for x in (largest, z))
    exponent = jnp.maximum(jnp.maximum(own, (far + bias) >> 1), bias) - 2
    return jnp.asarray(lax.bitcast_convert_type(exponent << kind.nmant, z.dtype))


def reciprocal(power: Array) -> Array:
    """Return one over powers of two, a number also over 0; XLA takes a division for a kernel of its own."""
    kind = jnp.finfo(power.dtype)
    bits = jnp.dtype(f"int{kind.bits}")
    exponent = 2 * (kind.maxexp - 1) - (lax.bitcast_convert_type(power, bits) >> kind.nmant)
    return jnp.asarray(lax.bitcast_convert_type(exponent.astype(bits) << kind.nmant, power.dtype))


@dataclass(frozen=True)
class Row:
    """A row of the sites of a product: its number, and which of all sites are chosen."""

    product: Bilinear
    chosen: Array
    index: Array

    def of(self, sites: Array) -> Array:
        """Return what stands at the sites of the row."""
        return self.product.site_row(sites, self.index)

    def copies(self, a: Array, w: Array) -> Copies:
        """Return the copies of both operands, one for each site."""
        one, other = self.product.lhs_row(a, self.index), self.product.rhs_row(w)
        # XLA is not to know that all rows have the same: it would prepare it where none is chosen.
        other = jnp.where(self.index < 0, 0, 1).astype(other.dtype) * other
        shape = (*self.of(self.chosen).shape, other.shape[-1])
        return jnp.broadcast_to(one, shape), jnp.broadcast_to(other, shape)

    def put(self, sites: Array, row: Array) -> Array:
        """Return what stands at all sites, replaced at the chosen ones of the row."""
        row = jnp.where(self.of(self.chosen), row, self.of(sites))
        return self.product.site_put(sites, row, self.index)

    def moved(self, means: Sequence[Array], wanted: Sequence[int], moves: Copies) -> tuple[Array, ...]:
        """Return the means of the wanted operands' copies, when those of the chosen sites move."""
        found = []
        for mean, operand in zip(means, wanted, strict=True):
            move = jnp.where(self.of(self.chosen)[..., None], moves[operand], 0)
            found.append(
                self.product.rhs_moved(mean, move, self.chosen)
                if operand
                else self.product.lhs_moved(mean, move, self.chosen, self.index)
            )
        return tuple(found)


def over_rows(product: Bilinear, chosen: Array, advance: Callable[[Row, Any], Any], start: Any) -> Any:
    """Return what ``advance`` makes of a start, row by row, in those that have a chosen site."""
    rows = product.rows_with(chosen)
    numbers = jnp.arange(rows.size)

    def following(index: Array | int) -> Array:
        return in_blocks(jnp.min, jnp.where(rows & (numbers > index), numbers, rows.size))

    def turn(kept: tuple[Array, Any]) -> tuple[Array, Any]:
        index, found = kept
        return following(index), advance(Row(product, chosen, index), found)

    return lax.while_loop(lambda kept: kept[0] < rows.size, turn, (following(-1), start))[1]
