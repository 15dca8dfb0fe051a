"""Restate a network as a feasibility problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import GreedyRewritePatternApplier, PatternRewriteWalker, RewritePattern

from pjc.dialects import feas, net, ops
from pjc.dialects.loops import ForOp
from pjc.dialects.view import ViewOp
from pjc.passes.canonicalize import DropNeutralView, FoldViews
from pjc.passes.label import label_operations
from pjc.passes.rewriting.index_views import MoveIndexViewsBehindGather
from pjc.passes.rewriting.lift import Lifting, liftable
from pjc.passes.unroll import unroll


@dataclass(frozen=True)
class NetToFeasPass(ModulePass):
    """Restate a network as a feasibility problem.

    Operations stay as they are: each is now the constraint on its operands and its result, each loss and set
    a requirement. A loop becomes families of constraints on the values of all its iterations, stacked along a
    first axis; what an iteration carries to the next goes through a shift. Views of views that come of
    this are folded.

    ```
    net.network @mlp dims {batch = 4 : i64} {         feas.problem @mlp dims {batch = 4 : i64} {
      %z = op.dot "dense_0.matmul" %x, %w : ...  ->     %z = op.dot "dense_0.matmul" %x, %w : ...
    }                                                 }
    ```
    """

    name = "net-to-feas"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in [each for each in op.ops if isinstance(each, net.NetworkOp)]:
            label_operations(network)
            block = Block()
            _Conversion(block).run(network)
            _fold_views(block)
            problem = feas.ProblemOp(network.sym_name.data, network.dims, Region([block]))
            problem.location = network.location
            op.body.block.insert_op_before(problem, network)
            network.detach()
            network.erase()


def _fold_views(block: Block) -> None:
    """Fold the views of views that lifting made, as those of a network are folded."""
    region = Region([block])
    patterns: list[RewritePattern] = [DropNeutralView(), FoldViews()]
    PatternRewriteWalker(GreedyRewritePatternApplier(patterns, dce_enabled=False)).rewrite_region(region)
    region.detach_block(block)
    for op in reversed(list(block.ops)):
        if isinstance(op, ViewOp) and not any(list(result.uses) for result in op.results):
            op.detach()
            op.erase()


@dataclass
class _Conversion:
    block: Block
    values: dict[SSAValue, SSAValue] = field(default_factory=dict)

    def run(self, network: net.NetworkOp) -> None:
        for loop in [op for op in network.body.block.ops if isinstance(op, ForOp)]:
            if not liftable(loop):
                unroll(loop)
        PatternRewriteWalker(MoveIndexViewsBehindGather()).rewrite_region(network.body)
        for op in network.body.block.ops:
            if isinstance(op, ForOp):
                results = Lifting(op, self.values, self.added).run()
                self.values |= zip(op.results, results, strict=True)
                continue
            new = self.restated(op, self.values)
            self.added(new, op)
            self.values |= zip(op.results, new.results, strict=True)

    def added(self, new: Operation, old: Operation) -> Operation:
        """Add an op that stands for one of the network."""
        new.location = old.location
        self.block.add_op(new)
        if new.results and old.results and not isinstance(old, ForOp):
            new.results[0].name_hint = old.results[0].name_hint
        return new

    def restated(self, op: Operation, values: Mapping[SSAValue, SSAValue]) -> Operation:
        """Return an op on what stands for its operands; where a loss compares with an input, on a target."""
        if isinstance(op, ops.LossOp) and isinstance(op.target.owner, ops.InputOp):
            given = op.target.owner
            target = self.added(ops.TargetOp(given.label.data, given.result.type), op)
            values = {**values, op.target: target.results[0]}
        return op.clone(value_mapper=dict(values))
