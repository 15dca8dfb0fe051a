"""Sets that a parameter or a value is required to be in, and the projections onto them.

Each class states its set S. The projection of x is argmin over ``x'`` in S of ``|x' - x|^2``; where the
nearest point is not unique, one of them is chosen, always the same. Sets of vectors hold along ``axes``:
all entries along them are one vector, in row-major order, and every other axis counts vectors.

Degenerate: nothing is nearest to NaN, so NaN stays NaN in every set, where it stands. For every finite x the
projection is finite: vectors and matrices are brought near 1 by a power of two first, which is exact. On
processors that take numbers below the smallest normal one for 0, as XLA lets CPUs do, they count as 0.

Sources: N. Parikh and S. Boyd, "Proximal Algorithms" (2014), section 6; for the simplex C. Michelot, "A
finite algorithm for finding the projection of a point onto the canonical simplex" (1986); for low rank C.
Eckart and G. Young (1936). V. Elser, "Learning without loss" (2021), uses most of them as constraints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import frexp, prod
from typing import Any, ClassVar

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.quantize import Quantize

MATRIX = (-2, -1)
"""The axes of a matrix."""


@dataclass(frozen=True)
class ConstraintSet(ABC):
    """A set of arrays; fields are its static attributes, by the names of dialects/sets.py."""

    name: ClassVar[str]

    def project(self, x: Array) -> Array:
        """Return the nearest point of the set, of x's shape and type; finite where x is, NaN where x is."""
        return jnp.where(jnp.isnan(x), x, self.nearest(x))

    @abstractmethod
    def nearest(self, x: Array) -> Array:
        """Return the nearest point of the set to x, which holds no NaN."""

    def demand(self, x: Array) -> Array:
        """Return what the set demands of x: how far the projection moves it."""
        return self.project(x) - x

    def residual(self, found: Array) -> Array | None:
        """Return how far a projection may be from the set; None where that is rounding alone."""
        return None

    def keep(self, latent: Array) -> Array:
        """Return what a latent value is brought back to after a step of training by sweeps.

        A step moves the latent value itself, by all that is demanded of its projection. So it is brought back
        to the set, unless that would undo small moves that have yet to add up.
        """
        return self.project(latent)

    def joined(self) -> tuple[int, ...] | None:
        """Return the axes along which entries have to do with each other; none for (), and None for all."""
        return getattr(self, "axes", None)

    def within(self, at: Array, move: Array, inside: bool = True) -> Array:
        """Return what a small move from a point of the set comes to within it; a multiple of it as much more.

        It is the directional derivative of the projection P at the point, ``(P(at + t move) - P(at)) / t``
        for t to 0: in a convex set the nearest of the directions that stay in it, in a smooth one the nearest
        tangent (E. H. Zarantonello, "Projections on convex sets in Hilbert space and spectral theory", 1971).
        It is zero, but for rounding, where no direction within the set has anything of the move. Here t is
        the power of two that makes a vector's move about a hundredth of it; a millionth of 1 for the vector
        zero. Where all of the move stays inside, it is returned as it is.

        Args:
            at: the point.
            move: what it is asked to move by.
            inside: whether the point is in the set, so that P(at) is at, but for rounding.
        """
        axes = self.joined() or tuple(range(at.ndim))
        there = jnp.any(at != 0, axis=axes, keepdims=True)
        t = _power(jnp.where(there, _order(at, axes), _AT_ZERO) - _order(move, axes) - _SMALL, at.dtype)
        most = jnp.finfo(at.dtype).max
        out = self.demand(jnp.clip(at + t * move, -most, most))
        if not inside:
            out = out - self.demand(at)
        found = jnp.clip(move + out / t, -most, most)
        return jnp.where(jnp.any(move != 0, axis=axes, keepdims=True), found, move)

    def resume(self, latent: Array, start: Array, after: Array) -> Array:
        """Return the latent value that training goes on from after an update.

        An update starts from ``start``, the projection of the latent value, and ends at ``after``. Where
        small moves within the set are possible that is its projection. Sets of isolated points, or of
        pieces between which a parameter must choose, override this to add up moves over many updates, until
        another point is nearer: the straight-through method (Y. Bengio et al., arXiv 1308.3432), with moves
        in the place of gradients.
        """
        return self.project(after)


class Entries(ConstraintSet):
    """A set of which every entry is in a set of its own, whatever the others are."""

    def joined(self) -> tuple[int, ...]:
        return ()


