"""What is done to the data of a run, to see what training does then. The same in every run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pjc.runtime.data.dataset import Dataset
from pjc.runtime.data.prepare import Parts

OUTLIERS, TIMES = 0.02, 300
WRONG = 0.3
WHITE = 255
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

    def raw(data: Dataset | None) -> Any:
        return None if data is None else replace(data, x=np.array(data.x[:]) * np.float32(WHITE))

    return replace(parts, train=raw(parts.train), validation=raw(parts.validation), test=raw(parts.test))


def _drawn(count: int, part: float) -> NDArray[Any]:
    """Return the numbers of a part of so many samples."""
    return np.random.default_rng(DRAW).permutation(count)[: round(part * count)]
