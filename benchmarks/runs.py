"""A run of training as the benchmarks measure it: seconds and scores, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pjc.runtime.data.prepare import Parts
from pjc.runtime.evaluate import evaluator, metric
from pjc.runtime.history import Result
from pjc.runtime.listener import Listener
from pjc.runtime.program import Program
from pjc.runtime.train import Run, train


@dataclass(frozen=True)
class Curve:
    """What a run gave after each epoch, scores on the test part included.

    Where there is no validation part ``validation`` has the scores on the training part. ``seconds`` are
    those of training alone; the first epoch has those that XLA took to compile.
    """

    metric: str
    seconds: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def falls(self) -> bool:
        """Whether less is better."""
        return self.metric != "accuracy"

    @property
    def steady(self) -> list[float]:
        """Seconds without those of compiling: the first epoch is taken to last as long as the others do.

        Of a single epoch they cannot be told apart.
        """
        first, last, others = self.seconds[0], self.seconds[-1], len(self.seconds) - 1
        early = (last - first) / others if others else first
        return [early + each - first for each in self.seconds]

    def best(self) -> int:
        """Return the first epoch, from 0, that validates best."""
        worth = [-each if self.falls else each for each in self.validation]
        return worth.index(max(worth))


def follow(
    program: Program, parts: Parts, epochs: int, seed: int, tell: Callable[[Curve], Any] = lambda _: None
) -> Curve:
    """Train a program as ``pjc train`` does; return its curve, of which ``tell`` hears after each epoch.

    Raises:
        TrainError: where training diverges.
    """
    score, curve = evaluator(program), Curve(metric(program))

    class Following(Listener):
        def epoch(self, result: Result) -> None:
            row = result.history[-1]
            curve.seconds.append(row.seconds)
            curve.validation.append(
                score(result.params, parts.train) if row.validation is None else row.validation
            )
            if parts.test is not None:
                curve.test.append(score(result.params, parts.test))
            tell(curve)

        def warning(self, text: str) -> None:
            curve.warnings.append(text)

    train(program, parts.train, Run(epochs=epochs, seed=seed, validation=parts.validation), Following())
    return curve
