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
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from pjc.diagnostics import PjcError

from .data.dataset import Dataset
from .data.fit import Spec, fit
from .distributed import ALONE, DistributedError, Share
from .history import Result, Row

_TICK = 0.1
"""Seconds between two looks at the device inside an epoch."""


class TrainError(PjcError):
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
    checkpoint: Callable[[Result], None] | None = None,
    every: float = math.inf,
    share: Share = ALONE,
) -> Result:
    """Train until ``epochs`` whole epochs are done, or ``stop()`` is true after a batch.

    Each epoch takes the samples of ``data`` in an order drawn from (seed, epoch), in batches of
    ``program.batch``; what is left over is not used in that epoch. Training begins at ``start``, or
    at ``program.init`` with ``seed``; from a Result of the same run it goes on to the same numbers.
    ``callback`` gets the result after every epoch; ``progress`` gets the number of batches done in
    this epoch and their mean gap, at most ten times a second. ``iterations`` an update, by default
    the program's own. ``revise`` gets the result of every whole epoch, with the multipliers of its dots,
    and may return a program to go on with and the labels of the dots that are held in it. ``checkpoint`` gets
    the result within an epoch whenever ``every`` seconds have gone by since the last one, or since an epoch
    began.

    Where several processes train together, each calls this with its ``share`` and else with the same; it
    reads its rows of every batch, all get the same result, and all stop within two batches of a ``stop()`` in
    any of them.

    Raises DataError where the data does not fit the program, TrainError when it is less than a
    batch, the gap stops being finite, or a batch cannot be split evenly over the devices.
    """
    source, target = specs(program)
    data = fit(data, source, target)
    size = batch_size(program)
    batches = len(data) // size
    try:
        share.check(size)
    except DistributedError as error:
        raise TrainError(str(error)) from None
    if batches == 0:
        raise TrainError(
            f"{data.name} leaves {len(data)} samples to train on, fewer than one batch of "
            f"{size}; compile with --batch {len(data)} or less"
        )
    if start is None:
        start = Result(program.init(jax.random.key(seed)))
    result = replace(start, params=check_parameters(program, start.params))
    check_parameters(program, {**start.params, **start.latent})
    step = _step(program, iterations, share)
    score = evaluator(program, share)
    watch = _Watch(progress, stop, checkpoint, every, share)
    while result.epoch < epochs:
        result, stopping = _epoch(program, step, result, data, size, seed, watch)
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
            step = _step(program, iterations, share)
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
        if stopping:
            return result
    return result


Step = Callable[[Any, Any, Any, Any, Any], tuple[Any, Any, Any]]
"""(params, sums, wishes, x, y) -> (params, sums, wish), with sums the sum of gaps, the largest |t| by dot,
and the sum of the largest violations; ``wish`` is whether there is one among ``wishes``, see
Share.question."""


@dataclass(frozen=True)
class _Watch:
    """Who is told of training while it runs, and who may stop it; see :func:`train`."""

    progress: Callable[[int, float], None] | None
    stop: Callable[[], bool]
    checkpoint: Callable[[Result], None] | None
    every: float
    share: Share