class Pieces(ConstraintSet):
    """A set of pieces between which a parameter must choose: moves add up until another one is nearer."""

    def keep(self, latent: Array) -> Array:
        return latent

    def within(self, at: Array, move: Array, inside: bool = True) -> Array:
        return move

    def resume(self, latent: Array, start: Array, after: Array) -> Array:
        return latent + (after - start)


@dataclass(frozen=True)
class Box(Entries):
    """``S = {x : low <= x <= high}``, entry by entry. Solution: x clipped."""

    name: ClassVar[str] = "box"

    low: float
    high: float

    def nearest(self, x: Array) -> Array:
        return jnp.clip(x, self.low, self.high)


@dataclass(frozen=True)
class Nonneg(Entries):
    """``S = {x : x >= 0}``, entry by entry. Solution: ``max(x, 0)``."""

    name: ClassVar[str] = "nonneg"

    def nearest(self, x: Array) -> Array:
        return jnp.maximum(x, 0)


@dataclass(frozen=True)
class Levels(Entries):
    """``S = {x : every entry is a level}``. Solution: the nearest level, of two the one that quantize takes.

    ``rate`` is how often a move counts when moves add up: an update moves a parameter off a level by little,
    since the set pulls it back in every iteration. It means nothing to sweeps, which move latent values
    themselves.
    """

    name: ClassVar[str] = "levels"

    levels: tuple[float, ...]
    rate: float = 100.0

    def nearest(self, x: Array) -> Array:
        return Quantize(self.levels).forward(x)

    def resume(self, latent: Array, start: Array, after: Array) -> Array:
        return self.keep(latent + self.rate * (after - start))

    def keep(self, latent: Array) -> Array:
        # Beyond half a step outside nothing changes, so that the way back is never long.
        below = (self.levels[1] - self.levels[0]) / 2 if len(self.levels) > 1 else 0
        above = (self.levels[-1] - self.levels[-2]) / 2 if len(self.levels) > 1 else 0
        return jnp.clip(latent, self.levels[0] - below, self.levels[-1] + above)


@dataclass(frozen=True)
class Mask(Entries):
    """``S = {x : x is 0 where the mask is}``. Solution: x, with zeros there.

    ``entries`` is the mask of the given shape in row-major order, repeated along the axes in front of it.
    """

    name: ClassVar[str] = "mask"

    entries: tuple[float, ...]
    shape: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        kept = jnp.asarray(self.entries, x.dtype).reshape(self.shape) != 0
        return jnp.where(kept, x, 0)


@dataclass(frozen=True)
class Equal(Entries):
    """``S = {v}``. Solution: v, given by its entries in row-major order and repeated as a mask is."""

    name: ClassVar[str] = "equal"

    entries: tuple[float, ...]
    shape: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        return jnp.broadcast_to(jnp.asarray(self.entries, x.dtype).reshape(self.shape), x.shape)


@dataclass(frozen=True)
class Ball(ConstraintSet):
    """``S = {x : |x| <= radius}``, the Euclidean norm of each vector. Solution: x scaled, if outside."""

    name: ClassVar[str] = "ball"

    radius: float
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        unit = unit_of(rows, 1)
        scaled = rows * unit
        norm = _norm(scaled)
        return back(jnp.where(norm > self.radius * unit, scaled / norm * self.radius, rows))


@dataclass(frozen=True)
class Sphere(ConstraintSet):
    """``S = {x : |x| = radius}``. Solution: x scaled; the zero vector goes to the first axis."""

    name: ClassVar[str] = "sphere"

    radius: float
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        first = jnp.zeros_like(rows).at[:, 0].set(1)
        rows = jnp.where(jnp.any(rows != 0, axis=1, keepdims=True), rows, first)
        scaled = rows * unit_of(rows, 1)
        return back(scaled / _norm(scaled) * self.radius)


@dataclass(frozen=True)
class Simplex(ConstraintSet):
    """``S = {x : x >= 0, sum x = total}`` for each vector.

    Solution: ``max(x - t, 0)`` with t the root of ``sum max(x - t, 0) = total``, to which Newton,
    ``t := (sum of the x > t, less the total) / their count``, climbs from the mean of all in finitely many
    steps.
    """

    name: ClassVar[str] = "simplex"

    total: float
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        # Only differences to the largest entry matter, and entries far below it end as zeros.
        # They are taken in a power of two near the total, so that the sum of many does not overflow.
        unit = 2.0 ** min(max(frexp(self.total)[1], -120), 120)
        total = self.total / unit
        half = 0.5 if self.total > 1 else 1.0
        rows = half * rows - half * jnp.max(rows, axis=1, keepdims=True)
        rows = jnp.maximum(rows, -2 * half * self.total) * (1 / (half * unit))

        t = threshold(rows, total)
        return back(jnp.maximum(rows - t, 0) * unit)


