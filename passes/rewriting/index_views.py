"""Move views of indices behind the gathers that read them, and gathers out of loops."""

from __future__ import annotations

from xdsl.ir import Block, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern
from xdsl.rewriter import InsertPoint

from pjc.dialects import view
from pjc.dialects.loops import AtOp, ForOp
from pjc.dialects.view import ViewOp, shape_of


class MoveIndexViewsBehindGather(RewritePattern):
    """``gather(table, view(indices))`` is the same view, row by row, of ``gather(table, indices)``.

    Then the indices of every gather are data as they come, and a path can name them. Rows are copied as
    often as before, so the mean over the copies of a row is the same.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: view.GatherOp, rewriter: PatternRewriter) -> None:
        inner = op.indices.owner
        if not isinstance(inner, ViewOp) or not inner.STEP.can_take_rows():
            return
        gathers = [view.GatherOp(op.table, operand) for operand in inner.operands]
        row = shape_of(op.table)[1:]
        new = inner.changed([each.result for each in gathers], lambda step: step.on_rows(row))
        for each in (*gathers, new):
            each.location = op.location
        rewriter.replace(op, [*gathers, new], [new.results[0]])


class MoveGatherOutOfLoop(RewritePattern):
    """A loop that takes rows of one table by number reads slices of all the rows, taken above it.

    ``gather(table, at(indices))`` is the same slice, row by row, of ``gather(table, indices)``; and a gather
    that is the same in all iterations stands above the loop. The table must be made above it.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: view.GatherOp, rewriter: PatternRewriter) -> None:
        inner, loop = op.indices.owner, op.parent_op()
        if not isinstance(loop, ForOp) or _is_made_in(op.table, loop):
            return
        if isinstance(inner, AtOp) and inner.parent_op() is loop:
            rows = view.GatherOp(op.table, inner.operand)
            taken = AtOp(rows.result, *inner.numbers())
            rows.location = taken.location = op.location
            rewriter.insert(rows, InsertPoint.before(loop))
            rewriter.replace(op, [taken])
        elif not _is_made_in(op.indices, loop):
            rows = view.GatherOp(op.table, op.indices)
            rows.location = op.location
            rewriter.insert(rows, InsertPoint.before(loop))
            rewriter.replace(op, (), [rows.result])


def _is_made_in(value: SSAValue, loop: ForOp) -> bool:
    """Whether a value is made in the body of a loop, or of a loop in it."""
    owner = value.owner
    above = owner.parent_op() if isinstance(owner, Block) else owner
    while above is not None and above is not loop:
        above = above.parent_op()
    return above is loop and value not in loop.results
