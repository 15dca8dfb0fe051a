"""Fold views, merge equal operations and drop dead ones."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
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

from pjc.dialects import ops, view
from pjc.dialects.view import ViewOp, shape_of
from pjc.passes.index_views import MoveGatherOutOfLoop, MoveIndexViewsBehindGather


@dataclass(frozen=True)
class CanonicalizePass(ModulePass):
    """Fold views into views, merge equal operations and drop dead ones.

    Views that do nothing vanish, a view of a view of the same kind becomes one view, views of indices move
    behind the gathers that read them, gathers from a table above a loop out of it. Equal operations and
    operations that nobody reads are left to xDSL's own passes.

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
            FoldReshapes(),
            FoldTransposes(),
            FoldBroadcasts(),
            FoldSlices(),
            FoldPads(),
            MoveIndexViewsBehindGather(),
            MoveGatherOutOfLoop(),
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


def _replace(rewriter: PatternRewriter, old: ViewOp, new: ViewOp) -> None:
    new.location = old.location
    rewriter.replace(old, new)


class DropNeutralView(RewritePattern):
    """Replace a view by its operand, where it leaves every entry in its place."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ViewOp, rewriter: PatternRewriter) -> None:
        if len(op.operands) != 1 or shape_of(op.operands[0]) != shape_of(op.results[0]):
            return
        if isinstance(op, view.TransposeOp):
            permutation = op.permutation.get_values()
            if list(permutation) != sorted(permutation):
                return
        rewriter.replace(op, (), [op.operands[0]])


class FoldReshapes(RewritePattern):
    """``reshape(reshape(x))`` is one reshape."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: view.ReshapeOp, rewriter: PatternRewriter) -> None:
        inner = op.operand.owner
        if isinstance(inner, view.ReshapeOp):
            _replace(rewriter, op, view.ReshapeOp(inner.operand, shape_of(op.result)))


class FoldTransposes(RewritePattern):
    """``transpose(transpose(x))`` is one transpose by the composed permutation."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: view.TransposeOp, rewriter: PatternRewriter) -> None:
        inner = op.operand.owner
        if isinstance(inner, view.TransposeOp):
            first = inner.permutation.get_values()
            composed = [first[axis] for axis in op.permutation.get_values()]
            _replace(rewriter, op, view.TransposeOp(inner.operand, composed))


class FoldBroadcasts(RewritePattern):
    """``broadcast(broadcast(x))`` is one broadcast."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: view.BroadcastOp, rewriter: PatternRewriter) -> None:
        inner = op.operand.owner
        if isinstance(inner, view.BroadcastOp):
            outer = op.dims.get_values()
            composed = [outer[axis] for axis in inner.dims.get_values()]
            shape = shape_of(op.result)
            _replace(rewriter, op, view.BroadcastOp(inner.operand, shape, composed))


class FoldSlices(RewritePattern):
    """``slice(slice(x))`` is one slice."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: view.SliceOp, rewriter: PatternRewriter) -> None:
        inner = op.operand.owner
        if not isinstance(inner, view.SliceOp):
            return
        starts, limits, strides = [], [], []
        for size, (start, _, stride), (start2, _, stride2) in zip(
            shape_of(op.result), _ranges(inner), _ranges(op), strict=True
        ):
            first = start + start2 * stride
            step = stride * stride2
            starts.append(first)
            limits.append(first + (size - 1) * step + 1)
            strides.append(step)
        _replace(rewriter, op, view.SliceOp(inner.operand, starts, limits, strides))


def _ranges(op: view.SliceOp) -> list[tuple[int, int, int]]:
    rows = (op.starts.get_values(), op.limits.get_values(), op.strides.get_values())
    return list(zip(*rows, strict=True))


class FoldPads(RewritePattern):
    """``pad(pad(x))`` is one pad by the summed widths."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: view.PadOp, rewriter: PatternRewriter) -> None:
        inner = op.operand.owner
        if isinstance(inner, view.PadOp):
            _replace(rewriter, op, _merged(inner.operand, inner, op))


def _merged(operand: SSAValue, inner: view.PadOp, outer: view.PadOp) -> view.PadOp:
    low = zip(inner.low.get_values(), outer.low.get_values(), strict=True)
    high = zip(inner.high.get_values(), outer.high.get_values(), strict=True)
    return view.PadOp(operand, [sum(pair) for pair in low], [sum(pair) for pair in high])
