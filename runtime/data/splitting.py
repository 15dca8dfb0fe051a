"""Splits into parts that are the same in every run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .errors import DataError
from .parts import Request


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


def split_parts(data: Dataset, request: Request) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """Return the parts (train, validation, test) of data, as ``request`` has them.

    The parts that the data come with are taken, unless ``request`` asks for fractions. Where other data is to
    test on there is no test part, and one that the data come with is left out. Raises DataError for a part
    that would be empty.
    """
    validation: Dataset | None = None
    test: Dataset | None = None
    own_validation, is_apart = data.own_validation, request.test_data is not None
    if request.test is None or is_apart:
        data, own = _without_end(data, data.own_test, "test")
        test = None if is_apart else own
    else:
        own_validation = 0
    if test is None and not is_apart and request.test_fraction:
        data, test = split(data, request.test_fraction, "test")
    if own_validation and request.validation is None:
        data, validation = _without_end(data, own_validation, "validation")
    elif request.validation_fraction:
        data, validation = split(data, request.validation_fraction, "validation")
    return data, validation, test


def own_test(data: Dataset) -> Dataset:
    """Return the test part that data come with, or all of it."""
    return _without_end(data, data.own_test, "test")[1] or data


def _without_end(data: Dataset, count: int, part: str) -> tuple[Dataset, Dataset | None]:
    """Return data without its last samples, and these; None where there are none to take."""
    if not count:
        return data, None
    places = np.arange(len(data))
    return data.take(places[:-count], data.name), data.take(places[-count:], f"{data.name} ({part})")


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
