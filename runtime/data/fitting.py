"""Brings data into the shapes and types of a network's input and target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .errors import DataError
from .layouts import layout_between, layout_of, order_from, stored_shape
from .normalize import Moments
from .parts import Parts
from .rows import Rows, blocks
from .tables import described, releveled


class Spec(Protocol):
    """What is asked of an array: a name, a shape with the batch first, a number of classes, and so on.

    ``channels`` is the axis that counts channels, the first after the batch or the last, where it is known.
    """

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def classes(self) -> int | None: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def channels(self) -> int | None: ...


def fit(data: Dataset, source: Spec, target: Spec, lacks: bool = False, wide: bool = False) -> Dataset:
    """Return ``data`` with ``x`` and ``y`` as the network declares them, sample by sample.

    A sample is reshaped where its number of entries agrees, and transposed where it has its channels last and
    the input first, or the other way: as ``data.layout`` says, or else the shapes. ``x`` gets the input's
    element type, class targets int32; for a target of classes, rows of 0 with a single 1 are the
    classes where the 1 is. Where ``target`` is ``source`` the samples are their own targets. Values may be
    missing only with ``lacks``. With ``wide`` numbers stay in a type that holds more than the network's, for
    what is yet to be normalized or measured: a time in seconds since 1970, rounded to float32, is known to
    two minutes. Raises DataError when entries, kind, indices or labels do not fit.
    """
    if data.lacks and not lacks:
        raise DataError(f"the samples of {data.name} lack values; fill them in first")
    if data.lacks and is_integer(source):
        raise DataError(
            f"{source.name!r} takes the numbers of rows, and {data.name} lacks values, for which a mean "
            "cannot stand; --missing drop leaves out such rows"
        )
    _require_features(data, source)
    x = _cast(data.x, source, None, f"a sample of {data.name}", data.layout)
    data = replace(data, layout=None)
    if data.from_bytes and is_integer(source):
        x = _bytes(x)
    data = replace(data, from_bytes=False) if is_integer(source) else data
    # Rows of integers are those of a text, which were counted, or have been here before.
    if is_integer(source) and not (isinstance(x, Rows) and x.dtype.kind in "iu"):
        for _, block in blocks(x):
            _check_indices(block, source, data.name)
    typed = _widened if wide else _narrowed
    x = typed(x, source, f"the samples of {data.name}")
    if target is source:
        # What lacks values is fitted again once they are filled in.
        own = np.zeros(len(x), np.float32) if data.lacks else x
        return replace(data, x=x, y=own, classes=None, class_names=())
    what = f"a target of {data.name}"
    if target.classes is None:
        _require_numbers(data, target)
        numbers = typed(_cast(data.y, target, None, what), target, f"the targets of {data.name}")
        return replace(data, x=x, y=numbers, classes=None)
    y = _cast(_classes(data.y, target, data.name), target, None, what)
    if isinstance(y, Rows):  # only of a text, whose classes were counted
        return replace(data, x=x, y=y, classes=target.classes)
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
    data = releveled(data, reference.columns, reference.levels, reference.name)
    if data.class_names == reference.class_names:
        return data
    if not reference.class_names:
        raise DataError(
            f"{data.name} has the class {data.class_names[0]!r}, but {reference.name} has class numbers"
        )
    return numbered(data, reference.class_names, f"but {reference.name} has the classes")


def numbered(data: Dataset, names: Sequence[str], wrong: str) -> Dataset:
    """Return ``data`` with each class numbered by the place of its name in ``names``.

    A column of which all names are numbers is read as numbers, which are their own names here. Raises
    DataError for a class that is not among ``names``, which follow ``wrong`` in the message.
    """
    number = {name: index for index, name in enumerate(names)}
    own = data.class_names or tuple(str(each) for each in range(data.classes or 0))
    y = np.asarray(data.y[:])
    places = np.array([number.get(name, -1) for name in own], np.int64)
    found = places[y] if len(own) else np.full(y.shape, -1)
    if found.min() < 0:
        at = y[found < 0].flat[0]
        listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        unknown = repr(own[int(at)] if len(own) else f"{at:g}")
        raise DataError(f"{data.name} has the class {unknown}, {wrong} {listed}")
    return replace(data, y=found, classes=len(names), class_names=tuple(names))


def _require_numbers(data: Dataset, target: Spec) -> None:
    """Raise DataError where targets are names, which have no size; two may stand for 0 and 1."""
    if data.class_names and not (target.threshold is not None and len(data.class_names) <= 2):
        shown = ", ".join(repr(each[:40]) for each in data.class_names[:3])
        raise DataError(
            f"the targets of {data.name} are text, as {shown}, and {target.name!r} of the network takes "
            f"numbers; declare a class, as in target {target.name}: class[batch, {len(data.class_names)}], "
            "or write the targets as numbers"
        )


def _require_features(data: Dataset, source: Spec) -> None:
    """Raise DataError where a table has another number of features than the network takes."""
    taken = math.prod(source.shape[1:])
    if data.columns and len(data.columns) == math.prod(data.x.shape[1:]) != taken:
        raise DataError(
            f"{described(data)}; but {source.name!r} of the network takes {_show(source.shape[1:])}, {taken} "
            "entries"
        )


def _classes(y: NDArray[Any] | Rows, target: Spec, name: str) -> NDArray[Any] | Rows:
    """Return targets with the classes that one-hot rows stand for, where they have an axis more for that."""
    sites, classes = tuple(target.shape[1:]), target.classes or 0
    one_hot = (*_long(sites), classes)
    if isinstance(y, Rows) or classes < 2 or (*_long(y.shape[1:-1]), *y.shape[-1:]) != one_hot or y.ndim < 2:
        return y
    right = ((y == 0) | (y == 1)).all(axis=-1) & (y.sum(axis=-1) == 1)
    if not right.all():
        at = int(np.argwhere(~right)[0][0])
        raise DataError(
            f"{target.name!r} is a class of {classes}, so that targets of {name} with as many entries are "
            f"one-hot: all 0 but a single 1; that of sample {at} (counted from 0) is not"
        )
    found: NDArray[Any] = y.argmax(axis=-1)
    return found


def is_integer(spec: Spec) -> bool:
    """Return whether a network's tensor holds integers, as tokens do."""
    return element_type(spec).kind in "iu"