def _step(program: Trainable, iterations: int | None, share: Share) -> Step:
    """Return the jitted step, which takes over the arrays that it is given."""

    def step(params: Any, sums: Any, wishes: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
        batch = (x, y) if program.targets else (x,)
        params, info = program.update(params, *batch, iterations=iterations, finish=False)
        total, largest, away = sums
        found = info.get("t", {})
        largest = {label: jnp.maximum(largest.get(label, 0), found[label]) for label in found}
        farthest = functools.reduce(jnp.maximum, info.get("violation", {}).values(), jnp.float32(0))
        sums = total + info["gap"].astype(jnp.float32), largest, away + farthest.astype(jnp.float32)
        return params, sums, wishes.max()

    jitted: Step = jax.jit(step, donate_argnums=(0, 1), out_shardings=share.replicated())
    return jitted


def _epoch(
    program: Trainable,
    step: Step,
    start: Result,
    data: Dataset,
    size: int,
    seed: int,
    watch: _Watch,
) -> tuple[Result, bool]:
    """Run the rest of the epoch after ``start``, in batches of ``size``; return the result and whether to
    stop.

    The result's ``batch`` tells how many are done, which is all of them unless training is to stop.
    Batches are queued on the device without waiting for them, except for a look at the sum of gaps
    every ``_TICK`` seconds, which also bounds the queue.
    """
    began = looked = saved = time.monotonic()
    share = watch.share
    order = np.random.default_rng([seed, start.epoch]).permutation(len(data))
    if size == len(data):  # a batch of all samples: each may have parameters of its own
        order = np.arange(size)
    batches = len(data) // size
    rows = share.rows(size)
    # The step takes its arrays over, and the caller keeps those of the start.
    params = share.everywhere(program.stacked({**start.params, **start.latent}))
    sums = _sums(step, params, start, data, size, share)
    batch, wish, stopping = start.batch, False, False

    def result() -> Result:
        seconds = start.seconds + time.monotonic() - began
        return _result(program, share.local(params), sums, replace(start, batch=batch, seconds=seconds))

    while batch < batches and not stopping:
        chosen = order[batch * size : (batch + 1) * size][rows]
        x, y = share.batch(data.x[chosen], size), share.batch(data.y[chosen], size)
        params, sums, answer = step(params, sums, share.question(wish), x, y)
        batch += 1
        now = time.monotonic()
        if now - looked >= _TICK:
            gap = _finite(float(sums[0]), start.epoch) / batch
            if watch.progress is not None:
                watch.progress(batch, gap)
            looked = now
        if watch.checkpoint is not None and now - saved >= watch.every and batch < batches:
            watch.checkpoint(result())
            saved = time.monotonic()
        wish = watch.stop()
        stopping = share.agreed(wish, answer)
    gap_sum = _finite(float(sums[0]), start.epoch)
    if watch.progress is not None:
        watch.progress(batch, gap_sum / max(batch, 1))
    return result(), stopping


def _result(program: Trainable, params: Mapping[str, Any], sums: Any, at: Result) -> Result:
    """Return where training stands with ``params``, as the program holds them; the rest is as in ``at``."""
    latent, finished = program.separate(params), program.separate(program.finish(params))
    return replace(
        at,
        params=dict(finished),
        gap_sum=_finite(float(sums[0]), at.epoch),
        multipliers={label: float(value) for label, value in sums[1].items()},
        latent={name: value for name, value in latent.items() if not np.array_equal(value, finished[name])},
        violation_sum=float(sums[2]),
    )


def _sums(
    step: Step, params: Any, start: Result, data: Dataset, size: int, share: Share
) -> tuple[Any, Any, Any]:
    """Return the sums of the batches before ``start``, with 0 for the |t| of dots that have none yet."""
    x, y = (jax.ShapeDtypeStruct((size, *each.shape[1:]), each.dtype) for each in (data.x, data.y))
    nothing = np.float32(0), dict[str, Any](), np.float32(0)
    labels = jax.eval_shape(step, params, nothing, np.zeros(1, np.int32), x, y)[1][1]
    largest = {label: np.float32(start.multipliers.get(label, 0)) for label in labels}
    total, away = np.float32(start.gap_sum), np.float32(start.violation_sum)
    found = share.everywhere(
        {"total": total, "away": away, **{f"t {label}": t for label, t in largest.items()}}
    )
    return found["total"], {label: found[f"t {label}"] for label in largest}, found["away"]


def _finite(total: float, epoch: int) -> float:
    if not math.isfinite(total):
        raise TrainError(
            f"training diverged: the gap is {total} in epoch {epoch + 1}; try another --solver, "
            "a smaller --step, or smaller initial parameters"
        )
    return total


def evaluator(program: Trainable, share: Share = ALONE) -> Callable[[Mapping[str, Any], Dataset], float]:
    """Return a function of (params, data) that scores the network, compiled once.

    The score is the accuracy: the fraction of sites where the largest logit is the label's, or of labels that
    are told right where there are several; for numeric targets it is the root mean square error. Samples
    are run in chunks of ``program.batch``, of which several processes take turns: all call the function.
    """
    source, target = specs(program)
    size = batch_size(program)
    apply = jax.jit(program.apply)

    def score(params: Mapping[str, Any], data: Dataset) -> float:
        data = fit(data, source, target)
        total = 0.0
        for first in range(share.process * size, len(data), share.processes * size):
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
        mean = share.total(total) / data.y.size
        return mean if metric(program) == "accuracy" else math.sqrt(mean)

    return score


def evaluate(program: Trainable, params: Mapping[str, Any], data: Dataset, share: Share = ALONE) -> float:
    """Return the accuracy (or root mean square error) of the network on ``data``; see :func:`evaluator`."""
    return evaluator(program, share)(params, data)


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
