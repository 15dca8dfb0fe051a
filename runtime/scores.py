"""How good a network is on data, class by class, label by label, or column by column.

Samples count by their weights, where the data has such; ``count`` and ``confusion`` are of samples.

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
from .data.rows import blocks
from .evaluate import errors, metric
from .predicting import CLASSES, LABELS, NUMBERS, decided, forward, kind, one_output
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
        kind: what is told: CLASSES, LABELS or NUMBERS, of :mod:`pjc.runtime.predicting`.
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
        counted = _Labels(_width(data.y)) if told == LABELS else _Columns(data)
    weights = data.counts()
    for first in range(0, len(data), size):
        rows = slice(first, first + size)
        output = one_output(run(params, data.x[rows]))
        y = np.asarray(data.y[rows])
        counted.add(output if told == NUMBERS else decided(output, target), y, weights[rows])
    return counted.scores(metric(program), len(data), names)


def _width(y: Any) -> int:
    """Return how many columns targets have: the entries of their last axis; of one axis all are one."""
    return int(y.shape[-1]) if y.ndim > 1 else 1


def _named(names: Sequence[str], count: int) -> list[str]:
    return list(names) if len(names) == count else [str(number) for number in range(count)]


def _part(some: float, of: float) -> float | None:
    return float(some / of) if of else None


def _each(weights: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the weights of ``count`` rows, of which every sample has equally many."""
    return np.repeat(weights, count // len(weights))


def _row(
    name: str, count: int, is_: float, told: float, right: float, accuracy: float | None = None
) -> ClassRow:
    """Return the row of a class: the weight of what is of it, of what is told to be, and of what is both."""
    f1 = _part(2 * right, is_ + told)
    return ClassRow(name, int(count), _part(right, told), _part(right, is_), f1, accuracy)


class _Classes:
    """Counts and weights of classes; counts of pairs only with ``pairs``."""

    def __init__(self, count: int, pairs: bool) -> None:
        self.count = count
        self.counts = np.zeros(count, np.int64)
        self.totals = np.zeros((3, count))
        self.pairs = np.zeros((count, count), np.int64) if pairs else None

    def add(self, found: NDArray[Any], y: NDArray[Any], weights: NDArray[Any]) -> None:
        told, is_ = found.reshape(-1), y.reshape(-1)
        weight = _each(weights, len(is_))
        self.counts += np.bincount(is_, minlength=self.count)
        for total, some, of in zip(
            self.totals, (is_, told, is_), (weight, weight, weight * (is_ == told)), strict=True
        ):
            total += np.bincount(some, weights=of, minlength=self.count)
        if self.pairs is not None:
            np.add.at(self.pairs, (is_, told), 1)

    def scores(self, metric: str, samples: int, names: Sequence[str]) -> Scores:
        is_, told, right = self.totals
        rows = tuple(map(_row, _named(names, self.count), self.counts.tolist(), is_, told, right))
        return Scores(CLASSES, metric, float(right.sum() / is_.sum()), samples, rows, confusion=self.pairs)


class _Labels:
    """Counts and weights of labels, each 0 or 1."""

    def __init__(self, count: int) -> None:
        self.counts = np.zeros(count, np.int64)
        self.totals = np.zeros((4, count))
        self.exact = self.rows = 0.0

    def add(self, found: NDArray[Any], y: NDArray[Any], weights: NDArray[Any]) -> None:
        told = found.reshape(-1, self.totals.shape[1])
        is_ = y.reshape(told.shape) > 0.5
        same, weight = told == is_, _each(weights, len(told))
        self.counts += is_.sum(0)
        for total, some in zip(self.totals, (is_, told, is_ & told, same), strict=True):
            total += weight @ some
        self.exact += float(weight @ same.all(1))
        self.rows += float(weight.sum())

    def scores(self, metric: str, samples: int, names: Sequence[str]) -> Scores:
        is_, told, right, same = self.totals
        named = _named(names, len(is_))
        rows = tuple(map(_row, named, self.counts.tolist(), is_, told, right, (same / self.rows).tolist()))
        return Scores(
            LABELS, metric, float(same.mean() / self.rows), samples, rows, exact=self.exact / self.rows
        )


class _Columns:
    """Sums of errors by column, and those of the mean of all targets."""

    def __init__(self, data: Dataset) -> None:
        self.width = _width(data.y)
        self.mean = np.asarray(Moments.of(data.y).mean).reshape(-1, self.width).mean(0)
        if data.weights is not None:
            self.mean = self.mean + self._away(data)
        self.sums = np.zeros((3, self.width))
        self.rows = 0.0

    def _away(self, data: Dataset) -> NDArray[Any]:
        """Return how far the weighted mean of the targets is from their plain one."""
        weights, total, rows = data.counts(), np.zeros(self.width), 0.0
        for first, y in blocks(data.y):
            away = y.reshape(-1, self.width).astype(np.float64) - self.mean
            weight = _each(weights[first : first + len(y)], len(away))
            total += weight @ away
            rows += float(weight.sum())
        return np.asarray(total / rows)

    def add(self, found: NDArray[Any], y: NDArray[Any], weights: NDArray[Any]) -> None:
        off = errors(found, y).reshape(-1, self.width)
        away = y.reshape(off.shape).astype(np.float64) - self.mean
        weight = _each(weights, len(off))
        self.sums += weight @ np.square(off), weight @ np.abs(off), weight @ np.square(away)
        self.rows += float(weight.sum())

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
        return Scores(NUMBERS, metric, math.sqrt(squares.mean() / self.rows), samples, rows, r2=mean)
