"""When training is to stop before all its epochs are done: once the validation score gets no better.

Imports no JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .listener import Listener

if TYPE_CHECKING:
    from .history import Result, Row


def goodness(score: float, metric: str) -> float:
    """Return a score such that more is better: an accuracy as it is, an error negated."""
    return score if metric == "accuracy" else -score


def best_row(rows: Sequence[Row], metric: str) -> Row | None:
    """Return the epoch with the best validation score, of several the first; None where none has a score."""
    best: Row | None = None
    for row in rows:
        if row.validation is None:
            continue
        if best is None or goodness(row.validation, metric) > goodness(best.validation or 0.0, metric):
            best = row
    return best


class EarlyStopping(Listener):
    """Ends a run once the validation score was no better than its best for ``patience`` epochs in a row.

    It looks at the history alone, so that a run which is resumed ends where one that was never stopped does,
    and all of several processes decide alike.

    Args:
        patience: how many epochs, from 1.
        metric: what the score is called: see :func:`pjc.runtime.evaluate.metric`.
    """

    def __init__(self, patience: int, metric: str) -> None:
        self.patience = patience
        self.metric = metric

    def is_done(self, result: Result) -> bool:
        best = best_row(result.history, self.metric)
        return best is not None and result.epoch - best.epoch >= self.patience
