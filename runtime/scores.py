"""How good a network is on data, class by class, label by label, or column by column.

>>> found = scores(program, params, test)                                            # doctest: +SKIP
>>> found.value, found.rows[0].recall                                                # doctest: +SKIP
(0.961, 0.99)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.dataset import Dataset
from .data.fitting import fit
from .data.normalize import Moments
from .evaluate import errors, metric
from .predicting import CLASSES, LABELS, decided, forward, kind, one_output
from .trainable import Trainable, batch_size, specs

MAX_CONFUSION = 1000
"""The most classes of which every pair is counted."""


@dataclass(frozen=True)
class ClassRow:
    """How a class, or a label, is told: of ``count`` that are of it; None where nothing is to be divided.

    ``precision`` is the part of those told to be of it that are, ``recall`` the part of those that are of it
    that are told so, ``f1`` their harmonic mean. ``accuracy``, of labels alone, is the part told right.
    """

    name: str
    count: int
    precision: float | None
    recall: float | None
    f1: float | None
    accuracy: float | None = None


@dataclass(frozen=True)
class ColumnRow:
    """How a column of numbers is met: root mean square and mean absolute error, and R2.

    R2 is 1 less the squared errors over those of the mean of the targets; None where those do not vary.
    """

    name: str
    rms: float
    mean_absolute: float
    r2: float | None


@dataclass(frozen=True)
class Scores:
    """How good a network is on data.

    Attributes:
        kind: what is told: "classes", "labels" or "numbers".
        metric: what ``value`` is: "accuracy" or "rms error"; the same number that training tells.
        samples: how many samples there were.
        rows: one for each class, label or column.
        exact: the part of the samples whose labels are all right; None unless labels are told.
        r2: the mean of that of the columns which vary; None unless numbers are told.
        confusion: ``[class that it is, class that was told]``, counts; None unless asked for.
    """

    kind: str
    metric: str
    value: float
    samples: int
    rows: tuple[ClassRow, ...] | tuple[ColumnRow, ...]
    exact: float | None = None
    r2: float | None = None
    confusion: NDArray[np.int64] | None = None

    def record(self) -> dict[str, Any]:
        """Return the scores as JSON holds them; what does not apply is left out."""
        found = asdict(self) | {"rows": [_present(asdict(row)) for row in self.rows]}
        if self.confusion is not None:
            found["confusion"] = self.confusion.tolist()
        return {name: value for name, value in found.items() if value is not None}


def _present(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without the accuracy that classes have not; other Nones say that nothing is known."""
    return {name: value for name, value in row.items() if name != "accuracy" or value is not None}


def scores(
    program: Trainable,
    params: Mapping[str, Any],
    data: Dataset,
    names: Sequence[str] = (),
    confusion: bool = False,
) -> Scores:
    """Return how good the network is on ``data``.

    Args:
        program: with one input, one output, and at most one target.
        params: as ``Program.init`` gives them.
        data: samples as the network was trained on them, with their targets.
        names: of classes, labels or columns, in their order; numbers where there are not as many.
        confusion: whether to count every pair of classes, up to MAX_CONFUSION of them.

    Raises:
        TrainError: if the program has not one input and one output, or takes no batch.
        DataError: where the data does not fit the program.
    """
    source, target = specs(program)
    data = fit(data, source, target)
    run, size = forward(program), batch_size(program)
    counted: _Classes | _Labels | _Columns
    told = kind(target)
    if told == CLASSES:
        count = target.classes or 0
        counted = _Classes(count, confusion and count <= MAX_CONFUSION)
    else:
        counted = _Labels(_width(data.y)) if told == LABELS else _Columns(data.y)
    for first in range(0, len(data), size):
        output = one_output(run(params, data.x[first : first + size]))
        y = np.asarray(data.y[first : first + size])
        counted.add(output if told not in (CLASSES, LABELS) else decided(output, target), y)
    return counted.scores(metric(program), len(data), names)


def _width(y: Any) -> int:
    """Return how many columns targets have: the entries of their last axis; of one axis all are one."""
    return int(y.shape[-1]) if y.ndim > 1 else 1


