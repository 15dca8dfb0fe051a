"""Products of numbers that are whole multiples of others, added up as whole numbers.

Sums of whole numbers below 2^24 (float64: 2^53) are exact, in whatever order they are added up. So ``a @ w``
with ``a = s k`` and ``w = t l``, k and l whole, is ``(s t) (k @ l)``: an exact sum, one rounding, and the
same bits wherever that is computed. (Powers of two among s and t round nothing anyway.) An entry that is no
multiple, as of a parameter between two steps of training, stays what it is.

A column ``w = t l`` whose t is not known is told by its largest magnitude, which is t times one of the
levels' own: the least of these by which all entries of the column are whole is taken. Different fractions of
levels up to L are at least ``1 / L`` from whole numbers, much more than what rounding leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import frexp

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.rounding import rounded, scaled

ROOM = 8
"""How many roundings a multiple may be from a whole number."""


@dataclass(frozen=True)
class Multiples:
    """What the operands of a product are multiples of: ``units``, or ``levels`` for each column of w.

    ``levels`` are whole numbers; without ``units`` nothing is known.
    """

    units: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()

    def multiplied(
        self, multiply: Callable[[Array, Array], Array], a: Array, w: Array, axes: tuple[int, ...]
    ) -> Array:
        """Return the product of a and of w, whose columns are along axes."""
        one, other = self.units
        if not self.levels:
            if all(abs(frexp(each)[0]) == 0.5 for each in self.units):
                return multiply(a, w)
            return scaled(multiply(whole(a, one), whole(w, other)), one * other)
        chosen, scale = fitted(w, self.levels, axes)
        return rounded(multiply(whole(a, one), chosen) * scaled(scale, one))


def whole(x: Array, unit: float) -> Array:
    """Return how many times the unit entries are; entries that are no multiples stay fractions."""
    times = x * (1 / unit) if unit != 1 else x
    nearest = jnp.round(times)
    near = jnp.abs(nearest - times) <= ROOM * jnp.finfo(x.dtype).eps * jnp.abs(times)
    return jnp.where(near, nearest, times)


def fitted(w: Array, levels: tuple[float, ...], axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the whole numbers of each vector along axes, and the number that they are times: axes of 1.

    A vector that is no multiple of any of the levels is itself, times 1.
    """
    sizes = jnp.asarray(sorted({abs(each) for each in levels if each}), w.dtype)
    largest = jnp.max(jnp.abs(w), axis=axes, keepdims=True)
    room = ROOM * jnp.finfo(w.dtype).eps

    def tried(index: Array, scale: Array) -> Array:
        unit = jnp.where(largest > 0, largest / sizes[index], 1)
        times = w / unit
        near = jnp.abs(jnp.round(times) - times) <= room * jnp.abs(times)
        fits = jnp.all(near, axis=axes, keepdims=True)
        return jnp.where((scale == 0) & fits, unit, scale)

    found = lax.fori_loop(0, len(sizes), tried, jnp.zeros_like(largest))
    scale = jnp.where(found > 0, found, 1)
    return jnp.where(found > 0, jnp.round(w / scale), w), scale
