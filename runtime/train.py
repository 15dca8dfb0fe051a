"""The training loop: shuffled batches, one jitted step each.

>>> result = train(program, load("digits"), Run(epochs=5, seed=0))       # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import numpy as np

from .data.dataset import Dataset
from .data.fitting import fit
from .distributed import ALONE, DistributedError, Share
from .epoch import Batches, Step, run_epoch
from .evaluate import evaluator
from .findings import Findings
from .history import Result, Row
from .listener import Listener, Revision
from .predicting import require_one_output
from .recording import Recorder
from .stepper import Stepper, stepper_for
from .streams import Stream
from .trainable import Trainable, TrainError, batch_size, specs

__all__ = ["Listener", "Revision", "Run", "TrainError", "Training", "train"]


_EARLY = 50
"""How many batches there are before a score as bad as guessing is spoken of, but in the last epoch."""
SCORED = 2048
"""The most training samples that are scored after an epoch."""


@dataclass(frozen=True)
class Run:
    """What is asked of a training run.

    Attributes:
        epochs: how many whole epochs there are to be, with those of ``start``.
        seed: from 0; draws the parameters, and with the epoch's number the order of the samples.
        validation: samples to score the network on after every epoch; it is also scored on as many of those
            that it is trained on, but on no more than there are, and than ``SCORED``.
        iterations: how many an update has; None for the program's own number.
        start: where to begin; None to begin with the program's own parameters. From a result of the same run
            it goes on to the same numbers.
        checkpoint_seconds: how many seconds go by within an epoch between two checkpoints.
        share: this process's share of the samples, where several train together.
        stepper: how a program is trained, for a number of iterations and that of all batches of the run; None
            for the way of its solver.
        recorder: what records a trace; None for none. The result is the same with it, to rounding.

    Raises:
        TrainError: if a number is out of its range.
    """

    epochs: int
    seed: int = 0
    validation: Dataset | None = None
    iterations: int | None = None
    start: Result | None = None
    checkpoint_seconds: float = math.inf
    share: Share = ALONE
    stepper: Callable[[Trainable, int | None, int], Stepper] | None = None
    recorder: Recorder | None = None

    def __post_init__(self) -> None:
        _require_from("epochs", self.epochs, 1)
        _require_from("seed", self.seed, 0)
        if self.iterations is not None:
            _require_from("iterations", self.iterations, 1)
        if not self.checkpoint_seconds >= 0:
            raise TrainError(
                f"checkpoint_seconds must not be negative, found {self.checkpoint_seconds!r}; "
                "0 makes a checkpoint after every batch, math.inf none within an epoch"
            )


def train(program: Trainable, data: Dataset | Stream, run: Run, listener: Listener | None = None) -> Result:
    """Train until ``run.epochs`` whole epochs are done, or the listener says to stop.

    Each epoch takes the batches of a stream as they come, or the samples of ``data`` in an order drawn from
    (seed, epoch), in batches of ``program.batch``. Where they are no multiple of that, the last batch is
    filled up with the samples that the epoch began with: each is seen at least once in an epoch, and those
    twice. ``listener`` hears of it and has a say: :class:`Listener` tells of what, when, and in which order.

    Where several processes train together, each calls this with its ``run.share`` and else with the same; it
    reads its rows of every batch, all get the same result, and all stop within two batches of the one whose
    listener says so first.

    Returns:
        Where training stands. It was stopped within an epoch if ``batch`` is not 0, and after one if
        ``epoch`` is less than ``run.epochs``.

    Raises:
        DataError: where the data does not fit the program.
        TrainError: when it is less than a batch, the gap or demand stops being finite, a batch cannot be
            split evenly over the devices, or ``run.start`` is of another network or outer step.
    """
    return Training(program, data, run).run(listener=listener)


class Training:
    """A run with what is compiled for it, to be run once or with several seeds.

    Raises:
        DataError, TrainError: as :func:`train` does, before anything is trained.
    """

    def __init__(self, program: Trainable, data: Dataset | Stream, run: Run) -> None:
        if run.validation is not None:
            require_one_output(program)
        self.program = program
        self.asked = run
        self.batches = _batches(program, data, run)
        self.score = evaluator(program, run.share)
        self.scored = _scored(self.batches.data, run.validation)
        self.step = _step(program, run, self.batches)

    def run(self, seed: int | None = None, listener: Listener | None = None) -> Result:
        """Return what :func:`train` does, for another ``seed`` if one is given."""
        asked = self.asked if seed is None else replace(self.asked, seed=seed)
        try:
            return self._run(asked, listener or Listener())
        finally:
            self.step.forget()
            if asked.recorder is not None:
                asked.recorder.write()

    def _run(self, asked: Run, listener: Listener) -> Result:
        batches, step = replace(self.batches, seed=asked.seed), self.step
        fresh = asked.start or Result(self.program.init(jax.random.key(asked.seed)))
        result = step.stepper.checked(fresh)
        findings = Findings(self.program, result, step.stepper.stuck)
        if asked.recorder is not None:
            at = result.epoch * batches.count + result.batch
            asked.recorder.begin(asked.seed, at, batches.count, self.program.method)
        listener.begin(result, batches.count)
        for text in findings.before(result):
            listener.warning(text)
        while result.epoch < asked.epochs and not listener.is_done(result):
            result, stopping = run_epoch(
                step, result, batches, asked.checkpoint_seconds, listener, asked.recorder
            )
            if result.batch < batches.count:
                return result
            row = self._row(result)
            revision = listener.revise(result)
            if revision is not None:
                step.forget()
                step = _step(revision.program, asked, batches)
                result = replace(result, held=revision.held)
            result = _after_epoch(result, row)
            if asked.recorder is not None:
                (asked.recorder.write if listener.saves else asked.recorder.tick)()
            listener.epoch(result)
            known = result.epoch == asked.epochs or result.epoch * batches.count >= _EARLY
            for text in findings.after(result, asked.validation or batches.data, self.score, known):
                listener.warning(text)
            if stopping:
                return result
        return result

    def _row(self, result: Result) -> Row:
        """Return what the history says of an epoch that is done."""
        count = self.batches.count
        training, validated = (
            None if data is None else self.score(result.params, data) for data in self.scored
        )
        largest = max(result.multipliers.values(), default=None)
        away = result.violation_sum / count if result.latent and result.violation_sum else None
        loss = None if result.loss_sum is None else result.loss_sum / count
        gap = result.gap_sum / count
        return Row(result.epoch + 1, result.seconds, gap, validated, largest, away, training, loss)


def _after_epoch(result: Result, row: Row) -> Result:
    """Return where training stands once an epoch is done."""
    return Result(
        result.params,
        (*result.history, row),
        row.epoch,
        seconds=result.seconds,
        held=result.held,
        latent=result.latent,
    )


def _scored(data: Dataset, validation: Dataset | None) -> tuple[Dataset | None, Dataset | None]:
    """Return what is scored after an epoch: evenly spaced samples to train on, and those to validate with.

    Of samples to train on that weigh nothing there is nothing to score.
    """
    if validation is None:
        return None, None
    there = np.arange(len(data)) if data.weights is None else np.flatnonzero(data.weights)
    some = min(len(there), len(validation), SCORED)
    return data.take(there[np.linspace(0, len(there) - 1, some).astype(np.int64)], data.name), validation


def _step(program: Trainable, run: Run, batches: Batches) -> Step:
    """Return a program's step, as the run asks for it."""
    make: Callable[[Trainable, int | None, int], Stepper] = run.stepper or stepper_for(program)
    every = run.epochs * batches.count
    telling = None if run.recorder is None else make(program.telling(), run.iterations, every)
    return Step(make(program, run.iterations, every), run.share, telling)


def _batches(program: Trainable, data: Dataset | Stream, run: Run) -> Batches:
    """Return the batches of a run; raise TrainError where there is none, or it cannot be split."""
    if isinstance(data, Stream):
        return data.batches(program, run.seed)
    source, target = specs(program)
    data = fit(data, source, target)
    size = batch_size(program)
    try:
        run.share.check(size)
    except DistributedError as error:
        raise TrainError(str(error)) from None
    if len(data) < size:
        raise TrainError(
            f"{data.name} leaves {len(data)} samples to train on, fewer than one batch of "
            f"{size}; compile with --batch {len(data)} or less"
        )
    return Batches(data, size, run.seed, run.share)


def _require_from(name: str, value: object, least: int) -> None:
    """Raise TrainError unless a value is a whole number, and not less than ``least``."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:  # type: ignore[operator]
        raise TrainError(f"{name} takes a whole number from {least}, found {value!r}")
