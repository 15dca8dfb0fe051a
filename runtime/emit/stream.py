"""A stream: what all stages do at one tick, and what stands between them from tick to tick.

At tick n stage s is at piece n - s on the way forward, and at piece n - 2 last + s on the way back; last
is the stage behind all others, which is at one piece on both. A batch comes in as one piece or several.
Stages that are alike run as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from xdsl.ir import Operation

from pjc.dialects import ops, proj
from pjc.dialects.steps import Rows
from pjc.dialects.streaming import DATA, DEMANDS, VALUES, HandOp, Home, RingOp, StageOp, TakeOp
from pjc.dialects.view import shape_of
from pjc.runtime.emit.forward import Forward
from pjc.runtime.emit.sweep import Sweeping, Swept
from pjc.runtime.emit.values import dtype_of
from pjc.runtime.emit.variables import Variables
from pjc.runtime.emit.weighing import Weighing
from pjc.runtime.line import Line
from pjc.runtime.placement import ONE_DEVICE, Placement
from pjc.runtime.program import Tensors

TICKS = "number of ticks"
"""The name, among what is held from tick to tick, of how many ticks there were."""
REAL = "pieces that came"
"""That of which of the last ticks brought a piece of a batch, the latest first."""

Number = int | Array
"""The number of a stage, or an age in ticks: of stages that devices share, a device knows it at a tick."""

Held = dict[str, Array]
"""What is held from tick to tick: rings by name, ``TICKS`` and ``REAL``."""


class Ticked(NamedTuple):
    """What a tick gave.

    ``worked`` says by the label of a stage whether it answered for a piece: one truth value, or one for each
    of several alike. ``swept`` are displacements by parameter, demands and losses, all 0 where it did not.
    """

    held: Held
    worked: dict[str, Array]
    swept: Swept


@dataclass(frozen=True)
class Stream:
    """The stages of a program and the rings between them.

    Where devices share them, ``placement`` says who has which. A tick is then what one of them does: arrays
    of stages alike are of those at this device.
    """

    program: proj.ProgramOp
    variables: Variables
    placement: Placement = ONE_DEVICE

    @property
    def line(self) -> Line:
        """Which of the stages are at this device."""
        return self.placement.line

    @cached_property
    def homes(self) -> dict[str, Home]:
        """Where parameters are, by name; those of no stage are everywhere."""
        return {name: stage.home for stage in self.stages for name in _Stage(stage, 1, {}).parameters}

    @cached_property
    def stages(self) -> list[StageOp]:
        """The stages, in their order."""
        return self.program.stage_ops()

    @cached_property
    def rings(self) -> dict[str, RingOp]:
        """The rings, by name."""
        return self.program.rings()

    @property
    def last(self) -> int:
        """The number of the last stage."""
        return self.stages[-1].start

    def start(self) -> Held:
        """Return what is held before the first tick: nothing yet."""
        found: Held = {
            name: jnp.zeros(_ring_shape(ring), dtype_of(ring.type)) for name, ring in self.rings.items()
        }
        return {**found, TICKS: jnp.int32(0), REAL: jnp.zeros(self.ticks + 1, bool)}

    @property
    def ticks(self) -> int:
        """How many ticks after a piece came the last stage, on the way back, answers for it."""
        return 2 * self.last

    @cached_property
    def size(self) -> int:
        """How many samples a piece has; 1 for a network without a batch."""
        return (self.program.batch or 1) // self.program.pieces

    def cut(self, data: Tensors) -> dict[str, Array]:
        """Return the pieces of a batch along a first axis, each of the samples that follow each other.

        What has no samples is the same in all of them.
        """
        found = {}
        for name, value in data.items():
            if name in self.rings:
                shape = self.program.pieces, *shape_of(self.rings[name].type)
                alike = value.shape == shape[1:]
                found[name] = jnp.broadcast_to(value, shape) if alike else value.reshape(shape)
        return found

    def tick(self, params: Tensors, held: Mapping[str, Array], data: Tensors | None) -> Ticked:
        """Return what a tick gives.

        Args:
            params: parameters in their sets.
            held: what the tick before left.
            data: the piece of a batch, by label; None if none comes.
        """
        real = jnp.array([data is not None])
        data = self.nothing() if data is None else data
        now = _Now(self, held, data, jnp.concatenate([real, held[REAL][:-1]]))
        handed: dict[str, dict[int, Array]] = {}
        displacement: dict[str, Array] = {}
        demands: dict[str, Array] = {}
        losses: dict[str, Array] = {}
        worked = {}
        for stage in self.stages:
            own, home = _Stage(stage, self.size, self.slots, self.placement), stage.home
            worked[stage.label.data] = now.worked(stage)
            given, swept = self.line.at(home, partial(now.run, own, params))
            for name, value in given.items():
                handed.setdefault(name, {})[stage.start] = value
            displacement |= {
                name: value.reshape(params[name].shape) for name, value in swept.displacement.items()
            }
            share = self.line.share(home)
            demands |= {
                name: self.line.part(home, _mean_square(value)) for name, value in swept.demands.items()
            }
            losses |= {name: jnp.mean(value) * share for name, value in swept.losses.items()}
        after = {name: now.pushed(ring, handed.get(name, {})) for name, ring in self.rings.items()}
        after |= {TICKS: held[TICKS] + 1, REAL: now.real}
        return Ticked(after, worked, Swept(displacement, demands, losses))

    def nothing(self) -> dict[str, Array]:
        """Return what stands for the piece of a batch where none comes."""
        found = {name: ring for name, ring in self.rings.items() if ring.kind.data == DATA}
        return {name: jnp.zeros(shape_of(ring.type), dtype_of(ring.type)) for name, ring in found.items()}

    @cached_property
    def slots(self) -> dict[str, str]:
        """The parameters by the names of the variables that record them."""
        return {slot: name for name, slot in self.variables.slots.items()}


def _ring_shape(ring: RingOp) -> tuple[int, ...]:
    """Return the shape of a ring's array: of stages alike, entries by tick, and what one is."""
    each = (ring.size, *shape_of(ring.type))
    return each if ring.count == 1 else (ring.count, *each)


