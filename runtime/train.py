"""The training loop: shuffled batches, one jitted update each.

>>> result = train(program, load("digits"), epochs=5, seed=0)       # doctest: +SKIP
>>> evaluate(program, result.params, test)                          # doctest: +SKIP
0.961
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .data.dataset import Dataset
from .data.fit import Spec, fit
from .history import Result, Row

_TICK = 0.1
"""Seconds between two looks at the device inside an epoch."""


class TrainError(Exception):
    """Training that cannot start or go on; its text says why and what to do."""


class Trainable(Protocol):
    """What the loop needs of a compiled program (see pjc.runtime.program)."""

    @property
    def inputs(self) -> Sequence[Spec]: ...
    @property
    def targets(self) -> Sequence[Spec]: ...
    @property
    def batch(self) -> int | None: ...

    def init(self, key: Any) -> Mapping[str, Any]: ...
    def apply(self, params: Any, *inputs: Any) -> Any: ...
    def update(self, params: Any, *data: Any, iterations: int | None = None, finish: bool = True) -> Any: ...
    def finish(self, params: Any) -> Mapping[str, Any]: ...
    def stacked(self, params: Any) -> Mapping[str, Any]: ...
    def separate(self, params: Any) -> Mapping[str, Any]: ...


def train(
    program: Trainable,
    data: Dataset,
    *,
    epochs: int,
    seed: int = 0,
    validation: Dataset | None = None,
    iterations: int | None = None,
    start: Result | None = None,
    callback: Callable[[Result], None] | None = None,
    progress: Callable[[int, float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    revise: Callable[[Result], tuple[Trainable, tuple[str, ...]] | None] | None = None,
) -> Result:
    """Train until ``epochs`` whole epochs are done, or ``stop()`` is true after a batch.

    Each epoch takes the samples of ``data`` in an order drawn from (seed, epoch), in batches of
    ``program.batch``; what is left over is not used in that epoch. Training begins at ``start``, or
    at ``program.init`` with ``seed``; from a Result of the same run it goes on to the same numbers.
    ``callback`` gets the result after every epoch; ``progress`` gets the number of batches done in
    this epoch and their mean gap, at most ten times a second. ``iterations`` an update, by default
    the program's own. ``revise`` gets the result of every whole epoch, with the multipliers of its dots,
    and may return a program to go on with and the labels of the dots that are held in it.

    Raises DataError where the data does not fit the program, TrainError when it is less than a
    batch or the gap stops being finite.
    """
    source, target = specs(program)
    data = fit(data, source, target)
    size = batch_size(program)
    batches = len(data) // size
    if batches == 0:
        raise TrainError(
            f"{data.name} leaves {len(data)} samples to train on, fewer than one batch of "
            f"{size}; compile with --batch {len(data)} or less"
        )
    if start is None:
        start = Result(program.init(jax.random.key(seed)))
    result = replace(start, params=check_parameters(program, start.params))
    check_parameters(program, {**start.params, **start.latent})
    step = _step(program, iterations)
    score = evaluator(program)
    while result.epoch < epochs:
        result = _epoch(program, step, result, data, size, seed, progress, stop)
        if result.batch < batches:
            return result
        validated = None if validation is None else score(result.params, validation)
        largest = max(result.multipliers.values(), default=None)
        away = result.violation_sum / batches if result.latent else None
        row = Row(result.epoch + 1, result.seconds, result.gap_sum / batches, validated, largest, away)
        rows = (*result.history, row)
        revised = None if revise is None else revise(result)
        if revised is not None:
            program, held = revised
            step = _step(program, iterations)
            result = replace(result, held=held)
        result = Result(
            result.params,
            rows,
            row.epoch,
            seconds=result.seconds,
            held=result.held,
            latent=result.latent,
        )
        if callback is not None:
            callback(result)
        if stop():
            return result
    return result


Step = Callable[[Any, Any, NDArray[Any], NDArray[Any]], tuple[Any, Any]]
"""(params, sums, x, y) -> (params, sums), with sums the sum of gaps, the largest |t| by dot, and the sum of
the largest violations."""


def _step(program: Trainable, iterations: int | None) -> Step:
    """Return the jitted step, which takes over the arrays that it is given."""

    def step(params: Any, sums: Any, x: Any, y: Any) -> tuple[Any, Any]:
        batch = (x, y) if program.targets else (x,)
        params, info = program.update(params, *batch, iterations=iterations, finish=False)
        total, largest, away = sums
        found = info.get("t", {})
        largest = {label: jnp.maximum(largest.get(label, 0), found[label]) for label in found}
        farthest = functools.reduce(jnp.maximum, info.get("violation", {}).values(), jnp.float32(0))
        sums = total + info["gap"].astype(jnp.float32), largest, away + farthest.astype(jnp.float32)
        return params, sums

    jitted: Step = jax.jit(step, donate_argnums=(0, 1))
    return jitted


def _epoch(
    program: Trainable,
    step: Step,
    start: Result,
    data: Dataset,
    size: int,
    seed: int,
    progress: Callable[[int, float], None] | None,
    stop: Callable[[], bool],
) -> Result:
    """Run the rest of the epoch after ``start``, in batches of ``size``.

    The result's ``batch`` tells how many are done, which is all of them unless ``stop()``.
    Batches are queued on the device without waiting for them, except for a look at the sum of gaps
    every ``_TICK`` seconds, which also bounds the queue.
    """
    began = looked = time.monotonic()
    order = np.random.default_rng([seed, start.epoch]).permutation(len(data))
    if size == len(data):  # a batch of all samples: each may have parameters of its own
        order = np.arange(size)
    batches = len(data) // size
    # The step takes its arrays over, and the caller keeps those of the start.
    params = _copied(program, {**start.params, **start.latent})
    batch = start.batch
    sums = (
        jnp.float32(start.gap_sum),
        _largest(step, params, start, data, size),
        jnp.float32(start.violation_sum),
    )
    while batch < batches:
        chosen = order[batch * size : (batch + 1) * size]
        params, sums = step(params, sums, data.x[chosen], data.y[chosen])
        batch += 1
        if time.monotonic() - looked >= _TICK:
            gap = _finite(float(sums[0]), start.epoch) / batch
            if progress is not None:
                progress(batch, gap)
            looked = time.monotonic()
        if stop():
            break
    gap_sum = _finite(float(sums[0]), start.epoch)
    if progress is not None:
        progress(batch, gap_sum / max(batch, 1))
    latent, finished = program.separate(params), program.separate(program.finish(params))
    return Result(
        dict(finished),
        start.history,
        start.epoch,
        batch,
        gap_sum,
        start.seconds + time.monotonic() - began,
        {label: float(value) for label, value in sums[1].items()},
        start.held,
        {name: value for name, value in latent.items() if not np.array_equal(value, finished[name])},
        float(sums[2]),
    )


def _copied(program: Trainable, params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: jnp.copy(value) for name, value in program.stacked(params).items()}


def _largest(step: Step, params: Any, start: Result, data: Dataset, size: int) -> dict[str, Any]:
    """Return the largest |t| of each factored dot so far, 0 for those that have none yet."""
    labels = jax.eval_shape(step, params, (np.float32(0), {}, np.float32(0)), data.x[:size], data.y[:size])[
        1
    ][1]
    return {label: jnp.float32(start.multipliers.get(label, 0)) for label in labels}


def _finite(total: float, epoch: int) -> float:
    if not math.isfinite(total):
        raise TrainError(
            f"training diverged: the gap is {total} in epoch {epoch + 1}; try another --solver, "
            "a smaller --step, or smaller initial parameters"
        )
    return total


def evaluator(program: Trainable) -> Callable[[Mapping[str, Any], Dataset], float]:
    """Return a function of (params, data) that scores the network, compiled once.

    The score is the accuracy: the fraction of sites where the largest logit is the label's, or of labels that
    are told right where there are several; for numeric targets it is the root mean square error. Samples
    are run in chunks of ``program.batch``.
    """
    source, target = specs(program)
    size = batch_size(program)
    apply = jax.jit(program.apply)

    def score(params: Mapping[str, Any], data: Dataset) -> float:
        data = fit(data, source, target)
        total = 0.0
        for first in range(0, len(data), size):
            x, y = data.x[first : first + size], data.y[first : first + size]
            padded = np.concatenate([x, np.repeat(x[:1], size - len(x), axis=0)])
            result = apply(params, padded)
            if isinstance(result, dict):
                raise TrainError(f"a score needs one output, and the network has {', '.join(result)}")
            output = np.asarray(result)[: len(x)]
            if target.threshold is not None:
                total += int(((output > target.threshold) == (y.reshape(output.shape) > 0.5)).sum())
            elif target.classes is None:
                total += float(np.square(output - y.reshape(output.shape)).sum())
            else:
                total += int((output.argmax(-1) == y.reshape(output.shape[:-1])).sum())
        mean = total / data.y.size
        return mean if metric(program) == "accuracy" else math.sqrt(mean)

    return score


def evaluate(program: Trainable, params: Mapping[str, Any], data: Dataset) -> float:
    """Return the accuracy (or root mean square error) of the network on ``data``."""
    return evaluator(program)(params, data)


def metric(program: Trainable) -> str:
    """Return what the score is called: "accuracy", or "rms error" for numeric targets."""
    target = specs(program)[1]
    return "rms error" if target.classes is None and target.threshold is None else "accuracy"


def check_parameters(program: Trainable, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` in the program's types; raise TrainError unless names and shapes agree."""
    expected = jax.eval_shape(program.init, jax.random.key(0))
    for name in sorted(expected.keys() | params.keys()):
        found = f"of shape {list(np.shape(params[name]))}" if name in params else "missing"
        wanted = f"of shape {list(expected[name].shape)}" if name in expected else "no parameter"
        if found != wanted:
            raise TrainError(
                f"the parameters are of another network: {name!r} is {found}, in this network it is {wanted}"
            )
    return {name: jnp.asarray(params[name], expected[name].dtype) for name in expected}


def specs(program: Trainable) -> tuple[Spec, Spec]:
    """Return the one input and the one target of the program; without a target the input is that too."""
    if len(program.inputs) != 1 or len(program.targets) > 1:
        raise TrainError(
            f"training takes networks with one input and at most one target, and this one has "
            f"{len(program.inputs)} and {len(program.targets)}; call Program.update from Python"
        )
    return program.inputs[0], (*program.targets, program.inputs[0])[0]


def batch_size(program: Trainable) -> int:
    """Return the number of samples in a batch."""
    if program.batch is None:
        raise TrainError(
            "the network has no dimension called 'batch', so it cannot be fed with samples; "
            "declare its input as in x: f32[batch, 64]"
        )
    return program.batch
