"""Shifts and scales features by what was measured on the training part."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .errors import DataError
from .parts import NORMALIZATIONS, Parts
from .rows import Rows, blocks


@dataclass(frozen=True)
class Normalize:
    """``x := (x - shift) / scale``, feature by feature.

    ``shift`` and ``scale`` have the shape of a sample; ``scale`` is positive, and 1 where a feature did
    not vary in the data that was measured.
    """

    kind: str
    shift: NDArray[Any]
    scale: NDArray[Any]

    @staticmethod
    def measure(data: Dataset, kind: str) -> Normalize:
        """Return what brings each feature of ``data`` to the range 0 to 1 (``unit``), or to mean 0 and
        variance 1 (``standard``).

        Looks at the samples in blocks, in float64: whole numbers of them are never in memory. Raises
        DataError for another kind, and for samples of integers, which are tokens.
        """
        if data.x.dtype.kind in "iu":
            raise DataError(
                f"the samples of {data.name} are tokens, which cannot be normalized; leave out --normalize"
            )
        if kind not in NORMALIZATIONS[1:]:
            raise DataError(f"there is no normalization {kind!r}; expected {', '.join(NORMALIZATIONS[1:])}")
        shift, scale = _range(data) if kind == "unit" else _moments(data)
        return Normalize(kind, shift, np.where(scale > 0, scale, 1.0))

    def __call__(self, data: Dataset) -> Dataset:
        """Return ``data`` transformed; raises DataError if its features have another shape."""
        shape, dtype = data.x.shape[1:], data.x.dtype
        if shape != self.shift.shape:
            raise DataError(
                f"a sample of {data.name} has shape {list(shape)}, in training it was "
                f"{list(self.shift.shape)}"
            )

        def transform(x: NDArray[Any]) -> NDArray[Any]:
            moved: NDArray[Any] = ((x - self.shift) / self.scale).astype(dtype)
            return moved

        if isinstance(data.x, Rows):
            return replace(data, x=data.x.map(transform, shape, dtype))
        return replace(data, x=transform(data.x))

    def notes(self) -> dict[str, str]:
        """Return the numbers as JSON, to be kept beside the parameters that rely on them."""
        return {
            "normalize": self.kind,
            "shift": json.dumps(self.shift.tolist()),
            "scale": json.dumps(self.scale.tolist()),
        }


def normalized(parts: Parts, kind: str) -> Parts:
    """Return the parts, each transformed by what is measured on the training part."""
    if kind == "none":
        return parts
    transform = Normalize.measure(parts.train, kind)
    return Parts(
        transform(parts.train),
        None if parts.validation is None else transform(parts.validation),
        None if parts.test is None else transform(parts.test),
        {**parts.notes, **transform.notes()},
    )


def _range(data: Dataset) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the smallest value of each feature, and how far the largest is from it."""
    low = np.full(data.x.shape[1:], np.inf)
    high = -low
    for _, block in blocks(data.x):
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    return low, high - low


def _moments(data: Dataset) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean and standard deviation of each feature.

    The sums of squares around the means of two blocks add up to those around their joint mean, plus the
    squared distance of the means times n m / (n + m): Chan, Golub and LeVeque (1979). No large sums
    are subtracted from each other.
    """
    mean = np.zeros(data.x.shape[1:])
    squares = np.zeros_like(mean)
    for start, block in blocks(data.x):
        count = len(block)
        rows = block.astype(np.float64)
        own = rows.mean(axis=0)
        squares += np.square(rows - own).sum(axis=0)
        squares += np.square(own - mean) * (start * count / (start + count))
        mean += (own - mean) * (count / (start + count))
    return mean, np.sqrt(squares / len(data))