def _mean_square(values: Array) -> Array:
    """Return the root mean square of what stages demand that are alike."""
    return jnp.sqrt(jnp.mean(values * values))


@dataclass(frozen=True)
class _Stage:
    """What a stage does, for one of those that are alike; ``batch`` is how many samples it does it for."""

    op: StageOp
    batch: int
    slots: dict[str, str]
    placement: Placement = ONE_DEVICE

    @cached_property
    def parameters(self) -> list[str]:
        """The names of the parameters that it reads."""
        block = self.op.forward_op().body.block
        return [op.label.data for op in block.ops if isinstance(op, ops.ParameterOp)]

    @cached_property
    def hands(self) -> bool:
        """Whether it hands on values, so that its forward pass is needed at once."""
        return any(isinstance(op, HandOp) for op in self.op.forward_op().body.block.ops)

    def run(
        self, params: Tensors, ahead: Tensors, kept: Tensors, asked: Tensors, real: Array
    ) -> tuple[Tensors, Swept]:
        """Return what it hands on, values and demands by ring, and what its sweep gives.

        Args:
            params: its parameters.
            ahead: what it is handed now, and the data of that piece, by ring.
            kept: what it was handed for the piece that it is asked about.
            asked: what it is asked, by ring.
            real: whether there is such a piece.
        """
        handed: dict[str, Array] = {}
        if self.hands:
            forward = _Forward(params, ahead)
            for op in self.op.forward_op().body.block.ops:
                forward.evaluate(op)
            handed |= forward.handed
        again = _Forward(params, kept)
        for op in self.op.forward_op().body.block.ops:
            again.evaluate(op)
        weighing = _Masked(self.placement, self.batch, None, real)
        back = _Back(again.by_node, kept, weighing, self.slots, asked_of=asked)
        for op in self.op.sweep_op().body.block.ops:
            back.evaluate(op)
        return handed | back.handed, Swept(back.displacement, back.demands, back.losses)


