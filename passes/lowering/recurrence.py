"""A recurrence of a sweep: a loop's steps are asked one after another, the last one first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from pjc.dialects import asking as ask
from pjc.dialects import feas, ops, proj, view
from pjc.dialects.steps import Broadcast, Reshape, Step
from pjc.dialects.view import ViewOp, element_of, shape_of
from pjc.passes.analysis.reach import Reach
from pjc.passes.lowering.forward import is_common
from pjc.passes.lowering.frame import Asked, Asker, Frame

Leave = Callable[[SSAValue], None]
"""What is done outside with a tensor that all steps have given, one after another along the first axis."""


@dataclass
class Recurrence:
    """The operations of a recurrence, in the order of the text, in the frame that they are asked from."""

    outer: Frame
    members: list[Operation]

    def run(self) -> None:
        """Write the loop, and take what it asks of values outside."""
        body = Body.of(self.outer, self.members)
        shifts = [op for op in self.members if isinstance(op, view.ShiftOp)]
        zeros = [self.outer.add(ops.ConstantOp(0.0, body.slice_type(shift.rest))) for shift in shifts]
        for shift, zero in zip(shifts, zeros, strict=True):
            later = body.block.insert_arg(zero.result.type, len(body.block.args))
            body.asked.setdefault(shift.rest, []).append(Asked(later))
        if not self.take_demands(body):
            for zero in zeros:
                zero.detach()
                zero.erase()
            return
        for op in (*reversed(self.members), *body.spreads):
            if not isinstance(op, view.ShiftOp):
                body.visit(op)
        asked = [body.total(shift.result) for shift in shifts]  # by a step, of the one before it
        carried = [zero.result if each is None else each for zero, each in zip(zeros, asked, strict=True)]
        body.block.add_op(proj.NextOp(carried, [tensor for tensor, _ in body.leaving]))
        left = self.put_loop(body, [zero.result for zero in zeros])
        for shift, each, tensor in zip(shifts, asked, left, strict=True):
            if each is not None and shift.first in self.outer.reach.moved:
                self.outer.put(shift, 0, Asked(tensor))

    def take_demands(self, body: Body) -> bool:
        """Give the loop what is asked of its values from outside; return whether anything is."""
        found = False
        for value in body.own:
            total = self.outer.total(value)
            if total is not None:
                tensor = body.slice_of(total)
                body.asked.setdefault(value, []).append(Asked(tensor))
                found = True
        return found

    def put_loop(self, body: Body, inits: list[SSAValue]) -> Sequence[SSAValue]:
        """Add the loop, and do what is to be done with what it collects; return what its last step leaves."""
        (loop,) = {feas.loop_of(op) for op in self.members}
        assert loop is not None
        types = [body.whole_type(tensor) for tensor, _ in body.leaving]
        made = proj.ForOp(
            loop.label.data, body.count, inits, body.scanned, types, Region([body.block]), reversed=True
        )
        self.outer.add(made)
        for result, (_, then) in zip(made.collected, body.leaving, strict=True):
            then(result)
        return made.left


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

    def steps_of(self, op: Operation) -> int:
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

    # What leaves.

    def leave(self, tensor: SSAValue, then: Leave) -> None:
        """Collect a tensor of every step, and say what is to be done with them all."""
        self.leaving.append((tensor, then))

    def put(self, op: Operation, index: int, asked: Asked) -> None:
        value = op.operands[index]
        if value not in self.own:
            asked = self.bounded(asked, value)
            self.leave(asked.tensor, lambda flat: self.outer.put(op, index, replace(asked, tensor=flat)))
        elif value in self.reach.given:
            self.asked.setdefault(value, []).append(asked)
        else:
            super().put(op, index, asked)

    def put_shared(
        self, op: ops.BilinearOp, index: int, multipliers: tuple[SSAValue, SSAValue], asker: Asker
    ) -> None:
        if not is_common(op, index):
            super().put_shared(op, index, multipliers, asker)
        elif self.is_bounded(op, index):
            self.put_apart(op, index, Asked(self.response_by(op, index, multipliers), asker))
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
        elif self.is_bounded(op, index):
            back = self.collected(copies, path, shape_of(op.operands[index]))
            self.put_apart(op, index, Asked(back, asker))
        else:
            self.leave(
                copies,
                lambda flat: self.outer.put_copies(op, index, flat, op.operand_path(index), asker),
            )

    def is_bounded(self, op: ops.BilinearOp, index: int) -> bool:
        """Whether what a product asks of an operand is bounded."""
        return op.operands[index] in self.reach.given and self.treatment(op) != "plain"

    def put_apart(self, op: Operation, index: int, asked: Asked) -> None:
        """Take what every step asks of one operand that all of them read: each is bounded by itself."""
        value = op.operands[index]
        shape = shape_of(value)

        def add_up(flat: SSAValue) -> None:
            apart = (self.count, *shape)
            path = (Broadcast(apart, tuple(range(1, len(apart)))), Reshape(shape_of(flat)))
            total = self.outer.collected(flat, path, shape)
            self.outer.put(op, index, Asked(total))

        self.leave(self.bounded(asked, value).tensor, add_up)

    def put_undone(self, op: ViewOp, index: int, asked: Asked) -> None:
        value = op.operands[index]
        if value in self.own:
            super().put_undone(op, index, asked)
            return
        asked = self.bounded(asked, op.results[0]) if value in self.reach.given else asked
        if is_common(op, index):
            self.leave(asked.tensor, lambda flat: self.outer.put_undone(op, index, Asked(flat)))
        else:
            super().put_undone(op, index, asked)

    def undone(self, op: ViewOp, index: int, asked: SSAValue) -> SSAValue:
        kind = self.slice_type(op.operands[index])
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
        if value not in reach.given and feas.loop_of(value.owner) == loop
        if not is_common(value.owner, 0) and all(use.operation in inside for use in value.uses)
    }
    return list(found)[::-1]
