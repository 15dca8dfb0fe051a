"""Mark the products whose operands are whole multiples of a number."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from pjc.dialects import net, ops
from pjc.dialects.nodes import floats
from pjc.dialects.view import shape_of
from pjc.passes.analysis.multiples import Multiple, multiples_in


@dataclass(frozen=True)
class FindMultiplesPass(ModulePass):
    """Mark the products whose operands are whole multiples of a number.

    Operands are such where they are quantized, or parameters that are required to be in levels, powers of two
    or scaled levels. What is marked is added up as whole numbers where the network is applied, and in the
    ONNX model that is exported from it, so that both give the same bits.

    ```
    %k = op.quantize_linear "q" %x by 0.1 from 0.0 to 3.0 : tensor<2x3xf32> -> tensor<2x3xf32>
    %a = op.sum %k axes [] weights [0.1] : tensor<2x3xf32> -> tensor<2x3xf32>
    %z = op.dot "z" %a, %w : tensor<2x3xf32>, tensor<3x5xf32> -> tensor<2x5xf32>
    ```
    becomes, where ``op.set`` has w in the levels -1, 0 and 1,
    ```
    %z = op.dot "z" %a, %w units [0.1, 1.0] : tensor<2x3xf32>, tensor<3x5xf32> -> tensor<2x5xf32>
    ```
    """

    name = "net-find-multiples"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in [each for each in op.ops if isinstance(each, net.NetworkOp)]:
            found = multiples_in(network.body.block)
            for each in network.walk():
                if isinstance(each, ops.DotOp):
                    _mark(each, found.get(each.lhs), found.get(each.rhs))


def _mark(op: ops.DotOp, lhs: Multiple | None, rhs: Multiple | None) -> None:
    op.units = op.levels = None
    if lhs is None or rhs is None or lhs.levels:
        return
    if rhs.levels and len(shape_of(op.rhs)) - 2 not in rhs.axes:
        return
    op.units = floats([lhs.unit or 1.0, rhs.unit or 1.0])
    op.levels = floats(rhs.levels) if rhs.levels else None