@dataclass(frozen=True)
class Sparse(Pieces):
    """``S = {x : at most k entries of each vector are not 0}``. Solution: the k of largest magnitude stay.

    Of equal magnitudes the first ones stay. Not convex.
    """

    name: ClassVar[str] = "sparse"

    k: int
    axes: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        rows, back = vectors(x, self.axes)
        if self.k >= rows.shape[1]:
            return x
        _, chosen = lax.top_k(jnp.abs(rows), self.k)
        place = jnp.arange(rows.shape[0])[:, None], chosen
        return back(jnp.zeros_like(rows).at[place].set(rows[place]))


@dataclass(frozen=True)
class Rank(Pieces):
    """``S = {X : rank X <= r}``, matrices in the last two axes. Not convex.

    Solution: the largest r singular values stay, the others become zero; where two are equal LAPACK's order
    decides.
    """

    name: ClassVar[str] = "rank"

    rank: int

    def nearest(self, x: Array) -> Array:
        if self.rank >= min(x.shape[-2:]):
            return x
        unit = unit_of(x, (-2, -1))
        left, values, right = jnp.linalg.svd(x * unit, full_matrices=False)
        r = self.rank
        found = (left[..., :r] * values[..., None, :r]) @ right[..., :r, :]
        return bounded(found, unit)


def threshold(rows: Array, total: float) -> Array:
    """Return the t of each row with ``sum max(x - t, 0) = total``; the largest entry of a row is 0."""

    def mean(above: Array) -> Array:
        count = jnp.sum(above, axis=1, keepdims=True)
        return (jnp.sum(above * rows, axis=1, keepdims=True) - total) / jnp.maximum(count, 1)

    def climb(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        t, _ = carry
        following = mean((rows > t).astype(rows.dtype))
        return jnp.maximum(t, following), following > t

    start = mean(jnp.ones_like(rows))
    t, _ = lax.while_loop(lambda carry: jnp.any(carry[1]), climb, (start, start == start))
    return jnp.asarray(t)


def vectors(x: Array, axes: tuple[int, ...]) -> tuple[Array, Callable[[Array], Array]]:
    """Return the vectors along axes as rows of a matrix, and what puts such rows back in their places."""
    last = tuple(range(x.ndim - len(axes), x.ndim))
    moved = jnp.moveaxis(x, axes, last)
    rows = moved.reshape(-1, prod(x.shape[axis] for axis in axes))
    return rows, lambda new: jnp.moveaxis(new.reshape(moved.shape), last, axes)


def unit_of(x: Array, axes: int | tuple[int, ...]) -> Array:
    """Return the power of two that brings the largest magnitude along axes near 1, and 1 where all is 0.

    It and its reciprocal are normal numbers, so that to multiply by it is exact.
    """
    return _power(-_exponent(x, axes), x.dtype)


_SMALL, _AT_ZERO = 6, -14
"""How many binary orders below a point's size a move counts as small, and what counts as the size of zero."""


def _exponent(x: Array, axes: int | tuple[int, ...]) -> Array:
    """Return the binary order of the largest magnitude along axes, 0 where all is 0."""
    _, exponent = jnp.frexp(jnp.max(jnp.abs(x), axis=axes, keepdims=True))
    return jnp.asarray(exponent)


def _order(x: Array, axes: tuple[int, ...]) -> Array:
    """Return the binary order of the norm along axes, 0 where all is 0."""
    scaled = x * unit_of(x, axes)
    _, more = jnp.frexp(jnp.sqrt(jnp.sum(scaled * scaled, axis=axes, keepdims=True)))
    return _exponent(x, axes) + more


def _power(exponent: Array, dtype: Any) -> Array:
    """Return a power of two, the nearest that is a normal number as its reciprocal is."""
    limit = jnp.finfo(dtype).maxexp - 2
    return jnp.ldexp(jnp.ones((), dtype), jnp.clip(exponent, -limit, limit))


def bounded(scaled: Array, unit: Array) -> Array:
    """Return scaled numbers as they were before; the largest number where rounding would go beyond."""
    most = float(jnp.finfo(scaled.dtype).max)
    return jnp.clip(scaled, -most * unit, most * unit) / unit


def _norm(scaled: Array) -> Array:
    """Return the norm of each row whose largest magnitude is near 1; 1e-30 at least, for rows of zeros."""
    return jnp.maximum(jnp.sqrt(jnp.sum(scaled**2, axis=1, keepdims=True)), 1e-30)
