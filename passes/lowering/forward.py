"""Lower a problem's operations to the forward pass of a program; loops run one iteration after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops, proj, view
from pjc.dialects.forms import HALFWAY
from pjc.dialects.view import ViewOp, element_of, shape_of

Values = dict[SSAValue, SSAValue]
"""What stands in the program for the values of the problem."""


def forward_pass(problem: feas.ProblemOp) -> tuple[Block, Values]:
    """Return the network's own operations, each on whole tensors, and the values that they give."""
    block = Block()
    values: Values = {}
    loops = _loops(problem)
    inside = {op: loop for loop in loops for op in loop.ops}
    for op in problem.body.block.ops:
        loop = inside.get(op)
        if loop is not None:
            if op is loop.ops[-1]:
                made = loop.made()
                for each in loop.ops:
                    above = [operand for operand in each.operands if operand not in made]
                    _require_made(each, above, values, inside)
                loop.add(block, values)
            continue
        if isinstance(op, ops.LossOp | ops.SetOp):  # which impose, wherever they stand
            continue
        _require_made(op, op.operands, values, inside)
        new = _evaluated(op, values)
        if new is not None:
            _put(block, new, op, values)
    return block, values


def _require_made(
    op: Operation, operands: Iterable[SSAValue], values: Values, inside: Mapping[Operation, _Loop]
) -> None:
    """Raise PassFailedException where an op reads what a loop has not made before it.

    A loop is evaluated whole, at its last op; IR that was edited can read it from another loop, or sooner.
    """
    for operand in operands:
        loop = inside.get(operand.owner) if isinstance(operand.owner, Operation) else None
        if loop is not None and operand not in values:
            name = f"'{op.called}'" if isinstance(op, ops.NodeOp) else f"'{op.name}'"
            raise PassFailedException(
                f"{name} reads a value of loop '{loop.label}' before all {loop.count} iterations of it are "
                "made; all ops of a loop have one label and one count, and what reads it comes after it"
            )


def _put(block: Block, new: Operation, old: Operation, values: Values) -> None:
    new.location = old.location
    block.add_op(new)
    for old_result, new_result in zip(old.results, new.results, strict=True):
        new_result.name_hint = old_result.name_hint
        values[old_result] = new_result


def _evaluated(op: Operation, values: Values) -> Operation | None:
    """Return the op of the forward pass for an op of the problem; None for what imposes only."""
    match op:
        case ViewOp():
            return op.clone(value_mapper=values)
        case ops.InputOp() | ops.IndexOp():
            return proj.DatumOp(op.label.data, op.result.type)
        case ops.ConstantOp():
            return _without_part(op)
        case ops.ParameterOp():
            return _without_part(op)
        case ops.OperationOp():
            return _value(op, [values[operand] for operand in op.operands], op.results[0].type)
        case ops.OutputOp():
            return op.clone(value_mapper=values)
    return None


def _without_part(op: ops.NodeOp) -> Operation:
    """Return an op that a program has as a problem does, but for its part."""
    new = op.clone()
    new.part = None
    return new


def _value(op: ops.OperationOp, inputs: Sequence[SSAValue], type: Attribute) -> proj.EvaluateOp:
    """Return the op that gives an operation's value."""
    signature = op.signature if isinstance(op, ops.ApplyOp) else None
    known = op.multiples() if isinstance(op, ops.BilinearOp) else {}
    return proj.EvaluateOp(op.operator, {**op.fields(), **known}, op.called, inputs, type, signature)


