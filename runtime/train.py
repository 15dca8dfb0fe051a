"""The training loop: shuffled batches, one jitted step each.

>>> result = train(program, load("digits"), Run(epochs=5, seed=0))       # doctest: +SKIP
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .data.dataset import Dataset
from .data.fitting import fit
from .distributed import ALONE, DistributedError, Share
from .evaluate import evaluator
from .history import Result, Row
from .listener import Listener, Revision
from .stepper import Stepper, UpdateStepper
from .trainable import Trainable, TrainError, batch_size, specs

__all__ = ["Listener", "Revision", "Run", "TrainError", "train"]

_TICK = 0.1
"""Seconds between two looks at the device inside an epoch."""


@dataclass(frozen=True)
class Run:
    """What is asked of a training run.

    Attributes:
        epochs: how many whole epochs there are to be, with those of ``start``.
        seed: from 0; draws the parameters, and with the epoch's number the order of the samples.
        validation: samples to score the network on after every epoch.
        iterations: how many an update has; None for the program's own number.
        start: where to begin; None to begin with the program's own parameters. From a result of the same run
            it goes on to the same numbers.
        checkpoint_seconds: how many seconds go by within an epoch between two checkpoints.
        share: this process's share of the samples, where several train together.
        stepper: how a program is trained, for a number of iterations.

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
    stepper: Callable[[Trainable, int | None], Stepper] = UpdateStepper

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


def train(program: Trainable, data: Dataset, run: Run, listener: Listener | None = None) -> Result:
    """Train until ``run.epochs`` whole epochs are done, or the listener says to stop after a batch.

    Each epoch takes the samples of ``data`` in an order drawn from (seed, epoch), in batches of
    ``program.batch``; what is left over is not used in that epoch. ``listener`` hears of it and has a say:
    :class:`Listener` tells of what, when, and in which order.

    Where several processes train together, each calls this with its ``run.share`` and else with the same; it
    reads its rows of every batch, all get the same result, and all stop within two batches of the one whose
    listener says so first.

    Returns:
        Where training stands. It was stopped within an epoch if ``batch`` is not 0, and after one if
        ``epoch`` is less than ``run.epochs``.

    Raises:
        DataError: where the data does not fit the program.
        TrainError: when it is less than a batch, the gap stops being finite, a batch cannot be split evenly
            over the devices, or ``run.start`` is of another network.
    """
    listener = listener or Listener()
    batches = _batches(program, data, run)
    score = evaluator(program, run.share)
    step = _Step(run.stepper(program, run.iterations), run.share)
    result = step.stepper.checked(run.start or Result(program.init(jax.random.key(run.seed))))
    listener.begin(result, batches.count)
    while result.epoch < run.epochs:
        result, stopping = _run_epoch(step, result, batches, run, listener)
        if result.batch < batches.count:
            return result
        validated = None if run.validation is None else score(result.params, run.validation)
        row = _row(result, batches.count, validated)
        revision = listener.revise(result)
        if revision is not None:
            step = _Step(run.stepper(revision.program, run.iterations), run.share)
            result = replace(result, held=revision.held)
        result = Result(
            result.params,
            (*result.history, row),
            row.epoch,
            seconds=result.seconds,
            held=result.held,
            latent=result.latent,
        )
        listener.epoch(result)
        if stopping:
            return result
    return result


@dataclass(frozen=True)
class _Batches:
    """The batches of every epoch, as this process's devices take them."""

    data: Dataset
    size: int
    seed: int
    share: Share

    @property
    def count(self) -> int:
        """How many there are in an epoch."""
        return len(self.data) // self.size

    def after(self, at: Result) -> Iterator[tuple[Any, Any]]:
        """Yield the batches (x, y) of the epoch that ``at`` stands in, from there on."""
        data, size, share = self.data, self.size, self.share
        order = np.random.default_rng([self.seed, at.epoch]).permutation(len(data))
        if size == len(data):  # a batch of all samples: each may have parameters of its own
            order = np.arange(size)
        rows = share.rows(size)
        for batch in range(at.batch, self.count):
            chosen = order[batch * size : (batch + 1) * size][rows]
            yield share.batch(data.x[chosen], size), share.batch(data.y[chosen], size)

    def abstract(self) -> tuple[Any, Any]:
        """Return the shapes and types of a batch."""
        x, y = (
            jax.ShapeDtypeStruct((self.size, *each.shape[1:]), each.dtype)
            for each in (self.data.x, self.data.y)
        )
        return x, y


def _batches(program: Trainable, data: Dataset, run: Run) -> _Batches:
    """Return the batches of a run; raise TrainError where there is none, or it cannot be split."""
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
    return _Batches(data, size, run.seed, run.share)


class _Sums(NamedTuple):
    """What the batches of an epoch told: the sum of gaps, the largest |t| by dot, the sum of the violations.

    Of a batch that is the violation of the set from which the parameters were farthest.
    """

    gap: Any
    multipliers: dict[str, Any]
    violation: Any


