"""The forward pass: the network's outputs, and the state in which all copies agree with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
from jax import Array
from xdsl.ir import Block, Operation, SSAValue

from pjc.dialects import ops, proj
from pjc.dialects.view import ViewOp
from pjc.runtime.combination import Lazy, added
from pjc.runtime.emit.values import constant, static_fields
from pjc.runtime.emit.variables import State, Variables
from pjc.runtime.emit.views import viewed
from pjc.runtime.mesh import scan
from pjc.runtime.program import Tensors
from pjc.runtime.projections import operator
from pjc.runtime.projections.bilinear import BILINEAR, bilinear


class Ran(NamedTuple):
    """What a forward pass gave: the network's outputs, a state, and the value of every node."""

    outputs: dict[str, Array]
    state: State
    values: Tensors


def run_forward(program: proj.ProgramOp, variables: Variables, params: Tensors, data: Tensors) -> Ran:
    """Return what the forward pass of a program gives."""
    run = _Forward(params, data)
    outputs: dict[str, Array] = {}
    state: dict[str, Lazy] = {}
    for op in program.forward_op().body.block.ops:
        match op:
            case ops.OutputOp():
                outputs[op.label.data] = run.values[op.value]
            case proj.WriteOp():
                variables.write(state, op, run.values[op.value], data)
            case _:
                run.evaluate(op)
    for name in variables.by_name:
        if name not in state:
            state[name] = variables.zeros(name)
    return Ran(outputs, {name: added(value) for name, value in state.items()}, run.by_node)


@dataclass
class _Forward:
    """The forward pass while it runs: values by SSA value, and those of parameters and operations by node."""

    params: Tensors
    data: Tensors
    values: dict[SSAValue, Array] = field(default_factory=dict)
    by_node: dict[str, Array] = field(default_factory=dict)

    def evaluate(self, op: Operation) -> None:
        """Evaluate one op of the forward pass, or of the body of a loop in it."""
        match op:
            case proj.DatumOp():
                if op.result.uses:
                    self.values[op.result] = self.data[op.label.data]
            case ops.ConstantOp():
                self.values[op.result] = constant(op)
            case ops.ParameterOp():
                self.values[op.result] = self.by_node[op.label.data] = self.params[op.label.data]
            case proj.EvaluateOp():
                with jax.named_scope(op.node.data):
                    self.values[op.result] = _evaluate(op, self._all(op.inputs))
                self.by_node[op.node.data] = self.values[op.result]
            case ViewOp():
                self.values[op.results[0]] = viewed(op, self._all(op.operands))
            case proj.ForOp():
                self.repeat(op)
            case _:
                raise TypeError(f"a forward pass has no {op.name}")

    def repeat(self, loop: proj.ForOp) -> None:
        """Run a loop: a scan over slices of the values that it runs over."""
        block = loop.body.block
        count, end = loop.count.value.data, block.last_op
        assert isinstance(end, proj.NextOp)
        outer = _read_from_outside(block, self.values)

        def body(
            carried: list[Array], slices: list[Array], common: list[Array]
        ) -> tuple[list[Array], list[Array]]:
            inner = _Forward(self.params, self.data, dict(zip(outer, common, strict=True)))
            inner.values |= zip(block.args, [*carried, *slices], strict=True)
            for op in block.ops:
                if op is not end:
                    inner.evaluate(op)
            return inner._all(end.carried), inner._all(end.collected)

        scanned = self._all(loop.scanned)
        cut = [x.reshape(count, x.shape[0] // count, *x.shape[1:]) for x in scanned]
        with jax.named_scope(loop.label.data):
            stacked = scan(body, self._all(loop.inits), cut, self._all(outer), count)
        for result, inside, rows in zip(loop.collected, end.collected, stacked, strict=True):
            self.values[result] = rows.reshape(-1, *rows.shape[2:])
            if isinstance(inside.owner, proj.EvaluateOp):
                self.by_node[inside.owner.node.data] = self.values[result]

    def _all(self, values: Iterable[SSAValue]) -> list[Array]:
        return [self.values[each] for each in values]


def _evaluate(op: proj.EvaluateOp, inputs: list[Array]) -> Array:
    """Return the operation's value on whole tensors; a dot needs no copies for that."""
    fields = static_fields(op.fields.data)
    if op.operator.data in BILINEAR:
        return bilinear(op.operator.data, fields, *inputs).forward(*inputs)
    return operator(op.operator.data, **fields).forward(*inputs)


def _read_from_outside(block: Block, values: Mapping[SSAValue, Array]) -> list[SSAValue]:
    """Return the values from outside that the ops of a block read."""
    read = dict.fromkeys(operand for op in block.ops for operand in op.operands)
    return [value for value in read if value in values and value not in block.args]
