"""Equations that hold jaxprs: calls, which are read as part of the whole, and loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend import core

from pjc.builder.loops import MAX_ITERATIONS
from pjc.tracing.pieces import Edge, Pieces
from pjc.tracing.refusal import Call, Refused, origin
from pjc.tracing.regions import region
from pjc.tracing.shaping import reversed_
from pjc.tracing.values import Constant, Failed, Function, OneHot, Place, Size, Tensor, Test, Value, constant
from pjc.tracing.views import indexed, is_settled, named
from pjc.tracing.walk import STRUCTURED, Walk, handles

CALLS = (*("jit", "closed_call", "call", "remat2", "custom_jvp_call", "custom_vjp_call", "custom_vmap_call"),)
HOLDS = Pieces((Edge(0.5),), (0.0, 0.0), (0.0, 1.0))
"""Whether a number, 0 or 1, is a condition that holds."""
BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr", "call")
STRUCTURED |= {*CALLS, "scan", "while", "cond"}


@handles(*CALLS, becomes="what is called, or the function of pjc that it is")
def call(walk: Walk, eqn: Any, given: list[Value]) -> list[Value]:
    body = next((eqn.params[name] for name in BODIES if name in eqn.params), None)
    if body is None:
        raise Refused("it calls what cannot be read")
    named = region(walk, eqn, given)
    if named is not None:
        return named
    wanted = list(walk.wanted)
    walk.calls.append(Call(str(eqn.params.get("name", "")), origin(eqn, walk.calls)))
    try:
        if isinstance(body, core.ClosedJaxpr):
            return walk.closed(body, given, wanted)
        return walk.run(body, (), given, wanted)
    finally:
        walk.calls.pop()


@handles("cond", becomes="the branch that is taken, where that is known")
def cond(walk: Walk, eqn: Any, given: list[Value]) -> list[Value]:
    which, *arguments = given
    if isinstance(which, Place):
        raise Refused("it branches on the number of an iteration", "write the iterations as two loops")
    if not isinstance(which, Constant):
        raise Refused(
            "it branches on a value", "compile the branch that is taken; jnp.where on one tensor has one"
        )
    branches = eqn.params["branches"]
    return walk.closed(branches[min(max(int(which.number), 0), len(branches) - 1)], arguments)


@handles("while", becomes="nothing: its length is not known")
def while_(walk: Walk, eqn: Any, given: list[Value]) -> list[Value]:
    raise Refused("its length depends on values", "jax.lax.fori_loop of a fixed length, or scan, has one")


@handles("scan", becomes="a loop")
def scan(walk: Walk, eqn: Any, given: list[Value]) -> list[Value]:
    return Scan(walk, eqn, given).run()


class Scan:
    """One scan: what its body reads, what it carries, and what it collects."""

    def __init__(self, walk: Walk, eqn: Any, given: Sequence[Value]) -> None:
        params = eqn.params
        if not is_settled(params["length"]):
            raise Refused(
                f"it has as many iterations as the open dimension {params['length']} has entries",
                "jax.vmap does the same for each; or give that dimension a number",
            )
        self.walk, self.body, self.length = walk, params["jaxpr"], int(params["length"])
        self.reverse = bool(params["reverse"])
        consts, carried = params["num_consts"], params["num_carry"]
        self.consts = list(given[:consts])
        self.first = list(given[consts : consts + carried])
        self.sliced = list(given[consts + carried :])
        self.wanted = [True] * carried + walk.wanted[carried:]
        """Which of the results of an iteration anything needs."""
        self.outs = [tuple(var.aval.shape) for var in eqn.outvars]

    def run(self) -> list[Value]:
        if any(isinstance(each, Failed) for each in (*self.consts, *self.first, *self.sliced)):
            return self._through([Failed(tuple(v.aval.shape)) for v in self.body.jaxpr.invars])
        if not 0 < self.length <= MAX_ITERATIONS:
            raise Refused(f"it has {self.length:,} iterations, and loops have 1 to {MAX_ITERATIONS:,}")
        text = self.walk.text
        loop = text.numbered("t")
        sources = [self._source(each, loop) for each in self.sliced]
        consts = [self._kept(each) for each in self.consts]
        names = [self._start(each) for each in self.first]
        with text.loop(loop, self.length, [name for name in names if name is not None]):
            inside: list[Value] = []
            for value, first, aval in zip(names, self.first, self._carried(), strict=True):
                inside.append(
                    self._counter(loop, first) if value is None else Tensor(value, aval.shape, True)
                )
            slices = [self._slice(each, loop) for each in sources]
            results = self.walk.closed(self.body, [*consts, *inside, *slices], self.wanted)
            carried, collected = results[: len(names)], results[len(names) :]
            if any(isinstance(each, Failed) for each in results):
                return [Failed(shape) for shape in self.outs]
            made = [self._collected(each, loop) for each in collected]
            self._carry(names, carried, inside)
        after = [
            constant(np.asarray(self._first_number(first) + self.length))
            if name is None
            else Tensor(name, shape, True)
            for name, first, shape in zip(names, self.first, self.outs, strict=False)
        ]
        stacks = [
            self._stacked(each, shape) for each, shape in zip(made, self.outs[len(names) :], strict=True)
        ]
        return [*after, *stacks]

    def _through(self, given: Sequence[Value]) -> list[Value]:
        """Look for what else cannot be compiled."""
        self.walk.closed(self.body, given)
        return [Failed(shape) for shape in self.outs]

    def _carried(self) -> Sequence[Any]:
        at = len(self.consts)
        return [var.aval for var in self.body.jaxpr.invars[at : at + len(self.first)]]

    def _kept(self, value: Value) -> Value:
        """Return what all iterations read, made before the loop; a code only where one of them needs it."""
        if isinstance(value, OneHot) and not value.made:
            return OneHot(value.rows, value.axis, value.shape)  # what the loop binds is not what is behind it
        return self.walk.tensor(value) if isinstance(value, Function) else value

    def _source(self, value: Value, loop: str) -> Value:
        """Return what iterations have slices of, along its first axis."""
        if isinstance(value, Constant) and value.array.dtype == np.bool_ and value.number is None:
            numbers = self._source(constant(value.array.astype(np.float32), value.shape), loop)
            assert isinstance(numbers, Tensor), "conditions that differ are kept as numbers"
            return Test(numbers, HOLDS, numbers.shape)
        if isinstance(value, Constant) and (value.is_whole or value.number is not None):
            return value
        found = self.walk.tensor(value)
        found = reversed_(self.walk, found, 0) if self.reverse else found
        return named(found, lambda of: self.walk.text.above(of, loop))

    def _slice(self, value: Value, loop: str) -> Value:
        if isinstance(value, Constant):
            return self._constant_slice(value, loop)
        if isinstance(value, Test):
            return Test(indexed(value.of, [loop], value.shape[1:]), value.pieces, value.shape[1:])
        assert isinstance(value, Tensor), "sources are constants or tensors"
        return indexed(value, [loop], value.shape[1:])

    def _constant_slice(self, value: Constant, loop: str) -> Value:
        if value.number is not None:
            return constant(
                value.array.reshape(-1)[:1].reshape((1,) * (len(value.shape) - 1)), value.shape[1:]
            )
        whole = np.broadcast_to(value.array, value.shape)
        whole = whole[::-1] if self.reverse else whole
        if whole.ndim == 1 and whole.dtype.kind in "iu":
            steps = np.diff(whole)
            if len(steps) and (steps == steps[0]).all():
                return Place(loop, self.length, int(steps[0]), int(whole[0]))
        raise Refused("its iterations read whole numbers that do not count evenly")

    def _start(self, value: Value) -> str | None:
        """Return the name of a carried value, bound to what it starts from; None for one that counts."""
        if isinstance(value, Constant) and value.is_whole:
            if value.shape == ():
                return None
            raise Refused("it carries whole numbers")
        if isinstance(value, Place):
            raise Refused("it carries the number of an outer iteration")
        found = self.walk.floats(value)
        name = self.walk.text.numbered("carry")
        self.walk.text.line(f"{name} = {found.text}")
        return name

    def _counter(self, loop: str, first: Value) -> Value:
        return Place(loop, self.length, 1, self._first_number(first))

    def _first_number(self, first: Value) -> int:
        assert isinstance(first, Constant), "only constants count"
        return int(first.number)

    def _carry(self, names: Sequence[str | None], results: Sequence[Value], inside: Sequence[Value]) -> None:
        """Write what each carried value is in the next iteration."""
        pairs = []
        for name, result, before in zip(names, results, inside, strict=True):
            if name is None:
                assert isinstance(before, Place), "what counts is a place"
                if result != before.map(lambda i: i + 1):
                    raise Refused("it carries a whole number that does not count by 1")
                continue
            text = self.walk.floats(result).text
            if text != name:
                pairs.append((name, text))
        # All at once: a value of this iteration may be read by several.
        if pairs:
            self.walk.text.line(f"{', '.join(a for a, _ in pairs)} = {', '.join(b for _, b in pairs)}")

    def _collected(self, value: Value, loop: str) -> Value:
        """Return what an iteration gives, by a name under which the text has that of all after the loop."""
        if isinstance(value, Place) and value.loop != loop:
            raise Refused("it collects the number of an outer iteration")
        if isinstance(value, Constant | Place | Size):
            return value
        found = self.walk.floats(value)
        name = self.walk.text.numbered("each")
        self.walk.text.line(f"{name} = {found.text}")
        return Tensor(name, found.shape, True)

    def _stacked(self, value: Value, shape: tuple[Any, ...]) -> Value:
        """Return what all iterations gave, along a new first axis."""
        if isinstance(value, Constant):
            return constant(value.array[None], shape)
        if isinstance(value, Size):
            return value
        if isinstance(value, Place):
            numbers = value.numbers()[::-1] if self.reverse else value.numbers()
            return constant(np.reshape(numbers, (self.length,) + (1,) * (len(shape) - 1)), shape)
        assert isinstance(value, Tensor), "what is collected has a name"
        found = Tensor(value.text, shape, True)
        return reversed_(self.walk, found, 0) if self.reverse else found
