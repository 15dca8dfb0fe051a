"""Fold views, merge equal operations and drop dead ones."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)
from xdsl.transforms.common_subexpression_elimination import CommonSubexpressionElimination
from xdsl.transforms.dead_code_elimination import DeadCodeElimination

from pjc.dialects import feas, ops, view
from pjc.dialects.steps import Broadcast, Reshape, Slice, Transpose
from pjc.dialects.view import ViewOp, shape_of
from pjc.passes.lowering.forward import is_common
from pjc.passes.rewriting.index_views import MoveGatherOutOfLoop, MoveIndexViewsBehindGather
from pjc.passes.rewriting.loop_invariants import MoveInvariantOutOfLoop


@dataclass(frozen=True)
class CanonicalizePass(ModulePass):
    """Fold views into views, merge equal operations and drop dead ones.

    Views that do nothing vanish, a view of a view of the same kind becomes one view, views of indices move
    behind the gathers that read them, gathers from a table above a loop out of it, and so operations that are
    the same at all its steps. What is seen of one number is that number, and what a slice takes of one part
    of a concat is a slice of that part. Equal operations and operations that nobody reads are left to xDSL's
    own passes.

    ```
    %a = view.reshape %x : tensor<2x3xf32> -> tensor<6xf32>
    %b = view.reshape %a : tensor<6xf32> -> tensor<3x2xf32>
    ```
    becomes
    ```
    %b = view.reshape %x : tensor<2x3xf32> -> tensor<3x2xf32>
    ```
    """

    name = "net-canonicalize"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        patterns: list[RewritePattern] = [
            DropNeutralView(),
            FoldViews(),
            FoldViewsOfNumbers(),
            ReadOnePart(),
            MoveIndexViewsBehindGather(),
            MoveGatherOutOfLoop(),
            MoveInvariantOutOfLoop(),
        ]
        PatternRewriteWalker(GreedyRewritePatternApplier(patterns)).rewrite_module(op)
        _merge_equal(ctx, op)
        DeadCodeElimination().apply(ctx, op)


def _merge_equal(ctx: Context, module: ModuleOp) -> None:
    """Merge equal operations, whatever their labels; the first keeps its own."""
    labels = {
        op: op.properties.pop("label")
        for op in module.walk()
        if isinstance(op, ops.OperationOp | ops.ConstantOp) and op.label is not None
    }
    CommonSubexpressionElimination().apply(ctx, module)
    for op in module.walk():
        if isinstance(op, ops.OperationOp | ops.ConstantOp) and op in labels:
            op.properties["label"] = labels[op]


class DropNeutralView(RewritePattern):
    """Replace a view by its operand, where it leaves every entry in its place."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ViewOp, rewriter: PatternRewriter) -> None:
        if len(op.operands) != 1 or op.operands[0].type != op.results[0].type:
            return
        if op.step(0).neutral(shape_of(op.operands[0])):
            rewriter.replace(op, (), [op.operands[0]])


class FoldViews(RewritePattern):
    """A view of a view, where one step does what both do, is one view."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ViewOp, rewriter: PatternRewriter) -> None:
        inner = op.operands[0].owner
        if len(op.operands) != 1 or not isinstance(inner, ViewOp) or len(inner.operands) != 1:
            return
        loop = feas.loop_of(op)
        if feas.loop_of(inner) != loop and not _keeps_slices(inner, whole=loop is None or is_common(op, 0)):
            return
        merged = op.step(0).merged(inner.step(0))
        if merged is not None:
            new = op.changed(inner.operands, lambda _: merged)
            new.location = op.location
            feas.put_in_loop(new, loop)
            rewriter.replace(op, new)


def _keeps_slices(inner: ViewOp, *, whole: bool) -> bool:
    """Whether what reads a view can read what that reads: iterations read slices, along the first axis.

    A reshape may split that axis. What is read ``whole``, as by all iterations alike, may move otherwise.
    """
    step, shape = inner.step(0), shape_of(inner.operands[0])
    if whole:
        return not isinstance(step, Reshape)
    match step:
        case Slice():
            return (step.starts[0], step.limits[0], step.strides[0]) == (0, shape[0], 1)
        case Transpose():
            return step.permutation[0] == 0
        case Broadcast():
            return bool(step.dims) and step.dims[0] == 0 and step.shape[0] == shape[0]
    return False


class ReadOnePart(RewritePattern):
    """A slice of a concat that takes entries of one of its parts alone is a slice of that part.

    So the state of one step of an unrolled loop is read where it stands, not out of those of all steps.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: view.SliceOp, rewriter: PatternRewriter) -> None:
        joined = op.operand.owner
        if not isinstance(joined, view.ConcatOp) or feas.loop_of(joined) != feas.loop_of(op):
            return
        starts, limits, strides = ([*each.get_values()] for each in (op.starts, op.limits, op.strides))
        axis, start = joined.axis.value.data, 0
        for part in joined.parts:
            end = start + shape_of(part)[axis]
            if start <= starts[axis] and limits[axis] <= end:
                starts[axis], limits[axis] = starts[axis] - start, limits[axis] - start
                new = view.SliceOp(part, starts, limits, strides)
                new.location = op.location
                feas.put_in_loop(new, feas.loop_of(op))
                rewriter.replace(op, new)
                return
            start = end


class FoldViewsOfNumbers(RewritePattern):
    """A view of a tensor that is one number everywhere is such a tensor."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ViewOp, rewriter: PatternRewriter) -> None:
        inner = op.operands[0].owner
        if len(op.operands) != 1 or not isinstance(inner, ops.ConstantOp):
            return
        if not isinstance(op.step(0), Broadcast | Reshape | Slice | Transpose):  # others add zeros
            return
        number = inner.number
        if number is not None:
            label = None if inner.label is None else inner.label.data
            new = ops.ConstantOp(number, op.results[0].type, label)
            new.location = inner.location
            rewriter.replace(op, new)
