"""Shifts and scales features by what was measured on the training part."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .errors import DataError
from .parts import NORMALIZATIONS, Parts
from .rows import Rows, blocks
from .tables import categories

_UNEVEN = 100
"""How much larger than the deviation of another a feature may be, before a person should hear of it."""
_ROUNDING = 1e-12
"""The part of a mean, of float64, below which a standard deviation is one of roundings."""


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
        if kind == "standard":
            shift, scale = Moments.of(data.x)
        else:
            shift, scale = spans(data)
            scale = np.where(scale > 0, scale, 1.0)
        if not np.isfinite(scale).all():
            raise DataError(f"the samples of {data.name} hold numbers too large to be measured; scale them")
        return Normalize(kind, shift, scale)

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
    return replace(parts.each(transform), notes={**parts.notes, **transform.notes()})


def uneven(data: Dataset) -> str | None:
    """Return a sentence where the features of a table are of very different sizes; None where they are not.

    Compares the largest root mean square of a feature with the least standard deviation of one that varies.
    """
    if not data.columns or data.x.dtype.kind != "f" or len(data.columns) != math.prod(data.x.shape[1:]):
        return None
    mean, spread = (each.reshape(-1) for each in Moments.of(data.x))
    varies = spans(data)[1].reshape(-1) > 0
    sizes = np.hypot(mean, np.where(varies, spread, 0))
    varies &= ~np.isin(data.columns, categories(data.levels))  # a rare category varies little
    large, small = int(sizes.argmax()), int(np.where(varies, spread, np.inf).argmin())
    if not varies.any() or sizes[large] <= _UNEVEN * spread[small]:
        return None
    return (
        f"the features of {data.name} are of very different sizes: {data.columns[large]!r} is about "
        f"{sizes[large]:.2g}, and {data.columns[small]!r} varies by {spread[small]:.2g}; --normalize "
        "standard brings them to one, and mostly learns better"
    )


def spans(data: Dataset) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the smallest value of each feature, and how far the largest is from it."""
    low = np.full(data.x.shape[1:], np.inf)
    high = -low
    for _, block in blocks(data.x):
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    return low, high - low


class Moments(NamedTuple):
    """The mean and the standard deviation of each entry; the latter is 1 where the entry does not vary."""

    mean: NDArray[Any]
    spread: NDArray[Any]

    @staticmethod
    def of(samples: NDArray[Any] | Rows) -> Moments:
        """Return the moments over the first axis, in float64, block by block.

        The sums of squares around the means of two blocks add up to those around their joint mean, plus the
        squared distance of the means times n m / (n + m): Chan, Golub and LeVeque (1979). No large sums
        are subtracted from each other. A deviation that is no more than a rounding of the mean is none: the
        mean of equal numbers need not be that number.
        """
        mean = np.zeros(samples.shape[1:])
        squares = np.zeros_like(mean)
        for start, block in blocks(samples):
            count = len(block)
            rows = block.astype(np.float64)
            own = rows.mean(axis=0)
            with np.errstate(over="ignore", invalid="ignore"):  # such a deviation is refused
                squares += np.square(rows - own).sum(axis=0)
                squares += np.square(own - mean) * (start * count / (start + count))
            mean += (own - mean) * (count / (start + count))
        spread = np.sqrt(squares / len(samples))
        return Moments(mean, np.where(spread <= _ROUNDING * np.abs(mean), 1.0, spread))