def element_type(spec: Spec) -> np.dtype[Any]:
    """Return the NumPy type of a spec, which may name it as the language does (f32)."""
    names = {"f32": "float32", "f64": "float64", "i32": "int32"}
    return np.dtype(names.get(spec.dtype, spec.dtype) if isinstance(spec.dtype, str) else spec.dtype)


def _cast(
    array: NDArray[Any] | Rows,
    spec: Spec,
    dtype: np.dtype[Any] | None,
    what: str,
    layout: str | None = None,
) -> NDArray[Any] | Rows:
    """Return ``array`` with the spec's shape of a sample, and of type ``dtype`` if one is given.

    Samples are in ``layout``; None: in the spec's own, or in the other one where their shape says so.
    """
    found, expected = array.shape[1:], tuple(spec.shape[1:])
    dtype = array.dtype if dtype is None else dtype
    if math.prod(found) != math.prod(expected):
        raise DataError(
            f"{what} has shape {_show(found)}, {math.prod(found)} entries, but {spec.name!r} of the "
            f"network takes {_show(expected)}, {math.prod(expected)} entries"
        )
    stored, axes = _way(found, spec, layout, what)

    def cast(rows: NDArray[Any]) -> NDArray[Any]:
        given = rows.reshape(len(rows), *stored)
        moved = given if axes is None else given.transpose(0, *(axis + 1 for axis in axes))
        return moved.astype(dtype, copy=False)

    if not isinstance(array, Rows):
        return cast(array)
    unchanged = (found, array.dtype, axes) == (expected, dtype, None)
    return array if unchanged else array.map(cast, expected, dtype)


