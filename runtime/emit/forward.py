"""The forward pass: the network's outputs, and the state in which all copies agree with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
from jax import Array
from xdsl.ir import Operation, SSAValue

from pjc.dialects import ops, proj
from pjc.dialects.view import ViewOp
from pjc.runtime.combination import Lazy, added
from pjc.runtime.emit.loops import run_loop
from pjc.runtime.emit.values import constant, static_fields
from pjc.runtime.emit.variables import State, Variables
from pjc.runtime.emit.views import viewed
from pjc.runtime.program import Tensors
from pjc.runtime.projections import operator
from pjc.runtime.projections.bilinear import BILINEAR, bilinear
from pjc.runtime.projections.multiples import Multiples


class Ran(NamedTuple):
    """What a forward pass gave: the network's outputs, a state, and the value of every node."""

    outputs: dict[str, Array]
    state: State
    values: Tensors


def run_forward(
    program: proj.ProgramOp, variables: Variables, params: Tensors, data: Tensors, *, exact: bool = False
) -> Ran:
    """Return what the forward pass of a program gives.

    With ``exact``, products of multiples of a number are those of whole numbers, and then multiplied: the
    same to rounding, but the same in whatever order they are added up.
    """
    run = Forward(params, data, exact)
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
class Forward:
    """The forward pass while it runs: values by SSA value, and those of parameters and operations by node."""

    params: Tensors
    data: Tensors
    exact: bool = False
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
                    self.values[op.result] = _evaluate(op, self._all(op.inputs), self.exact)
                self.by_node[op.node.data] = self.values[op.result]
            case ViewOp():
                self.values[op.results[0]] = viewed(op, self._all(op.operands))
            case proj.ForOp():
                self.repeat(op)
            case _:
                raise TypeError(f"a forward pass has no {op.name}")

    def repeat(self, loop: proj.ForOp) -> None:
        """Run a loop: a scan over slices of the values that it runs over."""
        end = loop.body.block.last_op
        assert isinstance(end, proj.NextOp)
        found = run_loop(loop, self.values, lambda: Forward(self.params, self.data, self.exact))
        for result, inside, value in zip(loop.collected, end.collected, found, strict=True):
            self.values[result] = value
            if isinstance(inside.owner, proj.EvaluateOp):
                self.by_node[inside.owner.node.data] = value

    def _all(self, values: Iterable[SSAValue]) -> list[Array]:
        return [self.values[each] for each in values]


def _evaluate(op: proj.EvaluateOp, inputs: list[Array], exact: bool) -> Array:
    """Return the operation's value on whole tensors; a dot needs no copies for that."""
    fields = static_fields(op.fields.data)
    if op.operator.data in BILINEAR:
        known = Multiples(fields.pop("units", ()), fields.pop("levels", ()))
        mapped = bilinear(op.operator.data, fields, *inputs)
        if not exact or not known.units:
            return mapped.forward(*inputs)
        a, w = inputs
        return known.multiplied(mapped.forward, a, w, mapped.rhs_axes())
    return operator(op.operator.data, **fields).forward(*inputs)
