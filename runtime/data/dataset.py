"""What every source yields: samples and targets as NumPy arrays, checked."""

from __future__ import annotations

import json
import math
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .rows import Rows, blocks

MAX_BYTES = 4 << 30
"""The most memory that one array of a source may take, in bytes."""
_SUMMED = 256 << 20
"""Up to so many bytes, rows that are made when they are asked for are all made for a checksum."""


@dataclass(frozen=True)
class Dataset:
    """Samples ``x`` of shape ``[n, *features]`` and their targets ``y`` of shape ``[n, *sites]``.

    Either may be Rows, which are made batch by batch. ``x`` is floating and finite, or holds tokens.
    ``y`` holds class numbers 0..classes-1 as integers, or finite floats; then ``classes`` is None.
    ``class_names`` gives the label that each class number had in the source, where labels were strings;
    ``columns`` names the features, where the source does, and ``levels`` has the categories of columns that
    hold such, each of which is a feature. With ``from_bytes`` the samples were bytes, and are
    now intensities, 255 as 1: a network on tokens takes the bytes. ``layout`` is one of LAYOUTS, where it is
    known how samples lie that are images, and they have not been fitted to a network yet.

    ``weights`` ``[n]`` tells how much each sample counts, in training and in scores, and ``often``, besides,
    how often it is drawn in training alone, as for its class; None: all alike. Where
    the data ``lacks`` values, they are NaN in ``x`` until they are filled in. The last ``own_test`` samples
    are the test part that the data come with, and the ``own_validation`` before them the validation part.
    ``remarks`` are sentences on what was found or left out when it was read.

    Raises DataError when the arrays are empty, differ in their number of samples, or hold anything
    that is not finite or is a negative class number; and for weights that are negative, not finite, all 0 or
    not one for each sample.
    """

    x: NDArray[Any] | Rows
    y: NDArray[Any] | Rows
    classes: int | None
    name: str
    class_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    from_bytes: bool = False
    layout: str | None = None
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: NDArray[Any] | None = None
    often: NDArray[Any] | None = None
    lacks: bool = False
    own_validation: int = 0
    own_test: int = 0
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.x.ndim == 0 or self.y.ndim == 0 or len(self.x) == 0:
            raise DataError(f"{self.name} holds no samples")
        if len(self.x) != len(self.y):
            raise DataError(
                f"{self.name} holds {len(self.x)} samples but {len(self.y)} targets; "
                "each sample needs one target"
            )
        # Rows are checked by the source that makes them: here they would be made again for every part.
        if not isinstance(self.x, Rows):
            require_finite(self.x, f"the samples of {self.name}", self.lacks)
        if self.weights is not None:
            object.__setattr__(self, "weights", checked_weights(self.weights, len(self.x), self.name))
        if isinstance(self.y, Rows):
            return
        if self.classes is None:
            require_finite(self.y, f"the targets of {self.name}")
        elif self.y.size and int(self.y.min()) < 0:
            raise DataError(f"{self.name} has the label {int(self.y.min())}; labels are numbered from 0")

    def __len__(self) -> int:
        return len(self.x)

    def take(self, indices: NDArray[Any], name: str) -> Dataset:
        """Return the samples at ``indices``, in that order, as a dataset called ``name``."""
        x, y = (each.take(indices) if isinstance(each, Rows) else each[indices] for each in (self.x, self.y))
        weights, often = (None if each is None else each[indices] for each in (self.weights, self.often))
        return replace(self, x=x, y=y, name=name, weights=weights, often=often, own_validation=0, own_test=0)

    def notes(self) -> dict[str, str]:
        """Return what else belongs to parameters trained on this, as JSON.

        That is the names of classes, and of a table the names of its features and its categories.
        """
        told = {"class_names": self.class_names, "columns": self.columns, "levels": dict(self.levels)}
        return {name: json.dumps(value) for name, value in told.items() if value}

    def counts(self) -> NDArray[np.float64]:
        """Return how much each sample counts in a score, with a mean of 1."""
        if self.weights is None:
            return np.ones(len(self))
        scaled = self.weights / self.weights.max()  # the sum of very large weights could overflow
        return np.asarray(scaled / scaled.mean())

    def drawn(self) -> NDArray[np.float64] | None:
        """Return how often samples are drawn in training, in proportion; None: all alike.

        Raises DataError where none would be.
        """
        if self.often is None:
            return self.weights
        return checked_weights(self.often * self.counts(), len(self), self.name)

    def checksum(self) -> int:
        """Return a number that tells data apart, the same of arrays and of Rows.

        Of Rows that take more than _SUMMED bytes, a thousand evenly spaced ones are looked at.
        """
        found = 0
        for each in (self.x, self.y):
            if isinstance(each, Rows) and each.size * each.dtype.itemsize > _SUMMED:
                each = each.take(np.linspace(0, len(each) - 1, 1000).astype(np.int64))
            for _, array in blocks(each):
                found = zlib.crc32(array.tobytes(), found)
        drawn = self.drawn()
        return found if drawn is None else zlib.crc32(drawn.tobytes(), found)


