"""What stands behind the views that an operation reads: the values that are bounded each by itself.

What a node asks is bounded as of each value that it asks. A slice is a value of its own, as is what a loop
carries; through other views what is asked goes on to what they show. Where that cannot wait for the views to
be undone, since the steps of a loop are told apart here alone, it is done at once, as if each step stood in
the text by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.ir import Operation, SSAValue

from pjc.dialects import feas, view
from pjc.dialects.view import ViewOp, shape_of
from pjc.passes.analysis.reach import Reach

Read = tuple[Operation, int]
"""An operation, and which of its operands it reads."""


def is_whole(op: Operation) -> bool:
    """Whether what a view shows is bounded as a value of its own."""
    return isinstance(op, view.ShiftOp) or (isinstance(op, view.SliceOp) and not _takes_steps(op))


def _takes_steps(op: view.SliceOp) -> bool:
    """Whether a slice is what steps of a loop give, as a text without the loop would read each of them."""
    value = op.operands[0]
    loop = feas.loop_of(value.owner)
    if loop is None or loop == feas.loop_of(op):
        return False
    size, *rest = shape_of(value)
    one = size // loop.count.data
    taken, *others = shape_of(op.results[0])
    start, stride = op.starts.get_values()[0], op.strides.get_values()[0]
    return others == rest and start % one == 0 == taken % one and (stride == 1 or one == 1)


@dataclass(frozen=True)
class Behind:
    """The reads through which one looks at what stands behind the views that they read."""

    reach: Reach
    within: Callable[[Operation, int], bool]

    def reads(self, op: Operation, index: int) -> list[Read]:
        """Return where what stands behind an operand is read.

        The read itself, where views but rearrange one value that is no other loop's, whose steps are apart.
        """
        owner = self._seen_through(op, index)
        if owner is None:
            return [(op, index)]
        found = [read for each in self.reach.needed(owner) for read in self.reads(owner, each)]
        rearranges = found == [(owner, 0)] and isinstance(owner, view.ReshapeOp | view.TransposeOp)
        if rearranges and feas.loop_of(owner.operands[0].owner) in (None, feas.loop_of(op)):
            return [(op, index)]
        return list(dict.fromkeys(found))

    def undone(
        self, read: Read, asked: SSAValue, undo: Callable[[ViewOp, int, SSAValue], SSAValue]
    ) -> list[tuple[Read, SSAValue]]:
        """Return what is asked at each of the reads behind an operand, by what is asked of the operand."""
        found = self.reads(*read)
        owner = self._seen_through(*read)
        if owner is None or found == [read]:
            return [(read, asked)]
        return [
            each
            for index in self.reach.needed(owner)
            for each in self.undone((owner, index), undo(owner, index, asked), undo)
        ]

    def _seen_through(self, op: Operation, index: int) -> ViewOp | None:
        owner = op.operands[index].owner
        return owner if isinstance(owner, ViewOp) and not is_whole(owner) and self.within(op, index) else None
