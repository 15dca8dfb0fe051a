"""What is done to the data of a run, to see what training does then. The same in every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pjc.runtime.data.prepare import Parts

OUTLIERS, TIMES = 0.02, 300
WRONG = 0.3
WHITE = 255
MEAN, DEVIATION = 0.1307, 0.3081
DRAW = 300
"""The seed of what is drawn, and of no run: an epoch takes samples in an order of its seed, and would begin
with those that were drawn."""


def outliers(parts: Parts) -> Parts:
    """Multiply 2% of the samples of the training part by 300."""
    x = np.array(parts.train.x[:])
    x[_drawn(len(x), OUTLIERS)] *= TIMES
    return replace(parts, train=replace(parts.train, x=x))


def random_labels(parts: Parts) -> Parts:
    """Give 30% of the training part classes that are drawn, all equally likely."""
    y = np.array(parts.train.y[:])
    chosen = _drawn(len(y), WRONG)
    y[chosen] = np.random.default_rng(DRAW + 1).integers(0, parts.train.classes or 0, y[chosen].shape)
    return replace(parts, train=replace(parts.train, y=y))


def raw_pixels(parts: Parts) -> Parts:
    """Make pixels of 0 to 1 such of 0 to 255, in all parts."""
    return _everywhere(parts, lambda x: x * np.float32(WHITE))


def standard_pixels(parts: Parts) -> Parts:
    """Make pixels of mean 0 and deviation 1, those of MNIST's training part, in all parts."""
    return _everywhere(parts, lambda x: (x - np.float32(MEAN)) / np.float32(DEVIATION))


def _everywhere(parts: Parts, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Parts:
    """Change the samples of all parts."""
    return parts.each(lambda data: replace(data, x=change(np.array(data.x[:]))))


def _drawn(count: int, part: float) -> NDArray[Any]:
    """Return the numbers of a part of so many samples."""
    return np.random.default_rng(DRAW).permutation(count)[: round(part * count)]
