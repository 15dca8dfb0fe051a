"""How good a network is on data.

>>> evaluate(program, result.params, test)                          # doctest: +SKIP
0.961
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .data.dataset import Dataset
from .data.fitting import Spec, fit
from .distributed import ALONE, Share
from .predicting import decided, forward, one_output
from .trainable import Trainable, batch_size, specs

Score = Callable[[Mapping[str, Any], Dataset], float]
"""(params, data) -> the score of the network."""


def metric(program: Trainable) -> str:
    """Return what the score is called: "accuracy", or "rms error" for numeric targets."""
    target = specs(program)[1]
    return "rms error" if target.classes is None and target.threshold is None else "accuracy"


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
    size, run = batch_size(program), forward(program)

    def score(params: Mapping[str, Any], data: Dataset) -> float:
        data = fit(data, source, target)
        total = 0.0
        weights = None if data.weights is None else data.weights / data.weights.mean()
        for first in range(share.process * size, len(data), share.processes * size):
            x, y = data.x[first : first + size], data.y[first : first + size]
            told = _told(one_output(run(params, x)), np.asarray(y), target).reshape(len(x), -1)
            total += float(
                told.sum() if weights is None else weights[first : first + size] @ told.sum(axis=1)
            )
        mean = share.total(total) / data.y.size
        return mean if metric(program) == "accuracy" else math.sqrt(mean)

    return score


def _told(output: np.ndarray, y: np.ndarray, target: Spec) -> np.ndarray:
    """Return which labels are told right; for numeric targets the square errors."""
    told = decided(output, target)
    found: np.ndarray
    if target.threshold is not None:
        found = told == (y.reshape(output.shape) > 0.5)
    elif target.classes is None:
        found = np.square(errors(output, y))
    else:
        found = told == y.reshape(told.shape)
    return found


def errors(output: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return by how much an output differs from its targets, in float64."""
    found: np.ndarray = np.subtract(output, y.reshape(output.shape), dtype=np.float64)
    return found
