"""Brings data into the shapes and types of a network's input and target."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .dataset import DataError, Dataset


class Spec(Protocol):
    """What is asked of an array: a name, a shape with the batch first, and a number of classes."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def classes(self) -> int | None: ...


def fit(data: Dataset, source: Spec, target: Spec) -> Dataset:
    """Return ``data`` with ``x`` and ``y`` as the network declares them, sample by sample.

    A sample is reshaped where its number of entries agrees. ``x`` gets the input's element type,
    class targets int32. Raises DataError when entries, kind, indices or labels do not fit.
    """
    x = _reshape(data.x, source, f"a sample of {data.name}")
    if _dtype(source).kind == "i":
        _check_indices(x, source, data.name)
    x = x.astype(_dtype(source), copy=False)
    y = _reshape(data.y, target, f"a target of {data.name}")
    if target.classes is None:
        return replace(data, x=x, y=y.astype(_dtype(target)), classes=None)
    if data.classes is None and not np.array_equal(y, np.floor(y)):
        raise DataError(
            f"{target.name!r} is a class, but the targets of {data.name} are numbers with fractions"
        )
    low, high = y.min(), y.max()
    if low < 0 or high >= target.classes:
        raise DataError(
            f"the labels of {data.name} run from {low:g} to {high:g}, but {target.name!r} has the "
            f"classes 0 to {target.classes - 1}"
        )
    return replace(data, x=x, y=y.astype(np.int32), classes=target.classes)


def _check_indices(x: NDArray[Any], source: Spec, name: str) -> None:
    """Raise DataError unless ``x`` holds numbers of rows that every table has which they index."""
    if x.dtype.kind == "f" and not np.array_equal(x, np.floor(x)):
        raise DataError(
            f"{source.name!r} takes the numbers of rows, but the samples of {name} have fractions; "
            "are they normalized?"
        )
    low, high = x.min(), x.max()
    if low < 0 or (source.classes is not None and high >= source.classes):
        end = "up" if source.classes is None else f"to {source.classes - 1}"
        raise DataError(
            f"the samples of {name} run from {low:g} to {high:g}, but {source.name!r} takes the numbers "
            f"of rows from 0 {end}"
        )


def match(data: Dataset, reference: Dataset) -> Dataset:
    """Return ``data`` with its classes numbered as in ``reference``, where both name them.

    Raises DataError when ``data`` has classes or columns that ``reference`` does not have.
    """
    if data.columns != reference.columns:
        raise DataError(f"the columns of {data.name} are not those of {reference.name}, in the same order")
    if data.class_names == reference.class_names:
        return data
    number = {name: index for index, name in enumerate(reference.class_names)}
    unknown = [name for name in data.class_names if name not in number]
    if unknown or not data.class_names:
        found = f"the class {unknown[0]!r}" if unknown else "class numbers"
        raise DataError(
            f"{data.name} has {found}, but {reference.name} has "
            + (f"the classes {', '.join(reference.class_names[:12])}" if number else "class numbers")
        )
    table = np.array([number[name] for name in data.class_names])
    y, names = table[data.y], reference.class_names
    return replace(data, y=y, classes=len(names), class_names=names)


def _dtype(spec: Spec) -> np.dtype[Any]:
    """Return the NumPy type of a spec, which may name it as the language does (f32)."""
    names = {"f32": "float32", "f64": "float64", "i32": "int32"}
    return np.dtype(names.get(spec.dtype, spec.dtype) if isinstance(spec.dtype, str) else spec.dtype)


def _reshape(array: NDArray[Any], spec: Spec, what: str) -> NDArray[Any]:
    found, expected = array.shape[1:], tuple(spec.shape[1:])
    if math.prod(found) != math.prod(expected):
        raise DataError(
            f"{what} has shape {_show(found)}, {math.prod(found)} entries, but {spec.name!r} of the "
            f"network takes {_show(expected)}, {math.prod(expected)} entries"
        )
    return array.reshape(len(array), *expected)


def _show(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


@dataclass(frozen=True)
class Standardize:
    """Shifts and scales each feature to mean 0 and variance 1, as measured on the training part.

    Features that do not vary there are only shifted.
    """

    mean: NDArray[Any]
    scale: NDArray[Any]

    @staticmethod
    def measure(data: Dataset) -> Standardize:
        """Return the transformation for which ``data.x`` has mean 0 and variance 1.

        Raises DataError where the samples are indices.
        """
        if data.x.dtype.kind == "i":
            raise DataError(f"the samples of {data.name} are numbers of rows; leave out --normalize")
        deviation = data.x.std(axis=0, dtype=np.float64)
        scale = np.where(deviation > 0, deviation, 1.0)
        return Standardize(data.x.mean(axis=0, dtype=np.float64), scale)

    def __call__(self, data: Dataset) -> Dataset:
        """Return ``data`` transformed; raises DataError if its features have another shape."""
        if data.x.shape[1:] != self.mean.shape:
            raise DataError(
                f"a sample of {data.name} has shape {_show(data.x.shape[1:])}, in training it was "
                f"{_show(self.mean.shape)}"
            )
        return replace(data, x=((data.x - self.mean) / self.scale).astype(data.x.dtype))

    def notes(self) -> dict[str, str]:
        """Return the numbers as JSON, to be kept beside the parameters that rely on them."""
        return {"mean": json.dumps(self.mean.tolist()), "scale": json.dumps(self.scale.tolist())}
