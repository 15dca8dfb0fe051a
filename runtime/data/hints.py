"""What a person should hear of the data before training starts, each with what to try."""

from __future__ import annotations

import math

import numpy as np

from .dataset import Dataset
from .normalize import Moments, spans, uneven
from .tables import columns_of, feature_names

_PIXELS = 255
"""The largest value of a pixel of a byte."""
_LOOKED_AT = 1000
"""How many samples are looked at for what all of them show."""
_MANY = 16
"""How many features samples have at least that may be images."""
_FAR = 10.0
"""How far from 1, as a factor, a deviation of targets may be before it is told of."""
_LISTED = 8


def hints(data: Dataset, normalize: str) -> list[str]:
    """Return sentences on the samples to train on, and their labels.

    ``normalize`` is the kind of normalization that was asked for.
    """
    found = [_constant(data), _one_class(data)]
    if normalize == "none":
        found.append(_pixels(data) or uneven(data))
    return [each for each in found if each is not None]


def target_hint(data: Dataset, standardized: bool, advice: str | None = None) -> str | None:
    """Return a sentence where targets of numbers do not vary, or far more or less than 1 in training.

    Args:
        data: what is trained on.
        standardized: whether training sees the targets at a deviation of 1.
        advice: what brings them to that; None for the general advice.
    """
    if data.classes is not None or data.y.dtype.kind != "f":
        return None
    y = np.asarray(data.y[:], np.float64).reshape(len(data), -1)
    if len(data) > 1 and np.ptp(y) == 0:
        return (
            f"all targets of {data.name} are {y.flat[0]:.4g}, so there is nothing to learn; look at --target"
        )
    spread = float(np.max(np.where(np.ptp(y, axis=0) > 0, Moments.of(y).spread, 0)))
    if standardized or spread == 0 or 1 / _FAR <= spread <= _FAR:
        return None
    taken = f"the targets of {data.name} vary by {spread:.2g}, and training takes them as they are"
    return f"{taken}; {advice or f'divide them by {spread:.2g}'}"


def _constant(data: Dataset) -> str | None:
    """Return a sentence of the columns of a table in which all samples have the same number."""
    if not data.columns or data.x.dtype.kind != "f":
        return None
    if math.prod(data.x.shape[1:]) != len(data.columns) or len(data) < 2:
        return None
    constant = {data.columns[at] for at in np.flatnonzero(spans(data)[1] == 0)}
    # Of categories the column is left out, which needs all of its features to be constant.
    names = [
        repr(column)
        for column in columns_of(data.columns, data.levels)
        if constant.issuperset(feature_names([column], data.levels))
    ]
    if not names:
        return None
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if names[_LISTED:] else "")
    return f"the same in every sample to train on: {listed}; leave such columns out, they tell nothing"


def _one_class(data: Dataset) -> str | None:
    """Return a sentence where all samples are of one class."""
    if data.classes is None or data.y.dtype.kind not in "iu" or len(data) < 2:
        return None
    y = np.asarray(data.y[:])
    if y.size == 0 or y.min() != y.max():
        return None
    label = int(y.min())
    name = repr(data.class_names[label]) if data.class_names else str(label)
    return f"all samples to train on are of class {name}, so there is nothing to learn; look at --target"


def _pixels(data: Dataset) -> str | None:
    """Return a sentence where samples look like images of bytes that nobody has brought to 0..1."""
    if data.x.dtype.kind != "f":
        return None
    few = np.linspace(0, len(data) - 1, min(len(data), _LOOKED_AT)).astype(np.int64)
    x = np.asarray(data.x[few])
    if x[0].size < _MANY or x.min() < 0 or not _PIXELS / 2 < x.max() <= _PIXELS:
        return None
    return (
        f"the samples of {data.name} run from {x.min():.4g} to {x.max():.4g}, as pixels do; --normalize unit "
        "brings them to 0..1, and mostly learns better"
    )
