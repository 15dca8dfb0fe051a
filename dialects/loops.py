"""Loops of the net dialect: a body that is repeated, with what it carries, reads and collects.

All iterations are projected at once: passes/net_to_feas.py turns a loop into constraints with a leading axis
for the iterations (docs/design.md#loops). Only the forward pass runs one iteration after another.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerAttr, StringAttr, TensorType, i64
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    AttrSizedResultSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import IsTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.shapes import Shape
from pjc.dialects.view import ShapedOp, shape_of, tensor_like


@irdl_op_definition
class ForOp(IRDLOperation):
    """A body repeated ``count`` times.

    ``%h, %ys = net.for "t" 16 carries (%h0) : tensor<2x3xf32> -> (..) collects (..) { ^body(%h: ..): .. }``.
    The block's arguments are the carried values before an iteration; results are the carried values after
    the last one, then the collected values of all iterations along a new first axis. The body reads values
    from above as they are, or one slice an iteration (``net.at``); its parameters have values of their own
    in every iteration.
    """

    name = "net.for"

    label = prop_def(StringAttr)
    count = prop_def(IntegerAttr.constr(i64))
    inits = var_operand_def(TensorType)
    finals = var_result_def(TensorType)
    collected = var_result_def(TensorType)
    body = region_def("single_block")

    irdl_options = (AttrSizedResultSegments(as_property=True),)

    assembly_format = (
        "$label $count `carries` `(` $inits `)` `:` `(` type($inits) `)` `->` `(` type($finals) `)` "
        "`collects` `(` type($collected) `)` attr-dict-with-keyword $body"
    )

    def __init__(self, label: str, count: int, inits: Sequence[SSAValue], body: Block) -> None:
        last = body.last_op
        assert isinstance(last, YieldOp)
        stacked = [tensor_like(value, (count, *shape_of(value))) for value in last.collected]
        super().__init__(
            operands=[list(inits)],
            properties={"label": StringAttr(label), "count": IntegerAttr(count, i64)},
            result_types=[[value.type for value in inits], stacked],
            regions=[Region([body])],
        )

    @property
    def iterations(self) -> int:
        """How often the body is repeated."""
        return int(self.count.value.data)

    def yield_op(self) -> YieldOp:
        """Return the end of the body."""
        last = self.body.block.last_op
        assert isinstance(last, YieldOp)
        return last

    def verify_(self) -> None:
        if self.iterations < 1:
            raise VerifyException(f"a loop runs at least once, found {self.iterations}")
        if not isinstance(self.body.block.last_op, YieldOp):
            raise VerifyException("the body of 'net.for' ends in 'net.yield'")
        end = self.yield_op()
        carried = [value.type for value in self.inits]
        for what, found in (
            ("the block's arguments", [argument.type for argument in self.body.block.args]),
            ("the carried values", [value.type for value in end.carried]),
            ("the final values", [value.type for value in self.finals]),
        ):
            if found != carried:
                raise VerifyException(f"{what} must have the types of the initial ones")
        stacked = [(self.iterations, *shape_of(value)) for value in end.collected]
        if [shape_of(value) for value in self.collected] != stacked:
            raise VerifyException("a collected value has a first axis of the number of iterations")


@irdl_op_definition
class YieldOp(IRDLOperation):
    """What the next iteration gets, and what is collected: ``net.yield (%h) collect (%y) : ..``."""

    name = "net.yield"

    carried = var_operand_def(TensorType)
    collected = var_operand_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    traits = traits_def(IsTerminator())

    assembly_format = (
        "`(` $carried `)` `collect` `(` $collected `)` attr-dict "
        "`:` `(` type($carried) `)` `collect` `(` type($collected) `)`"
    )

    def __init__(self, carried: Sequence[SSAValue], collected: Sequence[SSAValue]) -> None:
        super().__init__(operands=[list(carried), list(collected)])


@irdl_op_definition
class AtOp(ShapedOp):
    """In iteration i, entry ``first + i step`` of an axis: ``net.at %x axis 1 first 0 step 1 : ..``."""

    name = "net.at"

    operand = operand_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    first = prop_def(IntegerAttr.constr(i64))
    step = prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operand `axis` $axis `first` $first `step` $step attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(self, operand: SSAValue, axis: int, first: int, step: int) -> None:
        shape = shape_of(operand)
        axis = shapes.axis_of(axis, len(shape))
        super().__init__(
            operands=[operand],
            properties={
                "axis": IntegerAttr(axis, i64),
                "first": IntegerAttr(first, i64),
                "step": IntegerAttr(step, i64),
            },
            result_types=[tensor_like(operand, (*shape[:axis], *shape[axis + 1 :]))],
        )

    def numbers(self) -> tuple[int, int, int]:
        """Return the axis, the first entry and the step."""
        return self.axis.value.data, self.first.value.data, self.step.value.data

    def infer(self) -> Shape:
        axis, _, _ = self.numbers()
        shape = shape_of(self.operand)
        return (*shape[:axis], *shape[axis + 1 :])

    def verify_(self) -> None:
        super().verify_()
        loop = self.parent_op()
        if not isinstance(loop, ForOp):
            raise VerifyException("'net.at' belongs into the body of 'net.for'")
        if is_inside(self.operand, loop):
            raise VerifyException("'net.at' reads a value from above the loop")
        axis, first, step = self.numbers()
        size, last = shape_of(self.operand)[axis], first + (loop.iterations - 1) * step
        if step < 1 or first < 0 or last >= size:
            raise VerifyException(f"'net.at' reads entries {first} to {last} of an axis of size {size}")


def is_inside(value: SSAValue, loop: Operation) -> bool:
    """Whether a value is made in the body of a loop."""
    owner = value.owner
    block = owner if isinstance(owner, Block) else owner.parent_block()
    return block is not None and block.parent_op() is loop


def loops_around(op: Operation) -> list[ForOp]:
    """Return the loops that an op is in, the outermost first."""
    found: list[ForOp] = []
    above = op.parent_op()
    while isinstance(above, ForOp):
        found.insert(0, above)
        above = above.parent_op()
    return found
