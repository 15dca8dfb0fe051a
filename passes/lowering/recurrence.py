"""A recurrence of a sweep: a loop's steps are asked one after another, the last one first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import Operation, Region, SSAValue

from pjc.dialects import feas, proj, view
from pjc.dialects.view import ViewOp
from pjc.passes.lowering.behind import is_whole
from pjc.passes.lowering.body import Body
from pjc.passes.lowering.carried import Carried
from pjc.passes.lowering.frame import Asked, Frame


@dataclass
class Recurrence:
    """The operations of a recurrence, in the order of the text, in the frame that they are asked from."""

    outer: Frame
    members: list[Operation]

    def run(self) -> None:
        """Write the loop, and take what it asks of values outside."""
        body = Body.of(self.outer, self.members)
        carried = [Carried.of(body, op) for op in self.members if isinstance(op, view.ShiftOp)]
        if not self.take_demands(body):
            for zero in body.inits:
                assert isinstance(zero.owner, Operation)
                zero.owner.detach()
                zero.owner.erase()
            return
        for op in (*reversed(self.members), *body.spreads):
            if not isinstance(op, view.ShiftOp):
                body.visit(op)
        for each in carried:
            each.hand_on()
        body.block.add_op(proj.NextOp(body.nexts, [tensor for tensor, _ in body.leaving]))
        left = self.put_loop(body)
        for each in carried:
            each.put_first(left)

    def take_demands(self, body: Body) -> bool:
        """Give the loop what is asked of its values from outside; return whether anything is."""
        found = False
        for op in reversed(self.members):
            if isinstance(op, ViewOp) and self._is_asked_behind(body, op):
                self.outer.undo(op)
        for value in body.own:
            total = self.outer.total(value)
            if total is not None:
                tensor = body.slice_of(total)
                body.take(value, Asked(tensor))
                found = True
        return found

    def _is_asked_behind(self, body: Body, op: ViewOp) -> bool:
        """Whether what is asked of a view from outside is to be bounded as of what stands behind it."""
        asked = self.outer.asked.get(op.results[0], [])
        if is_whole(op) or all(each.asker is None for each in asked):
            return False
        rearranges = isinstance(op, view.ReshapeOp | view.TransposeOp)
        return not rearranges or Carried.behind(body).reads(op, 0) != [(op, 0)]

    def put_loop(self, body: Body) -> Sequence[SSAValue]:
        """Add the loop, and do what is to be done with what it collects; return what its last step leaves."""
        (loop,) = {feas.loop_of(op) for op in self.members}
        assert loop is not None
        types = [body.whole_type(tensor) for tensor, _ in body.leaving]
        made = proj.ForOp(
            loop.label.data, body.count, body.inits, body.scanned, types, Region([body.block]), reversed=True
        )
        self.outer.add(made)
        for result, (_, then) in zip(made.collected, body.leaving, strict=True):
            then(result)
        return made.left
