"""The order in which an epoch takes samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def order(count: int, weights: NDArray[Any] | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return ``count`` indices of samples, in the order in which they are taken.

    Without weights, or where all are equal, that is every sample once. Else a sample occurs in proportion to
    its weight: of weights scaled to a mean of 1, a sample of weight w occurs w times on average, and never
    fewer than floor(w) or more than ceil(w) times. Whole parts are certain; fractions are drawn by systematic
    resampling of the samples in a random order: equally spaced points on their cumulative sum.
    """
    if weights is None or (weights == weights[0]).all():
        return rng.permutation(count)
    shuffled = rng.permutation(count)
    scaled = weights[shuffled] / weights.max()  # the sum of very large weights could overflow
    scaled *= count / scaled.sum()
    whole = np.floor(scaled)
    times = whole.astype(np.int64)
    left = count - int(times.sum())
    if left:
        ends = np.cumsum(scaled - whole)
        ends = ends / ends[-1] * left
        times += np.diff(np.ceil(ends - rng.random()), prepend=0).astype(np.int64)
    chosen: NDArray[np.int64] = rng.permutation(np.repeat(shuffled, times))
    return chosen
