"""How much each sample counts: weights by class, and the order of an epoch that follows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset, checked_weights
from .errors import DataError
from .parts import BALANCED, Parts


def class_weights(y: Any, weights: str | Mapping[Any, float]) -> NDArray[np.float64]:
    """Return a weight for each sample by its class, float64 ``[n]``.

    ``y`` ``[n]`` holds classes, as numbers or as names. ``"balanced"`` gives every class that occurs the same
    weight in all, and samples a weight of 1 on average: n / (classes * samples of the class). A mapping has
    the weight of each class; classes that it lacks weigh 1. Raises DataError for targets that
    are no classes, for a class that no sample has, and for weights that are not finite numbers from 0.
    """
    if not isinstance(weights, str | Mapping):
        raise DataError(
            f"weights by class are {BALANCED!r}, or a dict of a weight for each class, found "
            f"{type(weights).__name__}"
        )
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.dtype.kind not in "biuUS" or not labels.size:
        raise DataError(
            "weights by class need one class for each sample; the targets have shape "
            f"{list(labels.shape)} and type {labels.dtype}"
        )
    classes, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if isinstance(weights, str):
        if weights != BALANCED:
            raise DataError(f"there are no class weights {weights!r}; expected {BALANCED!r} or a mapping")
        return (len(labels) / (len(classes) * counts))[places]
    by_class = dict.fromkeys(classes.tolist(), 1.0)
    for name, weight in weights.items():
        if name not in by_class:
            raise DataError(f"class weights name the class {name!r}, which no sample has")
        try:
            by_class[name] = float(weight)
        except (TypeError, ValueError):
            raise DataError(f"the weight of the class {name!r} is {weight!r}, which is no number") from None
        if not 0 <= by_class[name] < np.inf:
            raise DataError(
                f"the weight of the class {name!r} is {weight!r}; weights are finite numbers from 0"
            )
    return np.array(list(by_class.values()))[places]


def class_weighted(parts: Parts, weights: str | Mapping[Any, float] | None) -> Parts:
    """Return the parts with the training part drawn by class, besides the weights that it has.

    ``weights`` are as of :func:`class_weights`, classes by their names where they have names; a class that
    occurs in other parts alone may be among them. Scores, of all parts, are of the data as it is. Raises
    DataError as there.
    """
    if weights is None:
        return parts
    train = parts.train
    if train.classes is None or train.y.ndim != 1:
        raise DataError(
            f"--class-weight is for targets of one class each, which those of {train.name} are not"
        )
    labels = train.y[:]
    if train.class_names:
        labels = np.array(train.class_names)[labels]
    if isinstance(weights, Mapping):
        known: Sequence[Any] = train.class_names or range(train.classes)
        there = set(labels.tolist())
        weights = {name: each for name, each in weights.items() if name in there or name not in known}
    found = replace(train, often=class_weights(labels, weights))
    found.drawn()  # raises where no sample is left
    return replace(parts, train=found)


def weighted(data: Dataset, weights: Any) -> Dataset:
    """Return data whose samples count by ``weights`` ``[n]``, besides the weights that it has.

    Only the ratios of weights matter. Raises DataError for what weights cannot be.
    """
    found = checked_weights(weights, len(data), data.name)
    largest = found.max()  # the product of large weights could overflow
    return replace(data, weights=found / largest * (1.0 if data.weights is None else data.weights))
