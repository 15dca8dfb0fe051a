"""Vectors of levels times a scale of their own, which is fitted.

Set: ``S = {s l : s >= 0, every l_i a level}`` for each vector.

Projection: argmin over ``x'`` in S of ``|x' - x|^2``.

Solution: for given l the best scale is ``x . l / |l|^2``, which leaves ``|x|^2 - (x . l)^2 / |l|^2``. For
given s each l_i is the level nearest to ``x_i / s``, so that only those l count which some ``t = 1 / s``
gives. As t grows from 0, ``x_i t`` crosses the midpoints between levels on its side of 0, one after the
other: all crossings are sorted, and running sums give ``x . l`` and ``|l|^2`` after each. The best of them
is the nearest point; no alternation, no local minimum. For levels -1 and 1 that is the mean magnitude and
the signs; for -1, 0, 1 the k largest magnitudes, with the k that is best. Where there are more than
:data:`CROSSINGS` midpoints on a side, sorting them all would take longer than training with what it gives:
then the scale is the best of :data:`SCALES` between those at which the largest entry is on the outermost
level and far beyond it, each after :data:`TURNS` turns of levels for the scale and scale for the levels;
measured within 1% of the least distance. A vector that is in the set already is found to be (multiples.py),
and stays, if the levels are all multiples of a number from one to another, with 0 among them. Of other levels
it is not found where it is also a larger scale times multiples that are not all levels.

Ties: the largest scale; at a crossing the level further from 0. If no l has ``x . l > 0``, the zero vector.

Source: M. Rastegari et al., "XNOR-Net" (2016), for two levels; F. Li and B. Liu, "Ternary weight networks"
(2016), whose rule of thumb this replaces by the best; the sweep over crossings is derived here.

Shapes: any, vectors along axes.

Exact: to rounding, up to :data:`CROSSINGS` midpoints on a side; entries of one vector are exact multiples
of one number up to their own rounding.

Cost: a sort of n times the number of levels a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from pjc.runtime.projections import multiples
from pjc.runtime.projections.sets import Pieces, bounded, unit_of, vectors

CROSSINGS = 4
SCALES, TURNS = 64, 2


@dataclass(frozen=True)
class ScaledLevels(Pieces):
    """``S = {s l : s >= 0, every l_i a level}``."""

    name: ClassVar[str] = "scaled_levels"

    levels: tuple[float, ...]
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        unit = unit_of(rows, 1)
        scale, chosen = self.fitted(rows * unit)
        return back(bounded(scale * chosen, unit))

    def fitted(self, rows: Array) -> tuple[Array, Array]:
        """Return the best scale of each row and the levels of its entries, in units of the largest level.

        The largest magnitude of a row is near 1, or it is zeros.
        """
        sides = _Sides.of(self.levels)
        if sides.middles.shape[1] == 1 and np.ptp(sides.middles) == np.ptp(sides.values, axis=0).max() == 0:
            return _stepped(rows, sides)
        if sides.middles.shape[1] <= CROSSINGS:
            return _swept(rows, sides)
        scale, chosen = _searched(rows, sides)
        own, times = self._members(rows)
        return jnp.where(own > 0, own, scale), jnp.where(own > 0, times, chosen)

    def _members(self, rows: Array) -> tuple[Array, Array]:
        """Return the scales and levels of rows that are in the set already; the scale 0 for others."""
        size = max(map(abs, self.levels))
        spacing = min(b - a for a, b in pairwise(self.levels))
        whole = np.round(np.array(self.levels) / spacing)
        if np.any(np.abs(whole * spacing - self.levels) > 1e-9 * size):
            return jnp.zeros_like(rows[:, :1]), jnp.zeros_like(rows)
        times, scale = multiples.fitted(rows, tuple(whole.tolist()), (1,))
        held = jnp.all(jnp.isin(times, jnp.asarray(whole, rows.dtype)), axis=1, keepdims=True)
        return jnp.where(held, scale * size / spacing, 0), times * spacing / size


@dataclass(frozen=True)
class _Sides:
    """Levels as numbers above 0 and below it see them: the latter mirrored.

    ``middles`` are the midpoints on each side, in their order outwards, inf where a side has fewer;
    ``values`` the levels between them.
    """

    middles: NDArray[Any]
    values: NDArray[Any]

    @classmethod
    def of(cls, levels: tuple[float, ...]) -> _Sides:
        size = max(map(abs, levels)) or 1.0
        sides = [_side([each / size for each in levels]), _side([-each / size for each in reversed(levels)])]
        count = max(len(middles) for middles, _ in sides)
        middles = [list(side) + [inf] * (count - len(side)) for side, _ in sides]
        values = [list(side) + [side[-1]] * (count + 1 - len(side)) for _, side in sides]
        return cls(np.array(middles).reshape(2, count), np.array(values))


def _side(levels: list[float]) -> tuple[list[float], list[float]]:
    """Return the midpoints above 0, and the levels from the one that a number just above 0 goes to."""
    middles = [a / 2 + b / 2 for a, b in pairwise(levels)]
    passed = sum(each <= 0 for each in middles)
    return middles[passed:], levels[passed:]


def _swept(rows: Array, sides: _Sides) -> tuple[Array, Array]:
    """Return the best scale and the levels, over all crossings."""
    negative, sizes = (rows < 0).astype(int), jnp.abs(rows)
    middles, values = (jnp.asarray(each, rows.dtype)[negative] for each in (sides.middles, sides.values))
    places = middles / jnp.where(sizes > 0, sizes, 0)[..., None]
    places = jnp.where(jnp.isnan(places), jnp.inf, places)
    flat = (len(rows), -1)
    gains = sizes[..., None] * jnp.diff(values, axis=-1)
    squares = jnp.diff(values**2, axis=-1)
    each = (places.reshape(flat), gains.reshape(flat), squares.reshape(flat))
    ends, gains, squares = lax.sort(each, dimension=1, num_keys=1)
    firsts = values[..., 0]
    dots = jnp.cumsum(jnp.concatenate([jnp.sum(sizes * firsts, 1, keepdims=True), gains], 1), 1)
    own = jnp.cumsum(jnp.concatenate([jnp.sum(firsts**2, 1, keepdims=True), squares], 1), 1)
    ends = jnp.concatenate([jnp.zeros_like(dots[:, :1]), ends], axis=1)
    # Crossings at one place are taken together, and those of zeros never.
    last = jnp.concatenate([ends[:, 1:] > ends[:, :-1], jnp.ones_like(ends[:, :1], bool)], axis=1)
    fits = jnp.isfinite(ends) & last
    best = _best(dots, own, fits)
    passed = jnp.sum(places <= jnp.take_along_axis(ends, best, axis=1)[..., None], axis=-1)
    chosen = _chosen(values, passed, negative)
    return _scale(rows, chosen), chosen


def _stepped(rows: Array, sides: _Sides) -> tuple[Array, Array]:
    """Return the same where both sides have the same two levels: the outer one is that of the largest."""
    low, high = map(float, sides.values[0])  # numpy's would widen float32 where JAX has both
    sizes = jnp.abs(rows)
    largest = _descending(sizes)
    taken = jnp.arange(rows.shape[1] + 1)
    dots = low * jnp.sum(sizes, 1, keepdims=True) + (high - low) * _pad(
        jnp.cumsum(largest, 1), 0, before=True
    )
    own = low**2 * rows.shape[1] + (high**2 - low**2) * taken.astype(rows.dtype)
    # Of equal entries all are taken, and zeros never.
    above, below = _pad(largest, jnp.inf, before=True), _pad(largest, -1, before=False)
    best = _best(dots, own, (above > below) & (above > 0))
    outer = sizes >= jnp.take_along_axis(above, best, axis=1)
    chosen = jnp.where(outer, high, low) * jnp.where(rows < 0, -1, 1).astype(rows.dtype)
    return _scale(rows, chosen), chosen


def _descending(sizes: Array) -> Array:
    """Return numbers of at least 0, each row sorted from the largest down.

    Their bits are sorted as whole numbers, whose order is theirs: a comparison of floating-point numbers
    minds NaN and the sign of 0, and XLA's CPU compiler calls it for every pair.
    """
    bits = lax.bitcast_convert_type(sizes, jnp.dtype(f"int{8 * sizes.dtype.itemsize}"))
    return lax.bitcast_convert_type(~lax.sort(~bits, dimension=1, is_stable=False), sizes.dtype)


def _pad(rows: Array, value: float, before: bool) -> Array:
    """Return rows with one more entry, in front or behind."""
    return jnp.pad(rows, ((0, 0), (1, 0) if before else (0, 1)), constant_values=value)


def _best(dots: Array, own: Array, fits: Array) -> Array:
    """Return which of the candidates of each row leaves least: the first of the largest ``dots^2 / own``."""
    fits = fits & (dots > 0) & (own > 0)
    scores = jnp.where(fits, dots * (dots / jnp.where(own > 0, own, 1)), -1)
    return jnp.argmax(scores, axis=1, keepdims=True)


def _searched(rows: Array, sides: _Sides) -> tuple[Array, Array]:
    """Return the best scale and the levels, of what several scales lead to."""
    negative, sizes = (rows < 0).astype(int), jnp.abs(rows)
    middles, values = (jnp.asarray(each, rows.dtype) for each in (sides.middles, sides.values))

    outer = min(float(each[-1]) for each in sides.values if each[-1] > 0)

    def levels_at(scale: Array) -> Array:
        scaled = sizes / jnp.where(scale > 0, scale, jnp.inf)
        above, below = (jnp.searchsorted(side, scaled, side="right") for side in middles)
        return _chosen(values[negative], jnp.where(negative == 1, below, above), negative)

    def score(chosen: Array) -> Array:
        return jnp.sum((_scale(rows, chosen) * chosen - rows) ** 2, axis=1, keepdims=True)

    def tried(number: int, best: tuple[Array, Array]) -> tuple[Array, Array]:
        scale = jnp.max(sizes, axis=1, keepdims=True) * (1.1 / outer * 0.3 ** (number / SCALES))
        for _ in range(TURNS):
            scale = _scale(rows, levels_at(scale))
        chosen = levels_at(scale)
        nearer = score(chosen) < best[1]
        return jnp.where(nearer, chosen, best[0]), jnp.where(nearer, score(chosen), best[1])

    nothing = jnp.zeros_like(rows), jnp.sum(rows**2, axis=1, keepdims=True)
    chosen, _ = lax.fori_loop(0, SCALES, tried, nothing)
    return _scale(rows, chosen), chosen


def _chosen(values: Array, passed: Array, negative: Array) -> Array:
    """Return the levels after so many crossings, with their signs."""
    found = jnp.take_along_axis(values, passed[..., None], axis=-1)[..., 0]
    return jnp.where(negative == 1, -found, found)


def _scale(rows: Array, chosen: Array) -> Array:
    """Return the best scale for levels, at least 0."""
    own = jnp.sum(chosen * chosen, axis=1, keepdims=True)
    return jnp.maximum(jnp.sum(rows * chosen, axis=1, keepdims=True) / jnp.where(own > 0, own, 1), 0)
