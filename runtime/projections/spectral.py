"""Matrices by their singular values or eigenvalues, in the last two axes.

Set: ``spectral_ball`` is ``S = {X : |X|_2 <= radius}``, the largest singular value; ``orthonormal`` is ``S
= {X : X^T X = I}``, the Stiefel manifold, for matrices of at least as many rows as columns; ``psd`` is ``S
= {X : X = X^T, all eigenvalues >= 0}``.

Projection: argmin over ``X'`` in S of ``|X' - X|_F^2``.

Solution: with ``X = U diag(s) V^T``, ``U diag(min(s, radius)) V^T`` and ``U V^T``; with the symmetric part
``(X + X^T) / 2 = Q diag(e) Q^T``, ``Q diag(max(e, 0)) Q^T``. Members of a spectral ball stay as they are.

Ties: ``spectral_ball`` and ``psd`` are convex and have none. ``U V^T`` is not unique where X has no full
rank, and LAPACK's vectors decide: the zero matrix goes to the first columns of I, up to signs.

Source: N. Higham, "Computing a nearest symmetric positive semidefinite matrix" (1988); P. Schoenemann, "A
generalized solution of the orthogonal Procrustes problem" (1966); N. Parikh and S. Boyd, "Proximal
Algorithms" (2014), section 6.7.

Shapes: matrices in the last two axes; square for ``psd``.

Exact: to rounding, relative to the largest entry.

Cost: O(n m min(n, m)) a matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from pjc.runtime.projections.sets import MATRIX, ConstraintSet, bounded, unit_of


@dataclass(frozen=True)
class SpectralBall(ConstraintSet):
    """``S = {X : the largest singular value is at most the radius}``."""

    name: ClassVar[str] = "spectral_ball"

    radius: float

    def joined(self) -> tuple[int, ...]:
        return MATRIX

    def nearest(self, x: Array) -> Array:
        unit = unit_of(x, MATRIX)
        left, values, right = jnp.linalg.svd(x * unit, full_matrices=False)
        radius = self.radius * unit[..., 0]
        found = (left * jnp.minimum(values, radius)[..., None, :]) @ right
        return jnp.where(values[..., :1, None] > self.radius * unit, bounded(found, unit), x)


@dataclass(frozen=True)
class Orthonormal(ConstraintSet):
    """``S = {X : X^T X = I}``. Not convex."""

    name: ClassVar[str] = "orthonormal"

    def joined(self) -> tuple[int, ...]:
        return MATRIX

    def nearest(self, x: Array) -> Array:
        left, _, right = jnp.linalg.svd(x * unit_of(x, MATRIX), full_matrices=False)
        return jnp.asarray(left @ right)


@dataclass(frozen=True)
class Psd(ConstraintSet):
    """``S = {X : X = X^T, v^T X v >= 0 for every v}``."""

    name: ClassVar[str] = "psd"

    def joined(self) -> tuple[int, ...]:
        return MATRIX

    def nearest(self, x: Array) -> Array:
        unit = unit_of(x, MATRIX)
        half = x * unit / 2
        values, vectors = jnp.linalg.eigh(half + jnp.swapaxes(half, -1, -2))
        found = (vectors * jnp.maximum(values, 0)[..., None, :]) @ jnp.swapaxes(vectors, -1, -2) / 2
        return bounded(found + jnp.swapaxes(found, -1, -2), unit)
