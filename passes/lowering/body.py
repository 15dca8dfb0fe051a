"""One step of a recurrence in a sweep: what it asks of values of its own, and of those outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Block, Operation, SSAValue

from pjc.dialects import asking as ask
from pjc.dialects import feas, ops, view
from pjc.dialects.steps import Step
from pjc.dialects.view import ViewOp, element_of, shape_of
from pjc.passes.analysis.reach import Reach
from pjc.passes.lowering.behind import Behind, Read
from pjc.passes.lowering.forward import is_common
from pjc.passes.lowering.frame import Asked, Asker, Frame, all_steps

Leave = Callable[[SSAValue], None]
"""What is done outside with a tensor that all steps have given, one after another along the first axis."""


@dataclass
class Body(Frame):
    """The asks of one step. Values are those of the step; what leaves is collected for all of them."""

    outer: Frame = field(kw_only=True)
    count: int = field(kw_only=True)
    own: dict[SSAValue, None] = field(kw_only=True)
    """The values that the recurrence gives, and those of ``spreads``."""
    spreads: list[view.BroadcastOp] = field(kw_only=True)
    """What gives each step, along all samples, its share of what no data change, as of a parameter."""
    scanned: list[SSAValue] = field(default_factory=list)
    """What stands outside of the block for its arguments behind those that are carried."""
    leaving: list[tuple[SSAValue, Leave]] = field(default_factory=list)
    inits: list[SSAValue] = field(default_factory=list)
    """What the arguments of the block that are carried are at first: zeros."""
    nexts: list[SSAValue] = field(default_factory=list)
    """What a step hands on for them."""

    @classmethod
    def of(cls, outer: Frame, members: list[Operation]) -> Body:
        """Return the body for the operations of a recurrence."""
        spreads = _spreads(members, outer.reach)
        own: dict[SSAValue, None] = {result: None for op in (*members, *spreads) for result in op.results}
        count = outer.steps_of(members[0])
        return cls(
            Block(), outer.solver, outer.rows, outer.reach, outer=outer, count=count, own=own, spreads=spreads
        )

    def visit(self, op: Operation) -> None:
        """Write what an operation asks of its operands at one step."""
        if isinstance(op, ViewOp):
            self.undo(op)
        elif isinstance(op, ops.OperationOp):
            total = self.total(op.results[0])
            if total is not None:
                self.respond(op, total)

    # Values of one step.

    def steps_of(self, owner: Operation | Block) -> int:
        return 1

    def slice_type(self, value: SSAValue) -> TensorType[Attribute]:
        """Return the type of one step's share of a value."""
        size, *rest = shape_of(value)
        return TensorType(element_of(value), [size // self.count, *rest])

    def whole_type(self, part: SSAValue) -> TensorType[Attribute]:
        """Return the type of all steps' tensors, of which one is given."""
        size, *rest = shape_of(part)
        return TensorType(element_of(part), [size * self.count, *rest])

    def slice_of(self, whole: SSAValue) -> SSAValue:
        """Return one step's share of a tensor of the outer frame."""
        if whole in self.scanned:
            return self.block.args[len(self.block.args) - len(self.scanned) + self.scanned.index(whole)]
        self.scanned.append(whole)
        return self.block.insert_arg(self.slice_type(whole), len(self.block.args))

    def value(self, value: SSAValue) -> SSAValue:
        spread = value.owner
        if not isinstance(spread, view.BroadcastOp) or spread not in self.spreads:
            return self.slice_of(self.outer.value(value))
        if value not in self.shown:
            step = self.step_of(spread, 0)
            self.shown[value] = self.add(view.move_by(step, self.value(spread.operands[0]))).result
        return self.shown[value]

    def step_of(self, op: ViewOp, index: int) -> Step:
        """Return the step from an operand of a view to its result, for one step of the loop."""
        first, *_ = self.slice_type(op.results[0]).get_shape()
        return op.step(index).with_first(first)

    def operand(self, op: Operation, index: int) -> SSAValue:
        if is_common(op, index):
            return self.outer.value(op.operands[index])
        return self.value(op.operands[index])

    def norms_of(self, op: ops.BilinearOp) -> tuple[SSAValue, ...]:
        lhs, rhs, *means = self.outer.norms_of(op)
        own = rhs if is_common(op, 1) else self.slice_of(rhs)
        return self.slice_of(lhs), own, *map(self.slice_of, means)

    # What is carried, and what leaves.

    def carry(self, kind: Attribute) -> SSAValue:
        """Return an argument of a type that is carried from step to step."""
        zero = self.outer.add(ops.ConstantOp(0.0, kind)).result
        self.inits.append(zero)
        self.nexts.append(zero)
        return self.block.insert_arg(kind, len(self.inits) - 1)

    def leave(self, tensor: SSAValue, then: Leave) -> None:
        """Collect a tensor of every step, and say what is to be done with them all."""
        self.leaving.append((tensor, then))

    def put(self, op: Operation, index: int, asked: Asked) -> None:
        value = op.operands[index]
        if value not in self.own:
            self.put_outside(op, index, asked)
        elif value in self.reach.own:
            self.take(value, asked)
        else:
            super().put(op, index, asked)

    def put_shared(
        self, op: ops.BilinearOp, index: int, multipliers: tuple[SSAValue, SSAValue], asker: Asker
    ) -> None:
        if not is_common(op, index):
            super().put_shared(op, index, multipliers, asker)
        elif self.limits(op, op.operands[index]):
            self.put_outside(op, index, Asked(self.response_by(op, index, multipliers), asker))
        else:
            found: list[SSAValue] = []
            self.leave(multipliers[0], found.append)
            self.leave(
                multipliers[1],
                lambda flat: self.outer.put_shared(op, index, (found[0], flat), asker),
            )

    def put_copies(
        self, op: ops.DotOp, index: int, copies: SSAValue, path: tuple[Step, ...], asker: Asker
    ) -> None:
        if not is_common(op, index):
            super().put_copies(op, index, copies, path, asker)
        elif self.limits(op, op.operands[index]):
            back = self.collected(copies, path, shape_of(op.operands[index]))
            self.put_outside(op, index, Asked(back, asker))
        else:
            self.leave(
                copies,
                lambda flat: self.outer.put_copies(op, index, flat, op.operand_path(index), asker),
            )

    def put_outside(self, op: Operation, index: int, asked: Asked) -> None:
        """Take what each step asks of a value that the recurrence does not give: it is bounded by itself."""
        found = [((op, index), asked.tensor)]
        bounds = self.bounds(asked, op.operands[index])
        if bounds:
            found = Behind(self.reach, self.looks_through).undone(*found[0], self.undone)
        for read, tensor in found:
            if is_common(*read):
                self._put_whole(read, replace(asked, tensor=tensor), bounds)
            else:
                bounded = self.bounded(replace(asked, tensor=tensor), read[0].operands[read[1]])
                self.leave(bounded.tensor, partial(self._leave_own, read, bounded))

    def _put_whole(self, read: Read, asked: Asked, bounds: bool) -> None:
        """Take what each step asks of a value that all of them read whole."""
        found = [(read, asked.tensor)]
        if bounds:
            found = Behind(self.reach, lambda *_: True).undone(*found[0], partial(Frame.undone, self))
        for each, tensor in found:
            value = each[0].operands[each[1]]
            bounded = self.bounded(replace(asked, tensor=tensor), value, all_steps(value.owner))
            self.leave(bounded.tensor, partial(self._leave_whole, each))

    def _leave_whole(self, read: Read, flat: SSAValue) -> None:
        self.outer.put_apart(read, self.count, Asked(flat))

    def _leave_own(self, read: Read, asked: Asked, flat: SSAValue) -> None:
        self.outer.put(*read, replace(asked, tensor=flat))

    def looks_through(self, op: Operation, index: int) -> bool:
        """Whether one looks behind the view of which each step reads its share, outside of the recurrence."""
        value = op.operands[index]
        return (
            value not in self.own
            and not is_common(op, index)
            and self.outer.steps_of(value.owner) == self.count
        )

    def undone(self, op: ViewOp, index: int, asked: SSAValue) -> SSAValue:
        value = op.operands[index]
        kind = value.type if is_common(op, index) else self.slice_type(value)
        return self.add(ask.CollectOp(asked, self.step_of(op, index), kind)).result


def _spreads(members: Sequence[Operation], reach: Reach) -> list[view.BroadcastOp]:
    """Return the views that give a recurrence alone, at each step, its share of what no data change.

    What the samples ask of that is added up step by step: nothing of their number is kept for all steps.
    """
    loop, inside = feas.loop_of(members[0]), set(members)
    found = {
        value.owner: None
        for op in members
        for index, value in enumerate(op.operands)
        if isinstance(value.owner, view.BroadcastOp) and not is_common(op, index)
        if value not in reach.own and feas.loop_of(value.owner) == loop
        if not is_common(value.owner, 0) and all(use.operation in inside for use in value.uses)
    }
    return list(found)[::-1]