def _named(names: Sequence[str], count: int) -> list[str]:
    return list(names) if len(names) == count else [str(number) for number in range(count)]


def _part(some: float, of: float) -> float | None:
    return float(some / of) if of else None


def _row(name: str, is_: int, told: int, right: int, accuracy: float | None = None) -> ClassRow:
    """Return the row of a class: how often it is there, how often told, and how often both."""
    f1 = _part(2 * right, is_ + told)
    return ClassRow(name, int(is_), _part(right, told), _part(right, is_), f1, accuracy)


class _Classes:
    """Counts of classes; those of pairs only with ``pairs``."""

    def __init__(self, count: int, pairs: bool) -> None:
        self.count = count
        self.totals = np.zeros((3, count), np.int64)
        self.pairs = np.zeros((count, count), np.int64) if pairs else None

    def add(self, found: NDArray[Any], y: NDArray[Any]) -> None:
        told, is_ = found.reshape(-1), y.reshape(-1)
        for total, some in zip(self.totals, (is_, told, is_[is_ == told]), strict=True):
            total += np.bincount(some, minlength=self.count)
        if self.pairs is not None:
            np.add.at(self.pairs, (is_, told), 1)

    def scores(self, metric: str, samples: int, names: Sequence[str]) -> Scores:
        is_, told, right = self.totals
        rows = tuple(map(_row, _named(names, self.count), is_, told, right))
        return Scores(CLASSES, metric, float(right.sum() / is_.sum()), samples, rows, confusion=self.pairs)


class _Labels:
    """Counts of labels, each 0 or 1."""

    def __init__(self, count: int) -> None:
        self.totals = np.zeros((4, count), np.int64)
        self.exact = self.rows = 0

    def add(self, found: NDArray[Any], y: NDArray[Any]) -> None:
        told = found.reshape(-1, self.totals.shape[1])
        is_ = y.reshape(told.shape) > 0.5
        same = told == is_
        for total, some in zip(self.totals, (is_, told, is_ & told, same), strict=True):
            total += some.sum(0)
        self.exact += int(same.all(1).sum())
        self.rows += len(same)

    def scores(self, metric: str, samples: int, names: Sequence[str]) -> Scores:
        is_, told, right, same = self.totals
        named = _named(names, len(is_))
        rows = tuple(map(_row, named, is_, told, right, (same / self.rows).tolist()))
        return Scores(
            LABELS, metric, float(same.mean() / self.rows), samples, rows, exact=self.exact / self.rows
        )


class _Columns:
    """Sums of errors by column, and those of the mean of all targets ``y``."""

    def __init__(self, y: Any) -> None:
        self.width = _width(y)
        mean = Moments.of(y).mean
        self.mean = np.asarray(mean).reshape(-1, self.width).mean(0)
        self.sums = np.zeros((3, self.width))
        self.rows = 0

    def add(self, found: NDArray[Any], y: NDArray[Any]) -> None:
        off = errors(found, y).reshape(-1, self.width)
        away = y.reshape(off.shape).astype(np.float64) - self.mean
        self.sums += np.square(off).sum(0), np.abs(off).sum(0), np.square(away).sum(0)
        self.rows += len(off)

    def scores(self, metric: str, samples: int, names: Sequence[str]) -> Scores:
        squares, absolute, around = self.sums
        # What is left of equal numbers around their mean is rounding.
        varies = around > 1e-24 * self.rows * np.square(self.mean)
        both = zip(squares.tolist(), around.tolist(), varies, strict=True)
        r2 = [1 - one / all_ if some else None for one, all_, some in both]
        rows = tuple(
            ColumnRow(name, math.sqrt(one / self.rows), float(other / self.rows), each)
            for name, one, other, each in zip(_named(names, self.width), squares, absolute, r2, strict=True)
        )
        known = [each for each in r2 if each is not None]
        mean = sum(known) / len(known) if known else None
        return Scores("numbers", metric, math.sqrt(squares.mean() / self.rows), samples, rows, r2=mean)
