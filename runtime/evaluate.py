"""How good a network is on data.

>>> evaluate(program, result.params, test)                          # doctest: +SKIP
0.961
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .data.dataset import Dataset
from .data.fitting import Spec, fit
from .distributed import ALONE, Share
from .predicting import NUMBERS, decided, kind, one_output
from .trainable import Trainable, batch_size, specs

_QUEUED = 16
"""How many chunks may wait for the device: they are held in memory."""

Score = Callable[[Mapping[str, Any], Dataset], float]
"""(params, data) -> the score of the network."""


def metric(program: Trainable) -> str:
    """Return what the score is called: "accuracy", or "rms error" for numeric targets."""
    return "rms error" if kind(specs(program)[1]) == NUMBERS else "accuracy"


def evaluate(program: Trainable, params: Mapping[str, Any], data: Dataset, share: Share = ALONE) -> float:
    """Return the accuracy (or root mean square error) of the network on ``data``; see :func:`evaluator`."""
    return evaluator(program, share)(params, data)


def evaluator(program: Trainable, share: Share = ALONE) -> Score:
    """Return a function that scores the network, compiled once.

    The score is the accuracy: the fraction of sites where the largest logit is the label's, or of labels that
    are told right where there are several; for numeric targets it is the root mean square error. Samples
    count by their weights, where the data has such, and are run in chunks of ``program.batch``, of which
    several processes take turns: all call the function.

    Raises:
        TrainError: if the program has not one input, at most one target and one output, or takes no batch.
        DataError: from the function, where the data does not fit the program.
    """
    source, target = specs(program)
    size, numeric = batch_size(program), metric(program) != "accuracy"

    @jax.jit
    def chunk(params: Mapping[str, Any], x: Any, y: Any) -> Any:
        """Return for each sample of a batch how many labels are told right, or its output of numbers."""
        output = one_output(program.apply(params, x))
        if numeric:
            return output
        told = _told(output, y, target)
        return told.sum(axis=tuple(range(1, told.ndim)), dtype=jnp.int32)

    def total_of(found: Any, y: np.ndarray, weights: np.ndarray) -> float:
        """Return the weighted sum over the samples of a chunk, in float64."""
        each = np.asarray(found)[: len(y)]
        if numeric:
            each = np.square(errors(each, y)).reshape(len(y), -1).sum(axis=1)
        return float(each @ weights)

    # A program that is scored again is not compiled again.
    chunk = getattr(program, "kept", {}).setdefault("score", {}).setdefault("chunk", chunk)

    def score(params: Mapping[str, Any], data: Dataset) -> float:
        data = fit(data, source, target)
        total, queue = 0.0, deque[tuple[Any, np.ndarray, np.ndarray]]()
        weights = data.counts()
        for first in range(share.process * size, len(data), share.processes * size):
            rows = slice(first, first + size)
            x, y = (np.asarray(each[rows]) for each in (data.x, data.y))
            queue.append((chunk(params, _filled(x, size), _filled(y, size)), y, weights[rows]))
            if len(queue) > _QUEUED:
                total += total_of(*queue.popleft())
        total += sum(total_of(*each) for each in queue)
        mean = share.total(total) / data.y.size
        return mean if metric(program) == "accuracy" else math.sqrt(mean)

    return score


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
    """Return the rows of a chunk with the first one repeated, up to ``size``."""
    missing = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)]) if missing else rows


def _told(output: Any, y: Any, target: Spec) -> Any:
    """Return which labels are told right; samples come first."""
    found = decided(output, target)
    return found == (y.reshape(found.shape) if target.threshold is None else y.reshape(found.shape) > 0.5)


def errors(output: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return by how much an output differs from its targets, in float64."""
    found: np.ndarray = np.subtract(output, y.reshape(output.shape), dtype=np.float64)
    return found