def _way(
    found: tuple[int, ...], spec: Spec, layout: str | None, what: str
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the shape that a sample is given, and the order of its axes then; None where they stay.

    Reshaping to the same sizes in another order would scramble the entries: it is done only where axes of
    size 1 alone change places. Of a known layout, only flat samples are given other axes.
    """
    expected, own = tuple(spec.shape[1:]), layout_of(spec.channels)
    layout = layout if own is not None else None
    if layout is None and _reordered(found, expected):
        layout = layout_between(found, expected, spec.channels)
        if layout is not None:
            return found, order_from(layout, len(found))
    stored = stored_shape(expected, spec.channels, layout)
    is_other = len(found) > 1 and _long(found) != _long(stored)
    if _reordered(found, stored) or (layout is not None and is_other):
        said = "" if layout is None else f" where the data are {layout}"
        raise DataError(
            f"{what} has shape {_show(found)}, but {spec.name!r} of the network takes {_show(stored)}{said}: "
            "the same number of entries, in another order; transpose the data"
        )
    return stored, order_from(layout, len(stored)) if layout not in (None, own) else None


def _reordered(found: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Return whether axes have changed places, and not those of size 1 alone."""
    long, wanted = _long(found), _long(expected)
    return len(found) == len(expected) > 1 and long != wanted and sorted(long) == sorted(wanted)


def _long(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size > 1]


def _bytes(x: NDArray[Any] | Rows) -> NDArray[Any] | Rows:
    """Return the bytes that intensities were."""

    def back(block: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = np.rint(block * 255).astype(np.int32)
        return found

    return x.map(back, x.shape[1:], np.int32) if isinstance(x, Rows) else back(x)


def _narrowed(array: NDArray[Any] | Rows, spec: Spec, what: str) -> NDArray[Any] | Rows:
    """Return ``array`` in the spec's type; raise DataError for a number that is too large for it."""
    dtype = element_type(spec)
    if array.dtype.kind == "f" and dtype.kind == "f" and array.dtype.itemsize > dtype.itemsize:
        largest = np.finfo(dtype).max
        for start, block in blocks(array):
            over = np.abs(block) > largest
            if over.any():
                at = tuple(np.argwhere(over)[0])
                raise DataError(
                    f"{what} hold {block[at]:g} in sample {start + int(at[0])} (counted from 0), which is "
                    f"too large for {dtype}; bring them to a smaller scale"
                )
    return _cast(array, spec, dtype, "")


def _widened(array: NDArray[Any] | Rows, spec: Spec, what: str) -> NDArray[Any] | Rows:
    """Return ``array`` in the spec's type, or in its own where that holds more."""
    dtype = element_type(spec)
    if dtype.kind == "f":
        return _cast(array, spec, np.promote_types(array.dtype, dtype), "")
    return _narrowed(array, spec, what)


def narrowed(parts: Parts, source: Spec, target: Spec) -> Parts:
    """Return parts that were fitted ``wide`` with samples of the network's type.

    Raises DataError for numbers that it does not hold, and for targets to learn that it does not tell apart.
    """
    if target is not source:
        _require_told_apart(parts.train, target)
    return parts.each(lambda data: replace(data, x=_narrowed(data.x, source, f"the samples of {data.name}")))


ROUNDED = 0.01
"""How much of their standard deviation targets may be rounded by in a network's type."""


def _require_told_apart(data: Dataset, target: Spec) -> None:
    """Raise DataError where numbers to learn vary by less than the network's type can tell apart."""
    dtype, y = element_type(target), np.asarray(data.y[:])
    if target.classes is not None or y.dtype.kind != "f" or y.dtype.itemsize <= dtype.itemsize:
        return
    columns = y.reshape(len(y), -1)
    mean, spread = Moments.of(columns)
    rounding = np.abs(mean) * np.finfo(dtype).eps
    wrong = (rounding > ROUNDED * spread) & (np.ptp(columns, axis=0) > 0)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"the targets of {data.name} vary by {spread[at]:.3g} around {mean[at]:.9g}, where numbers of "
            f"{dtype} are {rounding[at]:.2g} apart; take {mean[at]:.9g} off all of them"
        )


def _show(shape: Sequence[int]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