@dataclass
class _Forward(Forward):
    """The forward pass of a stage: what it takes is among the data."""

    handed: dict[str, Array] = field(default_factory=dict)

    def evaluate(self, op: Operation) -> None:
        match op:
            case TakeOp():
                self.values[op.result] = self.data[op.ring.data]
            case HandOp():
                self.handed[op.ring.data] = self.values[op.value]
            case _:
                super().evaluate(op)


@dataclass
class _Back(Sweeping):
    """The sweep of a stage."""

    asked_of: Tensors = field(default_factory=dict)
    handed: dict[str, Array] = field(default_factory=dict)

    def evaluate(self, op: Operation) -> None:
        match op:
            case TakeOp():
                name = op.ring.data
                self.values[op.result] = self.asked_of[name] if name in self.asked_of else self.data[name]
            case HandOp():
                self.handed[op.ring.data] = self.values[op.value]
            case _:
                super().evaluate(op)


@dataclass(frozen=True)
class _Masked(Weighing):
    """What samples weigh of a piece that may be none: then nothing is demanded, and nothing lost."""

    real: Array | bool = True

    def weighted(self, value: Array, rows: Rows | None) -> Array:
        found = super().weighted(value, rows)
        return jnp.where(self.real, found, jnp.zeros_like(found))


