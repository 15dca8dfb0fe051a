"""An epoch of training: batches in an order of its own, each queued on the device."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from .data.dataset import Dataset
from .data.ordering import order as order_of
from .distributed import Share
from .history import Result
from .listener import Listener
from .recording import Layout, Recorder
from .recording import packed as pack
from .sampled import TRACE
from .stepper import Stepper
from .trainable import TrainError

if TYPE_CHECKING:
    from pjc.runtime.layout import DeviceLayout

_TICK = 0.1
"""Seconds between two looks at the device inside an epoch."""


@dataclass(frozen=True)
class Batches:
    """The batches of every epoch, as this process's devices take them."""

    data: Dataset
    size: int
    seed: int
    share: Share

    @property
    def count(self) -> int:
        """How many there are in an epoch: as many as hold every sample."""
        return -(-len(self.data) // self.size)

    def after(self, at: Result) -> Iterator[tuple[Any, Any]]:
        """Yield the batches (x, y) of the epoch that ``at`` stands in, from there on."""
        data, size, share = self.data, self.size, self.share
        order = self._order(at.epoch)
        rows = share.rows(size)
        for batch in range(at.batch, self.count):
            chosen = order[batch * size : (batch + 1) * size][rows]
            yield share.batch(data.x[chosen], size), share.batch(data.y[chosen], size)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the samples of an epoch's batches, one after another.

        The last batch is filled up with those that the epoch began with, so that all are of the size that the
        step is compiled for.
        """
        samples, weights = len(self.data), self.data.drawn()
        is_one = self.size == samples
        if is_one and weights is None:  # a batch of all samples: each may have parameters of its own
            return np.arange(samples)
        order = order_of(
            samples, weights, np.random.default_rng([self.seed] if is_one else [self.seed, epoch])
        )
        return np.concatenate([order, order[: self.count * self.size - samples]])

    def abstract(self) -> tuple[Any, Any]:
        """Return the shapes and types of a batch."""
        x, y = (
            jax.ShapeDtypeStruct((self.size, *each.shape[1:]), each.dtype)
            for each in (self.data.x, self.data.y)
        )
        return x, y


class _Sums(NamedTuple):
    """What the batches of an epoch told: the sum of what is measured, the largest |t| by dot, and violations.

    Of a batch that is the violation of the set from which the parameters were farthest. ``loss`` is empty
    where a program does not tell it.
    """

    measure: Any
    multipliers: dict[str, Any]
    violation: Any
    loss: tuple[Any, ...] = ()


_NOTHING = _Sums(np.float32(0), {}, np.float32(0))


class _Left(NamedTuple):
    """What an epoch came to, parameters and latent arrays, and what is carried of it on the devices."""

    params: dict[str, Any]
    latent: dict[str, Any]
    carried: Mapping[str, Any]

    def is_of(self, start: Result) -> bool:
        """Whether a result has these very arrays, none put in the place of one."""
        pairs = (self.params, start.params), (self.latent, start.latent)
        return all(
            ours.keys() == theirs.keys() and all(ours[name] is theirs[name] for name in ours)
            for ours, theirs in pairs
        )


class Step:
    """A stepper's step, jitted: it takes over the arrays that it is given, and adds up what batches tell.

    ``told`` is the step of ``telling``, a stepper that does the same, and tells of every node of the program.
    """

    def __init__(self, stepper: Stepper, share: Share, telling: Stepper | None = None) -> None:
        self.stepper = stepper
        self.share = share
        self.telling = telling
        self.jitted = _jitted(stepper, share, packed=False)
        self.told = self.jitted if telling is None else _jitted(telling, share, packed=True)
        self.drained = _drained(stepper, share) if stepper.streams else None
        self._layout: Layout | None = None
        self._left: _Left | None = None

    def carried(self, start: Result) -> Mapping[str, Any]:
        """Return what training goes on from, as the devices have it: arrays that a step may take over.

        Where ``start`` is what the last epoch came to, they are those that it left on the devices.
        """
        left, self._left = self._left, None
        if left is not None and left.is_of(start):
            return left.carried
        whole = self.share.everywhere(self.stepper.carried(start))
        layout = _layout_of(self.stepper)
        return whole if layout is None else layout.shard(whole)

    def result(self, carried: Mapping[str, Any], at: Result) -> Result:
        """Return ``at`` with what is carried, in arrays of this process."""
        layout = _layout_of(self.stepper)
        whole = carried if layout is None else layout.unshard(carried)
        return self.stepper.result(self.share.local(whole), at)

    def leave(self, result: Result, carried: Mapping[str, Any]) -> None:
        """Leave on the devices what an epoch came to, for the next one to go on from."""
        self._left = _Left(dict(result.params), dict(result.latent), carried)

    def forget(self) -> None:
        """Leave nothing on the devices."""
        self._left = None

    def sums(self, carried: Mapping[str, Any], start: Result, batches: Batches) -> _Sums:
        """Return the sums of the batches before ``start``, with 0 for the |t| of dots that have none yet."""
        told = jax.eval_shape(self.jitted, carried, _NOTHING, np.zeros(1, np.int32), *batches.abstract())[1]
        numbers = {
            "measure": np.float32(start.gap_sum),
            "loss": np.float32(start.loss_sum or 0),
            "violation": np.float32(start.violation_sum),
            **{f"t {dot}": np.float32(start.multipliers.get(dot, 0)) for dot in told.multipliers},
        }
        found = self.share.everywhere(numbers)
        multipliers = {dot: found[f"t {dot}"] for dot in told.multipliers}
        return _Sums(found["measure"], multipliers, found["violation"], (found["loss"],) * len(told.loss))

    def layout(self, carried: Mapping[str, Any], x: Any, y: Any) -> Layout:
        """Return where what a step tells of the nodes stands in what it returns.

        Raises:
            TrainError: if this way of training tells nothing.
        """
        if self._layout is None:
            assert self.telling is not None
            info = jax.eval_shape(self.telling.step, carried, x, y)[1]
            if TRACE not in info:
                raise TrainError("this way of training tells nothing of nodes, so that nothing can be traced")
            nodes = getattr(getattr(self.telling, "program", None), "nodes", {})
            self._layout = Layout.of(info[TRACE], nodes)
        return self._layout


def _jitted(stepper: Stepper, share: Share, packed: bool) -> Any:
    """Return a stepper's step for an epoch; where it is ``packed``, with what that tells of nodes behind."""

    def step(carried: Any, sums: _Sums, wishes: Any, x: Any, y: Any) -> tuple[Any, ...]:
        """Also return whether there is a wish to stop among ``wishes``: see Share.question."""
        carried, info = stepper.step(carried, x, y)
        found = carried, _added(sums, info, stepper.measure), wishes.max()
        return (*found, pack(info[TRACE])) if packed else found

    everywhere = share.replicated()
    shardings = (_lying(stepper, share), *[everywhere] * (3 if packed else 2))
    # The sums are few, and those before this batch are looked at while it runs.
    made = jax.jit(step, donate_argnums=0, out_shardings=shardings)
    # A program that is trained again by such a stepper is not compiled again.
    return getattr(stepper, "kept", {}).setdefault(share, made)


def _layout_of(stepper: Stepper) -> DeviceLayout | None:
    """Return how what a stepper carries lies; steppers of others need not say that it is everywhere."""
    return getattr(stepper, "layout", None)


def _lying(stepper: Stepper, share: Share) -> Any:
    """Return the sharding of what is carried; None leaves that to JAX, which finds it in what a step does."""
    return share.replicated() if _layout_of(stepper) is None else None


def _drained(stepper: Stepper, share: Share) -> Any:
    """Return what ends an epoch of a stepper that leaves batches on their way."""

    def drain(carried: Any, sums: _Sums) -> tuple[Any, _Sums]:
        carried, info = stepper.drain(carried)
        return carried, _added(sums, info, stepper.measure)

    shardings = _lying(stepper, share), share.replicated()
    made = jax.jit(drain, donate_argnums=(0, 1), out_shardings=shardings)
    return getattr(stepper, "kept", {}).setdefault((share, "drained"), made)


def _added(sums: _Sums, info: Mapping[str, Any], measure: str) -> _Sums:
    """Return the sums with what a batch told."""
    found = info.get("t", {})
    largest = {label: jnp.maximum(sums.multipliers.get(label, 0), found[label]) for label in found}
    farthest = functools.reduce(jnp.maximum, info.get("violation", {}).values(), jnp.float32(0))
    total = sums.measure + info[measure].astype(jnp.float32)
    lost = (sum(sums.loss) + info["loss"].astype(jnp.float32),) if "loss" in info else ()
    return _Sums(total, largest, sums.violation + farthest.astype(jnp.float32), lost)


class _Epoch:
    """An epoch while it runs: what is carried from batch to batch, and the sums of what batches told."""

    def __init__(self, step: Step, start: Result, batches: Batches, recorder: Recorder | None = None) -> None:
        self.recorder = recorder
        self.first = start.epoch * batches.count
        self.began = time.monotonic()
        self.step = step
        self.start = start
        self.batch = start.batch
        self.carried = step.carried(start)
        self.sums = self.known = step.sums(self.carried, start, batches)

    def advance(self, wish: bool, x: Any, y: Any) -> Any:
        """Queue a batch on the device; return whether some process wishes to stop, once that is known."""
        question, recorder, number = self.step.share.question(wish), self.recorder, self.first + self.batch
        self.batch += 1
        self.known = self.sums
        if recorder is None or not recorder.wants(number):
            self.carried, self.sums, answer = self.step.jitted(self.carried, self.sums, question, x, y)
            return answer
        layout = self.step.layout(self.carried, x, y)
        self.carried, self.sums, answer, told = self.step.told(self.carried, self.sums, question, x, y)
        recorder.take(number, layout, told)
        return answer

    def settle(self) -> None:
        """Let the batches that are still on their way come to their end."""
        if self.step.drained is not None:
            self.carried, self.sums = self.step.drained(self.carried, self.sums)

    def progress(self, listener: Listener) -> None:
        """Tell of the batches before the one that was queued last, so that the device has work meanwhile."""
        if self.batch - 1 > self.start.batch:
            listener.progress(self.batch - 1, self._finite(self.known) / (self.batch - 1))

    def gap_sum(self) -> float:
        """Return the sum of what is measured, once all batches are done; raise TrainError if it diverged."""
        return self._finite(self.sums)

    def _finite(self, sums: _Sums) -> float:
        total = float(sums.measure)
        if not math.isfinite(total):
            stepper = self.step.stepper
            raise TrainError(
                f"training diverged: the {stepper.measure} is {total} in epoch {self.start.epoch + 1}; "
                f"{stepper.diverged}"
            )
        return total

    def loss_sum(self) -> float | None:
        """Return the sum of the losses, once all batches are done; None where it is not told or too large."""
        total = float(self.sums.loss[0]) if self.sums.loss else math.nan
        return total if math.isfinite(total) else None

    def mean_gap(self) -> float:
        """Return the mean of what is measured."""
        return self.gap_sum() / max(self.batch, 1)

    def result(self) -> Result:
        """Return where training stands."""
        at = replace(
            self.start,
            batch=self.batch,
            gap_sum=self.gap_sum(),
            multipliers={label: float(value) for label, value in self.sums.multipliers.items()},
            violation_sum=float(self.sums.violation),
            loss_sum=self.loss_sum(),
            seconds=self.start.seconds + time.monotonic() - self.began,
        )
        return self.step.result(self.carried, at)


def run_epoch(
    step: Step,
    start: Result,
    batches: Batches,
    checkpoint_seconds: float,
    listener: Listener,
    recorder: Recorder | None = None,
) -> tuple[Result, bool]:
    """Run the rest of the epoch after ``start``; return the result and whether to stop.

    The result's ``batch`` tells how many are done, which is all of them unless training is to stop.
    Batches are queued on the device without waiting for them, except for a look at what is measured
    every ``_TICK`` seconds, which also bounds the queue. A ``recorder`` takes what those of them tell of the
    program's nodes that it wants.
    """
    epoch = _Epoch(step, start, batches, recorder)
    looked = saved = epoch.began
    wish = stopping = False
    for x, y in batches.after(start):
        answer = epoch.advance(wish, x, y)
        now = time.monotonic()
        if now - looked >= _TICK:
            epoch.progress(listener)
            looked = now
            if recorder is not None:
                recorder.tick()
        if now - saved >= checkpoint_seconds and epoch.batch < batches.count:
            if recorder is not None:
                recorder.write()
            listener.checkpoint(epoch.result())
            saved = time.monotonic()
        wish = listener.should_stop()
        stopping = step.share.agreed(wish, answer)
        if stopping:
            break
    if epoch.batch == batches.count:
        epoch.settle()
    listener.progress(epoch.batch, epoch.mean_gap())
    result = epoch.result()
    step.leave(result, epoch.carried)
    return result, stopping
