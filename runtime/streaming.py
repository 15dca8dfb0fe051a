"""The outer step of a stream: each stage steps by itself, on what it answered for at a tick.

Stages start, and come to rest, at different ticks. So each has its own state of the transformation, and steps
when it has answered for all pieces of a batch: its k-th step is on the k-th batch, as that of a sweep is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.sharding import Mesh

from pjc.diagnostics import mistake
from pjc.dialects.streaming import Home
from pjc.runtime.collectives import SCOPE
from pjc.runtime.layout import DeviceLayout, Place
from pjc.runtime.line import ONE, Line
from pjc.runtime.outer import Members, Moments, outer_steps, require_matches, setting_of, transformation
from pjc.runtime.outer_settings import (
    CUT,
    DRAIN,
    EVERY,
    HELD,
    KEEP,
    OF_TICKS,
    SAID,
    START,
    STEP,
    TICK,
    TOLD,
    Outer,
)
from pjc.runtime.outer_state import OUTER, flatten_state, restore_state

STREAM = OUTER + "stream "
"""What the names of what a stream holds from tick to tick begin with, among what an outer step remembers."""


MOMENTS = Moments(0.0, 0.99)
"""Adam's, under streams: what comes late is a momentum already."""
Stages = Mapping[str, tuple[Home, int, tuple[str, ...]]]
"""Of each stage, by its label, where it is, how many are alike, and the parameters that they move."""


@dataclass(frozen=True)
class Devices:
    """The devices of a mesh, those along ``stack`` in a ``line``, and where rings are by the name of each."""

    mesh: Mesh
    line: Line
    rings: Mapping[str, Place]


def stream_entries(
    outer: Outer,
    names: Members,
    stages: Stages,
    functions: Mapping[str, Callable[..., Any]],
    pieces: int,
    devices: Devices | None = None,
) -> tuple[dict[str, Callable[..., Any]], DeviceLayout | None]:
    """Return the entry points of a stream, of what it does at a tick and the outer step; and how arrays lie.

    The entry points are those of :func:`pjc.runtime.outer.step_entries`, of which ``step`` has a tick for
    each piece of a batch, and ``drain(params, optimizer, steps)``, with ticks that bring nothing until
    nothing is on its way. On a mesh these two take and give arrays as its devices have them; ``start`` gives
    whole ones.

    Raises:
        DiagnosticError: if a pattern of the outer step matches no parameter, or some layers of a loop alone.
    """
    stream = _Stream(outer, names, stages, functions, pieces, devices)
    kept = {name: each for name, each in functions.items() if name not in OF_TICKS}
    entries: dict[str, Callable[..., Any]] = {START: stream.start, STEP: stream.step, DRAIN: stream.drain}
    return {**kept, **entries}, stream.layout