@dataclass(frozen=True)
class _Now:
    """A tick: what is held before it, its piece, and which of the last ticks brought one, this the first."""

    stream: Stream
    held: Mapping[str, Array]
    data: Tensors
    real: Array

    def worked(self, stage: StageOp) -> Array:
        """Return whether a stage is at a piece on the way back; of several alike, each."""
        ages = [self.stream.ticks - number for number in self.numbers(stage)]
        return self.real[jnp.array(ages)] if stage.count > 1 else self.real[ages[0]]

    def numbers(self, stage: StageOp) -> list[Number]:
        """Return the numbers of those stages, of several alike, that are here."""
        line = self.stream.line
        begin = stage.start + line.offset(stage.count)
        return [begin + number for number in range(line.own(stage.count))]

    def run(self, stage: _Stage, params: Tensors) -> tuple[Tensors, Swept]:
        """Return what a stage gives, or stages that are alike, along a first axis."""
        op = stage.op
        own = {name: params[name] for name in stage.parameters}
        if op.count > 1:
            own = {name: _cut(value, len(self.numbers(op))) for name, value in own.items()}
        taken = [name for name, ring in self.stream.rings.items() if self.takes(op, ring)]
        ahead = {name: self.ahead(op, self.stream.rings[name]) for name in taken}
        kept = {name: self.kept(op, self.stream.rings[name]) for name in taken}
        asked = {name: self.asked(op, ring) for name, ring in self._asks(op).items()}
        run: Callable[..., tuple[Tensors, Swept]] = stage.run
        if op.count > 1:
            run = jax.vmap(run)
        with jax.named_scope(op.label.data):
            return run(own, ahead, kept, asked, self.worked(op))

    def takes(self, stage: StageOp, ring: RingOp) -> bool:
        """Whether a stage reads what a ring has of values or data."""
        return (
            any(
                (isinstance(op, TakeOp) and op.ring.data == ring.label)
                or (isinstance(op, proj.DatumOp) and op.label.data == ring.label)
                for op in stage.walk()
            )
            and ring.kind.data != DEMANDS
        )

    def _asks(self, stage: StageOp) -> dict[str, RingOp]:
        """Return the rings of what a stage is asked."""
        found = {
            op.ring.data: self.stream.rings[op.ring.data] for op in stage.walk() if isinstance(op, TakeOp)
        }
        return {name: ring for name, ring in found.items() if ring.kind.data == DEMANDS}

    # What is read.

    def ahead(self, stage: StageOp, ring: RingOp) -> Array:
        """Return what is on the way forward."""
        if ring.kind.data == DATA:
            return self.of_piece(ring, stage, self.numbers(stage))
        delay = ring.ends[1] - ring.ends[0]
        return self.of_stages(ring, [delay] * len(self.numbers(stage)))

    def kept(self, stage: StageOp, ring: RingOp) -> Array:
        """Return what was on the way forward with the piece that is on the way back now."""
        numbers = self.numbers(stage)
        back = [2 * (self.stream.last - number) for number in numbers]
        if ring.kind.data == DATA:
            return self.of_piece(
                ring, stage, [age + number for age, number in zip(back, numbers, strict=True)]
            )
        delay = ring.ends[1] - ring.ends[0]
        return self.of_stages(ring, [delay + age for age in back])

    def of_piece(self, ring: RingOp, stage: StageOp, ages: Sequence[Number]) -> Array:
        """Return the data of pieces by how many ticks ago they came; one for each of stages alike.

        The first stage of all, of which there is one, alone reads those that come now.
        """
        now = stage.start == 0 and ages[0] == 0
        every = [self.data[ring.label]] if now else [self.entry(ring, age) for age in ages]
        return jnp.stack(every) if stage.count > 1 else every[0]

    def of_stages(self, ring: RingOp, ages: Sequence[Number]) -> Array:
        """Return what stages alike were handed, each so many ticks ago."""
        if ring.count == 1:
            return self.entry(ring, ages[0])
        return jnp.stack([self.entry(ring, age, at) for at, age in enumerate(ages)])

    def entry(self, ring: RingOp, age: Number, at: int | None = None) -> Array:
        """Return what a ring has from so many ticks ago, of one of the stages alike."""
        whole = self.held[ring.label]
        if at is not None:
            whole = lax.index_in_dim(whole, at, keepdims=False)
        return _at(whole, (self.held[TICKS] - age) % ring.size)

    def asked(self, stage: StageOp, ring: RingOp) -> Array:
        """Return what a stage is asked now of what it handed on.

        Of stages alike, each by the next, and the last by none of them; by others the last one alone.
        """
        line = self.stream.line
        if ring.count == 1:
            found = self.entry(ring, ring.size)
            if stage.count == 1:
                return found
            return _at_the_end(line.only_at("last", found), line.own(stage.count))
        every = _at(self.held[ring.label], self.slot(ring), 1)
        return every[0] if stage.count == 1 else line.down(every)

    def slot(self, ring: RingOp) -> Array:
        """Return where a ring's oldest entry stands, which this tick replaces."""
        return self.held[TICKS] % ring.size

    # What is written.

    def pushed(self, ring: RingOp, handed: Mapping[int, Array]) -> Array:
        """Return a ring with what stages handed on at this tick, by the first of those that are alike."""
        whole = self.held[ring.label]
        if ring.kind.data == DATA:
            return _put(whole, self.data[ring.label], self.slot(ring), 0)
        if not handed:  # none of it depends on parameters, so that nobody is asked
            return whole
        if ring.count == 1:
            ((giver, value),) = handed.items()
            home = next(stage.home for stage in self.stream.stages if stage.start == giver)
            if home == "shared":  # the last of them hands it to others
                home, value = "last", value[-1]
            return _put(whole, self.stream.line.across(value, home, ring.home), self.slot(ring), 0)
        own = handed[max(handed)]
        if ring.kind.data == VALUES:
            own = self.stream.line.up(own, handed[min(handed)])
        return _put(whole, own, self.slot(ring), 1)


def _at(whole: Array, slot: Array, axis: int = 0) -> Array:
    """Return an entry of a ring."""
    return jnp.asarray(lax.dynamic_index_in_dim(whole, slot, axis, keepdims=False))


def _put(whole: Array, value: Array, slot: Array, axis: int) -> Array:
    """Return a ring with another entry."""
    return jnp.asarray(lax.dynamic_update_index_in_dim(whole, value, slot, axis))


def _at_the_end(value: Array, count: int) -> Array:
    """Return a tensor as the last of several, of which the others are 0."""
    return jnp.zeros((count, *value.shape), value.dtype).at[-1].set(value)


def _cut(value: Array, count: int) -> Array:
    return value.reshape(count, value.shape[0] // count, *value.shape[1:])


def moved_by(program: proj.ProgramOp) -> dict[str, tuple[Home, int, tuple[str, ...]]]:
    """Return of each stage of a stream where it is, how many are alike, and the parameters that they move."""
    found = {}
    for stage in program.stage_ops():
        own = _Stage(stage, 1, {}).parameters
        found[stage.label.data] = stage.home, stage.count, tuple(own)
    return found
