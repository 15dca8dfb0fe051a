"""Move what is the same at all steps of a loop above it."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern
from xdsl.rewriter import InsertPoint

from pjc.dialects import ops
from pjc.dialects.loops import ForOp, is_inside
from pjc.dialects.view import ViewOp


class MoveInvariantOutOfLoop(RewritePattern):
    """An operation that reads nothing that a loop's steps change stands above the loop, once for all steps.

    Once the loop is unrolled it is one operation too, as equal ones are merged: so iterates are the same.
    Views and constants of the body that it reads stand above the loop with it.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ops.OperationOp, rewriter: PatternRewriter) -> None:
        loop = op.parent_op()
        if not isinstance(loop, ForOp):
            return
        above: dict[Operation, None] = {}
        if not all(_is_invariant(each, loop, above) for each in op.operands):
            return
        values: dict[SSAValue, SSAValue] = {}
        for each in (*above, op):
            new = each.clone(values)
            new.location = each.location
            for old, made in zip(each.results, new.results, strict=True):
                made.name_hint = old.name_hint
            rewriter.insert(new, InsertPoint.before(loop))
        rewriter.replace(op, (), [values[each] for each in op.results])


def _is_invariant(value: SSAValue, loop: ForOp, above: dict[Operation, None]) -> bool:
    """Whether a value is the same at all steps; ``above`` gets the views and constants to be moved."""
    if not is_inside(value, loop):
        return True
    owner = value.owner
    if not isinstance(owner, ViewOp | ops.ConstantOp):
        return False
    if not all(_is_invariant(each, loop, above) for each in owner.operands):
        return False
    above[owner] = None
    return True