@dataclass
class _Loop:
    """The ops of one loop, in the order of the text."""

    label: str
    count: int
    ops: list[Operation] = field(default_factory=list)

    def made(self) -> set[SSAValue]:
        """Return the values that the ops give."""
        return {result for op in self.ops for result in op.results}

    def add(self, block: Block, values: Values) -> None:
        """Add the loop to the forward pass."""
        made = self.made()
        shifts = [op for op in self.ops if isinstance(op, view.ShiftOp)]
        scanned = self.scanned(made)
        inits = [values[shift.first] for shift in shifts]
        starts = [values[value] for value in scanned]
        body = Block(arg_types=[each.type for each in inits] + [self.slice_type(v) for v in starts])
        sources = [*(shift.result for shift in shifts), *scanned]
        inner = {**values, **dict(zip(sources, body.args, strict=True))}
        for op in self.ops:
            if not isinstance(op, view.ShiftOp):
                read = [_read(op, index, values, inner) for index in range(len(op.operands))]
                _put(body, self.iteration(op, read), op, inner)
        kept = [value for op in self.ops for value in op.results if self.is_needed(value)]
        body.add_op(proj.NextOp([inner[shift.rest] for shift in shifts], [inner[value] for value in kept]))
        types = [value.type for value in kept]
        loop = proj.ForOp(self.label, self.count, inits, starts, types, Region([body]))
        block.add_op(loop)
        for old, new in zip(kept, loop.collected, strict=True):
            new.name_hint = old.name_hint
        values |= zip(kept, loop.collected, strict=True)

    def scanned(self, made: set[SSAValue]) -> list[SSAValue]:
        """Return the values from above of which an iteration needs its slice."""
        found: dict[SSAValue, None] = {}
        for op in self.ops:
            for index, operand in enumerate(op.operands):
                if operand not in made and not isinstance(op, view.ShiftOp) and not is_common(op, index):
                    found[operand] = None
        return list(found)

    def is_needed(self, value: SSAValue) -> bool:
        """Whether a value is a node's, read from outside of the loop, or where a compressed dot starts."""
        if isinstance(value.owner, ops.OperationOp):
            return True
        readers = [use.operation for use in value.uses]
        return any(
            reader not in self.ops or (isinstance(reader, ops.BilinearOp) and reader.form in HALFWAY)
            for reader in readers
        )

    def slice_type(self, value: SSAValue) -> TensorType[Attribute]:
        """Return the type of one iteration's share of the first axis."""
        size, *rest = shape_of(value)
        return TensorType(element_of(value), [size // self.count, *rest])

    def iteration(self, op: Operation, operands: Sequence[SSAValue]) -> Operation:
        """Return the op of one iteration: on values whose first axis is its share."""
        kind = self.slice_type(op.results[0])
        if isinstance(op, ops.OperationOp):
            return _value(op, operands, kind)
        assert isinstance(op, view.ViewOp)
        first, *_ = kind.get_shape()
        return op.changed(operands, lambda step: step.with_first(first))


def _read(op: Operation, operand: int, above: Values, inside: Values) -> SSAValue:
    """Return what an op in a loop reads: all of a value from above, of which others may read slices."""
    value = op.operands[operand]
    return above[value] if value in above and is_common(op, operand) else inside[value]


def is_common(op: Operation, operand: int) -> bool:
    """Whether all iterations of an op in a loop read the same operand, rather than a share each."""
    if isinstance(op, view.ViewOp):
        return 0 in op.step(operand).repeated(shape_of(op.operands[operand]))
    return isinstance(op, ops.NodeOp) and op.is_common(operand)


def _loops(problem: feas.ProblemOp) -> list[_Loop]:
    """Return the loops of a problem; a shift of what no op of its loop gives is no part of it."""
    found: dict[feas.LoopAttr, _Loop] = {}
    for op in problem.body.block.ops:
        attribute = feas.loop_of(op)
        if attribute is not None and op.results:
            loop = found.setdefault(attribute, _Loop(attribute.label.data, attribute.count.data))
            loop.ops.append(op)
    for loop in found.values():
        before = -1
        while len(loop.ops) != before:  # without a shift, those of it are none of the loop either
            before, made = len(loop.ops), loop.made()
            loop.ops = [op for op in loop.ops if not isinstance(op, view.ShiftOp) or op.rest in made]
    return list(found.values())