class _Step:
    """A stepper's step, jitted: it takes over the arrays that it is given, and adds up what batches tell."""

    def __init__(self, stepper: Stepper, share: Share) -> None:
        def step(carried: Any, sums: _Sums, wishes: Any, x: Any, y: Any) -> tuple[Any, _Sums, Any]:
            """Also return whether there is a wish to stop among ``wishes``: see Share.question."""
            carried, info = stepper.step(carried, x, y)
            return carried, _added(sums, info), wishes.max()

        self.stepper = stepper
        self.share = share
        self.jitted = jax.jit(step, donate_argnums=(0, 1), out_shardings=share.replicated())

    def sums(self, carried: Mapping[str, Any], start: Result, batches: _Batches) -> _Sums:
        """Return the sums of the batches before ``start``, with 0 for the |t| of dots that have none yet."""
        nothing = _Sums(np.float32(0), {}, np.float32(0))
        told = jax.eval_shape(self.jitted, carried, nothing, np.zeros(1, np.int32), *batches.abstract())[1]
        numbers = {
            "gap": np.float32(start.gap_sum),
            "violation": np.float32(start.violation_sum),
            **{f"t {dot}": np.float32(start.multipliers.get(dot, 0)) for dot in told.multipliers},
        }
        found = self.share.everywhere(numbers)
        multipliers = {dot: found[f"t {dot}"] for dot in told.multipliers}
        return _Sums(found["gap"], multipliers, found["violation"])


def _added(sums: _Sums, info: Mapping[str, Any]) -> _Sums:
    """Return the sums with what a batch told."""
    found = info.get("t", {})
    largest = {label: jnp.maximum(sums.multipliers.get(label, 0), found[label]) for label in found}
    farthest = functools.reduce(jnp.maximum, info.get("violation", {}).values(), jnp.float32(0))
    return _Sums(
        sums.gap + info["gap"].astype(jnp.float32), largest, sums.violation + farthest.astype(jnp.float32)
    )


class _Epoch:
    """An epoch while it runs: what is carried from batch to batch, and the sums of what batches told."""

    def __init__(self, step: _Step, start: Result, batches: _Batches) -> None:
        self.began = time.monotonic()
        self.step = step
        self.start = start
        self.batch = start.batch
        # The step takes its arrays over, and the caller keeps those of the start.
        self.carried: Mapping[str, Any] = step.share.everywhere(step.stepper.carried(start))
        self.sums = step.sums(self.carried, start, batches)

    def advance(self, wish: bool, x: Any, y: Any) -> Any:
        """Queue a batch on the device; return whether some process wishes to stop, once that is known."""
        question = self.step.share.question(wish)
        self.carried, self.sums, answer = self.step.jitted(self.carried, self.sums, question, x, y)
        self.batch += 1
        return answer

    def gap_sum(self) -> float:
        """Return the sum of the gaps, once the device is done with all batches; raise if it diverged."""
        total = float(self.sums.gap)
        if not math.isfinite(total):
            raise TrainError(
                f"training diverged: the gap is {total} in epoch {self.start.epoch + 1}; try another "
                "--solver, a smaller --step, or smaller initial parameters"
            )
        return total

    def mean_gap(self) -> float:
        """Return the mean of the gaps."""
        return self.gap_sum() / max(self.batch, 1)

    def result(self) -> Result:
        """Return where training stands."""
        at = replace(
            self.start,
            batch=self.batch,
            gap_sum=self.gap_sum(),
            multipliers={label: float(value) for label, value in self.sums.multipliers.items()},
            violation_sum=float(self.sums.violation),
            seconds=self.start.seconds + time.monotonic() - self.began,
        )
        return self.step.stepper.result(self.step.share.local(self.carried), at)


def _run_epoch(
    step: _Step, start: Result, batches: _Batches, run: Run, listener: Listener
) -> tuple[Result, bool]:
    """Run the rest of the epoch after ``start``; return the result and whether to stop.

    The result's ``batch`` tells how many are done, which is all of them unless training is to stop.
    Batches are queued on the device without waiting for them, except for a look at the sum of gaps
    every ``_TICK`` seconds, which also bounds the queue.
    """
    epoch = _Epoch(step, start, batches)
    looked = saved = epoch.began
    wish = stopping = False
    for x, y in batches.after(start):
        answer = epoch.advance(wish, x, y)
        now = time.monotonic()
        if now - looked >= _TICK:
            listener.progress(epoch.batch, epoch.mean_gap())
            looked = now
        if now - saved >= run.checkpoint_seconds and epoch.batch < batches.count:
            listener.checkpoint(epoch.result())
            saved = time.monotonic()
        wish = listener.should_stop()
        stopping = run.share.agreed(wish, answer)
        if stopping:
            break
    listener.progress(epoch.batch, epoch.mean_gap())
    return epoch.result(), stopping


def _row(result: Result, batches: int, validated: float | None) -> Row:
    """Return what the history says of an epoch that is done."""
    largest = max(result.multipliers.values(), default=None)
    away = result.violation_sum / batches if result.latent else None
    return Row(result.epoch + 1, result.seconds, result.gap_sum / batches, validated, largest, away)


def _require_from(name: str, value: object, least: int) -> None:
    """Raise TrainError unless a value is a whole number, and not less than ``least``."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:  # type: ignore[operator]
        raise TrainError(f"{name} takes a whole number from {least}, found {value!r}")
