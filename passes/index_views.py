"""Move views of indices behind the gathers that read them."""

from __future__ import annotations

from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from pjc.dialects import view
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
