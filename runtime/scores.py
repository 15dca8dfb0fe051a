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
from .data.rows import blocks
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
        data: samples as the network was trained on them, with their targets; samples that have weights count
            by these, but in how many there are of a class, a label or a pair.
        names: of classes, labels or columns, in their order; numbers where there are not as many.
        confusion: whether to count every pair of classes, up to MAX_CONFUSION of them.

    Raises:
        TrainError: if the program has not one input and one output, or takes no batch.
        DataError: where the data does not fit the program.
    """
    source, target = specs(program)
    data = fit(data, source, target)
    run, size = forward(program), batch_size(program)
    weights = np.ones(len(data)) if data.weights is None else data.weights / data.weights.mean()
    counted: _Classes | _Labels | _Columns
    told = kind(target)
    if told == CLASSES:
        count = target.classes or 0
        counted = _Classes(count, confusion and count <= MAX_CONFUSION)
    else:
        counted = _Labels(_width(data.y)) if told == LABELS else _Columns(data.y, weights)
    for first in range(0, len(data), size):
        output = one_output(run(params, data.x[first : first + size]))
        y = np.asarray(data.y[first : first + size])
        found = output if told not in (CLASSES, LABELS) else decided(output, target)
        counted.add(found, y, weights[first : first + size])
    return counted.scores(metric(program), len(data), names)


def _width(y: Any) -> int:
    """Return how many columns targets have: the entries of their last axis; of one axis all are one."""
    return int(y.shape[-1]) if y.ndim > 1 else 1


def _named(names: Sequence[str], count: int) -> list[str]:
    return list(names) if len(names) == count else [str(number) for number in range(count)]


def _part(some: float, of: float) -> float | None:
    return float(some / of) if of else None


def _spread(weights: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the weights of samples for ``count`` entries, of which each sample has equally many."""
    return np.repeat(weights, count // len(weights))


@dataclass(frozen=True)
class _Counts:
    """Of each class or label: how many there are, and the weights of those there, told, and both."""

    count: NDArray[np.int64]
    is_: NDArray[Any]
    told: NDArray[Any]
    right: NDArray[Any]

    def row(self, at: int, name: str, accuracy: float | None = None) -> ClassRow:
        """Return what is said of one."""
        is_, told, right = (float(each[at]) for each in (self.is_, self.told, self.right))
        f1 = _part(2 * right, is_ + told)
        return ClassRow(name, int(self.count[at]), _part(right, told), _part(right, is_), f1, accuracy)


class _Classes:
    """Counts of classes; those of pairs only with ``pairs``."""

    def __init__(self, count: int, pairs: bool) -> None:
        self.count = count
        self.totals = np.zeros((3, count))
        self.counts = np.zeros(count, np.int64)
        self.pairs = np.zeros((count, count), np.int64) if pairs else None

    def add(self, found: NDArray[Any], y: NDArray[Any], weights: NDArray[Any]) -> None:
        told, is_, weights = found.reshape(-1), y.reshape(-1), _spread(weights, y.size)
        same = is_ == told
        counted = ((is_, weights), (told, weights), (is_[same], weights[same]))
        for total, (some, weight) in zip(self.totals, counted, strict=True):
            total += np.bincount(some, weight, self.count)
        self.counts += np.bincount(is_, minlength=self.count)
        if self.pairs is not None:
            np.add.at(self.pairs, (is_, told), 1)

    def scores(self, metric: str, samples: int, names: Sequence[str]) -> Scores:
        is_, told, right = self.totals
        counts = _Counts(self.counts, is_, told, right)
        rows = tuple(counts.row(at, name) for at, name in enumerate(_named(names, self.count)))
        return Scores(CLASSES, metric, float(right.sum() / is_.sum()), samples, rows, confusion=self.pairs)


class _Labels:
    """Counts of labels, each 0 or 1."""

    def __init__(self, count: int) -> None:
        self.totals = np.zeros((4, count))
        self.counts = np.zeros(count, np.int64)
        self.exact = self.weight = 0.0

    def add(self, found: NDArray[Any], y: NDArray[Any], weights: NDArray[Any]) -> None:
        told = found.reshape(-1, self.totals.shape[1])
        is_ = y.reshape(told.shape) > 0.5
        same, weights = told == is_, _spread(weights, len(told))
        for total, some in zip(self.totals, (is_, told, is_ & told, same), strict=True):
            total += weights @ some
        self.counts += is_.sum(0)
        self.exact += float(weights @ same.all(1))
        self.weight += float(weights.sum())

    def scores(self, metric: str, samples: int, names: Sequence[str]) -> Scores:
        is_, told, right, same = self.totals
        counts, parts = _Counts(self.counts, is_, told, right), (same / self.weight).tolist()
        rows = tuple(counts.row(at, name, parts[at]) for at, name in enumerate(_named(names, len(is_))))
        value, exact = float(same.mean() / self.weight), self.exact / self.weight
        return Scores(LABELS, metric, value, samples, rows, exact=exact)


class _Columns:
    """Sums of errors by column, and those of the mean of all targets ``y``, which is of ``weights`` too."""

    def __init__(self, y: Any, weights: NDArray[Any]) -> None:
        self.width = _width(y)
        mean = sum(weights[at : at + len(block)] @ block.reshape(len(block), -1) for at, block in blocks(y))
        self.mean = (np.asarray(mean, np.float64) / weights.sum()).reshape(-1, self.width).mean(0)
        self.sums = np.zeros((3, self.width))
        self.rows = 0.0

    def add(self, found: NDArray[Any], y: NDArray[Any], weights: NDArray[Any]) -> None:
        off = errors(found, y).reshape(-1, self.width)
        away = y.reshape(off.shape).astype(np.float64) - self.mean
        weights = _spread(weights, len(off))
        self.sums += weights @ np.square(off), weights @ np.abs(off), weights @ np.square(away)
        self.rows += float(weights.sum())

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
