"""Splits into parts that are the same in every run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import DataError, Dataset


def split(data: Dataset, fraction: float, part: str, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Return (the rest, the part), the part holding ``fraction`` of the samples.

    Stratified: where each sample has one class, every class gives its share, to within one sample.
    Both results keep the order of ``data``. ``part`` names the part in messages. Raises DataError
    when either would be empty.
    """
    if not 0 < fraction < 1:
        raise DataError(f"the {part} part is a fraction between 0 and 1, got {fraction:g}")
    count = round(len(data) * fraction)
    if not 0 < count < len(data):
        raise DataError(
            f"{data.name} has {len(data)} samples, too few to set {fraction:g} of them aside "
            f"for {part}; choose another fraction with --{part}"
        )
    generator = np.random.default_rng(seed)
    one_class_each = data.classes is not None and data.y.ndim == 1
    strata = data.y if one_class_each else np.zeros(len(data), np.int64)
    chosen = np.zeros(len(data), bool)
    chosen[_draw(strata, count, generator)] = True
    rest = data.take(np.flatnonzero(~chosen), data.name)
    return rest, data.take(np.flatnonzero(chosen), f"{data.name} ({part})")


def _draw(strata: NDArray[Any], count: int, generator: np.random.Generator) -> NDArray[Any]:
    """Return ``count`` indices, from every stratum its share by largest remainders."""
    values, sizes = np.unique(strata, return_counts=True)
    shares = sizes * (count / len(strata))
    quota = np.floor(shares).astype(np.int64)
    largest = np.argsort(quota - shares, kind="stable")
    quota[largest[: count - int(quota.sum())]] += 1
    drawn = [
        generator.permutation(np.flatnonzero(strata == value))[:amount]
        for value, amount in zip(values, quota, strict=True)
    ]
    return np.concatenate(drawn)