@dataclass(frozen=True)
class _Group:
    """A stage, or several alike, and the outer step of its parameters.

    Those of several have a row for each of them, of which there are ``count`` here.
    """

    home: Home
    alike: bool
    count: int
    outer: Outer
    entries: tuple[str, ...]

    def rows(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Return what the stages have each, along a first axis; of one stage as it is."""
        found = {name: arrays[name] for name in self.entries}
        if not self.alike:
            return found
        return {name: _rows(value, self.count) for name, value in found.items()}

    def transformation(self, steps: Array | None = None) -> optax.GradientTransformation:
        """Return the outer step of one stage."""
        return transformation(self.outer, {name: (name,) for name in self.entries}, steps, MOMENTS)

    def start(self, params: Mapping[str, Array]) -> Any:
        """Return what it remembers before the first step."""
        init = self.transformation().init
        return (jax.vmap(init) if self.alike else init)(self.rows(params))

    def step(
        self, params: Mapping[str, Array], asked: Mapping[str, Array], state: Any, worked: Array, steps: Array
    ) -> tuple[dict[str, Array], Any]:
        """Return the parameters, and what it remembers, after a step of those stages that worked."""
        made = self.transformation(steps)

        def one(own: Any, moves: Any, before: Any, did: Array) -> Any:
            moves, after = made.update(jax.tree.map(jnp.negative, moves), before, own)
            found = optax.apply_updates(own, moves), after
            return jax.tree.map(lambda new, old: jnp.where(did, new, old), found, (own, before))

        every = jax.vmap(one) if self.alike else one
        moved, after = every(self.rows(params), self.rows(asked), state, worked)
        return {name: value.reshape(params[name].shape) for name, value in moved.items()}, after


def _rows(value: Array, count: int) -> Array:
    size, *rest = value.shape
    return value if size == count else value.reshape(count, size // count, *rest)


class _Stream:
    """A stream with its outer step: parameters, and what is remembered, as flat dicts of arrays."""

    def __init__(
        self,
        outer: Outer,
        names: Members,
        stages: Stages,
        functions: Mapping[str, Callable[..., Any]],
        pieces: int,
        devices: Devices | None = None,
    ) -> None:
        require_matches(outer, [name for members in names.values() for name in members])
        self.functions, self.outer, self.pieces, self.devices = functions, outer, pieces, devices
        self.line = ONE if devices is None else devices.line
        by_pieces = replace(outer, accumulate=outer.accumulate * pieces)
        self.ticks = 2 * (sum(count for _, count, _ in stages.values()) - 1)
        self.groups: dict[str, _Group] = {}
        for label, (home, count, entries) in stages.items():
            if entries:
                own = _of(by_pieces, {name: names[name] for name in entries})
                self.groups[label] = _Group(home, count > 1, count, own, entries)

    @cached_property
    def layout(self) -> DeviceLayout | None:
        """How arrays lie on the devices of a mesh; None on one device."""
        if self.devices is None:
            return None
        params = jax.eval_shape(self.functions["init"], jax.ShapeDtypeStruct((2,), "uint32"))
        places = {STREAM + name: place for name, place in self.devices.rings.items()}
        for label, group in self.groups.items():
            state = jax.eval_shape(
                lambda label=label: flatten_state({label: self.groups[label].start(params)})
            )
            places |= dict.fromkeys((*group.entries, *state), Place(group.home))
        whole = {**params, **jax.eval_shape(self.start, params)}
        shapes = {name: whole[name] for name, place in places.items() if place.is_at_end}
        return DeviceLayout(self.devices.mesh, places, self.devices.rings, shapes)

    def start(self, params: Any) -> dict[str, Array]:
        held = {STREAM + name: value for name, value in self.functions[HELD]().items()}
        return {**flatten_state(_fresh(self.groups, params)), **held}

    @cached_property
    def here(self) -> dict[str, _Group]:
        """The groups, with as many stages as a device has of each."""
        return {
            label: replace(group, count=self.line.own(group.count) if group.alike else 1)
            for label, group in self.groups.items()
        }

    def advance(self, params: Any, optimizer: Any, steps: Array, data: Any) -> Any:
        """Return parameters, what is remembered, and what is said, after a tick; None is no data."""
        held = {
            name.removeprefix(STREAM): each for name, each in optimizer.items() if name.startswith(STREAM)
        }
        rest = {name: each for name, each in optimizer.items() if not name.startswith(STREAM)}
        states = restore_state(jax.eval_shape(partial(_fresh, self.here), params), rest)
        held, worked, asked, said = self.functions[TICK](params, held, data)
        moved, total = dict(params), outer_steps(self.outer, steps)
        for label, group in self.here.items():
            made = partial(group.step, params, asked, states[label], worked[label], total)
            before = {name: params[name] for name in group.entries}, states[label]
            found, states[label] = self.line.at(group.home, made, partial(tuple, before))
            moved |= found
        kept = self.functions[KEEP](moved) if KEEP in self.functions else moved
        return kept, {**flatten_state(states), **{STREAM + name: each for name, each in held.items()}}, said

    def step(self, params: Any, optimizer: Any, steps: Array, data: Any) -> Any:
        """Return parameters, what is remembered, and what happened, after the ticks that bring a batch.

        What happened is told of the pieces that came to their end; once the stream flows, their mean.
        """
        if self.layout is None and self.pieces == 1:
            after, remembered, said = self.advance(params, optimizer, steps, data)
            return after, remembered, self.functions[TOLD](said)
        return self._ticks(params, optimizer, steps, self.functions[CUT](data), self.pieces)

    def drain(self, params: Any, optimizer: Any, steps: Array) -> Any:
        """Return parameters, what is remembered, and sums of what happened, once nothing is on its way."""
        after, remembered, info = self._ticks(params, optimizer, steps, {}, self.ticks)
        info.pop("violation", None)
        return after, remembered, info

    def _ticks(self, params: Any, optimizer: Any, steps: Array, pieces: Any, count: int) -> Any:
        """Return what a number of ticks come to, with ``pieces`` or, if there are none, without."""

        @jax.named_scope(SCOPE)
        def go(steps: Array, carried: Any, piece: Any) -> Any:
            params, optimizer = carried
            after, remembered, said = self.advance(params, optimizer, steps, piece)
            return (after, remembered), said

        def run(params: Any, optimizer: Any, steps: Array, pieces: Any) -> Any:
            every = partial(go, steps)
            (after, remembered), said = lax.scan(every, (params, optimizer), pieces or None, length=count)
            info = jax.vmap(self.functions[TOLD])(self.functions[SAID](said))
            return after, remembered, self._by_batch(info)

        on_devices = run if self.layout is None else self.layout.mapped(run)
        return on_devices(dict(params), dict(optimizer), steps, pieces)

    def _by_batch(self, info: Any) -> Any:
        """Return sums of what happened at several ticks, where a batch counts once; the last violations."""
        last = {name: jax.tree.map(lambda each: each[-1], info[name]) for name in info.keys() & {"violation"}}
        return jax.tree.map(lambda each: jnp.sum(each, 0) / self.pieces, info) | last


def _fresh(groups: Mapping[str, _Group], params: Any) -> dict[str, Any]:
    """Return what the outer steps of stages remember before the first."""
    return {label: group.start(params) for label, group in groups.items()}


def _of(outer: Outer, names: Members) -> Outer:
    """Return the outer step of a stage's parameters, by the names that the program holds them by.

    Raises:
        DiagnosticError: where it treats layers of a loop differently.
    """
    found = {entry: {setting_of(outer, name) for name in members} for entry, members in names.items()}
    for entry, settings in found.items():
        if len(settings) > 1:
            raise mistake(
                f"the layers of a stream that are alike have one rate, and move together; those of '{entry}' "
                "do not by the options rate and freeze",
                "take patterns that match all of them or none",
            )
    ours = {entry: next(iter(settings)) for entry, settings in found.items()}
    freeze = tuple(entry for entry, (_, rests) in ours.items() if rests)
    rate = {EVERY: outer.rate[EVERY], **{entry: rate for entry, (rate, _) in ours.items()}}
    return replace(outer, rate=rate, freeze=freeze)
