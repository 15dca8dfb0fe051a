"""Loops of a program: a scan over slices of what they run over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import jax
from jax import Array
from xdsl.ir import Block, Operation, SSAValue

from pjc.dialects import proj
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
    """Return what a loop collects, with all iterations along the first axis.

    Args:
        loop: the op.
        values: those known outside.
        inside: returns what evaluates the ops of one iteration, without values of its own.
        aside: returns what that gives of an iteration beside what the loop collects; it stands behind that.
    """
    block, end, count = loop.body.block, loop.body.block.last_op, loop.count.value.data
    assert isinstance(end, proj.NextOp)
    outer = _read_from_outside(block, values)

    def body(
        carried: list[Array], slices: list[Array], common: list[Array]
    ) -> tuple[list[Array], list[Array]]:
        inner = inside()
        inner.values.update(zip(outer, common, strict=True))
        inner.values.update(zip(block.args, [*carried, *slices], strict=True))
        for op in block.ops:
            if op is not end:
                inner.evaluate(op)
        collected = [inner.values[each] for each in end.collected]
        return [inner.values[each] for each in end.carried], [*collected, *aside(inner)]

    whole = [values[each] for each in loop.scanned]
    cut = [x.reshape(count, x.shape[0] // count, *x.shape[1:]) for x in whole]
    inits, common = [values[each] for each in loop.inits], [values[each] for each in outer]
    with jax.named_scope(loop.label.data):
        stacked = scan(body, inits, cut, common, count, reverse=loop.reversed is not None)
    return [rows.reshape(-1, *rows.shape[2:]) for rows in stacked]


def _read_from_outside(block: Block, values: Mapping[SSAValue, Array]) -> list[SSAValue]:
    """Return the values from outside that the ops of a block read."""
    read = dict.fromkeys(operand for op in block.ops for operand in op.operands)
    return [value for value in read if value in values and value not in block.args]
