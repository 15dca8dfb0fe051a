"""Maxima: the graph of ``f(x_1, ..., x_n) = max x_i``.

Set: ``{(x, z) : z = max x_i}``, over all inputs and along the axes. Not convex.

Projection: argmin over ``(x', z')`` in the set of ``|x' - x|^2 + (z' - z)^2``.

Solution: the k largest terms and z meet at their mean m, where the next term is at most m; the other terms
stay. So m is the root of ``(m - z) - sum max(0, x_i - m)``, which increases and is concave: Newton,
``m := (z + sum of the x_i > m) / (1 + their count)``, climbs to it from the left and ends after finitely
many steps, without a sort. The mean of z and any of the terms bounds m from the left, since putting ``x_i -
m`` or 0 for ``max(0, x_i - m)`` only raises the function. Newton starts from the better of two such means, of
all terms and of the largest. If z exceeds every term, one of the largest is raised instead, and meets z
halfway.

Response: where ``d > 0`` one of the largest terms rises by ``u d / (1 + u)``. Where ``d < 0`` those above a
level l come down to it, with l the root of ``u (l - d) - sum max(0, e_i - l)`` in the differences e_i to the
largest term, found as above, in units of ``|d|``. The gain is ``(1 + u) / u``.

Ties: where one of several largest terms is to be raised, the first. In a projection terms are equal that
differ by a few units in the last place: two copies of one value would be, but for how a compiler rounds.

Source: A. Bergmeister et al., arXiv 2506.05878; the water-filling argument is that of the projection onto
the epigraph of the maximum, N. Parikh and S. Boyd, "Proximal Algorithms" (2014), section 6.4.

Shapes: n inputs of one shape; z of that shape without the axes.

Exact: to rounding, relative to the largest of |x_i| and |z|, by which a site is scaled.

Cost: O(n) a step, and as many steps for all sites as the slowest takes: usually two or three, at most n.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.operator import Operator
from pjc.runtime.projections.scale import bounded, site_scale

TIES = 8
"""How far below the largest term others may be to be equal to it, in roundings of the largest magnitude."""


@dataclass(frozen=True)
class Max(Operator):
    """``f(x) = the largest of x``, over all inputs and along ``axes``."""

    name: ClassVar[str] = "max"

    axes: tuple[int, ...] = ()

    def forward(self, *inputs: Array) -> Array:
        return self._largest(inputs)

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        scale = site_scale(inputs, z, self.axes)
        scaled = tuple(x / self._wide(scale) for x in inputs)
        top = self._largest(inputs)
        start = mean_of_all(scaled, z / scale, self.axes, (z / scale + top / scale) / 2)
        level = meeting_level(scaled, z / scale, self.axes, start) * scale
        above = z >= top
        halfway = top / 2 + z / 2
        level = jnp.where(above, halfway, jnp.minimum(level, top))
        chosen = self._first_largest(inputs, self._wide(top - TIES * jnp.finfo(top.dtype).eps * scale))
        new = tuple(
            jnp.where(
                self._wide(above),
                jnp.where(first, self._wide(level), x),
                jnp.minimum(x, self._wide(level)),
            )
            for x, first in zip(inputs, chosen, strict=True)
        )
        return new, level

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        top = self._largest(inputs)
        falling = demand < 0
        unit = jnp.where(falling, bounded(-demand), 1)
        one = jnp.where(-demand > unit, -demand / unit, jnp.ones_like(demand))  # |d|, in its units

        def below(top: Array) -> tuple[Array, ...]:
            # Terms that are lower by |d| or more stay, however far below they are.
            return tuple(
                jnp.maximum((x - self._wide(top)) / self._wide(unit), -self._wide(one)) for x in inputs
            )

        # As climbed itself finds it where nothing but the largest is above, which then ends at once.
        share = weight * jnp.ones_like(demand) / (weight * jnp.ones_like(demand) + 1)
        # Made anew at every level, for XLA by a top that differs: it would keep a tensor for each input.
        level = climbed(lambda level: below(top + 0 * level), -one, self.axes, -share * one, weight)
        chosen = self._first_largest(inputs, self._wide(top), ~falling)
        return tuple(
            jnp.where(
                self._wide(falling),
                jnp.minimum(self._wide(level) - e, 0) * self._wide(unit),
                jnp.where(first, self._wide(demand * share), 0),
            )
            for e, first in zip(below(top), chosen, strict=True)
        )

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        return 1 / weight + 1

    def spread(self, site: Array, like: Array) -> Array:
        return jnp.expand_dims(site, self.axes)

    def _wide(self, site: Array) -> Array:
        return jnp.expand_dims(site, self.axes)

    def _largest(self, inputs: tuple[Array, ...]) -> Array:
        return functools.reduce(jnp.maximum, (jnp.max(x, axis=self.axes) for x in inputs))

    def _first_largest(
        self, inputs: tuple[Array, ...], least: Array, wanted: Array | bool = True
    ) -> list[Array]:
        """Return where the first term as large as ``least`` stands: by its place, then by input.

        Nowhere at sites where it is not wanted.
        """
        shape = inputs[0].shape
        count = prod(shape[axis] for axis in self.axes) * len(inputs)
        # Floats where they count so far: XLA for CPUs looks for the least of them twenty times as fast.
        dtype = jnp.float32 if count < 2**24 else jnp.int32
        places = jnp.zeros((), dtype)
        for axis in self.axes:
            places = places * shape[axis] + lax.broadcasted_iota(dtype, shape, axis)
        numbers = [places * len(inputs) + index for index in range(len(inputs))]
        last = jnp.asarray(count, dtype)
        found = [jnp.where(x >= least, n, last) for x, n in zip(inputs, numbers, strict=True)]
        first = functools.reduce(jnp.minimum, (jnp.min(each, axis=self.axes) for each in found))
        first = jnp.where(wanted, first, last)
        return [jnp.broadcast_to(n, shape) == self._wide(first) for n in numbers]


def mean_of_all(inputs: tuple[Array, ...], z: Array, axes: tuple[int, ...], bound: Array) -> Array:
    """Return the mean of z and all terms, or the bound where that is more: both are at most the level."""
    total = z + sum(jnp.sum(x, axis=axes) for x in inputs)
    terms = len(inputs) * prod(inputs[0].shape[axis] for axis in axes)
    return jnp.maximum(total / (1 + terms), bound)


def meeting_level(inputs: tuple[Array, ...], z: Array, axes: tuple[int, ...], start: Array) -> Array:
    """Return the root m of ``(m - z) - sum max(0, x - m)``, over all inputs and along the axes.

    ``start`` is at most m.
    """
    return climbed(lambda _: inputs, z, axes, start, 1.0)


def climbed(
    terms: Callable[[Array], tuple[Array, ...]],
    z: Array,
    axes: tuple[int, ...],
    start: Array,
    weight: Array | float,
) -> Array:
    """Return the root m of ``weight (m - z) - sum max(0, x - m)``; ``terms`` makes the x, at any m the same.

    ``start`` is at most m.
    """

    def mean_above(m: Array) -> Array:
        total, count = weight * z, weight * jnp.ones_like(z)
        for x in terms(m):
            above = x > jnp.expand_dims(m, axes)
            total = total + jnp.sum(jnp.where(above, x, 0), axis=axes)
            # As whole numbers: XLA for CPUs has floats added up by a library, for which it keeps a tensor.
            count = count + jnp.sum(above, axis=axes, dtype=jnp.int32).astype(x.dtype)
        return total / count

    def climb(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        m, _ = carry
        following = mean_above(m)
        return jnp.maximum(m, following), following > m

    return lax.while_loop(lambda carry: jnp.any(carry[1]), climb, (start, start == start))[0]
