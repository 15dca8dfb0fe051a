"""Records a trace while a program is trained: which updates are sampled, and when the file is written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from .sampled import EVERY
from .trace import MOST_ITERATIONS, Column, Trace, joined, read_trace, together, write_trace
from .trainable import TrainError

_SECONDS = 1.0
"""The fewest seconds between two times that the file is written."""
_PART = 50
"""The file is written so seldom that it takes no more than this part of the time."""

Told = Mapping[str, Mapping[str, Any]]
"""What an update tells, as :mod:`pjc.runtime.emit.telling` has it: numbers by measure and by node."""


def packed(told: Told) -> Array:
    """Return all that an update tells as one array, in the order of :class:`Layout`."""
    leaves = [jnp.ravel(each).astype(jnp.float32) for numbers in told.values() for each in numbers.values()]
    return jnp.concatenate(leaves) if leaves else jnp.zeros(0, jnp.float32)


@dataclass(frozen=True)
class Layout:
    """Where the numbers of an update stand in what :func:`packed` returns: measure, node, and how many."""

    places: tuple[tuple[str, str, int], ...]
    kinds: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, told: Told, kinds: Mapping[str, tuple[str, str]]) -> Layout:
        """Return that of what is told, or of its shapes; ``kinds`` are :meth:`Program.nodes`."""
        places = [
            (measure, node, int(np.prod(each.shape, dtype=np.int64)) if each.shape else 0)
            for measure, numbers in told.items()
            for node, each in numbers.items()
        ]
        return cls(tuple(places), kinds)

    def trace(self, rows: Sequence[tuple[int, int, Any]], batches: int, solver: str) -> Trace:
        """Return the trace of rows (seed, step, what was packed)."""
        columns = {column: number for number, column in enumerate(self._columns())}
        table = np.stack([np.asarray(each) for _, _, each in rows]) if rows else np.zeros((0, self.size))
        measures: dict[str, Any] = {}
        start = 0
        for measure, node, count in self.places:
            numbers = table[:, start : start + max(count, 1)]
            start += max(count, 1)
            shape = len(rows), len(columns)
            whole = measures.setdefault(measure, np.full(shape, np.nan, np.float32))
            kind = self.kinds.get(node, ("", ""))
            whole[:, columns[Column(node, *kind)]] = together(measure, numbers)
            if 0 < count <= MOST_ITERATIONS:
                for iteration in range(count):
                    whole[:, columns[Column(node, *kind, iteration)]] = numbers[:, iteration]
        seeds, steps = (np.array([row[at] for row in rows], np.int64) for at in (0, 1))
        return Trace(steps, seeds, tuple(columns), measures, batches, solver)

    def _columns(self) -> list[Column]:
        """Return the columns, in the order of the network."""
        counts: dict[str, int] = {}
        for _, node, count in self.places:
            counts[node] = max(count, counts.get(node, 0))
        found = []
        for node in dict.fromkeys([*self.kinds, *counts]):
            if node in counts:
                count = counts[node] if counts[node] <= MOST_ITERATIONS else 0
                kind = self.kinds.get(node, ("", ""))
                found += [Column(node, *kind, iteration) for iteration in (-1, *range(count))]
        return found

    @property
    def size(self) -> int:
        """How many numbers an update tells."""
        return sum(max(count, 1) for _, _, count in self.places)


@dataclass
class Recorder:
    """Takes what sampled updates tell, and writes it to a file.

    What is recorded is fetched from the device, and written, about every second and at each checkpoint, so
    that a run which is killed has lost no more than that; and at the end of a run, however it ends. Where a
    run goes on from a checkpoint, the file keeps the updates before it, and has those after it anew.

    Attributes:
        path: where to; None to keep it here.
        every: of so many updates one is recorded, from 1: those whose number, over all epochs, it divides.
        goes_on: whether the file is that of the run which goes on; else it is written over.

    Raises:
        TrainError: if ``every`` is no whole number from 1.
    """

    path: Path | None = None
    every: int = EVERY
    goes_on: bool = False
    begun: bool = False
    seed: int = 0
    batches: int = 0
    solver: str = ""
    done: list[Trace] = field(default_factory=list)
    layout: Layout | None = None
    waiting: list[tuple[int, int, Any]] = field(default_factory=list)
    written: float = 0.0
    took: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise TrainError(f"trace_every takes a whole number of updates from 1, found {self.every!r}")

    def begin(self, seed: int, step: int, batches: int, solver: str) -> None:
        """A run begins, or goes on, at an update: what was recorded of its seed from there on goes."""
        if self.path is not None and self.goes_on and not self.done and self.path.exists():
            self.done = [read_trace(self.path)]
        self.goes_on = False
        self._close()
        before = [each.rows((each.seed != seed) | (each.step < step)) for each in self.done]
        self.done = [each for each in before if len(each)]
        self.seed, self.batches, self.solver = seed, batches, solver
        self.written = time.monotonic()
        self.begun = True

    def wants(self, step: int) -> bool:
        """Return whether an update is recorded."""
        return step % self.every == 0

    def take(self, step: int, layout: Layout, told: Any) -> None:
        """Take what an update told, which may still be under way on the device."""
        if layout is not self.layout:
            self._close()
            self.layout = layout
        self.waiting.append((self.seed, step, told))

    def tick(self) -> None:
        """Write what there is, if it is time."""
        if time.monotonic() - self.written >= max(_SECONDS, _PART * self.took):
            self.write()

    def write(self) -> None:
        """Write what there is; raise WriteError where that cannot be.

        Before a run has begun nothing is written: one that cannot begin leaves an earlier file as it is.
        """
        if not self.begun:
            return
        began = time.monotonic()
        self._close()
        if self.path is not None:
            write_trace(self.path, self.trace())
        self.written = time.monotonic()
        self.took = self.written - began

    def trace(self) -> Trace:
        """Return what was recorded so far."""
        self._close()
        self.done = [joined(self.done)]
        return self.done[0]

    def _close(self) -> None:
        """Bring what is waiting into columns."""
        if self.layout is not None and self.waiting:
            self.done.append(self.layout.trace(self.waiting, self.batches, self.solver))
            self.waiting = []
