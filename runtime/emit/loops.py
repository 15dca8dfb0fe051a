"""Loops of a program: a scan over slices of what they run over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from xdsl.ir import Block, Operation, SSAValue

from pjc.dialects import proj, view
from pjc.dialects.view import shape_of
from pjc.runtime.mesh import scan


class Running(Protocol):
    """What evaluates ops one by one: values by SSA value."""

    @property
    def values(self) -> dict[SSAValue, Array]: ...
    def evaluate(self, op: Operation) -> None: ...


R = TypeVar("R", bound=Running)


def run_loop(
    loop: proj.ForOp,
    values: Mapping[SSAValue, Array],
    inside: Callable[[], R],
    aside: Callable[[R], list[Array]] = lambda _: [],
) -> list[Array]:
    """Return what a loop gives: what it collects, all iterations along the first axis, and what it leaves.

    Args:
        loop: the op.
        values: those known outside.
        inside: returns what evaluates the ops of one iteration, without values of its own.
        aside: returns what that gives of an iteration beside what the loop collects; it stands behind all.
    """
    block, end, count = loop.body.block, loop.body.block.last_op, loop.count.value.data
    assert isinstance(end, proj.NextOp)
    outer, backwards = _read_from_outside(block, values), loop.reversed is not None
    cutters = [_Cutter.of(value, values, count, backwards) for value in loop.scanned]

    def body(
        carried: list[Array], slices: list[Array], common: list[Array]
    ) -> tuple[list[Array], list[Array]]:
        inner = inside()
        inner.values.update(zip(outer, common, strict=True))
        own = [cutter.cut(entry) for cutter, entry in zip(cutters, slices, strict=True)]
        inner.values.update(zip(block.args, [*carried, *own], strict=True))
        for op in block.ops:
            if op is not end:
                inner.evaluate(op)
        collected = [_entry(inner.values[each]) for each in end.collected]
        return [inner.values[each] for each in end.carried], [*collected, *aside(inner)]

    scanned = [cutter.scanned for cutter in cutters]
    inits, common = [values[each] for each in loop.inits], [values[each] for each in outer]
    with jax.named_scope(loop.label.data):
        carried, stacked = scan(body, inits, scanned, common, count, reverse=backwards)
    own = len(loop.collected)
    laid = [_laid(rows, result) for rows, result in zip(stacked, loop.collected, strict=False)]
    return [*laid, *carried[: len(loop.left)], *(rows.reshape(-1, *rows.shape[2:]) for rows in stacked[own:])]


def _entry(rows: Array) -> Array:
    """Return what an iteration gives to what is collected: a single row without its axis.

    XLA would choose a layout for an axis of length 1, and copy all that is collected to another.
    """
    return rows[0] if rows.shape[0] == 1 else rows


def _laid(stacked: Array, result: SSAValue) -> Array:
    """Return what iterations gave as the rows of a loop's result."""
    if stacked.ndim == len(shape_of(result)):
        return stacked
    return stacked.reshape(-1, *stacked.shape[2:])


@dataclass(frozen=True)
class _Cutter:
    """What gives each iteration its slice of a value, from an entry of what is scanned."""

    scanned: Array
    cut: Callable[[Array], Array]

    @classmethod
    def of(cls, value: SSAValue, values: Mapping[SSAValue, Array], count: int, backwards: bool) -> _Cutter:
        """Return that for a value in a loop of so many iterations.

        What iterations got from the ones before is taken from where these gave it: laid out for all of them
        it would be a copy of that. Forwards it may be spread over the devices of a mesh, iteration by
        iteration, and is laid out.
        """
        shift, x = value.owner, values[value]
        if x.shape[0] != count:
            return cls(x.reshape(count, x.shape[0] // count, *x.shape[1:]), lambda entry: entry)
        if not (backwards and isinstance(shift, view.ShiftOp)):
            return cls(x, lambda entry: entry[None])  # an axis of length 1 costs a copy, as in _entry
        first, rest = values[shift.first], values[shift.rest]

        def before(index: Array) -> Array:
            return jnp.where(index > 0, lax.dynamic_slice_in_dim(rest, jnp.maximum(index - 1, 0), 1), first)

        return cls(jnp.arange(count), before)


def _read_from_outside(block: Block, values: Mapping[SSAValue, Array]) -> list[SSAValue]:
    """Return the values from outside that the ops of a block read."""
    read = dict.fromkeys(operand for op in block.ops for operand in op.operands)
    return [value for value in read if value in values and value not in block.args]