def require_finite(array: NDArray[Any] | Rows, what: str, lacks: bool = False) -> None:
    """Raise DataError naming the first sample with an infinity or, unless it ``lacks`` values, a NaN."""
    for start, block in blocks(array):
        finite = ~np.isinf(block) if lacks else np.isfinite(block)
        if not finite.all():
            at = np.argwhere(~finite)[0]
            value = block[tuple(at)]
            raise DataError(
                f"{what} hold {value} in sample {start + int(at[0])} (counted from 0); "
                "remove or fill in such samples"
            )


def checked_weights(weights: Any, count: int, name: str) -> NDArray[np.float64]:
    """Return the weights of ``count`` samples as float64; raises DataError for what weights cannot be."""
    try:
        found = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"the weights of {name} are no numbers") from None
    if found.shape != (count,):
        raise DataError(f"{name} has {count} samples, but weights of shape {list(found.shape)}")
    wrong = ~np.isfinite(found) | (found < 0)
    if wrong.any():
        at = int(wrong.argmax())
        raise DataError(
            f"the weight of sample {at} (counted from 0) of {name} is {found[at]:g}; weights are finite "
            "numbers from 0"
        )
    if not found.any():
        raise DataError(f"the weights of {name} are all 0, so that no sample would count")
    return found


def from_arrays(x: NDArray[Any], y: NDArray[Any], name: str) -> Dataset:
    """Return a dataset from plain arrays.

    ``x`` of type uint8 is read as intensities, 255 becoming 1; other numbers stay as they are.
    Integers and booleans in ``y`` are class numbers, strings are classes in sorted order, floats are
    numeric targets. Raises DataError for any other type and for what Dataset refuses.
    """
    from_bytes = x.dtype == np.uint8
    if from_bytes:
        check_size(x.shape, 4, f"the samples of {name}")
        samples = x.astype(np.float32)
        samples /= 255
    elif x.dtype.kind in "biu":
        check_size(x.shape, 8, f"the samples of {name}")
        samples = x.astype(np.float64)
    elif x.dtype.kind == "f":
        samples = x.astype(np.float32) if x.dtype.itemsize < 4 else x
    else:
        raise DataError(f"the samples of {name} are of type {x.dtype}; numbers are needed")
    if y.dtype.kind in "biu":
        labels = y.astype(np.int64)
        if y.dtype.kind == "u" and labels.min(initial=0) < 0:  # it did not fit
            raise DataError(f"the targets of {name} hold {y.max()}, which is too large for int64")
        return Dataset(samples, labels, int(labels.max(initial=0)) + 1, name, from_bytes=from_bytes)
    if y.dtype.kind in "US":
        return replace(_from_strings(samples, _text(y, name), name), from_bytes=from_bytes)
    if y.dtype.kind == "f":
        return Dataset(samples, y, None, name, from_bytes=from_bytes)
    raise DataError(
        f"the targets of {name} are of type {y.dtype}; class numbers, strings or floats are needed"
    )


def _text(y: NDArray[Any], name: str) -> NDArray[Any]:
    """Return labels as text; those of bytes are UTF-8, and all are characters, or refused."""
    if y.dtype.kind == "U":
        codes = np.ascontiguousarray(y, y.dtype.newbyteorder("=")).view(np.uint32)
        wrong = (codes > sys.maxunicode) | ((codes >= 0xD800) & (codes < 0xE000))
        if wrong.any():
            raise DataError(
                f"the targets of {name} hold {int(codes[wrong][0]):#x} as a character, which is none; is the "
                "file damaged?"
            )
        return y
    try:
        return np.char.decode(y, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the targets of {name} hold {bytes(error.object)[:40]!r}, which is not UTF-8; decode them first"
        ) from None


def _from_strings(x: NDArray[Any], y: NDArray[Any], name: str) -> Dataset:
    """Return a dataset whose classes are the distinct strings of ``y`` in sorted order."""
    names, numbers = np.unique(y, return_inverse=True)
    labels = numbers.reshape(y.shape).astype(np.int64)
    return Dataset(x, labels, len(names), name, tuple(str(each) for each in names))


def check_size(shape: Sequence[int], itemsize: int, what: str) -> int:
    """Return the bytes that an array of ``shape`` takes; raise DataError above MAX_BYTES."""
    size = math.prod(shape) * itemsize
    if any(extent < 0 for extent in shape) or size > MAX_BYTES:
        raise DataError(
            f"{what} would take {size / 2**30:.1f} GiB, of shape {tuple(shape)}; "
            f"the limit is {MAX_BYTES / 2**30:.0f} GiB, so use a part of the data"
        )
    return size
