"""Splits into parts that are the same in every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .errors import DataError
from .parts import Request

T = TypeVar("T")


def cut(
    data: T, request: Request, split: Callable[[T, float, str], tuple[T, T]]
) -> tuple[T, T | None, T | None]:
    """Return what remains of data to train on, what validates and what tests, as ``request`` has them.

    ``split`` returns (the rest, the part) for a fraction and the name of a part; see :func:`split`. There is
    no test part where other data is to test on. Raises DataError where a part would be empty.
    """
    test: T | None = None
    validation: T | None = None
    if request.test and request.test_data is None:
        data, test = split(data, request.test, "test")
    if request.validation:
        data, validation = split(data, request.validation, "validation")
    return data, validation, test


def split(data: Dataset, fraction: float, part: str, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Return (the rest, the part), the part holding ``fraction`` of the samples.

    Stratified: where each sample has one class, every class gives its share, to within one sample, unless
    a class is too small for that.
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
    one_class_each = data.classes is not None and data.y.ndim == 1
    kept, chosen = _drawn(len(data), count, data.y[:] if one_class_each else None, seed)
    rest = data.take(kept, data.name)
    return rest, data.take(chosen, f"{data.name} ({part})")


def _drawn(
    size: int, count: int, strata: NDArray[Any] | None, seed: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the indices that stay and those drawn, each in increasing order.

    scikit-learn draws, as its ``train_test_split`` does, so that others can compare on the same split. A
    class too small to be in both parts cannot be stratified; then the draw is a plain one.
    """
    from sklearn.model_selection import train_test_split

    if strata is not None:
        sizes = np.unique(strata, return_counts=True)[1]
        if sizes.min() < 2 or min(count, size - count) < len(sizes):
            strata = None
    kept, drawn = train_test_split(np.arange(size), test_size=count, stratify=strata, random_state=seed)
    return np.sort(kept), np.sort(drawn)
