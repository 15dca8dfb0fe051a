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
        if not isinstance(inner, ViewOp) or isinstance(inner, view.PadOp | view.GatherOp):
            return
        gathers = [view.GatherOp(op.table, operand) for operand in inner.operands]
        new = row_by_row(inner, [each.result for each in gathers])
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


def row_by_row(op: ViewOp, tables: list[SSAValue]) -> ViewOp:
    """Return the view of tensors of rows that the op is of tensors of numbers; trailing axes go along."""
    old, row = shape_of(op.operands[0]), shape_of(tables[0])[len(shape_of(op.operands[0])) :]
    axes = range(len(row))
    match op:
        case view.ReshapeOp():
            return view.ReshapeOp(tables[0], (*shape_of(op.result), *row))
        case view.TransposeOp():
            return view.TransposeOp(tables[0], (*op.permutation.get_values(), *(len(old) + i for i in axes)))
        case view.BroadcastOp():
            target = shape_of(op.result)
            dims = (*op.dims.get_values(), *(len(target) + i for i in axes))
            return view.BroadcastOp(tables[0], (*target, *row), dims)
        case view.SliceOp():
            starts = (*op.starts.get_values(), *(0 for _ in row))
            limits = (*op.limits.get_values(), *row)
            strides = (*op.strides.get_values(), *(1 for _ in row))
            return view.SliceOp(tables[0], starts, limits, strides)
        case view.ConcatOp():
            return view.ConcatOp(tables, op.axis.value.data)
    raise TypeError(f"'{op.name}' has no counterpart on rows")
