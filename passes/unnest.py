"""Unroll loops in loops, or around loops."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import net
from pjc.dialects.loops import ForOp, loops_around
from pjc.passes.rewriting.loop_parameters import lift_parameters
from pjc.passes.unroll import MAX_OPS, unroll


@dataclass(frozen=True)
class UnnestPass(ModulePass):
    """Unroll loops in loops, or around loops: whichever has fewer iterations, the inner one if equal.

    What is left are loops side by side, each of which can be one family of constraints. Layers in a loop over
    time become layers, one after another, over all of time. A parameter of a loop in a loop is one tensor
    first, whose first axis counts the iterations of both, those of the inner loop fastest.

    ```
    %h = net.for "t" 16 carries (%h0) : ... {
    ^body(%a : tensor<3xf32>):
      %b = net.for "layer" 2 carries (%a) : ... {
      ^body(%c : tensor<3xf32>):
        %w = op.parameter "w" <1.0 * zeros> : tensor<3xf32>
        %d = op.sum_relu %c, %w axes [] : ...
        net.yield (%d) collect () : ...
      }
      net.yield (%b) collect () : ...
    }
    ```
    becomes
    ```
    %w = op.parameter "w" <1.0 * zeros> family 32 : tensor<32x3xf32>
    %ws = view.reshape %w : tensor<32x3xf32> -> tensor<16x2x3xf32>
    %h = net.for "t" 16 carries (%h0) : ... {
    ^body(%a : tensor<3xf32>):
      %now = net.at %ws axis 0 first 0 step 1 : tensor<16x2x3xf32> -> tensor<2x3xf32>
      // its first entry, reshaped: %w0; its second: %w1
      %d = op.sum_relu %a, %w0 axes [] : ...
      %e = op.sum_relu %d, %w1 axes [] : ...
      net.yield (%e) collect () : ...
    }
    ```
    """

    name = "net-unnest"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in [each for each in op.ops if isinstance(each, net.NetworkOp)]:
            _require_few(network)
            lift_parameters(network)
            while (outer := _around_loops(network.body.block)) is not None:
                _unnest(outer)


def _require_few(network: net.NetworkOp) -> None:
    """Raise PassFailedException if too many operations would be made, counted before any is.

    Of the loops around an operation one stays, no longer than the longest of them.
    """
    total = 0
    for op in network.walk():
        counts = [loop.iterations for loop in loops_around(op)]
        total += prod(counts) // max(counts, default=1)
        if total > MAX_OPS:
            label = loops_around(op)[0].label.data
            raise PassFailedException(
                f"loops in loops are unrolled, and loop '{label}' would become more than {MAX_OPS:,} "
                "operations; write fewer iterations in the shorter loops"
            )


def _around_loops(block: Block) -> ForOp | None:
    """Return the first loop of a block that has loops in its body."""
    return next((op for op in block.ops if isinstance(op, ForOp) and _loops_in(op)), None)


def _loops_in(loop: ForOp) -> list[ForOp]:
    return [op for op in loop.body.block.ops if isinstance(op, ForOp)]


def _unnest(outer: ForOp) -> None:
    inner = _loops_in(outer)
    chosen = [outer] if outer.iterations < max(loop.iterations for loop in inner) else inner
    for loop in chosen:
        made = loop.iterations * sum(1 for _ in loop.body.walk())
        if made > MAX_OPS:
            raise PassFailedException(
                f"loops in loops are unrolled, and loop '{loop.label.data}' would become {made:,} "
                f"operations, more than {MAX_OPS:,}; write fewer iterations in the shorter loop"
            )
        unroll(loop)
