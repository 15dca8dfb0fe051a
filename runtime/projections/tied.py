"""Entries that are equal to each other.

Set: ``tied`` is ``S = {x : entries of one label are equal}``; ``circulant`` is ``S = {X : X_ij depends on
(j - i) mod n alone}``, square matrices in the last two axes.

Projection: argmin over ``x'`` in S of ``|x' - x|^2``.

Solution: each entry becomes the mean of those tied to it.

Ties: none, both are subspaces.

Source: the mean is what is nearest to several numbers; T. Chan, "An optimal circulant preconditioner for
Toeplitz systems" (1988).

Shapes: labels are of a shape that the tensor's ends with, and are repeated along the axes in front of it.

Exact: entries of one label are equal, and their mean is to rounding.

Cost: O(n).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax import Array

from pjc.runtime.projections.sets import MATRIX, ConstraintSet, bounded, unit_of


@dataclass(frozen=True)
class Tied(ConstraintSet):
    """``S = {x : entries of one label are equal}``; ``entries`` are the labels, in row-major order."""

    name: ClassVar[str] = "tied"

    entries: tuple[float, ...]
    shape: tuple[int, ...]

    def nearest(self, x: Array) -> Array:
        return tied(x, np.asarray(self.entries), prod(self.shape))


@dataclass(frozen=True)
class Circulant(ConstraintSet):
    """``S = {X : X_ij = c_(j - i mod n)}``."""

    name: ClassVar[str] = "circulant"

    def joined(self) -> tuple[int, ...]:
        return MATRIX

    def nearest(self, x: Array) -> Array:
        n = x.shape[-1]
        return tied(x, (np.arange(n) - np.arange(n)[:, None]) % n, n * n)


def tied(x: Array, labels: np.ndarray, size: int) -> Array:
    """Return the entries replaced by the means of those of one label, the last ``size`` of them at a time."""
    _, label = np.unique(labels.ravel(), return_inverse=True)
    label = np.ravel(label)
    counts = jnp.asarray(np.bincount(label), x.dtype)
    rows = x.reshape(-1, size)
    unit = unit_of(rows, 1)
    # The first of each label is taken off, so that what is equal stays as it is.
    first = (rows * unit)[:, np.unique(label, return_index=True)[1]]
    rest = jnp.zeros_like(first).at[:, label].add(rows * unit - first[:, label])
    return bounded(first + rest / counts, unit)[:, label].reshape(x.shape)
