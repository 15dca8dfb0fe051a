"""What a person should hear of a run that learns nothing, or leaves parameters as they were."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .data.dataset import Dataset
from .evaluate import Score, metric
from .history import Result
from .outer_state import OUTER
from .trainable import Trainable, TrainError, batch_size, specs

_LEAST_CHANGE = 1e-6
"""The change, by the norm of what it was, below which a parameter has not moved: roundings of float32."""
_DEVIATIONS = 2.0
"""How many standard deviations above guessing a score still cannot be told from it."""
_BATCHES = 16
"""How many batches of the training part are scored where there is nothing to validate with."""
_LISTED = 8
_STEPS = "gradient_step"
"""What counts the steps of an outer step that averages several batches for each, as optax calls it."""


class Findings:
    """Looks at a run after its epochs, and says of each thing once that it is as it should not be.

    Args:
        program: what is trained.
        start: where training began.
        stuck: what to try where nothing is learned.
    """

    def __init__(self, program: Trainable, start: Result, stuck: str) -> None:
        self.program = program
        self.stuck = stuck
        self.start: Mapping[str, Any] | None = _carried(start)
        self.scored = False

    def before(self, start: Result) -> list[str]:
        """Return what is to be said before the first epoch: parameters whose sets make zeros of them."""
        drawn = _carried(start)
        inside = self.program.separate(self.program.finish(self.program.stacked(drawn)))
        names = [name for name in drawn if np.any(drawn[name]) and not np.any(np.asarray(inside[name]))]
        if not names:
            return []
        return [
            f"all zeros in their sets: {_listed(names)}; draw them as far apart as the set's levels are, "
            "as in '= normal(1)' for levels(-1, 0, 1)"
        ]

    def after(self, result: Result, data: Dataset, score: Score, judged: bool = True) -> list[str]:
        """Return what is to be said after an epoch.

        Args:
            result: where training stands.
            data: what was validated with, or is trained on.
            score: scores parameters on data.
            judged: whether enough was trained for the score to tell something.
        """
        found = [self._unmoved(result), self._guessing(result, data, score) if judged else None]
        return [text for text in found if text is not None]

    def _unmoved(self, result: Result) -> str | None:
        """Return a sentence of the parameters that are as they were, after the first epoch that is seen."""
        start, self.start = self.start, None
        if start is None:
            return None
        now = _carried(result)
        names = [name for name in start if name not in self.program.frozen and _same(start[name], now[name])]
        if not names:
            return None
        if any(name.endswith(_STEPS) and not each for name, each in result.latent.items()):
            return (
                f"no parameter has moved in epoch {result.epoch}: more batches are averaged for a step than "
                "it has; lower --accumulate, or give it more epochs"
            )
        return (
            f"not moved in epoch {result.epoch}: {_listed(names)}; what is required does not depend on them, "
            "or what it asks stops on the way: look for zeros and for jumps (sign, round, quantize) between "
            "them and the losses"
        )

    def _guessing(self, result: Result, data: Dataset, score: Score) -> str | None:
        """Return a sentence of a score that is no better than guessing, the first time that it is not."""
        target = specs(self.program)[1]
        classes = target.classes
        if self.scored or classes is None or metric(self.program) != "accuracy" or classes < 2:
            return None
        told, of = result.history[-1].validation, "validation"
        if told is None:
            self.scored = True  # one look at the training part is what it may cost
            some = min(len(data), _BATCHES * batch_size(self.program))
            data = data.take(np.linspace(0, len(data) - 1, some).astype(np.int64), data.name)
            try:
                told, of = score(result.params, data), "training"
            except TrainError:  # a network of several outputs has no score
                return None
        chance, sites = 1 / classes, len(data) * math.prod(target.shape[1:])
        guessed = chance + _DEVIATIONS * math.sqrt(chance * (1 - chance) / sites)
        if told > guessed or guessed >= 1:  # of so few samples nothing can be told
            return None
        self.scored = True
        return (
            f"{of} accuracy after epoch {result.epoch} is {100 * told:.1f}%, no better than guessing among "
            f"{classes} classes; {self.stuck}"
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if names[_LISTED:] else "")


def _carried(result: Result) -> dict[str, Any]:
    """Return the parameters as training goes on from them."""
    latent = {name: each for name, each in result.latent.items() if not name.startswith(OUTER)}
    return {name: np.asarray(each) for name, each in {**result.params, **latent}.items()}


def _same(before: Any, after: Any) -> bool:
    change = np.linalg.norm(np.subtract(after, before, dtype=np.float64))
    return bool(change <= _LEAST_CHANGE * np.linalg.norm(np.asarray(before, np.float64)))
